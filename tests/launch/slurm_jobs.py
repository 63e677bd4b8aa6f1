"""Jobs of launch/slurm's scripts, as installed, in a real Slurm of two nodes on this machine."""

import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from launch import slurm_cluster
from runtime.program import PROGRAM, processes_of

BUILD = Path(PROGRAM).parent.parent
VENV = Path(os.environ["FLUX_PYTHON"]).parent.parent
PROMPTS = ["a red circle on a white background", "a blue square on a yellow background"]
UNDER_WAY = ("PENDING", "CONFIGURING", "RUNNING", "SIGNALING", "COMPLETING", "REQUEUED", "PREEMPTED")


class SlurmJobs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.folder.chmod(0o755)
        cls.installed = cls.folder / "flux-dist"
        subprocess.run([VENV / "bin/cmake", "--install", BUILD, "--prefix", cls.installed], check=True,
                       stdout=subprocess.DEVNULL)
        (cls.folder / "slurm").mkdir()
        cls.cluster = cls.enterClassContext(slurm_cluster.Cluster(cls.folder / "slurm", nodes=2))

    def setUp(self):
        """Somewhere to submit from."""
        self.here = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.out = self.here / "pictures"
        requests = [json.dumps({"prompt": prompt, "seed": 7}) for prompt in PROMPTS]
        (self.here / "prompts.jsonl").write_text("\n".join(requests))

    def submit(self, *arguments, slurm=("--no-requeue",), **environment):
        """Of generate.sbatch. The number of the job."""
        return self.submit_script("generate", "--config", self.installed / "configs/demo.textproto", "--prompts",
                                  "prompts.jsonl", "--output-dir", self.out, "--num-inference-steps", 4, *arguments,
                                  slurm=slurm, **environment)

    def submit_script(self, script, *arguments, slurm=(), **environment):
        """Three tasks on two nodes. The number of the job."""
        environment = {"FLUX_VENV": str(VENV), "PATH": f"{self.installed}/bin:{self.cluster.environment['PATH']}",
                       **environment}
        submitted = self.cluster.run(
            "sbatch", "--parsable", f"--chdir={self.here}", "--ntasks=3", "--cpus-per-task=1", "--gpus-per-node=0",
            *slurm, self.installed / f"slurm/{script}.sbatch", *arguments, **environment)
        self.assertEqual(submitted.returncode, 0, submitted.stderr)
        number = submitted.stdout.strip()
        self.addCleanup(self.cluster.run, "scancel", "--full", number)  # what hangs must not hold up the next test
        return number

    def wait_for(self, there, number, patience=90):
        """Until something is there of a job. If it ends before or takes too long, what Slurm and the job say is said."""
        deadline = time.monotonic() + patience
        while not there():
            job = self.cluster.job(number)
            if time.monotonic() > deadline or (job["JobState"] not in UNDER_WAY and not there()):
                log = self.here / f"flux-dist-{number}.log"
                self.fail(f"{job}\n{log.read_text() if log.exists() else ''}\n{processes_of(self.out)}\n"
                          f"{self.cluster.log_of(number)}")
            time.sleep(0.1)

    def ended(self, number):
        """What Slurm says of the job, and what the job said, without srun's own lines."""
        deadline = time.monotonic() + 120
        while (job := self.cluster.job(number))["JobState"] in UNDER_WAY:
            self.assertLess(time.monotonic(), deadline, job)
            time.sleep(0.2)
        said = Path(job["StdOut"]).read_text().splitlines()
        return job, [line for line in said if not line.startswith(("srun: ", "slurmstepd"))]


def main():
    absent = slurm_cluster.missing()
    if absent:
        print(f"skipped: no {', '.join(absent)} here; launch/setup.sh tests installs Slurm")
        sys.exit(77)
    unittest.main(verbosity=2)
