"""A random small FLUX.1 in fp8, and what diffusers and transformers make of its values: `fp8.py OUTDIR`.

OUTDIR/<kind> are folders of which nothing in a config says so: plain (all of every component converted to
float8_e4m3fn), scaled (transformer and text_encoder_2 as ComfyUI writes them) and rows (text_encoder_2 alone, a scale a row).
OUTDIR/pictures/model.safetensors holds what FluxPipeline draws of each in fp32 with the values that the files mean,
OUTDIR/embeddings what T5EncoderModel makes of `ids` with them, and OUTDIR/values_<kind>_<component> those values.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from diffusers import FluxPipeline
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent))
import pipeline  # noqa: E402
import quantized  # noqa: E402

E4M3 = torch.float8_e4m3fn
REQUEST = quantized.REQUEST | {"noise_dtype": "fp32"}


def plain(tensors):
    return {name: value.to(E4M3) for name, value in tensors.items()}


def matrices(tensors):
    return [name for name, value in tensors.items()
            if name.endswith(".weight") and value.dim() == 2 and "shared" not in name and "relative_attention" not in name]


def scaled(tensors):
    """One scale a matrix, the rest in 16 bit, an embedding without one."""
    stored = {name: value.to(torch.bfloat16) for name, value in tensors.items()} | {"scaled_fp8": torch.empty(0, dtype=E4M3)}
    for i, name in enumerate(matrices(tensors)):
        scale = tensors[name].abs().max() / 448
        stored[name] = (tensors[name] / scale).to(E4M3)
        module = name.removesuffix(".weight")
        stored[f"{module}.scale_weight"] = scale if i % 2 else scale.view(1)
        stored[f"{module}.scale_input"] = torch.tensor(0.5)
    if "shared.weight" in tensors:
        stored["shared.weight"] = tensors["shared.weight"].to(E4M3)
    return stored


def rows(tensors):
    """One scale a row in every shape and dtype that tools give it; a matrix of three is left as it was."""
    stored = dict(tensors)
    for i, name in enumerate(matrices(tensors)):
        if i % 3 == 0:
            continue
        scale = (tensors[name].abs().amax(1) / 448).to(torch.bfloat16 if i % 2 else torch.float32)
        stored[name] = (tensors[name] / scale.float()[:, None]).to(E4M3)
        stored[name.removesuffix("weight") + "weight_scale"] = scale[:, None] if i % 2 else scale
    return stored


KINDS = {
    "plain": dict(transformer=plain, text_encoder_2=plain, text_encoder=plain, vae=plain),
    "scaled": dict(transformer=scaled, text_encoder_2=scaled),
    "rows": dict(text_encoder_2=rows),
}


def values(stored):
    """By name, what the tensors of a file mean."""
    found = {}
    for name, value in stored.items():
        if name == "scaled_fp8" or "scale_" in name or name.endswith("_scale"):
            continue
        found[name] = value.float()
        for scale in ("scale_weight", "weight_scale"):
            factor = stored.get(name.removesuffix("weight") + scale)
            if factor is not None:
                found[name] *= factor.float().view(-1, 1)
    return found


def write_kind(folder, dense, kind):
    """The folder, and the pipeline that computes with what its files mean."""
    shutil.copytree(dense, folder / kind)
    pipe = FluxPipeline.from_pretrained(dense)
    pipe.set_progress_bar_config(disable=True)
    for component, convert in KINDS[kind].items():
        (file,) = (folder / kind / component).glob("*.safetensors")
        stored = convert(load_file(file))
        save_file({name: value.contiguous() for name, value in stored.items()}, file)
        meant = values(stored)
        missing, unexpected = getattr(pipe, component).load_state_dict(meant, strict=False)
        assert not unexpected and set(missing) <= {"encoder.embed_tokens.weight"}, (missing, unexpected)
        (folder / f"values_{kind}_{component}").mkdir()
        save_file(meant, folder / f"values_{kind}_{component}" / "model.safetensors")
    return pipe


@torch.no_grad()
def write(folder):
    quantized.set_quiet()
    shutil.rmtree(folder, ignore_errors=True)
    dense = folder / "dense"
    pipeline.write_model(dense, quantized.MODEL)
    pipe = FluxPipeline.from_pretrained(dense)
    pipe.set_progress_bar_config(disable=True)
    ids = torch.randint(0, pipe.text_encoder_2.config.vocab_size, (23,))
    pictures = {"dense": pipeline.draw(pipe, REQUEST)[0].contiguous()}
    embeddings = {"ids": ids}
    for kind in KINDS:
        pipe = write_kind(folder, dense, kind)
        pictures[kind] = pipeline.draw(pipe, REQUEST)[0].contiguous()
        embeddings[kind] = pipe.text_encoder_2(ids[None]).last_hidden_state[0].contiguous()
    for name, tensors in (("pictures", pictures), ("embeddings", embeddings)):
        (folder / name).mkdir()
        save_file(tensors, folder / name / "model.safetensors")
    (folder / "request.json").write_text(json.dumps(REQUEST))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
