"""The program from prompts to pictures, alone and under mpirun: what is drawn, what is written, what bad input gets."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from runtime.program import DEMO, PROGRAM, errors, journal, journal_lines, mpirun, pixels, run

CAPTION = "a red circle left of a blue square on a white background"
SMALL = ["--height", "64", "--width", "96", "--num-inference-steps", "2", "--seed", "7", "--device", "cpu"]


class Generate(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.out = self.folder / "out"

    def tearDown(self):
        self.temporary.cleanup()

    def generate(self, *arguments, ranks=0, out=None, model=DEMO):
        command = [PROGRAM, "generate", "--model", model, "--output-dir", out or self.out, *SMALL, *arguments]
        return run(mpirun(ranks) + command if ranks else command)

    def prompts(self, text, name="prompts.txt"):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def assert_said_once(self, result, text):
        said = [line for line in result.stderr.splitlines() if text in line]
        self.assertEqual(len(said), 1, result.stderr)

    def test_any_number_of_ranks_draws_the_same_pictures(self):
        prompts = self.prompts("a red circle\na green square\na blue triangle\n")
        self.assertEqual(self.generate("--prompts", prompts, "--threads", 1).returncode, 0)
        names = [f"0000{i}-{7 + i}.png" for i in range(3)]
        expected = [pixels(self.out / name) for name in names]
        self.assertEqual(expected[0].shape, (64, 96, 3))
        self.assertGreater(np.abs(expected[0] - expected[1]).max(), 8, "another prompt and seed, another picture")
        encoders = ("--replicas", 2, "--encoders", 2, "--decode", "replica")
        for ranks, flags in ((2, ()), (3, ()), (5, ("--replicas", 2)), (4, ("--replicas", "1,2")), (6, ()), (6, encoders)):
            with self.subTest(ranks=ranks, flags=flags):
                out = self.folder / f"ranks{ranks}{len(flags)}"
                result = self.generate("--prompts", prompts, "--threads", 1, *flags, ranks=ranks, out=out)
                self.assertEqual(result.returncode, 0, result.stderr)
                for name in names:
                    self.assertEqual((out / name).read_bytes(), (self.out / name).read_bytes())
                placed = {line["placement"]["replica"] for line in journal(out)}
                self.assertLessEqual(placed, {0, 1} if flags else {0})

    def test_results_are_on_stdout_and_the_summary_on_stderr(self):
        result = self.generate("-p", CAPTION, "--num-images-per-prompt", 2)
        self.assertEqual(result.stdout.split(), [str(self.out / "00000-7.png"), str(self.out / "00001-8.png")])
        self.assert_said_once(result, "2 of 2 pictures drawn")

    def test_progress(self):
        bar = self.generate("-p", CAPTION, "--num-images-per-prompt", 40, "--progress", "bar", out=self.folder / "bar")
        self.assertRegex(bar.stderr, r"\x1b\[K\[#*\.*\] [1-9]\d* of 40 pictures.*, \d+ an hour, \d+ s left")
        for line in bar.stderr.split("\n"):  # what is left on the screen of each
            self.assertNotRegex(line.split("\x1b[K")[-1], r"\[#*\.*\].*\[\d\d:|\[\d\d:.*\[#*\.*\]", "a line on the bar")
        silent = self.generate("-p", CAPTION, "--progress", "none")
        self.assertNotIn("encoded in", silent.stderr)
        self.assertNotIn("\x1b", silent.stderr)

    def test_json_lines(self):
        result = self.generate("-p", CAPTION, "--json")
        (line,) = map(json.loads, result.stdout.splitlines())
        self.assertEqual(line["path"], str(self.out / "00000-7.png"))
        (journaled,) = journal(self.out)
        own = ("path", "event", "time")
        self.assertEqual({k: journaled[k] for k in journaled if k not in own}, {k: line[k] for k in line if k not in own})
        self.assertEqual((line["prompt"], line["seed"], line["height"], line["width"]), (CAPTION, 7, 64, 96))
        self.assertEqual(line["placement"]["device"], "cpu")

    def test_pictures_hold_their_parameters(self):
        hostile = "a cat <script>&\"' \u00e9 \U0001f408 \x07 ../../x"
        request = self.prompts(json.dumps({"prompt": hostile, "negative_prompt": "blurry", "true_cfg_scale": 2}), "p.jsonl")
        self.assertEqual(self.generate("--prompts", request).returncode, 0)
        picture = Image.open(self.out / "00000-7.png")
        self.assertIn(hostile, picture.text["parameters"])
        self.assertIn("Negative prompt: blurry\nSteps: 2, Sampler: Euler", picture.text["parameters"])
        held = json.loads(picture.text["flux-dist"])
        self.assertEqual((held["prompt"], held["model"]), (hostile, "demo"))
        self.assertRegex(held["version"] + " " + held["revision"], r"^\d+\.\d+\.\d+ .")
        html = (self.out / "index.html").read_text()
        self.assertNotIn("<script>", html)
        self.assertNotIn("\x07", html)

    def test_unequal_shares_draw_the_same(self):
        self.assertEqual(self.generate("-p", CAPTION, out=self.folder / "alone").returncode, 0)
        self.assertEqual(self.generate("-p", CAPTION, "--shares", "3,1", ranks=3).returncode, 0)
        self.assertEqual((self.out / "00000-7.png").read_bytes(), (self.folder / "alone" / "00000-7.png").read_bytes())
        result = self.generate("-p", CAPTION, "--shares", "3,1,1", "--overwrite", ranks=3)
        self.assertEqual(result.returncode, 2)
        self.assert_said_once(result, "--shares 3,1,1")

    def test_jpeg(self):
        self.assertEqual(self.generate("-p", CAPTION, "--format", "jpg", out=self.folder / "jpg").returncode, 0)
        self.assertEqual(self.generate("-p", CAPTION).returncode, 0)
        picture = Image.open(self.folder / "jpg" / "00000-7.jpg")
        comment = picture.getexif().get_ifd(0x8769)[0x9286]
        self.assertTrue(comment[8:].decode("utf-16-be").startswith(CAPTION + "\nSteps: 2"))
        self.assertEqual(json.loads(picture.info["comment"])["prompt"], CAPTION)
        difference = np.abs(np.asarray(picture).astype(int) - pixels(self.out / "00000-7.png"))
        self.assertLess(difference.mean(), 4)

    def test_a_bad_request_fails_alone(self):
        lines = [b'{"prompt": "a red circle"}', b"17", b"{", b'{"prompt": "x", "colour": 1}', b'{"prompt": "\xff"}',
                 b'{"prompt": "x", "height": 3}', b'{"prompt": "x", "guidance_scale": "NaN"}', b'{"prompt": "a square"}']
        prompts = self.prompts(b"\n".join(lines) + b"\n", "p.jsonl")
        result = self.generate("--prompts", prompts, ranks=3)
        self.assertEqual(result.returncode, 1, result.stderr)
        states = {line["index"]: line["status"] for line in journal(self.out)}
        self.assertEqual([states[i] for i in range(8)], ["drawn"] + 6 * ["failed"] + ["drawn"])
        self.assertEqual(["prompt" in line for line in sorted(journal(self.out), key=lambda line: line["index"])],
                         [True] + 6 * [False] + [True], "what could not be read has no parameters")
        for number in range(2, 8):
            self.assert_said_once(result, f"p.jsonl:{number}:")
        self.assertEqual(len(list(self.out.glob("*.png"))), 2)

    def test_nothing_is_loaded_when_every_request_is_bad(self):
        result = self.generate("--prompts", self.prompts('{"prompt": 1}\n', "p.jsonl"), ranks=3)
        self.assertEqual(result.returncode, 1)
        self.assertNotIn("loaded", result.stderr)
        self.assertEqual([line["status"] for line in journal(self.out)], ["failed"])

    def test_an_output_folder_that_is_not_empty(self):
        self.assertEqual(self.generate("-p", CAPTION, "--num-images-per-prompt", 2).returncode, 0)
        (self.out / "mine.txt").write_text("x")
        result = self.generate("-p", CAPTION, ranks=3)
        self.assertEqual(result.returncode, 2)
        self.assert_said_once(result, "--overwrite")
        self.assertEqual(self.generate("-p", CAPTION, "--overwrite", "--format", "jpg").returncode, 0)
        self.assertEqual(sorted(p.name for p in self.out.iterdir()),
                         ["00000-7.jpg", "index.html", "journal.jsonl", "mine.txt"])

    def test_an_output_folder_that_cannot_be_written(self):
        (self.folder / "file").write_text("x")
        result = self.generate("-p", CAPTION, ranks=3, out=self.folder / "file" / "below")
        self.assertEqual(result.returncode, 2)
        self.assert_said_once(result, "file/below")

    @contextlib.contextmanager
    def small_disk(self, size):
        """And how to make it larger."""
        disk = self.folder / f"disk_{size}"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("mounting a small disk needs root: " + mounted.stderr.decode().strip())
        try:
            yield disk / "out", lambda: subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        finally:
            subprocess.run(["umount", disk], check=True)

    def test_a_full_disk_ends_the_run(self):
        """What is drawn is whole and journaled, what is not is not; once there is space again the run goes on."""
        asked = ("-p", CAPTION, "--num-images-per-prompt", 6)
        self.assertEqual(self.generate(*asked).returncode, 0)
        undisturbed = {picture.name: picture.read_bytes() for picture in self.out.glob("*.png")}
        for size in ("12k", "16k", "20k", "24k", "28k"):
            with self.subTest(size), self.small_disk(size) as (out, enlarge):
                result = self.generate(*asked, out=out)
                self.assertEqual(result.returncode, 3, result.stderr)
                self.assert_said_once(result, "No space left on device")
                pictures = {picture.name: picture.read_bytes() for picture in out.glob("*.png")}
                self.assertEqual(pictures, {name: undisturbed[name] for name in pictures})
                self.assertEqual({line["file"] for line in journal(out)}, set(pictures))
                self.assertEqual(list(out.glob(".*")), [], "nothing half written")
                enlarge()
                again = self.generate(*asked, "--resume", out=out)
                self.assertEqual(again.returncode, 0, again.stderr)
                self.assertEqual({picture.name: picture.read_bytes() for picture in out.glob("*.png")}, undisturbed)
                self.assertEqual(sorted(line["file"] for line in journal(out)), sorted(undisturbed))

    def start(self, *arguments, pictures=1):
        """A run of many pictures, of which so many are there when this returns."""
        command = [PROGRAM, "generate", "--model", DEMO, "-p", CAPTION, "--output-dir", self.out, *SMALL,
                   "--num-images-per-prompt", 300, *arguments]
        run = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: run.poll() is None and run.kill())
        deadline = time.monotonic() + 60
        while len(list(self.out.glob("*.png"))) < pictures:
            self.assertIsNone(run.poll(), run.poll() is not None and run.stderr.read())
            self.assertLess(time.monotonic(), deadline, "no picture within a minute")
            time.sleep(0.02)
        return run

    def test_a_folder_that_is_removed_ends_the_run(self):
        run = self.start()
        self.out.rename(self.folder / "elsewhere")
        _, said = run.communicate(timeout=30)
        self.assertEqual(run.returncode, 3, said)
        (error,) = errors(said)
        self.assertRegex(error, "the folder was removed|No such file or directory", "before a picture, or while it is written")

    def test_a_second_run_in_the_same_folder_is_refused(self):
        run = self.start()
        for flags in ((), ("--overwrite",)):
            result = self.generate("-p", CAPTION, *flags)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assert_said_once(result, f"another run draws into it (process {run.pid} on ")
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=30)
        self.assertEqual(self.generate("-p", CAPTION, "--overwrite").returncode, 0)

    def test_of_runs_started_together_one_draws(self):
        for attempt in range(3):
            out = self.folder / f"together{attempt}"
            command = [PROGRAM, "generate", "--model", DEMO, "-p", CAPTION, "--output-dir", out, *SMALL, "--overwrite",
                       "--num-images-per-prompt", 20]
            runs = [subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                    for _ in range(3)]
            self.assertEqual(sorted(run.wait(timeout=60) for run in runs), [0, 2, 2])
            for run in runs:
                run.communicate()
            self.assertEqual(len(journal(out)), 20)

    def test_what_a_killed_run_left_is_taken_over(self):
        """Kill -9 leaves a lock, perhaps half a picture, or one without its line: the next run knows them all."""
        run = self.start(pictures=2)
        run.kill()
        run.communicate()
        self.assertEqual(len(list(self.out.glob(".lock-*"))), 1)
        (self.out / ".00003-10.png.part").write_bytes(b"half")
        result = self.generate("-p", CAPTION, "--overwrite")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(sorted(path.name for path in self.out.iterdir()), ["00000-7.png", "index.html", "journal.jsonl"])
        self.assertEqual(journal_lines(self.out)[0]["fence"], 2)

    def test_overwrite_keeps_the_old_run_until_the_new_one_is_loaded(self):
        self.assertEqual(self.generate("-p", CAPTION).returncode, 0)
        before = (self.out / "00000-7.png").read_bytes()
        model = self.folder / "model"
        shutil.copytree(DEMO, model)
        config = model / "tokenizer" / "tokenizer_config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"model_max_length": 1}))
        for ranks in (0, 3):
            result = self.generate("-p", CAPTION, "--overwrite", model=model, ranks=ranks)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertEqual((self.out / "00000-7.png").read_bytes(), before)
            self.assertEqual(len(journal(self.out)), 1)

    def test_the_journal_says_what_was_run(self):
        self.assertEqual(self.generate("-p", CAPTION, "--num-images-per-prompt", 2, ranks=3).returncode, 0)
        run, began, *done, end = journal_lines(self.out)
        self.assertEqual((run["event"], run["fence"], run["dtype"]), ("run", 1, "fp32"))
        self.assertEqual([rank["rank"] for rank in run["ranks"]], [0, 1, 2])
        self.assertRegex(run["model"]["identity"], "^[0-9a-f]{40}$")
        self.assertLessEqual({"version", "revision", "libtorch", "mpi"}, run["program"].keys())
        self.assertEqual((began["event"], began["files"]), ("began", ["00000-7.png", "00001-8.png"]))
        self.assertEqual([line["event"] for line in done], ["done", "done"])
        self.assertEqual({line["request"] for line in done}, {began["request"]})
        self.assertEqual((end["event"], end["exit_code"]), ("end", 0))

    def test_a_world_that_does_not_fit(self):
        result = self.generate("-p", CAPTION, "--ranks-per-replica", 2, ranks=4)
        self.assertEqual(result.returncode, 2)
        self.assert_said_once(result, "-n 3, -n 5, -n 7")

    def test_a_model_that_cannot_be_used(self):
        model = self.folder / "model"
        weights = "diffusion_pytorch_model.safetensors"
        for broken, said in (("truncated", weights), ("another's", "lacks"), ("missing", "transformer"),
                             ("half a tokenizer", "vocab.json"), ("no sentencepiece", "spiece.model")):
            subprocess.run(["cp", "-r", DEMO, model], check=True)
            path = model / "transformer" / weights
            if broken == "truncated":
                path.write_bytes(path.read_bytes()[:-1000])
            elif broken == "another's":
                path.write_bytes((model / "vae" / weights).read_bytes())
            elif broken == "missing":
                path.unlink()
            elif broken == "half a tokenizer":
                os.truncate(model / "tokenizer" / "vocab.json", 4000)
            else:
                os.truncate(model / "tokenizer_2" / "spiece.model", 4000)
            for ranks in (0, 3):
                with self.subTest(broken=broken, ranks=ranks):
                    result = self.generate("-p", CAPTION, model=model, ranks=ranks)
                    self.assertEqual(result.returncode, 2, result.stderr)
                    self.assert_said_once(result, said)
                    self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
                    self.assertFalse(self.out.exists(), "nothing was begun")
            shutil.rmtree(model)

    def damaged(self, tensor, value, component="transformer"):
        """The demo with a tensor filled."""
        model = self.folder / "damaged"
        shutil.copytree(DEMO, model)
        (path,) = (model / component).glob("*.safetensors")
        tensors = load_file(path)
        tensors[tensor] = torch.full_like(tensors[tensor], value)
        save_file(tensors, path)
        return model

    def test_a_picture_of_no_numbers_fails(self):
        result = self.generate("-p", CAPTION, model=self.damaged("proj_out.weight", float("nan")))
        self.assertEqual(result.returncode, 1)
        self.assert_said_once(result, "not finite")
        self.assertEqual(list(self.out.glob("*.png")), [])

    def test_tensors_that_the_config_leaves_out_are_named(self):
        model = self.folder / "shorter"
        shutil.copytree(DEMO, model)
        config = model / "transformer" / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"num_single_layers": 1}))
        result = self.generate("-p", CAPTION, model=model)
        self.assertEqual(result.returncode, 0)
        self.assert_said_once(result, "single_transformer_blocks.1.")

    def test_pixels_of_no_numbers_fail(self):
        """A VAE that overflows draws nothing rather than a black picture."""
        model = self.damaged("decoder.conv_norm_out.weight", float("inf"), component="vae")
        result = self.generate("-p", CAPTION, model=model)
        self.assertEqual(result.returncode, 1)
        self.assert_said_once(result, "pixels are not finite")
        self.assertEqual(list(self.out.glob("*.png")), [])

    def test_text_of_no_numbers_fails(self):
        model = self.damaged("encoder.final_layer_norm.weight", float("nan"), component="text_encoder_2")
        result = self.generate("-p", CAPTION, model=model)
        self.assertEqual(result.returncode, 1)
        self.assert_said_once(result, "embedded text is not finite")

    def test_pictures_are_drawn_also_when_nobody_reads_their_names(self):
        """As in `flux-dist generate ... | head -1`: a reader that goes away is no error."""
        command = [PROGRAM, "generate", "--model", DEMO, "-p", CAPTION, "--output-dir", self.out, *SMALL,
                   "--num-images-per-prompt", 3]
        run = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        run.stdout.close()
        said = run.stderr.read()
        self.assertEqual(run.wait(), 0, said)
        self.assertNotIn("error", said)
        self.assertEqual(len(list(self.out.glob("*.png"))), 3)

    def test_closed_standard_descriptors(self):
        """What a run writes never lands in a file that took the number of a closed descriptor."""
        for closed in (">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"):
            with self.subTest(closed), tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "out"
                command = [PROGRAM, "generate", "--model", DEMO, "-p", CAPTION, "--output-dir", out, *SMALL]
                result = subprocess.run(["bash", "-c", f'exec "$@" {closed}', "bash", *map(str, command)])
                self.assertEqual(result.returncode, 0)
                self.assertEqual([line["event"] for line in journal_lines(out)], ["run", "began", "done", "end"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
