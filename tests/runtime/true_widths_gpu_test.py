"""A random model of FLUX.1-dev's widths, with few blocks, at 1024 x 1024: one file, however many ranks share the card."""

import tempfile
import unittest
from pathlib import Path

from runtime import cards

cards.require()

from reference import full_size
from runtime.program import PROGRAM, mpirun, pixels, run


def transformer():
    return full_size.transformer(num_layers=2, num_single_layers=2)


def text_encoder_2():
    return full_size.text_encoder_2(num_layers=2)


class TrueWidths(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        full_size.write_model(cls.folder / "model",
                              components=(transformer, full_size.text_encoder, text_encoder_2, full_size.vae))

    def picture(self, name, launcher, *flags):
        out = self.folder / name
        result = run([*launcher, PROGRAM, "generate", "--model", self.folder / "model", "--prompt", "a red circle",
                      "--seed", 11, "--num-inference-steps", 2, "--output-dir", out, "--device", "cuda", *flags])
        self.assertEqual(result.returncode, 0, result.stderr)
        [file] = out.glob("*.png")
        return pixels(file)

    def check(self, quantize, *more):
        flags = ("--dtype", "bf16", "--quantize", quantize, *more)
        alone = self.picture("alone", (), *flags, "--overwrite")
        self.assertGreater(alone.std(), 25, "no picture worth comparing")
        for ranks, context in ((1, "gather"), (2, "ulysses"), (3, "gather"), (5, "gather"), (8, "gather"), (8, "ulysses")):
            with self.subTest(ranks=ranks, context=context):
                shared = self.picture("shared", mpirun(1 + ranks), *flags, "--overwrite", "--replicas", 1, "--transport",
                                      "mpi", "--context-parallel", context)
                self.assertEqual(shared.tobytes(), alone.tobytes())

    def test_bf16(self):
        self.check("none")

    def test_int8(self):
        self.check("int8")

    def test_fp8(self):
        self.check("fp8")

    def test_nf4(self):
        self.check("nf4")

    def test_keys_and_values_that_travel_as_int8(self):
        self.check("int8", "--exchange", "int8")

    def test_attention_in_fp8(self):
        self.check("int8", "--quantize-attention", "fp8")


if __name__ == "__main__":
    unittest.main(verbosity=2)
