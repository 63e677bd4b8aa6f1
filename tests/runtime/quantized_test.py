"""The program with folders that bitsandbytes quantised, beside diffusers with the same values."""

import json
import shutil
import unittest

import numpy as np
from reference import quantized
from runtime.program import PROGRAM, journal_lines, mpirun, pixels, run
from runtime.quantized_folders import QuantizedFolders


class Quantized(QuantizedFolders, unittest.TestCase):
    reference = quantized
    NAMES = {"nf4": "nf4", "fp4": "fp4", "int8": "int8-weights"}

    def test_inspect_finds_nothing_amiss(self):
        for kind in self.NAMES:
            self.inspected(kind)

    def test_throughput_is_of_what_the_folder_holds(self):
        for kind, name in self.NAMES.items():
            result = run([PROGRAM, "bench", "throughput", "--model", self.folder / kind, "--device", "cpu", "--json",
                          "--num-prompts", 1, "--warmup-requests", 0, "--height", 32, "--width", 32,
                          "--num-inference-steps", 1])
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(json.loads(result.stdout)["quantize"], name)

    def test_plans_follow_the_folder(self):
        for kind, name in self.NAMES.items():
            for flags in ((), ("--quantize", name), ("--cards", 1)):
                result = self.plan(kind, *flags)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(json.loads(result.stdout)["quantize"], name)

    def test_eight_bits_are_drawn_as_llm_int8_where_that_is_asked_for(self):
        flags = ("--quantize", "int8-outliers", "--quantize-text-encoder", "int8-outliers")
        pictures = []
        for ranks, launcher in ((1, ()), (3, mpirun(3))):
            out = self.folder / f"llm-int8-{ranks}"
            result = self.generate("int8", out, *flags, launcher=launcher)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(journal_lines(out)[0]["quantize"], "int8-outliers, modulation int8-weights")
            pictures.append(out / "00000-1.png")
        self.assertEqual(*(picture.read_bytes() for picture in pictures))
        apart = pixels(pictures[0]) - self.pictures["int8-outliers"].astype(int)  # see tests/model/quantized_test.cc
        self.assertLessEqual(np.sqrt(np.mean(apart ** 2.0)), 1)

    def test_what_is_quantized_is_not_quantized_again(self):
        cases = (("--quantize", "int8", "--quantize int8: transformer of this folder is quantized already, as nf4"),
                 ("--quantize", "none", "leave the option out, or take the folder that is not quantized"),
                 ("--quantize-text-encoder", "fp4", "text_encoder_2 of this folder is quantized already, as nf4"),
                 ("--quantize", "int8-outliers", "transformer of this folder is quantized already, as nf4"),
                 ("--quantize-modulation", "int8-weights", "transformer of this folder is quantized already, as nf4"))
        for flag, value, complaint in cases:
            for result in (self.plan("nf4", flag, value), self.generate("nf4", self.folder / "none", flag, value)):
                self.refused(result, complaint)

    def test_a_folder_that_lacks_a_part_is_one_line(self):
        broken = self.folder / "broken"
        shutil.copytree(self.folder / "nf4", broken)
        config = broken / "transformer" / "config.json"
        config.write_text(config.read_text().replace('"bnb_4bit_quant_type": "nf4"', '"bnb_4bit_quant_type": "fp4"'))
        self.refused(self.generate("broken", self.folder / "none"), "quant_state.bitsandbytes__fp4' is missing")


if __name__ == "__main__":
    unittest.main()
