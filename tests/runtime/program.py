"""Starts flux-dist, alone or under mpirun, and reads what it leaves."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

PROGRAM = os.environ["FLUX_DIST"]
DEMO = os.path.join(os.environ["FLUX_SOURCE_DIR"], "configs", "demo")


def mpirun(ranks):
    return ["mpirun", "-q", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)]


def run(command, **kwargs):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, **kwargs)


def journal(folder):
    return [json.loads(line) for line in (Path(folder) / "journal.jsonl").read_text().splitlines()]


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)
