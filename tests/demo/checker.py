"""Reads a picture back as a scene - background, shapes, colours, places - and says what differs from its caption."""

import argparse
import sys
from collections import deque
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy
from PIL import Image

from captions import read_caption
from scenes import PALETTE, Scene, Thing

SOLID = 60.0  # RGB distance (0..441) from which a pixel is no longer background; half of a colour step and more
SAME_COLOUR = 45.0  # largest RGB distance between an object's or a background's colour and the palette's
SPECK = 25  # pixels; smaller blobs are noise
SMALLEST = 250  # pixels; an object is at least this large
OVERLAP = 0.86  # least intersection over union with the shape an object is taken for; a circle in a square has 0.79


@dataclass(frozen=True)
class Found:
    thing: Thing  # colour or shape is "unclear" where the picture shows none of this world's
    x: float  # centre of the bounding box, pixels
    y: float


def _named_colour(rgb: numpy.ndarray) -> str:
    name, distance = min(
        ((name, numpy.linalg.norm(rgb - numpy.array(value))) for name, value in PALETTE.items()),
        key=lambda pair: pair[1],
    )
    return name if distance <= SAME_COLOUR else "unclear"


def _blobs(mask: numpy.ndarray) -> list[numpy.ndarray]:
    """The 4-connected regions of a boolean picture, each as a mask."""
    left = mask.copy()
    blobs = []
    for start in zip(*numpy.nonzero(mask)):
        if not left[start]:
            continue
        left[start] = False
        blob, queue = numpy.zeros_like(mask), deque([start])
        while queue:
            y, x = queue.popleft()
            blob[y, x] = True
            for place in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= place[0] < mask.shape[0] and 0 <= place[1] < mask.shape[1] and left[place]:
                    left[place] = False
                    queue.append(place)
        blobs.append(blob)
    return blobs


def _ideal(shape: str, height: int, width: int) -> numpy.ndarray:
    """The shape that fills a bounding box; the triangle's apex is up."""
    y, x = numpy.mgrid[0:height, 0:width] + 0.5
    u, v = 2 * x / width - 1, 2 * y / height - 1
    if shape == "circle":
        return u * u + v * v <= 1
    if shape == "square":
        return numpy.ones((height, width), dtype=bool)
    return numpy.abs(u) <= (v + 1) / 2


def _named_shape(blob: numpy.ndarray) -> str:
    """The shape that covers the blob best, if it does so well and the blob is about as high as wide."""
    height, width = blob.shape
    if not 0.75 < width / height < 1.33:
        return "unclear"
    overlaps = {}
    for shape in ("circle", "square", "triangle"):
        ideal = _ideal(shape, height, width)
        overlaps[shape] = (blob & ideal).sum() / (blob | ideal).sum()
    best = max(overlaps, key=overlaps.get)
    return best if overlaps[best] >= OVERLAP else "unclear"


def _object(blob: numpy.ndarray, picture: numpy.ndarray) -> Found:
    rows, columns = numpy.nonzero(blob)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    inside = blob.copy()  # without its edge, whose pixels are mixed with the background's
    for axis in (0, 1):
        for step in (-2, 2):
            inside &= numpy.roll(blob, step, axis)
    pixels = picture[inside] if inside.any() else picture[blob]
    colour = _named_colour(numpy.median(pixels, axis=0))
    even = numpy.linalg.norm(pixels - numpy.median(pixels, axis=0), axis=1) < SOLID
    if even.mean() < 0.9:
        colour = "unclear"
    thing = Thing(colour, _named_shape(blob[top:bottom, left:right]))
    return Found(thing, (left + right) / 2, (top + bottom) / 2)


def read_picture(picture: Image.Image) -> tuple[str, list[Found]]:
    """The background's colour and every object."""
    pixels = numpy.asarray(picture.convert("RGB"), dtype=numpy.float64)
    frame = numpy.concatenate([pixels[:3].reshape(-1, 3), pixels[-3:].reshape(-1, 3), pixels[:, :3].reshape(-1, 3)])
    ground = numpy.median(frame, axis=0)
    background = _named_colour(ground)
    if (numpy.linalg.norm(frame - ground, axis=1) < SOLID).mean() < 0.95:
        background = "unclear"
    mask = numpy.linalg.norm(pixels - ground, axis=2) >= SOLID
    blobs = [blob for blob in _blobs(mask) if blob.sum() >= SPECK]
    return background, [_object(blob, pixels) for blob in blobs if blob.sum() >= SMALLEST] + [
        Found(Thing("unclear", "unclear"), 0, 0) for blob in blobs if blob.sum() < SMALLEST
    ]


def _placed(place: str, first: Found, second: Found) -> bool:
    """Along the named axis by at least half the distance that lies across it."""
    right, down = first.x - second.x, first.y - second.y
    along, across = {"left": (-right, down), "right": (right, down), "above": (-down, right), "below": (down, right)}[
        place
    ]
    return along > 0 and along > 2 * abs(across)


def faults(scene: Scene, picture: Image.Image) -> list[str]:
    """What the picture shows otherwise than the scene says; empty if it shows the scene."""
    background, found = read_picture(picture)
    wrong = []
    if background == "unclear" or background != (scene.background or background):
        wrong.append(f"background is {background}, not {scene.background or 'of one colour'}")
    if len(found) != len(scene.things):
        return [*wrong, f"{len(found)} objects, not {len(scene.things)}"]
    matches = [order for order in permutations(found) if tuple(one.thing for one in order) == scene.things]
    if not matches:
        shown = " and ".join(f"{one.thing.colour} {one.thing.shape}" for one in found)
        said = " and ".join(f"{thing.colour} {thing.shape}" for thing in scene.things)
        return [*wrong, f"{shown}, not {said}"]
    if scene.place and not any(_placed(scene.place, *order) for order in matches):
        wrong.append(f"the first object is not {scene.place} of the second")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("caption")
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    with Image.open(arguments.picture) as picture:
        wrong = faults(read_caption(arguments.caption), picture)
    print("\n".join(wrong) or "right")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
