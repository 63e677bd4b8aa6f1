"""Runs one peer beside flux-dist and beside the floor, in one session on one machine: what a FLUX.1 step costs on it.

  python tests/benchmarks/beside.py diffusers-compiled -o compiled.json
  python tests/benchmarks/beside.py diffusers-ulysses --gpus 2 -o ulysses.json
  python tests/benchmarks/beside.py none --correctness RANDOM_FOLDER

PEER is diffusers-eager or diffusers-compiled (one card), diffusers-ulysses or diffusers-ring, each also -compiled (--gpus
cards through torchrun), or none: flux-dist and the floor alone. bitsandbytes-nf4, bitsandbytes-int8 and torchao-fp8-compiled
are diffusers on one card with the matrices of the blocks quantized, beside flux-dist in the formats like it. In this order,
each in processes of its own: the floor (what the step's matrix products and attention take by torch's library kernels, in
bf16 and with fp8 products), flux-dist's `bench step`, the peer's transformer, and the floor again, as clocks drift. The
output has versions, cards, clocks, power, warnings, and of each measurement the median of a step, how many times the
floor that is, and its peak memory. Without --model all draw random weights of FLUX.1-dev's sizes. --correctness holds
pictures against FluxPipeline's besides (correctness.py). merge.py makes one table of several outputs.

Exit codes: 0; 1 something failed, named in the output, or pictures are less exact than they should be; 2 the request is
wrong, or there are no cards.
"""

import argparse
import datetime
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks import cards, child, flux_dist, sizes, table  # noqa: E402
from benchmarks.child import Wrong  # noqa: E402

PEERS = {"diffusers-eager": False, "diffusers-compiled": False, "diffusers-ulysses": True,
         "diffusers-ulysses-compiled": True, "diffusers-ring": True, "diffusers-ring-compiled": True,
         "bitsandbytes-nf4": False, "bitsandbytes-int8": False, "torchao-fp8-compiled": False,
         "none": None}  # whether it takes several cards
LIKE = {"bitsandbytes-nf4": ["nf4"], "bitsandbytes-int8": ["int8", "int8-outliers"],
        "torchao-fp8-compiled": ["fp8", "int8"]}  # our formats; others: bf16
DRIFT = 0.03


class OneLine(argparse.ArgumentParser):
    def error(self, message):
        raise Wrong(message)


def library_of(peer):
    return peer.split("-")[0]


def read_arguments(words):
    parser = OneLine(prog="beside.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", metavar="PEER", help=", ".join(PEERS))
    parser.add_argument("--gpus", type=int, default=1, metavar="N", help="cards of a step [1]")
    parser.add_argument("--flux-dist", metavar="PATH", help="the program [FLUX_DIST, else build/, else PATH]")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="weights in diffusers' layout [random ones]")
    parser.add_argument("--steps", type=int, default=20, help="that are timed, after 3 [20]")
    parser.add_argument("--height", type=int, default=1024, help="pixels [1024]")
    parser.add_argument("--width", type=int, default=1024, help="pixels [1024]")
    parser.add_argument("--text-tokens", type=int, default=512, help="T5's [512]")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"], help="cpu tries this command at small size")
    parser.add_argument("--correctness", type=Path, metavar="FOLDER", help="of pictures of this model, --height pixels wide "
                        "and high; written with random weights of FLUX.1-dev's sizes (34 GB) where it is not there")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="JSON [standard output]")
    arguments = parser.parse_args(words)
    if arguments.peer not in PEERS:
        raise Wrong(f"{arguments.peer} is none of {', '.join(PEERS)}")
    if arguments.gpus < 1 or arguments.steps < 1:
        raise Wrong("--gpus and --steps count from 1")
    if PEERS[arguments.peer] is False and arguments.gpus > 1:
        raise Wrong(f"{arguments.peer} runs on one card, not {arguments.gpus}")
    if PEERS[arguments.peer] and arguments.gpus == 1:
        raise Wrong(f"{arguments.peer} wants --gpus 2 or more")
    if PEERS[arguments.peer] and arguments.device == "cpu":
        raise Wrong(f"{arguments.peer} wants cards: diffusers splits a model over accelerators alone")
    if arguments.model and not (arguments.model / "transformer" / "config.json").is_file():
        raise Wrong(f"{arguments.model}: no model folder in diffusers' layout")
    if (arguments.peer != "none" or not arguments.model or arguments.correctness) and not importlib.util.find_spec("diffusers"):
        raise Wrong("diffusers is not installed: launch/setup.sh tests does it")
    if arguments.peer in LIKE and not importlib.util.find_spec(library_of(arguments.peer)):
        raise Wrong(f"{library_of(arguments.peer)} is not installed")
    program = flux_dist.find(arguments.flux_dist)
    if not program:
        raise Wrong(f"no program {arguments.flux_dist}" if arguments.flux_dist else "no flux-dist: --flux-dist names it")
    arguments.flux_dist = program
    return arguments


