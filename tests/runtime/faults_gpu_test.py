"""The same on cards: with two of them the ranks that die or hang are in the middle of gathers that are replayed."""

import unittest

from runtime import cards

cards.require()

from runtime import faults_test


class FaultsOnCards(faults_test.Faults):
    device = "cuda"
    steps, side = 300, 512  # some picture is always being drawn, and copy engines gather its keys and values


if __name__ == "__main__":
    unittest.main(verbosity=2)
