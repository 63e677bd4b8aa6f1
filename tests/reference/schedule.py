"""Sigmas and timesteps as FluxPipeline asks FlowMatchEulerDiscreteScheduler for them."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.flux.pipeline_flux import calculate_shift, retrieve_timesteps

CONFIGS = [
    dict(shift=3.0, use_dynamic_shifting=True),
    dict(shift=1.0, use_dynamic_shifting=False),
    dict(shift=3.0, use_dynamic_shifting=False),
    dict(shift=1.0, use_dynamic_shifting=True, base_shift=0.7, max_shift=1.9, base_image_seq_len=64, max_image_seq_len=1024),
]


SIGMAS = [[1.0, 0.5], [0.9, 0.61, 0.3, 0.05], [1.0], [1.0, 0.75, 0.0], [0.2, 0.8, 0.4]]


def case(config, steps, image_tokens, given=None):
    scheduler = FlowMatchEulerDiscreteScheduler(**config)
    scheduler_config = scheduler.config
    mu = calculate_shift(image_tokens, scheduler_config.base_image_seq_len, scheduler_config.max_image_seq_len,
                         scheduler_config.base_shift, scheduler_config.max_shift)
    timesteps, _ = retrieve_timesteps(scheduler, steps, "cpu", mu=mu,
                                      sigmas=np.linspace(1.0, 1 / steps, steps) if given is None else given)
    seen = [((t.to(torch.float32) / 1000) * 1000).item() for t in timesteps]
    fields = ["num_train_timesteps", "shift", "use_dynamic_shifting", "base_shift", "max_shift", "base_image_seq_len",
              "max_image_seq_len"]
    return dict(config={field: scheduler_config[field] for field in fields}, steps=steps, image_tokens=image_tokens,
                given=given or [], sigmas=scheduler.sigmas.tolist(), timesteps=seen)


folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
cases = [case(config, steps, image_tokens) for config in CONFIGS for steps in (1, 2, 3, 4, 20, 28, 50)
         for image_tokens in (64, 256, 1023, 3600, 4096, 16384)]
cases += [case(config, 28, image_tokens, given) for config in CONFIGS for given in SIGMAS for image_tokens in (64, 4096)]
(folder / "cases.json").write_text(json.dumps(cases))
