"""bench: what it prints of a step and of a decoding, on CPUs."""

import json
import unittest

from runtime.program import DEMO, PROGRAM, mpirun, run

SMALL = ["--model", DEMO, "--device", "cpu", "--height", 64, "--width", 64, "--repetitions", 3, "--threads", 1]


class Bench(unittest.TestCase):
    def measured(self, what, *arguments, launcher=()):
        result = run([*launcher, PROGRAM, "bench", what, *SMALL, "--json", *arguments])
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def test_a_step_over_ranks(self):
        for launcher, ranks in (((), 1), (mpirun(3), 3)):
            with self.subTest(ranks=ranks):
                measured = self.measured("step", launcher=launcher)
                self.assertEqual([rank["rank"] for rank in measured["ranks"]], list(range(ranks)))
                # 4 x 4 tokens of the picture, and the text's
                self.assertEqual(sum(rank["rows"] for rank in measured["ranks"]), 16 + measured["text_tokens"])
                for rank in measured["ranks"]:
                    self.assertLessEqual(rank["step"]["p5_ms"], rank["step"]["median_ms"])
                    self.assertLessEqual(rank["step"]["median_ms"], rank["step"]["p95_ms"])
                    self.assertGreater(rank["floor_ms"], 0)
                    self.assertGreater(rank["weights_bytes"], 0)

    def test_a_decoding(self):
        measured = self.measured("decode")
        self.assertGreater(measured["decode"]["median_ms"], 0)
        self.assertEqual((measured["height"], measured["width"], measured["dtype"]), (64, 64, "fp32"))

    def test_random_weights_need_no_weights(self):
        measured = self.measured("step", "--random-weights")
        self.assertTrue(measured["random_weights"])

    def test_text_for_people(self):
        result = run([PROGRAM, "bench", *SMALL])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"^a step of 64 x 64 pixels and \d+ text tokens in fp32, quantized: none, over thread\nrank 0 .* x the dense floor of ")

    def test_what_it_does_not_measure_is_refused(self):
        result = run([PROGRAM, "bench", "everything", *SMALL])
        self.assertEqual(result.returncode, 2)
        self.assertIn("is none of step, decode, throughput, compare", result.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
