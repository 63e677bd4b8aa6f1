"""Measurements run in processes of their own, so that each finds the cards empty.

A job and its result are JSON; the result travels in a file, as torchrun and libraries write to standard output too.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
LONGEST = 3600  # seconds; compiling takes minutes


class Wrong(Exception):
    """With what was asked for, or with the machine; said in one line."""


def prepare_environment():
    """This process and its children find the sources, mpirun does not refuse root, and nothing is fetched."""
    for name, value in (("FLUX_SOURCE_DIR", TESTS.parent), ("OMPI_ALLOW_RUN_AS_ROOT", 1),
                        ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", 1), ("HF_HUB_OFFLINE", 1)):
        os.environ.setdefault(name, str(value))


def environment(ids):
    """A child's: it sees these cards, and finds tests/."""
    paths = [str(TESTS), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "CUDA_VISIBLE_DEVICES": ",".join(ids)}


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip(" =-")]
    return lines[-1] if lines else "it said nothing"


def run(command, **kwargs):
    """Standard output, or raises RuntimeError with what was said last."""
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=LONGEST, **kwargs)
    except FileNotFoundError as error:
        raise RuntimeError(f"{error.filename}: not found") from None
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"took longer than {LONGEST} s") from None
    if done.returncode:
        raise RuntimeError(f"{last_line(done.stderr)} (exit code {done.returncode})")
    return done.stdout


def measure(script, job, env, processes=1):
    """What `script` beside this file answers to a job; torchrun starts it where it takes several processes."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        try:
            run([sys.executable, *(launcher if processes > 1 else []), TESTS / "benchmarks" / script,
                 json.dumps({**job, "result": str(result)})], env=env)
        except RuntimeError as error:
            # What a process wrote before it ended is closer to the cause than what torchrun says of it.
            return json.loads(result.read_text()) if result.exists() else {"error": str(error)}
        return json.loads(result.read_text())


def answer(work):
    """The body of a script that `measure` starts: work(job) returns the result, or None where another rank has it."""
    job = json.loads(sys.argv[1])

    def write(fields):
        temporary = f"{job['result']}.{os.getpid()}"
        Path(temporary).write_text(json.dumps(fields))
        os.replace(temporary, job["result"])

    try:
        result = work(job)
    except Exception as error:
        write({"error": f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0]}"})
        raise
    if result is not None:
        write(result)
