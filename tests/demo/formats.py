"""What the demo loses in each format: the same captions from the same noise, beside the pictures drawn without.

  python tests/demo/formats.py [--captions 500] [--formats int8,int8-weights,int8-outliers,fp8,nf4] [--device cpu] [--dtype fp32]

A line a format: pictures that show what their captions say (checker.py), and how close they are to those drawn in the same
dtype without quantization (FORMAT+attention: and attention in fp8): PSNR in dB and SSIM (Wang and others, 2004), means
over the pictures. FLUX_DIST names the program.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from accuracy import judge
from captions import held_out_captions

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "demo.textproto"


def draw(folder: Path, captions: list[str], *options: str) -> Path:
    """The folder of their pictures."""
    folder.mkdir()
    prompts = folder / "captions.txt"
    prompts.write_text("\n".join(captions) + "\n", encoding="utf-8")
    subprocess.run([os.environ["FLUX_DIST"], "generate", "--config", CONFIG, "--prompts", prompts, "--output-dir",
                    folder / "pictures", "--seed", "0", "--num-inference-steps", "20", "--noise-dtype", "fp32", *options],
                   check=True, stdout=subprocess.DEVNULL)
    return folder / "pictures"


def pixels(folder: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(file), dtype=np.float64) for file in sorted(folder.glob("*.png"))]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a - b) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Over windows of 11 x 11 with Gaussian weights, channels apart."""
    distance = torch.arange(11, dtype=torch.float64) - 5
    line = torch.exp(-(distance**2) / (2 * 1.5**2))
    window = (torch.outer(line, line) / line.sum() ** 2)[None, None]
    x, y = (torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[:, None] for picture in (a, b))
    mean = lambda values: torch.nn.functional.conv2d(values, window)  # noqa: E731
    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y, both = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2, mean(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    map_ = (2 * mean_x * mean_y + c1) * (2 * both + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return float(map_.mean())


def measure(captions: list[str], formats: list[str], *options: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Format by format, `none` first: pictures that are right, and the means of PSNR and SSIM to those of `none`."""
    with tempfile.TemporaryDirectory() as folder:
        reference = None
        for name in ["none", *formats]:
            quantize, _, attention = name.partition("+")
            flags = ("--quantize", quantize, "--quantize-attention", "fp8" if attention else "none")
            pictures = draw(Path(folder) / name, captions, *flags, *options)
            right = sum(not faults for _, faults in judge(pictures, captions))
            drawn = pixels(pictures)
            reference = reference or drawn
            pairs = list(zip(drawn, reference, strict=True))
            yield name, {"right": right, "psnr": float(np.mean([min(psnr(*pair), 100) for pair in pairs])),
                         "ssim": float(np.mean([ssim(*pair) for pair in pairs]))}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=int, default=500)
    parser.add_argument("--formats", default="int8,int8-weights,int8-outliers,fp8,nf4")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="fp32")
    arguments = parser.parse_args()
    captions = held_out_captions(arguments.captions, 500)
    print("format\tright\tof\tPSNR\tSSIM")
    for name, result in measure(captions, arguments.formats.split(","), "--device", arguments.device, "--dtype", arguments.dtype):
        print(f"{name}\t{result['right']}\t{len(captions)}\t{result['psnr']:.2f}\t{result['ssim']:.4f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
