"""Is a picture of FLUX.1's true size as exact as bf16 allows? flux-dist and FluxPipeline, each beside FluxPipeline in fp32.

  python tests/benchmarks/correctness.py MODEL_FOLDER

From the same noise: flux-dist in bf16; FluxPipeline in bf16; and FluxPipeline in bf16 with timesteps and guidance as they
are, which it otherwise rounds to bf16 with what it computes (3500 becomes 3504): weights that feel it draw another picture,
and beating that would prove nothing. Compared are 8-bit pictures, each decoded in the dtype in which it was drawn. Holds when
flux-dist's RMS error is at most 1.05 times that of the last. A folder that does not exist is written, with random weights
of FLUX.1-dev's sizes (34 GB). fp32 wants a card of 75 GiB.

Exit codes: 0 it holds; 1 it does not, or something failed; 2 the request is wrong, or there are no cards.
"""

import argparse
import json
import multiprocessing
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks import cards, child, flux_dist  # noqa: E402
from reference.exact_guidance import keep_exact  # noqa: E402

child.prepare_environment()
ALLOWED = 1.05
NAMES = {"flux-dist": "flux-dist in bf16", "exact": "FluxPipeline in bf16, timesteps and guidance in fp32",
         "plain": "FluxPipeline in bf16"}


def write_model(folder, *changes):
    """In a process of its own: afterwards the card is empty. changes: functions of this module's importers, each of a
    component, before it is saved."""
    from reference import full_size

    folder.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder.parent).free < 36e9:
        raise child.Wrong(f"{folder.parent}: less than the 36 GB free that a random model takes")
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    process = multiprocessing.get_context("spawn").Process(target=full_size.write_model, args=(unfinished, *changes))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{unfinished}: the random model could not be written")
    unfinished.rename(folder)


def draw_ours(program, model, request, seed, device, ranks):
    """[pictures, height, width, 3]: one, or those of a request with a file of prompts."""
    import numpy as np
    from PIL import Image

    flags = [part for field, value in request.items() for part in (f"--{field.replace('_', '-')}", value)]
    with tempfile.TemporaryDirectory() as folder:
        child.run([*(flux_dist.mpirun(ranks) if ranks > 1 else []), program, "generate", "--model", model, "--seed", seed,
                   "--output-dir", folder, "--device", device, "--dtype", "bf16", "--noise-dtype", "bf16", *flags])
        pictures = [np.asarray(Image.open(file)).astype(int) for file in sorted(Path(folder).glob("*.png"))]
        return np.stack(pictures)


def say_less():
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()


def draw_theirs(model, request, seed, device):
    """By name of NAMES, and fp32."""
    import torch
    from diffusers import FluxPipeline
    from reference import full_size, pipeline

    say_less()
    torch.backends.cudnn.allow_tf32 = False
    pipe = FluxPipeline.from_pretrained(model, dtype=torch.bfloat16).to(device)
    pipe.set_progress_bar_config(disable=True)
    noise = pipeline.given_noise(pipe, {**request, "noise_dtype": "bf16"}, [torch.Generator().manual_seed(seed)])

    def draw():
        return pipe(**request, latents=noise, output_type="np").images[0]

    pictures = {"plain": draw()}
    hook = keep_exact(pipe)
    pictures["exact"] = draw()
    hook.remove()
    pictures["fp32"] = full_size.draw_fp32(pipe, request, noise)
    return {name: (picture * 255).round().astype(int) for name, picture in pictures.items()}


def rms(picture, reference):
    return float(((picture - reference) ** 2.0).mean() ** 0.5)


def compare(program, model, request, seed, device="cuda", ranks=1):
    """RMS errors of 255 by name, and how much the fp32 picture itself varies."""
    ours = draw_ours(program, model, request, seed, device, ranks)
    pictures = {"flux-dist": ours, **draw_theirs(model, request, seed, device)}
    exact = pictures.pop("fp32")
    return {**{name: rms(picture, exact) for name, picture in pictures.items()}, "contrast": float(exact.std())}


def holds(errors):
    return errors["flux-dist"] <= ALLOWED * errors["exact"]


def report(errors):
    lines = [f"{errors[name]:7.3f}  {long}" for name, long in NAMES.items()]
    if errors["contrast"] < 25:
        lines.append(f"The picture in fp32 hardly varies ({errors['contrast']:.1f} of 255): little is compared.")
    verdict = "holds" if holds(errors) else "DOES NOT HOLD"
    share = errors["flux-dist"] / errors["exact"] if errors["exact"] else float("inf")
    return "\n".join(["RMS of 255 from FluxPipeline in fp32:", *lines,
                      f"flux-dist is at {share:.3f} of the bf16 pipeline's error, {ALLOWED} allowed: {verdict}", ""])


def arguments_of(description):
    """A parser of what every comparison of pictures takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL_FOLDER", help="in diffusers' layout")
    parser.add_argument("--flux-dist", metavar="PATH", help="the program [FLUX_DIST, else build/, else PATH]")
    parser.add_argument("--steps", type=int, default=4, help="[4]")
    parser.add_argument("--size", type=int, default=1024, help="height and width in pixels [1024]")
    parser.add_argument("--text-tokens", type=int, default=512, help="[512]")
    parser.add_argument("--seed", type=int, help="of the noise [11]")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"], help="cpu tries this command on a small model")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the errors as JSON, besides")
    return parser


def prepared(arguments, *changes):
    """The program, the request and its seed; a model that is not there is written (write_model)."""
    program = flux_dist.find(arguments.flux_dist)
    if not program:
        raise child.Wrong("no flux-dist: --flux-dist names it")
    if arguments.device == "cuda":
        cards.choose(1)
    from reference.full_size import REQUEST, SEED  # after what needs no diffusers

    if not arguments.model.exists():
        write_model(arguments.model, *changes)
    request = {**REQUEST, "num_inference_steps": arguments.steps, "height": arguments.size, "width": arguments.size,
               "max_sequence_length": arguments.text_tokens}
    return program, request, SEED if arguments.seed is None else arguments.seed


def main(words=None):
    parser = arguments_of(__doc__)
    parser.add_argument("--ranks", type=int, default=1, help="of flux-dist [1]")
    arguments = parser.parse_args(words)
    try:
        program, request, seed = prepared(arguments)
        errors = compare(program, arguments.model, request, seed, arguments.device, arguments.ranks)
    except (child.Wrong, RuntimeError, ImportError) as error:
        print(f"correctness.py: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1 if isinstance(error, RuntimeError) else 2
    print(report(errors), end="")
    if arguments.output:
        arguments.output.write_text(json.dumps({**errors, "allowed": ALLOWED, "holds": holds(errors)}) + "\n")
    return 0 if holds(errors) else 1


if __name__ == "__main__":
    sys.exit(main())
