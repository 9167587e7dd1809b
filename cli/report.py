"""`evenframe report DIR...`: what came of batches, with intervals, and tests of methods."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..pipelines.common.errors import one_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR", help="of a batch")
    parser.add_argument(
        "--by", default="", metavar="COLUMN", help="whose cells are methods; else each DIR is one"
    )


def run(options: argparse.Namespace) -> int:
    """Rebuild the pages of the batches, print the table."""
    from ..batch import report, results
    from ..batch.store import Store

    found = report.methods(options.folders, options.by)
    for folder in options.folders:
        table, page, _ = results.rebuild(Store(folder))
        print(f"{table}\n{page}")
    for line in report.table(found):
        print(one_line(line))
    return 0
