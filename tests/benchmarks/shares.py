"""How much of the time that a slow rank costs all others --shares gives back, shown on two CPU cores.

  python tests/benchmarks/shares.py --model configs/demo

Two ranks draw a picture together, each on a core of its own; beside the second runs other work, which takes half of its
core. `bench step` is timed without that work, with it, and with it and --shares 2,1. Could rows be dealt to the last one,
a step with that work would take 4/3 of one without; what shares give back is counted of what is lost beyond that.

Exit codes: 0; 1 a step could not be timed; 2 there are no two cores.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks import flux_dist  # noqa: E402

SLOWED = 2  # the second core gives a rank one part in so many


@contextlib.contextmanager
def other_work(core):
    busy = subprocess.Popen(["taskset", "-c", str(core), sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


def step_ms(arguments, cores, *options):
    step = [arguments.flux_dist, "bench", "step", "--model", arguments.model, "--device", "cpu", "--threads", "1", "--height",
            str(arguments.side), "--width", str(arguments.side), "--repetitions", str(arguments.repetitions), "--json", *options]
    command = ["mpirun", "-q", "--oversubscribe", "--bind-to", "none"]
    for core in cores:
        command += [*([":"] if core != cores[0] else []), "-n", "1", "taskset", "-c", str(core), *step]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(result.stderr.strip() or f"mpirun ended with {result.returncode}")
    return max(rank["step"]["median_ms"] for rank in json.loads(result.stdout)["ranks"])


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flux-dist", metavar="PATH", help="the program [FLUX_DIST, else build/, else PATH]")
    parser.add_argument("--model", default="configs/demo", metavar="FOLDER", help="[configs/demo]")
    parser.add_argument("--side", type=int, default=1024, help="pixels [1024]")
    parser.add_argument("--repetitions", type=int, default=7, help="steps that are timed [7]")
    arguments = parser.parse_args(words)
    arguments.flux_dist = flux_dist.find(arguments.flux_dist)
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2 or not arguments.flux_dist:
        print("shares.py: wants two cores and a flux-dist (--flux-dist)", file=sys.stderr)
        return 2
    try:
        undisturbed = step_ms(arguments, cores)
        with other_work(cores[1]):
            even = step_ms(arguments, cores)
            shared = step_ms(arguments, cores, "--shares", f"{SLOWED},1")
    except RuntimeError as error:
        print(f"shares.py: {error}", file=sys.stderr)
        return 1
    least = undisturbed * 2 / (1 + 1 / SLOWED)
    print(json.dumps({"undisturbed_ms": undisturbed, "even_ms": even, "shares_ms": shared, "least_ms": least,
                      "given_back": (even - shared) / (even - least)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
