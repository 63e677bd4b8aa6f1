"""Random small T5 and CLIP text encoders, and what transformers makes of them: `text.py OUTDIR`.

OUTDIR/t5_<seed> and OUTDIR/clip_<seed> hold config.json, model.safetensors and expected/model.safetensors with ids and
the outputs in fp32, bf16 and fp16.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel
from transformers.utils.logging import disable_progress_bar

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

T5_SHAPES = [  # with the number of tokens
    (dict(d_model=64, d_kv=16, num_heads=4, d_ff=128, num_layers=2, vocab_size=100), 40),
    (dict(d_model=48, d_kv=8, num_heads=5, d_ff=72, num_layers=3, vocab_size=31, relative_attention_num_buckets=16,
          relative_attention_max_distance=20), 77),
    (dict(d_model=128, d_kv=32, num_heads=4, d_ff=320, num_layers=4, vocab_size=253, layer_norm_epsilon=1e-5), 300),
    (dict(d_model=96, d_kv=64, num_heads=3, d_ff=200, num_layers=1, vocab_size=50), 1),
    (dict(d_model=32, d_kv=8, num_heads=3, d_ff=37, num_layers=2, vocab_size=60, relative_attention_num_buckets=4,
          relative_attention_max_distance=2), 30),
    (dict(d_model=40, d_kv=16, num_heads=2, d_ff=96, num_layers=2, vocab_size=60, relative_attention_num_buckets=7,
          relative_attention_max_distance=12), 50),
    (dict(d_model=56, d_kv=16, num_heads=4, d_ff=80, num_layers=2, vocab_size=60, relative_attention_num_buckets=30),
     200),
]
CLIP_SHAPES = [
    (dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, eos_token_id=2), 77),
    (dict(hidden_size=48, intermediate_size=200, num_hidden_layers=3, num_attention_heads=3, eos_token_id=99,
          hidden_act="gelu"), 77),
    (dict(hidden_size=96, intermediate_size=384, num_hidden_layers=1, num_attention_heads=2, eos_token_id=7,
          max_position_embeddings=40, layer_norm_eps=1e-3), 33),
]


def randomize(model):
    """Weights under which every part of the model matters: products keep the size of their input, biases are not 0."""
    for name, parameter in model.named_parameters():
        noise = torch.randn_like(parameter)
        if parameter.dim() == 1:
            parameter.data = 1 + 0.2 * noise if name.endswith("norm.weight") else 0.2 * noise
        elif "embed" in name or "shared" in name or "bias" in name:
            parameter.data = noise
        else:
            parameter.data = noise * parameter.shape[1] ** -0.5
    for name, parameter in model.named_parameters():  # T5 does not scale scores, so its queries are small
        if name.endswith("SelfAttention.q.weight"):
            parameter.data *= model.config.d_kv**-0.5


def publish_names(file):
    """As in FLUX.1's folders; transformers 5 loads this too, and writes names without the prefix."""
    save_file({f"text_model.{name}": tensor for name, tensor in load_file(file).items()}, file)


def write_case(folder, model, ids, output):
    model.save_pretrained(folder)
    if model.config.model_type == "clip_text_model":
        publish_names(folder / "model.safetensors")
    expected = {"ids": ids}
    for name, dtype in DTYPES.items():
        with torch.no_grad():  # loaded, not cast: T5 then keeps wo in fp32 under fp16
            expected[name] = output(type(model).from_pretrained(folder, dtype=dtype).eval()(ids[None])).contiguous()
    (folder / "expected").mkdir(exist_ok=True)
    save_file(expected, folder / "expected" / "model.safetensors")


def write_t5(folder, seed):
    fields, tokens = T5_SHAPES[seed % len(T5_SHAPES)]
    model = T5EncoderModel(T5Config(feed_forward_proj="gated-gelu", dropout_rate=0.0, **fields))
    randomize(model)
    if seed == 2:  # what published checkpoints do: the feed-forward leaves fp16's range
        for block in model.encoder.block:
            block.layer[1].DenseReluDense.wo.weight.data *= 3e5
    write_case(folder, model, torch.randint(fields["vocab_size"], (tokens,)), lambda out: out.last_hidden_state[0])


def write_clip(folder, seed):
    fields, tokens = CLIP_SHAPES[seed % len(CLIP_SHAPES)]
    model = CLIPTextModel(CLIPTextConfig(vocab_size=100, **fields))
    randomize(model)
    ids = torch.randint(10, 99, (tokens,))
    ids[5 + seed:] = 99 if fields["eos_token_id"] == 2 else fields["eos_token_id"]
    write_case(folder, model, ids, lambda out: out.pooler_output[0])


if __name__ == "__main__":
    disable_progress_bar()
    for seed in range(8):
        torch.manual_seed(seed)
        write_t5(Path(sys.argv[1]) / f"t5_{seed}", seed)
        write_clip(Path(sys.argv[1]) / f"clip_{seed}", seed)
