"""Matrices of a diffusers transformer's blocks as other libraries quantize them: all but their modulation, as flux-dist's."""

import contextlib
import copy

MODULATION = ("norm1.linear", "norm1_context.linear", ".norm.linear")  # of the blocks


def with_bitsandbytes_nf4(linear):
    import bitsandbytes as bnb

    new = bnb.nn.Linear4bit(linear.in_features, linear.out_features, linear.bias is not None, quant_type="nf4",
                            compute_dtype=linear.weight.dtype, compress_statistics=True)
    new.weight = bnb.nn.Params4bit(linear.weight.data.cpu(), requires_grad=False, quant_type="nf4", compress_statistics=True)
    new.bias = linear.bias
    return new.to(linear.weight.device)


def with_bitsandbytes_int8(linear):
    import bitsandbytes as bnb

    new = bnb.nn.Linear8bitLt(linear.in_features, linear.out_features, linear.bias is not None, has_fp16_weights=False,
                              threshold=6.0)
    new.weight = bnb.nn.Int8Params(linear.weight.data.cpu(), requires_grad=False, has_fp16_weights=False)
    new.bias = linear.bias
    return new.to(linear.weight.device)


def with_torchao_fp8(linear):
    import torch
    from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, PerRow, quantize_

    holder = torch.nn.Sequential(copy.copy(linear))
    holder[0]._parameters = dict(linear._parameters)
    quantize_(holder, Float8DynamicActivationFloat8WeightConfig(granularity=PerRow()))
    return holder[0]


def quantize_blocks(transformer, quantize):
    """In place. What was there before: parent, name and module of each."""
    import torch

    changed = []
    for name, module in list(transformer.named_modules()):
        if isinstance(module, torch.nn.Linear) and "transformer_blocks." in name and not name.endswith(MODULATION):
            parent = transformer.get_submodule(name.rpartition(".")[0])
            changed.append((parent, name.rpartition(".")[2], module))
            setattr(parent, changed[-1][1], quantize(module))
    return changed


@contextlib.contextmanager
def quantized(transformer, quantize):
    changed = quantize_blocks(transformer, quantize)
    try:
        yield
    finally:
        for parent, name, module in changed:
            setattr(parent, name, module)
