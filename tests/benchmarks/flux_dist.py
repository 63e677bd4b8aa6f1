"""flux-dist's own `bench step`: how it is started, and what it says as fields of an output."""

import json
import os
import shutil
from pathlib import Path

BUILT = Path(__file__).resolve().parents[2] / "build" / "launch" / "flux-dist"


def find(given=None):
    """The program named, or FLUX_DIST, or that of build/, or that of PATH; None: there is none."""
    places = [given] if given else [os.environ.get("FLUX_DIST", ""), str(BUILT), "flux-dist"]
    found = next(filter(None, map(shutil.which, places)), None)
    return found and os.path.abspath(found)


def mpirun(ranks):
    return ["mpirun", "-q", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)]


def command(program, job):
    return [*mpirun(job["gpus"]), program, "bench", "step", "--json", "--model", job["model"],
            *(["--random-weights"] if job["random_weights"] else []), "--repetitions", job["steps"],
            "--height", job["height"], "--width", job["width"], "--max-sequence-length", job["text_tokens"],
            "--dtype", "bf16", "--device", job["device"], *(["--quantize", job["quantize"]] if "quantize" in job else [])]


def parse(text):
    """Fields of a measurement, of the rank that took longest; and what it was measured with."""
    try:
        said = json.loads(text)
        ranks = said["ranks"]
        slowest = max(ranks, key=lambda rank: rank["step"]["median_ms"])
        measurement = {
            "ms": slowest["step"]["median_ms"], "p5_ms": slowest["step"]["p5_ms"],
            "p95_ms": slowest["step"]["p95_ms"], "launch_ms": slowest["launch_ms"], "rows": [r["rows"] for r in ranks],
            "own_floor_ms": max(rank["floor_ms"] for rank in ranks), "transport": said["transport"],
            "peak_bytes": max(rank["weights_bytes"] + rank["buffers_bytes"] + rank["workspace_bytes"] for rank in ranks),
            "text_tokens": said["text_tokens"]}
        return measurement, {"flux-dist": f"{said['program']} ({said['revision']})", "flux-dist's torch": said["torch"],
                             "flux-dist's cuda": said["cuda"], "nccl": said["nccl"]}
    except (ValueError, KeyError, TypeError) as error:
        raise RuntimeError(f"no output of bench step --json: {error!r}") from None
