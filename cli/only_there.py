"""`evenframe only-there SOURCE EDITED`: keep any editor's result only where it belongs.

EDITED is what another program, or a web service, made of SOURCE. Outside of the regions the result
has SOURCE's own pixels, at its size and rate and with its sound.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..pipelines.regions.region import Region
    from ..pipelines.regions.regions import Regions
    from ..pipelines.video import Clip, Film, Fitting

MAX_BYTES = 2**24
PERSON_SIDE = 512
"""Of frames in which persons are looked for, in pixels."""
REGIONS_SIDE = 1024
"""Of frames on which regions of a file are drawn, in pixels: at the size of a large source, masks
would take as much memory as its frames."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the video before the edit")
    parser.add_argument("edited", type=Path, metavar="EDITED", help="what an editor made of it")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--regions", type=Path, metavar="FILE", help="regions as JSON, as Draw Regions has them"
    )
    where.add_argument(
        "--box",
        nargs=4,
        type=float,
        action="append",
        metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
        help="a region in fractions of the frame, 0 to 1; may be given again",
    )
    where.add_argument(
        "--person", action="store_true", help="all persons, as a small segmenter finds them"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="a new .mp4, .mov, .mkv or .webm"
    )
    parser.add_argument(
        "--start",
        type=int,
        default=0,
        metavar="N",
        help="the frame of SOURCE at which EDITED begins, the first is 0",
    )
    parser.add_argument("--grow", type=int, default=0, metavar="PIXELS", help="spread the regions")
    parser.add_argument(
        "--feather", type=int, default=8, metavar="PIXELS", help="width of the soft edge (8)"
    )
    parser.add_argument("--linear-light", action="store_true", help="mix light along the edge")
    parser.add_argument(
        "--rim-match", action="store_true", help="take a colour drift of the editor back"
    )
    parser.add_argument("--crf", type=int, metavar="N", help="quality, less is better")


def run(options: argparse.Namespace) -> int:
    """Check everything, paste frame by frame, print where the result is."""
    from ..pipelines.pasting.edge import Edge
    from ..pipelines.pasting.only_there import only_there
    from ..pipelines.video import save
    from ..pipelines.video.formats import chosen

    chosen(options.out.suffix, options.crf)  # rather now than after the work
    _require_new(options.out)
    edge = Edge(options.grow, options.feather, options.linear_light, options.rim_match)
    clip = _source(options)
    regions = _regions(options, clip)
    film = only_there(clip, _edited(options.edited, clip), regions, edge)
    for line in (*clip.warnings, *film.said):
        console.tell(line)
    report, count = console.progress(), options.start + len(clip)
    path = save(
        options.out,
        film,
        crf=options.crf,
        on_frame=lambda done: report("Pasting", done, count),
        on_note=console.tell,
    )
    print(path)
    return 0


def _require_new(out: Path) -> None:
    from ..nodes.host.folders import check_new
    from ..pipelines.common.errors import EvenframeError

    if out.exists():
        raise EvenframeError(f"'{out}' is there already: give --out another name.")
    if not out.parent.is_dir():
        raise EvenframeError(f"There is no folder '{out.parent}': make it, or give --out another.")
    check_new(out.parent, out.stem, out.suffix)


def _source(options: argparse.Namespace) -> Clip:
    """The source from the frame on at which the edit begins, at the size of its regions."""
    from ..pipelines.common.errors import EvenframeError
    from ..pipelines.video import Choice

    start = options.start
    if start < 0:
        raise EvenframeError(f"--start is {start}: give 0, the first frame of SOURCE, or more.")
    whole = _outline(options.source, "Reading the source", _fitting(options))
    if start >= len(whole):
        raise EvenframeError(
            f"--start is {start}, but '{whole.source}' has {len(whole)} frames: "
            f"give 0 to {len(whole) - 1}."
        )
    return replace(
        whole,
        frames=whole.frames[start:],
        timestamps=whole.timestamps[start:],
        footage=whole.footage and replace(whole.footage, choice=Choice(skip=start)),
    )


def _outline(path: Path, label: str, fitting: Fitting | None = None) -> Clip:
    """A file's frames without pixels: all of them are decoded, which is shown."""
    from ..pipelines.video import outline

    report, ended = console.progress(), False

    def show(done: int, expected: int) -> None:
        nonlocal ended
        if done == 1 and not expected:
            console.tell(f"  {label}")
            ended = True
        if not ended:
            report(label, done, expected)
            ended = done >= expected

    clip = outline(path, fitting=fitting, on_frame=show)
    if not ended:  # there were fewer than the file says
        report(label, len(clip), len(clip))
    return clip


