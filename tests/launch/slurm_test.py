"""launch/slurm's scripts, as installed, in a real Slurm of two nodes on this machine."""

import json
import os
import random
import signal
import time

from launch.slurm_jobs import PROMPTS, SlurmJobs, main
from runtime.program import errors, journal, pixels, processes_of


class Slurm(SlurmJobs):
    def refused(self, number, words):
        """Exit code 2 and one line."""
        job, said = self.ended(number)
        self.assertEqual((job["JobState"], job["ExitCode"]), ("FAILED", "2:0"), said)
        self.assertEqual(len(said), 1, said)
        self.assertIn(words, said[0])

    def test_draws_over_two_nodes(self):
        job, said = self.ended(self.submit())
        self.assertEqual((job["JobState"], job["ExitCode"], job["NodeList"]), ("COMPLETED", "0:0", "n[1-2]"), said)
        lines = journal(self.out)
        self.assertEqual([line["prompt"] for line in lines], PROMPTS)
        for line in lines:
            self.assertEqual(pixels(self.out / line["file"]).shape, (128, 128, 3))
            self.assertIn(str(self.out / line["file"]), said)

    def test_measures_over_two_nodes(self):
        small = ("--model", self.installed / "configs/demo", "--height", 64, "--width", 64, "--num-inference-steps", 2,
                 "--num-prompts", 4, "--replicas", 2)
        slurm = ("--nodes=2", "--ntasks-per-node=2")
        job, said = self.ended(self.submit_script("bench", *small, "--output-file", "results.jsonl", slurm=slurm))
        self.assertEqual((job["JobState"], job["ExitCode"], job["NodeList"]), ("COMPLETED", "0:0", "n[1-2]"), said)
        (result,) = map(json.loads, (self.here / "results.jsonl").read_text().splitlines())
        self.assertEqual(result["completed_requests"], 4)
        self.assertEqual(len(result["ranks"]), 3)
        job, said = self.ended(self.submit_script("bench", *small, "--request-rate", "often", slurm=slurm))
        self.assertEqual((job["JobState"], job["ExitCode"]), ("FAILED", "2:0"), said)
        self.assertEqual(len(said), 1, said)
        self.assertIn("--request-rate", said[0])

    def test_a_wrong_option_is_said_once(self):
        self.refused(self.submit("--height", "many"), "--height")

    def test_what_is_missing_is_said_once(self):
        self.refused(self.submit(FLUX_VENV=""), "FLUX_VENV")
        self.refused(self.submit(PATH=self.cluster.environment["PATH"]), "flux-dist is not in PATH")

    def test_the_network_reaches_both_libraries(self):
        job, said = self.ended(self.submit(FLUX_NETWORK="lo"))
        self.assertEqual(job["ExitCode"], "0:0", said)
        job, said = self.ended(self.submit(FLUX_NETWORK="nowhere0"))
        self.assertNotEqual(job["ExitCode"], "0:0", said)
        self.assertIn("nowhere0", "\n".join(said))
        # OpenMPI ends one rank, with words of its own; srun ends no others.
        self.assertRegex("\n".join(said), r"flux-dist: error: rank \d died \(on .*\)$")

    def test_a_rank_that_is_killed_is_named_once(self):
        number = self.submit("--num-images-per-prompt", 200, "--timeout", "3s")
        self.wait_for(lambda: list(self.out.glob("*.png")), number)
        os.kill(processes_of(self.out)[2], signal.SIGKILL)
        job, said = self.ended(number)
        self.assertIn(job["ExitCode"], ("3:0", "137:0"), said)
        found = errors("\n".join(said))
        self.assertEqual(len(found), 1, said)
        # It was alone on its node: those who wait for it notice. Or not, where nodes cannot have names of their own.
        self.assertRegex(found[0], r"rank 2 (\(n2\) .* 3 s|did not come within 3 s|took nothing for 3 s|died)")

    def test_a_rank_killed_at_a_random_moment_ends_the_job(self):
        """Also while ranks start and while they leave; with one line at most, and nothing that lives on."""
        chance = random.Random(5)
        for _ in range(3):
            rank, moment = chance.randrange(3), chance.uniform(0.2, 4)
            with self.subTest(rank=rank, moment=moment):
                self.out = self.here / f"pictures-{rank}-{moment}"
                number = self.submit("--num-images-per-prompt", 40, "--timeout", "3s", "--startup-timeout", "8s")
                self.wait_for(lambda: processes_of(self.out), number)
                time.sleep(moment)
                struck = processes_of(self.out).get(rank)
                if struck is not None:
                    os.kill(struck, signal.SIGKILL)
                began = time.monotonic()
                job, said = self.ended(number)
                if struck is not None:
                    self.assertLess(time.monotonic() - began, 30, said)
                self.assertIn(job["ExitCode"], ("0:0",) if struck is None else ("3:0", "137:0", "0:9", "0:0"), said)
                self.assertLessEqual(len(errors("\n".join(said))), 1, said)
                self.assertEqual(processes_of(self.out), {})


if __name__ == "__main__":
    main()
