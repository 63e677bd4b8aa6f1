"""Random small transformers, and what diffusers makes of them: `transformer.py OUTDIR`.

OUTDIR/shape_<i> and OUTDIR/seed_<i> are folders of diffusers' FluxTransformer2DModel; their expected/model.safetensors
holds inputs, the output in fp32 of several timesteps, and of the seeds also the outputs in bf16 and fp16.
OUTDIR/pipeline_<i> are model folders without weights but the transformer's, with the latents that FluxPipeline starts
and ends with.
"""

import copy
import json
import os
import shutil
import sys
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from diffusers.utils.logging import set_verbosity_error
from safetensors.torch import save_file

DEV = dict(shift=3.0, use_dynamic_shifting=True)
SCHNELL = dict(shift=1.0, use_dynamic_shifting=False)

SHAPES = [  # with text tokens, and rows and columns of the picture's tokens
    (dict(num_layers=1, num_single_layers=1, num_attention_heads=2, attention_head_dim=16, axes_dims_rope=[4, 4, 8],
          joint_attention_dim=32, pooled_projection_dim=32, in_channels=4, guidance_embeds=True), 5, 4, 6),
    (dict(num_layers=2, num_single_layers=3, num_attention_heads=3, attention_head_dim=24, axes_dims_rope=[2, 10, 12],
          joint_attention_dim=40, pooled_projection_dim=20, in_channels=16, guidance_embeds=False), 7, 3, 5),
    (dict(num_layers=0, num_single_layers=2, num_attention_heads=5, attention_head_dim=8, axes_dims_rope=[2, 4, 2],
          joint_attention_dim=24, pooled_projection_dim=12, in_channels=64, guidance_embeds=True), 1, 8, 2),
    (dict(num_layers=3, num_single_layers=0, num_attention_heads=1, attention_head_dim=64, axes_dims_rope=[16, 24, 24],
          joint_attention_dim=48, pooled_projection_dim=8, in_channels=8, guidance_embeds=False), 12, 1, 7),
]
SEED_SHAPE = (dict(num_layers=2, num_single_layers=4, num_attention_heads=2, attention_head_dim=32,
                   axes_dims_rope=[8, 12, 12], joint_attention_dim=48, pooled_projection_dim=24, in_channels=64,
                   guidance_embeds=True), 16, 8, 8)
PIPELINES = [  # fields of the transformer, scheduler, text tokens, height, width, arguments of the pipeline
    (dict(num_layers=1, num_single_layers=2, guidance_embeds=True), DEV, 9, 48, 80,
     dict(num_inference_steps=3, guidance_scale=3.5, seed=5)),
    (dict(num_layers=2, num_single_layers=1, guidance_embeds=False), SCHNELL, 6, 64, 32,
     dict(num_inference_steps=1, guidance_scale=0.0, seed=2**40 + 11)),
    (dict(num_layers=1, num_single_layers=1, guidance_embeds=True), DEV, 4, 16, 112,
     dict(num_inference_steps=5, guidance_scale=2.0, true_cfg_scale=4.0, seed=0)),
]


def random_transformer(fields):
    """Of bf16 values, so that every dtype starts from the same weights."""
    transformer = FluxTransformer2DModel(**fields).eval()
    for name, parameter in transformer.named_parameters():
        values = torch.randn_like(parameter)
        if parameter.dim() == 2:
            values /= parameter.shape[1] ** 0.5
        elif name.endswith("bias"):
            values *= 0.1
        else:  # norm_q, norm_k
            values = 1 + 0.2 * values
        parameter.data = values.bfloat16().float()
    return transformer


def picture_ids(rows, columns):
    return FluxPipeline._prepare_latent_image_ids(1, rows, columns, "cpu", torch.float32)


def forward(transformer, inputs, sigma, rows, columns):
    dtype = transformer.dtype
    text_tokens = inputs["txt"].shape[0]
    guidance = inputs["guidance"] if transformer.config.guidance_embeds else None
    return transformer(
        hidden_states=inputs["latents"][None].to(dtype),
        encoder_hidden_states=inputs["txt"][None].to(dtype),
        pooled_projections=inputs["pooled"][None].to(dtype),
        timestep=sigma[None],
        guidance=guidance,
        txt_ids=torch.zeros(text_tokens, 3),
        img_ids=picture_ids(rows, columns),
        return_dict=False,
    )[0][0]


