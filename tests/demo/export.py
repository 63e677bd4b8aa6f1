"""Writes a trained folder as FLUX.1's folders are published: names, files and dtypes."""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from modules import SCHEDULER

PARTS = {
    "scheduler": ("diffusers", "FlowMatchEulerDiscreteScheduler"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "text_encoder_2": ("transformers", "T5EncoderModel"),
    "tokenizer": ("transformers", "CLIPTokenizer"),
    "tokenizer_2": ("transformers", "T5TokenizerFast"),
    "transformer": ("diffusers", "FluxTransformer2DModel"),
    "vae": ("diffusers", "AutoencoderKL"),
}
TOKENIZER_FILES = ("vocab.json", "merges.txt", "spiece.model", "special_tokens_map.json", "tokenizer_config.json")
DTYPES = {  # plain FluxPipeline.from_pretrained draws with encoders in fp32 and the rest in bf16
    "text_encoder": torch.float32,
    "text_encoder_2": torch.float32,
    "transformer": torch.bfloat16,
    "vae": torch.bfloat16,
}


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def published_name(part: str, name: str) -> str:
    """transformers 5 saves CLIP's tensors without the prefix that published files have."""
    return f"text_model.{name}" if part == "text_encoder" and not name.startswith("text_model.") else name


def export_weights(part: str, source: Path, target: Path) -> None:
    stored = next((source / part).glob("*.safetensors"))
    tensors = {
        published_name(part, name): tensor.to(DTYPES[part]).contiguous()
        for name, tensor in load_file(stored).items()
        if not name.endswith("position_ids")
    }
    if part == "text_encoder_2":  # the shared embedding is stored once, under T5's own name
        tensors.pop("encoder.embed_tokens.weight", None)
    save_file(tensors, target / part / stored.name, metadata={"format": "pt"})
    (target / part / stored.name).chmod(0o644)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="folder that the training wrote")
    parser.add_argument("target", type=Path, help="folder to write")
    arguments = parser.parse_args()
    source, target = arguments.source, arguments.target

    classes = {part: list(names) for part, names in PARTS.items()}
    write_json(target / "model_index.json", {"_class_name": "FluxPipeline", "_diffusers_version": "0.42.1"} | classes)
    scheduler = {"_class_name": PARTS["scheduler"][1], "_diffusers_version": "0.42.1"} | SCHEDULER
    write_json(target / "scheduler" / "scheduler_config.json", scheduler)
    for part in ("tokenizer", "tokenizer_2"):
        (target / part).mkdir(parents=True, exist_ok=True)
        for name in TOKENIZER_FILES:
            if (source / part / name).exists():
                shutil.copy(source / part / name, target / part / name)
    for part in DTYPES:
        config = json.loads((source / part / "config.json").read_text())
        write_json(
            target / part / "config.json", {key: value for key, value in config.items() if key != "_name_or_path"}
        )
        export_weights(part, source, target)


if __name__ == "__main__":
    main()
