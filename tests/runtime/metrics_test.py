"""Metrics of a run, in a file."""

import re
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from runtime.program import DEMO, PROGRAM, mpirun, run

SECRET = "a red circle that nobody is to know of"


class Metrics(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.command = [PROGRAM, "generate", "--model", DEMO, "-p", SECRET, "--height", 64, "--width", 64, "--seed", 1,
                        "--device", "cpu", "--output-dir", self.folder / "out"]

    def generate(self, *arguments):
        return run(self.command + ["--num-inference-steps", 2, *arguments])

    def test_are_written_to_a_file(self):
        file = self.folder / "flux.prom"
        self.assertEqual(self.generate("--metrics-file", file).returncode, 0)
        self.assertIn('flux_dist_pictures_total{status="drawn"} 1\n', file.read_text())
        self.assertEqual(self.generate("--metrics-file", file, "--resume").returncode, 0)
        self.assertIn('flux_dist_pictures{state="there_before"} 1\n', file.read_text())

    def test_tell_how_far_a_run_is(self):
        file = self.folder / "flux.prom"
        command = mpirun(2) + self.command + ["--num-images-per-prompt", 500, "--metrics-file", file]
        job = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not list(self.folder.glob("out/*.png")):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        job.send_signal(signal.SIGUSR1)
        job.communicate(timeout=60)
        text = file.read_text()
        drawn = len(list(self.folder.glob("out/*.png")))
        self.assertIn(f'flux_dist_pictures{{state="left"}} {500 - drawn}\n', text)
        self.assertIn(f'flux_dist_pictures_total{{status="drawn"}} {drawn}\n', text)
        self.assertGreater(float(re.search(r'busy_seconds_total{replica="0",stage="denoise"} ([\d.]+)', text).group(1)), 0)
        for hidden in (SECRET, str(self.folder), DEMO):
            self.assertNotIn(hidden, text)

    def test_what_cannot_be_written_is_refused_once(self):
        result = run(mpirun(2) + self.command + ["--metrics-file", self.folder / "none" / "flux.prom"])
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(len(re.findall("--metrics-file: ", result.stderr)), 1, result.stderr)
        self.assertFalse((self.folder / "out").exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
