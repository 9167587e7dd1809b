"""What a running node shows: its bar, a live preview, its result in words and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...pipelines.common.errors import EvenframeError
from ...pipelines.common.pictures import to_image
from ...pipelines.common.whole_file import write_new
from ..host import host

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PIL.Image import Image
    from torch import Tensor

    from ...pipelines.common.progress import OnPart
    from ...pipelines.models.model import Model
    from ...pipelines.walk import OnStep, StepReport
    from ..host import Progress


def follow(
    progress: Progress,
    model: Model,
    *,
    every: int = 0,
    frame: int = 0,
) -> OnStep:
    """Report each step to the host, which raises there when the user has cancelled.

    every: show a preview of `frame` every so many steps; 0 shows none.
    """

    def on_step(report: StepReport) -> None:
        is_due = every and (report.done % every == 0 or report.done == report.total)

        def picture() -> Image:
            return to_image(model.codec.preview(report.clean[frame : frame + 1]))

        progress.step(report.done, picture if is_due else None)

    return on_step


def follow_parts(progress: Progress) -> OnPart:
    """Report the windows and turns of each step, as `follow` the steps."""
    return lambda part: progress.within(part.share, str(part))


def frame_bar(total: int, label: str) -> Callable[[int], None]:
    """Report frames as they are done; without a total, only look for an interrupt."""
    if not total:
        return lambda _: host.check_interrupt()
    progress = host.progress(total, label)
    return lambda done: progress.step(min(done, total))


def shown(frames: Tensor, text: str) -> dict[str, Any]:
    """A node's `ui`: some frames (f, h, w, 3) as pictures, and a text.

    Where the folder for previews takes none, the text says so: the node's work is not lost for it.
    """
    images = []
    try:
        for frame in frames:
            path = write_new(host.new_temp("evenframe", ".png"), to_image(frame).save)
            images.append(host.saved(path))
    except (EvenframeError, OSError) as error:
        text = f"{text}\nNo picture is shown: {error}"
    return {"images": images, "text": [text]}


def merged(told: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Two parts of a node's `ui` as one; its texts follow each other."""
    return {**told, **more, "text": [*told.get("text", ()), *more.get("text", ())]}
