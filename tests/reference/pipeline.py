"""Random small FLUX.1 folders, and the pictures FluxPipeline draws with them in fp32: `pipeline.py OUTDIR`.

OUTDIR/dev and OUTDIR/schnell are published-like folders, OUTDIR/tiny and OUTDIR/shallow have VAEs of one and two blocks;
all with the tokenizers of configs/demo; OUTDIR/saved is schnell as save_pretrained writes it, with tokenizer.json in place
of the tokenizers' older files. OUTDIR/requests.jsonl has a line for every request (diffusers' parameter names, and `model`), OUTDIR/pictures/model.safetensors the pictures:
<line>_<picture>, uint8 [height, width, 3].
"""

import json
import os
import shutil
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from diffusers.utils.logging import set_verbosity_error
from diffusers.utils.torch_utils import randn_tensor
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel
from transformers.utils.logging import disable_progress_bar

DEMO = Path(os.environ["FLUX_SOURCE_DIR"]) / "configs" / "demo"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

MODELS = {
    "dev": dict(
        transformer=dict(num_layers=2, num_single_layers=3, num_attention_heads=2, attention_head_dim=16,
                         axes_dims_rope=(4, 6, 6), in_channels=16, joint_attention_dim=48, pooled_projection_dim=32,
                         guidance_embeds=True),
        clip=dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, eos_token_id=2),
        t5=dict(d_model=48, d_kv=16, d_ff=64, num_layers=2, num_heads=2),
        vae=dict(latent_channels=4, block_out_channels=(8, 16, 16, 24), norm_num_groups=4, layers_per_block=1,
                 scaling_factor=0.3611, shift_factor=0.1159),
        scheduler=dict(shift=3.0, use_dynamic_shifting=True),
    ),
    "schnell": dict(
        transformer=dict(num_layers=1, num_single_layers=2, num_attention_heads=3, attention_head_dim=24,
                         axes_dims_rope=(8, 8, 8), in_channels=64, joint_attention_dim=32, pooled_projection_dim=48,
                         guidance_embeds=False),
        clip=dict(hidden_size=48, intermediate_size=96, num_hidden_layers=1, num_attention_heads=3, eos_token_id=656),
        t5=dict(d_model=32, d_kv=8, d_ff=96, num_layers=3, num_heads=3),
        vae=dict(latent_channels=16, block_out_channels=(16, 16, 32, 32), norm_num_groups=8, layers_per_block=2,
                 scaling_factor=0.5, shift_factor=-0.2),
        scheduler=dict(shift=1.0, use_dynamic_shifting=False),
    ),
    "tiny": dict(  # get_dummy_components of diffusers' own FluxPipeline test, with gated-gelu
        transformer=dict(num_layers=1, num_single_layers=1, num_attention_heads=2, attention_head_dim=16,
                         axes_dims_rope=(4, 4, 8), in_channels=4, joint_attention_dim=32, pooled_projection_dim=32,
                         guidance_embeds=False),
        clip=dict(hidden_size=32, intermediate_size=37, num_hidden_layers=5, num_attention_heads=4, eos_token_id=2),
        t5=dict(d_model=32, d_kv=8, d_ff=37, num_layers=5, num_heads=4, relative_attention_num_buckets=6),
        vae=dict(latent_channels=1, block_out_channels=(4,), norm_num_groups=1, layers_per_block=1,
                 scaling_factor=1.5035, shift_factor=0.0609),
        scheduler=dict(),
    ),
    "shallow": dict(
        transformer=dict(num_layers=2, num_single_layers=1, num_attention_heads=1, attention_head_dim=32,
                         axes_dims_rope=(8, 12, 12), in_channels=12, joint_attention_dim=40, pooled_projection_dim=24,
                         guidance_embeds=True),
        clip=dict(hidden_size=24, intermediate_size=50, num_hidden_layers=2, num_attention_heads=2, eos_token_id=2),
        t5=dict(d_model=40, d_kv=12, d_ff=72, num_layers=2, num_heads=3, relative_attention_num_buckets=10),
        vae=dict(latent_channels=3, block_out_channels=(6, 12), norm_num_groups=3, layers_per_block=2,
                 scaling_factor=0.8, shift_factor=-0.1, mid_block_add_attention=False),
        scheduler=dict(shift=3.0, use_dynamic_shifting=True),
    ),
}

