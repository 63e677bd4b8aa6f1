"""beside.py on the demo model on a CPU, what it makes of figures, and what it refuses."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from benchmarks import beside, child, flux_dist, sizes, table
from runtime.program import DEMO, PROGRAM, run

SMALL = ["--device", "cpu", "--model", DEMO, "--height", "64", "--width", "64", "--text-tokens", "32", "--steps", "3",
         "--flux-dist", PROGRAM]


def started(*arguments, **environment):
    return run([sys.executable, beside.__file__, *arguments], env={**os.environ, **environment})


class OnACpu(unittest.TestCase):
    def test_beside_diffusers(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "out.json"
            result = started("diffusers-eager", *SMALL, "--correctness", DEMO, "-o", file)
            output = json.loads(file.read_text())
        correctness = output["correctness"]
        self.assertEqual(result.returncode, 0 if correctness["holds"] else 1, result.stderr)
        self.assertTrue(all(0 < correctness[name] < 5 for name in ("flux-dist", "exact", "plain")), correctness)
        self.assertIn("of the bf16 pipeline's error, 1.05 allowed", result.stderr)
        self.assertEqual(output["rows"], 16 + 32)
        ours, theirs = output["measurements"]
        self.assertEqual((ours["name"], theirs["name"]), ("flux-dist", "diffusers-eager"))
        self.assertEqual((ours["rows"], ours["text_tokens"], theirs["attention"]), ([48], 32, "native"))
        for one in (ours, theirs):
            self.assertLessEqual(one["p5_ms"], one["ms"])
            self.assertAlmostEqual(one["of_floor"], one["ms"] / output["floor"]["bf16"]["ms"])
        self.assertEqual(len(output["floor"]["bf16"]["passes_ms"]), 2)
        self.assertLessEqual({"flux-dist", "torch", "cuda", "diffusers"}, output["versions"].keys())
        self.assertEqual([row["what"] for row in table.rows_of(output)], ["flux-dist", "diffusers-eager"])
        self.assertIn("| flux-dist | 1 | CPU |", result.stdout)

    def test_flux_dist_over_ranks(self):
        job = {"gpus": 2, "model": DEMO, "random_weights": True, "steps": 2, "height": 64, "width": 64, "text_tokens": 16,
               "device": "cpu"}
        measurement, versions = flux_dist.parse(child.run([*flux_dist.command(PROGRAM, job), "--threads", "1"]))
        self.assertEqual(sum(measurement["rows"]), 32)
        self.assertGreater(measurement["own_floor_ms"], 0)
        self.assertRegex(versions["flux-dist"], r"^\d+\.\d+\.\d+ \([-\w]+\)$")

    def test_quantized(self):
        job = {"peer": "bitsandbytes-nf4", "gpus": 1, "model": str(DEMO), "random_weights": False, "steps": 2, "height": 64,
               "width": 64, "text_tokens": 32, "device": "cpu"}
        theirs = beside.measure_peer(job, [])
        self.assertNotIn("error", theirs)
        self.assertGreater(theirs["ms"], 0)
        ours, _ = beside.measure_flux_dist({**job, "quantize": "nf4"}, PROGRAM, [])
        self.assertEqual((ours["name"], ours["rows"]), ("flux-dist --quantize nf4", [48]))
        dense, _ = beside.measure_flux_dist(job, PROGRAM, [])
        self.assertLess(ours["peak_bytes"], dense["peak_bytes"])

    def test_pictures_that_cannot_be_compared(self):
        with tempfile.TemporaryDirectory() as empty:
            arguments = beside.read_arguments(["none", *SMALL, "--correctness", empty])
            errors, report = beside.held_against_diffusers(arguments, [])
        self.assertEqual((errors["holds"], errors["error"] in report), (False, True))

    def test_a_peer_that_fails_is_in_the_output(self):
        result = child.measure("peer.py", {"peer": "diffusers-eager", "model": "/nowhere", "device": "cpu",
                                           "random_weights": False}, child.environment([]))
        self.assertEqual(list(result), ["error"])
        self.assertNotIn("\n", result["error"])


class Configs(unittest.TestCase):
    def test_of_flux1_dev(self):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            sizes.write_configs(folder)
            step = sizes.read_sizes(folder, 1024, 1024, 512)
            self.assertFalse([*folder.rglob("*.safetensors")])
            result = run([PROGRAM, "plan", "--model", folder, "--json"])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((step.tokens, step.width, step.blocks), (4608, 3072, 57))
        self.assertEqual([step.rows(cards) for cards in (1, 2, 5)], [4608, 2304, 922])
        self.assertAlmostEqual(step.tera_flop(4608), 74.36, 2)


class Figures(unittest.TestCase):
    def floor(self, *passes):
        return beside.join_floors([{name: {"times_ms": times, "ms": sorted(times)[1], "attention": "cudnn", "cards": {}}
                                    for name in ("bf16", "fp8")} for times in passes])

    def test_a_floor_of_two_passes(self):
        floor = self.floor([10, 11, 12], [10, 12, 20])["bf16"]
        self.assertEqual((floor["ms"], floor["p5_ms"], floor["p95_ms"], floor["passes_ms"]), (11.5, 10, 20, [11, 12]))

    def test_ratios_and_warnings(self):
        output = beside.add_ratios({
            "floor": {**self.floor([100, 100, 100], [110, 110, 110]), "fp8": {"error": "no fp8"}},
            "measurements": [{"name": "flux-dist", "ms": 126.0, "cards": {"spoilt": True, "reasons": ["thermal slowdown"]}},
                             {"name": "diffusers-eager", "error": "failed", "cards": {}}]})
        self.assertAlmostEqual(output["measurements"][0]["of_floor"], 1.2)
        self.assertNotIn("of_fp8_floor", output["measurements"][0])
        self.assertNotIn("of_floor", output["measurements"][1])
        self.assertEqual(beside.warnings_of(output),
                         ["flux-dist: the card slowed itself down (thermal slowdown)",
                          "floor, bf16: 100.00 ms at first, 110.00 ms at last"])

    def test_what_is_no_output_of_bench(self):
        for text in ("", "{}", '{"ranks": []}', "[1]"):
            with self.subTest(text), self.assertRaisesRegex(RuntimeError, "no output of bench step"):
                flux_dist.parse(text)


class Refusals(unittest.TestCase):
    def check(self, result, said):
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertRegex(result.stderr, rf"\Abeside\.py: [^\n]*{said}[^\n]*\n\Z")

    def test_requests(self):
        for arguments, said in ((["diffusers-fast"], "none of diffusers-eager"), ([], "PEER"),
                                (["diffusers-eager", "--gpus", "2"], "on one card"),
                                (["torchao-fp8-compiled", "--gpus", "2"], "on one card"),
                                (["diffusers-ulysses"], "--gpus 2 or more"), (["none", "--gpus", "0"], "count from 1"),
                                (["none", "--model", "/nowhere"], "no model folder"),
                                (["none", "--flux-dist", "/nowhere"], "no program /nowhere")):
            with self.subTest(arguments):
                self.check(started(*arguments), said)

    def test_no_cards(self):
        with tempfile.TemporaryDirectory() as nothing:
            self.check(started("none", "--flux-dist", PROGRAM, PATH=nothing), "no cards")

    def test_no_diffusers(self):
        """-S leaves out the installed packages."""
        result = subprocess.run([sys.executable, "-S", beside.__file__, "diffusers-eager", "--flux-dist", PROGRAM],
                                capture_output=True, text=True, timeout=60,
                                env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"})
        self.check(result, "diffusers is not installed")


if __name__ == "__main__":
    unittest.main(verbosity=2)
