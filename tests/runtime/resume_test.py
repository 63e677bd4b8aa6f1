"""Going on with a run that ended early: what is drawn, what is kept, what is refused."""

import json
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from runtime import random_resumes
from runtime.program import DEMO, PROGRAM, journal, journal_lines, mpirun, run

SMALL = ["--height", "64", "--width", "96", "--device", "cpu", "--threads", "1"]
DRAINED = 75


class Resume(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.out = self.folder / "out"
        self.prompts = self.folder / "prompts.txt"
        self.prompts.write_text("a red circle\na green square\na blue triangle\n")

    def generate(self, *arguments, ranks=0, model=DEMO, out=None, steps=2):
        command = [PROGRAM, "generate", "--model", model, "--output-dir", out or self.out, *SMALL, "--prompts",
                   self.prompts, "--num-inference-steps", steps, *arguments]
        return run(mpirun(ranks) + command if ranks else command)

    def files(self, folder=None):
        return {path.name: path.read_bytes() for path in (folder or self.out).glob("*.png")}

    def refused(self, words, *arguments, **options):
        """Exit code 2, one line, nothing touched."""
        before = (self.files(), (self.out / "journal.jsonl").read_bytes())
        result = self.generate("--resume", *arguments, **options)
        self.assertEqual(result.returncode, 2, result.stderr)
        said = [line for line in result.stderr.splitlines() if "error" in line]
        self.assertEqual(len(said), 1, result.stderr)
        self.assertIn(words, said[0])
        self.assertEqual((self.files(), (self.out / "journal.jsonl").read_bytes()), before)

    def test_ids_name_files(self):
        self.prompts = self.prompts.with_suffix(".jsonl")
        lines = [{"prompt": "a red circle", "id": "cat-1.a", "num_images_per_prompt": 2}, {"prompt": "a", "id": "../x"},
                 {"prompt": "a blue square", "id": "cat-1.a"}, {"prompt": "a green triangle"}]
        self.prompts.write_text("".join(json.dumps(line) + "\n" for line in lines))
        result = self.generate("--seed", 7)
        self.assertEqual(result.returncode, 1)
        self.assertIn("prompts.jsonl:2: id: is no id of 1 to 64 letters", result.stderr)
        names = {"00000-7-cat-1.a.png", "00001-8-cat-1.a.png", "00003-10-cat-1.a.png", "00004-11.png"}
        whole = self.files()
        self.assertEqual(whole.keys(), names)
        self.assertEqual({line.get("id") for line in journal(self.out) if line["status"] == "drawn"}, {"cat-1.a", None})
        (self.out / "00001-8-cat-1.a.png").unlink()
        self.assertEqual(self.generate("--resume").returncode, 1)
        self.assertEqual(self.files(), whole)
        self.assertEqual(self.generate("--seed", 7, "--overwrite", ranks=3).returncode, 1)
        self.assertEqual(self.files(), whole)

    def test_draws_what_is_missing_with_the_seeds_of_the_run(self):
        self.assertEqual(self.generate().returncode, 0)  # a random seed
        whole = self.files()
        lost = sorted(whole)[1]
        (self.out / lost).unlink()
        for ranks in (0, 3):
            result = self.generate("--resume", ranks=ranks)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(self.files(), whole)
            self.assertEqual(result.stdout.split(), [str(self.out / lost)] if ranks == 0 else [])
            self.assertIn("1 of 1 pictures drawn" if ranks == 0 else "0 of 0 pictures drawn", result.stderr)
        for name in whole:  # the gallery shows all
            self.assertIn(name, (self.out / "index.html").read_text())

    def test_the_format_of_the_run_stays_unless_another_is_asked_for(self):
        self.assertEqual(self.generate("--format", "jpg", steps=1).returncode, 0)
        first, second, third = sorted(path.name for path in self.out.glob("*.jpg"))
        (self.out / first).unlink()
        result = self.generate("--resume", steps=1)
        self.assertEqual(result.stdout.split(), [str(self.out / first)], result.stderr)
        (self.out / second).unlink()
        result = self.generate("--resume", "--format", "png", steps=1)
        self.assertIn("--format: pictures that were drawn before are .jpg and stay so", result.stderr)
        self.assertEqual({path.name for path in self.out.glob("0*")}, {first, second.replace("jpg", "png"), third})

    def test_an_empty_folder_begins_a_run(self):
        self.assertEqual(self.generate("--resume").returncode, 0)
        self.assertEqual(len(self.files()), 3)

    def test_prompts_may_be_appended_and_pictures_of_a_prompt_be_missing(self):
        self.assertEqual(self.generate("--seed", 5, "--num-images-per-prompt", 2).returncode, 0)
        whole = self.files()
        (self.out / "00002-7.png").unlink()
        self.prompts.write_text(self.prompts.read_text() + "a white circle\n")
        result = self.generate("--resume", "--num-images-per-prompt", 2, ranks=2)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual({name: self.files()[name] for name in whole}, whole)
        self.assertEqual(len(self.files()), 8)
        self.assertEqual([line["index"] for line in journal(self.out)][6:], [2, 6, 7])
        undisturbed = self.folder / "undisturbed"
        self.generate("--seed", 5, "--num-images-per-prompt", 2, out=undisturbed)
        self.assertEqual(self.files(undisturbed), self.files())

    def test_what_would_draw_other_pictures_is_refused_and_listed(self):
        self.assertEqual(self.generate("--seed", 5).returncode, 0)
        self.refused("was drawn with seed 5, and this run asks for 6", "--seed", 6)
        self.refused("was drawn with num_inference_steps 2, and this run asks for 3", steps=3)
        (self.out / "00001-6.png").unlink()
        self.refused("dtype was fp32 and is bf16", "--dtype", "bf16")
        model = self.folder / "model"
        shutil.copytree(DEMO, model)
        scheduler = model / "scheduler" / "scheduler_config.json"
        scheduler.write_text(json.dumps({**json.loads(scheduler.read_text()), "shift": 2.5}))
        self.refused("model was demo ", model=model, ranks=2)
        changed = self.generate("--resume", "--allow-changes", "--dtype", "bf16")
        self.assertEqual(changed.returncode, 0, changed.stderr)
        self.assertEqual(len(self.files()), 3)
        self.prompts.write_text("a red circle\nanother\na blue triangle\n")
        self.refused('was drawn with prompt "a green square", and this run asks for "another"')
        self.prompts.write_text("a red circle\n")
        self.assertEqual(self.generate("--resume", "--allow-changes").returncode, 0)
        self.assertEqual(len(self.files()), 3, "what is no longer asked for stays")

    def test_a_folder_that_is_no_run_and_a_damaged_journal(self):
        self.out.mkdir()
        (self.out / "mine.txt").write_text("x")
        result = self.generate("--resume")
        self.assertEqual(result.returncode, 2)
        self.assertIn("holds no journal.jsonl of a run to resume", result.stderr)
        (self.out / "mine.txt").unlink()
        self.assertEqual(self.generate().returncode, 0)
        lines = (self.out / "journal.jsonl").read_text().splitlines(keepends=True)
        (self.out / "journal.jsonl").write_text(lines[0] + "garbage\n" + "".join(lines[1:]))
        self.refused(f"line 2 (byte {len(lines[0])}) is damaged")
        (self.out / "journal.jsonl").write_text("".join(lines)[:-5])  # cut off in its last line
        self.assertEqual(self.generate("--resume").returncode, 0)
        self.assertEqual(journal_lines(self.out)[-1]["event"], "end")

    def test_what_failed_is_tried_again_and_what_is_there_already_needs_no_weights(self):
        self.prompts.write_text('{"prompt": "a red circle"}\n{"prompt": 3}\n')
        self.assertEqual(self.generate("--seed", 1).returncode, 1)
        again = self.generate("--resume", ranks=2)
        self.assertEqual(again.returncode, 1, again.stderr)
        self.assertNotIn("loaded", again.stderr)
        self.prompts.write_text('{"prompt": "a red circle"}\n{"prompt": "a blue circle"}\n')
        self.assertEqual(self.generate("--resume").returncode, 0)
        self.assertEqual(sorted(self.files()), ["00000-1.png", "00001-2.png"])

    def test_a_request_that_ranks_fail_of_is_drawn_last_and_alone_then_set_aside(self):
        self.assertEqual(self.generate("--seed", 5).returncode, 0)
        blamed = journal(self.out)[0]["request"]

        def fail():
            """A start whose rank died while it worked on the first request."""
            with (self.out / "journal.jsonl").open("a") as file:
                for line in (journal_lines(self.out)[0], {"event": "end", "exit_code": 3, "suspects": [blamed]}):
                    file.write(json.dumps(line) + "\n")
            for picture in ("00000-5.png", "00001-6.png"):
                (self.out / picture).unlink(missing_ok=True)

        fail()
        self.assertEqual(self.generate("--resume", ranks=3).returncode, 0)
        self.assertEqual([line["index"] for line in journal(self.out)][-2:], [1, 0])
        fail()  # once more since it was drawn
        fail()
        again = self.generate("--resume", ranks=2)
        self.assertEqual(again.returncode, 1, again.stderr)
        self.assertIn("set aside: ranks failed 2 times while they worked on it; draw it with --retry-poisoned",
                      again.stderr)
        self.assertEqual(sorted(self.files()), ["00001-6.png", "00002-7.png"])
        self.assertEqual(self.generate("--resume").returncode, 1, "also where nothing else is left")
        self.assertEqual(self.generate("--resume", "--retry-poisoned").returncode, 0)
        self.assertEqual(len(self.files()), 3)

    def test_parts_are_drawn_apart_and_shown_together(self):
        whole = self.folder / "whole"
        self.assertEqual(self.generate("--seed", 5, out=whole).returncode, 0)
        for part in ("1/2", "2/2"):
            self.assertEqual(self.generate("--seed", 5, "--part", part).returncode, 0)
        first, second = self.out / "part-1-of-2", self.out / "part-2-of-2"
        self.assertEqual(sorted(self.files(first)), ["00000-5.png", "00002-7.png"])
        self.assertEqual({**self.files(first), **self.files(second)}, self.files(whole))
        gallery = (self.out / "index.html").read_text()
        for picture in (*first.glob("*.png"), *second.glob("*.png")):
            self.assertIn(f'src="{picture.parent.name}/{picture.name}"', gallery)
        (second / "00001-6.png").unlink()
        self.assertEqual(self.generate("--resume", "--part", "2/2").returncode, 0)
        self.assertEqual(sorted(self.files(second)), ["00001-6.png"])
        for folder, part in ((self.out, "1/3"), (whole, "1/2")):
            mixed = self.generate("--part", part, out=folder)
            self.assertEqual(mixed.returncode, 2, mixed.stderr)
            self.assertIn("name another folder for", mixed.stderr)
        more_than_prompts = self.generate("--seed", 5, "--part", "5/9", out=self.folder / "many")
        self.assertEqual(more_than_prompts.returncode, 0, more_than_prompts.stderr)
        for wrong in ("0/2", "3/2", "1", "1/2/3", "a/b", "1/0", "-1/2"):
            result = self.generate(f"--part={wrong}")
            self.assertEqual(result.returncode, 2)
            self.assertIn(f"{wrong} is no part such as 3/8", result.stderr)

    def test_the_request_of_a_rank_that_takes_too_long_is_named_and_drawn_last(self):
        late = self.generate("--seed", 5, "--timeout", "1ms")
        self.assertEqual(late.returncode, 3, late.stderr)
        self.assertRegex(late.stderr, r"rank 0 .* within 0.001 s .*; it was (encoding|drawing) ")
        suspects = {int(line) - 1 for line in re.findall(rf"{self.prompts}:(\d)", late.stderr)}
        self.assertEqual(len(journal_lines(self.out)[-1]["suspects"]), len(suspects), late.stderr)
        self.assertEqual(self.generate("--resume").returncode, 0)
        drawn = [line["index"] for line in journal(self.out)]
        self.assertEqual((sorted(drawn), set(drawn[-len(suspects):])), ([0, 1, 2], suspects))

    def test_drains_on_request(self):
        for ranks in (0, 3):
            with self.subTest(ranks=ranks):
                out = self.folder / f"drained{ranks}"
                command = [PROGRAM, "generate", "--model", DEMO, "--output-dir", out, *SMALL, "--num-inference-steps", 20,
                           "-p", "a red circle", "--num-images-per-prompt", 60, "--seed", 1]
                job = subprocess.Popen([str(word) for word in (mpirun(ranks) if ranks else []) + command],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                deadline = time.monotonic() + 60
                while not list(out.glob("*.png")) and time.monotonic() < deadline:
                    time.sleep(0.02)
                job.send_signal(signal.SIGUSR1)
                _, said = job.communicate(timeout=60)
                self.assertEqual(job.returncode, DRAINED, said)
                drawn = len(journal(out))
                self.assertRegex(said, rf"drained \(SIGUSR1\): {60 - drawn} of 60 pictures are left; go on with --resume")
                end = journal_lines(out)[-1]
                self.assertEqual((end["event"], end["exit_code"]), ("end", DRAINED))
                self.assertEqual(list(out.glob(".*")), [])
                self.assertTrue((out / "index.html").exists())

    def test_a_drain_while_weights_load_begins_nothing(self):
        job = subprocess.Popen([str(word) for word in [*mpirun(2), PROGRAM, "generate", "--model", DEMO, "--output-dir",
                                self.out, *SMALL, "--prompts", "-"]],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not self.out.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        job.send_signal(signal.SIGUSR1)
        time.sleep(0.5)
        _, said = job.communicate("a red circle\n", timeout=60)
        self.assertEqual(job.returncode, DRAINED, said)
        self.assertIn("1 of 1 pictures are left", said)
        self.assertFalse(self.out.exists(), "nothing came of it")

    def test_survives_ends_at_random_moments(self):
        """A sample; tests/runtime/random_resumes.py does as many as one likes."""
        random_resumes.survive(blows=10, seed=3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
