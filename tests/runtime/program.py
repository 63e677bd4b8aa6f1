"""Starts flux-dist, alone or under mpirun, and reads what it leaves."""

import json
import os
import re
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


def processes_of(folder):
    """By rank: the processes of the run that draws into `folder`, on every host that is this machine."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "exe").readlink().name != "flux-dist":
                continue
            arguments = (process / "cmdline").read_text().split("\0")
            environment = dict(v.split("=", 1) for v in (process / "environ").read_text().split("\0") if "=" in v)
        except (OSError, UnicodeDecodeError):
            continue
        if str(folder) in arguments:
            found[int(environment.get("PMIX_RANK", 0))] = int(process.name)
    return found


def journal_lines(folder):
    return [json.loads(line) for line in (Path(folder) / "journal.jsonl").read_text().splitlines()]


def journal(folder):
    """What became of each picture."""
    return [line for line in journal_lines(folder) if line["event"] == "done"]


def errors(said):
    """The lines that name an error; a run that ends early has one."""
    return [line for line in said.splitlines() if re.match(r"flux-dist: error: |\[.* error\] |rank \d", line)]


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)
