"""bench throughput and bench compare, end to end with the demo on CPUs."""

import html.parser
import json
import tempfile
import time
import unittest
from pathlib import Path

import numpy as np

from runtime.program import DEMO, PROGRAM, journal, mpirun, run
from side_by_side import SideBySide, alone

SMALL = ["--model", DEMO, "--device", "cpu", "--height", 64, "--width", 64, "--num-inference-steps", 4,
         "--max-sequence-length", 32, "--progress", "none", "--threads", 1]
STAGES = ("queue", "encode", "transfer", "denoise", "decode", "write")
SGLANG = ("duration", "completed_requests", "failed_requests", "throughput_qps", "latency_mean", "latency_median",
          "latency_p50", "latency_p99", "peak_memory_mb_max", "peak_memory_mb_mean", "peak_memory_mb_median")
PROMPT = "a circle </script><b onclick='x'>&amp; \"more\""


class Page(html.parser.HTMLParser):
    """The elements of a report, and what its svg elements hold."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.charts, self.inside, self.titles, self.open = [], {}, None, [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        if tag != "meta":  # which has no end
            self.open.append(tag)
        if tag == "svg":
            self.inside = self.charts.setdefault(attributes["id"], {"svg": attributes, "rect": [], "polyline": []})
        elif self.inside is not None and tag in ("rect", "polyline"):
            self.inside[tag].append(attributes)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if self.open and self.open[-1] == "title":
            self.titles.append(data)


def x_of(value, most):
    return 90 + 780 * value / most


def y_of(value, chart):
    return 300 - 260 * value / float(chart["svg"]["data-y-most"])


def points(line):
    return [tuple(float(number) for number in point.split(",")) for point in line["points"].split()]


class Throughput(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def bench(self, *arguments, ranks=1):
        launcher = mpirun(ranks) if ranks > 1 else []
        return run([*launcher, PROGRAM, "bench", "throughput", *SMALL, *arguments])

    def results(self, *arguments, ranks=1):
        result = self.bench("--json", *arguments, ranks=ranks)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def refused(self, *arguments, saying):
        result = self.bench(*arguments)
        self.assertEqual((result.returncode, result.stdout), (2, ""), result.stderr)
        self.assertIn(saying, result.stderr)

    def check(self, result, requests, ranks):
        """What holds of every result."""
        for key in SGLANG:
            self.assertIn(key, result)
        done = [request for request in result["requests"] if "error" not in request]
        self.assertEqual((len(done), len(result["requests"])), (requests, requests))
        self.assertEqual((result["completed_requests"], result["failed_requests"]), (requests, 0))
        latencies = [request["latency"] for request in done]
        for request in done:
            self.assertAlmostEqual(sum(request[stage] for stage in STAGES), request["latency"], places=9)
            self.assertGreaterEqual(min(request[stage] for stage in STAGES), 0)
        # One small picture's first word may come with its last: then all of it counts as transfer.
        self.assertGreater(sum(request["denoise"] for request in done), 0)
        self.assertAlmostEqual(result["latency_mean"], np.mean(latencies), places=9)
        self.assertAlmostEqual(result["latency_median"], np.median(latencies), places=9)
        for percent in (50, 90, 95, 99):
            self.assertAlmostEqual(result[f"latency_p{percent}"], np.percentile(latencies, percent), places=9)
        self.assertAlmostEqual(sum(result["stages"][stage]["mean"] for stage in STAGES), result["latency_mean"], places=9)
        for stage in STAGES:
            self.assertAlmostEqual(result["stages"][stage]["p99"],
                                   np.percentile([request[stage] for request in done], 99), places=9)
        last = max(request["arrival"] + request["latency"] for request in done)
        self.assertAlmostEqual(result["duration"], last, places=9)
        self.assertAlmostEqual(result["throughput_qps"], requests / last, places=9)
        images = sum(request["images"] for request in done)
        self.assertEqual(result["completed_images"], images)
        self.assertAlmostEqual(result["images_per_hour"], 3600 * images / last, places=6)
        for replica in result["replicas"]:
            self.assertAlmostEqual(sum(replica["idle_by_cause"].values()), replica["idle"], places=9)
            self.assertAlmostEqual(replica["busy"] + replica["idle"], result["duration"], places=9)
        self.assertEqual([rank["rank"] for rank in result["ranks"]], list(range(ranks)))
        memory = [rank["peak_memory_mb"] for rank in result["ranks"]]
        self.assertGreater(min(memory), 50)  # libtorch alone is larger
        self.assertEqual((result["peak_memory_of"], result["peak_memory_mb_max"]), ("process", max(memory)))
        self.assertAlmostEqual(result["peak_memory_mb_median"], np.median(memory), places=6)
        for rank in result["ranks"]:
            self.assertLessEqual(rank["busy_percent"], 100 + 1e-6)
        self.assertGreater(result["coordinator_ms"], 0)
        self.assertEqual(result["cards"], 0)
        for key in ("energy_joules", "energy_per_image_joules", "mean_power_watts"):
            self.assertIsNone(result[key])
        self.assertEqual({rank["card_energy_joules"] for rank in result["ranks"]}, {None})

    def test_offline_over_ranks_with_the_demos_config(self):
        config = Path(DEMO).parent / "demo.textproto"
        dataset = Path(DEMO).parent / "demo.txt"
        result = run([*mpirun(3), PROGRAM, "bench", "throughput", "--config", config, "--dataset", dataset,
                      "--num-inference-steps", 4, "--json", "--slo", "1h", "--progress", "none"])
        self.assertEqual(result.returncode, 0, result.stderr)
        (result,) = [json.loads(line) for line in result.stdout.splitlines()]
        self.check(result, requests=8, ranks=3)
        self.assertEqual((result["scenario"], result["request_rate"], result["pictures"]), ("offline", None, "dropped"))
        self.assertEqual((result["warmup_requests"], result["slo_attainment"]), (2, 1))
        self.assertEqual({request["arrival"] for request in result["requests"]}, {0})
        self.assertEqual({(r["width"], r["height"], r["num_inference_steps"]) for r in result["requests"]},
                         {(128, 128, 4)})
        self.assertGreater(result["ranks"][1]["denoise_percent"], 0)
        self.assertEqual(result["ranks"][1]["encode_percent"], 0)
        self.assertFalse(Path("pictures").exists())

    @alone
    def test_a_server_that_is_asked_for_more_than_it_draws_has_a_queue(self):
        """Rates over and far over what the machine draws: the same requests wait longer the faster they come."""
        slow, fast = self.results("--num-prompts", 12, "--scenario", "server", "--request-rate", "1.6,1000",
                                  "--burstiness", 100, "--slo", "1ms")
        for result in (slow, fast):
            self.check(result, requests=12, ranks=1)
            self.assertEqual(result["slo_attainment"], 0)
        arrivals = [request["arrival"] for request in slow["requests"]]
        self.assertEqual((arrivals[0], arrivals), (0, sorted(arrivals)))
        self.assertAlmostEqual(arrivals[-1], 11 / 1.6, places=3)
        self.assertLess(slow["stages"]["queue"]["mean"], slow["stages"]["denoise"]["mean"])
        self.assertLess(slow["stages"]["queue"]["p50"], 0.03)  # the coordinator, which else looks up every 0.1 s, wakes up
        waited = [request["queue"] for request in fast["requests"]]
        self.assertGreater(waited[-1], waited[0] + 6 * fast["stages"]["denoise"]["p50"])
        self.assertGreater(slow["replicas"][0]["idle_by_cause"]["no_request"], 0.5 * slow["duration"])
        self.assertLess(fast["replicas"][0]["idle_by_cause"]["no_request"], 0.02 * fast["duration"])  # the first to come

    def test_a_sweep_goes_up_to_more_than_is_drawn(self):
        at_once, *rated = self.results("--num-prompts", 8, "--scenario", "sweep")
        self.assertEqual((at_once["scenario"], at_once["request_rate"], len(rated)), ("sweep", None, 6))
        for result, part in zip(rated, (0.25, 0.5, 0.75, 0.9, 1.0, 1.2)):
            self.assertAlmostEqual(result["request_rate"] / rated[4]["request_rate"], part)
        # The wave ends with its last picture, which its throughput counts to.
        self.assertAlmostEqual(rated[4]["request_rate"] / at_once["throughput_qps"], 1, delta=0.02)
        arrivals = [result["requests"][-1]["arrival"] for result in rated]
        self.assertGreater(arrivals[0], arrivals[5])

    def simulated_and_drawn(self, ranks, *flags):
        """Images an hour, of a run and of the simulation of what it measured."""
        file = self.folder / f"{time.monotonic_ns()}.jsonl"
        drawn = run([*(mpirun(ranks) if ranks > 1 else []), PROGRAM, "bench", "throughput", "--model", DEMO, "--device",
                     "cpu", "--height", 64, "--width", 64, "--num-inference-steps", 12, "--progress", "none",
                     "--num-prompts", 40, "--output-file", file, *flags])
        self.assertEqual(drawn.returncode, 0, drawn.stderr)
        result = json.loads(file.read_text())
        simulated = run([PROGRAM, "plan", "--simulate", file, "--ranks", ranks, "--json"])
        self.assertEqual(simulated.returncode, 0, simulated.stderr)
        (simulated,) = json.loads(simulated.stdout)
        self.assertEqual((simulated["ranks"], simulated["replicas"], simulated["pictures"], simulated["encoders"]),
                         (ranks, len(result["replicas"]), 40, 1))
        return simulated["images_per_hour"] / result["images_per_hour"]

    @alone
    def test_a_simulation_draws_as_fast_as_the_run_it_is_made_of(self):
        """A machine that does something else meanwhile slows some of the run down: one of three runs is undisturbed."""
        for ranks, flags in ((1, ()), (3, ("--replicas", 2))):
            with self.subTest(ranks=ranks, flags=flags):
                ratios = [self.simulated_and_drawn(ranks, *flags)]
                while abs(ratios[-1] - 1) > 0.05 and len(ratios) < 3:
                    ratios.append(self.simulated_and_drawn(ranks, *flags))
                self.assertAlmostEqual(ratios[-1], 1, delta=0.05, msg=ratios)

    def test_a_simulation_goes_on_to_4096_ranks(self):
        file = self.folder / "result.jsonl"
        self.results("--num-prompts", 4, "--output-file", file)
        simulated = run([PROGRAM, "plan", "--simulate", file])
        self.assertEqual(simulated.returncode, 0, simulated.stderr)
        head, *lines = [line.split("\t") for line in simulated.stdout.splitlines()]
        self.assertEqual((head[0], head[-1]), ("ranks", "limit"))
        self.assertEqual([int(line[0]) for line in lines if line[1] == "1"], [2**i for i in range(13)])
        refused = run([PROGRAM, "plan", "--simulate", file, "--cards", "16"])
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--cards: a simulation is of what was measured", refused.stderr)

    def test_single_stream_asks_for_one_after_the_other(self):
        (result,) = self.results("--num-prompts", 4, "--scenario", "single-stream", "--replicas", 2, ranks=3)
        self.check(result, requests=4, ranks=3)
        requests = result["requests"]
        for before, after in zip(requests, requests[1:]):
            self.assertAlmostEqual(after["arrival"], before["arrival"] + before["latency"], places=9)
        self.assertEqual(result["warmup_requests"], 2)

    def test_mixed_sizes_pictures_on_the_disk_and_seeds_that_a_warm_up_does_not_change(self):
        dataset = self.folder / "mixed.jsonl"
        lines = [{"prompt": "a red circle", "width": 32}, {"prompt": "a blue square", "num_images_per_prompt": 2}]
        dataset.write_text("".join(json.dumps(line) + "\n" for line in lines))
        for name, warmup in (("a", 0), ("b", 3)):
            (result,) = self.results("--dataset", dataset, "--num-prompts", 3, "--warmup-requests", warmup, "--seed", 5,
                                     "--output-dir", self.folder / name)
            self.check(result, requests=3, ranks=1)
        self.assertEqual([request["width"] for request in result["requests"]], [32, 64, 32])
        self.assertEqual([request["images"] for request in result["requests"]], [1, 2, 1])
        self.assertEqual(result["pictures"], "written")
        self.assertGreater(result["stages"]["write"]["mean"], 0)
        self.assertEqual(len(journal(self.folder / "b")), 4 + 4)
        for name in ("00000-5.png", "00001-6.png", "00002-7.png", "00003-8.png"):
            self.assertEqual((self.folder / "a" / name).read_bytes(), (self.folder / "b" / name).read_bytes())

    def test_a_trace_is_replayed_at_its_times_with_its_own_slos(self):
        trace = self.folder / "trace.txt"
        rows = [{"timestamp": 1.25, "prompt": "it's \"a\"\n\u00e9 \U0001f600\\", "width": 32, "slo_ms": 60000.0},
                {"timestamp": 0.5, "prompt": "a red circle", "height": 32, "num_inference_steps": 2, "slo_ms": 1},
                {"timestamp": 2, "prompt": PROMPT, "seed": 9, "width": None}]
        text = "".join("Request(" + ", ".join(f"{key}={value!r}" for key, value in row.items()) + ")\n" for row in rows)
        trace.write_text(text)
        (result,) = self.results("--dataset", trace, "--scenario", "trace", "--output-dir", self.folder / "out",
                                 "--warmup-requests", 0)
        self.check(result, requests=3, ranks=1)
        requests = result["requests"]
        self.assertEqual([request["arrival"] for request in requests], [0, 0.75, 1.5])
        self.assertEqual([(request["width"], request["height"], request["num_inference_steps"]) for request in requests],
                         [(64, 32, 2), (32, 64, 4), (64, 64, 4)])
        self.assertEqual([request.get("slo_ms") for request in requests], [1, 60000, None])
        self.assertEqual(result["slo_attainment"], 0.5)
        drawn = {line["index"]: line for line in journal(self.folder / "out")}
        self.assertEqual([drawn[i]["prompt"] for i in range(3)], [rows[i]["prompt"] for i in (1, 0, 2)])
        self.assertEqual(drawn[2]["seed"], 9)
        self.refused("--dataset", trace, "--scenario", "trace", "--num-prompts", 4, saying="has 3 requests")
        self.refused("--scenario", "trace", saying="has no timestamp")

    def test_the_report(self):
        dataset = self.folder / "prompts.txt"
        dataset.write_text(PROMPT + "\na red circle\n")
        report = self.folder / "report.html"
        results = self.results("--dataset", dataset, "--num-prompts", 4, "--scenario", "server", "--request-rate",
                               "5,50", "--report", report, ranks=3)
        text = report.read_text()
        page = Page(text)
        self.assertEqual(page.open, [])
        for tag, attributes in page.elements:
            self.assertNotIn(tag, ("script", "link", "img", "iframe", "b"))
            for name, value in attributes.items():
                self.assertFalse(name.startswith("on") or name in ("src", "href"), f"{tag} {name}={value}")
        self.assertTrue(any(title.endswith(PROMPT) for title in page.titles))

        latency = page.charts["latency"]
        most = max(request["latency"] for result in results for request in result["requests"])
        self.assertAlmostEqual(float(latency["svg"]["data-x-most"]), most, places=6)
        self.assertEqual(len(latency["polyline"]), 2)
        for line, result in zip(latency["polyline"], results):
            expected = sorted(request["latency"] for request in result["requests"])
            stair = points(line)
            np.testing.assert_allclose([x for x, _ in stair[1::2]], [x_of(value, most) for value in expected], atol=0.01)
            np.testing.assert_allclose([y for _, y in stair[1::2]], [y_of(part, latency) for part in (.25, .5, .75, 1)],
                                       atol=0.01)

        chart = page.charts["throughput"]
        self.assertGreaterEqual(float(chart["svg"]["data-y-most"]), max(result["throughput_qps"] for result in results))
        np.testing.assert_allclose(points(chart["polyline"][0]), [
            (x_of(result["request_rate"], 50), y_of(result["throughput_qps"], chart)) for result in results], atol=0.01)

        for number, result in enumerate(results):
            chart = page.charts[f"requests-{number}"]
            arrived = [request["arrival"] for request in result["requests"]]
            completed = sorted(request["arrival"] + request["latency"] for request in result["requests"])
            for line, times in zip(chart["polyline"], (arrived, completed)):
                stair = points(line)[2::2]  # behind (0, 0)
                np.testing.assert_allclose(stair, [(x_of(time, result["duration"]), y_of(count, chart))
                                                   for count, time in enumerate(times, 1)], atol=0.01)
            bars = page.charts[f"timeline-{number}"]["rect"]
            for rank in result["ranks"]:
                for stage in ("encode", "denoise", "decode"):
                    widths = sum(float(bar["width"]) for bar in bars
                                 if bar["data-kind"] == stage and int(bar["data-row"]) == rank["rank"])
                    self.assertAlmostEqual(widths / 780 * 100, rank[f"{stage}_percent"], delta=0.02)

    def test_results_are_appended_and_compared(self):
        for name in "ab":
            for _ in range(2):
                result = self.bench("--num-prompts", 6, "--output-file", self.folder / name)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertIn("6 of 6 requests", result.stdout)
            self.assertEqual(len((self.folder / name).read_text().splitlines()), 2)
        result = run([PROGRAM, "bench", "compare", self.folder / "a", self.folder / "b", "--json"])
        self.assertEqual(result.returncode, 0, result.stderr)
        compared = json.loads(result.stdout)
        self.assertEqual([row["metric"] for row in compared], ["latency_median", "latency_p99", "throughput_qps"])
        both = [[json.loads(line) for line in (self.folder / name).read_text().splitlines()] for name in "ab"]
        latencies = [[request["latency"] for result in results for request in result["requests"]] for results in both]
        self.assertAlmostEqual(compared[0]["ratio"], np.median(latencies[1]) / np.median(latencies[0]), places=9)
        rates = [12 / sum(result["duration"] for result in results) for results in both]
        self.assertAlmostEqual(compared[2]["ratio"], rates[1] / rates[0], places=9)
        for row in compared:
            self.assertLessEqual(row["low"], row["ratio"])
            self.assertGreaterEqual(row["high"], row["ratio"])
        table = run([PROGRAM, "bench", "compare", self.folder / "a", self.folder / "b"]).stdout.splitlines()
        self.assertEqual(table[0].split("\t"), ["load", "metric", "baseline", "candidate", "ratio", "low", "high"])
        self.assertEqual({len(line.split("\t")) for line in table}, {7})

    def test_what_is_wrong_is_said_before_anything_is_loaded(self):
        self.refused("--scenario", "server", saying="say how many requests come a second")
        self.refused("--request-rate", 2, saying="--request-rate: is for --scenario server")
        self.refused("--scenario", "sweep", "--request-rate", 2, saying="--request-rate: is for --scenario server")
        self.refused("--scenario", "single-stream", "--max-concurrency", 2, saying="is always 1")
        self.refused("--dataset", self.folder / "none.txt", saying="none.txt")
        self.refused("--output-file", self.folder / "none" / "a.jsonl", saying="none/a.jsonl")
        self.refused("--report", self.folder / "none" / "a.html", saying="there is no folder")
        self.refused("--repetitions", 2, saying="is none of the options of bench throughput")
        bad = self.folder / "bad.jsonl"
        bad.write_text('{"prompt": "a"}\n{"prompt": "a", "height": -1}\n')
        self.refused("--dataset", bad, saying="bad.jsonl:2: height: -1 is less than 2")
        result = run([PROGRAM, "bench", "compare", bad])
        self.assertEqual(result.returncode, 2)
        self.assertIn("give two files of results", result.stderr)
        result = run([PROGRAM, "bench", "compare", bad, bad])
        self.assertEqual(result.returncode, 2)
        self.assertIn('bad.jsonl:1: "benchmark" is missing', result.stderr)


def load_tests(_loader, tests, _pattern):
    return SideBySide(tests)


if __name__ == "__main__":
    unittest.main(verbosity=2)
