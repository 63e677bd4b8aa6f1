"""What is read from nvidia-smi: of text as it prints it, and of a stand-in on PATH."""

import os
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from benchmarks import cards
from benchmarks.child import Wrong

# Answers as nvidia-smi does for two cards; STAND_IN_OLD: a driver that knows the reasons by their older name alone.
STAND_IN = r"""#!/bin/bash
fields=${1#--query-gpu=}
if [[ -n ${STAND_IN_OLD-} && $fields == *clocks_event_reasons* ]]; then
  echo 'Field "clocks_event_reasons.active" is not a valid field to query.'; exit 2
fi
ids="0 1"; [[ ${3-} == -i ]] && ids=${4//,/ }
for id in $ids; do
  case $fields in
    index,*) echo "$id, NVIDIA H100 80GB HBM3, 580.159.04, 81559, 700.00, 1980" ;;
    *) echo "1755, $((600 + id)).50, 6$id, 20000, 100, 0x0000000000000024" ;;
  esac
done
"""


def row(**fields):
    return {"clocks.sm": 1980.0, "power.draw": 100.0, "temperature.gpu": 40.0, "memory.used": 1000.0,
            "utilization.gpu": 0.0, "reasons": 1, **fields}


class Text(unittest.TestCase):
    def test_values(self):
        fields = ("clocks.sm", "driver_version", "power.draw", "reasons")
        [parsed] = cards.parse_rows("1980, 580.10, [N/A], 0x0000000000000004\n\n", fields)
        self.assertEqual(parsed, {"clocks.sm": 1980.0, "driver_version": "580.10", "power.draw": None, "reasons": 4})

    def test_what_is_no_row_is_said(self):
        with self.assertRaisesRegex(Wrong, "nvidia-smi says: No devices were found"):
            cards.parse_rows("No devices were found\n", ("index", "name"))

    def test_reasons(self):
        self.assertEqual(cards.parse_reasons(0x64), ["power cap", "thermal slowdown", "hardware thermal slowdown"])
        self.assertEqual(cards.parse_reasons(0), [])


class Summary(unittest.TestCase):
    def test_of_the_moments_between(self):
        samples = [(1, [row(**{"memory.used": 4096.0, "utilization.gpu": 100.0})]),
                   (2, [row(**{"clocks.sm": 1700.0, "power.draw": 690.0, "reasons": 4}), row(**{"clocks.sm": 1800.0})]),
                   (3, [row(reasons=0x20)])]
        found = cards.summary(samples, 1.5, 2.5)
        self.assertEqual((found["samples"], found["sm_mhz"], found["sm_mhz_least"], found["power_w"]), (2, 1750, 1700, 690))
        self.assertEqual((found["reasons"], found["spoilt"]), (["power cap"], False))
        self.assertEqual(found["card_memory_bytes"], 4096 * cards.MIB)  # also while weights load
        self.assertTrue(cards.summary(samples, 2.5, 3.5)["spoilt"])

    def test_of_busy_moments_where_none_are_known(self):
        samples = [(1, [row()]), (2, [row(**{"clocks.sm": 1500.0, "utilization.gpu": 99.0})])]
        self.assertEqual(cards.summary(samples)["sm_mhz"], 1500)
        self.assertEqual(cards.summary(samples[:1])["sm_mhz"], 1980)

    def test_without_samples_or_values(self):
        self.assertEqual(cards.summary([]), {})
        found = cards.summary([(1, [row(**{"power.draw": None, "reasons": None})])])
        self.assertEqual((found["power_w"], found["reasons"], found["spoilt"]), (None, [], False))


class Program(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        script = self.folder / "nvidia-smi"
        script.write_text(STAND_IN)
        script.chmod(0o755)
        self.environ({"PATH": f"{self.folder}:{os.environ['PATH']}"}, without=("CUDA_VISIBLE_DEVICES", "STAND_IN_OLD"))

    def environ(self, more, without=()):
        patch = mock.patch.dict(os.environ, more)
        patch.start()
        self.addCleanup(patch.stop)
        for name in without:
            os.environ.pop(name, None)

    def test_the_first_cards_that_may_be_seen(self):
        self.assertEqual(cards.choose(1), ["0"])
        self.environ({"CUDA_VISIBLE_DEVICES": "GPU-b,GPU-a"})
        self.assertEqual(cards.choose(2), ["GPU-b", "GPU-a"])
        with self.assertRaisesRegex(Wrong, "2 cards, not 3"):
            cards.choose(3)

    def test_which_they_are(self):
        described, driver = cards.describe(["0", "1"])
        self.assertEqual(driver, "580.159.04")
        self.assertEqual(described[1], {"name": "NVIDIA H100 80GB HBM3", "memory_bytes": 81559 * cards.MIB,
                                        "power_limit_w": 700.0, "max_sm_mhz": 1980.0})

    def watched(self):
        with cards.Watch(["0", "1"], 0.01) as watch:
            until = time.monotonic() + 20
            while not watch.samples and time.monotonic() < until:
                time.sleep(0.01)
        return cards.summary(watch.samples)

    def test_watching(self):
        for more in ({}, {"STAND_IN_OLD": "1"}):
            with self.subTest(**more), mock.patch.dict(os.environ, more):
                found = self.watched()
                self.assertEqual((found["power_w"], found["temperature_c"]), (601.5, 61))
                self.assertEqual((found["reasons"], found["spoilt"]), (["power cap", "thermal slowdown"], True))

    def test_none(self):
        self.environ({"PATH": str(self.folder / "nowhere")})
        with self.assertRaisesRegex(Wrong, "no nvidia-smi"):
            cards.choose(1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
