"""Jobs of test_parallel_mpi: starting them, disturbing their ranks, and what they leave behind."""

import os
import pathlib
import subprocess
import time

PROGRAM = os.environ.get(
    "FLUX_TEST_PARALLEL_MPI", pathlib.Path(os.environ["FLUX_DIST"]).parent.parent / "tests" / "test_parallel_mpi"
)
MPIRUN = ("mpirun", "-q", "--oversubscribe", "--bind-to", "none")


class Job:
    """A job under way. mark: an environment variable by which its processes are found."""

    def __init__(self, *arguments, ranks=3, launcher=MPIRUN, **environment):
        self.mark = f"FLUX_TEST_JOB={os.getpid()}-{time.monotonic_ns()}"
        name, value = self.mark.split("=")
        command = [*launcher, "-n", str(ranks), "-x", name] if launcher else []
        self.shared_memory = set(os.listdir("/dev/shm"))
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*command, PROGRAM, *arguments],
            env={**os.environ, name: value, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def processes(self):
        """(number, rank or None) of those that live."""
        found = []
        for number in filter(str.isdigit, os.listdir("/proc")):
            try:
                variables = pathlib.Path("/proc", number, "environ").read_bytes().decode(errors="replace").split("\0")
                state = pathlib.Path("/proc", number, "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if self.mark not in variables or state in "ZX":
                continue
            rank = [v.partition("=")[2] for v in variables if v.startswith("OMPI_COMM_WORLD_RANK=")]
            found.append((int(number), int(rank[0]) if rank else None))
        return found

    def signal(self, rank, signal):
        """To the rank, once it is there; False when the job is over before."""
        while self.process.poll() is None:
            for number, its_rank in self.processes():
                if its_rank == rank:
                    os.kill(number, signal)
                    return True
            time.sleep(0.01)
        return False

    def end(self, timeout=100):
        """The lines printed, the exit code and the seconds taken since it began."""
        output, _ = self.process.communicate(timeout=timeout)
        return output.splitlines(), self.process.returncode, time.monotonic() - self.began

    def left_behind(self, patience=3):
        """Processes and shared memory, once the launcher has had a moment to put away what is its own."""
        end = time.monotonic() + patience
        while True:
            left = self.processes(), sorted(set(os.listdir("/dev/shm")) - self.shared_memory)
            if left == ([], []) or time.monotonic() > end:
                return left
            time.sleep(0.1)
