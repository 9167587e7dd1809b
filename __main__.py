"""The command line: `evenframe`, or `python -m evenframe`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .cli import batch, bench, compare, console, demo, evaluate, models, only_there, report, run
from .pipelines.common.errors import EvenframeError, one_line

COMMANDS = {
    "demo": (demo, "edit the built-in clip and show what came out"),
    "run": (run, "run a workflow in ComfyUI's API format"),
    "batch": (batch, "run a workflow for each row of a table, on one machine or many"),
    "report": (report, "tell what came of batches, with intervals and tests"),
    "only-there": (only_there, "keep an editor's result only in regions of the source"),
    "evaluate": (evaluate, "measure an edit by the published formulas"),
    "compare": (compare, "edit the clips of a table by several methods and compare"),
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
    """Run one command.

    Exit code 0, 1 for an error, 2 for wrong usage; 128 and a signal's number where one ended it:
    130 for Ctrl-C, 143 for SIGTERM, 141 where nobody reads the output any more.
    """
    console.prepare()
    options, heard = argparse.Namespace(), list[int]()
    try:
        with _signals_interrupt(heard):
            parser().parse_args(arguments, options)
            code = COMMANDS[options.command][0].run(options)
            print(end="", flush=True)  # what `| head` does not read is met here, not at the exit
            return code
    except KeyboardInterrupt:
        console.tell("evenframe: stopped")
        return 128 + (heard or [signal.SIGINT])[0]
    except BrokenPipeError:
        console.drop_output()
        return 128 + getattr(signal, "SIGPIPE", 13)
    except Exception as error:
        if getattr(options, "debug", False):
            raise
        console.tell(f"evenframe: {_line(error)}")
        return 1


@contextmanager
def _signals_interrupt(heard: list[int]) -> Iterator[None]:
    """Within the block, what asks the process to end does it as Ctrl-C does: nothing stays half.

    heard: gets its number. The exception cannot carry it, since libraries raise their own instead.
    """

    def end(number: int, _: object) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    numbers = [getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")]
    ours = []
    if threading.current_thread() is threading.main_thread():
        # What was set otherwise stays, such as by nohup.
        ours = [n for n in numbers if n is not None and signal.getsignal(n) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _line(error: Exception) -> str:
    if isinstance(error, EvenframeError):
        return str(error)
    text = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {one_line(text)} (--debug shows where)"


if __name__ == "__main__":
    sys.exit(main())
