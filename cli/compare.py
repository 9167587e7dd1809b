"""`evenframe compare TABLE`: methods side by side on the clips of a table, in one table.

TABLE is a CSV file, or JSON lines, with the columns clip, source and target, and as they are needed
words, new_words, mask, attribute, kind, video, edit and others (see docs/methods.md). What is done
is kept: run the command again, and it goes on with what is missing, or has changed in the table.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import console
from .evaluate import JUDGES, judging_by

if TYPE_CHECKING:
    from torch import Tensor

    from ..pipelines.comparing.editing import Shared
    from ..pipelines.comparing.methods import Method
    from ..pipelines.comparing.results import Results
    from ..pipelines.comparing.row import Row
    from ..pipelines.models.model import Model
    from ..pipelines.video import Choice, Fitting
    from .recipes import Recipe

USUAL = "plain,fatezero,reatco,videograin,tokenflow,bridge,fame"
SHEET_SIDE = 192


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", type=Path, metavar="TABLE", help="a CSV file, a row for each edit")
    parser.add_argument(
        "--methods",
        default=USUAL,
        metavar="NAMES",
        help=f"with commas between them, or recipes by their files; the first is what the others "
        f"are compared with ({USUAL})",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="a folder of the comparison's own"
    )
    parser.add_argument("--model", default="miniature", metavar="NAME", help="or a path")
    parser.add_argument("--frames", type=int, default=16, metavar="N", help="of each clip (16)")
    parser.add_argument("--max-side", type=int, default=0, metavar="PIXELS", help="the model's own")
    parser.add_argument("--steps", type=int, default=50, metavar="N", help="of each walk (50)")
    parser.add_argument("--guidance", type=float, default=7.5, metavar="SCALE", help="of edits")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what draws noise")
    parser.add_argument("--judges", type=Path, metavar="DIR", help=JUDGES)


@dataclass
class Work:
    """A comparison under way. failed: what came to no result, and why."""

    model: Model
    shared: Shared
    frames: int
    max_side: int
    judging: Mapping[str, Any]
    results: Results
    failed: list[str] = field(default_factory=list)


def run(options: argparse.Namespace) -> int:
    """Check the whole table, do what is missing, write the tables and the sheet.

    Exit code 1 where an edit came to no result; the others are kept.
    """
    from ..pipelines.comparing.results import Results, require_free_names
    from .clips_table import read_table

    rows, methods = read_table(options.table), _methods(options.methods)
    require_free_names(list(methods))
    todo = list(_plan(rows, methods))
    work = _begin(options, Results(options.output))
    for number, (name, method, row) in enumerate(todo, start=1):
        if work.results.measured(name, row, _made_of(method, row)) is None:
            console.tell(f"[{number}/{len(todo)}] {name}: {row.video}, {row.edit}")
            _do(work, name, method, row)
    for path in _write(work.results, todo, rows, methods):
        print(path)
    for line in work.failed:
        console.tell(f"no result: {line}")
    return int(bool(work.failed))


def _methods(names: str) -> dict[str, Method | Recipe]:
    """By the names of their folders."""
    from ..pipelines.common.errors import EvenframeError
    from ..pipelines.comparing.methods import chosen
    from .recipes import read_recipe

    found: dict[str, Method | Recipe] = {}
    for name in filter(None, map(str.strip, names.split(","))):
        recipe = name.endswith(".json")
        more = {Path(name).stem: read_recipe(Path(name))} if recipe else chosen(name)
        if twice := more.keys() & found.keys():
            raise EvenframeError(f"Two methods are called '{twice.pop()}': rename a recipe's file.")
        found |= more
    return found or dict(chosen(names))


def _plan(
    rows: list[Row], methods: Mapping[str, Method | Recipe]
) -> Iterator[tuple[str, Method | Recipe, Row]]:
    """What is to be done; what cannot be is told now, with what the table lacks."""
    from ..pipelines.comparing.methods import Method, require_kind

    for row in rows:
        require_kind(row.kind, f"line {row.number}")
        for name, method in methods.items():
            lacks = method.lacks(row) if isinstance(method, Method) else ""
            if lacks:
                console.tell(f"line {row.number}: {name} is left out, it needs {lacks}")
            else:
                yield name, method, row


def _made_of(method: Method | Recipe, row: Row) -> str:
    from ..pipelines.comparing.methods import Method

    return row.made_of(None if isinstance(method, Method) else method.workflow.as_prompt())


def _begin(options: argparse.Namespace, results: Results) -> Work:
    from ..nodes.host import host
    from ..pipelines.common.code_hash import code_hash
    from ..pipelines.comparing.editing import Shared
    from ..pipelines.measure.judges import told as judges_told
    from ..pipelines.models.families import load

    judging = judging_by(options)
    shared = Shared(options.steps, options.guidance, seed=options.seed)
    shared.check()
    how = {"device": host.device(), "dtype": host.dtype()}
    model = load(options.model, **how)
    side = options.max_side or model.native_size
    work = Work(model, shared, options.frames, side, judging, results)
    _reading(work)
    _try_judges(judging)
    told = {"model": model.name, "fingerprint": model.fingerprint, **asdict(shared)}
    told |= {"code": code_hash(), **{name: str(value) for name, value in how.items()}}
    told["judges"] = judges_told(judging["judges"]) if judging["judges"] else {}
    results.begin(told | {"frames": options.frames, "max_side": side})
    return work


def _try_judges(judging: Mapping[str, Any]) -> None:
    """Ask every judge about two grey frames: one that cannot be asked is told before the work."""
    import torch

    from ..nodes.host import host
    from ..pipelines.measure.asked import Asked
    from ..pipelines.measure.evaluate import evaluate

    if judging["judges"]:
        grey, said = torch.full((2, 64, 64, 3), 0.5), "two cats left of a dog"
        question = {"question": "Is it a cat?", "answer": "no", "choices": ["yes", "no"]}
        mask = torch.zeros(2, 64, 64)
        mask[:, :32] = 1
        evaluate(Asked(grey, grey, said, said, mask, judging["judges"], (question,), host.device()))


def _do(work: Work, name: str, method: Method | Recipe, row: Row) -> None:
    """Edit, measure, keep; an error is told and noted, and the next edit begins."""
    from ..pipelines.common.errors import error_text
    from ..pipelines.common.whole_file import is_full

    try:
        source, mask = _clip(work, row)
        frames, seconds = _edited(work, method, row, source, mask)
        count = min(len(source), len(frames))
        measured = _measured(work, row, source[:count], frames[:count], mask)
        made_of = _made_of(method, row)
        anew = work.results.outdated(name, row, made_of)
        work.results.keep_source(row, source, mask, anew)
        measured |= {} if seconds is None else {"seconds": seconds}
        told = {"made_of": made_of, "values": measured, "frames": count}
        work.results.keep(name, row, frames[:count], told)
    except Exception as error:  # one edit may need more memory than there is
        if is_full(error):
            raise
        work.failed.append(f"{name}, line {row.number}: {error_text(error)}")
        console.tell(f"  {error_text(error)}")


def _reading(work: Work) -> tuple[Choice, Fitting]:
    """How clips are read. Raises EvenframeError for what is out of range."""
    from ..pipelines.video import Choice, Fitting, Length

    codec = work.model.codec
    choice = Choice(max_frames=work.frames, length=Length(step=codec.time_stride))
    return choice, Fitting(multiple=codec.size_multiple, max_side=work.max_side)


def _clip(work: Work, row: Row) -> tuple[Tensor, Tensor | None]:
    """(f, h, w, 3) at the size of the edit, and the mask (f, h, w)."""
    from ..pipelines.measure.reading import read_mask
    from ..pipelines.video import load

    frames = load(row.clip, *_reading(work), audio=False).frames
    size = frames.shape[1], frames.shape[2]
    return frames, None if row.mask is None else read_mask(row.mask, len(frames), size)


def _edited(
    work: Work, method: Method | Recipe, row: Row, source: Tensor, mask: Tensor | None
) -> tuple[Tensor, float | None]:
    """Frames of the source's size, and seconds; a recipe loads and saves, too, so none of it."""
    from ..pipelines.comparing.editing import make
    from ..pipelines.comparing.methods import Method, Task
    from ..pipelines.measure.reading import resized

    if not isinstance(method, Method):
        frames = method.edit(row, work.frames, work.max_side)
        return resized(frames, (source.shape[1], source.shape[2])), None
    task = Task(row.source, row.target, row.words, row.new_words, mask, row.attribute, row.kind)
    made = make(work.model, source, task, method, work.shared, console.progress())
    return made.frames, made.seconds


