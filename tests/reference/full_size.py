"""A random FLUX.1-dev of the published size, and what FluxPipeline draws with it on a card: `full_size.py OUTDIR`.

OUTDIR/model is the folder, 34 GB in bf16 with the tokenizers of configs/demo; OUTDIR/pictures.npz holds the picture of
REQUEST drawn in bf16 (timesteps and guidance in fp32) and in fp32, uint8 [height, width, 3]. Needs a card of 75 GiB.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from reference.exact_guidance import keep_exact
from reference.pipeline import DEMO, randomize
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

REQUEST = dict(prompt="a red circle left of a blue square", height=1024, width=1024, num_inference_steps=4,
               guidance_scale=3.5, max_sequence_length=512)
SEED = 11


def transformer(**other):
    return FluxTransformer2DModel(guidance_embeds=True, **other)  # the defaults are FLUX.1's sizes


def text_encoder():
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
        bos_token_id=0, eos_token_id=2, projection_dim=768))


def text_encoder_2(num_layers=24):
    return T5EncoderModel(T5Config(
        vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=num_layers, num_heads=64,
        feed_forward_proj="gated-gelu"))


def vae():
    return AutoencoderKL(
        latent_channels=16, block_out_channels=(128, 256, 512, 512), layers_per_block=2, norm_num_groups=32,
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False)


def write_small_files(folder):
    """All of a model folder but its components."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(DEMO / "model_index.json", folder)
    for tokenizer in ("tokenizer", "tokenizer_2"):
        shutil.copytree(DEMO / tokenizer, folder / tokenizer, dirs_exist_ok=True)
        config = folder / tokenizer / "tokenizer_config.json"
        fields = json.loads(config.read_text())
        config.write_text(json.dumps(fields | {"model_max_length": 77 if tokenizer == "tokenizer" else 512}))
    FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True).save_pretrained(folder / "scheduler")


COMPONENTS = (transformer, text_encoder, text_encoder_2, vae)


def write_model(folder, *changes, components=COMPONENTS):
    """changes: functions of a component, before it is saved."""
    write_small_files(folder)
    torch.set_default_dtype(torch.bfloat16)
    for component in components:
        torch.manual_seed(0)
        with torch.device("cuda"), torch.no_grad():
            made = randomize(component())
            for change in changes:
                change(made)
            made.save_pretrained(folder / component.__name__, max_shard_size="10GB")
            del made
        torch.cuda.empty_cache()
    torch.set_default_dtype(torch.float32)


def noise():
    """In bf16, as FluxPipeline draws it when text_encoder_2 is stored so."""
    shape = (1, 16, REQUEST["height"] // 8, REQUEST["width"] // 8)
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(SEED), dtype=torch.bfloat16)
    return FluxPipeline._pack_latents(drawn.float(), *shape)


def draw_fp32(pipe, request=REQUEST, latents=None):
    return draw_all_fp32(pipe, [request], [noise() if latents is None else latents])[0]


def draw_all_fp32(pipe, requests, latents):
    """Stage by stage, each of all requests: the encoders and the transformer do not fit together."""
    for encoder in (pipe.text_encoder, pipe.text_encoder_2):
        encoder.to(torch.float32)
    fields = [dict(request) for request in requests]
    with torch.no_grad():
        encoded = [pipe.encode_prompt(one.pop("prompt"), None, device=pipe.device,
                                      max_sequence_length=one["max_sequence_length"]) for one in fields]
    device = pipe.device
    pipe.text_encoder = pipe.text_encoder_2 = encoder = None
    torch.cuda.empty_cache()
    pipe.transformer.to(torch.float32)
    drawn = [pipe(prompt_embeds=embeds, pooled_prompt_embeds=pooled, latents=start.to(device), output_type="latent", **one).images
             for (embeds, pooled, _), start, one in zip(encoded, latents, fields)]
    pipe.transformer = None
    torch.cuda.empty_cache()
    pipe.vae.to(torch.float32)
    pictures = []
    for one, packed in zip(requests, drawn):
        unpacked = pipe._unpack_latents(packed, one["height"], one["width"], pipe.vae_scale_factor)
        with torch.no_grad():
            pixels = pipe.vae.decode(unpacked / pipe.vae.config.scaling_factor + pipe.vae.config.shift_factor).sample
        pictures.append(pipe.image_processor.postprocess(pixels, output_type="np")[0])
    return pictures


def write(folder):
    write_model(folder / "model")
    pipe = FluxPipeline.from_pretrained(folder / "model", torch_dtype=torch.bfloat16).to("cuda")
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(SEED)
    hook = keep_exact(pipe)
    bf16 = pipe(**REQUEST, generator=[generator], output_type="np").images[0]
    hook.remove()
    pictures = {"bf16": bf16, "fp32": draw_fp32(pipe)}
    np.savez(folder / "pictures.npz", **{name: (image * 255).round().astype("uint8") for name, image in pictures.items()})


if __name__ == "__main__":
    write(Path(sys.argv[1]))
