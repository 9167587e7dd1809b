"""Fairness-aware editing (FAME): the two controls."""

from __future__ import annotations

from typing import Any

from ..pipelines.controls.base import Control, chained
from ..pipelines.controls.fame.cross_reweighter import CrossReweighter
from ..pipelines.controls.fame.self_modulator import SelfModulator
from ..pipelines.controls.fame.shared import FameControl
from ..pipelines.text.prompt import parse_phrases
from .common import sockets
from .common.chain import control_schema
from .common.early import Named, Place, words_verdict
from .common.inputs import inputs_of, settings_of
from .host import io


def _placed() -> list[io.Input]:
    """Where and when either control acts."""
    return [
        *inputs_of(FameControl, "schedule", "window", advanced=True),
        *inputs_of(FameControl, "subject"),
        *inputs_of(FameControl, "threshold", advanced=True),
        sockets.Regions.Input(
            "regions", optional=True, tooltip="One region for each person; they win over subject."
        ),
    ]


def _subject(node: Place, subject: str | None, *amounts: str) -> Named:
    """The words by which the person is found: not where regions say it, or nothing is done."""
    acts = node.exceeds("strength", 0) and any(node.exceeds(name, 0) for name in amounts)
    looked = acts and not node.links("regions")
    return "subject", "source", parse_phrases((looked and subject) or "")


class EvenframeSelfModulator(io.ComfyNode):
    """FAME's temporal self-attention modulation: one person stays one person in every frame."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return control_schema(
            node_id="EvenframeSelfModulator",
            display_name="Temporal Self-Attention Modulator (Evenframe)",
            description="Keep each person the same over all frames, and apart from others: "
            "strengthen self-attention inside a region, weaken it between regions (FAME).",
            search_aliases=["fame", "fairattention", "videograin", "consistency"],
            inputs=[
                *inputs_of(SelfModulator, "strength", "same", "other"),
                *inputs_of(SelfModulator, "tau", "frame_decay", "form", "unit", advanced=True),
                *_placed(),
            ],
        )

    @classmethod
    def validate_inputs(cls, subject: str | None = "") -> bool | str:
        return words_verdict(lambda node: [_subject(node, subject, "same", "other")])

    @classmethod
    def execute(cls, controls: tuple[Control, ...] = (), **settings: Any) -> io.NodeOutput:
        return io.NodeOutput(chained(controls, settings_of(SelfModulator, settings)))


class EvenframeCrossReweighter(io.ComfyNode):
    """FAME's cross-attention reweighting: a person's pixels listen more to the person's words."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return control_schema(
            node_id="EvenframeCrossReweighter",
            display_name="Cross-Attention Reweighter (Evenframe)",
            description="Let the pixels of a person listen more to the words for the person, by "
            "how alike they are (FAME).",
            search_aliases=["fame", "fairness", "cross attention"],
            inputs=[
                *inputs_of(CrossReweighter, "words", "strength", "weight"),
                *inputs_of(CrossReweighter, "eos", "spread", advanced=True),
                *_placed(),
            ],
        )

    @classmethod
    def validate_inputs(cls, words: str | None = "", subject: str | None = "") -> bool | str:
        def named(node: Place) -> list[Named]:
            own: Named = ("words", "target", parse_phrases(words or ""))
            return [own, _subject(node, subject, "weight")]

        # The regions' own words count where there are no others.
        return words_verdict(named, lambda _: words is not None and not parse_phrases(words))

    @classmethod
    def execute(cls, controls: tuple[Control, ...] = (), **settings: Any) -> io.NodeOutput:
        return io.NodeOutput(chained(controls, settings_of(CrossReweighter, settings)))


NODES = [EvenframeSelfModulator, EvenframeCrossReweighter]
