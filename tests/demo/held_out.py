"""Prints captions of scenes that no training sees, one a line: what generate draws and accuracy.py judges."""

import argparse

from captions import held_out_captions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=500)
    parser.add_argument("--seed", type=int, default=500, help="another seed, other captions")
    arguments = parser.parse_args()
    print("\n".join(held_out_captions(arguments.count, arguments.seed)))


if __name__ == "__main__":
    main()