def spread(result):
    """Times as median and percentiles."""
    times = sorted(result["times_ms"])
    at = lambda share: times[round(share * (len(times) - 1))]  # noqa: E731
    return {"ms": statistics.median(times), "p5_ms": at(0.05), "p95_ms": at(0.95)}


def said(name, fields):
    print(f"{name}: {fields['error'] if 'error' in fields else format(fields['ms'], '.2f') + ' ms'}", file=sys.stderr)


def floor_pass(job, step_sizes, ids):
    """On all cards at once, each with its share of the rows; of the slowest. By precision."""
    spec = {"sizes": step_sizes.as_fields(), "rows": step_sizes.rows(job["gpus"]), "steps": job["steps"]}
    devices = [f"cuda:{i}" for i in range(len(ids))] or ["cpu"]
    environment = child.environment(ids)
    with cards.Watch(ids) as watch, ThreadPoolExecutor() as threads:
        results = list(threads.map(lambda d: child.measure("floor.py", {**spec, "device": d}, environment), devices))
    failed = next((result["error"] for result in results if "error" in result), None)
    if failed:
        said("floor", {"error": failed})
        return {"bf16": {"error": failed}, "fp8": {"error": failed}, "cuda": None}
    found = {"cuda": results[0]["cuda"]}
    for precision in ("bf16", "fp8"):
        of_cards = [result[precision] for result in results]
        bad = next((one for one in of_cards if "error" in one), None)
        slowest = bad or max(of_cards, key=lambda one: spread(one)["ms"])
        found[precision] = bad or {**slowest, **spread(slowest),
                                   "cards": cards.summary(watch.samples, slowest["began"], slowest["ended"])}
        said(f"floor, {precision}", found[precision])
    return found


def join_floors(passes):
    """Of both passes: the median over all of their steps, and how far the second was from the first."""
    joined = {}
    for precision in ("bf16", "fp8"):
        both = [one[precision] for one in passes]
        joined[precision] = next((one for one in both if "error" in one), None) or {
            **spread({"times_ms": [time for one in both for time in one["times_ms"]]}),
            "passes_ms": [one["ms"] for one in both], "attention": both[0]["attention"], "cards": both[-1]["cards"]}
    return joined


def measure_flux_dist(job, program, ids):
    """The measurement, and the versions it names."""
    with cards.Watch(ids) as watch:
        try:
            text = child.run(flux_dist.command(program, job), env=child.environment(ids))
            measurement, versions = flux_dist.parse(text)
        except RuntimeError as error:
            measurement, versions = {"error": str(error)}, {}
    measurement["name"] = f"flux-dist --quantize {job['quantize']}" if "quantize" in job else "flux-dist"
    return {**measurement, "cards": cards.summary(watch.samples)}, versions


def measure_peer(job, ids):
    with cards.Watch(ids) as watch:
        result = child.measure("peer.py", job, child.environment(ids), job["gpus"])
    if "error" in result:
        return {"name": job["peer"], **result, "cards": cards.summary(watch.samples)}
    began, ended = result.pop("began"), result.pop("ended")
    measurement = {"name": job["peer"], **spread(result), **result}
    del measurement["times_ms"]
    return {**measurement, "cards": cards.summary(watch.samples, began, ended)}


