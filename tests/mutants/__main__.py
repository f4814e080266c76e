"""Breaks copies of the code on purpose, break by break, and sees a test fail for each.

A break that no test sees (a mutant that survives) says that the tests do not hold the rule
that it names.
"""

import argparse
import sys
from fnmatch import fnmatch

from mutants.listed import ROOT, mutants
from mutants.trying import all_caught
from support.durations import Durations


def main() -> int:
    """Try the mutants that were asked for. Returns 1 if one was not caught, else 0."""
    parser = argparse.ArgumentParser(prog="python -m mutants", description=__doc__)
    parser.add_argument("name", nargs="?", default="*", help="only these, for example 'near-*'")
    parser.add_argument(
        "--side-by-side", type=int, default=2, metavar="N", help="mutants at a time (default: 2)"
    )
    arguments = parser.parse_args()
    chosen = [each for each in mutants() if fnmatch(each.name, arguments.name)]
    if not chosen:
        parser.error("there is no such mutant")
    durations = Durations.of("mutants")
    side_by_side: int = arguments.side_by_side
    return int(not all_caught(ROOT, chosen, side_by_side=side_by_side, durations=durations))


if __name__ == "__main__":
    sys.exit(main())
