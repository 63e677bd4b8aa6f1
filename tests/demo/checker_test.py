"""The checker against pictures that Pillow draws - the training draws with torch - and against known faults in them."""

import random
import unittest

from PIL import Image, ImageDraw

from captions import read_caption
from checker import faults, read_picture
from scenes import PALETTE, Scene, Thing, random_scene, unnamed_background

FINER = 4  # drawn this much larger, then reduced: antialiased edges
PLACES = {
    None: ((30, 70), (98, 60)),
    "left": ((32, 60), (94, 66)),
    "right": ((96, 64), (31, 67)),
    "above": ((62, 32), (66, 95)),
    "below": ((66, 96), (63, 33)),
}


def paint(scene: Scene, radius: float | None = None) -> Image.Image:
    picture = Image.new(
        "RGB", (128 * FINER, 128 * FINER), PALETTE[scene.background or unnamed_background(scene.things)]
    )
    centres = PLACES[scene.place] if len(scene.things) == 2 else ((61, 67),)
    for thing, (x, y) in zip(scene.things, centres):
        add(picture, thing, x, y, radius or (23 if len(scene.things) == 2 else 33))
    return picture.resize((128, 128), Image.Resampling.BOX)


def add(picture: Image.Image, thing: Thing, x: float, y: float, radius: float) -> None:
    x, y, radius = x * FINER, y * FINER, radius * FINER
    box = (x - radius, y - radius, x + radius, y + radius)
    brush, colour = ImageDraw.Draw(picture), PALETTE[thing.colour]
    if thing.shape == "circle":
        brush.ellipse(box, fill=colour)
    elif thing.shape == "square":
        brush.rectangle(box, fill=colour)
    elif thing.shape == "triangle":
        brush.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=colour)
    else:
        raise ValueError(thing.shape)


CAPTION = "a red circle left of a blue square on a white background"


class RightPictures(unittest.TestCase):
    def test_every_scene_is_read_back(self):
        chance = random.Random(7)
        for _ in range(60):
            scene = random_scene(chance)
            self.assertEqual(faults(scene, paint(scene)), [], scene)

    def test_small_flaws_are_forgiven(self):
        picture = paint(read_caption(CAPTION))
        chance = random.Random(8)
        for x in range(128):
            for y in range(128):
                pixel = tuple(value + chance.randint(-12, 12) for value in picture.getpixel((x, y)))
                picture.putpixel((x, y), tuple(max(0, min(255, value)) for value in pixel))
        ImageDraw.Draw(picture).rectangle((2, 2, 4, 4), fill=(0, 0, 0))
        self.assertEqual(faults(read_caption(CAPTION), picture), [])

    def test_any_place_and_background_will_do_where_none_is_named(self):
        shown = Scene((Thing("red", "circle"), Thing("blue", "square")), "below", "green")
        self.assertEqual(faults(read_caption("a red circle and a blue square"), paint(shown)), [])


class WrongPictures(unittest.TestCase):
    def fault(self, shown: str, said: str = CAPTION) -> str:
        wrong = faults(read_caption(said), paint(read_caption(shown)))
        self.assertEqual(len(wrong), 1, wrong)
        return wrong[0]

    def test_colour(self):
        for colour in ("orange", "purple", "green"):
            fault = self.fault(f"a {colour} circle left of a blue square on a white background")
            self.assertIn(f"{colour} circle", fault)

    def test_shape(self):
        for shape in ("square", "triangle"):
            fault = self.fault(f"a red {shape} left of a blue square on a white background")
            self.assertIn(f"red {shape}", fault)

    def test_place(self):
        for place in ("right of", "above", "below"):
            fault = self.fault(f"a red circle {place} a blue square on a white background")
            self.assertIn("not left", fault)

    def test_exchanged_shapes(self):
        self.assertIn("red square", self.fault("a red square left of a blue circle on a white background"))

    def test_background(self):
        self.assertIn("background is gray", self.fault("a red circle left of a blue square on a gray background"))

    def test_missing_object(self):
        self.assertIn("1 objects", self.fault("a red circle on a white background"))

    def test_extra_object(self):
        self.assertIn("2 objects", self.fault(CAPTION, "a red circle on a white background"))
        picture = paint(read_caption(CAPTION))
        add_at = ImageDraw.Draw(picture)
        add_at.ellipse((58, 100, 70, 112), fill=PALETTE["green"])
        self.assertIn("3 objects", faults(read_caption(CAPTION), picture)[0])

    def test_shape_between_two(self):
        scene = read_caption("a red square on a white background")
        picture = paint(scene, radius=1)
        ImageDraw.Draw(picture).rounded_rectangle((30, 20, 60, 110), radius=15, fill=PALETTE["red"])
        self.assertIn("unclear", faults(scene, picture)[0])

    def test_colour_outside_the_world(self):
        scene = read_caption("a red circle on a white background")
        picture = paint(scene)
        picture = Image.composite(
            Image.new("RGB", (128, 128), (150, 220, 220)), picture, picture.split()[2].point(lambda v: 255 * (v < 100))
        )
        self.assertIn("unclear", faults(scene, picture)[0])

    def test_two_coloured_background(self):
        picture = paint(read_caption(CAPTION))
        ImageDraw.Draw(picture).rectangle((0, 0, 127, 8), fill=PALETTE["black"])
        self.assertTrue(any("background" in fault for fault in faults(read_caption(CAPTION), picture)))

    def test_noise(self):
        noise = Image.effect_noise((128, 128), 90).convert("RGB")
        self.assertTrue(faults(read_caption(CAPTION), noise))
        self.assertNotEqual(read_picture(noise), read_picture(paint(read_caption(CAPTION))))


if __name__ == "__main__":
    unittest.main()
