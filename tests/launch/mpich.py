"""Another MPI: in a folder that is built with Open MPI, Debian's mpich takes its place. That compiles parallel/ alone, and
the program draws the same pictures and ends as it should.
usage: FLUX_VENV=VENV VENV/bin/python tests/launch/mpich.py     FLUX_BUILD as launch/setup.sh has it. Needs Debian's mpich
and libmpich-dev, which leave mpicc and mpirun as they are. Minutes of building, so that tests/run.sh leaves it out."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(f"{os.environ.get('FLUX_BUILD', SOURCE / 'build')}-mpich")
VENV = Path(sys.executable).parent
PROGRAM = BUILD / "launch/flux-dist"
DEMO = ["--config", SOURCE / "configs/demo.textproto", "--threads", "1"]
MARK = f"FLUX_TEST_JOB={os.getpid()}"
NEEDED = ["mpicc.mpich", "mpiexec.mpich", "mpicc.openmpi", "mpirun.openmpi"]


def openmpi(ranks):
    return ["mpirun.openmpi", "-q", "--oversubscribe", "--bind-to", "none", "-n", ranks]


def mpich(ranks):
    return ["mpiexec.mpich", "-n", ranks]


def environment():
    return {**os.environ, "PATH": f"{VENV}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", **dict([MARK.split("=")])}


def start(*command):
    return subprocess.Popen([str(word) for word in command], env=environment(), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(*command):
    """Exit code, output and errors."""
    job = start(*command)
    output, said = job.communicate(timeout=3000)
    return job.returncode, output, said


def build(mpicc):
    """The objects that were compiled."""
    for command in (["cmake", "-G", "Ninja", "-S", SOURCE, "-B", BUILD, "-UMPI_*", f"-DMPI_C_COMPILER={mpicc}",
                     f"-DFLUX_VENV={VENV.parent}", "-DFLUX_CUDA=OFF", "-DBUILD_TESTING=OFF"],
                    ["cmake", "--build", BUILD, "--verbose", "--target", "flux-dist"]):
        code, output, said = run(*command)
        if code != 0:
            sys.exit(f"{output}{said}")
    return set(re.findall(r" -o (\S+\.o) -c ", output))


def drawn(folder):
    return {picture.name: picture.read_bytes() for picture in folder.glob("*.png")}


def processes():
    """Of this test's jobs: the rank, or none, and the number."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_text(errors="replace").split("\0")
            program = (process / "exe").readlink().name
        except OSError:
            continue
        if MARK in variables and int(process.name) != os.getpid():
            rank = [int(v.partition("=")[2]) for v in variables if v.startswith("PMI_RANK=")]
            found.append((rank[0] if rank and program == "flux-dist" else None, int(process.name)))
    return found


