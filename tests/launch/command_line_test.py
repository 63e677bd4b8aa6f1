"""The program as a user meets it: exit codes, what goes to stdout and stderr, what is refused, and what is said once."""

import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from transformers import AutoTokenizer

PROGRAM = os.environ["FLUX_DIST"]
CONFIGS = Path(os.environ["FLUX_SOURCE_DIR"]) / "configs"
DEMO = CONFIGS / "demo"
VERBS = ("generate", "plan", "inspect", "quantize", "tokenize", "doctor", "bench")
LATER = ("--largest",)


def flux_dist(*arguments, ranks=0, **kwargs):
    launcher = ["mpirun", "-q", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks else []
    command = launcher + [PROGRAM] + [str(argument) for argument in arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **kwargs)


class CommandLine(unittest.TestCase):
    def assert_refused(self, result, text):
        """Exit 2, one line on stderr, nothing on stdout."""
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertIn(text, result.stderr)

    def test_help_and_version_go_to_stdout(self):
        for arguments in (["--help"], ["-h"], ["--version"], *([verb, "--help"] for verb in VERBS)):
            with self.subTest(arguments=arguments):
                result = flux_dist(*arguments)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                self.assertIn("flux-dist", result.stdout)
        self.assertIn("Exit codes", flux_dist("generate", "--help").stdout)

    def test_what_does_not_exist_is_refused(self):
        self.assert_refused(flux_dist(), "say what to do")
        for verb in ("serve", "draw"):
            self.assert_refused(flux_dist(verb), f"{verb} is none of its verbs")
        for verb in VERBS:
            for flag in LATER:
                self.assert_refused(flux_dist(verb, flag), f"{flag} is none of its options")
        self.assert_refused(flux_dist("plan", "--overwrite"), "--overwrite is none of its options")

    def test_bad_values_name_the_flag(self):
        self.assert_refused(flux_dist("generate", "--height", "tall"), '--height: "tall" is not a whole number')
        self.assert_refused(flux_dist("generate", "--guidance-scale", "nan"), "--guidance-scale: is not a finite")
        self.assert_refused(flux_dist("generate", "--max-sequence-length", "513"), "513 is more than 512")
        self.assert_refused(flux_dist("generate", "-p", "a"), "--model is missing")
        self.assert_refused(flux_dist("generate", "--model", DEMO), "nothing to draw")
        self.assert_refused(flux_dist("generate", "--model", "/nowhere", "-p", "a"), "/nowhere")
        self.assert_refused(flux_dist("generate", "--model", DEMO, "--prompts", "/nowhere.txt"), "/nowhere.txt")
        self.assert_refused(flux_dist("generate", "--config", "x" * 300), "cannot be opened")
        self.assert_refused(flux_dist("generate", "--model", DEMO, "-p", "a", "--seed", 1, "--output-dir", "x" * 300),
                            "--output-dir")
        self.assert_refused(flux_dist("plan", "--model", DEMO, "--device", "cpu", "--cards", 24), "--cards")
        for ranks in (0, 3):
            self.assert_refused(flux_dist("doctor", "--log-dir", "/proc/none", ranks=ranks), "--log-dir")

    def test_a_bad_config_names_file_line_and_column(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "c.textproto"
            file.write_text('prompt: "a"\n  hieght: 64\n')
            self.assert_refused(flux_dist("generate", "--config", file), f'{file}:2:9: there is no option "hieght"')
            self.assert_refused(flux_dist("plan", "--config", Path(folder) / "none"), "cannot be opened")

    def test_a_config_of_the_working_directory(self):
        result = flux_dist("plan", "--config", "demo.textproto", cwd=CONFIGS)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_results_that_cannot_be_written_are_an_error(self):
        with open("/dev/full", "w") as full:
            result = subprocess.run([PROGRAM, "plan", "--model", DEMO], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertIn("standard output", result.stderr)

    def test_a_reader_that_goes_away_is_no_error(self):
        for arguments in (["--help"], ["plan", "--model", DEMO], ["inspect", "--model", DEMO],
                          ["tokenize", "--model", DEMO, "-p", "a"], ["generate", "--print-config"]):
            with self.subTest(arguments=arguments):
                command = [PROGRAM, *(str(argument) for argument in arguments)]
                reading, writing = os.pipe()
                os.close(reading)
                try:
                    result = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
                finally:
                    os.close(writing)
                self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_a_working_directory_that_was_deleted(self):
        for arguments in ("--version", f"plan --model {DEMO}", "generate -p a"):
            with self.subTest(arguments=arguments), tempfile.TemporaryDirectory() as folder:
                script = f'mkdir gone && cd gone && rmdir ../gone && exec "{PROGRAM}" {arguments}'
                result = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True)
                self.assert_refused(result, "working directory was deleted")

    def test_standard_input_that_cannot_be_read(self):
        folder = os.open("/tmp", os.O_RDONLY)
        try:
            result = flux_dist("generate", "--model", DEMO, "--prompts", "-", stdin=folder)
        finally:
            os.close(folder)
        self.assert_refused(result, "stdin: cannot be read: Is a directory")

    def test_prompts_from_a_process_and_a_pipe_without_one(self):
        command = f'"{PROGRAM}" generate --model "{DEMO}" --device cpu --height 64 --width 64 --num-inference-steps 1'
        with tempfile.TemporaryDirectory() as folder:
            def shell(script):
                return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=120)
            result = shell(f"{command} --prompts <(echo a circle) --output-dir one")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assert_refused(shell(f"{command} --prompts <(true) --output-dir two"), "holds no prompts")
            os.mkfifo(Path(folder) / "pipe")
            result = shell(f"{command} --prompts pipe --startup-timeout 100ms")
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn("pipe: a named pipe; waiting for what is written to it", result.stderr)
            self.assertIn("nobody has written to this named pipe", result.stderr)
            self.assert_refused(shell(f"{command} --config pipe"), "pipe: is not a regular file")

    def test_a_verb_that_runs_alone_prints_in_a_shell_of_any_task(self):
        """Slurm's variables say which process they were made for."""
        task = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4"}
        for verb in (["plan", "--model", DEMO], ["inspect", "--model", DEMO], ["tokenize", "--model", DEMO, "-p", "a"],
                     ["--version"]):
            with self.subTest(verb=verb):
                for variables in (task, {"SLURM_PROCID": "3"}, {**task, "SLURM_TASK_PID": "1"}):
                    result = flux_dist(*verb, env={**os.environ, **variables})
                    self.assertEqual((result.returncode, result.stderr), (0, ""))
                    self.assertNotEqual(result.stdout, "")
                for rank, spoken in (("0", True), ("3", False)):
                    self.assertEqual(self.as_task({**task, "SLURM_PROCID": rank}, *verb).stdout != "", spoken)
        self.assertEqual(flux_dist("plan", "--model", DEMO, ranks=3).stdout.count("rank 0"), 1)

    def as_task(self, variables, *arguments):
        """As Slurm starts it."""
        command = ["sh", "-c", 'SLURM_TASK_PID=$$ exec "$@"', "sh", PROGRAM, *(str(argument) for argument in arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **variables})

    def test_many_ranks_say_it_once(self):
        for arguments in (["--bogus"], ["--model", "/nowhere", "-p", "a"], ["--config", "/nowhere"]):
            with self.subTest(arguments=arguments):
                self.assert_refused(flux_dist("generate", *arguments, ranks=3), arguments[0].removeprefix("--model"))
        self.assertEqual(flux_dist("--version", ranks=3).stdout.count("flux-dist"), 1)

    def test_print_config_reads_back(self):
        environment = {**os.environ, "FLUX_DIST_WIDTH": "96"}
        arguments = ["--config", CONFIGS / "demo.textproto", "--seed", "3"]
        result = flux_dist("generate", *arguments, "--noise-dtype", "fp32", "--print-config", env=environment)
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = result.stdout.splitlines()
        self.assertIn("seed: 3  # --seed", lines)
        self.assertIn("width: 96  # FLUX_DIST_WIDTH", lines)
        self.assertTrue(any(line.startswith("height: 128  # ") and "demo.textproto:" in line for line in lines))
        self.assertIn("guidance_scale: 3.5  # default of the model", lines)
        self.assertIn("true_cfg_scale: 1  # default", lines)
        self.assertIn(f'model: "{DEMO}"', result.stdout)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "c.textproto"
            file.write_text(result.stdout)
            again = flux_dist("generate", "--config", file, "--print-config")
            values = [line.split("  # ")[0] for line in again.stdout.splitlines()]
            self.assertEqual(values, [line.split("  # ")[0] for line in lines])

    def test_configs_of_published_models(self):
        """With the demo model in their place in the Hugging Face cache."""
        for file in CONFIGS.glob("flux1-*.textproto"):
            with self.subTest(file.name), tempfile.TemporaryDirectory() as cache:
                model = re.search(r'^model: "(.*)"$', file.read_text(), re.MULTILINE)[1]
                published = Path(cache) / "hub" / f"models--{model.replace('/', '--')}"
                (published / "refs").mkdir(parents=True)
                (published / "refs/main").write_text("0123abc")
                (published / "snapshots").mkdir()
                (published / "snapshots/0123abc").symlink_to(DEMO)
                environment = {**os.environ, "HF_HOME": cache, "HF_HUB_CACHE": ""}
                result = flux_dist("generate", "--config", file, "--print-config", env=environment)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertIn("device: cuda  # ", result.stdout)

    def test_tokenize_prints_the_ids_of_both_tokenizers(self):
        clip = AutoTokenizer.from_pretrained(DEMO / "tokenizer")
        t5 = AutoTokenizer.from_pretrained(DEMO / "tokenizer_2")
        for text in ("a red circle left of a blue square", "A GREEN triangle, e\u0301 \u2764", ""):
            result = flux_dist("tokenize", "--model", DEMO, "-p", text)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertEqual(json.loads(result.stdout), {"clip": clip(text).input_ids, "t5": t5(text).input_ids})
        result = flux_dist("tokenize", "--model", DEMO, "-p", "red", "--prompt-2", "blue")
        self.assertEqual(json.loads(result.stdout)["t5"], t5("blue").input_ids)
        result = flux_dist("tokenize", "--model", DEMO, "-p", "a red circle", "--max-sequence-length", "2")
        self.assertEqual(len(json.loads(result.stdout)["t5"]), 2)
        self.assertIn("dropped", result.stderr)
        self.assert_refused(flux_dist("tokenize", "--model", DEMO), "--prompt is missing")

    def test_plan_as_json(self):
        result = flux_dist("plan", "--model", DEMO, "--ranks", 3, "--cards", 3, "--json", "--height", 128,
                           "--width", 128, "--num-inference-steps", 4)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        plan = json.loads(result.stdout)
        self.assertEqual([rank["rank"] for rank in plan["ranks"]], [0, 1, 2])
        self.assertEqual(plan["ranks"][0]["stages"], ["encoder", "decoder"])
        self.assertTrue(plan["fits"])
        self.assertEqual(plan["quantize"], "none")
        too_small = json.loads(flux_dist("plan", "--model", DEMO, "--ranks", 3, "--cards", 3, "--memory-limit", "900MiB",
                                         "--json").stdout)
        self.assertEqual((too_small["fits"], too_small["quantize"]),
                         (False, "int8, text encoder int8-weights, modulation int8-weights"))
        self.assert_refused(flux_dist("plan", "--model", DEMO, "--memory-limit", "14"), '--memory-limit: "14" is not a size')
        self.assertEqual((len(plan["sigmas"]), plan["sigmas"][0], plan["sigmas"][-1]), (5, 1.0, 0.0))
        self.assert_refused(flux_dist("plan", "--model", DEMO, "--ranks", 4, "--replicas", 2), "-n 3, -n 5")
        plan = json.loads(flux_dist("plan", "--model", DEMO, "--json", "--sigmas", "1,0.9,0.1").stdout)
        self.assertEqual((len(plan["sigmas"]), plan["sigmas"][0], plan["sigmas"][-1]), (4, 1.0, 0.0))

    def test_plan_needs_no_weights_and_no_launcher(self):
        environment = {**os.environ, "OMPI_COMM_WORLD_SIZE": "1"}
        result = flux_dist("plan", "--model", DEMO, env=environment)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("rank 0", result.stdout)

    def test_a_launcher_that_made_worlds_of_one(self):
        for variables, code in (({"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "0"}, 1),
                                ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}, 0)):
            result = self.as_task(variables, "generate", "--model", DEMO, "-p", "a")
            self.assertEqual((result.returncode, len(result.stderr.splitlines())), (2, code), result.stderr)

    def test_generate_from_standard_input_with_logs_of_every_rank(self):
        with tempfile.TemporaryDirectory() as folder:
            pictures, logs = Path(folder) / "pictures", Path(folder) / "logs"
            requests = '{"prompt": "a red circle", "width": 70}\n{"prompt": "b", "steps": 2}\n'
            result = flux_dist("generate", "--model", DEMO, "--prompts", "-", "--output-dir", pictures, "--height", 64,
                               "--width", 64, "--num-inference-steps", 1, "--log-dir", logs, ranks=3, input=requests)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn('stdin:2: there is no field "steps"', result.stderr)
            self.assertIn("stdin:1: width: 70 is not a multiple of 16; drawing 64", result.stderr)
            seed = result.stderr.split(" seed ")[1].split()[0]
            self.assertEqual(result.stdout.split(), [str(pictures / f"00000-{seed}.png")])
            self.assertEqual(sorted(path.name for path in logs.iterdir()), [f"rank-000{i}.log" for i in range(3)])
            self.assertIn(f"seed {seed}", (logs / "rank-0000.log").read_text())
            quiet = flux_dist("generate", "--model", DEMO, "-p", "a", "--output-dir", pictures, "--overwrite",
                              "--height", 64, "--width", 64, "--num-inference-steps", 1, "--log-level", "off")
            self.assertEqual((quiet.returncode, quiet.stderr), (0, ""))

    def test_doctor_has_a_row_a_rank_and_measures_links(self):
        result = flux_dist("doctor", "--device", "cpu", "--json", ranks=3)
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual([row["rank"] for row in report["ranks"]], [0, 1, 2])
        for row in report["ranks"]:
            self.assertGreater(row["free_gib"], 0)
            self.assertTrue(any("libtorch_cpu" in path for path in row["libraries"]))
        self.assertEqual(report["links"][0]["transport"], "mpi")
        self.assertGreater(report["links"][0]["gigabytes_per_second"], 0)
        self.assertIn("no links", flux_dist("doctor", "--device", "cpu").stdout)


if __name__ == "__main__":
    unittest.main()
