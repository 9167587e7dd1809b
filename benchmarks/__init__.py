"""The figures, each by one command: `evenframe bench NAME`."""

import sys
from pathlib import Path


def main(file: str) -> None:
    """`python -m evenframe.benchmarks.NAME ...`: the same as `evenframe bench NAME ...`."""
    from ..__main__ import main as command

    sys.exit(command(["bench", Path(file).stem, *sys.argv[1:]]))
