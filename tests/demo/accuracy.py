"""Counts the pictures of a flux-dist output folder that show what their captions say."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from PIL import Image

from captions import read_caption
from checker import faults


def kind(fault: str) -> str:
    if fault.startswith("background"):
        return "background"
    if "objects, not" in fault:
        return "number of objects"
    return "place" if fault.startswith("the first") else "colour or shape"


def judge(folder: Path, captions: list[str]) -> list[tuple[str, list[str]]]:
    """Per caption its faults; picture i is the file that generate named after the i-th prompt."""
    verdicts = []
    for number, caption in enumerate(captions):
        files = sorted(folder.glob(f"{number:05d}-*.png"))
        if len(files) != 1:
            verdicts.append((caption, [f"{len(files)} pictures, not one"]))
            continue
        with Image.open(files[0]) as picture:
            verdicts.append((caption, faults(read_caption(caption), picture)))
    return verdicts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder with 00000-<seed>.png and so on")
    parser.add_argument("--captions", type=Path, required=True, help="the captions they were drawn from, one a line")
    parser.add_argument("--at-least", type=float, default=0.95, help="share that must be right for exit code 0")
    arguments = parser.parse_args()

    verdicts = judge(arguments.images, arguments.captions.read_text(encoding="utf-8").splitlines())
    wrong = [(number, caption, faults_) for number, (caption, faults_) in enumerate(verdicts) if faults_]
    for number, caption, faults_ in wrong:
        print(f"{number:05d} {caption!r}: {'; '.join(faults_)}")
    right = len(verdicts) - len(wrong)
    print(f"faults by kind: {dict(Counter(kind(fault) for _, _, faults_ in wrong for fault in faults_))}")
    print(f"{right} of {len(verdicts)} right ({100 * right / len(verdicts):.1f} %)")
    return 0 if right >= arguments.at_least * len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
