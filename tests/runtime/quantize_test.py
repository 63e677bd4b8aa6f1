"""flux-dist quantize: a folder that draws what generate --quantize draws, and what may be wrong with one."""

import itertools
import json
import shutil
import struct
import tempfile
import unittest
from pathlib import Path

import numpy as np
from reference import pipeline, quantized
from runtime.program import PROGRAM, errors, journal_lines, mpirun, pixels, run
from safetensors.numpy import load_file, save_file

KINDS = {
    "int8": ["--quantize", "int8"],
    "fp8": ["--quantize", "fp8", "--quantize-text-encoder", "fp8"],
    "int8-weights": ["--quantize", "int8-weights"],
    "int8-outliers": ["--quantize", "int8-outliers", "--quantize-text-encoder", "int8-outliers"],
    "fp8-weights": ["--quantize", "fp8-weights", "--quantize-text-encoder", "fp8-weights"],
    "nf4": ["--quantize", "nf4", "--quantize-text-encoder", "nf4"],
    "fp4": ["--quantize", "fp4", "--quantize-modulation", "none"],
    "t5": ["--quantize-text-encoder", "int8-weights"],
}


class OfADenseModel(unittest.TestCase):
    """A folder with a model to be quantized, for tests on CPUs and on cards."""

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        pipeline.write_model(cls.folder / "dense", quantized.MODEL)

    def quantize(self, to, *flags, model="dense", device="cpu"):
        return run([PROGRAM, "quantize", "--model", self.folder / model, "--output-dir", self.folder / to, "--device", device,
                    *flags])


