"""The program with folders in fp8, beside diffusers with the values that their files mean."""

import json
import shutil
import tempfile
import unittest
from pathlib import Path

import torch
from reference import fp8
from runtime.program import PROGRAM, run
from runtime.quantized_folders import QuantizedFolders
from safetensors.torch import load_file, save_file

SOME = "encoder.block.0.layer.1.DenseReluDense.wo"


class Fp8(QuantizedFolders, unittest.TestCase):
    reference = fp8
    NAMES = {"plain": "fp8-weights", "scaled": "fp8-weights", "rows": "none, text encoder fp8-weights"}

    def test_inspect_names_the_format_and_finds_nothing_amiss(self):
        for kind in self.NAMES:
            for component in self.inspected(kind):
                if component["name"] in ("text_encoder_2", "vae"):
                    self.assertEqual("fp8-weights" in component["tensors_by_dtype"], component["name"] == "text_encoder_2")

    def test_plans_follow_the_folder(self):
        for kind, name in self.NAMES.items():
            for flags in ((), ("--quantize-text-encoder", "fp8-weights"), ("--cards", 16)):
                result = self.plan(kind, *flags)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(json.loads(result.stdout)["quantize"], name)
        result = self.plan("rows", "--quantize", "int8")
        self.assertEqual(json.loads(result.stdout)["quantize"], "int8, text encoder fp8-weights, modulation int8-weights")

    def test_what_is_in_fp8_is_not_quantized_again(self):
        cases = (("plain", "--quantize", "int8", "--quantize int8: transformer of this folder is quantized already, as fp8-weights"),
                 ("rows", "--quantize-text-encoder", "nf4", "text_encoder_2 of this folder is quantized already, as fp8-weights"),
                 ("rows", "--quantize-text-encoder", "none", "leave the option out, or take the folder that is not quantized"))
        for kind, flag, value, complaint in cases:
            self.refused(self.plan(kind, flag, value), complaint)
            self.refused(self.generate(kind, self.folder / "none", flag, value), complaint)
        self.refused(run([PROGRAM, "quantize", "--model", self.folder / "rows", "--quantize", "int8", "--output-dir",
                          self.folder / "new", "--device", "cpu"]), "text_encoder_2: is quantized already")

    def broken(self, change):
        """A copy of the scaled folder, of which text_encoder_2's tensors were changed."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        shutil.copytree(self.folder / "scaled", folder, dirs_exist_ok=True)
        file = folder / "text_encoder_2" / "model.safetensors"
        tensors = load_file(file)
        change(tensors)
        save_file(tensors, file)
        return folder.name

    def test_what_may_be_wrong_with_one(self):
        def no_number(tensors):
            tensors[f"{SOME}.weight"].view(torch.uint8)[1, 2] = 0xFF

        cases = (
            (no_number, f"tensor '{SOME}.weight' holds what is no number"),
            (lambda tensors: tensors.pop(f"{SOME}.scale_weight"), f"tensor '{SOME}.weight' has no scale beside it"),
            (lambda tensors: tensors.update({f"{SOME}.scale_weight": torch.zeros(())}),
             f"tensor '{SOME}.scale_weight' holds a scale that is zero"),
            (lambda tensors: tensors.update({f"{SOME}.scale_weight": torch.ones(2, 3)}), "is neither one number nor one for each"),
            (lambda tensors: tensors.update({f"{SOME}.weight_scale_inv": torch.ones(1, 2)}), "scales blocks of a matrix"),
            (lambda tensors: tensors.update({f"{SOME}.weight": tensors[f"{SOME}.weight"].to(torch.float8_e5m2)}),
             f"is the scale of '{SOME}.weight', which is stored as F8_E5M2"),
            (lambda tensors: tensors.update({"encoder.final_layer_norm.weight": torch.ones(128).to(torch.float8_e5m2)}),
             "encoder.final_layer_norm.weight is F8_E5M2 [128], not F32, BF16, F16, F64 or F8_E4M3"),
        )
        for change, complaint in cases:
            with self.subTest(complaint):
                result = self.generate(self.broken(change), self.folder / "none")
                self.refused(result, complaint)
                self.assertIn("text_encoder_2", result.stderr)

    def test_scales_of_blocks_are_refused_by_the_config_already(self):
        name = self.broken(lambda tensors: None)
        config = self.folder / name / "text_encoder_2" / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {
            "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}))
        self.refused(self.generate(name, self.folder / "none"), "'fp8' has a scale for each block of a matrix")


if __name__ == "__main__":
    unittest.main()
