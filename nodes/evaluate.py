"""Published measures of an edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipelines.common.errors import EvenframeError
from ..pipelines.measure.asked import Asked
from ..pipelines.measure.evaluate import TECHNIQUES, as_json, as_text, evaluate
from ..pipelines.measure.judges import require_judges
from ..pipelines.measure.reading import resized
from ..pipelines.video.clip import rgb_frames
from .common import feedback, sockets
from .host import host, io

if TYPE_CHECKING:
    from torch import Tensor


class EvenframeEvaluate(io.ComfyNode):
    """Every published measure, each with its formula; what is not measured says why."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeEvaluate",
            display_name="Evaluate (Evenframe)",
            category=sockets.CATEGORY,
            description="Measure an edit by the formulas that papers print: warp error, motion "
            "kept, PSNR and SSIM outside of a mask, CLIP scores and more.",
            search_aliases=["metrics", "clip score", "warp error", "psnr", "ssim", "lpips"],
            is_output_node=True,
            inputs=[
                io.Image.Input("before", tooltip="The source."),
                io.Image.Input("after", tooltip="The edit, a frame for each of the source's."),
                io.String.Input(
                    "before_prompt", default="", multiline=True, tooltip="What the source shows."
                ),
                io.String.Input(
                    "after_prompt",
                    default="",
                    multiline=True,
                    tooltip="What the edit should show: for the scores of words and pictures.",
                ),
                io.Boolean.Input(
                    "ask_judges",
                    default=True,
                    tooltip="Ask the models in the folder models/judges, which takes their time "
                    "and memory. Nothing is downloaded.",
                ),
                io.Mask.Input(
                    "edited_mask",
                    optional=True,
                    tooltip="Where the edit was meant to be: outside, nothing should have changed.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="report", tooltip="A line for each measure."),
                io.String.Output(display_name="json", tooltip="The same, for programs."),
            ],
        )

    @classmethod
    def execute(
        cls,
        before: Tensor,
        after: Tensor,
        before_prompt: str = "",
        after_prompt: str = "",
        ask_judges: bool = True,
        edited_mask: Tensor | None = None,
    ) -> io.NodeOutput:
        source, result = rgb_frames(before)[0], rgb_frames(after)[0]
        judges = host.judges_dir() if ask_judges else None
        if judges is not None:
            require_judges(judges)
        asked = Asked(
            source,
            result,
            before_prompt,
            after_prompt,
            _mask_of(edited_mask, source),
            judges,
            device=host.device(),
            on_pass=host.check_interrupt,
        )
        bar = host.progress(len(TECHNIQUES), "Measuring")
        rows = evaluate(asked, on_technique=bar.step)
        text = as_text(rows)
        return io.NodeOutput(text, as_json(rows), ui=feedback.shown(result[:1], text))


def _mask_of(mask: Tensor | None, source: Tensor) -> Tensor | None:
    """(f, h, w) of 0 and 1 on the source's frames; one mask is for all of them."""
    if mask is None:
        return None
    own = (mask if mask.ndim == 3 else mask[None]).detach().float().cpu()
    if len(own) not in (1, len(source)):
        raise EvenframeError(
            f"edited_mask has {len(own)} frames and the source {len(source)}: give one mask for "
            "all, or one for each."
        )
    sized = resized(own[..., None], (source.shape[1], source.shape[2]))[..., 0]
    return (sized > 0.5).float().expand(len(source), -1, -1)


NODES = [EvenframeEvaluate]
