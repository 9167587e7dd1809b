"""The command line: `evenframe`, or `python -m evenframe`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .cli import bench, demo, models, run
from .pipelines.errors import EvenframeError

COMMANDS = {
    "demo": (demo, "edit the built-in clip and show what came out"),
    "run": (run, "run a workflow in ComfyUI's API format"),
    "models": (models, "list the models that workflows can name"),
    "bench": (bench, "measure the figures again"),
}


def parser() -> argparse.ArgumentParser:
    """The arguments of every command."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show where errors arose"
    )
    top = argparse.ArgumentParser(
        prog="evenframe",
        description="Edit videos by text, without training.",
        parents=[common],
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    for name, (module, text) in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=module.__doc__, parents=[common])
        module.add_arguments(sub)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit code 0, 1 for an error, 2 for wrong usage, 130 when stopped."""
    options = parser().parse_args(arguments)
    command, _ = COMMANDS[options.command]
    try:
        return command.run(options)
    except KeyboardInterrupt:
        print("evenframe: stopped", file=sys.stderr)
        return 130
    except Exception as error:
        if getattr(options, "debug", False):
            raise
        print(f"evenframe: {_line(error)}", file=sys.stderr)
        return 1


def _line(error: Exception) -> str:
    text = (str(error).splitlines() or [""])[0]
    if isinstance(error, EvenframeError):
        return text
    return f"{type(error).__name__}: {text} (--debug shows where)"


if __name__ == "__main__":
    sys.exit(main())
