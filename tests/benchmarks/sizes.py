"""What a step consists of, read from a model folder's configs; and FLUX.1-dev's configs, where no folder is given."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sizes:
    heads: int
    head_width: int
    blocks: int  # double and single ones: their products come to the same
    text_tokens: int
    picture_tokens: int

    @property
    def width(self):
        return self.heads * self.head_width

    @property
    def tokens(self):
        return self.text_tokens + self.picture_tokens

    def rows(self, cards):
        """Tokens of the card that holds most."""
        return -(-self.tokens // cards)

    def tera_flop(self, rows):
        return self.blocks * rows * self.width * (24 * self.width + 4 * self.tokens) * 1e-12

    as_fields = asdict


def read_config(folder, component):
    return json.loads((Path(folder) / component / "config.json").read_text())


def token_grid(folder, height, width):
    """Rows and columns of tokens of a picture: a token is 2 x 2 latents."""
    side = 2 ** len(read_config(folder, "vae")["block_out_channels"])
    return height // side, width // side


def read_sizes(folder, height, width, text_tokens):
    config = read_config(folder, "transformer")
    rows, columns = token_grid(folder, height, width)
    return Sizes(config["num_attention_heads"], config["attention_head_dim"],
                 config["num_layers"] + config["num_single_layers"], text_tokens, rows * columns)


def write_configs(folder):
    """FLUX.1-dev's folder without its weights: `flux-dist bench --random-weights` wants no more."""
    import torch
    from reference import full_size

    full_size.write_small_files(folder)
    for component in (full_size.transformer, full_size.text_encoder, full_size.text_encoder_2, full_size.vae):
        with torch.device("meta"):
            module = component()
        save = getattr(module, "save_config", None) or module.config.save_pretrained
        save(folder / component.__name__)
