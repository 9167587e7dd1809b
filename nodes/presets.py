"""Presets that are chains of controls."""

from __future__ import annotations

from ..pipelines.controls.base import Control, chained
from ..pipelines.controls.published import METHODS
from ..pipelines.controls.streamedit.presets import PRESETS
from ..pipelines.regions.regions import Regions
from ..pipelines.text.prompt import parse_phrases
from .common import sockets
from .common.chain import control_schema
from .common.early import Named, Place, words_verdict
from .host import io


class EvenframeStreamEditPreset(io.ComfyNode):
    """StreamEdit's bridge, mask and boosted words, with its published settings."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return control_schema(
            node_id="EvenframeStreamEditPreset",
            display_name="StreamEdit Preset (Evenframe)",
            description="Edit in few steps and without an inversion, with the settings that "
            "StreamEdit published for a kind of edit. For Wan and other video models.",
            search_aliases=["streamedit", "streamgve", "few steps", "inversion free", "flowedit"],
            inputs=[
                io.Combo.Input(
                    "preset",
                    options=list(PRESETS),
                    default="colour",
                    tooltip="The kind of edit.",
                ),
                io.String.Input(
                    "source_words",
                    default="",
                    tooltip="What is edited, in words of the source prompt, separated by commas: "
                    "outside of its place the clip is kept.",
                ),
                io.String.Input(
                    "new_words",
                    default="",
                    tooltip="What it becomes, in words of the target prompt, separated by commas: "
                    "they count for more there.",
                ),
                sockets.Regions.Input(
                    "regions",
                    optional=True,
                    tooltip="Where the words of each region count for more, in the place of "
                    "new_words.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls, source_words: str | None = "", new_words: str | None = ""
    ) -> bool | str:
        def named(node: Place) -> list[Named]:
            return [
                ("source_words", "source", parse_phrases(source_words or "")),
                ("new_words", "target", parse_phrases(new_words or "")),
            ]

        return words_verdict(named, lambda node: node.links("regions"))

    @classmethod
    def execute(
        cls,
        preset: str,
        source_words: str,
        new_words: str,
        regions: Regions | None = None,
        controls: tuple[Control, ...] = (),
    ) -> io.NodeOutput:
        chosen, chain = PRESETS[preset], controls
        words = parse_phrases(source_words), parse_phrases(new_words)
        for control in chosen.controls(*words, regions):
            chain = chained(chain, control)
        return io.NodeOutput(chain, ui={"text": [chosen.note()]})


class EvenframePublishedMethod(io.ComfyNode):
    """A method as its authors ran it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return control_schema(
            node_id="EvenframePublishedMethod",
            display_name="Published Method (Evenframe)",
            description="Edit as ReAtCo, VideoGrain or TokenFlow were published, for comparisons: "
            "their order of steps and their numbers.",
            search_aliases=["reatco", "videograin", "tokenflow", "baseline", "comparison"],
            inputs=[
                io.Combo.Input(
                    "preset",
                    options=list(METHODS),
                    default="ReAtCo, published",
                    tooltip="The method. What belongs to it in other nodes is shown when it runs.",
                ),
                sockets.Regions.Input(
                    "regions",
                    optional=True,
                    tooltip="Where the things belong, each with words of the target prompt. "
                    "TokenFlow has no use for them.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, regions: object = None) -> bool | str:
        return words_verdict(lambda _: [], lambda node: node.text("preset") != "TokenFlow")

    @classmethod
    def execute(
        cls,
        preset: str,
        regions: Regions | None = None,
        controls: tuple[Control, ...] = (),
    ) -> io.NodeOutput:
        chosen, chain = METHODS[preset], controls
        for control in chosen.controls(preset, regions):
            chain = chained(chain, control)
        return io.NodeOutput(chain, ui={"text": [chosen.note]})


NODES = [EvenframeStreamEditPreset, EvenframePublishedMethod]
