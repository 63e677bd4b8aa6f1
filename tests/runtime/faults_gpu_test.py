"""The same on cards: with two of them the ranks that die or hang are in the middle of NCCL's collectives."""

import unittest

from runtime import cards

cards.require()

from runtime import faults_test


class FaultsOnCards(faults_test.Faults):
    device = "cuda"
    steps = 300  # a picture is being drawn at any moment


if __name__ == "__main__":
    unittest.main(verbosity=2)
