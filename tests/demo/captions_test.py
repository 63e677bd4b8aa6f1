"""Captions say what they are meant to, fit the text encoders, and the held-out ones are never trained on."""

import os
import random
import unittest
from pathlib import Path

import torch

import dataset
from captions import held_out_captions, read_caption, write_caption
from modules import TEXT_LENGTH, tokenizers
from scenes import Scene, Thing, held_out, random_scene

MODEL = Path(os.environ["FLUX_SOURCE_DIR"]) / "configs" / "demo"


class Captions(unittest.TestCase):
    def test_what_is_written_is_read_back(self):
        chance = random.Random(1)
        for _ in range(3000):
            scene = random_scene(chance)
            caption = write_caption(scene, chance)
            self.assertEqual(read_caption(caption), scene, caption)

    def test_phrases_people_type(self):
        scene = Scene((Thing("red", "circle"), Thing("gray", "square")), "left", "white")
        for caption in (
            "red circle left of gray square on white",
            "A RED CIRCLE TO THE LEFT OF A GREY SQUARE ON A WHITE BACKGROUND.",
            "The red disk on the left side of the gray box, in front of a white background",
        ):
            self.assertEqual(read_caption(caption), scene, caption)

    def test_other_worlds_are_refused(self):
        for caption in ("", "a cat", "a red circle, a blue square and a green triangle"):
            with self.assertRaises(ValueError):
                read_caption(caption)

    def test_no_caption_is_truncated(self):
        chance = random.Random(2)
        captions = [write_caption(random_scene(chance), chance) for _ in range(3000)]
        clip, t5 = tokenizers(MODEL)
        self.assertLessEqual(max(map(len, t5(captions).input_ids)), TEXT_LENGTH)
        self.assertLessEqual(max(map(len, clip(captions).input_ids)), TEXT_LENGTH)
        self.assertEqual(t5.model_max_length, TEXT_LENGTH)

    def test_held_out_scenes_are_not_in_the_training_set(self):
        captions = held_out_captions(200, 3)
        self.assertTrue(all(held_out(read_caption(caption)) for caption in captions))
        trained = dataset.make(5000, 1, MODEL, torch.device("cpu"), 1)
        ids = {tuple(row) for row in trained.t5.tolist()}
        held = dataset.token_ids(captions, MODEL)[1].tolist()
        self.assertFalse(ids & {tuple(row) for row in held})


if __name__ == "__main__":
    unittest.main()
