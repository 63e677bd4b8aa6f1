"""What bitsandbytes makes of matrices in 4 bits, on the CPU: `four_bit.py OUTDIR`.

OUTDIR/model.safetensors holds <case>.weight and, of nf4 and fp4, <case>.<type>.<what>: codes, absmax (fp32, as without
double quantisation), nested (their codes), nested_absmax, nested_map, offset, and the values as fp32, bf16 and fp16.
"""

import sys
from pathlib import Path

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import save_file

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def between_codes(kind):
    """Multiples of what lies exactly between two codes, and of its neighbours in fp32: a row each."""
    codes = bnb.get_4bit_type(kind, "cpu").sort()[0]
    ties = (codes[:-1] + codes[1:]) / 2
    row = torch.cat([ties, ties.nextafter(torch.tensor(2.0)), ties.nextafter(torch.tensor(-2.0)), torch.ones(19)])
    return torch.stack([row, row / 4, row * 3, -row])


def cases():
    normal = torch.randn(520, 192)
    spread = torch.randn(96, 320) * torch.exp(4 * torch.randn(96, 1))
    zeros = torch.randn(40, 128)
    zeros[3:7] = 0
    zeros[9, 64:] = 0
    return {
        "one_block": torch.randn(1, 64),
        "normal": normal,
        "bf16": torch.randn(300, 448).bfloat16(),
        "fp16": (0.02 * torch.randn(77, 256)).half(),
        "spread": spread,
        "zeros": zeros,
        "nothing": torch.zeros(5, 64),
        "tiny": 1e-30 * torch.randn(4, 128),
        "huge": 65504 * torch.randn(64, 64).sign(),
        "ties_nf4": between_codes("nf4"),
        "ties_fp4": between_codes("fp4"),
    }


def write(weight, kind):
    codes, plain = bnb.quantize_4bit(weight, quant_type=kind)
    nested_codes, state = bnb.quantize_4bit(weight, quant_type=kind, compress_statistics=True)
    assert torch.equal(codes, nested_codes)
    rows, width = weight.shape
    tensors = {
        "codes": codes.view(rows, width // 2),
        "absmax": plain.absmax.view(rows, width // 64),
        "nested": state.absmax.view(rows, width // 64),
        "nested_absmax": state.state2.absmax,
        "nested_map": state.state2.code.clone(),
        "offset": state.offset.view(1),
    }
    for name, dtype in DTYPES.items():
        state.dtype = plain.dtype = dtype
        tensors[name] = bnb.dequantize_4bit(codes, state)
        tensors["plain_" + name] = bnb.dequantize_4bit(codes, plain)
    return tensors


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(1)  # more of them sum the absmax of a large matrix in another order
    tensors = {}
    for name, weight in cases().items():
        tensors[f"{name}.weight"] = weight
        for kind in ("nf4", "fp4"):
            tensors |= {f"{name}.{kind}.{what}": values for what, values in write(weight, kind).items()}
    save_file({name: values.contiguous() for name, values in tensors.items()}, folder / "model.safetensors")


if __name__ == "__main__":
    main()