def _measured(
    work: Work, row: Row, source: Tensor, result: Tensor, mask: Tensor | None
) -> dict[str, float]:
    from ..nodes.host import host
    from ..pipelines.measure.asked import Asked
    from ..pipelines.measure.evaluate import evaluate

    asked = Asked(
        source,
        result.float().cpu().clamp(0, 1),
        row.source,
        row.target,
        None if mask is None else mask[: len(source)],
        work.judging["judges"],
        (row.questions,) if row.questions else (),
        host.device(),
    )
    return {each.name: each.value for each in evaluate(asked) if each.value is not None}


def _write(
    results: Results,
    todo: list[tuple[str, Method | Recipe, Row]],
    rows: list[Row],
    methods: Mapping[str, Any],
) -> Iterator[Path]:
    """The tables, the sheet of pictures and FiVE's annotation; what there is so far."""
    from ..pipelines.comparing.summary import as_csv, as_markdown, summarise

    found: dict[str, dict[str, Mapping[str, float]]] = {name: {} for name in methods}
    for name, method, row in todo:
        if told := results.measured(name, row, _made_of(method, row)):
            found[name][row.key] = told["values"]
    results.annotate(rows)
    entries = summarise(found)
    texts = {
        "results.csv": _each(found),
        "summary.csv": as_csv(entries),
        "summary.md": as_markdown(entries),
    }
    for name, text in texts.items():
        yield results.write(name, lambda at, text=text: at.write_text(text, encoding="utf-8"))
    if sheet := _sheet(results, rows, found):
        yield results.write("sheet.png", sheet.save)


