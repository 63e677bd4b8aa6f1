"""unittest.main of tests that mostly wait: some at the same time."""

import concurrent.futures
import unittest

WIDTH = 2


class _AtOnce(unittest.TestSuite):
    def run(self, result, debug=False):
        with concurrent.futures.ThreadPoolExecutor(WIDTH) as pool:
            for of_one in pool.map(lambda test: test.run(), self._flat()):
                result.testsRun += of_one.testsRun
                for kind in ("failures", "errors", "skipped"):
                    getattr(result, kind).extend(getattr(of_one, kind))
        return result

    def _flat(self):
        for test in self:
            yield from test._flat() if isinstance(test, _AtOnce) else [test]


def main():
    loader = unittest.TestLoader()
    loader.suiteClass = _AtOnce
    unittest.main(testLoader=loader)
