"""The program beside diffusers' FluxPipeline, on random FLUX.1 folders: alone, under mpirun and with two replicas."""

import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
from diffusers import FluxPipeline
from reference import pipeline
from runtime.program import PROGRAM, mpirun, pixels, run
from safetensors.numpy import load_file


class Pipeline(unittest.TestCase):
    device = "cpu"

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = Path(cls.temporary.name)
        cls.requests = pipeline.write(cls.folder)
        cls.pictures = load_file(cls.folder / "pictures" / "model.safetensors")

    def expected(self, model):
        """File name and picture of every picture of this model, in the order drawn."""
        lines = [line for line, request in enumerate(self.requests) if request["model"] == model]
        drawn = [(line, i) for line in lines for i in range(self.requests[line].get("num_images_per_prompt", 1))]
        return {
            f"{index:05}-{self.requests[line]['seed'] + i}.png": self.pictures[f"{line}_{i}"]
            for index, (line, i) in enumerate(drawn)
        }

    def draw(self, model, launcher, flags, out, dtype="fp32"):
        prompts = self.folder / f"{model}.jsonl"
        own = [{k: v for k, v in request.items() if k != "model"} for request in self.requests if request["model"] == model]
        prompts.write_text("".join(json.dumps(request) + "\n" for request in own))
        return run([*launcher, PROGRAM, "generate", "--model", self.folder / model, "--prompts", prompts,
                    "--output-dir", out, "--device", self.device, "--dtype", dtype, *flags])

    def check(self, name, launcher=(), flags=()):
        for model in dict.fromkeys(request["model"] for request in self.requests):
            out = self.folder / f"{model}-{name}"
            result = self.draw(model, launcher, flags, out)
            self.assertEqual(result.returncode, 0, result.stderr)
            expected = self.expected(model)
            self.assertEqual(sorted(path.name for path in out.glob("*.png")), list(expected))
            for file, picture in expected.items():
                with self.subTest(name, model=model, picture=file):
                    difference = np.abs(pixels(out / file) - picture.astype(int))
                    self.assertLessEqual(difference.max(), 1)
                    self.assertGreater(picture.std(), 25, "no picture worth comparing")

    def test_alone(self):
        self.check("alone")

    def test_one_rank(self):
        self.check("one", mpirun(1))

    def test_three_ranks(self):
        self.check("three", mpirun(3), ["--replicas", 1])

    def test_two_replicas(self):
        self.check("replicas", mpirun(4), ["--replicas", "1,2"])

    def plan(self, model, *flags):
        return run([PROGRAM, "plan", "--model", self.folder / model, "--device", "cpu", "--json", *flags])

    def test_sizes_are_the_models(self):
        for model in dict.fromkeys(request["model"] for request in self.requests):
            pipe = FluxPipeline.from_pretrained(self.folder / model)
            token = 2 * pipe.vae_scale_factor
            with self.subTest(model=model, token=token):
                result = self.plan(model, "--height", 4 * token - 1)
                plan = json.loads(result.stdout)
                self.assertEqual(plan["width"], pipe.default_sample_size * pipe.vae_scale_factor)
                self.assertEqual(plan["height"], 3 * token)
                self.assertIn(f"{4 * token - 1} is not a multiple of {token}; drawing {3 * token}", result.stderr)
        result = self.plan("shallow", "--width", 3)
        self.assertEqual(result.returncode, 2)
        self.assertIn("--width: 3 is less than 4", result.stderr)


if __name__ == "__main__":
    unittest.main()
