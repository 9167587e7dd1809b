"""`evenframe demo`: edit the built-in clip with the built-in model."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", type=Path, default=Path("output/demo"), metavar="DIR", help="where results go"
    )


def run(options: argparse.Namespace) -> int:
    raise NotImplementedError
