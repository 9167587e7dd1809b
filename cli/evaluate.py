"""`evenframe evaluate SOURCE RESULT`: every published measure of an edit, each with its formula.

SOURCE and RESULT are videos, or folders of pictures. What cannot be measured says why. Models that
judge come from a folder of yours; nothing is downloaded, and nothing leaves this machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import console

if TYPE_CHECKING:
    from collections.abc import Mapping

FRAMES = 64
JUDGES = (
    "a folder with clip/, pickscore/, dino/, detector/, vqa/ as transformers saves models, and "
    "alexnet.safetensors; else what EVENFRAME_MODELS has under judges/"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the clip before the edit")
    parser.add_argument("result", type=Path, metavar="RESULT", help="the clip after it")
    parser.add_argument("--source-prompt", default="", metavar="TEXT", help="what SOURCE shows")
    parser.add_argument("--prompt", default="", metavar="TEXT", help="what RESULT should show")
    parser.add_argument(
        "--mask",
        type=Path,
        metavar="FILE",
        help="where the edit was meant to be: a picture or video, white there, or regions as JSON",
    )
    parser.add_argument("--judges", type=Path, metavar="DIR", help=JUDGES)
    parser.add_argument(
        "--questions", type=Path, metavar="FILE", help="with answers, for TIFA and FiVE-Acc, JSON"
    )
    parser.add_argument(
        "--frames", type=int, default=FRAMES, metavar="N", help=f"at most so many; {FRAMES}, 0 all"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="a new file for the rows")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="the same as a table")


def run(options: argparse.Namespace) -> int:
    """Check everything, measure, print a row for each measure."""
    from ..nodes.host import host
    from ..pipelines.common.checks import require_whole
    from ..pipelines.common.whole_file import write_new
    from ..pipelines.measure.asked import Asked
    from ..pipelines.measure.evaluate import TECHNIQUES, as_csv, as_json, as_text, evaluate
    from ..pipelines.measure.reading import read_clips

    require_whole("--frames", options.frames, 0)
    for path in filter(None, (options.json, options.csv)):
        require_new_file(path)
    judging = judging_by(options)
    clips = read_clips(
        options.source, options.result, options.mask, options.frames, on_note=console.tell
    )
    asked = Asked(
        clips.source,
        clips.result,
        options.source_prompt,
        options.prompt,
        clips.mask,
        device=host.device(),
        **judging,
    )
    report = console.progress()
    rows = evaluate(asked, on_technique=lambda done: report("Measuring", done, len(TECHNIQUES)))
    print(as_text(rows))
    for path, told in ((options.json, as_json), (options.csv, as_csv)):
        if path is not None:
            text = told(rows)
            write_new(path, lambda at, text=text: at.write_text(text, encoding="utf-8"))
            print(path)
    return 0


def judging_by(options: argparse.Namespace) -> Mapping[str, Any]:
    """The judges and questions that are given, checked."""
    from ..nodes.host import host
    from ..pipelines.measure.judges import require_judges
    from ..pipelines.measure.questions import read_questions

    judges = options.judges or host.judges_dir()
    if judges is not None:
        require_judges(judges)
    given = getattr(options, "questions", None)
    return {"judges": judges, "questions": read_questions(given) if given else ()}


def require_new_file(path: Path) -> None:
    """Raise EvenframeError where there is a file already, or where none can be written."""
    from ..nodes.host.folders import check_new
    from ..pipelines.common.errors import EvenframeError

    if path.exists():
        raise EvenframeError(f"'{path}' is there already: give another name.")
    if not path.parent.is_dir():
        raise EvenframeError(f"There is no folder '{path.parent}': make it, or give another.")
    check_new(path.parent, path.stem, path.suffix)
