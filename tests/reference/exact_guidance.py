"""FluxPipeline in 16 bit rounds guidance and timesteps with all it computes (3500 becomes 3504): weights that feel it draw
another picture, and being nearer to fp32 than that one would prove nothing."""


def keep_exact(pipe):
    """Has the embeddings of timesteps and guidance see what FluxPipeline in fp32 gives them; returns how to undo it."""
    import torch

    def replace(_, arguments):
        timestep, *guidance, pooled = arguments
        exact = pipe.current_timestep.to(torch.float32).expand(timestep.shape) / 1000 * 1000
        scales = [torch.full_like(scale, pipe.guidance_scale, dtype=torch.float32) * 1000 for scale in guidance]
        return exact, *scales, pooled

    return pipe.transformer.time_text_embed.register_forward_pre_hook(replace)
