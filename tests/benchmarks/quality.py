"""What weights in 8 and 4 bits cost a picture of FLUX.1's true size: flux-dist's formats beside other libraries', on the
same weights and from the same noise, each held against FluxPipeline in fp32. FORMAT+attention: and attention in fp8.

  python tests/benchmarks/quality.py MODEL_FOLDER
  python tests/benchmarks/quality.py OTHER_FOLDER --outliers

Quantized are the matrices of the transformer's blocks without their modulation, in diffusers' bf16 pipeline as in
flux-dist: by bitsandbytes (nf4, LLM.int8 with threshold 6) and torchao (fp8, a scale a row), as far as they are installed.
Timesteps and guidance are kept exact (see correctness.py). Compared are 8-bit pictures of several prompts together: what
bf16 does to one prompt's modulation shows in all of its picture, and may be twice as large for the next. A folder that does not exist is
written, with random weights of FLUX.1-dev's sizes (34 GB); with --outliers 16 columns of every norm are 30 times as large.
fp32 wants a card of 75 GiB.

Exit codes: 0 no format's error is over 1.05 times that of the library with the same format; 1 one is, or something failed;
2 the request is wrong, or there are no cards.
"""

import importlib.util
import itertools
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks import child, correctness  # noqa: E402
from benchmarks.quantized_peers import (MODULATION, quantized, with_bitsandbytes_int8, with_bitsandbytes_nf4,  # noqa: E402
                                        with_torchao_fp8)
from reference.exact_guidance import keep_exact  # noqa: E402

child.prepare_environment()
ALLOWED = 1.05
FORMATS = ("none", "int8", "int8-weights", "int8-outliers", "fp8", "nf4", "none+attention", "int8+attention", "fp8+attention")
PEERS = {"bitsandbytes nf4": "nf4", "torchao fp8": "fp8", "bitsandbytes LLM.int8": "int8-outliers"}  # and our format like it
COLUMNS, TIMES = 16, 30
PROMPTS = ("a red circle left of a blue square", "a green triangle on a white background", "two yellow circles",
           "a blue circle above a red triangle")
MORE = [f"{number} {colour} {shape}s" for shape, colour, number in itertools.product(
    ("circle", "square", "triangle"), ("red", "green", "blue", "yellow", "orange", "purple"), ("two", "three", "four"))]


def add_outliers(component):
    """In the scale that AdaLN's modulation has for every input."""
    import torch

    for name, module in component.named_modules():
        if name.endswith(MODULATION):
            chunks = module.bias.data.view(-1, module.in_features)  # shift, scale, gate, and again for the MLP
            with torch.no_grad():
                chunks[1::3, :: module.in_features // COLUMNS] += TIMES - 1
    return component


QUANTIZE = {"bitsandbytes nf4": with_bitsandbytes_nf4, "torchao fp8": with_torchao_fp8,
            "bitsandbytes LLM.int8": with_bitsandbytes_int8}


def as_pixels(pictures):
    import numpy as np

    return np.stack([(picture * 255).round().astype(int) for picture in pictures])


def draw_theirs(model, request, prompts, seed, device):
    """By peer (or why it has no picture), and bf16 and fp32."""
    import torch
    from diffusers import FluxPipeline
    from reference import full_size, pipeline

    correctness.say_less()
    torch.backends.cudnn.allow_tf32 = False
    pipe = FluxPipeline.from_pretrained(model, dtype=torch.bfloat16).to(device)
    pipe.set_progress_bar_config(disable=True)
    requests = [{**request, "prompt": prompt} for prompt in prompts]
    noise = [pipeline.given_noise(pipe, {**one, "noise_dtype": "bf16"}, [torch.Generator().manual_seed(seed + i)])
             for i, one in enumerate(requests)]

    def draw():
        return as_pixels(pipe(**one, latents=start, output_type="np").images[0] for one, start in zip(requests, noise))

    hook = keep_exact(pipe)
    pictures = {"bf16": draw()}
    for peer, quantize in QUANTIZE.items():
        if not importlib.util.find_spec(peer.split()[0]):
            pictures[peer] = "is not installed"
            continue
        try:
            with quantized(pipe.transformer, quantize):
                pictures[peer] = draw()
        except Exception as error:
            pictures[peer] = f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0]}"
    hook.remove()
    pictures["fp32"] = as_pixels(full_size.draw_all_fp32(pipe, requests, noise))
    return pictures


