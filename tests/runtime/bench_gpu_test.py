"""bench step on cards: nothing interrupts a step, and how it went is said."""

import json
import unittest

from runtime import cards

cards.require()

import torch
from runtime.program import DEMO, PROGRAM, mpirun, run


class Step(unittest.TestCase):
    def measured(self, *arguments, launcher=()):
        result = run([*launcher, PROGRAM, "bench", "step", "--model", DEMO, "--device", "cuda", "--json", *arguments])
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def check(self, measured, dtype="bf16"):
        hopper = torch.cuda.get_device_capability()[0] == 9
        for rank in measured["ranks"]:
            self.assertEqual((rank["host_waits"], rank["device_allocations"]), (0, 0))
            self.assertEqual(rank["attention"], "cuDNN" if hopper and dtype != "fp32" else "ATen")
            self.assertGreater(rank["output_rms"], 0.5)
            self.assertLess(rank["output_rms"], 4)

    def check_replayed(self, measured):
        """The first is run as it is, for libraries choose and connect then."""
        for rank in measured["ranks"]:
            self.assertEqual(rank["steps_replayed"], rank["steps"] - 1)

    def test_of_one_card(self):
        for dtype in ("bf16", "fp16", "fp32"):
            for form in ("none", "int8", "nf4"):
                with self.subTest(dtype=dtype, form=form):
                    measured = self.measured("--dtype", dtype, "--quantize", form)
                    self.check(measured, dtype)
                    self.check_replayed(measured)

    def test_what_cannot_be_replayed_is_seen(self):
        for rank in self.measured("--quantize", "int8-outliers")["ranks"]:
            self.assertEqual(rank["steps_replayed"], 0)

    def test_of_ranks_that_share_a_card(self):
        for rank in self.measured("--transport", "mpi", launcher=mpirun(2))["ranks"]:
            self.assertEqual((rank["steps_replayed"], rank["device_allocations"]), (0, 0))

    @unittest.skipIf(torch.cuda.device_count() < 2, "fewer than two CUDA devices")
    def test_of_two_cards(self):
        for context in ("gather", "ulysses"):
            for more in ((), ("--serialized",), ("--exchange", "int8"), ("--quantize-attention", "fp8")):
                with self.subTest(context=context, more=more):
                    measured = self.measured("--context-parallel", context, *more, launcher=mpirun(2))
                    self.check(measured)
                    self.check_replayed(measured)


if __name__ == "__main__":
    unittest.main(verbosity=2)
