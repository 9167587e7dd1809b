"""Look inside: where the model looks, and what an edit changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..pipelines.common.errors import EvenframeError
from ..pipelines.common.pictures import grid, heat, spread
from ..pipelines.controls.fatezero.fusion import Fusion
from ..pipelines.measure.psnr import psnr
from ..pipelines.source.inspection import Chosen
from ..pipelines.source.words_seen import look_around, look_at_edit
from ..pipelines.text.prompt import parse_phrases
from ..pipelines.video.clip import rgb_frames
from .common import feedback, sockets
from .common.filmstrips import shown_files, shown_or_said, shown_strips
from .common.inputs import input_of
from .common.memory import ATTENTION_ADVICE, advice
from .common.playing import comparing
from .host import host, io

if TYPE_CHECKING:
    from ..pipelines.models.model import Model
    from ..pipelines.regions.regions import Regions
    from ..pipelines.source.inversion import Inversion
    from ..pipelines.text.conditioning import Conditioning
    from ..pipelines.video.clip import Clip
    from .host import ModelHandle

MAPS = "evenframe_maps"
SHEET_CLIPS = "abcdefghi"
"""The sockets of a contact sheet: as many as a sheet of three by three holds."""


class EvenframeAttentionViewer(io.ComfyNode):
    """Where the source looks at some of its words: as a heat map, and as the blend mask."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeAttentionViewer",
            display_name="Attention Viewer (Evenframe)",
            category=sockets.CATEGORY,
            description="Show where the model looks at words of the source prompt, and the mask "
            "that attention fusion makes of it.",
            search_aliases=["cross attention map", "heatmap", "blend mask"],
            is_output_node=True,
            inputs=[
                sockets.Model.Input("model", tooltip="The model that inverted the clip."),
                sockets.Inversion.Input("inversion", tooltip="The clip, from the DDIM inverter."),
                io.Image.Input("frames", tooltip="The clip, to draw on."),
                io.String.Input("words", tooltip="Words of the source prompt, with commas."),
                io.Float.Input(
                    "at",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="When in the denoising: 0 is the first step, 1 the last.",
                ),
                input_of(
                    Fusion,
                    "threshold",
                    tooltip="As in Attention Fusion: what is above it counts as looked at.",
                ),
                io.Int.Input(
                    "moments",
                    default=5,
                    min=1,
                    max=9,
                    optional=True,
                    advanced=True,
                    tooltip="At how many steps the viewer shows every word; each is a pass.",
                ),
                io.Image.Input(
                    "edited",
                    optional=True,
                    tooltip="An edit of the clip, to see where it looks; with target_prompt.",
                ),
                sockets.Prompt.Input(
                    "target_prompt", optional=True, tooltip="The prompt of that edit."
                ),
            ],
            outputs=[
                io.Image.Output(display_name="heat_map"),
                io.Mask.Output(display_name="mask"),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: ModelHandle[Model],
        inversion: Inversion,
        frames: Tensor,
        words: str,
        at: float,
        threshold: float,
        moments: int = 5,
        edited: Tensor | None = None,
        target_prompt: Conditioning | None = None,
    ) -> io.NodeOutput:
        chosen = Chosen(parse_phrases(words), at, threshold)
        edit = _edit_of(edited, target_prompt)
        frames, _ = rgb_frames(frames)
        size = model.model.codec.lattice_of(inversion.trajectory[0]).size
        loaded = host.load(
            model, model.model.denoiser.working_bytes(inversion.at_once, size, branches=1)
        )
        if host.strips_folder() is None:
            moments, edit = 0, None  # nobody looks at more than the outputs
        watch, clips, seen = host.check_interrupt, [frames], []
        with advice(ATTENTION_ADVICE):
            view, maps = look_around(loaded, inversion, chosen, moments, watch)
            if maps is not None:
                seen.append(maps)
            if edit and maps is not None:
                own = look_at_edit(loaded, inversion, *edit, maps.steps, watch)
                clips, seen = [frames, edit[0]], seen + ([own] if own else [])
        picture = heat(view.maps, frames)
        files = (one.write for one in seen)
        shown = shown_or_said("clip", lambda: shown_strips(*clips) | shown_files(MAPS, *files))
        text = f"{words}: step {view.step + 1}"
        # The viewer shows the clip itself.
        told = {"text": [text]} if MAPS in shown else feedback.shown(spread(picture, 4), text)
        return io.NodeOutput(picture, view.mask, ui=feedback.merged(told, shown))


