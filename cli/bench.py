"""`evenframe bench`: the figures of the README, measured again."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from importlib import import_module
from inspect import signature
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from ..pipelines.common.errors import EvenframeError
from . import console

OPTIONS: dict[str, dict[str, Any]] = {
    "clips": {"type": int, "metavar": "N", "help": "clips to edit"},
    "steps": {"type": int, "metavar": "N", "help": "of an inversion and of an edit"},
    "scale": {"type": float, "metavar": "SHARE", "help": "of the clips or pictures to make"},
    "guidance": {"type": float, "metavar": "SCALE", "help": "of the drawing"},
    "seed": {"type": int, "metavar": "N", "help": "of other clips than the usual ones"},
    "model": {"type": Path, "metavar": "DIR", "help": "another model than the built-in one"},
    "run": {"type": Path, "metavar": "DIR", "help": "a training to measure, not the weights"},
    "sheet": {"type": Path, "metavar": "FILE", "help": "a picture of the clips to write"},
    "sheets": {"type": Path, "metavar": "DIR", "help": "a folder for contact sheets"},
    "sweep": {"action": "store_true", "help": "the strengths instead"},
    "plot": {"type": Path, "metavar": "FILE", "help": "a picture of the shares to write"},
    "seconds": {"type": int, "metavar": "N", "help": "to keep to; parts are left out"},
    "keep": {"type": Path, "metavar": "DIR", "help": "where to keep what is done, to go on with"},
    "table": {"type": Path, "metavar": "FILE", "help": "write prompts for real models instead"},
    "list": {"choices": ("develop", "held_out"), "help": "phrases that are read wrongly instead"},
}
"""What a benchmark takes if its `run` has a parameter of that name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="one of the benchmarks; else all but gpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    some = parser.add_argument_group("options that some of the benchmarks take")
    for name, settings in OPTIONS.items():
        some.add_argument(f"--{name}", default=argparse.SUPPRESS, **settings)


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
    given = {name: value for name, value in vars(options).items() if name in OPTIONS}
    whole = [name for name in names if not {"PART_OF", "BY_NAME"} & vars(_module(name)).keys()]
    chosen = [options.name] if options.name else whole
    for name in chosen:
        require_options(name, given)
    figures: dict[str, float | int | str] = {}
    for name in chosen:
        module = _module(name)
        measured = module.run(**given)
        limits = (getattr(module, limit, {}) for limit in ("TARGETS", "FLOORS"))
        if measured:
            print(f"{name}\n{console.table(measured, *limits)}\n", flush=True)
        figures |= measured
    if options.json:
        text = json.dumps(figures, indent=2) + "\n"
        make_folder(options.json.parent)
        replace(options.json, lambda path: path.write_text(text, encoding="utf-8"))
        print(f"written to {options.json}")
    return 0


def benchmarks() -> list[str]:
    """Files of `benchmarks/` with a function `run() -> {figure: number}`.

    It may take some of `OPTIONS`. A file may have `TARGETS`, the most that some of its figures may
    be, `FLOORS`, the least, `PART_OF`, the benchmark that runs it, too, and `BY_NAME` where it is
    run when it is named alone.
    """
    folder = Path(__file__).parents[1] / "benchmarks"  # a release for ComfyUI leaves it out
    found = (module.name for module in iter_modules([str(folder)]))
    return sorted(name for name in found if hasattr(_module(name), "run"))


def require_options(name: str, given: Iterable[str]) -> None:
    """Raise EvenframeError for an option that this benchmark does not have."""
    takes = [option for option in signature(_module(name).run).parameters if option in OPTIONS]
    for option in given:
        if option not in takes:
            those = " and ".join(f"--{each}" for each in takes) or "no options but --json"
            raise EvenframeError(f"The benchmark {name!r} has no --{option}: it takes {those}.")


def _module(name: str) -> Any:
    return import_module(f"..benchmarks.{name}", __package__)