def _each(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Every value: a row for each method and clip."""
    measures = list(dict.fromkeys(n for clips in found.values() for v in clips.values() for n in v))
    out = io.StringIO()
    written = csv.writer(out, lineterminator="\n")
    written.writerow(["method", "edit", *measures])
    for method, clips in found.items():
        for key, values in clips.items():
            written.writerow([method, key, *(values.get(name, "") for name in measures)])
    return out.getvalue()


def _sheet(results: Results, rows: list[Row], found: Mapping[str, Mapping[str, Any]]) -> Any:
    """A row for each edit: the source's middle frame, then each method's that counts."""
    import torch

    from ..pipelines.common.pictures import sheet
    from ..pipelines.measure.reading import read_picture, resized

    lines = []
    for row in rows:
        made = [name for name, edits in found.items() if row.key in edits]
        files = {name or "source": results.middle(name, row) for name in ("", *made)}
        here = {name: read_picture(path) for name, path in files.items() if path is not None}
        if here:
            wide = [
                resized(each[None], (round(SHEET_SIDE * each.shape[0] / each.shape[1]), SHEET_SIDE))
                for each in here.values()
            ]
            lines.append((f"{row.video}, {row.target}: {', '.join(here)}", torch.cat(wide)))
    return sheet(lines, columns=len(found) + 1) if lines else None
