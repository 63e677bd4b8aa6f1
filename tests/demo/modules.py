"""The demo model's modules: diffusers' and transformers' own classes, FLUX.1's settings at a small size."""

from pathlib import Path

from diffusers import AutoencoderKL, FluxTransformer2DModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5TokenizerFast

TEXT_LENGTH = 32  # T5 tokens, padding included: padding attends, so inference must use the length of training
TEXT_WIDTH = 96

VAE = {
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (32, 64, 96, 96),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 1,
    "latent_channels": 16,
    "norm_num_groups": 8,
    "sample_size": 128,
    "mid_block_add_attention": True,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}
TRANSFORMER = {
    "patch_size": 1,
    "in_channels": 64,
    "num_layers": 3,
    "num_single_layers": 9,
    "attention_head_dim": 32,
    "num_attention_heads": 4,
    "joint_attention_dim": TEXT_WIDTH,
    "pooled_projection_dim": TEXT_WIDTH,
    "guidance_embeds": True,
    "axes_dims_rope": (8, 12, 12),
}
SCHEDULER = {
    "base_image_seq_len": 256,
    "base_shift": 0.5,
    "max_image_seq_len": 4096,
    "max_shift": 1.15,
    "num_train_timesteps": 1000,
    "shift": 3.0,
    "use_dynamic_shifting": True,
}


def new_vae() -> AutoencoderKL:
    return AutoencoderKL(**VAE)


def new_transformer() -> FluxTransformer2DModel:
    """Modulation and the last projection start at zero: every block begins as the identity."""
    transformer = FluxTransformer2DModel(**TRANSFORMER)
    for name, module in transformer.named_modules():
        if isinstance(module, nn.Linear) and name.endswith((".norm.linear", ".norm1.linear", ".norm1_context.linear")):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    for module in (transformer.norm_out.linear, transformer.proj_out):
        nn.init.zeros_(module.weight)
        nn.init.zeros_(module.bias)
    return transformer


def new_clip(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """eos_token_id 2 as in FLUX.1's config: the pooled position is then the largest id, which ends every text."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=3,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=TEXT_WIDTH,
        hidden_act="quick_gelu",
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )
    return CLIPTextModel(config)


def new_t5(tokenizer: T5TokenizerFast) -> T5EncoderModel:
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=TEXT_WIDTH,
        d_kv=32,
        d_ff=256,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=3,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    return T5EncoderModel(config)


def tokenizers(folder: Path) -> tuple[CLIPTokenizer, T5TokenizerFast]:
    return (
        CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        T5TokenizerFast.from_pretrained(folder / "tokenizer_2"),
    )
