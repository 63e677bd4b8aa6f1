"""One optimisation loop for both trainings: AdamW, an average of the weights, and the whole step as a CUDA graph."""

import math
import time
from collections.abc import Callable, Iterable

import torch
from torch import nn

WARM_UP = 0.03  # of the training time


def learning_rate(progress: float, peak: float) -> float:
    """Linear warm-up, then a cosine to zero; progress from 0 to 1."""
    if progress < WARM_UP:
        return peak * progress / WARM_UP
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - WARM_UP) / (1 - WARM_UP))))


class Trainer:
    """Runs `loss()`, its backward pass, AdamW and the average; captured once, then replayed without launches."""

    def __init__(self, modules: Iterable[nn.Module], loss: Callable[[], torch.Tensor], peak: float):
        self.parameters = [parameter for module in modules for parameter in module.parameters()]
        self.averages = [parameter.detach().clone() for parameter in self.parameters]
        self.loss = loss
        self.peak = peak
        device = self.parameters[0].device
        self.on_gpu = device.type == "cuda"
        self.rate = torch.zeros((), device=device)
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=self.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True, capturable=self.on_gpu
        )
        self.last_loss = torch.zeros((), device=device)
        self.replay = self._captured() if self.on_gpu else self._step

    def _step(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, self.parameters, 0.001)
        self.last_loss.copy_(loss.detach())

    def _captured(self) -> Callable[[], None]:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(5):
                self._step()
        torch.cuda.current_stream().wait_stream(side)
        self.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step()
        return graph.replay

    def run(self, seconds: float, name: str, save: Callable[[], None], save_every: float = 120.0) -> None:
        """Trains for `seconds` of wall time; `save` is called every `save_every` seconds and at the end."""
        start = said = saved = time.monotonic()
        steps = 0
        losses = []
        while (elapsed := time.monotonic() - start) < seconds:
            self.rate.fill_(learning_rate(elapsed / seconds, self.peak))
            self.replay()
            steps += 1
            if steps % 20:
                continue
            losses.append(self.last_loss.item())
            now = time.monotonic()
            if now - said > 10:
                mean = sum(losses) / len(losses)
                print(f"{name}: {elapsed:.0f} s, {steps} steps, loss {mean:.5f}", flush=True)
                said, losses = now, []
            if now - saved > save_every:
                save()
                saved = now
        self.use_averages()
        save()
        print(f"{name}: done, {steps} steps, {1000 * seconds / max(steps, 1):.1f} ms a step", flush=True)

    def use_averages(self) -> None:
        with torch.no_grad():
            for parameter, average in zip(self.parameters, self.averages):
                parameter.copy_(average)
