"""Quantized, the demo draws the pictures that it draws without."""

import math
import unittest

from captions import held_out_captions
from formats import measure

PRODUCT_ERROR = 0.015  # of int8, as tests/model/linear/int8_test.cc holds it to


class Formats(unittest.TestCase):
    def test_little_is_lost(self):
        captions = held_out_captions(10, 66)
        results = measure(captions, ["int8", "int8-weights"], "--device", "cpu", "--dtype", "fp32", "--threads", "1")
        none = results.pop("none")
        for name, result in results.items():
            with self.subTest(name):
                self.assertGreaterEqual(result["right"], none["right"])
                self.assertGreaterEqual(result["psnr"], -20 * math.log10(PRODUCT_ERROR))
                self.assertGreaterEqual(result["ssim"], 0.99)
                self.assertLess(result["psnr"], 90, "nothing was quantized")


if __name__ == "__main__":
    unittest.main()
