"""The world of the demo model: one or two coloured shapes on a coloured background."""

import random
import zlib
from dataclasses import dataclass

PALETTE = {
    "red": (230, 25, 25),
    "orange": (255, 140, 0),
    "yellow": (255, 230, 20),
    "green": (20, 160, 40),
    "blue": (30, 60, 220),
    "purple": (140, 30, 170),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "gray": (128, 128, 128),
}
COLOURS = tuple(PALETTE)
SHAPES = ("circle", "square", "triangle")
PLACES = ("left", "right", "above", "below")  # of the first object, seen from the second


@dataclass(frozen=True)
class Thing:
    colour: str
    shape: str


@dataclass(frozen=True)
class Scene:
    """What a caption says: `place` is None for one object, and for two whose places it leaves open."""

    things: tuple[Thing, ...]
    place: str | None = None
    background: str | None = None


def unnamed_background(things: tuple[Thing, ...]) -> str:
    """The background drawn where the caption names none: white, unless an object would vanish on it."""
    taken = {thing.colour for thing in things}
    return next(colour for colour in ("white", "black", "gray") if colour not in taken)


def random_scene(chance: random.Random) -> Scene:
    count = 1 if chance.random() < 0.25 else 2
    things = []
    while len(things) < count:
        thing = Thing(chance.choice(COLOURS), chance.choice(SHAPES))
        if thing not in things:
            things.append(thing)
    taken = {thing.colour for thing in things}
    named = chance.random() < 0.7
    background = chance.choice([colour for colour in COLOURS if colour not in taken]) if named else None
    place = chance.choice(PLACES) if count == 2 and chance.random() < 0.85 else None
    return Scene(tuple(things), place, background)


def held_out(scene: Scene) -> bool:
    """One scene in ten is never trained on, in whatever words."""
    return zlib.crc32(repr(scene).encode()) % 10 == 0
