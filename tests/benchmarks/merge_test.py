"""merge.py: tables of hand-written outputs of beside.py, and what it says of other files."""

import csv
import io
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from benchmarks import merge

GIB = 2**30


def output(peer, gpus, card, floor, ours, theirs, warnings=(), **more):
    measurements = [{"name": "flux-dist", "ms": ours, "of_floor": ours / floor, "peak_bytes": 17 * GIB,
                     "cards": {"sm_mhz": 1755.0, "power_w": 690.2, "card_memory_bytes": 20 * GIB}},
                    {"name": peer, "ms": theirs, "of_floor": theirs / floor, "peak_bytes": 25 * GIB, "compile_s": 15.2,
                     "cards": {}, **more}]
    return {"format": 1, "date": "2026-11-26T07:00:00+00:00", "gpus": gpus, "width": 1024, "height": 1024,
            "text_tokens": 512, "cards": [{"name": card}] * gpus, "floor": {"bf16": {"ms": floor}, "fp8": {"error": "no"}},
            "measurements": measurements, "versions": {"flux-dist": "0.2.0", "driver": None}, "warnings": list(warnings)}


class Merge(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.files = [self.write("pair.json", output("diffusers-ulysses", 2, "NVIDIA H100", 62.0, 69.44, 86.8)),
                      self.write("single.json", output("diffusers-compiled", 1, "NVIDIA H200", 110.0, 121.0, 132.0,
                                                       ["floor, bf16: 100.00 ms at first, 120.00 ms at last"]))]

    def write(self, name, content):
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def merged(self, *arguments):
        return subprocess.run([sys.executable, merge.__file__, *map(str, arguments)], capture_output=True, text=True)

    def table(self, *arguments):
        result = self.merged(*arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_markdown(self):
        lines = self.table(*self.files).splitlines()
        self.assertEqual(lines[0], "|  | cards | card | ms a step | x the floor | floor, ms | x flux-dist | peak, GiB | "
                                   "compiling, s | SM, MHz | W | note |")
        self.assertEqual(lines[2], "| flux-dist | 1 | NVIDIA H200 | 121.0 | 1.100 | 110.0 | 1.00 | 17.0 |  | 1755 | 690 | "
                                   "floor, bf16: 100.00 ms at first, 120.00 ms at last |")
        self.assertEqual([line.split(" | ")[:5] for line in lines[3:6]],
                         [["| diffusers-compiled", "1", "NVIDIA H200", "132.0", "1.200"],
                          ["| flux-dist", "2", "NVIDIA H100", "69.4", "1.120"],
                          ["| diffusers-ulysses", "2", "NVIDIA H100", "86.8", "1.400"]])
        self.assertEqual(lines[6:], ["", "*A step of 1024 x 1024 + 512 tokens of text, in bf16; flux-dist 0.2.0.*"])

    def test_csv(self):
        rows = list(csv.DictReader(io.StringIO(self.table(*self.files, "-o", "csv"))))
        self.assertEqual([row["what"] for row in rows],
                         ["flux-dist", "diffusers-compiled", "flux-dist", "diffusers-ulysses"])
        self.assertAlmostEqual(float(rows[3]["of_flux_dist"]), 1.25)
        self.assertEqual(rows[0]["compile_s"], "")

    def test_json_lines(self):
        rows = [json.loads(line) for line in self.table(*self.files, "-o", "jsonl").splitlines()]
        self.assertEqual([round(row["of_floor"], 3) for row in rows], [1.1, 1.2, 1.12, 1.4])
        self.assertEqual(rows[0]["card_gib"], 20)
        self.assertIsNone(rows[0]["fp8_floor_ms"])

    def test_what_failed_comes_last_with_its_reason(self):
        failed = output("diffusers-eager", 1, "NVIDIA H100", 110.0, 121.0, 1.0)
        failed["measurements"][1] = {"name": "diffusers-eager", "error": "OutOfMemoryError: a | b", "cards": {}}
        lines = self.table(self.write("failed.json", failed)).splitlines()
        self.assertTrue(lines[3].startswith("| diffusers-eager | 1 | NVIDIA H100 |  |  |"), lines[3])
        self.assertTrue(lines[3].endswith(r"| OutOfMemoryError: a \| b |"), lines[3])

    def test_a_bad_file_is_named_in_one_line(self):
        older = output("none", 1, "NVIDIA H100", 1.0, 1.0, 1.0) | {"format": 0}
        for name, content in (("text.json", "{nothing"), ("list.json", "[]"), ("other.json", '{"format": 1}'),
                              ("older.json", older)):
            with self.subTest(name):
                result = self.merged(self.files[0], self.write(name, content))
                self.assertEqual((result.returncode, result.stdout), (2, ""))
                self.assertRegex(result.stderr, rf"\Amerge\.py: \S*{name}: [^\n]+\n\Z")
        result = self.merged(self.folder / "missing.json")
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, r"\Amerge\.py: \S*missing\.json: No such file[^\n]*\n\Z")


if __name__ == "__main__":
    unittest.main(verbosity=2)
