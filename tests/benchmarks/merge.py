"""One table of several outputs of beside.py, measured wherever they were: each beside the floor of its own session.

  python tests/benchmarks/merge.py compiled.json ulysses.json
  python tests/benchmarks/merge.py *.json -o csv > steps.csv
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.table import WRITERS, BadOutput, by_floor, rows_of  # noqa: E402


def read_rows(path):
    try:
        return rows_of(json.loads(Path(path).read_text()))
    except json.JSONDecodeError as error:
        raise BadOutput(f"no JSON: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadOutput(getattr(error, "strerror", None) or "no text") from None


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE", help="what beside.py -o wrote")
    parser.add_argument("-o", "--output", choices=WRITERS, default="md", help="kind of table [md]")
    arguments = parser.parse_args(words)
    rows = []
    for path in arguments.files:
        try:
            rows += read_rows(path)
        except BadOutput as error:
            print(f"merge.py: {path}: {error}", file=sys.stderr)
            return 2
    print(WRITERS[arguments.output](by_floor(rows)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
