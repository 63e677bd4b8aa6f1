"""What a job of several processes prints, and how it ends, when a rank fails, stops or dies."""

import contextlib
import os
import random
import signal
import tempfile
import time
import unittest

from parallel.jobs import PROGRAM, WITH_NCCL, WITH_SANITIZERS, Job
from side_by_side import SideBySide, alone


class OneLine(unittest.TestCase):
    """One line says who is at fault, and the job ends."""

    program = WITH_SANITIZERS

    def job(self, fault, **options):
        return Job("--fault", fault, program=self.program, **options)

    def expect(self, fault, message, code, **options):
        job = self.job(fault, **options)
        lines, returned, took = job.end()
        self.assertEqual(len(lines), 1, lines)
        self.assertRegex(lines[0], message)
        self.assertEqual(returned, code)
        self.assertLess(took, 55)  # the faulty rank would sleep for 60 s
        self.assertEqual(job.left_behind()[0], [])


class Faults(OneLine):
    def test_a_rank_that_never_comes_is_named(self):
        self.expect("never_comes", r"^rank [02]: all_gather: rank 1 did not come within 2 s$", 3)

    def test_a_rank_that_is_stopped_is_named(self):
        self.expect("stops", r"^rank [02]: all_gather: rank 1 did not come within 2 s$", 3)

    def test_a_rank_0_that_is_stopped_is_named_once_by_whoever_noticed(self):
        self.expect("rank_0_stops", r"^rank [12]: all_gather: rank 0 did not come within 2 s$", 3)

    def test_a_rank_that_was_stopped_blames_nobody_when_it_is_woken(self):
        self.expect("stops_while_it_waits", r"^rank [02]: all_gather: rank 1 did not come within 2 s$", 3)

    def test_a_rank_that_is_stopped_is_named_by_the_one_that_knows(self):
        self.expect("stops_in_a_broadcast", r"^rank 0: broadcast: rank 1 did not come within 2 s$", 3)

    def test_a_rank_that_fails_ends_the_job(self):
        self.expect("fails", r"^rank 1: out of paint$", 3)

    def test_what_is_invalid_on_one_rank_is_2_for_the_job(self):
        self.expect("is_invalid", r"^rank 1: no such model$", 2)

    def test_an_exception_that_nobody_catches_names_rank_and_thread(self):
        self.expect("throws_in_a_thread", r"^rank 1: thread painter: out of paint$", 3)

    @unittest.skipUnless(WITH_NCCL, "built without NCCL")
    def test_an_nccl_that_cannot_start_says_why(self):
        self.expect("joins_cards", r"^rank 0: group: NCCL: .*no socket interface", 3, NCCL_SOCKET_IFNAME="nowhere0")

    @alone
    def test_a_killed_rank_is_named_before_the_launcher_ends_the_job(self):
        self.expect("dies", r"^rank 1 died \(on .*\)$", 137)

    @alone
    def test_a_killed_rank_0_is_named_too(self):
        self.expect("rank_0_dies", r"^rank 0 died \(on .*\)$", 137)

    def test_a_rank_that_leaves_early_waits_for_the_others_only_so_long(self):
        self.expect("leaves_without_the_others", r"^rank 1: leaving: .*rank 0 did not come within 2 s$", 3)

    def test_a_message_that_stops_half_way_is_received_into_memory_that_stays(self):
        # Otherwise rank 0 dies of writing to memory that it has given back.
        self.expect("stops_half_way", r"^rank 0: receive: rank 1 stopped half way through a message for 1 s$", 3, ranks=2,
                    OMPI_MCA_btl_vader_single_copy_mechanism="none")

    def test_a_header_that_stops_half_way_has_a_deadline(self):
        self.expect("stops_in_a_header", r"^rank 0: receive: rank 1 stopped half way through a message for 1 s$", 3, ranks=2,
                    OMPI_MCA_btl_vader_single_copy_mechanism="none")


