"""What bench throughput --report and generate's gallery are to somebody who opens them: looked at in a browser."""

import json
import os
import sys
import tempfile
import unittest
from pathlib import Path

from runtime import browser
from runtime.program import DEMO, PROGRAM, mpirun, run

if browser.found() is None:
    print(f"skipped: no browser (apt-get install {browser.NAMES[0]})")
    sys.exit(77)

SMALL = ["--model", DEMO, "--device", "cpu", "--max-sequence-length", 32, "--progress", "none", "--threads", 1]
HOSTILE = ["a circle </script></title></svg><script>alert('ran')</script>",
           "<img src=x onerror=\"alert('ran')\"> a red circle",
           "\"><svg onload=alert('ran')> '><b onclick='alert(1)'>&amp; &lt;square",
           "a blue " + "w" * 300]
RATES, RANKS = [2, 20, 200], 3
SHOTS = os.environ.get("FLUX_SCREENSHOTS")  # a folder, to look at them

# What a page says of itself; positions are pixels of the window, before anything is scrolled.
READER = """
const box = element => { const r = element.getBoundingClientRect();
  return {left: r.left, right: r.right, top: r.top, bottom: r.bottom, width: r.width, height: r.height}; };
const rgb = colour => { const [r, g, b, a = 1] = colour.match(/[0-9.]+/g).map(Number); return a > 0 ? [r, g, b] : null; };
const light = colour => { const [r, g, b] = colour.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b; };
const background = matchMedia('print').matches ? [255, 255, 255]
  : rgb(getComputedStyle(document.body).backgroundColor) || [255, 255, 255];
const contrast = colour => { const [a, b] = [light(rgb(colour)), light(background)].sort((x, y) => y - x);
  return (a + .05) / (b + .05); };
const words = element => [...element.childNodes].some(node => node.nodeType == 3 && node.data.trim());
const shown = element => element.getClientRects().length > 0;
"""
TEXTS = READER + """[...document.body.querySelectorAll('*')].filter(e => words(e) && shown(e)).map(e => ({
  text: e.textContent, contrast: contrast(e instanceof SVGElement ? getComputedStyle(e).fill : getComputedStyle(e).color)}))"""
CHARTS = READER + """Object.fromEntries([...document.querySelectorAll('svg')].map(svg => [svg.id, {
  box: box(svg), scale: svg.getBoundingClientRect().width / svg.viewBox.baseVal.width,
  name: svg.getAttribute('aria-label'),
  caption: svg.closest('figure').querySelector('figcaption').textContent,
  keys: [...svg.closest('figure').querySelectorAll('.keys span')].map(key => ({text: key.textContent.trim(),
    colour: getComputedStyle(key.firstChild).borderTopColor, dash: getComputedStyle(key.firstChild).borderTopStyle,
    width: box(key.firstChild).width, contrast: contrast(getComputedStyle(key.firstChild).borderTopColor)})),
  texts: [...svg.querySelectorAll('text')].map(text => ({text: text.textContent, box: box(text),
    kind: text.getAttribute('class'), size: parseFloat(getComputedStyle(text).fontSize)})),
  lines: [...svg.querySelectorAll('polyline')].map(line => ({name: line.dataset.name,
    colour: getComputedStyle(line).stroke, contrast: contrast(getComputedStyle(line).stroke),
    points: [...line.points].map(p => { const q = p.matrixTransform(svg.getScreenCTM()); return [q.x, q.y]; })})),
  dots: [...svg.querySelectorAll('circle')].map(box),
  bars: [...svg.querySelectorAll('rect')].map(bar => ({row: Number(bar.dataset.row), kind: bar.dataset.kind, box: box(bar),
    colour: getComputedStyle(bar).fill, text: bar.textContent}))}]))"""
OVERFLOW = """[document.documentElement.scrollWidth - innerWidth,
  ...[...document.querySelectorAll('.wide, pre')].map(e => e.scrollWidth - e.clientWidth)]"""

# As on cards.
TWO_COLUMNS_MORE = "for (const row of document.querySelector('#summary').rows) for (const i of [0, 1]) " \
                   "row.append(row.cells[4].cloneNode(true))"


def overlapping(texts):
    """Pairs of texts of a chart that lie on each other."""
    def meet(a, b):
        return (min(a["right"], b["right"]) - max(a["left"], b["left"]) > 0.5
                and min(a["bottom"], b["bottom"]) - max(a["top"], b["top"]) > 0.5)
    return [(one["text"], other["text"]) for i, one in enumerate(texts) for other in texts[:i]
            if meet(one["box"], other["box"])]


