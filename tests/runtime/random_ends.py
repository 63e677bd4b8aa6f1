"""Ends runs of the demo at random moments, in every way a run is started and ended, and checks what is left.
usage: tests/runtime/random_ends.py TRIALS [SEED]      with ctest's environment (FLUX_DIST, FLUX_SOURCE_DIR, PYTHONPATH)"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from runtime.program import DEMO, PROGRAM, errors, journal, mpirun, processes_of

TIMEOUT = 3  # seconds, of a rank that hangs
BOUNDS = {signal.SIGKILL: 8, signal.SIGSTOP: 20, signal.SIGTERM: 6, signal.SIGINT: 6}  # from the blow to the end
CODES = {signal.SIGKILL: {3, 137, -9}, signal.SIGSTOP: {3}, signal.SIGTERM: {1, 143, 3, -15}, signal.SIGINT: {1, 130, 3, -2}}


def in_use(name):
    """Whether a living process, of whatever run, has this shared memory."""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            if name in maps.read_text():
                return True
        except OSError:  # it has ended meanwhile
            continue
    return False


def left_in_shared_memory(before, patience=5):
    """Files of OpenMPI's that nobody has. A launcher takes a moment to put away what is its job's, also another's."""
    end = time.monotonic() + patience
    while True:
        left = [name for name in set(os.listdir("/dev/shm")) - before if "vader" in name and not in_use(name)]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.1)


def has_thread(process, name):
    """"departure" from main on, which speaks of siblings; "mpi" from MPI_Init on: until then a signal that it is told to
    end by ends it without a word."""
    try:
        return any((thread / "comm").read_text() == f"{name}\n" for thread in Path(f"/proc/{process}/task").iterdir())
    except OSError:  # it has ended meanwhile
        return False


class Trial:
    """One run, hit once. `ranks` 0: without a launcher."""

    def __init__(self, chance):
        self.ranks = chance.choice([0, 0, 2, 3, 3, 5])
        self.blow = chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT])
        if self.ranks == 0 and self.blow == signal.SIGSTOP:  # nobody is there who could notice
            self.blow = signal.SIGTERM
        self.rank = chance.randrange(max(1, self.ranks))
        self.everybody = self.blow in (signal.SIGTERM, signal.SIGINT)  # the launcher passes it on
        self.moment = chance.uniform(0.05, 5)
        self.pictures = chance.choice([1, 3, 200])
        self.may_be_silent = False  # nobody is there to speak, or not yet

    def __str__(self):
        whom = "the launcher" if self.everybody else f"rank {self.rank}"
        return f"{self.blow.name} to {whom} of {self.ranks or 'one process'} after {self.moment:.2f} s, {self.pictures} pictures"

    def run(self, folder):
        """What went wrong, in words; empty: nothing."""
        out = Path(folder) / "out"
        before = set(os.listdir("/dev/shm"))
        command = [PROGRAM, "generate", "--model", DEMO, "-p", "a red circle", "--num-images-per-prompt", self.pictures,
                   "--num-inference-steps", 4, "--height", 64, "--width", 64, "--seed", 1, "--device", "cpu",
                   "--output-dir", out, "--timeout", f"{TIMEOUT}s", "--startup-timeout", "8s"]
        with tempfile.TemporaryFile("w+") as said:
            job = subprocess.Popen([str(word) for word in (mpirun(self.ranks) if self.ranks else []) + command],
                                   stdout=subprocess.DEVNULL, stderr=said, text=True)
            struck = self.strike(job, out)
            try:
                code = job.wait(max(BOUNDS[self.blow], 30 if not struck else 0))
            except subprocess.TimeoutExpired:
                for process in processes_of(out).values():
                    os.kill(process, signal.SIGKILL)
                job.kill()
                return f"not ended {BOUNDS[self.blow]} s after the blow"
            time.sleep(0.3)  # the launcher may end before the last of its processes
            said.seek(0)
            return self.judge(out, code, struck, said.read(), left_in_shared_memory(before))

    def strike(self, job, out):
        """Whether there was still somebody to hit."""
        until = time.monotonic() + self.moment
        while time.monotonic() < until and job.poll() is None:
            time.sleep(0.01)
        if job.poll() is not None:
            return False
        try:
            if self.everybody:
                self.may_be_silent = not has_thread(processes_of(out).get(0), "mpi")
                job.send_signal(self.blow)
                return True
            processes = processes_of(out)
            if self.blow == signal.SIGKILL:  # of which the launcher ends the others; of one that stopped they tell later
                others = [process for rank, process in processes.items() if rank != self.rank]
                self.may_be_silent = not any(has_thread(process, "departure") for process in others)
            os.kill(processes[self.rank], self.blow)
            return True
        except (KeyError, ProcessLookupError):  # not there yet, or not any more
            return False

    def judge(self, out, code, struck, said, leftovers):
        if processes_of(out):
            return f"orphans: {processes_of(out)}\n{said}"
        if not struck and code != 0:
            return f"exit code {code} though nothing was done to it\n{said}"
        if code != 0 and code not in CODES[self.blow]:
            return f"exit code {code}\n{said}"
        found = errors(said)
        alone_killed = self.ranks == 0 and self.blow == signal.SIGKILL
        if code != 0 and len(found) != 1 and not (alone_killed or self.may_be_silent and not found):
            return f"{len(found)} lines name an error, exit code {code}\n{said}"
        if code == 0 and found:
            return f"exit code 0 with an error\n{said}"
        if not self.everybody and code != 0 and not alone_killed and found and f"rank {self.rank}" not in found[0]:
            return f"another rank is blamed\n{said}"
        if leftovers:
            return f"left in /dev/shm: {leftovers}"
        return self.judge_folder(out, code)

    def judge_folder(self, out, code):
        """Pictures are whole, and the journal knows every one. Who killed rank 0 gave it no time to tidy up."""
        if not out.exists():
            return ""
        rank_0_killed = self.rank == 0 and self.blow in (signal.SIGKILL, signal.SIGSTOP) and code != 0
        pictures = {picture.name for picture in out.glob("*.png")}
        for name in pictures:
            Image.open(out / name).load()
        if not (out / "journal.jsonl").exists():
            return "pictures without a journal" if pictures else ""
        lines = (out / "journal.jsonl").read_text().splitlines()
        if not rank_0_killed:
            for line in lines:
                json.loads(line)
            done = {line["file"] for line in journal(out) if line["status"] == "drawn"}
            if done != pictures:
                return f"drawn by the journal {sorted(done)}, in the folder {sorted(pictures)}"
            if left := list(out.glob(".*")):
                return f"left in the folder: {left}"
            return ""
        begun = {file for line in lines[:-1] if '"began"' in line for file in json.loads(line)["files"]}
        return "" if pictures <= begun else f"never begun: {pictures - begun}"


def failures(trials, seed):
    chance = random.Random(seed)
    failed = []
    for number in range(trials):
        trial = Trial(chance)
        with tempfile.TemporaryDirectory() as folder:
            wrong = trial.run(folder)
        print(f"{number + 1}/{trials} {trial}: {wrong or 'fine'}", flush=True)
        if wrong:
            failed.append(f"{trial}: {wrong}")
    return failed


if __name__ == "__main__":
    sys.exit(1 if failures(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns()) else 0)
