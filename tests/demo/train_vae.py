"""Trains the autoencoder on drawn scenes and writes it, with its latents' scale and shift, into the model folder."""

import random
from pathlib import Path

import torch
from torch.nn import functional

from drawing import draw, lay_out
from modules import new_vae
from scenes import random_scene
from training import Trainer

KL_WEIGHT = 3e-4  # per latent value: unused channels fall silent and the decoder learns to bear noise


def scene_rows(count: int, device: torch.device) -> torch.Tensor:
    chance = random.Random(1)
    return torch.tensor([lay_out(random_scene(chance), chance) for _ in range(count)], device=device)


def train(folder: Path, seconds: float, batch: int, device: torch.device) -> None:
    """Writes vae into the model folder."""
    rows = scene_rows(100_000 if device.type == "cuda" else 1000, device)
    vae = new_vae().to(device, memory_format=torch.channels_last)

    def reconstruct(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        posterior = vae.encode(pictures).latent_dist
        latents = posterior.mean + posterior.std * torch.randn_like(posterior.mean)
        kl = 0.5 * (posterior.mean.float() ** 2 + posterior.var.float() - 1 - posterior.logvar.float()).mean()
        return vae.decode(latents).sample.float(), kl

    compiled = torch.compile(reconstruct) if device.type == "cuda" else reconstruct

    def loss() -> torch.Tensor:
        pictures = draw(rows[torch.randint(len(rows), (batch,), device=device)])
        with torch.autocast(device.type, torch.bfloat16):
            drawn, kl = compiled(pictures.contiguous(memory_format=torch.channels_last))
        return functional.l1_loss(drawn, pictures) + functional.mse_loss(drawn, pictures) + KL_WEIGHT * kl

    def save() -> None:
        vae.save_pretrained(folder / "vae")

    Trainer([vae], loss, peak=1.2e-3).run(seconds, "vae", save)
    with torch.no_grad():
        pictures = draw(rows[:1024])
        means = torch.cat([vae.encode(part).latent_dist.mean for part in pictures.split(128)])
        drawn = torch.cat([vae.decode(part).sample for part in means.split(128)])
    error = (drawn - pictures).abs().mean().item()
    print(f"vae: L1 {error:.5f}, latents' mean {means.mean():.4f}, deviation {means.std():.4f}", flush=True)
    vae.register_to_config(scaling_factor=1 / means.std().item(), shift_factor=means.mean().item())
    save()
