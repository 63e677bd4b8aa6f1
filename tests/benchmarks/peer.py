"""diffusers' FluxTransformer2DModel, one step: on one card, also quantized, or on several with Ulysses or a ring. Started by
beside.py.

Compiled: block by block (compile_repeated_blocks) with fused QKV projections, which is diffusers' own advice for FLUX.1.
Attention is cuDNN's where it takes the model, else torch's choice. A step includes the modulation of its timestep, as in
FluxPipeline; flux-dist's is made once a picture, before the first step.
"""

import os
import time

import torch
import torch.distributed as dist
from benchmarks.child import answer
from benchmarks.quantized_peers import quantize_blocks, with_bitsandbytes_int8, with_bitsandbytes_nf4, with_torchao_fp8
from benchmarks.sizes import read_config, token_grid
from benchmarks.timing import milliseconds
from diffusers import ContextParallelConfig, FluxTransformer2DModel
from diffusers.utils.logging import set_verbosity_error

ATTENTION = ("_native_cudnn", "native")
QUANTIZE = {"bitsandbytes-nf4": with_bitsandbytes_nf4, "bitsandbytes-int8": with_bitsandbytes_int8,
            "torchao-fp8-compiled": with_torchao_fp8}  # by peer


def load(job, device):
    if not job["random_weights"]:
        return FluxTransformer2DModel.from_pretrained(job["model"], subfolder="transformer",
                                                      dtype=torch.bfloat16).to(device)
    from reference.pipeline import randomize

    config = FluxTransformer2DModel.load_config(job["model"], subfolder="transformer")
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with device, torch.no_grad():
        model = randomize(FluxTransformer2DModel.from_config(config))
    torch.set_default_dtype(torch.float32)
    return model


def inputs(job, device):
    config = read_config(job["model"], "transformer")
    of_model = dict(device=device, dtype=torch.bfloat16)
    rows, columns = token_grid(job["model"], job["height"], job["width"])
    ids = torch.zeros(rows, columns, 3, **of_model)
    ids[..., 1] += torch.arange(rows, device=device)[:, None]
    ids[..., 2] += torch.arange(columns, device=device)
    torch.manual_seed(1)  # the same on every rank
    return {
        "hidden_states": torch.randn(1, rows * columns, config["in_channels"], **of_model),
        "encoder_hidden_states": torch.randn(1, job["text_tokens"], config["joint_attention_dim"], **of_model),
        "pooled_projections": torch.randn(1, config["pooled_projection_dim"], **of_model),
        "timestep": torch.tensor([0.5], **of_model),
        "guidance": torch.tensor([3.5], device=device) if config["guidance_embeds"] else None,
        "img_ids": ids.reshape(-1, 3),
        "txt_ids": torch.zeros(job["text_tokens"], 3, **of_model),
        "return_dict": False,
    }


def divides(job, ranks):
    rows, columns = token_grid(job["model"], job["height"], job["width"])
    heads = read_config(job["model"], "transformer")["num_attention_heads"]
    return all(number % ranks == 0 for number in (rows * columns, job["text_tokens"], heads))


def context_parallel(job, ranks):
    if job["peer"].startswith("diffusers-ring"):
        return ContextParallelConfig(ring_degree=ranks)
    return ContextParallelConfig(ulysses_degree=ranks, ulysses_anything=not divides(job, ranks))


def first_step(model, arguments, backends):
    """Takes the first attention that the model's sizes allow; returns its name."""
    for backend in backends:
        try:
            model.set_attention_backend(backend)
            model(**arguments)
            return backend
        except Exception:
            if backend == backends[-1]:
                raise


def start_ranks(job):
    """The device of this process, and how many there are."""
    ranks, local = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_RANK", 0))
    cuda = job["device"] == "cuda"
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if ranks > 1:
        dist.init_process_group("nccl" if cuda else "gloo", device_id=device if cuda else None)
    return device, ranks


def work(job):
    set_verbosity_error()
    device, ranks = start_ranks(job)
    cuda, compiled = device.type == "cuda", job["peer"].endswith("-compiled")
    model, arguments = load(job, device).eval().requires_grad_(False), inputs(job, device)
    with torch.no_grad():
        attention = first_step(model, arguments, ATTENTION if cuda else ATTENTION[-1:])
        if compiled:
            model.fuse_qkv_projections()
        if job["peer"] in QUANTIZE:
            quantize_blocks(model, QUANTIZE[job["peer"]])
        if ranks > 1:
            model.enable_parallelism(config=context_parallel(job, ranks))
        if compiled:
            model.compile_repeated_blocks(fullgraph=ranks == 1)  # what ranks say to each other breaks the graph
        if cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        output = model(**arguments)[0]
        if not output.isfinite().all():
            raise RuntimeError("the output is not finite")
        first_s = time.perf_counter() - began
        if ranks > 1:
            dist.barrier()
        times, (began, ended) = milliseconds(lambda: model(**arguments), job["steps"], device)
    mine = {"times_ms": times, "began": began, "ended": ended,
            "peak_bytes": torch.cuda.max_memory_allocated() if cuda else None}
    everyone = [mine]
    if ranks > 1:
        everyone = [None] * ranks
        dist.all_gather_object(everyone, mine)
        dist.destroy_process_group()
        if int(os.environ["RANK"]):
            return None
    slowest = max(everyone, key=lambda rank: sorted(rank["times_ms"])[len(rank["times_ms"]) // 2])
    return {**slowest, "peak_bytes": max((rank["peak_bytes"] or 0) for rank in everyone) or None,
            "attention": attention, "compile_s": first_s if compiled else None}


if __name__ == "__main__":
    answer(work)