class Quantize(OfADenseModel):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prompts = cls.folder / "prompts.jsonl"
        cls.prompts.write_text(json.dumps(quantized.REQUEST))

    def generate(self, model, *flags, launcher=()):
        out = Path(tempfile.mkdtemp(dir=self.folder))
        result = run([*launcher, PROGRAM, "generate", "--model", self.folder / model, "--prompts", self.prompts, "--device",
                      "cpu", "--noise-dtype", "fp32", "--max-sequence-length", 32, "--threads", 1, "--output-dir", out, *flags])
        return result, out

    def picture(self, model, *flags, launcher=()):
        result, out = self.generate(model, *flags, launcher=launcher)
        self.assertEqual(result.returncode, 0, result.stderr)
        kept = journal_lines(out)[0]["quantize"]
        self.assertEqual(f"quantized: {kept}\n" in result.stderr, kept != "none", result.stderr)
        return kept, (out / "00000-1.png").read_bytes()

    def made(self, kind):
        """The folder, once."""
        if not (self.folder / kind).exists():
            result = self.quantize(kind, *KINDS[kind])
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stdout.strip(), str(self.folder / kind))
        return self.folder / kind

    def test_it_draws_what_generate_quantize_draws(self):
        dense = self.picture("dense")[1]
        for (kind, flags), launcher in zip(KINDS.items(), itertools.cycle([(), mpirun(3)])):
            with self.subTest(kind):
                made = self.made(kind)
                as_text, expected = self.picture("dense", *flags)
                found_text, found = self.picture(kind, launcher=launcher)
                self.assertEqual(found_text, as_text)
                self.assertEqual(pixels_of(found), pixels_of(expected))
                self.assertNotEqual(pixels_of(expected), pixels_of(dense))
                for component in ("transformer", "text_encoder_2"):
                    size = sum(file.stat().st_size for file in (made / component).glob("*.safetensors"))
                    before = sum(file.stat().st_size for file in (self.folder / "dense" / component).glob("*.safetensors"))
                    if "quantization_config" in json.loads((made / component / "config.json").read_text()):
                        self.assertLess(size, (0.9 if component == "transformer" else 1) * before)

    def test_inspect_and_plan_know_it(self):
        for kind in KINDS:
            self.made(kind)
            result = run([PROGRAM, "inspect", "--model", self.folder / kind, "--json"])
            self.assertEqual(result.returncode, 0, result.stderr + result.stdout)
            for component in json.loads(result.stdout)["components"]:
                self.assertEqual((component["missing"], component["unexpected"]), ([], []), component["name"])
            plans = [json.loads(run([PROGRAM, "plan", "--model", self.folder / model, "--ranks", 3, "--json", *flags]).stdout)
                     for model, flags in ((kind, ()), ("dense", KINDS[kind]))]
            self.assertEqual(*([rank["weights"] for rank in plan["ranks"]] for plan in plans))

    def test_diffusers_draws_what_a_folder_for_bitsandbytes_does(self):
        for kind, t5 in (("nf4", "nf4"), ("fp4", "int8-weights"), ("int8-weights", "int8-weights")):
            with self.subTest(kind):
                made = f"{kind}-for-bitsandbytes"
                result = self.quantize(made, "--quantize", kind, "--quantize-text-encoder", t5, "--for", "bitsandbytes")
                self.assertEqual(result.returncode, 0, result.stderr)
                result, out = self.generate(made)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertTrue(journal_lines(out)[0]["quantize"].startswith(kind))
                expected = quantized.draw_folder(self.folder / made)
                self.assertLessEqual(np.abs(pixels(out / "00000-1.png") - expected.astype(int)).max(), 1)

    def test_codes_of_int8_outliers_are_those_of_bitsandbytes(self):
        self.assertEqual(self.quantize("llm-int8", "--quantize", "int8-outliers", "--quantize-text-encoder", "int8-outliers",
                                       "--for", "bitsandbytes").returncode, 0)
        for component, model in quantized.quantized(self.folder / "dense", "int8").items():
            made = load_file(next((self.folder / "llm-int8" / component).glob("*.safetensors")))
            names = [name.removesuffix(".SCB") for name in made if name.endswith(".SCB")]
            self.assertGreater(len(names), 10)
            for name in names:
                weight = model.get_submodule(name).weight
                np.testing.assert_array_equal(made[name + ".weight"], weight.data.numpy(), name)
                np.testing.assert_allclose(made[name + ".SCB"], weight.SCB.numpy(), 2e-7)

    def test_what_is_dense_stays_as_it_is_stored(self):
        made = load_file(self.made("int8") / "transformer" / "diffusion_pytorch_model.safetensors")
        dense = load_file(next((self.folder / "dense" / "transformer").glob("*.safetensors")))
        same = [name for name in made if name in dense]
        self.assertIn("x_embedder.weight", same)
        for name in same:
            self.assertEqual(made[name].tobytes(), dense[name].tobytes())
        codes = {name.removesuffix(".codes") for name in made if name.endswith(".codes")}
        self.assertEqual(codes | set(same), set(dense))

    def test_what_cannot_be_asked_for(self):
        (self.folder / "full").mkdir(exist_ok=True)
        (self.folder / "full" / "file").write_text("")
        self.made("int8")
        cases = ((self.quantize("new"), "--quantize: say how"),
                 (self.quantize("new", "--quantize", "int8", "--for", "bitsandbytes"), "is rotated"),
                 (self.quantize("new", "--quantize", "fp8", "--for", "bitsandbytes"), "nothing that bitsandbytes has"),
                 (self.quantize("new", "--quantize", "fp8-weights", "--for", "bitsandbytes"), "nothing that bitsandbytes has"),
                 (self.quantize("new", "--quantize", "nf4", "--quantize-modulation", "int8-weights", "--for", "bitsandbytes"),
                  "in two formats"),
                 (self.quantize("new", "--quantize", "none"), "--quantize: say how"),
                 (self.quantize("new", "--quantize", "int8-outliers", "--quantize-modulation", "int8-outliers"),
                  "--quantize-modulation int8-outliers"),
                 (self.quantize("full", "--quantize", "int8"), "is not empty"),
                 (self.quantize("new", "--quantize", "int8", model="int8"), "is quantized already"),
                 (self.quantize("/proc/none/there", "--quantize", "int8"), "/proc/none"),
                 (run([PROGRAM, "quantize", "--model", self.folder / "dense", "--quantize", "int8"]), "--output-dir"),
                 (self.generate("int8", "--quantize", "nf4")[0], "is quantized already, as int8"))
        for result, saying in cases:
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertEqual(len(errors(result.stderr)), 1, result.stderr)
            self.assertIn(saying, result.stderr)

    def broken(self, change):
        """A copy of the int8 folder whose transformer was changed: change(tensors, config)."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        shutil.copytree(self.made("int8"), folder, dirs_exist_ok=True)
        file, config = (folder / "transformer" / name for name in ("diffusion_pytorch_model.safetensors", "config.json"))
        tensors, fields = load_file(file), json.loads(config.read_text())
        change(tensors, fields)
        save_file(tensors, file)
        config.write_text(json.dumps(fields))
        return folder.name

    def test_what_may_be_wrong_with_one(self):
        some = "transformer_blocks.0.ff.net.2.weight"

        def negative(tensors, _):
            tensors[some + ".scales"][1] = -1

        def dense(tensors, _):
            codes, scales = tensors.pop(some + ".codes"), tensors.pop(some + ".scales")
            tensors[some] = codes * scales[:, None]

        def no_number(tensors, _):
            tensors[some + ".scales"][0] = float("nan")

        def zero(tensors, _):
            tensors[some + ".scales"][2] = 0

        def out_of_range(tensors, _):
            tensors[some + ".codes"][3, 5] = -128

        cases = (
            (zero, "a scale of zero for codes that are not"),
            (out_of_range, "a code out of range"),
            (lambda _, config: config["quantization_config"].pop("rotation"), "is not the one computed with"),
            (lambda _, config: config["quantization_config"].pop("version"), "version: must be 1"),
            (lambda _, config: config["quantization_config"].update(version=2), "version: must be 1"),
            (lambda tensors, _: tensors.pop(some + ".scales"), "scales' is missing; quantize the model again"),
            (lambda tensors, _: tensors.pop(some + ".codes"), f"lacks {some}"),
            (lambda tensors, _: tensors.update({some + ".codes": tensors[some + ".codes"].astype("float32")}),
             "is no matrix of codes"),
            (lambda tensors, _: tensors.update({some + ".scales": tensors[some + ".scales"][1:]}), "dtype or shape"),
            (dense, "is not quantized, and config.json says int8"),
            (negative, "negative or not finite"),
            (no_number, "negative or not finite"),
            (lambda _, config: config["quantization_config"].update(rotation="e-hadamard-128"), "is not the one computed with"),
            (lambda _, config: config["quantization_config"].update(format="int2"), "format"),
            (lambda _, config: config["quantization_config"].update(modulation="int8-outliers"), "modulation"),
            (lambda _, config: config["quantization_config"].update(quant_method="quanto"), "quanto"),
            (lambda _, config: config["quantization_config"].update(format="nf4"), "not kept as config.json says"),
        )
        for change, saying in cases:
            with self.subTest(saying):
                result, _ = self.generate(self.broken(change))
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertEqual(len(errors(result.stderr)), 1, result.stderr)
                self.assertIn(saying, result.stderr)


def pixels_of(png):
    """The chunks that hold them."""
    data, at = b"", 8
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        data += png[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    return data


if __name__ == "__main__":
    unittest.main()
