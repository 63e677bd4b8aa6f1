"""A random FLUX.1-dev of the published size at 1024 x 1024 in bf16: no further from fp32 than FluxPipeline in bf16 is."""

import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from runtime import cards

cards.require()

import numpy as np
import torch
from reference import full_size
from runtime.program import PROGRAM, journal, mpirun, pixels, run

if torch.cuda.get_device_properties(0).total_memory < 75 * 2**30:
    print("skipped: the fp32 reference needs a card of 75 GiB")
    sys.exit(77)
if shutil.disk_usage(tempfile.gettempdir()).free < 36e9:
    print(f"skipped: the model takes 34 GB in {tempfile.gettempdir()} (TMPDIR moves it)")
    sys.exit(77)


def rms(difference):
    return np.sqrt(np.mean(np.square(difference, dtype=float)))


class FullSize(unittest.TestCase):
    drawn = {}

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        # A process of its own: afterwards the card is empty.
        subprocess.run([sys.executable, full_size.__file__, cls.folder], check=True)
        pictures = np.load(cls.folder / "pictures.npz")
        cls.exact = pictures["fp32"].astype(int)
        cls.reference = rms(pictures["bf16"] - cls.exact)

    def check(self, name, launcher):
        out = self.folder / name
        flags = [part for field, value in full_size.REQUEST.items() for part in (f"--{field.replace('_', '-')}", value)]
        result = run([*launcher, PROGRAM, "generate", "--model", self.folder / "model", "--seed", full_size.SEED,
                      "--output-dir", out, "--device", "cuda", "--dtype", "bf16", *flags])
        self.assertEqual(result.returncode, 0, result.stderr)
        [line] = journal(out)
        picture = pixels(out / line["file"])
        self.assertEqual(type(self).drawn.setdefault("first", picture.tobytes()), picture.tobytes(), "other bits")
        error = rms(picture - self.exact)
        print(f"{name}: RMS {error:.3f} of 255, FluxPipeline's {self.reference:.3f}; seconds {line['seconds']}")
        self.assertLessEqual(error, 1.05 * self.reference)
        self.assertGreater(self.exact.std(), 25, "no picture worth comparing")

    def test_alone(self):
        self.check("alone", ())

    @unittest.skipIf(torch.cuda.device_count() < 2, "fewer than two CUDA devices")
    def test_three_ranks_on_two_cards(self):
        self.check("three ranks", mpirun(3))


if __name__ == "__main__":
    unittest.main(verbosity=2)