class AllRanksOfAHost(OneLine):
    """Stopped together, as a host that is suspended or a container that is frozen, and woken together."""

    def stop_and_wake(self, ranks, seconds):
        job = self.job("meets_for_longer")
        while len(job.with_thread("meeting")) < 3:
            time.sleep(0.02)
        numbers = [job.ranks()[rank] for rank in ranks]
        for number in numbers:
            os.kill(number, signal.SIGSTOP)
        time.sleep(seconds)
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):  # the launcher has ended it
                os.kill(number, signal.SIGCONT)
        lines, returned, took = job.end()
        self.assertLess(took, 30)
        self.assertEqual(job.left_behind(), ([], []))
        return lines, returned

    def test_a_job_goes_on_when_all_of_it_is_woken(self):
        self.assertEqual(self.stop_and_wake([0, 1, 2], 4), ([], 0))

    def test_those_that_another_host_waited_for_are_named_once(self):
        lines, returned = self.stop_and_wake([1, 2], 4)
        self.assertEqual(len(lines), 1, lines)
        self.assertRegex(lines[0], r"^rank 0: all_gather: (rank [12]|ranks 1, 2) did not come within 2 s$")
        self.assertEqual(returned, 3)

    def test_they_do_not_blame_the_coordinator_that_went_without_them(self):
        lines, returned = self.stop_and_wake([0, 1], 4)
        self.assertEqual(len(lines), 1, lines)
        self.assertRegex(lines[0], r"^rank 2: all_gather: (rank [01]|ranks 0, 1) did not come within 2 s$")
        self.assertEqual(returned, 3)


class StartAndEnd(OneLine):
    """Where MPI waits for all ranks and cannot say for whom. Without sanitizers, which take a second to start."""

    program = PROGRAM

    @alone
    def test_a_rank_that_stops_before_it_has_started_is_named(self):
        self.expect("stops_before_it_starts",
                    r"^rank 1 stopped \(on .*\): the ranks did not find each other within 2 s \(--startup-timeout\)$", 3)

    @alone
    def test_a_rank_that_never_starts_is_named(self):
        self.expect("never_starts",
                    r"^rank 1 did not come to MPI_Init \(on .*\): the ranks did not find each other within 3 s "
                    r"\(--startup-timeout\)$", 3)

    def test_a_rank_that_was_not_seen_for_a_moment_has_not_died(self):
        """As one that is replaced by its program while another looks. It is slow then, for longer than a death takes to
        be told of."""
        unseen = 'export -p >"$0"; exec env -i sh -c \'sleep 1; . "$0"; exec "$@"\' "$0" "$@"'
        with tempfile.NamedTemporaryFile() as variables:
            job = Job("-c", f'[ "$OMPI_COMM_WORLD_RANK" != 1 ] || {{ {unseen}; }}; exec "$@"', variables.name,
                      self.program, "--fault", "comes_late", program="sh")
            self.assertEqual(job.end()[:2], ([], 0))

    @alone
    def test_a_rank_that_is_killed_before_it_has_started_is_named(self):
        self.expect("dies_before_it_starts", r"^rank 1 died \(on .*\)$", 137)

    def test_a_rank_that_stops_after_the_end_is_named(self):
        self.expect("stops_after_the_end",
                    r"^rank 1 stopped \(on .*\): the ranks did not part within 2 s \(--timeout\)$", 3)

    def test_a_rank_that_stops_where_mpi_is_over_is_named(self):
        self.expect("stops_once_parted", r"^rank 1 stopped \(on .*\): the ranks did not end within 2 s \(--timeout\)$", 3)

    @alone
    def test_a_rank_that_is_killed_after_the_end_is_named(self):
        self.expect("dies_after_the_end", r"^rank 1 died \(on .*\)$", 137)

    @alone
    def test_a_job_that_is_told_to_end_while_it_starts_does(self):
        job = self.job("is_awaited")
        while job.with_thread("mpi") < {0, 2}:
            time.sleep(0.05)
        time.sleep(0.5)
        job.process.send_signal(signal.SIGTERM)
        lines, returned, took = job.end()
        self.assertEqual(lines, ["told to end (SIGTERM)"])
        self.assertNotEqual(returned, 0)
        self.assertLess(took, 20)

    @alone
    def test_a_rank_that_was_only_slow_says_that_it_was_told_to_end(self):
        job = self.job("is_awaited")
        while job.with_thread("mpi") < {0, 2}:
            time.sleep(0.05)
        job.starve(0, "departure", 1.5)
        job.process.send_signal(signal.SIGTERM)
        lines, _, _ = job.end()
        self.assertEqual(lines, ["told to end (SIGTERM)"])

    @alone
    def test_a_job_whose_launcher_is_killed_ends_and_leaves_nothing(self):
        job = self.job("meets_for_ever")
        while len(job.with_thread("mpi")) < 3:
            time.sleep(0.05)
        time.sleep(1)
        job.process.kill()
        job.end()
        self.assertEqual(job.left_behind(patience=10), ([], []))

    def test_processes_that_do_not_find_each_other_are_refused_once(self):
        for variables in ({"SLURM_STEP_NUM_TASKS": "3", "SLURM_PROCID": "0"}, {"PMI_SIZE": "3", "PMI_RANK": "0"}):
            lines, returned, _ = self.job("nothing", launcher=(), **variables).end()
            self.assertEqual(returned, 2)
            self.assertRegex("\n".join(lines), "^3 processes were started, but .* alone: .*srun --mpi=pmix.*mpirun of Open MPI")


