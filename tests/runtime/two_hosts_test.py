"""A run over two hosts: two network namespaces of this machine, each with a host name of its own, joined by a cable."""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import numpy as np

from runtime.program import DEMO, PROGRAM, errors, journal, journal_lines, mpirun, pixels, processes_of, run

HOSTS = {"flux-a": "10.77.0.1", "flux-b": "10.77.0.2"}
HERE, THERE = HOSTS
DRAW = [PROGRAM, "generate", "--model", DEMO, "-p", "a red circle", "--height", 64, "--width", 96,
        "--num-inference-steps", 4, "--seed", 7, "--device", "cpu"]


def ip(*words, network=()):
    subprocess.run([*network, "ip", *words], check=True, capture_output=True, text=True)


def namespace(host):
    return f"{host}-{os.getpid()}"


def inside(name):
    """What makes a command one of that network. Not `ip netns exec`, which must mount and so fails in a chroot."""
    return ["nsenter", f"--net=/run/netns/{name}"]


def on_host(host):
    """What makes a command one of that host."""
    return [*inside(namespace(host)), "unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', host]


@contextlib.contextmanager
def two_hosts():
    with contextlib.ExitStack() as stack:
        for host in HOSTS:
            ip("netns", "add", namespace(host))
            stack.callback(ip, "netns", "del", namespace(host))
        ip("link", "add", "cable", "netns", namespace(HERE), "type", "veth", "peer", "name", "cable", "netns",
           namespace(THERE))
        for host, address in HOSTS.items():
            network = inside(namespace(host))
            ip("addr", "add", f"{address}/24", "dev", "cable", network=network)
            for link in ("lo", "cable"):
                ip("link", "set", link, "up", network=network)
        yield


class TwoHosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(two_hosts())

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.out = self.folder / "out"
        # In the place of ssh, which does not take the environment along either.
        self.agent = self.folder / "agent"
        there = shlex.join(["env", "-i", f"PATH={os.environ['PATH']}", *on_host(THERE), "sh", "-c"])
        self.agent.write_text(f'#!/bin/sh\nshift # the name of the host\nexec {there} "$*"\n')
        self.agent.chmod(0o755)

    def command(self, here, there, *arguments, out=None, mca=()):
        """A run of flux-dist with so many ranks here, the first ones, and there."""
        settings = [word for name, value in mca for word in ("--mca", name, value)]
        launcher = [*on_host(HERE), "mpirun", "-q", "-H", f"{HOSTS[HERE]}:{here},{HOSTS[THERE]}:{there}", "--bind-to",
                    "none", "--mca", "plm", "rsh", "--mca", "plm_rsh_agent", self.agent, "--mca", "btl_tcp_if_include",
                    "cable", *settings, "-x", "OMP_NUM_THREADS"]
        return [str(word) for word in [*launcher, *DRAW, "--output-dir", out or self.out, *arguments]]

    def test_the_picture_is_that_of_one_host(self):
        one = run([*mpirun(3), *DRAW, "--output-dir", self.out])
        self.assertEqual(one.returncode, 0, one.stderr)
        expected = pixels(self.out / "00000-7.png")
        for here, there in ((1, 2), (2, 1)):
            with self.subTest(here=here, there=there):
                out = self.folder / f"out-{here}-{there}"
                result = run(self.command(here, there, out=out))
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertLessEqual(np.abs(pixels(out / "00000-7.png") - expected).max(), 1)

    def wait_for(self, there, what, patience=60):
        deadline = time.monotonic() + patience
        while not there():
            self.assertLess(time.monotonic(), deadline, f"{what} within {patience} s")
            time.sleep(0.05)

    def start(self, *command, said, mca=()):
        """A run of many pictures, when one is drawn."""
        job = subprocess.Popen(self.command(*command, "--num-images-per-prompt", 500, mca=mca), stdout=subprocess.DEVNULL,
                               stderr=said)
        self.addCleanup(lambda: job.poll() is None and job.kill())
        self.wait_for(lambda: list(self.out.glob("*.png")) or job.poll() is not None, "no picture")
        return job

    def strike(self, here, there, ranks, blow, *arguments):
        """A run of many pictures, of which these ranks get a signal: what it says, and how it ends."""
        with tempfile.TemporaryFile("w+") as said:
            job = self.start(here, there, *arguments, said=said)
            processes = processes_of(self.out)
            for rank in ranks:
                os.kill(processes[rank], blow)
            job.wait(30)
            said.seek(0)
            return said.read(), job.returncode

    def test_a_rank_that_is_killed_is_named_with_its_host(self):
        for here, there, rank, host, noticed in (
            (1, 2, 2, THERE, "by the other rank there"),
            (2, 1, 2, THERE, "by the coordinator: it was alone there"),
            (1, 2, 0, HERE, "by rank 1: the coordinator died"),
        ):
            with self.subTest(noticed), tempfile.TemporaryDirectory() as folder:
                self.out = Path(folder) / "out"
                said, code = self.strike(here, there, [rank], signal.SIGKILL)
                found = errors(said)
                self.assertEqual(len(found), 1, said)
                self.assertRegex(found[0], rf"rank {rank} (\({host}\) died|died \(on {host}\))(; it was (encoding|drawing|decoding) --prompt)?$")
                self.assertIn(code, (3, 137))
                pictures = {picture.name for picture in self.out.glob("*.png")}
                done = {line["file"] for line in journal(self.out)}
                begun = {file for line in journal_lines(self.out) for file in line.get("files", ())}
                self.assertLessEqual(done, pictures)
                # Who kills rank 0 may do so between a picture and its line.
                self.assertLessEqual(pictures, begun if rank == 0 else done)
                self.assertEqual(processes_of(self.out), {})
                if there == 1:  # its host answers
                    self.assertIn("suspects", journal_lines(self.out)[-1])

    def test_a_host_whose_ranks_are_all_stopped_is_named(self):
        said, code = self.strike(1, 2, [1, 2], signal.SIGSTOP, "--timeout", "3s")
        found = errors(said)
        self.assertEqual(len(found), 1, said)
        self.assertRegex(found[0], rf"rank [12] (\({THERE}\) )?.*(within|for) 3 s")
        self.assertNotIn("suspects", journal_lines(self.out)[-1], "a lost host is no request's fault")
        self.assertEqual(code, 3)
        self.assertEqual(processes_of(self.out), {})

    def test_a_host_whose_cable_is_cut_is_no_requests_fault(self):
        for here, there, noticed in ((2, 1, "by the rank that waits for it"), (1, 2, "by the coordinator")):
            with self.subTest(noticed), tempfile.TemporaryDirectory() as folder, self.cable_cut_in(
                    Path(folder) / "out", here, there, "--timeout", "3s") as (job, said):
                self.wait_for(lambda: journal_lines(self.out)[-1]["event"] == "end", "no end", 20)
                self.check_that_a_host_was_lost(said)
                self.wait_for(lambda: not processes_of(self.out), "ranks", 20)

    def test_mpirun_ends_too_where_it_is_told_to_notice(self):
        quickly = [(f"oob_tcp_keepalive_{name}", value) for name, value in (("time", 2), ("intvl", 1), ("probes", 2))]
        with self.cable_cut_in(self.out, 2, 1, "--timeout", "60s", mca=quickly) as (job, said):
            self.assertNotEqual(job.wait(30), 0)
            self.check_that_a_host_was_lost(said)

    @contextlib.contextmanager
    def cable_cut_in(self, out, here, there, *arguments, mca=()):
        self.out = out
        with tempfile.TemporaryFile("w+") as said:
            job = self.start(here, there, *arguments, mca=mca, said=said)
            ip("link", "set", "cable", "down", network=inside(namespace(THERE)))
            try:
                yield job, said
            finally:
                job.kill()
                ip("link", "set", "cable", "up", network=inside(namespace(THERE)))  # mpirun's daemon there then ends
                job.wait(10)

    def check_that_a_host_was_lost(self, said):
        end = journal_lines(self.out)[-1]
        self.assertIn(f"nothing is heard of {THERE}", end["why"])
        self.assertNotIn("suspects", end)
        said.seek(0)
        found = errors(said.read())
        self.assertEqual(len(found), 1, found)
        self.assertIn(end["why"], found[0])


def why_not():
    """What this machine cannot do."""
    absent = [program for program in ("ip", "nsenter", "unshare", "hostname") if shutil.which(program) is None]
    if absent:
        return f"no {', '.join(absent)} here; launch/setup.sh tests installs iproute2"
    try:
        ip("netns", "add", namespace("probe"))
        try:
            ip("link", network=inside(namespace("probe")))
        finally:
            ip("netns", "del", namespace("probe"))
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.strip()}"
    return None


if __name__ == "__main__":
    if reason := why_not():
        print(f"skipped: {reason}")
        sys.exit(77)
    unittest.main(verbosity=2)
