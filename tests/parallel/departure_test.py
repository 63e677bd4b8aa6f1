"""How a process of one rank ends, whatever its threads do."""

import os
import signal
import subprocess
import tempfile
import time
import unittest

from parallel.jobs import PROGRAM, Job


class Departure(unittest.TestCase):
    def expect(self, name, line, code):
        job = Job("--lone", name, program=PROGRAM, launcher=())
        lines, returned, took = job.end()
        self.assertEqual(lines, [line])
        self.assertEqual(returned, code)
        self.assertLess(took, 20)  # its threads would take 60 s

    def test_it_does_not_wait_for_a_thread_that_hangs(self):
        self.expect("hangs", "rank 0: the card hangs", 3)

    def test_the_exit_code_is_that_of_the_ending(self):
        self.expect("is_invalid", "no such model", 2)

    def test_the_earliest_deadline_counts(self):
        self.expect("is_late", "too late", 3)

    def test_memory_that_runs_out_is_one_line(self):
        self.expect("runs_out_of_memory", "rank 0: thread painter: out of memory", 3)

    def test_threads_that_run_out_are_one_line(self):
        self.expect("runs_out_of_threads", "rank 0: thread painter: thread sleeper cannot start: Resource temporarily "
                    "unavailable (limits of processes: ulimit -u, containers)", 3)

    def test_a_library_that_ends_the_process_is_one_line(self):
        self.expect("is_ended_by_a_library", "rank 0: thread painter: a library ended the process", 3)

    def test_it_does_not_wait_for_a_reader(self):
        reads, writes = os.pipe()
        job = subprocess.Popen([PROGRAM, "--lone", "cannot_flush"], stdout=writes, stderr=subprocess.PIPE, text=True)
        self.assertEqual(job.communicate(timeout=20)[1], "too late\n")
        self.assertEqual(job.returncode, 3)
        os.close(reads)
        os.close(writes)

    def test_what_is_written_to_closed_descriptors_lands_nowhere(self):
        for closed in (">&-", "2>&-", "<&- >&- 2>&-"):
            with self.subTest(closed), tempfile.TemporaryDirectory() as folder:
                job = subprocess.run(["bash", "-c", f'exec "$0" --lone writes {closed}', PROGRAM], cwd=folder,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
                self.assertEqual(job.returncode, 0)
                with open(os.path.join(folder, "journal")) as journal:
                    self.assertEqual(journal.read(), "mine\n")

    def signalled(self, name, *signals):
        """What is printed after "ready", and the exit code."""
        job = Job("--lone", name, program=PROGRAM, launcher=())
        self.assertEqual(job.process.stdout.readline(), "ready\n")
        for each in signals:
            job.process.send_signal(each)
            time.sleep(1.5)
        lines, returned, took = job.end()
        self.assertLess(took, 20)
        return lines, returned

    def test_a_signal_that_nobody_answers_ends_it(self):
        self.assertEqual(self.signalled("sleeps", signal.SIGTERM), ([], 143))
        self.assertEqual(self.signalled("sleeps", signal.SIGINT), ([], 130))

    def test_a_signal_that_is_not_answered_in_time_ends_it(self):
        self.assertEqual(self.signalled("sleeps_and_asked_for_time", signal.SIGTERM),
                         (["told to end (SIGTERM)", "put away"], 143))

    def test_it_knows_that_it_was_stopped(self):
        self.assertEqual(self.signalled("is_stopped", signal.SIGSTOP, signal.SIGCONT), (["was stopped"], 0))


if __name__ == "__main__":
    unittest.main()
