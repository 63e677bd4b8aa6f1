"""Draws scenes as 128 x 128 pictures, thousands at a time on the GPU."""

import functools
import random

import torch

from scenes import COLOURS, PALETTE, SHAPES, Scene, unnamed_background

SIZE = 128  # pixels


def lay_out(scene: Scene, chance: random.Random) -> list[float]:
    """Where things go: [background] and twice [colour, shape, x, y, radius], in pixels; shape -1: no second object."""
    background = scene.background or unnamed_background(scene.things)
    row = [float(COLOURS.index(background))]
    if len(scene.things) == 1:
        centres, radii = [(64.0, 64.0)], (30.0, 38.0)
    else:
        place = scene.place or "left"
        first, second = {
            "left": ((33, 64), (95, 64)),
            "right": ((95, 64), (33, 64)),
            "above": ((64, 33), (64, 95)),
            "below": ((64, 95), (64, 33)),
        }[place]
        centres, radii = [first, second], (22.0, 26.0)
    for thing, (x, y) in zip(scene.things, centres):
        row += [float(COLOURS.index(thing.colour)), float(SHAPES.index(thing.shape))]
        row += [x + chance.uniform(-3, 3), y + chance.uniform(-3, 3), chance.uniform(*radii)]
    return row + [0.0, -1.0, 0.0, 0.0, 1.0] * (2 - len(scene.things))


def _distance(shape: torch.Tensor, x: torch.Tensor, y: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """Signed distance in pixels to the outline, negative inside; x and y from the object's centre."""
    circle = (x * x + y * y).sqrt() - radius
    square = torch.maximum(x.abs(), y.abs()) - 0.9 * radius
    slope = 2.0  # apex up, as wide as high
    sides = (x.abs() * slope - (y + radius)) / (1 + slope * slope) ** 0.5
    triangle = torch.maximum(sides, y - radius)
    return torch.where(shape == 0, circle, torch.where(shape == 1, square, triangle))


@functools.cache
def _palette(device: torch.device) -> torch.Tensor:
    """[colours, 3] in -1..1; made once, since a CUDA graph cannot copy from the host."""
    return torch.tensor(list(PALETTE.values()), device=device, dtype=torch.float32) / 127.5 - 1


def draw(rows: torch.Tensor) -> torch.Tensor:
    """rows [n, 11] from lay_out; returns [n, 3, 128, 128] in -1..1, edges antialiased."""
    palette = _palette(rows.device)
    axis = torch.arange(SIZE, device=rows.device, dtype=torch.float32) + 0.5
    x, y = axis.view(1, 1, SIZE), axis.view(1, SIZE, 1)
    picture = palette[rows[:, 0].long()].view(-1, 3, 1, 1).expand(-1, 3, SIZE, SIZE)
    for first in (1, 6):
        colour, shape, cx, cy, radius = (rows[:, first + i].view(-1, 1, 1) for i in range(5))
        cover = (0.5 - _distance(shape, x - cx, y - cy, radius)).clamp(0, 1) * (shape >= 0)
        picture = torch.lerp(picture, palette[colour.long().flatten()].view(-1, 3, 1, 1), cover.unsqueeze(1))
    return picture
