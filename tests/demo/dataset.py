"""Captions with their pictures, made rather than collected: token ids and drawing instructions as tensors."""

import multiprocessing
import random
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch

from captions import write_caption
from drawing import lay_out
from modules import TEXT_LENGTH, tokenizers
from scenes import held_out, random_scene

CHUNK = 5000


@dataclass
class Captioned:
    clip: torch.Tensor  # [n, TEXT_LENGTH] ids; the pooled output is causal, so what follows its token can be cut
    t5: torch.Tensor  # [n, TEXT_LENGTH] ids
    rows: torch.Tensor  # [n, 11], see drawing.lay_out


def token_ids(captions: list[str], folder: Path) -> tuple[numpy.ndarray, numpy.ndarray]:
    """CLIP and T5 ids, padded to TEXT_LENGTH as FluxPipeline pads them."""
    rule = {"padding": "max_length", "max_length": TEXT_LENGTH, "truncation": True, "return_tensors": "np"}
    return tuple(tokenizer(captions, **rule).input_ids.astype(numpy.int16) for tokenizer in tokenizers(folder))


def _chunk(task: tuple[int, Path]) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    seed, folder = task
    chance = random.Random(seed)
    captions, rows = [], []
    while len(captions) < CHUNK:
        scene = random_scene(chance)
        if held_out(scene):
            continue
        captions.append(write_caption(scene, chance))
        rows.append(lay_out(scene, chance))
    return *token_ids(captions, folder), numpy.array(rows, dtype=numpy.float32)


def make(count: int, seed: int, folder: Path, device: torch.device, workers: int) -> Captioned:
    """`count` captions of scenes that are not held out, with the tokenizers of the model folder."""
    tasks = [(seed * 1_000_000 + i, folder) for i in range(-(-count // CHUNK))]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        chunks = pool.map(_chunk, tasks, chunksize=1)
    clip, t5, rows = (torch.from_numpy(numpy.concatenate(part)[:count]).to(device) for part in zip(*chunks))
    return Captioned(clip, t5, rows)
