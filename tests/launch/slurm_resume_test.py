"""Jobs of launch/slurm/generate.sbatch that go on by themselves, in a real Slurm: what ends them early, and that nothing
is lost or drawn twice."""

import os
import signal
import time
from pathlib import Path

from launch.slurm_jobs import UNDER_WAY, SlurmJobs, main
from runtime.program import journal, journal_lines, processes_of


class SlurmResume(SlurmJobs):
    pictures = 24  # in all

    def start(self, slurm=()):
        """A job that has drawn some pictures when this returns."""
        number = self.submit("--num-images-per-prompt", self.pictures // 2, "--timeout", "5s", slurm=slurm)
        self.wait_for(lambda: len(list(self.out.glob("*.png"))) >= 3, number)
        return number

    def go_on(self, number):
        """Until the job has ended for good."""
        self.wait_for(lambda: self.cluster.job(number)["JobState"] not in UNDER_WAY, number, patience=240)
        return self.ended(number)

    def complete(self, number):
        """It goes on, and then everything is drawn, once."""
        job, said = self.go_on(number)
        self.assertEqual((job["JobState"], job["ExitCode"]), ("COMPLETED", "0:0"), said)
        self.assertGreaterEqual(int(job["Restarts"]), 1)
        self.assertEqual(sorted(line["index"] for line in journal(self.out)), list(range(self.pictures)))
        self.assertEqual(len(list(self.out.glob("*.png"))), self.pictures)
        self.assertEqual(list(self.out.glob(".*")), [])
        self.assertEqual(list(self.here.glob("*.tries")), [])
        self.assertEqual(processes_of(self.out), {})
        return said

    def endings(self):
        return [line["exit_code"] for line in journal_lines(self.out) if line["event"] == "end"]

    def test_drains_before_its_time_is_up(self):
        self.pictures = 300  # for more than the half minute that may pass before the signal
        number = self.start(slurm=("--time=2", "--signal=B:USR1@88"))  # Slurm looks every 30 s, and acts 30 s ahead
        said = self.complete(number)
        drained = self.endings()[:-1]
        self.assertEqual(drained, [75] * len(drained))
        self.assertIn("drained (SIGUSR1)", "\n".join(said))

    def test_told_to_drain_before_its_ranks_start(self):
        slow, asked = self.here / "slow" / "flux-dist", self.here / "asked"
        slow.parent.mkdir()
        slow.write_text(f'#!/bin/sh\n[ "$1" = --help ] && touch {asked} && sleep 3\nexec {self.installed}/bin/flux-dist "$@"\n')
        slow.chmod(0o755)
        number = self.submit("--num-images-per-prompt", self.pictures // 2, slurm=(),
                             PATH=f"{slow.parent}:{self.cluster.environment['PATH']}")
        self.wait_for(asked.exists, number)
        self.cluster.run("scancel", "--batch", "--signal=USR1", number)
        self.complete(number)
        self.assertEqual(self.endings()[-1], 0)

    def test_a_rank_that_is_killed(self):
        number = self.start()
        os.kill(processes_of(self.out)[2], signal.SIGKILL)
        self.complete(number)

    def test_a_node_that_goes_down(self):
        number = self.start()
        self.cluster.run("scontrol", "update", "NodeName=n2", "State=DOWN", "Reason=test")
        self.wait_for(lambda: not processes_of(self.out), number)
        self.cluster.run("scontrol", "update", "NodeName=n2", "State=RESUME")
        self.complete(number)

    def test_another_job_that_is_more_urgent(self):
        number = self.start()
        urgent = self.cluster.run("sbatch", "--parsable", "--partition=urgent", "--nodes=2", "--exclusive",
                                  f"--chdir={self.here}", "--wrap", "sleep 1").stdout.strip()
        self.wait_for(lambda: self.cluster.job(urgent)["JobState"] == "COMPLETED", number)
        self.complete(number)

    def test_one_that_is_cancelled_stays_ended(self):
        number = self.start()
        self.cluster.run("scancel", number)
        job, said = self.ended(number)
        self.assertEqual((job["JobState"], job["Restarts"]), ("CANCELLED", "0"), said)
        self.wait_for(lambda: not processes_of(self.out), number)
        self.assertLess(len(journal(self.out)), self.pictures)

    def test_an_array_draws_every_prompt_once_and_shows_all(self):
        number = self.submit("--num-images-per-prompt", 2, slurm=("--array=1-2",))
        for task in (1, 2):
            job, said = self.ended(f"{number}_{task}")
            self.assertEqual((job["JobState"], job["ExitCode"]), ("COMPLETED", "0:0"), said)
        gallery = (self.out / "index.html").read_text()
        drawn = []
        for part in (1, 2):
            folder = self.out / f"part-{part}-of-2"
            drawn += [line["index"] for line in journal(folder)]
            for picture in folder.glob("*.png"):
                self.assertIn(f'src="{folder.name}/{picture.name}"', gallery)
        self.assertEqual(sorted(drawn), [0, 1, 2, 3])

    def test_three_starts_without_a_picture_are_enough(self):
        # Nothing takes less, and a request that was blamed twice is not set aside.
        number = self.submit("--timeout", "1ms", "--retry-poisoned", slurm=())
        job, said = self.go_on(number)
        self.check_that_it_was_given_up(job, said)

    def test_ranks_that_srun_cannot_start_are_no_pictures_that_failed(self):
        job, said = self.go_on(self.submit(slurm=(), SLURM_CPU_BIND="nonsense"))
        self.check_that_it_was_given_up(job, said)

    def test_pictures_that_failed_are_not_tried_again(self):
        with (self.here / "prompts.jsonl").open("a") as prompts:
            prompts.write('\n{"prompt": "a red circle", "height": 7}\n')
        job, said = self.go_on(self.submit(slurm=()))
        self.assertEqual((job["JobState"], job["ExitCode"], job["Restarts"]), ("FAILED", "1:0", "0"), said)
        self.assertEqual(len(list(self.out.glob("*.png"))), 2)

    def check_that_it_was_given_up(self, job, said):
        self.assertEqual((job["JobState"], job["ExitCode"], job["Restarts"]), ("FAILED", "3:0", "2"),
                         f'{Path(job["StdOut"]).read_text()}\n{self.cluster.log_of(job["JobId"])}')
        self.assertIn("3 starts without a new picture: not queued again", said[-1])
        self.assertEqual(list(self.here.glob("*.tries")), [])


if __name__ == "__main__":
    main()
