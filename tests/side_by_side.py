"""Tests that spend their time waiting, two at once."""

import concurrent.futures
import os
import unittest


def alone(test):
    """Marks a test that races somebody else's clock, which a busy machine would lose."""
    test.alone = True
    return test


class Kept(unittest.TestResult):
    """What became of a test, to be told to another result on its thread."""

    def __init__(self, case):
        super().__init__()
        self.case = case
        self.told = []

    def run(self):
        self.case.run(self)
        return self

    def addSuccess(self, *what):
        self.told.append(("addSuccess", what))

    def addFailure(self, *what):
        self.told.append(("addFailure", what))

    def addError(self, *what):
        self.told.append(("addError", what))

    def addSkip(self, *what):
        self.told.append(("addSkip", what))

    def addSubTest(self, *what):
        self.told.append(("addSubTest", what))

    def tell(self, result):
        result.startTest(self.case)
        for name, what in self.told:
            getattr(result, name)(*what)
        result.stopTest(self.case)


class SideBySide(unittest.TestSuite):
    """Two at once, then those that are to be alone; FLUX_ALONE=no or yes: only the ones or the others. A module has it by
    `def load_tests(loader, tests, pattern): return SideBySide(tests)`."""

    def cases(self, suite):
        for test in suite:
            if isinstance(test, unittest.TestSuite):
                yield from self.cases(test)
            else:
                yield test

    def run(self, result, debug=False):
        wanted = os.environ.get("FLUX_ALONE")
        by_themselves, others = [], []
        for case in self.cases(self):
            by_itself = getattr(getattr(case, case._testMethodName), "alone", False)
            if wanted in (None, "yes" if by_itself else "no"):
                (by_themselves if by_itself else others).append(case)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for kept in pool.map(Kept.run, map(Kept, others)):
                kept.tell(result)
        for case in by_themselves:
            case.run(result)
        return result