def random_inputs(config, text_tokens, picture_tokens, sigmas, guidance):
    return dict(
        latents=torch.randn(picture_tokens, config.in_channels).bfloat16().float(),
        txt=torch.randn(text_tokens, config.joint_attention_dim).bfloat16().float(),
        pooled=torch.randn(config.pooled_projection_dim).bfloat16().float(),
        guidance=torch.tensor([guidance]),
        sigmas=torch.tensor(sigmas),
    )


@torch.no_grad()
def write_forward(folder, shape, sigmas, guidance, dtypes):
    fields, text_tokens, rows, columns = shape
    transformer = random_transformer(fields)
    transformer.save_pretrained(folder)
    inputs = random_inputs(transformer.config, text_tokens, rows * columns, sigmas, guidance)
    expected = dict(inputs, height=torch.tensor([16 * rows]), width=torch.tensor([16 * columns]))
    for name, dtype in dtypes.items():
        model = copy.deepcopy(transformer).to(dtype)
        outputs = [forward(model, inputs, sigma, rows, columns).float() for sigma in inputs["sigmas"]]
        expected[name] = torch.stack(outputs)
    (folder / "expected").mkdir(exist_ok=True)
    save_file(expected, folder / "expected" / "model.safetensors")


@torch.no_grad()
def write_pipeline(folder, fields, scheduler_fields, text_tokens, height, width, arguments):
    demo = Path(os.environ["FLUX_SOURCE_DIR"]) / "configs" / "demo"
    for config in [demo / "model_index.json", *demo.glob("*/*.json")]:
        (folder / config.relative_to(demo)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(config, folder / config.relative_to(demo))
    widths = json.loads((demo / "transformer" / "config.json").read_text())
    transformer = random_transformer({**{k: v for k, v in widths.items() if not k.startswith("_")}, **fields})
    transformer.save_pretrained(folder / "transformer")
    scheduler = FlowMatchEulerDiscreteScheduler(**scheduler_fields)
    scheduler.save_pretrained(folder / "scheduler")

    pipeline = FluxPipeline(scheduler, None, None, None, None, None, transformer)
    pipeline.vae_scale_factor = 8
    pipeline.set_progress_bar_config(disable=True)
    config, arguments = transformer.config, dict(arguments)
    expected = dict(
        txt=torch.randn(text_tokens, config.joint_attention_dim), pooled=torch.randn(config.pooled_projection_dim),
        negative_txt=torch.randn(text_tokens, config.joint_attention_dim),
        negative_pooled=torch.randn(config.pooled_projection_dim))
    seed = arguments.pop("seed")
    generated = pipeline(
        prompt_embeds=expected["txt"][None], pooled_prompt_embeds=expected["pooled"][None],
        negative_prompt_embeds=expected["negative_txt"][None],
        negative_pooled_prompt_embeds=expected["negative_pooled"][None],
        height=height, width=width, generator=[torch.Generator().manual_seed(seed)], output_type="latent", **arguments)
    expected["latents"] = generated.images[0]
    for name in ("float32", "bfloat16", "float16"):
        noise, _ = pipeline.prepare_latents(1, config.in_channels // 4, height, width, getattr(torch, name), "cpu",
                                            [torch.Generator().manual_seed(seed)])
        expected["noise_" + name] = noise[0].clone()
    (folder / "expected").mkdir(exist_ok=True)
    save_file(expected, folder / "expected" / "model.safetensors")
    (folder / "expected" / "arguments.json").write_text(
        json.dumps(dict(arguments, seed=seed, height=height, width=width)))


set_verbosity_error()
out = Path(sys.argv[1])
torch.manual_seed(0)
for index, shape in enumerate(SHAPES):
    write_forward(out / f"shape_{index}", shape, [1.0, 0.7341, 0.0213], 3.47, {"fp32": torch.float32})
for index in range(8):
    # 1000 times these is exact in bf16: diffusers rounds timestep and guidance, which would hide every other error.
    write_forward(out / f"seed_{index}", SEED_SHAPE, [1.0, 0.5, 0.125], 4.0,
                  {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16})
for index, pipeline in enumerate(PIPELINES):
    write_pipeline(out / f"pipeline_{index}", *pipeline)
