"""Memory does not grow with the prompts that wait for their turn."""

import re
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from runtime.program import DEMO, PROGRAM

MIB = 1 << 20


class ManyPrompts(unittest.TestCase):
    def memory(self, prompts, name):
        """Of the program alone, in bytes, once it has drawn a picture."""
        with tempfile.TemporaryDirectory() as folder:
            file, out = Path(folder) / name, Path(folder) / "out"
            file.write_text(prompts)
            run = subprocess.Popen(
                [PROGRAM, "generate", "--model", DEMO, "--prompts", file, "--output-dir", out, "--seed", "1",
                 "--num-inference-steps", "1", "--height", "64", "--width", "64"],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                while not list(out.glob("*.png")):
                    self.assertIsNone(run.poll(), run.stderr.read() if run.poll() is not None else "")
                    time.sleep(0.05)
                status = Path(f"/proc/{run.pid}/status").read_text()
            finally:
                run.send_signal(signal.SIGINT)
                run.communicate()
            return int(re.search(r"^RssAnon:\s*(\d+) kB", status, re.MULTILINE)[1]) * 1024

    def test_it_is_that_of_a_few(self):
        few = self.memory("a red circle\n" * 500, "few.txt")
        for name, line in (("many.txt", "{}\n"), ("many.jsonl", '{{"prompt": "{}"}}\n')):
            with self.subTest(name):
                many = "".join(line.format(f"{i} {'a red circle ' * 70}") for i in range(50_000))
                self.assertLess(self.memory(many, name) - few, 20 * MIB)  # their text: 45 MiB


if __name__ == "__main__":
    unittest.main()
