"""Prompts against their model's tokenizer before the first edit, without loading the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..nodes.host.workflow import Link, Workflow
from ..pipelines.common.errors import EvenframeError
from ..pipelines.text.tokens import tokenize

PROMPT, LOADER = "EvenframePrompt", "EvenframeLoadModel"


class Prompts:
    """Checks each prompt of each model once."""

    def __init__(self) -> None:
        self._tokenizers: dict[str, Any] = {}
        self._told: dict[tuple[str, str], str] = {}

    def check(self, workflow: Workflow) -> None:
        """EvenframeError for a prompt that its model cannot read, such as one that is too long."""
        for node in workflow.nodes.values():
            text, model = node.inputs.get("text"), node.inputs.get("model")
            if (
                node.class_type != PROMPT
                or not isinstance(text, str)
                or not isinstance(model, Link)
            ):
                continue
            loader = workflow.nodes[model.node]
            name = loader.inputs.get("model")
            if loader.class_type != LOADER or not isinstance(name, str):
                continue
            if said := self._verdict(name, text):
                raise EvenframeError(f"{node.label}: {said}")

    def _verdict(self, model: str, text: str) -> str:
        if (model, text) not in self._told:
            self._told[model, text] = ""
            try:
                tokenize(text, self._tokenizer(model), end_sums_up=False)
            except EvenframeError as error:
                self._told[model, text] = str(error)
        return self._told[model, text]

    def _tokenizer(self, model: str) -> Any:
        if model not in self._tokenizers:
            self._tokenizers[model] = _read(model)
        return self._tokenizers[model]


def _read(model: str) -> Any:
    from ..nodes.model import locate
    from ..pipelines.models.stable_diffusion import shipped
    from ..pipelines.models.stable_diffusion.tokenizer import read_tokenizer as clip
    from ..pipelines.models.wan.tokenizer import read_tokenizer as t5

    path: Path = locate(model)
    folder = path / "tokenizer"
    if not folder.is_dir():  # a checkpoint has none of its own, and all of them read alike
        return shipped.tokenizer("sd15")
    return (
        t5(folder)
        if (path / "transformer").is_dir() and not (path / "unet").is_dir()
        else clip(folder)
    )
