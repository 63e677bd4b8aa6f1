"""flux-dist draws 32 captions that were never trained on, on three ranks; at least 29 pictures show what they say."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from safetensors.numpy import load_file, save_file

from accuracy import judge
from captions import held_out_captions

DEMO = Path(os.environ["FLUX_SOURCE_DIR"]) / "configs" / "demo"
LAUNCH = ["mpirun", "-q", "--oversubscribe", "--bind-to", "none", "-n", "3", os.environ["FLUX_DIST"], "generate"]


def generate(folder: Path, captions: list[str], *options: str) -> list[tuple[str, list[str]]]:
    """Draws the captions into the folder, seeds from 0, fp32, 20 steps; returns every caption's faults."""
    prompts = folder / "captions.txt"
    prompts.write_text("\n".join(captions) + "\n", encoding="utf-8")
    settings = ["--config", f"{DEMO}.textproto", "--prompts", prompts, "--output-dir", folder / "pictures", "--seed", "0"]
    settings += ["--num-inference-steps", "20", "--device", "cpu", "--dtype", "fp32", "--noise-dtype", "fp32"]
    subprocess.run([*LAUNCH, *map(str, settings), *options], check=True, timeout=800)
    return judge(folder / "pictures", captions)


class Sample(unittest.TestCase):
    def test_unseen_captions(self):
        with tempfile.TemporaryDirectory() as folder:
            verdicts = generate(Path(folder), held_out_captions(32, 64))
        wrong = [f"{caption!r}: {'; '.join(faults)}" for caption, faults in verdicts if faults]
        self.assertGreaterEqual(len(verdicts) - len(wrong), 29, "\n".join(wrong))

    def test_a_wrong_checkpoint_is_noticed(self):
        with tempfile.TemporaryDirectory() as folder:
            model = shutil.copytree(DEMO, Path(folder) / "model")
            weights = model / "text_encoder_2" / "model.safetensors"
            tensors = load_file(weights)
            tensors["shared.weight"] = tensors["shared.weight"][::-1].copy()
            save_file(tensors, weights, metadata={"format": "pt"})
            verdicts = generate(Path(folder), held_out_captions(8, 65), "--model", str(model))
        self.assertLessEqual(sum(not faults for _, faults in verdicts), 2)


if __name__ == "__main__":
    unittest.main()
