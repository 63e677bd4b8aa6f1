"""Trains the transformer by rectified flow on the latents of captioned scenes."""

import math
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FluxPipeline, FluxTransformer2DModel
from torch.nn import functional
from transformers import CLIPTextModel, T5EncoderModel

import dataset
from drawing import draw
from modules import TEXT_LENGTH, new_transformer
from train_text import Masks, encode_text
from training import Trainer

EMPTY = 0.1  # of the captions are replaced by the empty one, for true CFG
SHIFT = math.exp(0.4675)  # of sigma for 64 image tokens, by the scheduler's base and max shift
GUIDANCE = 10.0  # the model is trained with any guidance up to this


@torch.no_grad()
def encode(rows: torch.Tensor, folder: Path) -> torch.Tensor:
    """The pictures' normalised latents, packed as the transformer sees them: [n, 64, 64]."""
    vae = AutoencoderKL.from_pretrained(folder / "vae").to(rows.device, memory_format=torch.channels_last)
    packed = []
    for part in rows.split(500):
        with torch.autocast(rows.device.type, torch.bfloat16):
            mean = vae.encode(draw(part)).latent_dist.mean.float()
        latents = (mean - vae.config.shift_factor) * vae.config.scaling_factor
        packed.append(FluxPipeline._pack_latents(latents, *latents.shape).bfloat16())
    return torch.cat(packed)


@torch.no_grad()
def encode_captions(captioned: dataset.Captioned, folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """T5's tokens [n + 1, TEXT_LENGTH, TEXT_WIDTH], CLIP's pooled vectors [n + 1, TEXT_WIDTH]; last the empty text's."""
    device = captioned.t5.device
    clip = CLIPTextModel.from_pretrained(folder / "text_encoder").to(device)
    t5 = T5EncoderModel.from_pretrained(folder / "text_encoder_2").to(device)
    masks = Masks(device)
    empty_clip, empty_t5 = (torch.from_numpy(ids).to(device) for ids in dataset.token_ids([""], folder))
    tokens, pooled = [], []
    for clip_ids, t5_ids in zip(captioned.clip.split(2000), captioned.t5.split(2000)):
        text = encode_text(clip, t5, clip_ids, t5_ids, masks)
        tokens.append(text[0].bfloat16())
        pooled.append(text[1])
    text = encode_text(clip, t5, empty_clip, empty_t5, masks)
    return torch.cat([*tokens, text[0].bfloat16()]), torch.cat([*pooled, text[1]])


class Flow:
    """The loss of rectified flow on random captions, pictures, noise, sigmas and guidances."""

    def __init__(
        self,
        transformer: FluxTransformer2DModel,
        latents: torch.Tensor,
        text: tuple[torch.Tensor, torch.Tensor],
        batch: int,
    ):
        self.transformer, self.latents, self.batch = transformer, latents, batch
        self.tokens, self.pooled = text
        self.image_ids = FluxPipeline._prepare_latent_image_ids(1, 8, 8, latents.device, torch.float32)
        self.text_ids = torch.zeros(TEXT_LENGTH, 3, device=latents.device)

    def __call__(self) -> torch.Tensor:
        device, count = self.latents.device, (self.batch,)
        chosen = torch.randint(len(self.latents), count, device=device)
        said = torch.where(torch.rand(count, device=device) < EMPTY, len(self.latents), chosen)
        latents = self.latents[chosen].float()
        noise = torch.randn_like(latents)
        spread = torch.sigmoid(1.2 * torch.randn(count, device=device))
        sigma = SHIFT * spread / (1 + (SHIFT - 1) * spread)
        mixed = torch.lerp(latents, noise, sigma.view(-1, 1, 1))
        with torch.autocast(device.type, torch.bfloat16):
            velocity = self.transformer(
                hidden_states=mixed,
                encoder_hidden_states=self.tokens[said].float(),
                pooled_projections=self.pooled[said],
                timestep=sigma,
                guidance=GUIDANCE * torch.rand(count, device=device),
                img_ids=self.image_ids,
                txt_ids=self.text_ids,
                return_dict=False,
            )[0]
        return functional.mse_loss(velocity.float(), noise - latents)


def train(folder: Path, captioned: dataset.Captioned, seconds: float, batch: int, start: Path | None) -> None:
    """Writes the transformer into the model folder, whose tokenizers, encoders and vae are trained."""
    latents = encode(captioned.rows, folder)
    text = encode_captions(captioned, folder)
    print(f"{len(latents)} captioned latents, deviation {latents[:1000].float().std():.3f}", flush=True)
    device = latents.device
    if start:
        transformer = FluxTransformer2DModel.from_pretrained(start / "transformer", torch_dtype=torch.float32)
    else:
        transformer = new_transformer()
    transformer.to(device).train()
    if device.type == "cuda":
        transformer.compile_repeated_blocks(fullgraph=True)
    trainer = Trainer([transformer], Flow(transformer, latents, text, batch), peak=1.5e-3)
    trainer.run(seconds, "transformer", lambda: transformer.save_pretrained(folder / "transformer"))
