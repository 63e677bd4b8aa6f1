"""correctness.py: its request to keep timesteps exact, and its verdict. beside_test.py runs it on the demo."""

import sys
import tempfile
import unittest
from pathlib import Path

import torch
from benchmarks import correctness
from diffusers import FluxPipeline
from reference import pipeline
from reference.exact_guidance import keep_exact
from runtime.program import DEMO, run

REQUEST = dict(prompt="a red circle", height=64, width=64, num_inference_steps=3, guidance_scale=3.7,
               max_sequence_length=16)


class KeptExact(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        correctness.say_less()
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        for seed, name in enumerate(("dev", "schnell")):
            torch.manual_seed(seed)
            pipeline.write_model(cls.folder / name, pipeline.MODELS[name])

    def draw(self, model, dtype, exact):
        """The picture, and what was embedded in each step."""
        pipe = FluxPipeline.from_pretrained(self.folder / model, dtype=dtype)
        pipe.set_progress_bar_config(disable=True)
        if exact:
            keep_exact(pipe)
        seen = []
        pipe.transformer.time_text_embed.register_forward_pre_hook(
            lambda _, arguments: seen.append([value.double().item() for value in arguments[:-1]]))
        return pipe(**REQUEST, generator=torch.Generator().manual_seed(1), output_type="np").images[0], seen

    def test_in_fp32_nothing_changes(self):
        for model in ("dev", "schnell"):
            with self.subTest(model):
                plain, exact = (self.draw(model, torch.float32, exact) for exact in (False, True))
                self.assertEqual(plain[1], exact[1])
                self.assertEqual(len(plain[1][0]), 2 if model == "dev" else 1)
                self.assertTrue((plain[0] == exact[0]).all())

    def test_in_bf16_they_are_those_of_fp32(self):
        for model in ("dev", "schnell"):
            with self.subTest(model):
                rounded, exact = (self.draw(model, torch.bfloat16, exact)[1] for exact in (False, True))
                wanted = self.draw(model, torch.float32, False)[1]
                self.assertEqual(exact, wanted)
                self.assertNotEqual(rounded, wanted)


class Command(unittest.TestCase):
    def test_no_program(self):
        result = run([sys.executable, correctness.__file__, DEMO, "--flux-dist", "/nowhere"])
        self.assertEqual((result.returncode, result.stderr), (2, "correctness.py: no flux-dist: --flux-dist names it\n"))

    def test_verdicts(self):
        errors = {"flux-dist": 2.1, "exact": 2.0, "plain": 35.0, "contrast": 60.0}
        self.assertTrue(correctness.holds(errors))
        self.assertIn("at 1.050 of the bf16 pipeline's error, 1.05 allowed: holds", correctness.report(errors))
        self.assertIn("DOES NOT HOLD", correctness.report({**errors, "flux-dist": 2.2, "contrast": 3.0}))
        self.assertFalse(correctness.holds({**errors, "flux-dist": float("nan")}))


if __name__ == "__main__":
    unittest.main(verbosity=2)
