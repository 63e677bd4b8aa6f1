"""The same on cards: with two of them the ranks that die or hang are in the middle of NCCL's collectives."""

import sys
import unittest

import torch
from runtime import faults_test

if not torch.cuda.is_available():
    print("skipped: no CUDA device")
    sys.exit(77)


class FaultsOnCards(faults_test.Faults):
    device = "cuda"


if __name__ == "__main__":
    unittest.main(verbosity=2)
