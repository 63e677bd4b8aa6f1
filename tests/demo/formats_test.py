"""Quantized, the demo draws the pictures that it draws without."""

import math
import unittest

from captions import held_out_captions
from formats import measure

PRODUCT_ERRORS = {"int8": 0.015, "int8-weights": 0.012, "int8-outliers": 0.015, "fp8": 0.04, "fp8-weights": 0.04,
                  "nf4": 0.1, "fp4": 0.13,  # as in tests/model/linear
                  "none+attention": 0.045}  # as in tests/model/kernels
SSIM = {"int8": 0.99, "int8-weights": 0.99, "int8-outliers": 0.99, "fp8": 0.98, "fp8-weights": 0.98, "nf4": 0.95, "fp4": 0.95,
        "none+attention": 0.98}
POINTS = {"int8": 0, "int8-weights": 0, "int8-outliers": 0, "fp8": 1, "fp8-weights": 1, "nf4": 3, "fp4": 3,
          "none+attention": 1}  # of 100 that may be lost


class Formats(unittest.TestCase):
    def test_little_is_lost(self):
        captions = held_out_captions(3, 66)
        results = dict(measure(captions, list(PRODUCT_ERRORS), "--device", "cpu", "--dtype", "fp32", "--threads", "1"))
        none = results.pop("none")
        for name, result in results.items():
            with self.subTest(name):
                self.assertGreaterEqual(result["right"], none["right"] - POINTS[name] * len(captions) / 100)
                self.assertGreaterEqual(result["psnr"], -20 * math.log10(PRODUCT_ERRORS[name]))
                self.assertGreaterEqual(result["ssim"], SSIM[name])
                self.assertLess(result["psnr"], 90, "nothing was quantized")


if __name__ == "__main__":
    unittest.main()