def draw_ours(program, model, request, prompts, seed, device, format):
    """Of all prompts, by one run."""
    quantize, _, attention = format.partition("+")
    request = {"quantize": quantize, "quantize_text_encoder": "none", "quantize_modulation": "none",
               "quantize_attention": "fp8" if attention else "none", **request}
    del request["prompt"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(prompts))
        file.flush()
        return correctness.draw_ours(program, model, {**request, "prompts": file.name}, seed, device, 1)


def compare(program, model, request, prompts, seed, device="cuda", formats=FORMATS):
    """RMS errors of 255: of flux-dist by format, of the peers, of all prompts together and of each; and how much the pictures
    in fp32 vary."""
    ours = {format: draw_ours(program, model, request, prompts, seed, device, format)
            for format in formats if device == "cuda" or not format.startswith("fp8")}
    theirs = draw_theirs(model, request, prompts, seed, device)
    exact = theirs.pop("fp32")

    def errors_of(pictures, error):
        return {name: drawn if isinstance(drawn, str) else error(drawn) for name, drawn in pictures.items()}

    def of_all(drawn):
        return correctness.rms(drawn, exact)

    def of_each(drawn):
        return [correctness.rms(one, reference) for one, reference in zip(drawn, exact)]

    return {"flux-dist": errors_of(ours, of_all), "diffusers": errors_of(theirs, of_all), "contrast": float(exact.std()),
            "by_prompt": errors_of({**ours, **theirs}, of_each)}


def too_large(errors):
    """Formats of ours whose error is over that of the same format elsewhere."""
    peers = {PEERS[name]: error for name, error in errors["diffusers"].items() if PEERS.get(name)}
    return [ours for ours, peer in peers.items() if not isinstance(peer, str) and ours in errors["flux-dist"] and
            not errors["flux-dist"][ours] <= ALLOWED * peer]


def report(errors):
    cell = lambda error: error if isinstance(error, str) else f"{error:.2f}"  # noqa: E731
    rows = [(f"{who}: {name}", cell(error)) for who in ("flux-dist", "diffusers") for name, error in errors[who].items()]
    lines = ["|  | RMS of 255 from fp32 |", "| --- | --- |", *(f"| {name} | {error} |" for name, error in rows), ""]
    lines.append(f"The pictures in fp32 vary by {errors['contrast']:.1f} of 255.")
    bad = too_large(errors)
    lines.append(f"Over {ALLOWED} times the same format elsewhere: {', '.join(bad) or 'none'}")
    return "\n".join(lines) + "\n"


def main(words=None):
    parser = correctness.arguments_of(__doc__)
    parser.add_argument("--outliers", action="store_true", help="in a model that is written")
    parser.add_argument("--num-prompts", type=int, default=len(PROMPTS), help=f"1 to {len(PROMPTS) + len(MORE)} [{len(PROMPTS)}]")
    parser.add_argument("--formats", default=",".join(FORMATS), help=f"of flux-dist [{','.join(FORMATS)}]")
    arguments = parser.parse_args(words)
    try:
        if arguments.outliers and arguments.model.exists():
            raise child.Wrong(f"--outliers: {arguments.model} is there already, and stays as it is")
        formats = arguments.formats.split(",")
        if unknown := set(formats) - set(FORMATS):
            raise child.Wrong(f"--formats: {', '.join(sorted(unknown))}: give some of {', '.join(FORMATS)}")
        prompts = [*PROMPTS, *MORE][:arguments.num_prompts]
        if not 0 < arguments.num_prompts == len(prompts):
            raise child.Wrong(f"--num-prompts: from 1 to {len(PROMPTS) + len(MORE)}")
        program, request, seed = correctness.prepared(arguments, *([add_outliers] if arguments.outliers else []))
        errors = compare(program, arguments.model, request, prompts, seed, arguments.device, formats)
    except (child.Wrong, RuntimeError, ImportError) as error:
        print(f"quality.py: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1 if isinstance(error, RuntimeError) else 2
    print(report(errors), end="")
    if arguments.output:
        arguments.output.write_text(json.dumps(errors) + "\n")
    return 1 if too_large(errors) else 0


if __name__ == "__main__":
    sys.exit(main())