def axis(chart, kind, side):
    """Marks of an axis: number and place along it, ascending."""
    marks = [(float(text["text"]), sum(text["box"][end] for end in side) / 2) for text in chart["texts"]
             if text["kind"] == kind and text["text"].replace(".", "", 1).isdigit()]
    return sorted(marks)


class Opened(unittest.TestCase):
    """Pages of self.address(), which subclasses write once, in self.folder."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.browser = browser.Browser()
        cls.addClassCleanup(cls.browser.close)
        cls.write()

    def page(self, width=1280, part="", **kinds):
        page = self.browser.open(self.file.as_uri() + part, width, **kinds)
        if SHOTS:
            name = "-".join([type(self).__name__, str(width), *kinds.values(), part.strip("#")]).strip("-")
            page.screenshot(Path(SHOTS) / f"{name}.png")
        return page

    def quiet(self, page, requests):
        """Nothing ran, failed or came from elsewhere."""
        self.assertEqual(page.complaints, [])
        self.assertEqual(sorted(page.requests), sorted(requests))
        self.assertEqual(page.value("document.scripts.length + document.querySelectorAll('[onload], [onerror], "
                                    "[onclick], link, iframe, object, embed, b').length"), 0)

    def readable(self, **kinds):
        for text in self.page(**kinds).value(TEXTS):
            self.assertGreaterEqual(text["contrast"], 4.5, f"{kinds}: {text['text'][:60]}")


class Report(Opened):
    @classmethod
    def write(cls):
        cls.file, dataset = cls.folder / "report.html", cls.folder / "prompts.jsonl"
        dataset.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in HOSTILE))
        result = run([*mpirun(RANKS), PROGRAM, "bench", "throughput", *SMALL, "--height", 64, "--width", 64,
                      "--num-inference-steps", 4, "--dataset", dataset, "--num-prompts", 12, "--scenario", "server",
                      "--request-rate", ",".join(map(str, RATES)), "--replicas", 2, "--slo", "1s", "--json", "--report",
                      cls.file])
        assert result.returncode == 0, result.stderr
        cls.results = [json.loads(line) for line in result.stdout.splitlines()]
        cls.ids = {"throughput", "latency-over-load", "latency",
                   *(f"{name}-{i}" for name in ("requests", "timeline") for i in range(len(RATES)))}

    def test_it_is_whole_and_prompts_are_text(self):
        page = self.page()
        self.quiet(page, [self.file.as_uri()])
        self.assertEqual(page.value("document.images.length"), 0)
        pointed_at = page.value("[...document.querySelectorAll('rect title')].map(title => title.textContent)")
        for prompt in HOSTILE:
            self.assertTrue(any(text.endswith(prompt) for text in pointed_at), prompt)

    def test_it_fits_screens_of_any_width_and_its_text_can_be_read(self):
        for width in (1280, 720, 400):
            with self.subTest(width=width):
                page = self.page(width)
                page.value(TWO_COLUMNS_MORE)
                over = page.value(OVERFLOW)
                self.assertLessEqual(max(over if width == 1280 else over[:1]), 0)  # a wide table scrolls by itself
                charts = page.value(CHARTS)
                self.assertEqual(set(charts), self.ids)
                for name, chart in charts.items():
                    self.assertGreater(chart["box"]["width"], 0.85 * min(width, 960), name)
                    self.assertGreater(chart["box"]["height"], 50, name)
                    self.assertEqual(overlapping(chart["texts"]), [], name)
                    for part in (chart, *chart["texts"], *chart["bars"]):
                        self.assertGreaterEqual(part["box"]["left"], 0, name)
                        self.assertLessEqual(part["box"]["right"], width, name)
                    for text in chart["texts"]:
                        self.assertGreaterEqual(text["size"] * chart["scale"], 8.5, text["text"])

    def test_axes_are_even_and_say_what_they_are_of(self):
        for name, chart in self.page().value(CHARTS).items():
            axes = [axis(chart, "below", ("left", "right"))]
            if not chart["bars"]:
                axes.append([(number, -place) for number, place in axis(chart, "beside", ("top", "bottom"))])
            for marks in axes:
                self.assertGreaterEqual(len(marks), 3, name)
                self.assertEqual(marks[0][0], 0)
                (zero, first), (last, end) = marks[0], marks[-1]
                self.assertGreater(end, first)
                for number, place in marks:
                    self.assertAlmostEqual((place - first) / (end - first), (number - zero) / (last - zero), delta=0.01)
            titles = [text["text"] for text in chart["texts"] if not text["text"].replace(".", "", 1).isdigit()]
            self.assertEqual(len(titles), 2, name)
            self.assertRegex(" ".join(titles), "second", name)
            self.assertEqual(chart["caption"], chart["name"])

    def test_keys_name_what_is_drawn_in_its_colour(self):
        for scheme in ("light", "dark"):
            for name, chart in self.page(scheme=scheme).value(CHARTS).items():
                drawn = {line["name"]: line["colour"] for line in chart["lines"]}
                drawn |= {bar["kind"]: bar["colour"] for bar in chart["bars"]}
                self.assertEqual({key["text"]: key["colour"] for key in chart["keys"]}, drawn, name)
                self.assertEqual(len(set(drawn.values())), len(drawn), f"{name}: two of one colour")
                for part in (*chart["keys"], *chart["lines"]):
                    self.assertGreaterEqual(part["contrast"], 3, name)

    def test_the_distribution_goes_up_to_all(self):
        chart = self.page().value(CHARTS)["latency"]
        self.assertEqual([line["name"] for line in chart["lines"]], [f"{rate} a second" for rate in RATES])
        (_, nothing), *_, (most, all_of_them) = axis(chart, "beside", ("top", "bottom"))
        self.assertEqual(most, 1)
        for line in chart["lines"]:
            (first_x, first_y), *_ = line["points"]
            for (x, y), (next_x, next_y) in zip(line["points"], line["points"][1:]):
                self.assertGreaterEqual(next_x, x)
                self.assertLessEqual(next_y, y)
            self.assertAlmostEqual(first_y, nothing, delta=1)
            self.assertAlmostEqual(line["points"][-1][1], all_of_them, delta=1)
            self.assertEqual(len({round(y, 2) for _, y in line["points"]}), 13)

    def test_what_is_drawn_over_load_is_what_was_measured(self):
        charts = self.page().value(CHARTS)
        for name, keys in (("throughput", ["throughput_qps"]),
                           ("latency-over-load", ["latency_p50", "latency_p90", "latency_p99"])):
            chart = charts[name]
            (x0, left), *_, (x1, right) = axis(chart, "below", ("left", "right"))
            (y0, low), *_, (y1, high) = axis(chart, "beside", ("top", "bottom"))
            self.assertEqual(len(chart["dots"]), len(keys) * len(RATES))
            for line, key in zip(chart["lines"], keys):
                for (x, y), result in zip(line["points"], self.results):
                    self.assertAlmostEqual(x0 + (x - left) / (right - left) * (x1 - x0), result["request_rate"], delta=1)
                    self.assertAlmostEqual(y0 + (y - low) / (high - low) * (y1 - y0), result[key], delta=0.01 * y1)

    def test_every_rank_has_a_row_in_which_its_work_lies(self):
        charts = self.page().value(CHARTS)
        for number, result in enumerate(self.results):
            chart = charts[f"timeline-{number}"]
            rows = {int(text["text"]): text["box"] for text in chart["texts"] if text["kind"] == "beside"}
            self.assertEqual(sorted(rows), list(range(RANKS)))
            tops = [rows[rank]["top"] for rank in range(RANKS)]
            self.assertEqual(tops, sorted(set(tops)))
            for bar in chart["bars"]:
                self.assertLess(abs(bar["box"]["top"] + bar["box"]["bottom"] - rows[bar["row"]]["top"]
                                    - rows[bar["row"]]["bottom"]) / 2, 3)
                self.assertGreater(bar["box"]["height"], 10)
            worked = {rank["rank"] for rank in result["ranks"] if rank["busy_percent"] > 0}
            self.assertLessEqual(worked, {bar["row"] for bar in chart["bars"]})
            self.assertEqual({bar["kind"] for bar in chart["bars"]}, {"encode", "denoise", "decode"})

    def test_the_table_has_a_row_a_rate(self):
        head, *rows = self.page().value("[...document.querySelectorAll('#summary tr')].map("
                                        "row => [...row.cells].map(cell => cell.textContent))")
        self.assertEqual([row[0] for row in rows], [f"{rate} a second" for rate in RATES])
        for heading, key in (("requests a second", "throughput_qps"), ("latency p50, s", "latency_p50"),
                             ("p99, s", "latency_p99")):
            column = head.index(heading)
            for row, result in zip(rows, self.results):
                self.assertAlmostEqual(float(row[column]), result[key], delta=0.00051)
        self.assertNotIn("energy", " ".join(head))  # which CPUs do not tell

    def test_it_is_readable_in_light_in_dark_and_on_paper(self):
        for kinds in ({"scheme": "light"}, {"scheme": "dark"}, {"scheme": "dark", "media": "print"}):
            self.readable(**kinds)
        self.assertNotEqual(*(self.page(scheme=scheme).value("getComputedStyle(document.body).backgroundColor")
                              for scheme in ("light", "dark")))

    def test_a_sheet_of_paper_holds_its_width(self):
        page = self.page(718, media="print")  # A4 between the margins
        page.value(TWO_COLUMNS_MORE)
        self.assertLessEqual(max(page.value(OVERFLOW)), 0)
        for name, chart in page.value(CHARTS).items():
            self.assertLessEqual(chart["box"]["right"], 718, name)
            self.assertEqual(overlapping(chart["texts"]), [], name)
        printed = page.printed()
        if SHOTS:
            (Path(SHOTS) / "report.pdf").write_bytes(printed)
        pages = printed.count(b"/Type /Page\n")
        self.assertTrue(2 <= pages <= 9, pages)


class Gallery(Opened):
    PICTURES = 103  # a hundred are shown at once

    @classmethod
    def write(cls):
        cls.file, prompts = cls.folder / "pictures" / "index.html", cls.folder / "prompts.jsonl"
        cls.prompts = HOSTILE + [f"a red circle, {i}" for i in range(len(HOSTILE), cls.PICTURES)]
        lines = [{"prompt": prompt} for prompt in cls.prompts]
        prompts.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"prompt": "<i>bad", "height": -1}\n')
        result = run([PROGRAM, "generate", *SMALL, "--height", 32, "--width", 48, "--num-inference-steps", 1, "--prompts",
                      prompts, "--output-dir", cls.file.parent])
        assert result.returncode == 1, result.stderr  # one failed

    def files(self, first, end):
        return [path.as_uri() for path in sorted(self.file.parent.glob("*.png"))[first:end]]

    def shown(self, page):
        page.value("Promise.all([...document.images].filter(i => i.getClientRects().length).map(i => "
                   "{ i.loading = 'eager'; return i.decode(); })).then(() => 0)")
        return page.value("[...document.querySelectorAll('figure')].filter(f => f.getClientRects().length).map(f => {"
                          " const i = f.querySelector('img'); return {size: i && [i.naturalWidth, i.naturalHeight],"
                          " width: i && i.getBoundingClientRect().width, link: i && i.parentElement.href,"
                          " alt: i && i.alt, prompt: f.querySelector('figcaption').firstChild.data}; })")

    def test_pictures_load_and_prompts_are_text(self):
        page = self.page()
        figures = self.shown(page)
        self.assertEqual(len(figures), 100)
        self.assertEqual([figure["size"] for figure in figures], 100 * [[48, 32]])
        self.assertEqual([figure["link"] for figure in figures], self.files(0, 100))
        for text in ("prompt", "alt"):
            self.assertEqual([figure[text] for figure in figures], self.prompts[:100])
        for figure in figures:
            self.assertGreater(figure["width"], 200)
        self.quiet(page, [self.file.as_uri(), *self.files(0, 100)])
        self.assertEqual(page.value("document.images.length"), self.PICTURES)

    def test_the_second_part_holds_the_rest_and_what_failed(self):
        page = self.page(part="#part2")
        *drawn, failed = self.shown(page)
        self.assertEqual([(figure["prompt"], figure["size"]) for figure in drawn],
                         [(prompt, [48, 32]) for prompt in self.prompts[100:]])
        self.assertIsNone(failed["size"])
        self.assertIn("height: -1", page.value("document.querySelector('.failed').textContent"))
        self.quiet(page, [self.file.as_uri(), *self.files(100, None)])

    def test_it_fits_screens_of_any_width(self):
        for width in (1280, 400):
            page = self.page(width)
            page.value("{ const nav = document.querySelector('nav');"  # of six thousand pictures
                       " for (let i = 3; i < 60; ++i) nav.append(nav.firstChild.cloneNode(true)); }")
            self.assertLessEqual(page.value(OVERFLOW)[0], 0, width)
            for figure in self.shown(page):
                self.assertLessEqual(figure["width"], width - 16)

    def test_it_is_readable_on_screens_and_on_paper(self):
        for kinds in ({"scheme": "light"}, {"scheme": "dark"}, {"scheme": "dark", "media": "print"}):
            self.readable(part="#part2", **kinds)
        self.assertEqual(len(self.shown(self.page(media="print"))), self.PICTURES + 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
