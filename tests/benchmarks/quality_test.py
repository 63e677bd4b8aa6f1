"""quality.py on small parts of a model on a CPU: what it changes in a transformer, and its verdict."""

import sys
import unittest

import torch
from benchmarks import quality
from diffusers import FluxTransformer2DModel
from runtime.program import DEMO, PROGRAM, run


class Transformer(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        self.transformer = FluxTransformer2DModel(num_layers=1, num_single_layers=1, attention_head_dim=16,
                                                  num_attention_heads=4, joint_attention_dim=32,
                                                  pooled_projection_dim=32, axes_dims_rope=(4, 4, 8))

    def test_outliers_are_in_the_scales_of_every_norm_but_the_last(self):
        before = {name: value.clone() for name, value in self.transformer.state_dict().items()}
        quality.add_outliers(self.transformer)
        changed = {name: value - before[name] for name, value in self.transformer.state_dict().items()
                   if not torch.equal(value, before[name])}
        self.assertEqual({name.split(".", 2)[2] for name in changed},
                         {"norm1.linear.bias", "norm1_context.linear.bias", "norm.linear.bias"})
        for name, added in changed.items():
            by_vector = added.view(-1, 64).round()
            self.assertEqual(set(by_vector[1::3].unique().tolist()), {0, 29}, name)
            self.assertEqual((by_vector != 0).sum(dim=1).tolist(), [0, 16, 0] * (len(by_vector) // 3), name)

    def test_the_blocks_matrices_are_quantized_for_a_while(self):
        whole = str(self.transformer)
        with quality.quantized(self.transformer, quality.with_bitsandbytes_nf4):
            names = [name.split(".", 2)[2] for name, module in self.transformer.named_modules()
                     if type(module).__name__ == "Linear4bit"]
        self.assertIn("ff.net.2", names)
        self.assertIn("proj_out", names)
        self.assertFalse([name for name in names if "norm" in name], "nor the modulation")
        self.assertEqual(len(names), 12 + 5)
        self.assertEqual(str(self.transformer), whole)


class Verdict(unittest.TestCase):
    def test_a_format_is_held_against_the_same_elsewhere(self):
        errors = {"flux-dist": {"none": 2.0, "int8": 9.0, "int8-outliers": 3.1, "nf4": 10.5, "fp8": 4.0}, "contrast": 60.0,
                  "diffusers": {"bitsandbytes nf4": 10.0, "torchao fp8": "is not installed", "bitsandbytes LLM.int8": 3.0}}
        self.assertEqual(quality.too_large(errors), [])
        errors["flux-dist"]["nf4"] = 10.6
        self.assertEqual(quality.too_large(errors), ["nf4"])
        self.assertIn("elsewhere: nf4\n", quality.report(errors))
        errors["flux-dist"]["nf4"] = float("nan")
        self.assertEqual(quality.too_large(errors), ["nf4"])
        errors["flux-dist"] |= {"nf4": 10.5, "int8-outliers": 3.2}
        self.assertEqual(quality.too_large(errors), ["int8-outliers"])

    def test_a_model_that_is_there_gets_no_outliers(self):
        result = run([sys.executable, quality.__file__, DEMO, "--outliers", "--flux-dist", PROGRAM])
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("stays as it is", result.stderr)

    def test_what_cannot_be_compared(self):
        for flags, saying in ((("--formats", "int8,int3"), "--formats: int3: give some of none, int8"),
                              (("--num-prompts", 0), "--num-prompts: from 1 to"), (("--num-prompts", 99), "--num-prompts: from 1 to")):
            result = run([sys.executable, quality.__file__, DEMO, *flags, "--flux-dist", PROGRAM])
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            self.assertIn(saying, result.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