LONG = "a red circle left of a blue square on a white background and " * 8
REQUESTS = [  # height and width are not of one kind: square, wide, tall, odd multiples of a token, one token, part of one
    dict(model="dev", prompt="a red circle", height=64, width=64, num_inference_steps=20, guidance_scale=3.5, seed=1),
    dict(model="dev", prompt="a blue square", prompt_2="a green triangle above a circle", height=48, width=80,
         num_inference_steps=2, guidance_scale=7.0, seed=2, num_images_per_prompt=3, max_sequence_length=24),
    dict(model="dev", prompt="a red circle", negative_prompt="a blue square", true_cfg_scale=3.0, height=80, width=48,
         num_inference_steps=20, guidance_scale=1.0, seed=3, num_images_per_prompt=2),
    dict(model="dev", prompt="circle", prompt_2="", negative_prompt="", negative_prompt_2="a green square",
         true_cfg_scale=2.0, height=16, width=112, num_inference_steps=2, guidance_scale=3.5, seed=4),
    dict(model="dev", prompt="one step", negative_prompt="unused", height=96, width=64, num_inference_steps=1,
         guidance_scale=3.5, seed=5, noise_dtype="bf16", max_sequence_length=8),
    dict(model="dev", prompt="a red circle", height=64, width=32, num_inference_steps=2, guidance_scale=3.5, seed=12,
         max_sequence_length=48),  # more than tokenizer_config.json's model_max_length
    dict(model="dev", prompt=LONG, height=32, width=32, num_inference_steps=2, guidance_scale=3.5, seed=6,
         noise_dtype="fp16"),
    dict(model="schnell", prompt="a yellow triangle", height=48, width=48, num_inference_steps=1, seed=7),
    dict(model="schnell", prompt="", height=16, width=16, num_inference_steps=4, seed=8, num_images_per_prompt=2),
    dict(model="schnell", prompt="A Red CIRCLE under a square", negative_prompt="a circle", true_cfg_scale=4.0,
         height=80, width=112, num_inference_steps=2, seed=9, max_sequence_length=17),
    dict(model="schnell", prompt="a black square", prompt_2="two circles", height=112, width=48,
         num_inference_steps=20, seed=10),
    dict(model="tiny", prompt="a red circle", height=8, width=8, num_inference_steps=2, seed=11),
    dict(model="tiny", prompt="a green square", negative_prompt="a circle", true_cfg_scale=3.0, height=14, width=10,
         num_inference_steps=4, seed=12, num_images_per_prompt=2, max_sequence_length=11),
    dict(model="tiny", prompt="a yellow square", height=3, width=19, num_inference_steps=3, seed=13, noise_dtype="bf16"),
    dict(model="shallow", prompt="a black triangle", height=20, width=28, num_inference_steps=4, guidance_scale=3.5,
         seed=14),
    dict(model="shallow", prompt="two circles", height=31, width=18, num_inference_steps=2, guidance_scale=2.0, seed=15),
    dict(model="shallow", prompt="a blue circle", height=4, width=4, num_inference_steps=3, guidance_scale=3.5, seed=16,
         noise_dtype="fp16"),
    dict(model="dev", prompt="a yellow circle", height=64, width=48, sigmas=[1.0, 0.7, 0.25], guidance_scale=3.5, seed=20),
    dict(model="schnell", prompt="a green circle", height=48, width=64, sigmas=[0.9, 0.4], seed=21),
    dict(model="saved", prompt="A Red circle, 3 squares", prompt_2="a circle  <extra_id_0></s>", height=48, width=32,
         num_inference_steps=2, seed=17),
]


