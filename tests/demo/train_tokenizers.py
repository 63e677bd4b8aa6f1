"""Trains the two small tokenizers on captions and writes them in the files FLUX.1's folders hold."""

import json
import random
import re
from pathlib import Path

import sentencepiece
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from captions import write_caption
from scenes import random_scene

CLIP_LENGTH = 77
T5_LENGTH = 32
CLIP_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _special(content: str, normalized: bool = False) -> dict:
    return {
        "content": content,
        "lstrip": False,
        "normalized": normalized,
        "rstrip": False,
        "single_word": False,
    }


def train_clip(captions: list[str], folder: Path) -> None:
    """Byte-level BPE in CLIP's order: bytes, bytes that end a word, merges, and last the two special tokens."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CLIP_SPLIT), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(vocab_size=1000, min_frequency=50, end_of_word_suffix="</w>", show_progress=False)
    tokenizer.train_from_iterator(captions, trainer)
    merges = [tuple(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]
    start, end = "<|startoftext|>", "<|endoftext|>"
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = alphabet + [byte + "</w>" for byte in alphabet] + ["".join(merge) for merge in merges] + [start, end]
    assert len(set(tokens)) == len(tokens)
    ids = {token: i for i, token in enumerate(tokens)}

    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "vocab.json", ids)
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    specials = {"bos_token": _special(start, True), "eos_token": _special(end)}
    specials |= {"pad_token": _special(end), "unk_token": _special(end)}
    _write(folder / "special_tokens_map.json", specials)
    added = {str(ids[start]): _special(start, True), str(ids[end]): _special(end)}
    config = {
        "add_prefix_space": False,
        "added_tokens_decoder": {key: value | {"special": True} for key, value in added.items()},
        "bos_token": start,
        "clean_up_tokenization_spaces": True,
        "do_lower_case": True,
        "eos_token": end,
        "errors": "replace",
        "model_max_length": CLIP_LENGTH,
        "pad_token": end,
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": end,
    }
    _write(folder / "tokenizer_config.json", config)


def train_t5(captions: list[str], folder: Path) -> None:
    """A sentencepiece unigram model with T5's normaliser and special ids; every ASCII character has a piece."""
    # sentencepiece takes a word as a candidate piece only where distinct words hold it, hence the three endings.
    words = sorted({word for caption in captions for word in re.findall(r"\w+", caption)})
    endings = [f"{word}, {word}. {word};" for word in words]
    folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(captions + endings),
        model_prefix=str(folder / "spiece"),
        model_type="unigram",
        vocab_size=440,
        hard_vocab_limit=False,
        character_coverage=1.0,
        required_chars="".join(chr(code) for code in range(33, 127)),
        normalization_rule_name="nmt_nfkc",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        unk_piece="<unk>",
        num_threads=1,
        minloglevel=2,
    )
    (folder / "spiece.vocab").unlink()
    specials = ("<pad>", "</s>", "<unk>")
    named = dict(zip(("pad_token", "eos_token", "unk_token"), specials))
    _write(folder / "special_tokens_map.json", {key: _special(value) for key, value in named.items()})
    config = {
        "added_tokens_decoder": {str(i): _special(token) | {"special": True} for i, token in enumerate(specials)},
        "additional_special_tokens": [],
        "clean_up_tokenization_spaces": True,
        "extra_ids": 0,
        "legacy": False,
        "model_max_length": T5_LENGTH,
        "sp_model_kwargs": {},
        "tokenizer_class": "T5Tokenizer",
    }
    _write(folder / "tokenizer_config.json", config | named)


def train(folder: Path, count: int = 40_000) -> None:
    """Writes tokenizer and tokenizer_2 into the model folder."""
    chance = random.Random(0)
    captions = [write_caption(random_scene(chance), chance) for _ in range(count)]
    train_clip(captions, folder / "tokenizer")
    train_t5(captions, folder / "tokenizer_2")