class Mpich(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pictures = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.pictures)
        build("mpicc.openmpi")
        code, _, said = run(*openmpi(3), PROGRAM, "generate", *DEMO, "--output-dir", cls.pictures / "openmpi")
        assert code == 0, said
        cls.expected = drawn(cls.pictures / "openmpi")
        began = time.monotonic()
        cls.compiled = build("mpicc.mpich")
        print(f"with the other MPI in {time.monotonic() - began:.0f} s", file=sys.stderr)

    def setUp(self):
        self.out = self.pictures / self.id().rpartition(".")[2]

    def tearDown(self):
        end = time.monotonic() + 5
        while processes() and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual(processes(), [])

    def killed_while_it_draws(self, rank, what):
        """A run of which `rank` gets the signal `what` once a picture is there."""
        job = start(*mpich(3), PROGRAM, "generate", *DEMO, "--output-dir", self.out, "--timeout", "5s")
        while not drawn(self.out):
            self.assertIsNone(job.poll())
            time.sleep(0.01)
        os.kill(dict(processes())[rank], what)
        _, said = job.communicate(timeout=60)
        return job.returncode, said

    def test_one_library_is_compiled(self):
        self.assertGreater(len(self.compiled), 0)
        self.assertEqual({name for name in self.compiled if not name.startswith("parallel/")}, set())

    def test_it_says_which_mpi_it_has(self):
        _, output, _ = run(PROGRAM, "--version")
        self.assertRegex(output, r"^flux-dist .*\nlibtorch [0-9.]+, MPICH [0-9.]+, protobuf [0-9.]+\n$")

    def test_the_pictures_are_the_same(self):
        self.assertEqual(len(self.expected), 8)
        for ranks in (1, 3, 5):
            with self.subTest(ranks):
                code, _, said = run(*mpich(ranks), PROGRAM, "generate", *DEMO, "--output-dir", self.out)  # overwritten
                self.assertEqual(code, 0, said)
                self.assertEqual(drawn(self.out), self.expected)

    def test_what_is_refused_is_said_once(self):
        code, _, said = run(*mpich(3), PROGRAM, "generate", *DEMO, "--height", "12", "--output-dir", self.out)
        self.assertEqual(code, 2, said)
        self.assertEqual(said.count("flux-dist: error: --height"), 1, said)

    def test_ranks_of_another_launcher_are_refused_once(self):
        code, _, said = run(*openmpi(3), PROGRAM, "doctor", "--device", "cpu")
        self.assertEqual(code, 2, said)
        self.assertRegex(said, r"^flux-dist: error: 3 processes were started, but MPI tells each that it is alone: start them "
                               r"with `srun --mpi=pmi2` or with the mpiexec of MPICH [0-9.]+\n$")

    def test_after_a_killed_rank_a_run_goes_on(self):
        """MPICH's launcher kills the others at once, before one can say who died."""
        for rank in (1, 0):
            with self.subTest(rank):
                code, said = self.killed_while_it_draws(rank, signal.SIGKILL)
                self.assertIn(code, (9, 9 | signal.SIGABRT), said)  # of all ranks: UCX may abort one that reads from the dead
                self.assertEqual(processes(), [])
                code, _, said = run(*mpich(3), PROGRAM, "generate", *DEMO, "--output-dir", self.out, "--resume")
                self.assertEqual(code, 0, said)
                self.assertEqual(drawn(self.out), self.expected)
                shutil.rmtree(self.out)

    def test_a_stopped_rank_is_named(self):
        code, said = self.killed_while_it_draws(1, signal.SIGSTOP)
        self.assertEqual(code, 3, said)
        self.assertEqual(len(re.findall("error: .*rank 1 ", said)), 1, said)

    def test_a_rank_that_stops_before_it_has_started_is_named(self):
        code, _, said = run(*mpich(3), "sh", "-c", '[ "$PMI_RANK" != 1 ] || kill -STOP $$; exec "$@"', "sh", PROGRAM, "doctor",
                            "--device", "cpu", "--startup-timeout", "3s")
        self.assertEqual(code, 9, said)  # the launcher's: it kills the others when the first one ends
        self.assertEqual(re.findall(r"error: (rank . .*) \(on .*\): the ranks did not find each other within 3 s", said),
                         ["rank 1 stopped"], said)

    def test_a_job_that_is_told_to_end_says_so(self):
        job = start(*mpich(3), PROGRAM, "generate", *DEMO, "--output-dir", self.out)
        while not drawn(self.out):
            time.sleep(0.01)
        job.send_signal(signal.SIGTERM)
        _, said = job.communicate(timeout=60)
        self.assertEqual(job.returncode, 143, said)
        self.assertEqual(said.count("told to end (SIGTERM)"), 1, said)


if __name__ == "__main__":
    lacking = [name for name in NEEDED if shutil.which(name) is None]
    if lacking:
        print(f"skipped: there is no {lacking[0]}; apt-get install --no-install-recommends mpich libmpich-dev")
        sys.exit(77)
    unittest.main(verbosity=2)
