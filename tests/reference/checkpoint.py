"""Model folders and safetensors files as diffusers, transformers and safetensors write them, for the readers."""

import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel


def tiny_pipeline(guidance_embeds):
    """Every size differs from every other, so that no two can be mixed up; the vocabularies are the demo tokenizers'."""
    transformer = FluxTransformer2DModel(
        in_channels=16, num_layers=2, num_single_layers=3, attention_head_dim=24, num_attention_heads=5,
        joint_attention_dim=40, pooled_projection_dim=36, guidance_embeds=guidance_embeds, axes_dims_rope=(4, 8, 12))
    text_encoder = CLIPTextModel(CLIPTextConfig(
        vocab_size=657, hidden_size=36, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4))
    text_encoder_2 = T5EncoderModel(T5Config(
        vocab_size=253, d_model=40, d_kv=6, d_ff=50, num_layers=2, num_heads=3, feed_forward_proj="gated-gelu"))
    vae = AutoencoderKL(
        latent_channels=4, block_out_channels=(8, 12, 16, 20), layers_per_block=2, norm_num_groups=4, shift_factor=0.1,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        use_post_quant_conv=guidance_embeds)
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True), vae=vae, text_encoder=text_encoder,
        tokenizer=None, text_encoder_2=text_encoder_2, tokenizer_2=None, transformer=transformer)


def save_folder(pipeline, folder, **options):
    pipeline.save_pretrained(folder, **options)
    index = folder / "model_index.json"
    index.write_text(index.read_text()
                     .replace('"tokenizer": [\n    null,\n    null', '"tokenizer": [\n    "transformers",\n    "CLIPTokenizer"')
                     .replace('"tokenizer_2": [\n    null,\n    null',
                              '"tokenizer_2": [\n    "transformers",\n    "T5TokenizerFast"'))
    # The values themselves, in one file without shards, by diffusers' and transformers' own names.
    for name in ("transformer", "vae", "text_encoder", "text_encoder_2"):
        state = {key: value.contiguous().clone() for key, value in getattr(pipeline, name).state_dict().items()}
        save_file(state, folder / f"{name}_state.safetensors")


def save_conversions(folder):
    """Bit patterns of every dtype and what torch makes of them."""
    every_16_bits = torch.arange(-32768, 32768, dtype=torch.int32).to(torch.int16)
    generator = torch.Generator().manual_seed(0)
    patterns = torch.randint(-(2**63), 2**63 - 1, (65536,), generator=generator)
    stored = {
        "F16": every_16_bits.clone().view(torch.float16), "BF16": every_16_bits.view(torch.bfloat16),
        "F32": patterns.clone().view(torch.float32), "F64": patterns.view(torch.float64),
    }
    save_file(stored, folder / "stored.safetensors")
    for name, dtype in (("F32", torch.float32), ("BF16", torch.bfloat16), ("F16", torch.float16)):
        save_file({key: value.to(dtype).clone() for key, value in stored.items()}, folder / f"as_{name}.safetensors")
    whole = {str(dtype).removeprefix("torch."): torch.arange(6).reshape(2, 3).to(dtype)
             for dtype in (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool,
                           torch.float8_e4m3fn, torch.float8_e5m2)}
    save_file(whole | {"scalar": torch.tensor(2.5), "empty": torch.empty(0, 7)}, folder / "kinds.safetensors",
              metadata={"format": "pt"})


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    save_folder(tiny_pipeline(guidance_embeds=True), folder / "dev", max_shard_size="200KB")
    save_folder(tiny_pipeline(guidance_embeds=False).to(torch.bfloat16), folder / "schnell", variant="bf16")
    save_conversions(folder)


if __name__ == "__main__":
    main()
