"""Trains both text encoders to say what is drawn where; the transformer then learns from them, frozen."""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from transformers import CLIPTextModel, T5EncoderModel

import dataset
from modules import TEXT_LENGTH, TEXT_WIDTH, new_clip, new_t5, tokenizers
from scenes import COLOURS, SHAPES
from training import Trainer

SLOTS = ((64, 64), (33, 64), (95, 64), (64, 33), (64, 95))  # where lay_out puts things; the last question: background
QUESTIONS = len(SLOTS) + 1
ANSWERS = len(COLOURS) + 1 + len(SHAPES) + 1  # each with one for nothing


class Masks:
    """Given to the encoders, since the masks that transformers would make differ while a CUDA graph is captured."""

    def __init__(self, device: torch.device):
        self.everything = torch.zeros(1, 1, TEXT_LENGTH, TEXT_LENGTH, device=device)
        self.causal = torch.full_like(self.everything, -torch.inf).triu(1)


def encode_text(
    clip: CLIPTextModel, t5: T5EncoderModel, clip_ids: torch.Tensor, t5_ids: torch.Tensor, masks: Masks
) -> tuple[torch.Tensor, torch.Tensor]:
    """T5's tokens [n, TEXT_LENGTH, TEXT_WIDTH] and CLIP's pooled vector [n, TEXT_WIDTH]."""
    tokens = t5(t5_ids.int(), attention_mask=masks.everything).last_hidden_state
    return tokens, clip(clip_ids.int(), attention_mask=masks.causal).pooler_output


class Reader(nn.Module):
    """Asks every slot's colour and shape: of T5's tokens by attention, of CLIP's pooled vector by a small network."""

    def __init__(self):
        super().__init__()
        self.questions = nn.Parameter(torch.randn(QUESTIONS, TEXT_WIDTH))
        self.attention = nn.MultiheadAttention(TEXT_WIDTH, 4, batch_first=True)
        self.of_tokens = nn.Sequential(nn.Linear(TEXT_WIDTH, 256), nn.GELU(), nn.Linear(256, ANSWERS))
        self.of_pooled = nn.Sequential(nn.Linear(TEXT_WIDTH, 256), nn.GELU(), nn.Linear(256, QUESTIONS * ANSWERS))

    def forward(self, tokens: torch.Tensor, pooled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Two guesses [n, QUESTIONS, ANSWERS]."""
        asked = self.questions.expand(len(tokens), -1, -1)
        seen = self.attention(asked, tokens, tokens, need_weights=False)[0]
        return self.of_tokens(seen), self.of_pooled(pooled).view(-1, QUESTIONS, ANSWERS)


def answers(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Colour and shape of every question, [n, QUESTIONS] each, from dataset rows."""
    colours = torch.full((len(rows), QUESTIONS), len(COLOURS), device=rows.device)
    shapes = torch.full((len(rows), QUESTIONS), len(SHAPES), device=rows.device)
    colours[:, -1] = rows[:, 0].long()
    slots = torch.tensor(SLOTS, device=rows.device)
    for first in (1, 6):
        there = (rows[:, first + 1] >= 0).nonzero().flatten()
        slot = (rows[there, None, first + 2 : first + 4] - slots).square().sum(-1).argmin(-1)
        colours[there, slot] = rows[there, first].long()
        shapes[there, slot] = rows[there, first + 1].long()
    return colours, shapes


def look_both_ways(t5: T5EncoderModel) -> None:
    """Starts T5's first head looking back and its second looking ahead: what comes before what decides the places."""
    bias = t5.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    half = len(bias) // 2
    with torch.no_grad():
        bias[half:, 0] -= 2
        bias[:half, 1] -= 2


def new_encoders(folder: Path) -> tuple[CLIPTextModel, T5EncoderModel]:
    clip_tokenizer, t5_tokenizer = tokenizers(folder)
    clip, t5 = new_clip(clip_tokenizer), new_t5(t5_tokenizer)
    look_both_ways(t5)
    for encoder in (clip, t5):
        encoder.set_attn_implementation("eager")
    return clip, t5


def train(folder: Path, captioned: dataset.Captioned, seconds: float, batch: int) -> None:
    """Writes text_encoder and text_encoder_2 into the model folder."""
    device = captioned.t5.device
    clip, t5 = (net.to(device) for net in new_encoders(folder))
    reader = Reader().to(device)
    colours, shapes = answers(captioned.rows)
    masks = Masks(device)
    right = torch.zeros(2, device=device)  # share of texts with all answers right, of T5 and of CLIP

    def loss() -> torch.Tensor:
        chosen = torch.randint(len(colours), (batch,), device=device)
        tokens, pooled = encode_text(clip, t5, captioned.clip[chosen], captioned.t5[chosen], masks)
        total = 0
        for i, guess in enumerate(reader(tokens, pooled)):
            colour, shape = guess.split((len(COLOURS) + 1, len(SHAPES) + 1), dim=-1)
            total += functional.cross_entropy(colour.flatten(0, 1), colours[chosen].flatten())
            total += functional.cross_entropy(shape.flatten(0, 1), shapes[chosen].flatten())
            same = (colour.argmax(-1) == colours[chosen]) & (shape.argmax(-1) == shapes[chosen])
            right[i].lerp_(same.all(-1).float().mean(), 0.02)
        return total

    def save() -> None:
        print(f"text: all answers right of T5 {right[0].item():.4f}, of CLIP {right[1].item():.4f}", flush=True)
        clip.save_pretrained(folder / "text_encoder")
        t5.save_pretrained(folder / "text_encoder_2")

    Trainer([clip, t5, reader], loss, peak=2e-3).run(seconds, "text", save)
