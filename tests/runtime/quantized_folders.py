"""The program with folders that are quantized already, beside diffusers with the same values."""

import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from runtime.program import PROGRAM, errors, journal_lines, mpirun, pixels, run
from safetensors.numpy import load_file


class QuantizedFolders:
    """For a TestCase whose `reference` writes the folders, and whose NAMES are, by folder, what it is kept in."""

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name) / "models"
        cls.folder.mkdir()
        cls.reference.write(cls.folder)
        cls.pictures = load_file(cls.folder / "pictures" / "model.safetensors")
        cls.prompts = cls.folder / "prompts.jsonl"
        cls.prompts.write_text(json.dumps(cls.reference.REQUEST))

    def generate(self, kind, out, *flags, launcher=()):
        return run([*launcher, PROGRAM, "generate", "--model", self.folder / kind, "--prompts", self.prompts, "--device", "cpu",
                    "--max-sequence-length", 32, "--threads", 1, "--output-dir", out, *flags])

    def plan(self, kind, *flags):
        return run([PROGRAM, "plan", "--model", self.folder / kind, "--ranks", 3, "--json", *flags])

    def refused(self, result, complaint):
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(len(errors(result.stderr)), 1, result.stderr)
        self.assertIn(complaint, result.stderr)

    def inspected(self, kind):
        """What inspect says of the components, in which it finds nothing amiss."""
        result = run([PROGRAM, "inspect", "--model", self.folder / kind, "--json"])
        self.assertEqual(result.returncode, 0, result.stderr + result.stdout)
        components = json.loads(result.stdout)["components"]
        for component in components:
            self.assertEqual((component["missing"], component["unexpected"]), ([], []), component["name"])
        return components

    def test_pictures_and_journal_say_how_the_folder_is_kept(self):
        for kind, name in self.NAMES.items():
            with self.subTest(kind):
                alone, shared = self.folder / f"{kind}-1", self.folder / f"{kind}-3"
                for out, launcher in ((alone, ()), (shared, mpirun(3))):
                    result = self.generate(kind, out, launcher=launcher)
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.assertNotIn("warning", result.stderr)
                    self.assertEqual(journal_lines(out)[0]["quantize"], name)
                picture = alone / "00000-1.png"
                self.assertEqual(picture.read_bytes(), (shared / "00000-1.png").read_bytes())
                self.assertEqual(json.loads(Image.open(picture).text["flux-dist"])["quantize"], name)
                self.assertLessEqual(np.abs(pixels(picture) - self.pictures[kind].astype(int)).max(), 1)
