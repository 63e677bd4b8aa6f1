"""Jobs of test_parallel_mpi: starting them, disturbing their ranks, and what they leave behind."""

import ctypes
import os
import pathlib
import re
import subprocess
import time
import unittest

PROGRAM = pathlib.Path(os.environ["FLUX_DIST"]).parent.parent / "tests" / "test_parallel_mpi"
WITH_SANITIZERS = f"{PROGRAM}_address"
WITH_NCCL = "libnccl" in subprocess.run(["ldd", PROGRAM], capture_output=True, text=True).stdout
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17  # <sys/ptrace.h>
WAIT_ALL = 0x40000000  # __WALL
MPIRUN = ("mpirun", "-q", "--oversubscribe", "--bind-to", "none")


class Job:
    """A job under way. mark: an environment variable by which its processes are found."""

    def __init__(self, *arguments, program=WITH_SANITIZERS, ranks=3, launcher=MPIRUN, **environment):
        self.mark = f"FLUX_TEST_JOB={os.getpid()}-{time.monotonic_ns()}"
        name, value = self.mark.split("=")
        command = [*launcher, "-n", str(ranks), "-x", name] if launcher else []
        self.size = ranks
        self.names = set()  # of the job, as OpenMPI writes them in hexadecimal
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*command, program, *arguments],
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0", name: value, **environment},
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
        """To the rank, once all are there; False when the job is over before."""
        while self.process.poll() is None:
            ranks = self.ranks()
            if len(ranks) == self.size:  # until then the launcher itself would wait for the rank
                os.kill(ranks[rank], signal)
                return True
            time.sleep(0.01)
        return False

    def with_thread(self, name):
        """The ranks with a thread of that name: "departure" from main on, "mpi" from MPI_Init on."""
        threads = {rank: pathlib.Path("/proc", str(number), "task") for rank, number in self.ranks().items()}
        try:
            return {r for r, tasks in threads.items() if f"{name}\n" in [t.read_text() for t in tasks.glob("*/comm")]}
        except OSError:
            return set()

    def starve(self, rank, name, seconds):
        """A thread of the rank does not run for so long, and no signal tells of it; it then has run again for a moment.
        Skips the test without ptrace."""
        tasks = pathlib.Path("/proc", str(self.ranks()[rank]), "task")
        thread = next(int(task.name) for task in tasks.iterdir() if (task / "comm").read_text() == f"{name}\n")
        ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
        if ptrace(PTRACE_SEIZE, thread, None, None) != 0 or ptrace(PTRACE_INTERRUPT, thread, None, None) != 0:
            raise unittest.SkipTest(f"ptrace: {os.strerror(ctypes.get_errno())}")
        os.waitpid(thread, WAIT_ALL)
        time.sleep(seconds)
        pauses = self.pauses(rank, thread)
        ptrace(PTRACE_DETACH, thread, None, None)
        while self.pauses(rank, thread) < pauses + 2:
            time.sleep(0.01)

    def pauses(self, rank, thread):
        """How often the thread has gone to sleep of itself."""
        status = pathlib.Path("/proc", str(self.ranks()[rank]), "task", str(thread), "status").read_text()
        return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status, re.MULTILINE)[1])

    def end(self, timeout=100):
        """The lines printed, the exit code and the seconds taken since it began."""
        output, _ = self.process.communicate(timeout=timeout)
        # What mpirun says of itself: its libevent warns of connections that break, and OpenMPI 4.1.4's can crash when
        # ranks end within MPI_Init (PMIx_server_finalize); it has ended the ranks by then.
        own = ("[warn] Epoll", f":{self.process.pid:05}] ")
        lines = [line for line in output.splitlines() if not any(words in line for words in own)]
        return lines, self.process.returncode, time.monotonic() - self.began

    def left_behind(self, patience=3):
        """Processes and shared memory, once the launcher has had a moment to put away what is its own."""
        end = time.monotonic() + patience
        while True:
            left = self.processes(), [f for f in os.listdir("/dev/shm") if any(f".{name}." in f for name in self.names)]
            if left == ([], []) or time.monotonic() > end:
                return left
            time.sleep(0.1)
