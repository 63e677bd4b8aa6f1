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
        self.names = set()  # of the job, as OpenMPI writes them in hexadecimal
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
            of = dict(v.split("=", 1) for v in variables if "=" in v)
            if of.get("PMIX_NAMESPACE", "").isdigit():
                self.names.add(f"{int(of['PMIX_NAMESPACE']):x}")
            rank = [of["OMPI_COMM_WORLD_RANK"]] if "OMPI_COMM_WORLD_RANK" in of else []
            found.append((int(number), int(rank[0]) if rank else None))
        return found

    def ranks(self):
        """The numbers of their processes."""
        return {rank: number for number, rank in self.processes() if rank is not None}

    def signal(self, rank, signal):
        """To the rank, once it is there; False when the job is over before."""
        while self.process.poll() is None:
            if number := self.ranks().get(rank):
                os.kill(number, signal)
                return True
            time.sleep(0.01)
        return False

    def in_main(self):
        """The ranks that are loaded, and so know what happens to them."""
        names = {rank: pathlib.Path("/proc", str(number), "task").glob("*/comm") for rank, number in self.ranks().items()}
        try:
            return {rank for rank, threads in names.items() if "departure\n" in [each.read_text() for each in threads]}
        except OSError:
            return set()

    def end(self, timeout=100):
        """The lines printed, the exit code and the seconds taken since it began."""
        output, _ = self.process.communicate(timeout=timeout)
        # libevent, inside of mpirun, warns of connections that break.
        lines = [line for line in output.splitlines() if not line.startswith("[warn] Epoll")]
        return lines, self.process.returncode, time.monotonic() - self.began

    def left_behind(self, patience=3):
        """Processes and shared memory, once the launcher has had a moment to put away what is its own."""
        end = time.monotonic() + patience
        while True:
            left = self.processes(), [f for f in os.listdir("/dev/shm") if any(f".{name}." in f for name in self.names)]
            if left == ([], []) or time.monotonic() > end:
                return left
            time.sleep(0.1)
