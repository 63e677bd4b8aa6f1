"""Trains the transformer and both text encoders together by rectified flow on the latents of captioned scenes."""

import argparse
import math
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FluxPipeline, FluxTransformer2DModel
from torch import nn
from torch.nn import functional
from transformers import CLIPTextModel, T5EncoderModel

import dataset
from drawing import draw
from modules import TEXT_LENGTH, new_clip, new_t5, new_transformer, tokenizers
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


def modules(folder: Path, start: Path | None) -> tuple[FluxTransformer2DModel, CLIPTextModel, T5EncoderModel]:
    if start is None:
        clip, t5 = tokenizers(folder)
        return new_transformer(), new_clip(clip), new_t5(t5)
    return (
        FluxTransformer2DModel.from_pretrained(start / "transformer", torch_dtype=torch.float32),
        CLIPTextModel.from_pretrained(start / "text_encoder", dtype=torch.float32),
        T5EncoderModel.from_pretrained(start / "text_encoder_2", dtype=torch.float32),
    )


class Flow:
    """The loss of rectified flow on random captions, pictures, noise, sigmas and guidances."""

    def __init__(self, nets: tuple[nn.Module, ...], captioned: dataset.Captioned, latents: torch.Tensor, batch: int):
        self.transformer, self.clip, self.t5 = nets
        self.captioned, self.latents, self.batch = captioned, latents, batch
        device = latents.device
        self.image_ids = FluxPipeline._prepare_latent_image_ids(1, 8, 8, device, torch.float32)
        self.text_ids = torch.zeros(TEXT_LENGTH, 3, device=device)
        self.empty_clip = self.empty_t5 = None

    def set_empty(self, folder: Path) -> None:
        device = self.latents.device
        clip, t5 = dataset.token_ids([""], folder)
        self.empty_clip, self.empty_t5 = (torch.from_numpy(ids).to(device) for ids in (clip, t5))

    def __call__(self) -> torch.Tensor:
        device, count = self.latents.device, (self.batch,)
        chosen = torch.randint(len(self.latents), count, device=device)
        empty = (torch.rand(count, device=device) < EMPTY).unsqueeze(1)
        clip_ids = torch.where(empty, self.empty_clip, self.captioned.clip[chosen]).int()
        t5_ids = torch.where(empty, self.empty_t5, self.captioned.t5[chosen]).int()
        pooled = self.clip(clip_ids).pooler_output
        text = self.t5(t5_ids).last_hidden_state

        latents = self.latents[chosen].float()
        noise = torch.randn_like(latents)
        spread = torch.sigmoid(1.2 * torch.randn(count, device=device))
        sigma = SHIFT * spread / (1 + (SHIFT - 1) * spread)
        mixed = torch.lerp(latents, noise, sigma.view(-1, 1, 1))
        with torch.autocast(device.type, torch.bfloat16):
            velocity = self.transformer(
                hidden_states=mixed,
                encoder_hidden_states=text,
                pooled_projections=pooled,
                timestep=sigma,
                guidance=GUIDANCE * torch.rand(count, device=device),
                img_ids=self.image_ids,
                txt_ids=self.text_ids,
                return_dict=False,
            )[0]
        return functional.mse_loss(velocity.float(), noise - latents)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the model folder, with tokenizers and vae; the rest is written into it")
    parser.add_argument("--start", type=Path, help="train on from the weights of this model folder")
    parser.add_argument("--seconds", type=float, default=800)
    parser.add_argument("--batch", type=int, default=768)
    parser.add_argument("--captions", type=int, default=400_000)
    parser.add_argument("--peak", type=float, default=1.5e-3, help="largest learning rate")
    parser.add_argument("--workers", type=int, default=14, help="processes that write captions")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    torch.backends.cuda.enable_cudnn_sdp(False)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    captioned = dataset.make(arguments.captions, 1, arguments.folder, device, arguments.workers)
    latents = encode(captioned.rows, arguments.folder)
    print(f"{len(latents)} captioned latents, deviation {latents[:1000].float().std():.3f}", flush=True)

    transformer, clip, t5 = nets = tuple(net.to(device).train() for net in modules(arguments.folder, arguments.start))
    if device.type == "cuda":
        transformer.compile_repeated_blocks(fullgraph=True)
        for layer in (*clip.text_model.encoder.layers, *t5.encoder.block):
            layer.compile()
    flow = Flow(nets, captioned, latents, arguments.batch)
    flow.set_empty(arguments.folder)
    trainer = Trainer(nets, flow, arguments.peak)

    def save() -> None:
        for net, name in zip(nets, ("transformer", "text_encoder", "text_encoder_2")):
            net.save_pretrained(arguments.folder / name)

    trainer.run(arguments.seconds, "transformer", save)


if __name__ == "__main__":
    main()
