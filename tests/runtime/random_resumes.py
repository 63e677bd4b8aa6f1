"""Ends a run of the demo at random moments, in every way, and goes on with it on another number of ranks each time, until
all is drawn: nothing is lost, nothing drawn twice, and every file is that of the undisturbed run.
usage: tests/runtime/random_resumes.py BLOWS [SEED]      with ctest's environment (FLUX_DIST, FLUX_SOURCE_DIR, PYTHONPATH)"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from runtime.program import DEMO, PROGRAM, journal, mpirun, processes_of, run

CAPTIONS = ["a red circle", "a blue square", "two green triangles", "a yellow circle on black"]
DRAWN = [PROGRAM, "generate", "--model", DEMO, "--num-images-per-prompt", 3, "--num-inference-steps", 12, "--height", 96,
         "--width", 96, "--seed", 1, "--device", "cpu", "--threads", 1, "--timeout", "5s", "--startup-timeout", "10s"]
DRAINED = 75
KILL, TERM, DRAIN = signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1


def draw(folder, prompts, ranks, *flags):
    command = (mpirun(ranks) if ranks else []) + DRAWN + ["--prompts", prompts, "--output-dir", folder, *flags]
    return subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


class Campaign:
    """One run, gone on with until it is complete."""

    def __init__(self, folder, chance):
        self.chance = chance
        self.folder = Path(folder)
        self.out = self.folder / "out"
        self.prompts = self.folder / "prompts.txt"
        self.prompts.write_text("\n".join(CAPTIONS) + "\n")

    def start(self, set_aside):
        """set_aside: only requests are left of which our blows killed ranks twice."""
        self.ranks = self.chance.choice([0, 2, 3, 4, 6])
        return draw(self.out, self.prompts, self.ranks, "--resume", *(["--retry-poisoned"] if set_aside else []))

    def strike(self, job):
        """Somebody is hit at some moment: a rank, the launcher, all. How, in words; empty: the run was over before."""
        blow = self.chance.choice([KILL, KILL, TERM, DRAIN])
        time.sleep(self.chance.choice([self.chance.uniform(0, 1), self.chance.uniform(0.5, 2.5)]))
        if job.poll() is not None:
            return ""
        found = processes_of(self.out)
        if blow == KILL and found and self.chance.random() < 0.7:
            rank = self.chance.choice(sorted(found))
            try:
                os.kill(found[rank], KILL)
            except ProcessLookupError:
                return ""
            return f"SIGKILL to rank {rank} of {self.ranks}"
        job.send_signal(blow)
        return f"{blow.name} to {'the launcher of ' if self.ranks else ''}{self.ranks or 'one process'}"

    def ended(self, job):
        said = job.communicate(timeout=30)[1]
        deadline = time.monotonic() + 10
        while processes_of(self.out):  # a killed launcher does not wait for its ranks
            if time.monotonic() > deadline:
                raise AssertionError(f"orphans: {processes_of(self.out)}\n{said}")
            time.sleep(0.05)
        return said

    def judge(self, blow, code, said):
        """Between two starts: what is drawn is drawn once, and whole."""
        set_aside = code == 1 and "set aside: ranks failed" in said  # by itself, or before the blow came
        if blow and "SIGUSR1" in blow and code not in (0, DRAINED, -DRAIN, 128 + DRAIN) and not set_aside:
            raise AssertionError(f"{blow}: exit code {code}\n{said}")
        if not blow and code != 0 and not set_aside:
            raise AssertionError(f"exit code {code} though nothing was done to it\n{said}")
        if not (self.out / "journal.jsonl").exists():
            return
        text = (self.out / "journal.jsonl").read_text()
        whole = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        drawn = Counter(line.split('"file":"')[1].split('"')[0] for line in whole if '"status":"drawn"' in line)
        if twice := [file for file, times in drawn.items() if times > 1]:
            raise AssertionError(f"{blow}: drawn twice: {twice}")
        if lost := [file for file in drawn if not (self.out / file).exists()]:
            raise AssertionError(f"{blow}: lost: {lost}")

    def complete(self, expected):
        """The files of the undisturbed run, byte for byte, and nothing beside them."""
        found = {path.name: path.read_bytes() for path in self.out.glob("*.png")}
        if found != expected:
            raise AssertionError(f"other pictures: {sorted(found)}, or other bytes in them")
        if len([line for line in journal(self.out) if line["status"] == "drawn"]) != len(expected):
            raise AssertionError("another number of pictures in the journal")
        if hidden := [path.name for path in self.out.glob(".*")]:
            raise AssertionError(f"left in the folder: {hidden}")


def undisturbed():
    with tempfile.TemporaryDirectory() as folder:
        prompts = Path(folder) / "prompts.txt"
        prompts.write_text("\n".join(CAPTIONS) + "\n")
        result = run(DRAWN + ["--prompts", prompts, "--output-dir", Path(folder) / "out"])
        assert result.returncode == 0, result.stderr
        return {path.name: path.read_bytes() for path in (Path(folder) / "out").glob("*.png")}


def survive(blows, seed):
    """Runs as many campaigns as so many blows take. Throws at what is wrong."""
    chance = random.Random(seed)
    expected = undisturbed()
    struck = 0
    while struck < blows:
        with tempfile.TemporaryDirectory() as folder:
            campaign = Campaign(folder, chance)
            set_aside = False
            while True:
                job = campaign.start(set_aside)
                blow = campaign.strike(job) if struck < blows else ""
                said = campaign.ended(job)
                struck += bool(blow)
                print(f"{struck}/{blows} {blow or 'undisturbed'}: {job.returncode}, "
                      f"{len(list(campaign.out.glob('*.png')))} of {len(expected)}", flush=True)
                campaign.judge(blow, job.returncode, said)
                set_aside = not blow and job.returncode == 1
                if job.returncode == 0:
                    break
            campaign.complete(expected)


if __name__ == "__main__":
    survive(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns())