class AtAnyMoment(unittest.TestCase):
    """A rank is killed or stopped at any moment, once all have begun, of a job that takes some seconds."""

    def disturb(self, rank, what, after):
        job = Job("--fault", "meets_for_a_while")
        while len(job.with_thread("departure")) < 3 and job.process.poll() is None:
            time.sleep(0.02)
        time.sleep(after)
        struck = time.monotonic()
        there = job.signal(rank, what)
        time.sleep(0.2)
        witnesses = job.with_thread("departure") - {rank}  # nobody, if it was the last to leave
        if there and what == signal.SIGSTOP:
            self.wake_once_alone(job, rank)
        lines, returned, _ = job.end()
        took = time.monotonic() - struck
        case = f"{what.name} to rank {rank} after {after:.2f} s: {lines}"
        processes, memory = job.left_behind()
        self.assertEqual(processes, [], case)
        self.assertEqual(memory, [], case)
        if not there or (returned == 0 and not lines):
            return  # it had done its work
        self.assertLess(took, 20, case)
        self.assertLessEqual(len(lines), 1, case)
        if witnesses or what == signal.SIGSTOP:
            self.assertRegex("".join(lines), f"^(rank .: .*)?rank {rank} ", case)
        self.assertIn(returned, (137 if what == signal.SIGKILL else 3, -signal.SIGSEGV), case)  # -11: mpirun's own

    def wake_once_alone(self, job, rank):
        """Whoever stops after all others have gone has nobody to name it."""
        while job.process.poll() is None:
            there = job.ranks()
            if set(there) == {rank}:
                os.kill(there[rank], signal.SIGCONT)
                return
            time.sleep(0.05)

    @alone
    def test_a_rank_that_is_killed_is_named(self):
        moments = random.Random(1)
        for rank in (0, 1, 2):
            self.disturb(rank, signal.SIGKILL, moments.uniform(0.5, 2))

    def test_a_rank_that_is_stopped_is_named(self):
        moments = random.Random(2)
        for rank in (0, 1, 2):
            self.disturb(rank, signal.SIGSTOP, moments.uniform(0.5, 2))


def load_tests(_loader, tests, _pattern):
    return SideBySide(tests)


if __name__ == "__main__":
    unittest.main()
