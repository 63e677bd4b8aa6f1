"""Draws captions with diffusers' FluxPipeline and leaves pictures and journal as flux-dist generate does."""

import argparse
import json
from pathlib import Path

import torch
from diffusers import FluxPipeline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("captions", type=Path, help="one caption a line")
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--true-cfg-scale", type=float, default=1.0)
    parser.add_argument("--guidance-scale", type=float, default=3.5)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the first picture; the next has the next seed")
    arguments = parser.parse_args()

    pipeline = FluxPipeline.from_pretrained(arguments.model, torch_dtype=torch.float32)
    pipeline.to("cuda" if torch.cuda.is_available() else "cpu").set_progress_bar_config(disable=True)
    captions = arguments.captions.read_text(encoding="utf-8").splitlines()
    arguments.output.mkdir(parents=True, exist_ok=True)
    lines = []
    for first in range(0, len(captions), arguments.batch):
        prompts = captions[first : first + arguments.batch]
        seeds = [arguments.seed + first + i for i in range(len(prompts))]
        pictures = pipeline(
            prompts,
            negative_prompt=[""] * len(prompts),
            true_cfg_scale=arguments.true_cfg_scale,
            guidance_scale=arguments.guidance_scale,
            height=128,
            width=128,
            num_inference_steps=arguments.steps,
            max_sequence_length=pipeline.tokenizer_2.model_max_length,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        ).images
        for prompt, seed, picture in zip(prompts, seeds, pictures):
            name = f"{len(lines):05d}-{seed}.png"
            picture.save(arguments.output / name)
            lines.append(json.dumps({"file": name, "prompt": prompt, "seed": seed}))
    (arguments.output / "journal.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
