"""What a run leaves and says when a rank dies or hangs, or when it is told to end."""

import os
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from PIL import Image

from runtime import random_ends
from runtime.program import DEMO, PROGRAM, errors, journal, mpirun, processes_of


class Faults(unittest.TestCase):
    device = "cpu"
    steps, side = 4, 64  # of a picture

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.out = Path(self.temporary.name) / "out"

    def tearDown(self):
        self.temporary.cleanup()

    def start(self, ranks, *flags):
        """A run of many pictures, of which at least one is there when this returns."""
        command = [PROGRAM, "generate", "--model", DEMO, "-p", "a red circle", "--num-images-per-prompt", "500",
                   "--num-inference-steps", self.steps, "--height", self.side, "--width", self.side,
                   "--output-dir", self.out, "--seed", "1", "--device", self.device, "--optimize", "latency", *flags]
        run = subprocess.Popen([str(part) for part in (mpirun(ranks) + command if ranks else command)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: run.poll() is None and run.kill())
        deadline = time.monotonic() + 60
        while not list(self.out.glob("*.png")):
            self.assertIsNone(run.poll(), run.poll() is not None and run.stderr.read())
            self.assertLess(time.monotonic(), deadline, "no picture within a minute")
            time.sleep(0.05)
        return run

    def check_what_is_left(self):
        """Every picture is whole and journaled; nothing is half written."""
        pictures = {picture.name for picture in self.out.glob("*.png")}
        for name in pictures:
            Image.open(self.out / name).load()
        self.assertEqual({line["file"] for line in journal(self.out)}, pictures)
        self.assertGreater(len(pictures), 0)
        self.assertEqual(list(self.out.glob(".*")), [])

    def end(self, run):
        _, said = run.communicate(timeout=60)
        return said

    def error(self, said):
        """The one line that names an error."""
        found = errors(said)
        self.assertEqual(len(found), 1, said)
        return found[0]

    def test_a_rank_that_is_killed_is_named(self):
        for rank in (1, 2):
            with self.subTest(rank=rank), tempfile.TemporaryDirectory() as folder:
                self.out = Path(folder) / "out"
                run = self.start(3)
                os.kill(processes_of(self.out)[rank], signal.SIGKILL)
                said = self.end(run)
                self.assertRegex(self.error(said), rf"rank {rank} (\(.*\) )?died.*; it was drawing --prompt$")
                self.assertIn(run.returncode, (3, 137))
                self.assertTrue((self.out / "index.html").exists())
                self.check_what_is_left()

    def test_a_rank_that_hangs_is_named(self):
        for rank in (0, 2):
            with self.subTest(rank=rank), tempfile.TemporaryDirectory() as folder:
                self.out = Path(folder) / "out"
                run = self.start(3, "--timeout", "3s")
                began = time.monotonic()
                os.kill(processes_of(self.out)[rank], signal.SIGSTOP)
                said = self.end(run)
                self.assertLess(time.monotonic() - began, 20)
                # Whoever waits for it notices first: the coordinator, a collective, a message that it does not take, or
                # one that it has sent half of.
                noticed = (r"\(.* for 3 s", r"\(.* within 3 s", ".*did not", "took nothing for 3 s", "stopped .* for 3 s")
                self.assertRegex(self.error(said), f"rank {rank} ({'|'.join(noticed)})")
                self.assertEqual(run.returncode, 3, said)
                if rank != 0:
                    self.check_what_is_left()

    def test_told_to_end(self):
        for ranks, sent, codes in ((0, signal.SIGTERM, {143}), (0, signal.SIGINT, {130}), (3, signal.SIGTERM, {1, 143})):
            with self.subTest(ranks=ranks, signal=sent), tempfile.TemporaryDirectory() as folder:
                self.out = Path(folder) / "out"
                run = self.start(ranks)
                began = time.monotonic()
                run.send_signal(sent)
                said = self.end(run)
                self.assertLess(time.monotonic() - began, 5)
                self.assertIn(run.returncode, codes, said)  # 1: OpenMPI says its own
                self.assertIn(sent.name, said)
                self.assertNotIn("died", said)
                self.assertTrue((self.out / "index.html").exists())
                self.check_what_is_left()

    def test_ended_at_random_moments(self):
        """A sample; tests/runtime/random_ends.py does as many as one likes."""
        if self.device == "cpu":
            self.assertEqual(random_ends.failures(trials=8, seed=7), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
