"""How people put a scene into words, and how to read such words back."""

import random
import re

from scenes import PALETTE, SHAPES, Scene, Thing, held_out, random_scene

PLACE_WORDS = {
    "left": ("left of", "to the left of", "on the left of", "on the left side of", "to the left side of"),
    "right": ("right of", "to the right of", "on the right of", "on the right side of", "to the right side of"),
    "above": ("above", "over", "on top of", "on the top of", "atop"),
    "below": ("below", "under", "beneath", "underneath"),
}
OPEN_PLACE_WORDS = ("and", "and", "and", "next to", "beside", "with", ",")
BACKGROUND_WORDS = (
    "on a {} background",
    "on a {} background",
    "on {} background",
    "on {}",
    "in front of a {} background",
    "against a {} background",
    "with a {} background",
    "on the {} background",
    ", {} background",
)
OPENINGS = ("a picture of", "an image of", "a drawing of", "draw", "there is")
LINKS = ("is", "that is", "which is", "placed")
SYNONYMS = {"grey": "gray", "violet": "purple", "disc": "circle", "disk": "circle", "box": "square"}


def _article(word: str, chance: random.Random) -> str:
    indefinite = "an" if word[0] in "aeiou" else "a"
    return chance.choices((indefinite, "", "the", "one", "a"), (70, 16, 8, 4, 2))[0]


def _said(word: str, chance: random.Random) -> str:
    others = [synonym for synonym, meant in SYNONYMS.items() if meant == word]
    return chance.choice(others) if others and chance.random() < 0.2 else word


def _thing(thing: Thing, chance: random.Random) -> str:
    colour = _said(thing.colour, chance)
    return f"{_article(colour, chance)} {colour} {_said(thing.shape, chance)}"


def _background(colour: str, chance: random.Random) -> str:
    colour = _said(colour, chance)
    words = chance.choice(BACKGROUND_WORDS).format(colour)
    return words.replace(" a o", " an o")


def _case(text: str, chance: random.Random) -> str:
    return chance.choices((text, text[:1].upper() + text[1:], text.upper(), text.title()), (60, 25, 10, 5))[0]


def write_caption(scene: Scene, chance: random.Random) -> str:
    """One of the many ways to say the scene."""
    words = [_thing(scene.things[0], chance)]
    if chance.random() < 0.1:
        words.insert(0, chance.choice(OPENINGS))
    if len(scene.things) == 2:
        if scene.place:
            if chance.random() < 0.08:
                words.append(chance.choice(LINKS))
            words.append(chance.choice(PLACE_WORDS[scene.place]))
        else:
            words.append(chance.choice(OPEN_PLACE_WORDS))
        words.append(_thing(scene.things[1], chance))
    if scene.background:
        if chance.random() < 0.06:
            words.insert(0, f"on a {_said(scene.background, chance)} background" + chance.choice((",", ":", "")))
        else:
            words.append(_background(scene.background, chance))
    text = " ".join(" ".join(words).split()).replace(" ,", ",")
    return _case(text + chance.choices(("", ".", "!"), (75, 23, 2))[0], chance)


def held_out_captions(count: int, seed: int) -> list[str]:
    """Captions of scenes that no training sees."""
    chance = random.Random(f"held out {seed}")
    captions = []
    while len(captions) < count:
        scene = random_scene(chance)
        if held_out(scene):
            captions.append(write_caption(scene, chance))
    return captions


_COLOUR = "|".join([*PALETTE, *(word for word in SYNONYMS if SYNONYMS[word] in PALETTE)])
_SHAPE = "|".join([*SHAPES, *(word for word in SYNONYMS if SYNONYMS[word] in SHAPES)])
_THING = re.compile(rf"\b({_COLOUR})\s+({_SHAPE})\b")
_BACKGROUND = re.compile(rf"\b({_COLOUR})\s+background\b|\bon\s+(?:an?\s+|the\s+)?({_COLOUR})\s*$")
_PLACE = {
    "left": re.compile(r"\bleft\b"),
    "right": re.compile(r"\bright\b"),
    "above": re.compile(r"\b(above|over|top|atop)\b"),
    "below": re.compile(r"\b(below|under|beneath|underneath)\b"),
}


def read_caption(text: str) -> Scene:
    """The scene a caption names; ValueError where it names none of this world."""
    text = re.sub(r"[.!]+\s*$", "", " ".join(text.lower().split()))
    found = list(_THING.finditer(text))
    if len(found) not in (1, 2):
        raise ValueError(f"caption names {len(found)} coloured shapes, not one or two: {text!r}")
    things = tuple(Thing(*(SYNONYMS.get(word, word) for word in match.groups())) for match in found)
    place = None
    if len(found) == 2:
        between = text[found[0].end() : found[1].start()]
        place = next((name for name, words in _PLACE.items() if words.search(between)), None)
    match = _BACKGROUND.search(text)
    background = next((word for word in match.groups() if word), None) if match else None
    return Scene(things, place, SYNONYMS.get(background, background))
