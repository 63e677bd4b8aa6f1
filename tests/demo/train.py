"""Trains the whole demo model: tokenizers, autoencoder, text encoders, transformer; then export.py publishes it.

configs/demo's text encoders were trained for 35 s and its transformer for 150 s on an H200; the autoencoder, trained
earlier, wants minutes. A part that is given no time is left as it is in the folder.
"""

import argparse
import os
from pathlib import Path

import torch

import dataset
import train_text
import train_tokenizers
import train_transformer
import train_vae


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the model folder, written in the trainer's dtypes")
    parser.add_argument("--vae-seconds", type=float, default=200)
    parser.add_argument("--text-seconds", type=float, default=35)
    parser.add_argument("--transformer-seconds", type=float, default=150)
    parser.add_argument("--start", type=Path, help="train the transformer on from this model folder's")
    parser.add_argument("--captions", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=256)
    arguments = parser.parse_args()

    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    torch.backends.cuda.enable_cudnn_sdp(False)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folder = arguments.folder
    if not (folder / "tokenizer_2").exists():
        train_tokenizers.train(folder)
    if arguments.vae_seconds:
        train_vae.train(folder, arguments.vae_seconds, 96, device)
    captioned = dataset.make(arguments.captions, 1, folder, device, os.cpu_count())
    if arguments.text_seconds:
        train_text.train(folder, captioned, arguments.text_seconds, arguments.batch)
    if arguments.transformer_seconds:
        train_transformer.train(folder, captioned, arguments.transformer_seconds, arguments.batch, arguments.start)


if __name__ == "__main__":
    main()