def held_against_diffusers(arguments, ids):
    """correctness.py's errors, or why there are none; and its report."""
    with tempfile.TemporaryDirectory() as folder:
        errors = Path(folder) / "errors.json"
        result = subprocess.run(
            [sys.executable, Path(__file__).with_name("correctness.py"), arguments.correctness, "--flux-dist",
             arguments.flux_dist, "--device", arguments.device, "--size", str(arguments.height), "--text-tokens",
             str(arguments.text_tokens), "-o", errors], capture_output=True, text=True, env=child.environment(ids))
        if errors.exists():
            return json.loads(errors.read_text()), result.stdout
        return {"error": child.last_line(result.stderr), "holds": False}, result.stderr


def add_ratios(output):
    """How many times the floor, in bf16 and in fp8, each measurement took."""
    for one in output["measurements"]:
        for precision, field in (("bf16", "of_floor"), ("fp8", "of_fp8_floor")):
            floor = output["floor"][precision].get("ms")
            if floor and "ms" in one:
                one[field] = one["ms"] / floor
    return output


def warnings_of(output):
    """What makes the figures doubtful."""
    lines = []
    floors = {f"floor, {precision}": output["floor"][precision] for precision in ("bf16", "fp8")}
    for name, one in {**floors, **{one["name"]: one for one in output["measurements"]}}.items():
        if one.get("cards", {}).get("spoilt"):
            lines.append(f"{name}: the card slowed itself down ({', '.join(one['cards']['reasons'])})")
    for name, one in floors.items():
        first, last = one.get("passes_ms", (1, 1))
        if abs(last / first - 1) > DRIFT:
            lines.append(f"{name}: {first:.2f} ms at first, {last:.2f} ms at last")
    return lines


def measure(arguments, model):
    ids = cards.choose(arguments.gpus) if arguments.device == "cuda" else []
    step_sizes = sizes.read_sizes(model, arguments.height, arguments.width, arguments.text_tokens)
    job = {"peer": arguments.peer, "gpus": arguments.gpus, "model": str(model), "random_weights": not arguments.model,
           "steps": arguments.steps, "height": arguments.height, "width": arguments.width,
           "text_tokens": arguments.text_tokens, "device": arguments.device}
    output = {"format": table.FORMAT, "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
              **{name: value for name, value in job.items() if name != "model"}, "dtype": "bf16",
              "rows": step_sizes.rows(arguments.gpus)}
    output["cards"], driver = cards.describe(ids) if ids else ([], None)
    first = floor_pass(job, step_sizes, ids)
    output["measurements"] = []
    for format in LIKE.get(arguments.peer, [None]):
        of_format = {**job, "quantize": format} if format else job
        ours, versions = measure_flux_dist(of_format, arguments.flux_dist, ids)
        said(ours["name"], ours)
        output["measurements"].append(ours)
    if arguments.peer != "none":
        output["measurements"].append(measure_peer(job, ids))
        said(arguments.peer, output["measurements"][-1])
        for library in {"diffusers", library_of(arguments.peer)}:
            versions[library] = version(library)
    output["floor"] = join_floors([first, floor_pass(job, step_sizes, ids)])
    if arguments.correctness:
        output["correctness"], report = held_against_diffusers(arguments, ids)
        print(report, end="", file=sys.stderr)
    output["versions"] = {**versions, "torch": version("torch"), "cuda": first["cuda"], "driver": driver}
    output["warnings"] = warnings_of(add_ratios(output))
    return output


def main(words=None):
    child.prepare_environment()
    try:
        arguments = read_arguments(words)
        if arguments.device == "cuda":
            cards.choose(arguments.gpus)
        with tempfile.TemporaryDirectory() as folder:
            if not arguments.model:
                sizes.write_configs(Path(folder))
            output = measure(arguments, arguments.model or Path(folder))
    except Wrong as error:
        print(f"beside.py: {error}", file=sys.stderr)
        return 2
    for line in output["warnings"]:
        print(f"warning: {line}", file=sys.stderr)
    text = json.dumps(output, indent=2) + "\n"
    if arguments.output:
        arguments.output.write_text(text)
        print(table.as_markdown(table.rows_of(output)), end="")
    else:
        print(text, end="")
    failed = any("error" in one for one in [*output["measurements"], output["floor"]["bf16"]])
    return int(failed or not output.get("correctness", {"holds": True})["holds"])


if __name__ == "__main__":
    sys.exit(main())
