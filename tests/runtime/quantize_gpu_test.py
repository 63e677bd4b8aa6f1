"""flux-dist quantize on a card: the folder that a CPU writes, byte for byte."""

import unittest

from runtime import cards

cards.require()

import torch
from runtime.quantize_test import KINDS, OfADenseModel
from safetensors.torch import load_file


class QuantizeOnACard(OfADenseModel):
    def made(self, kind, device, *flags):
        """Files by component."""
        result = self.quantize(f"{kind}-{device}", *flags, device=device)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [next((self.folder / f"{kind}-{device}" / component).glob("*.safetensors"))
                for component in ("transformer", "text_encoder_2")]

    def test_as_on_a_cpu(self):
        for kind, flags in KINDS.items():
            for ours, expected in zip(self.made(kind, "cuda", *flags), self.made(kind, "cpu", *flags), strict=True):
                with self.subTest(kind, file=ours.name, component=ours.parent.name):
                    if kind == "int8-outliers":  # whose codes bitsandbytes rounds otherwise on a card, by one at most
                        self.check_near(load_file(ours), load_file(expected))
                    else:
                        self.assertEqual(ours.read_bytes(), expected.read_bytes())

    def check_near(self, ours, expected):
        self.assertEqual(set(ours), set(expected))
        for name, values in expected.items():
            codes = values.dtype == torch.int8
            torch.testing.assert_close(ours[name].int() if codes else ours[name], values.int() if codes else values,
                                       atol=1 if codes else 0, rtol=0 if codes else 2e-7)


if __name__ == "__main__":
    unittest.main()
