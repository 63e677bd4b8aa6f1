"""What a job of several processes prints, and how it ends, when a rank fails, stops or dies."""

import os
import pathlib
import re
import subprocess
import time
import unittest

PROGRAM = os.environ.get(
    "FLUX_TEST_PARALLEL_MPI", pathlib.Path(os.environ["FLUX_DIST"]).parent.parent / "tests" / "test_parallel_mpi"
)


def run(fault, ranks=3, launcher=("mpirun", "-q", "--oversubscribe", "--bind-to", "none"), **environment):
    """The lines printed, the exit code and the seconds taken."""
    command = [*launcher, "-n", str(ranks)] if launcher else []
    start = time.monotonic()
    job = subprocess.run(
        [*command, PROGRAM, "--fault", fault],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )
    return job.stdout.splitlines(), job.returncode, time.monotonic() - start


class Faults(unittest.TestCase):
    def expect(self, fault, message, code):
        lines, returned, took = run(fault)
        self.assertEqual(len(lines), 1, lines)
        self.assertRegex(lines[0], message)
        self.assertEqual(returned, code)
        self.assertLess(took, 30)  # the faulty rank would sleep for 60 s

    def test_a_rank_that_never_comes_is_named(self):
        self.expect("never_comes", r"^rank [02]: all_gather: rank 1 did not come within 2 s$", 3)

    def test_a_rank_that_is_stopped_is_named(self):
        self.expect("stops", r"^rank [02]: all_gather: rank 1 did not come within 2 s$", 3)

    def test_a_rank_0_that_is_stopped_is_named_once_by_whoever_noticed(self):
        self.expect("rank_0_stops", r"^rank [12]: all_gather: rank 0 did not come within 2 s$", 3)

    def test_a_rank_that_fails_ends_the_job(self):
        self.expect("fails", r"^rank 1: out of paint$", 3)

    def test_a_killed_rank_is_named_before_the_launcher_ends_the_job(self):
        self.expect("dies", r"^rank 1 died \(on .*\)$", 137)

    def test_a_killed_rank_0_is_named_too(self):
        self.expect("rank_0_dies", r"^rank 0 died \(on .*\)$", 137)

    def test_a_rank_that_leaves_early_waits_for_the_others_only_so_long(self):
        self.expect("leaves_without_the_others", r"^rank 1: leaving: .*ranks 0, 2 did not come within 2 s$", 3)

    def test_waiting_costs_less_than_a_twentieth_of_a_core(self):
        lines, returned, _ = run("idles")
        self.assertEqual(returned, 0, lines)
        shares = [float(share) for share in re.findall(r"used ([0-9.]+) of a core", "\n".join(lines))]
        self.assertEqual(len(shares), 3, lines)
        self.assertLess(max(shares), 0.05)

    def test_processes_that_do_not_find_each_other_are_refused_once(self):
        for variables in ({"SLURM_STEP_NUM_TASKS": "3", "SLURM_PROCID": "0"}, {"PMI_SIZE": "3", "PMI_RANK": "0"}):
            lines, returned, _ = run("idles", launcher=(), **variables)
            self.assertEqual(returned, 2)
            self.assertRegex("\n".join(lines), "^3 processes were started, but .* alone: .*srun --mpi=pmix.*mpirun of Open MPI")


if __name__ == "__main__":
    unittest.main()
