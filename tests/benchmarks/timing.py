"""Steps queued one behind the other, as in a picture, and the time between them."""

import time

import torch

WARM_UP = 3


def milliseconds(step, repetitions, device):
    """Of each repetition, and the moments between which they ran."""
    for _ in range(WARM_UP):
        step()
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.synchronize()
    began = time.time()
    marks = []
    for i in range(repetitions + 1):
        if cuda:
            marks.append(torch.cuda.Event(enable_timing=True))
            marks[-1].record()
        else:
            marks.append(time.perf_counter() * 1e3)
        if i < repetitions:
            step()
    if cuda:
        torch.cuda.synchronize()
    between = [a.elapsed_time(b) if cuda else b - a for a, b in zip(marks, marks[1:])]
    return between, (began, time.time())
