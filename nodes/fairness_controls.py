"""Fairness-aware editing (FAME): the two controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .common import sockets
from .host import io

if TYPE_CHECKING:
    from ..pipelines.controls.base import Control
    from ..pipelines.regions.regions import Regions


def _share(name: str, default: float, tooltip: str, advanced: bool | None = None) -> io.Input:
    return io.Float.Input(
        name, default=default, min=0.0, max=1.0, step=0.05, tooltip=tooltip, advanced=advanced
    )


def _control_inputs() -> list[io.Input]:
    """What both controls take last: where, when, and the chain."""
    from ..pipelines.controls.fame.formulas import SCHEDULES

    return [
        io.Combo.Input(
            "schedule",
            options=list(SCHEDULES),
            default=SCHEDULES[0],
            advanced=True,
            tooltip="constant: the same at every step. power: strongest at first, then less and "
            "less, and nothing after 30 % of the steps (VideoGrain).",
        ),
        _share("start", 0.0, "Share of the steps after which it begins.", advanced=True),
        _share("end", 1.0, "Share of the steps after which it ends.", advanced=True),
        io.String.Input(
            "subject",
            default="",
            tooltip="Words of the source prompt: where no regions are linked, the person is where "
            "the source looks at them. A comma for each further person. Attention Viewer shows it.",
        ),
        io.Float.Input(
            "threshold",
            default=0.3,
            min=0.0,
            max=2.0,
            step=0.05,
            advanced=True,
            tooltip="How strongly a place must look at the subject to belong to it, relative to "
            "the strongest of its frame.",
        ),
        sockets.Regions.Input(
            "regions", optional=True, tooltip="One region for each person; they win over subject."
        ),
        sockets.Controls.Input(
            "controls", optional=True, tooltip="Controls that act before this one."
        ),
    ]


def _placed(
    schedule: str,
    start: float,
    end: float,
    subject: str,
    threshold: float,
    regions: Regions | None = None,
) -> dict[str, Any]:
    """What `_control_inputs` asks for, less the chain, as settings of either control."""
    from ..pipelines.controls.span import Span
    from ..pipelines.text.prompt import parse_phrases

    return {
        "schedule": schedule,
        "window": Span(start, end),
        "subject": parse_phrases(subject),
        "threshold": threshold,
        "regions": regions,
    }


class EvenframeSelfModulator(io.ComfyNode):
    """FAME's temporal self-attention modulation: one person stays one person in every frame."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.controls.fame.self_modulator import FORMS

        return io.Schema(
            node_id="EvenframeSelfModulator",
            display_name="Temporal Self-Attention Modulator (Evenframe)",
            category=sockets.CATEGORY,
            description="Keep each person the same over all frames, and apart from others: "
            "strengthen self-attention inside a region, weaken it between regions (FAME).",
            search_aliases=["fame", "fairattention", "videograin", "consistency"],
            inputs=[
                _share("strength", 0.5, "How much of it (alpha). 0 changes nothing."),
                _share("same", 0.6, "Pull inside a region, over the frames (lambda)."),
                _share("other", 0.4, "Push between different regions (mu)."),
                io.Float.Input(
                    "tau",
                    default=0.1,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                    advanced=True,
                    tooltip="How alike two places must look to count as the same: less is "
                    "stricter. 0 lets the regions alone decide.",
                ),
                io.Float.Input(
                    "frame_decay",
                    default=4.0,
                    min=0.0,
                    max=1000.0,
                    step=0.5,
                    advanced=True,
                    tooltip="Frames after which the pull is down to about a third; 0 is no decay.",
                ),
                io.Combo.Input(
                    "form",
                    options=list(FORMS),
                    default=FORMS[0],
                    advanced=True,
                    tooltip="relative: measured by each row's largest and smallest value. "
                    "additive: a fixed amount, which is fast where tau is 0.",
                ),
                io.Float.Input(
                    "unit",
                    default=4.0,
                    min=0.0,
                    max=100.0,
                    step=0.5,
                    advanced=True,
                    tooltip="The amount of the additive form.",
                ),
                *_control_inputs(),
            ],
            outputs=[sockets.Controls.Output(display_name="controls")],
        )

    @classmethod
    def execute(
        cls,
        strength: float,
        same: float,
        other: float,
        tau: float,
        frame_decay: float,
        form: str,
        unit: float,
        controls: tuple[Control, ...] = (),
        **placed: Any,
    ) -> io.NodeOutput:
        import math

        from ..pipelines.controls.base import chained
        from ..pipelines.controls.fame.self_modulator import SelfModulator

        modulator = SelfModulator(
            strength=strength,
            same=same,
            other=other,
            tau=tau,
            frame_decay=frame_decay or math.inf,
            form=form,
            unit=unit,
            **_placed(**placed),
        )
        return io.NodeOutput(chained(controls, modulator))


class EvenframeCrossReweighter(io.ComfyNode):
    """FAME's cross-attention reweighting: a person's pixels listen more to the person's words."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeCrossReweighter",
            display_name="Cross-Attention Reweighter (Evenframe)",
            category=sockets.CATEGORY,
            description="Let the pixels of a person listen more to the words for the person, by "
            "how alike they are (FAME).",
            search_aliases=["fame", "fairness", "cross attention"],
            inputs=[
                io.String.Input(
                    "words",
                    default="",
                    tooltip="Words of the target prompt that stand for the person, with commas. "
                    "Empty: the regions' own words, else a person that the pack knows.",
                ),
                _share("strength", 0.5, "How much of it (alpha). 0 changes nothing."),
                _share("weight", 0.4, "How far a word that fits is raised (lambda)."),
                io.Boolean.Input(
                    "eos",
                    default=False,
                    advanced=True,
                    tooltip="Raise the end of the prompt too, which sums it up.",
                ),
                io.Boolean.Input(
                    "spread",
                    default=False,
                    advanced=True,
                    tooltip="Stretch the likeness to the whole range from 0 to 1 over the pixels; "
                    "raw ones can be flat.",
                ),
                *_control_inputs(),
            ],
            outputs=[sockets.Controls.Output(display_name="controls")],
        )

    @classmethod
    def execute(
        cls,
        words: str,
        strength: float,
        weight: float,
        eos: bool,
        spread: bool,
        controls: tuple[Control, ...] = (),
        **placed: Any,
    ) -> io.NodeOutput:
        from ..pipelines.controls.base import chained
        from ..pipelines.controls.fame.cross_reweighter import CrossReweighter
        from ..pipelines.text.prompt import parse_phrases

        reweighter = CrossReweighter(
            words=parse_phrases(words),
            strength=strength,
            weight=weight,
            eos=eos,
            spread=spread,
            **_placed(**placed),
        )
        return io.NodeOutput(chained(controls, reweighter))


NODES = [EvenframeSelfModulator, EvenframeCrossReweighter]