def randomize(module):
    """Weights that keep activations at their size, so that every input shows in the picture."""
    for name, parameter in module.named_parameters():
        noise = torch.randn_like(parameter)
        if parameter.dim() == 1:
            parameter.data = 0.2 * noise + (1 if name.endswith("weight") else 0)
        elif "embedding" in name or "shared" in name or "embed_tokens" in name:
            parameter.data = noise
        else:
            parameter.data = noise * parameter[0].numel() ** -0.5
    return module.eval()


def random_vae(fields):
    blocks = len(fields["block_out_channels"])
    return randomize(AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * blocks, up_block_types=["UpDecoderBlock2D"] * blocks,
        use_quant_conv=False, use_post_quant_conv=False, **fields,
    ))


def write_model(folder, model):
    """As published: save_pretrained of the whole pipeline would replace spiece.model by tokenizer.json."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(DEMO / "model_index.json", folder)
    for tokenizer in ("tokenizer", "tokenizer_2"):
        shutil.copytree(DEMO / tokenizer, folder / tokenizer, dirs_exist_ok=True)
    vocab = {part: json.loads((DEMO / part / "config.json").read_text())["vocab_size"]
             for part in ("text_encoder", "text_encoder_2")}
    clip = CLIPTextConfig(vocab_size=vocab["text_encoder"], bos_token_id=0, **model["clip"])
    t5 = T5Config(vocab_size=vocab["text_encoder_2"], feed_forward_proj="gated-gelu", **model["t5"])
    randomize(CLIPTextModel(clip)).save_pretrained(folder / "text_encoder")
    randomize(T5EncoderModel(t5)).save_pretrained(folder / "text_encoder_2")
    randomize(FluxTransformer2DModel(**model["transformer"])).save_pretrained(folder / "transformer")
    random_vae(model["vae"]).save_pretrained(folder / "vae")
    FlowMatchEulerDiscreteScheduler(**model["scheduler"]).save_pretrained(folder / "scheduler")


def given_noise(pipe, request, generators):
    """What FluxPipeline would draw if the prompt embeddings had the dtype asked for."""
    side = 2 * pipe.vae_scale_factor
    size = (2 * (request["height"] // side), 2 * (request["width"] // side))
    shape = (len(generators), pipe.transformer.config.in_channels // 4, *size)
    noise = randn_tensor(shape, generator=generators, dtype=DTYPES[request["noise_dtype"]])
    return pipe._pack_latents(noise.float(), *shape)


def draw(pipe, request):
    arguments = {"max_sequence_length": 32, "num_images_per_prompt": 1, **request}
    generators = [torch.Generator().manual_seed(request["seed"] + i) for i in range(arguments["num_images_per_prompt"])]
    if "noise_dtype" in request:
        arguments["latents"] = given_noise(pipe, request, generators)
    for ours in ("model", "seed", "noise_dtype"):
        arguments.pop(ours, None)
    images = pipe(**arguments, generator=generators, output_type="np").images
    return [torch.from_numpy((image * 255).round().astype("uint8")) for image in images]


def write(folder):
    """Returns the requests."""
    set_verbosity_error()
    disable_progress_bar()
    pipes = {}
    for seed, (name, model) in enumerate(MODELS.items()):
        torch.manual_seed(seed)
        write_model(folder / name, model)
        pipes[name] = FluxPipeline.from_pretrained(folder / name)
    pipes["schnell"].save_pretrained(folder / "saved")
    pipes["saved"] = FluxPipeline.from_pretrained(folder / "saved")
    for pipe in pipes.values():
        pipe.set_progress_bar_config(disable=True)
    pictures = {}
    for line, request in enumerate(REQUESTS):
        for i, picture in enumerate(draw(pipes[request["model"]], request)):
            pictures[f"{line}_{i}"] = picture.contiguous()
    (folder / "requests.jsonl").write_text("".join(json.dumps(request) + "\n" for request in REQUESTS))
    (folder / "pictures").mkdir(exist_ok=True)
    save_file(pictures, folder / "pictures" / "model.safetensors")
    return REQUESTS


if __name__ == "__main__":
    write(Path(sys.argv[1]))
