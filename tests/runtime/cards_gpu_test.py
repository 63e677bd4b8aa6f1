"""The program on cards beside FluxPipeline: all that holds on CPUs in fp32, and 16 bit beside FluxPipeline's own.

With two cards, three ranks are an encoder that shares a card and a transformer that NCCL joins; with one, MPI stages.
"""

import unittest

from runtime import cards

cards.require()

import numpy as np
import torch
from diffusers import FluxPipeline
from reference import pipeline
from reference.exact_guidance import keep_exact
from runtime import pipeline_test
from runtime.program import journal, mpirun, pixels


DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def rms(differences):
    return np.sqrt(np.mean(np.concatenate([difference.ravel() for difference in differences]) ** 2.0))


class PipelineOnCards(pipeline_test.Pipeline):
    device = "cuda"

    def reference_error(self, model, dtype):
        """Of FluxPipeline in 16 bit on a card, timesteps and guidance in fp32, from the same noise as in fp32."""
        pipe = FluxPipeline.from_pretrained(self.folder / model, torch_dtype=dtype).to("cuda")
        pipe.set_progress_bar_config(disable=True)
        keep_exact(pipe)
        differences = []
        for line, request in enumerate(self.requests):
            if request["model"] != model:
                continue
            drawn = pipeline.draw(pipe, {"noise_dtype": "fp32", **request})
            differences += [picture.numpy().astype(int) - self.pictures[f"{line}_{i}"] for i, picture in enumerate(drawn)]
        return rms(differences)

    def error(self, model, out):
        return rms([pixels(out / file) - picture for file, picture in self.expected(model).items()])

    def check_16_bit(self, name, launcher, transport):
        for model in pipeline.MODELS:
            for dtype, torch_dtype in DTYPES.items():
                with self.subTest(name, model=model, dtype=dtype):
                    out = self.folder / f"{model}-{name}-{dtype}"
                    result = self.draw(model, launcher, ["--replicas", 1], out, dtype)
                    self.assertEqual(result.returncode, 0, result.stderr)
                    error, reference = self.error(model, out), self.reference_error(model, torch_dtype)
                    print(f"{name} {model} {dtype}: RMS {error:.3f} of 255, FluxPipeline's {reference:.3f}")
                    self.assertLessEqual(error, 1.05 * reference)
                    self.assertEqual({line["placement"]["device"] for line in journal(out)}, {"cuda"})
                    self.assertEqual({line["placement"]["transport"] for line in journal(out)}, {transport})

    def test_16_bit_alone(self):
        self.check_16_bit("alone", (), "thread")

    def test_16_bit_over_three_ranks(self):
        self.check_16_bit("three", mpirun(3), "nccl" if torch.cuda.device_count() > 1 else "mpi")

    def test_three_ranks_draw_the_files_of_one(self):
        for model in pipeline.MODELS:
            for dtype in DTYPES:
                with self.subTest(model=model, dtype=dtype):
                    drawn = []
                    for name, launcher in (("one", ()), ("three_ranks", mpirun(3))):
                        out = self.folder / f"{model}-{name}-{dtype}-bits"
                        result = self.draw(model, launcher, ["--replicas", 1], out, dtype)
                        self.assertEqual(result.returncode, 0, result.stderr)
                        drawn.append({file.name: pixels(file).tobytes() for file in out.glob("*.png")})
                    self.assertEqual(*drawn)


if __name__ == "__main__":
    unittest.main(verbosity=2)
