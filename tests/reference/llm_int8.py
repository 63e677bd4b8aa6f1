"""What bitsandbytes makes of a linear layer in LLM.int8, by a CPU and where there is one by a card: `llm_int8.py OUTDIR`.

OUTDIR/model.safetensors holds <case>.weight, .bias and .x, and of each <device> <case>.<device>.<what>: codes and absmax of
the weight, x_codes, x_absmax and columns (which have outliers) of x, and y.
"""

import logging
import sys
from pathlib import Path

import bitsandbytes as bnb
import torch
from safetensors.torch import save_file

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def inputs(dtype):
    """Nine rows: some columns with outliers, of one row or of all; on the threshold and next to it; a row of zeros."""
    normal = torch.randn(9, 256)
    few = normal.clone()
    few[2, 17] = 9
    few[5, 200] = -40
    many = normal.clone()
    many[:, ::3] *= 12
    edge = normal.clamp(-4, 4)
    edge[1, 3], edge[2, 4], edge[3, 5] = 6, -6, 5.99
    edge[4, 6] = 5.9999  # in fp16 6
    edge[5] = 0
    huge = normal.clone()
    huge[3, 9] = 60000 if dtype == torch.float16 else 1e6  # of which fp16 knows no more than that it is large
    alone = 2 * few[2:3]
    return {"normal": normal.clamp(-5, 5), "few": few, "many": many, "edge": edge, "huge": huge, "alone": alone}


def weights(dtype):
    weight = torch.randn(40, 256) / 16
    weight[3] = 0
    weight[4] *= 1e-6  # in fp16 without a leading one
    return weight.to(dtype)


@torch.no_grad()
def layer(weight, bias, x, device):
    linear = bnb.nn.Linear8bitLt(weight.shape[1], weight.shape[0], has_fp16_weights=False, threshold=6.0)
    linear.weight = bnb.nn.Int8Params(weight.clone(), requires_grad=False, has_fp16_weights=False)
    linear.bias = torch.nn.Parameter(bias.clone())
    linear = linear.to(device).eval()
    y = linear(x.to(device))
    x_codes, x_absmax, columns = bnb.functional.int8_vectorwise_quant(x.to(device).half(), threshold=6.0)
    return {"codes": linear.state.CB, "absmax": linear.state.SCB, "x_codes": x_codes, "x_absmax": x_absmax,
            "columns": columns, "y": y}


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    tensors = {}
    for dtype_name, dtype in DTYPES.items():
        weight, bias = weights(dtype), torch.linspace(-1, 1, 40, dtype=dtype)
        for kind, x in inputs(dtype).items():
            case = f"{kind}_{dtype_name}"
            tensors |= {f"{case}.weight": weight.clone(), f"{case}.bias": bias.clone(), f"{case}.x": x.to(dtype)}
            for device in devices:
                made = layer(weight, bias, x.to(dtype), device)
                tensors |= {f"{case}.{device}.{what}": values.cpu() for what, values in made.items()}
    save_file({name: values.contiguous() for name, values in tensors.items()}, folder / "model.safetensors")


if __name__ == "__main__":
    main()
