"""`evenframe bench`: the figures of the README, measured again."""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from ..pipelines.common.errors import EvenframeError
from . import console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="one of the benchmarks; all where none is named")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")


def run(options: argparse.Namespace) -> int:
    """Run one or all benchmarks, print their table, write one flat object of key and number."""
    from ..nodes.host.folders import make_folder
    from ..pipelines.common.whole_file import replace

    names = benchmarks()
    if not names:
        raise EvenframeError(
            "There are no benchmarks here: take a clone of the repository, a release for ComfyUI "
            "leaves them out."
        )
    if options.name is not None and options.name not in names:
        raise EvenframeError(f"No benchmark {options.name!r}: there are {', '.join(names)}.")
    figures: dict[str, float | int | str] = {}
    for name in [options.name] if options.name else names:
        module = _module(name)
        measured = module.run()
        limits = (getattr(module, limit, {}) for limit in ("TARGETS", "FLOORS"))
        table = console.table(measured, *limits)
        print(f"{name}\n{table}\n", flush=True)
        figures |= measured
    if options.json:
        text = json.dumps(figures, indent=2) + "\n"
        make_folder(options.json.parent)
        replace(options.json, lambda path: path.write_text(text, encoding="utf-8"))
        print(f"written to {options.json}")
    return 0


def benchmarks() -> list[str]:
    """Files of `benchmarks/` with a function `run() -> {figure: number}`.

    One may have `TARGETS`, the most that some of its figures may be, and `FLOORS`, the least.
    """
    folder = Path(__file__).parents[1] / "benchmarks"  # a release for ComfyUI leaves it out
    found = (module.name for module in iter_modules([str(folder)]))
    return sorted(name for name in found if hasattr(_module(name), "run"))


def _module(name: str):
    return import_module(f"..benchmarks.{name}", __package__)
