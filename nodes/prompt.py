"""Prompts: words, tokens and states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..pipelines.common.errors import EvenframeError
from ..pipelines.common.typed_text import require_typed
from .common import sockets
from .common.verdict import verdict
from .host import host, io

if TYPE_CHECKING:
    from ..pipelines.models.model import Model
    from ..pipelines.text.conditioning import Conditioning
    from .host import ModelHandle


class EvenframePrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframePrompt",
            display_name="Prompt (Evenframe)",
            category=sockets.CATEGORY,
            description="Encode a prompt, and show how its words split into tokens.",
            search_aliases=["text encode", "clip text encode", "evenframe"],
            is_output_node=True,  # so that it runs alone, for its words
            inputs=[
                sockets.Model.Input("model", tooltip="The model whose text encoder reads it."),
                io.String.Input(
                    "text",
                    multiline=True,
                    default="",
                    tooltip="What the clip shows (source prompt), what it shall show (target "
                    "prompt) or what it shall not (negative prompt). At most 75 tokens for models "
                    "of Load Model.",
                ),
                io.Conditioning.Input(
                    "conditioning",
                    optional=True,
                    tooltip="The same text, encoded by ComfyUI's own nodes, with what other nodes "
                    "have put on it, such as a ControlNet. For models of Adopt Model.",
                ),
            ],
            outputs=[
                sockets.Prompt.Output(display_name="prompt"),
                io.String.Output(
                    display_name="words", tooltip="Each word with the positions of its tokens."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, text: str | None) -> bool | str:
        # What no tokenizer reads is told before anything runs.
        return verdict(lambda: text is None or require_typed(text, "The prompt"))

    @classmethod
    def execute(
        cls, model: ModelHandle[Model], text: str, conditioning: Any = None
    ) -> io.NodeOutput:
        loaded = host.load(model)
        if conditioning is None:
            prompt = loaded.text.encode(text)
        else:
            prompt = given(loaded, text, conditioning)
        words = prompt.tokens.describe()
        vocabulary = getattr(loaded.text, "vocabulary", None)
        known = vocabulary.lines() if vocabulary else []
        return io.NodeOutput(prompt, words, ui={"text": [words, *prompt.notes, *known]})


def given(model: Model, text: str, conditioning: Any) -> Conditioning:
    """A prompt as ComfyUI's own nodes have encoded it. EvenframeError for a model of this pack."""
    wrapped = getattr(model.text, "wrapped", None)
    if wrapped is None:
        raise EvenframeError(
            f"'{model.name}' encodes prompts itself: leave conditioning unlinked, or take a model "
            "of Adopt Model."
        )
    return wrapped(text, conditioning)


NODES = [EvenframePrompt]