def _edit_of(
    edited: Tensor | None, prompt: Conditioning | None
) -> tuple[Tensor, Conditioning] | None:
    """The frames of an edit and its prompt; None where neither is linked."""
    if edited is None and prompt is None:
        return None
    if edited is None or prompt is None:
        missing, there = ("edited", "target_prompt")[:: 1 if edited is None else -1]
        raise EvenframeError(
            f"{missing} is not linked, but {there} is: link both to see where the edit looks, "
            "or neither."
        )
    return rgb_frames(edited)[0], prompt


class EvenframeCompare(io.ComfyNode):
    """Two clips side by side, and how far apart they are; the widget plays them together."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeCompare",
            display_name="Compare Clips (Evenframe)",
            category=sockets.CATEGORY,
            description="Play two clips of equal size together: wipe between them, see their "
            "difference, where it is and when. Also puts them side by side.",
            search_aliases=["side by side", "before after", "wipe", "difference", "player"],
            is_output_node=True,
            inputs=[
                io.Image.Input("before", tooltip="The left clip."),
                io.Image.Input("after", tooltip="The right clip."),
                sockets.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="The clip that both were made from: gives the player its rate and "
                    "sound. Without it, 8 frames a second.",
                ),
                sockets.Regions.Input(
                    "regions",
                    optional=True,
                    tooltip="Outlined in the player, which then tells the change inside of them "
                    "from that outside.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="frames"),
                io.Float.Output(display_name="psnr", tooltip="In dB; higher is closer."),
            ],
        )

    @classmethod
    def execute(
        cls,
        before: Tensor,
        after: Tensor,
        clip: Clip | None = None,
        regions: Regions | None = None,
    ) -> io.NodeOutput:
        (left, _), (right, _) = rgb_frames(before), rgb_frames(after)
        if left.shape != right.shape:
            raise EvenframeError(
                f"The clips differ in size, {tuple(left.shape[:3])} and {tuple(right.shape[:3])} "
                "(frames, height, width): compare clips of equal size."
            )
        if regions is not None:
            regions.require(len(left), (left.shape[1], left.shape[2]))
        shown = comparing(left, right, clip, regions)
        return io.NodeOutput(torch.cat([left, right], dim=2), psnr(left, right), ui=shown)


class EvenframeContactSheet(io.ComfyNode):
    """Clips in a labelled grid, playing together."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        others = [
            io.Image.Input(name, optional=True, tooltip="A clip of the same size.")
            for name in SHEET_CLIPS[1:]
        ]
        return io.Schema(
            node_id="EvenframeContactSheet",
            display_name="Contact Sheet (Evenframe)",
            category=sockets.CATEGORY,
            description="Put clips of equal size into a labelled grid, in which they play "
            "together: to compare settings.",
            search_aliases=["grid", "sweep", "xy plot", "compare"],
            inputs=[
                io.Image.Input(SHEET_CLIPS[0], tooltip="The first clip; more follow row by row."),
                *others,
                io.String.Input(
                    "labels",
                    multiline=True,
                    default="",
                    tooltip="One line for each linked clip. Empty: no labels.",
                ),
                io.Int.Input(
                    "columns", default=3, min=1, max=len(SHEET_CLIPS), tooltip="Clips in a row."
                ),
            ],
            outputs=[io.Image.Output(display_name="frames")],
        )

    @classmethod
    def execute(cls, labels: str, columns: int, **clips: Tensor) -> io.NodeOutput:
        linked = [rgb_frames(clips[name])[0] for name in SHEET_CLIPS if name in clips]
        lines = [line.strip() for line in labels.strip().splitlines()]
        sheet = grid(linked, lines, columns)
        return io.NodeOutput(sheet, ui=feedback.shown(sheet[:1], "\n".join(lines)))


NODES = [EvenframeAttentionViewer, EvenframeCompare, EvenframeContactSheet]
