"""bench: what it prints of a step, of other stages and of gathers, on CPUs."""

import csv
import io
import json
import tempfile
import unittest
from pathlib import Path

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
                    self.assertGreater(rank["tflops"], 0)
                    self.assertGreater(rank["launch_ms"], 0)
                    self.assertAlmostEqual(rank["of_floor"], rank["step"]["median_ms"] / rank["floor_ms"])
                    self.assertEqual(rank["attention"], "ATen")

    def test_random_weights_keep_latents_at_the_spread_of_noise(self):
        # Values that vanish or grow draw less power, and a card runs faster on them.
        for rank in self.measured("step", "--random-weights", launcher=mpirun(2))["ranks"]:
            self.assertGreater(rank["output_rms"], 0.5)
            self.assertLess(rank["output_rms"], 4)

    def test_a_step_whose_gathers_nothing_hides(self):
        for context in ("gather", "ulysses"):
            measured = self.measured("step", "--serialized", "--context-parallel", context, launcher=mpirun(2))
            self.assertEqual((measured["serialized"], len(measured["ranks"])), (True, 2))

    def test_a_trace_of_every_rank(self):
        with tempfile.TemporaryDirectory() as folder:
            self.measured("step", "--trace", Path(folder, "trace.json"), launcher=mpirun(2))
            events = json.loads(Path(folder, "trace.json").read_text())["traceEvents"]
        named = [event["args"]["name"] for event in events if event["name"] == "process_name"]
        self.assertEqual([name.split()[:2] for name in named], [["rank", "0"], ["rank", "1"]])
        self.assertEqual({event["pid"] for event in events if event["ph"] == "X"}, {0, 1})

    def test_a_decoding(self):
        measured = self.measured("decode")
        self.assertGreater(measured["decode"]["median_ms"], 0)
        self.assertEqual((measured["height"], measured["width"], measured["dtype"]), (64, 64, "fp32"))

    def test_gathers_by_size(self):
        for ranks in (2, 3):
            with self.subTest(ranks=ranks):
                measured = self.measured("comm", launcher=mpirun(ranks))
                self.assertEqual((measured["transport"], measured["world_size"]), ("mpi", ranks))
                even = [row for row in measured["gathers"] if row["gathered"] == "even rows"]
                keys_values, *by_heads = measured["gathers"][len(even):]
                self.assertEqual([row["bytes"] for row in even],
                                 [(4 << 10) * 4**i // ranks * ranks for i in range(8)])  # 4 KiB to 64 MiB
                heads, head_dim = (json.loads((Path(DEMO) / "transformer" / "config.json").read_text())[key]
                                   for key in ("num_attention_heads", "attention_head_dim"))
                # 4 x 4 tokens of the picture and the text's, each with a key and a value, in fp32
                self.assertEqual(keys_values["bytes"], (16 + measured["text_tokens"]) * 2 * heads * head_dim * 4)
                self.assertEqual([row["bytes"] for row in by_heads],
                                 [keys_values["bytes"] // ranks] if heads % ranks == 0 else [])
                for row in measured["gathers"]:
                    self.assertLessEqual(row["p5_ms"], row["median_ms"])
                    self.assertLessEqual(row["median_ms"], row["p95_ms"])
                    self.assertAlmostEqual(row["algorithm_gb_per_s"], row["bytes"] / row["median_ms"] / 1e6)
                    self.assertAlmostEqual(row["bus_gb_per_s"], row["algorithm_gb_per_s"] * (ranks - 1) / ranks)
                    self.assertEqual(row["carrier"], "host memory")
                    self.assertIn(row["rank"], range(ranks))

    def test_rounded_keys_and_values_are_what_travels(self):
        whole, rounded = (self.measured("comm", *exchange, launcher=mpirun(2))["gathers"][-1]["bytes"]
                          for exchange in ((), ("--exchange", "int8")))
        self.assertLess(rounded, whole / 2)

    def test_ranks_share_attention_as_they_are_told(self):
        for context in ("gather", "ulysses"):
            measured = self.measured("step", "--context-parallel", context, launcher=mpirun(2))
            self.assertEqual(measured["context_parallel"], context)
        result = run([*mpirun(3), PROGRAM, "bench", "step", *SMALL, "--context-parallel", "ulysses"])
        self.assertEqual((result.returncode, result.stdout), (2, ""), result.stderr)
        self.assertIn("3 ranks cannot share", result.stderr)

    def test_one_rank_gathers_from_nobody(self):
        result = run([PROGRAM, "bench", "comm", *SMALL])
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertIn("bench comm: one rank has nobody to gather from", result.stderr)

    def test_the_stages_of_rank_0(self):
        for launcher in ((), mpirun(2)):
            with self.subTest(launcher=launcher):
                measured = self.measured("stages", "--num-inference-steps", 2, launcher=launcher)
                self.assertEqual([row["stage"] for row in measured["stages"]],
                                 ["load encoders", "load vae", "encode", "modulation", "decode"])
                self.assertEqual(measured["num_inference_steps"], 2)
                for row in measured["stages"]:
                    self.assertGreater(row["median_ms"], 0)
                    self.assertEqual(row["rank"], 0)
                encoders, vae = measured["stages"][:2]
                files = {name: sum(file.stat().st_size for file in (Path(DEMO) / name).glob("*.safetensors"))
                         for name in ("text_encoder", "text_encoder_2", "transformer", "vae")}
                texts = files["text_encoder"] + files["text_encoder_2"]
                self.assertGreater(encoders["read_bytes"], 0.9 * texts)  # headers and what no module asks for are not read
                self.assertLess(encoders["read_bytes"], texts + files["transformer"])
                self.assertLess(0, vae["read_bytes"])
                self.assertLess(vae["read_bytes"], files["vae"])
                self.assertAlmostEqual(vae["read_gb_per_s"], vae["read_bytes"] / vae["median_ms"] / 1e6)

    def test_random_weights_are_not_read(self):
        stages = self.measured("stages", "--random-weights")["stages"]
        self.assertEqual([row["stage"] for row in stages], ["encode", "modulation", "decode"])

    def printed(self, what, form, launcher=()):
        result = run([*launcher, PROGRAM, "bench", what, *SMALL, "-o", form])
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_every_measure_has_every_form(self):
        for what, rows, launcher in (("step", 2, mpirun(2)), ("decode", 1, ()), ("stages", 5, ()), ("comm", 10, mpirun(2))):
            with self.subTest(what=what):
                table = self.printed(what, "md", launcher).splitlines()
                self.assertIn(f"program {json.loads(self.printed(what, 'json', launcher))['program']}", table[0])
                self.assertEqual([line.count(" | ") for line in table[2:]], [table[2].count(" | ")] * (rows + 2))
                self.assertEqual(set(table[3]), set("| -"))
                comma = list(csv.DictReader(io.StringIO(self.printed(what, "csv", launcher))))
                lines = [json.loads(line) for line in self.printed(what, "jsonl", launcher).splitlines()]
                self.assertEqual((len(comma), len(lines)), (rows, rows))
                for row in (*comma, *lines):
                    self.assertEqual(int(row["repetitions"]), 3)
                    self.assertGreater(float(row["median_ms"]), 0)
                    self.assertIn("card", row)
                self.assertTrue(set(lines[0]) <= set(comma[0]))

    def test_json_is_a_form(self):
        one, other = self.measured("decode"), json.loads(self.printed("decode", "json"))
        self.assertEqual(list(one), list(other))
        result = run([PROGRAM, "bench", "decode", *SMALL, "--json", "-o", "md"])
        self.assertEqual(result.returncode, 2)
        self.assertIn("--json and --output-format: say once how results are printed", result.stderr)

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
        self.assertIn("is none of step, decode, stages, comm, throughput, compare", result.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
