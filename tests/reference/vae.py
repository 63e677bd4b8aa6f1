"""Random small VAEs, and what diffusers' decoder makes of them: `vae.py OUTDIR`.

OUTDIR/vae_<seed> holds config.json, diffusion_pytorch_model.safetensors and expected/model.safetensors with latents and
the pixels in fp32 and, by device, in 16 bit: bf16_cpu, fp16_cuda, ... OUTDIR/demo: packed latents and the picture that FluxPipeline ends with, made by the
VAE of configs/demo.
"""

import copy
import os
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FluxPipeline
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils.logging import set_verbosity_error
from safetensors.torch import save_file

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Convolutions of a card and of a CPU err by different amounts.
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]

SHAPES = [  # with height and width of the latents
    (dict(block_out_channels=[32, 64], norm_num_groups=8, latent_channels=4, use_post_quant_conv=True), 6, 10),
    (dict(block_out_channels=[16, 24, 48, 48], norm_num_groups=4, latent_channels=16, layers_per_block=2), 8, 4),
    (dict(block_out_channels=[32, 32, 64], norm_num_groups=32, latent_channels=8, mid_block_add_attention=False,
          layers_per_block=3), 3, 5),
    (dict(block_out_channels=[8], norm_num_groups=1, latent_channels=3, out_channels=4), 9, 1),
]


def random_vae(fields):
    blocks = len(fields["block_out_channels"])
    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * blocks,
        up_block_types=["UpDecoderBlock2D"] * blocks,
        **{"use_quant_conv": False, "use_post_quant_conv": False, **fields},
    )
    for name, parameter in vae.named_parameters():
        if parameter.dim() == 1:
            scale = name.endswith("weight")
            parameter.data = (1 if scale else 0) + 0.2 * torch.randn_like(parameter)
    return vae.eval()


@torch.no_grad()
def write_case(folder, seed):
    fields, height, width = SHAPES[seed % len(SHAPES)]
    vae = random_vae(fields)
    vae.save_pretrained(folder)
    latents = torch.randn(1, fields["latent_channels"], height, width)
    expected = {"latents": latents, "fp32": vae.decode(latents).sample.contiguous()}
    for name, dtype in DTYPES.items():
        for device in DEVICES:
            pixels = copy.deepcopy(vae).to(device, dtype).decode(latents.to(device, dtype)).sample
            expected[f"{name}_{device}"] = pixels.cpu().contiguous()
    (folder / "expected").mkdir(exist_ok=True)
    save_file(expected, folder / "expected" / "model.safetensors")


@torch.no_grad()
def write_demo(folder, height=48, width=80):
    vae = AutoencoderKL.from_pretrained(Path(os.environ["FLUX_SOURCE_DIR"]) / "configs" / "demo" / "vae").float()
    packed = torch.randn(1, (height // 16) * (width // 16), 4 * vae.config.latent_channels)
    latents = FluxPipeline._unpack_latents(packed, height, width, 8)
    pixels = vae.decode(latents / vae.config.scaling_factor + vae.config.shift_factor).sample
    picture = VaeImageProcessor(vae_scale_factor=16).postprocess(pixels, output_type="np")
    rgb = torch.from_numpy((picture[0] * 255).round().astype("uint8"))  # numpy_to_pil, before it is a PIL image
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"latents": packed[0].contiguous(), "rgb": rgb.contiguous()}, folder / "model.safetensors")


if __name__ == "__main__":
    set_verbosity_error()
    for seed in range(8):
        torch.manual_seed(seed)
        write_case(Path(sys.argv[1]) / f"vae_{seed}", seed)
    write_demo(Path(sys.argv[1]) / "demo")
