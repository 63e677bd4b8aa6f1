"""A random small FLUX.1 that bitsandbytes quantised, and what diffusers draws with its values: `quantized.py OUTDIR`.

OUTDIR/nf4 (double quantisation), fp4 (without) and int8 are folders as save_pretrained leaves them, transformer and
text_encoder_2 quantised; OUTDIR/pictures/model.safetensors holds what FluxPipeline draws in fp32 where each matrix is what
bitsandbytes makes of its codes, of int8 also (int8-outliers) with bitsandbytes' own layers in blocks, and OUTDIR/values_<kind>_<component>/model.safetensors those matrices.
"""

import contextlib
import copy
import json
import shutil
import sys
from pathlib import Path
from unittest import mock

import bitsandbytes as bnb
import torch
from diffusers import BitsAndBytesConfig, FluxPipeline, FluxTransformer2DModel
from diffusers.quantizers.bitsandbytes import bnb_quantizer
from safetensors.torch import save_file
from transformers import BitsAndBytesConfig as TextBitsAndBytesConfig
from transformers import T5EncoderModel

sys.path.insert(0, str(Path(__file__).parent))
import pipeline  # noqa: E402

MODEL = dict(
    transformer=dict(num_layers=2, num_single_layers=3, num_attention_heads=4, attention_head_dim=16,
                     axes_dims_rope=(4, 6, 6), in_channels=64, joint_attention_dim=128, pooled_projection_dim=64,
                     guidance_embeds=True),
    clip=dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, eos_token_id=2),
    t5=dict(d_model=128, d_kv=16, d_ff=192, num_layers=2, num_heads=4),
    vae=dict(latent_channels=16, block_out_channels=(8, 16, 16, 24), norm_num_groups=4, layers_per_block=1,
             scaling_factor=0.3611, shift_factor=0.1159),
    scheduler=dict(shift=3.0, use_dynamic_shifting=True),
)
KINDS = {
    "nf4": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True),
    "fp4": dict(load_in_4bit=True, bnb_4bit_quant_type="fp4"),
    "int8": dict(load_in_8bit=True),
}
REQUEST = dict(prompt="a red circle", prompt_2="a green triangle above a blue circle", height=64, width=48,
               num_inference_steps=3, guidance_scale=3.5, seed=1)


def set_quiet():
    pipeline.set_verbosity_error()
    pipeline.disable_progress_bar()
    torch.manual_seed(0)
    torch.set_num_threads(1)


@contextlib.contextmanager
def without_a_card():
    """Which diffusers asks for, and bitsandbytes does not."""
    with contextlib.ExitStack() as patches:
        for quantizer in (bnb_quantizer.BnB4BitDiffusersQuantizer, bnb_quantizer.BnB8BitDiffusersQuantizer):
            patches.enter_context(mock.patch.object(quantizer, "validate_environment", lambda *_, **__: None))
        yield


def quantized(dense, kind):
    """The transformer and T5 as diffusers and transformers load them with a BitsAndBytesConfig."""
    with without_a_card():
        transformer = FluxTransformer2DModel.from_pretrained(
            dense / "transformer", quantization_config=BitsAndBytesConfig(**KINDS[kind]), torch_dtype=torch.float32,
            device_map={"": "cpu"})
    t5 = T5EncoderModel.from_pretrained(
        dense / "text_encoder_2", quantization_config=TextBitsAndBytesConfig(**KINDS[kind]), dtype=torch.float32,
        device_map={"": "cpu"})
    return {"transformer": transformer, "text_encoder_2": t5}


def matrices(model):
    """By name, what bitsandbytes makes of the codes."""
    found = {}
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, bnb.nn.Linear4bit):
            found[name] = bnb.functional.dequantize_4bit(weight.data, weight.quant_state)
        elif isinstance(module, bnb.nn.Linear8bitLt):
            scales = weight.SCB if weight.SCB is not None else module.state.SCB
            found[name] = bnb.functional.int8_vectorwise_dequant(weight.data, scales)
    return found


def with_values(pipe, component, model):
    """The pipeline computes with what bitsandbytes makes of the model's codes: its products are not in fp32."""
    values = matrices(model)
    assert len(values) > 10
    modules = dict(getattr(pipe, component).named_modules())
    for name, value in values.items():
        modules[name].weight.data = value.float()
    return values


def with_layers(pipe, component, model):
    """The pipeline computes its blocks with bitsandbytes' own layers, but not their modulation."""
    ours = getattr(pipe, component)
    for name, module in model.named_modules():
        if isinstance(module, bnb.nn.Linear8bitLt) and "block" in name and ".norm" not in name:
            parent, _, child = name.rpartition(".")
            setattr(ours.get_submodule(parent), child, module.eval())


@torch.no_grad()
def draw_folder(folder):
    """What diffusers draws of a quantized folder, whoever wrote it, beside the dense one that it was made of."""
    set_quiet()
    pipe = FluxPipeline.from_pretrained(folder.parent / "dense")
    pipe.set_progress_bar_config(disable=True)
    with without_a_card():
        transformer = FluxTransformer2DModel.from_pretrained(folder / "transformer", torch_dtype=torch.float32,
                                                             device_map={"": "cpu"})
    t5 = T5EncoderModel.from_pretrained(folder / "text_encoder_2", dtype=torch.float32, device_map={"": "cpu"})
    with_values(pipe, "transformer", transformer)
    with_values(pipe, "text_encoder_2", t5)
    return pipeline.draw(pipe, REQUEST)[0].numpy()


def write_kind(folder, dense, pipe, kind):
    for component in ("text_encoder", "vae", "scheduler", "tokenizer", "tokenizer_2"):
        shutil.copytree(dense / component, folder / kind / component)
    shutil.copy(dense / "model_index.json", folder / kind)
    pipe = copy.deepcopy(pipe)
    models = quantized(dense, kind)
    for component, model in models.items():
        model.save_pretrained(folder / kind / component)
        assert "quantization_config" in json.loads((folder / kind / component / "config.json").read_text())
        values = with_values(pipe, component, model)
        (folder / f"values_{kind}_{component}").mkdir()
        save_file({f"{name}.weight": value.float().contiguous() for name, value in values.items()},
                  folder / f"values_{kind}_{component}" / "model.safetensors")
    pictures = {kind: pipeline.draw(pipe, REQUEST)[0].contiguous()}
    if kind == "int8":
        for component, model in models.items():
            with_layers(pipe, component, model)
        pictures["int8-outliers"] = pipeline.draw(pipe, REQUEST)[0].contiguous()
    return pictures


@torch.no_grad()
def write(folder):
    set_quiet()
    shutil.rmtree(folder, ignore_errors=True)
    dense = folder / "dense"
    pipeline.write_model(dense, MODEL)
    pipe = FluxPipeline.from_pretrained(dense)
    pipe.set_progress_bar_config(disable=True)
    pictures = {"dense": pipeline.draw(pipe, REQUEST)[0].contiguous()}
    for kind in KINDS:
        pictures |= write_kind(folder, dense, pipe, kind)
    (folder / "pictures").mkdir()
    save_file(pictures, folder / "pictures" / "model.safetensors")
    (folder / "request.json").write_text(json.dumps(REQUEST))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
