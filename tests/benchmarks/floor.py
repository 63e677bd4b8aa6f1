"""The least that a card could take for a step with torch's library kernels: its matrix products and attention, nothing else.

Every block multiplies by 12 d x d of weights and attends from the card's rows to all tokens. In fp8 the products have
e4m3 operands with a scale a row and a column; attention stays in bf16. Started by beside.py, once a card.
"""

import torch
import torch.nn.functional as F
from benchmarks.child import answer
from benchmarks.sizes import Sizes
from benchmarks.timing import milliseconds
from torch.nn.attention import SDPBackend, sdpa_kernel

BF16, FP8 = torch.bfloat16, torch.float8_e4m3fn


def weights(d, device):
    shapes = {"qkv": (3 * d, d), "out": (d, d), "up": (4 * d, d), "down": (d, 4 * d)}
    return {name: torch.randn(shape, device=device, dtype=BF16) * shape[1] ** -0.5 for name, shape in shapes.items()}


def product_bf16(x, weight, bias):
    return lambda: F.linear(x, weight, bias)


def product_fp8(x, weight, bias):
    x8, weight8 = x.to(FP8), weight.to(FP8).t()
    of_rows = torch.ones(x.shape[0], 1, device=x.device)
    of_columns = torch.ones(1, weight.shape[0], device=x.device)
    return lambda: torch._scaled_mm(x8, weight8, scale_a=of_rows, scale_b=of_columns, bias=bias, out_dtype=BF16,
                                    use_fast_accum=True)


PRODUCTS = {"bf16": product_bf16, "fp8": product_fp8}


def products(make, sizes, rows, device):
    """A block's products, to be called."""
    inputs = {d: torch.randn(rows, d, device=device, dtype=BF16) for d in (sizes.width, 4 * sizes.width)}
    return [make(inputs[weight.shape[1]], weight, torch.randn(weight.shape[0], device=device, dtype=BF16))
            for weight in weights(sizes.width, device).values()]


def attention(sizes, rows, device):
    """The fastest of what torch has, and its name."""
    def heads(tokens):
        return torch.randn(1, tokens, sizes.heads, sizes.head_width, device=device, dtype=BF16).transpose(1, 2)

    q, k, v = heads(rows), heads(sizes.tokens), heads(sizes.tokens)
    times = {}
    for backend in (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION,
                    SDPBackend.MATH):
        if backend == SDPBackend.MATH and times:
            break
        try:
            with sdpa_kernel(backend):
                times[backend] = min(milliseconds(lambda: F.scaled_dot_product_attention(q, k, v), 5, device)[0])
        except RuntimeError:  # not on this device, or not of these sizes
            continue
    fastest = min(times, key=times.get)
    return lambda: F.scaled_dot_product_attention(q, k, v), fastest


def measure_floor(sizes, rows, precision, repetitions, device):
    attend, backend = attention(sizes, rows, device)
    block = products(PRODUCTS[precision], sizes, rows, device)
    qkv, *others = block

    def step():
        for _ in range(sizes.blocks):
            qkv()
            attend()
            for product in others:
                product()

    with sdpa_kernel(backend):
        times, (began, ended) = milliseconds(step, repetitions, device)
    return {"times_ms": times, "began": began, "ended": ended, "attention": backend.name.lower()}


def work(job):
    device = torch.device(job["device"])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    sizes, results = Sizes(**job["sizes"]), {"cuda": torch.version.cuda}
    with torch.no_grad():
        for precision in PRODUCTS:
            try:
                results[precision] = measure_floor(sizes, job["rows"], precision, job["steps"], device)
            except RuntimeError as error:
                if precision == "bf16":
                    raise
                results[precision] = {"error": str(error).splitlines()[0]}
    return results


if __name__ == "__main__":
    answer(work)
