"""Metrics of a run, in a file and over HTTP."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from runtime.program import DEMO, PROGRAM, mpirun, run

SECRET = "a red circle that nobody is to know of"


class Metrics(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.command = [PROGRAM, "generate", "--model", DEMO, "-p", SECRET, "--height", 64, "--width", 64, "--seed", 1,
                        "--device", "cpu", "--output-dir", self.folder / "out"]

    def generate(self, *arguments):
        return run(self.command + ["--num-inference-steps", 2, *arguments])

    def test_are_written_to_a_file(self):
        file = self.folder / "flux.prom"
        self.assertEqual(self.generate("--metrics-file", file).returncode, 0)
        self.assertIn('flux_dist_pictures_total{status="drawn"} 1\n', file.read_text())
        self.assertEqual(self.generate("--metrics-file", file, "--resume").returncode, 0)
        self.assertIn('flux_dist_pictures{state="there_before"} 1\n', file.read_text())

    def test_tell_how_far_a_run_is(self):
        file = self.folder / "flux.prom"
        command = mpirun(2) + self.command + ["--num-images-per-prompt", 500, "--metrics-file", file]
        job = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not list(self.folder.glob("out/*.png")):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        job.send_signal(signal.SIGUSR1)
        job.communicate(timeout=60)
        text = file.read_text()
        drawn = len(list(self.folder.glob("out/*.png")))
        self.assertIn(f'flux_dist_pictures{{state="left"}} {500 - drawn}\n', text)
        self.assertIn(f'flux_dist_pictures_total{{status="drawn"}} {drawn}\n', text)
        self.assertGreater(float(re.search(r'busy_seconds_total{replica="0",stage="denoise"} ([\d.]+)', text).group(1)), 0)
        for hidden in (SECRET, str(self.folder), DEMO):
            self.assertNotIn(hidden, text)

    @contextlib.contextmanager
    def serving(self, *arguments):
        """A run that draws many pictures, and the port at which it tells of them."""
        command = mpirun(2) + self.command + ["--num-images-per-prompt", 500, "--metrics-address", *arguments]
        job = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            for line in job.stderr:
                if found := re.search(r"metrics: http://(\S+):(\d+)/metrics$", line):
                    yield found[1], int(found[2])
                    break
            else:
                self.fail("no address was written down")
        finally:
            job.send_signal(signal.SIGUSR1)
            job.communicate(timeout=60)

    def ask(self, port, method, path):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers

    def under_way(self, text):
        """A picture is drawn, and both ranks have told of their memory, which they do four times a second."""
        values = re.findall(r'(?:status="drawn"|peak_memory_bytes{[^}]*)} (\S+)', text)
        return len(values) == 3 and all(float(value) > 0 for value in values)

    def test_are_served(self):
        with self.serving(0) as (host, port):
            self.assertEqual(host, "127.0.0.1")
            deadline = time.monotonic() + 60
            text = ""
            while not self.under_way(text):
                self.assertLess(time.monotonic(), deadline)
                status, text, headers = self.ask(port, "GET", "/metrics")
                self.assertEqual((status, headers["Content-Type"][:25]), (200, "text/plain; version=0.0.4"))
            self.assertRegex(text, r'pictures_at_stage{stage="denoise"} [1-9]')
            for rank in range(2):
                peak = re.search(rf'peak_memory_bytes{{of="host",rank="{rank}"}} ([\d.e+]+)', text)[1]
                self.assertGreater(float(peak), 50e6)
            for hidden in (SECRET, str(self.folder), DEMO):
                self.assertNotIn(hidden, text)
            self.assertEqual(self.ask(port, "GET", "/healthz")[:2], (200, "ok\n"))
            self.assertEqual(self.ask(port, "HEAD", "/metrics")[:2], (200, ""))
            self.assertEqual(self.ask(port, "GET", "/etc/passwd")[0], 404)
            self.assertEqual(self.ask(port, "POST", "/metrics")[0], 405)

    def test_are_served_whatever_others_send(self):
        with self.serving("localhost:0") as (_, port), contextlib.ExitStack() as stack:
            for sent in (b"", b"GET ", b"\x16\x03\x01\0\xff" * 99, b"GET / HTTP/1.1\r\nX: " + b"y" * 99999, b"\r\n" * 9999):
                visitor = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                with contextlib.suppress(ConnectionError):
                    visitor.sendall(sent)
            self.assertEqual(self.ask(port, "GET", "/healthz")[0], 200)
            visitors = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(40)]
            visitors[-1].settimeout(20)
            self.assertEqual(visitors[-1].recv(1), b"", "one visitor too many")

    def test_a_port_that_is_taken_is_warned_of(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            result = self.generate("--metrics-address", taken.getsockname()[1])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(re.findall(r"warning\W.*--metrics-address: 127.0.0.1:\d+ is taken", result.stderr)), 1, result.stderr)

    def test_an_address_that_is_none_is_refused(self):
        for address, what in (("70000", "is none such as"), (":9400", "is none such as"), ("example.org:80", "is none such as"),
                              ("127.0.0.1", "is none such as"), ("192.0.2.1:9400", "Cannot assign requested address")):
            with self.subTest(address):
                result = run(mpirun(2) + self.command + ["--metrics-address", address])
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertEqual(len(re.findall("--metrics-address: .*" + what, result.stderr)), 1, result.stderr)
                self.assertFalse((self.folder / "out").exists())

    def test_a_port_that_one_has_no_right_to_is_refused(self):
        without = [] if os.getuid() else ["setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service"]
        probe = subprocess.run([*without, sys.executable, "-c", "import socket; socket.create_server(('127.0.0.1', 1))"],
                               capture_output=True, text=True)
        if "PermissionError" not in probe.stderr:
            self.skipTest("ports below 1024 are everybody's here")
        result = run([*without, *self.command, "--metrics-address", "1"])
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(len(re.findall("--metrics-address: 127.0.0.1:1: Permission denied", result.stderr)), 1, result.stderr)
        self.assertFalse((self.folder / "out").exists())

    def test_what_cannot_be_written_is_refused_once(self):
        result = run(mpirun(2) + self.command + ["--metrics-file", self.folder / "none" / "flux.prom"])
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(len(re.findall("--metrics-file: ", result.stderr)), 1, result.stderr)
        self.assertFalse((self.folder / "out").exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
