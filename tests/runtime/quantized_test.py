"""The program with folders that bitsandbytes quantised, beside diffusers with the same values."""

import json
import shutil
import tempfile
import unittest
from pathlib import Path

import numpy as np
from reference import quantized
from runtime.program import PROGRAM, errors, journal_lines, mpirun, pixels, run
from safetensors.numpy import load_file

NAMES = {"nf4": "nf4", "fp4": "fp4", "int8": "int8-weights"}


class Quantized(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name) / "models"
        cls.folder.mkdir()
        quantized.write(cls.folder)
        cls.pictures = load_file(cls.folder / "pictures" / "model.safetensors")
        cls.prompts = cls.folder / "prompts.jsonl"
        cls.prompts.write_text(json.dumps(quantized.REQUEST))

    def generate(self, kind, out, *flags, launcher=()):
        return run([*launcher, PROGRAM, "generate", "--model", self.folder / kind, "--prompts", self.prompts, "--device", "cpu",
                    "--max-sequence-length", 32, "--threads", 1, "--output-dir", out, *flags])

    def test_pictures_and_journal_say_how_the_folder_is_kept(self):
        for kind, name in NAMES.items():
            with self.subTest(kind):
                alone, shared = self.folder / f"{kind}-1", self.folder / f"{kind}-3"
                for out, launcher in ((alone, ()), (shared, mpirun(3))):
                    result = self.generate(kind, out, launcher=launcher)
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.assertNotIn("warning", result.stderr)
                    self.assertEqual(journal_lines(out)[0]["quantize"], name)
                picture = alone / "00000-1.png"
                self.assertEqual(picture.read_bytes(), (shared / "00000-1.png").read_bytes())
                self.assertLessEqual(np.abs(pixels(picture) - self.pictures[kind].astype(int)).max(), 1)

    def test_inspect_finds_nothing_amiss(self):
        for kind in NAMES:
            result = run([PROGRAM, "inspect", "--model", self.folder / kind, "--json"])
            self.assertEqual(result.returncode, 0, result.stderr + result.stdout)
            for component in json.loads(result.stdout)["components"]:
                self.assertEqual((component["missing"], component["unexpected"]), ([], []), component["name"])

    def plan(self, kind, *flags):
        return run([PROGRAM, "plan", "--model", self.folder / kind, "--ranks", 3, "--json", *flags])

    def test_throughput_is_of_what_the_folder_holds(self):
        for kind, name in NAMES.items():
            result = run([PROGRAM, "bench", "throughput", "--model", self.folder / kind, "--device", "cpu", "--json",
                          "--num-prompts", 1, "--warmup-requests", 0, "--height", 32, "--width", 32,
                          "--num-inference-steps", 1])
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(json.loads(result.stdout)["quantize"], name)

    def test_plans_follow_the_folder(self):
        for kind, name in NAMES.items():
            for flags in ((), ("--quantize", name), ("--cards", 1)):
                result = self.plan(kind, *flags)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(json.loads(result.stdout)["quantize"], name)

    def test_what_is_quantized_is_not_quantized_again(self):
        cases = (("--quantize", "int8", "--quantize int8: transformer of this folder is quantized already, as nf4"),
                 ("--quantize", "none", "leave the option out, or take the folder that is not quantized"),
                 ("--quantize-text-encoder", "fp4", "text_encoder_2 of this folder is quantized already, as nf4"),
                 ("--quantize-modulation", "int8-weights", "transformer of this folder is quantized already, as nf4"))
        for flag, value, complaint in cases:
            for result in (self.plan("nf4", flag, value), self.generate("nf4", self.folder / "none", flag, value)):
                self.assertEqual(result.returncode, 2)
                self.assertEqual(len(errors(result.stderr)), 1, result.stderr)
                self.assertIn(complaint, result.stderr)

    def test_a_folder_that_lacks_a_part_is_one_line(self):
        broken = self.folder / "broken"
        shutil.copytree(self.folder / "nf4", broken)
        config = broken / "transformer" / "config.json"
        config.write_text(config.read_text().replace('"bnb_4bit_quant_type": "nf4"', '"bnb_4bit_quant_type": "fp4"'))
        result = self.generate("broken", self.folder / "none")
        self.assertEqual(result.returncode, 2)
        self.assertEqual(len(errors(result.stderr)), 1, result.stderr)
        self.assertIn("quant_state.bitsandbytes__fp4' is missing", result.stderr)


if __name__ == "__main__":
    unittest.main()