def _fitting(options: argparse.Namespace) -> Fitting | None:
    """The size at which regions are held; None for the source's, since boxes take no memory."""
    from ..pipelines.video import Fitting

    if options.person:
        return Fitting(max_side=PERSON_SIDE)
    return None if options.regions is None else Fitting(multiple=1, max_side=REGIONS_SIDE)


def _edited(path: Path, clip: Clip) -> Film:
    """The edit, a frame for each of the source's: of the same number, or shown at the same time."""
    from ..pipelines.video.matching import SAME_RATE, alike, matched, with_frames
    from ..pipelines.video.original import original

    edit = _outline(path, "Reading the edit")
    # Files without an index do not say how many frames they have.
    film = replace(original(edit).film, expected=len(edit))
    ours, theirs = _times(clip), _times(edit)
    if alike(ours, theirs):
        return film
    rates = (
        f"{float(edit.frame_rate):g} frames a second, '{clip.source}' {float(clip.frame_rate):g}"
    )
    if abs(edit.frame_rate / clip.frame_rate - 1) > SAME_RATE:
        console.tell(f"'{path.name}' has {rates}: frames belong together by their times.")
    else:
        console.tell(
            f"The frames of '{path.name}' and '{clip.source}' are shown at times of their own: "
            "they belong together by these."
        )
    last = theirs[-1] - theirs[-2] if len(theirs) > 1 else 0
    end = theirs[-1] + max(last, float(1 / edit.frame_rate))
    return with_frames(film, matched(ours, theirs, end), clip.frame_rate)


def _times(clip: Clip) -> list[float]:
    """When its frames are shown, in seconds after the first."""
    return [time - clip.timestamps[0] for time in clip.timestamps]


def _regions(options: argparse.Namespace, clip: Clip) -> Regions:
    from ..pipelines.regions.regions import Regions
    from ..pipelines.regions.text import parse_regions

    count, size = len(clip), (clip.height, clip.width)
    if options.regions is not None:
        wide, high = clip.placement.source
        return parse_regions(_text(options.regions), count, (high, wide), size)
    if options.box is not None:
        names = [f"--box {' '.join(map('{:g}'.format, box))}" for box in options.box]
        boxes = zip(names, options.box, strict=True)
        items = tuple(_still(name, box, count, size) for name, box in boxes)
        return Regions(items, count, size)
    return Regions((_people(clip),), count, size)


def _people(clip: Clip) -> Region:
    """Everybody, found frame by frame: of the frames none is kept."""
    import torch

    from ..pipelines.common.errors import EvenframeError
    from ..pipelines.regions.region import mask_region
    from ..pipelines.regions.tracking.person import load_segmenter, masks_of_people
    from ..pipelines.video.fit import apply, as_floats
    from ..pipelines.video.original import original

    assert clip.fit is not None
    fit, segmenter, report = clip.fit, load_segmenter(), console.progress()
    film = original(clip, whole=False).film
    frames = (apply(as_floats(torch.from_numpy(s.pixels))[None], fit)[0] for s in film.shots())
    masks = torch.zeros(len(clip), clip.height, clip.width)
    for index, mask in enumerate(masks_of_people(segmenter, frames)):
        masks[index] = torch.from_numpy(mask)
        report("Finding people", index + 1, len(clip))
    if not masks.any():
        raise EvenframeError(
            f"Nobody is found in '{clip.source}': say with --box or --regions where the edit is."
        )
    return mask_region(masks, len(clip), (clip.height, clip.width), name="people")


def _still(name: str, box: Sequence[float], count: int, size: tuple[int, int]) -> Region:
    """A box in fractions of the frame, on all frames."""
    from ..pipelines.regions.region import box_region, require_box

    left, top, right, bottom = require_box(box, None, name)
    pixels = (left * size[1], top * size[0], right * size[1], bottom * size[0])
    return box_region([pixels] * count, size, name=name)


def _text(path: Path) -> str:
    """A file of regions, no larger than one may be."""
    from ..pipelines.common.errors import EvenframeError

    try:
        if path.stat().st_size > MAX_BYTES:
            raise EvenframeError(f"'{path}' has more than {MAX_BYTES} bytes: these are no regions.")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise EvenframeError(f"'{path}' cannot be read ({reason}): give a JSON file.") from error
