"""What a prompt gives a denoiser, and how CLIP's text encoder makes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from ..common.typed_text import quoted
from .syntax import syntax_notes
from .tokens import Tokens, tokenize
from .vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Conditioning:
    """An encoded prompt.

    states: by name, what the denoiser is given; "tokens" is (L, c), the text encoder's last hidden
        states, padded to L tokens; "pooled" (c,) sums the prompt up, where the denoiser reads that.
    model: fingerprint of the model that encoded it. notes: what the writer should know, a line
        each. host: what a host encoded it to, for its own models: parts, each of states and a
        mapping, which may have something for each frame.
    window, length: the latent frames that it is asked about, and of how many of the clip; None and
        0 where all.
    """

    tokens: Tokens
    states: Mapping[str, Tensor]
    model: str
    notes: tuple[str, ...] = ()
    host: Any = None
    window: range | None = None
    length: int = 0

    def over(self, window: range, length: int) -> "Conditioning":
        """As it is asked with about these of a clip's so many latent frames; itself where all."""
        return self if len(window) == length else replace(self, window=window, length=length)

    def reworded(self, other: "Conditioning") -> "Conditioning":
        """With the tokens, states and notes of another prompt, and with what a host has beside this
        one's; of each one part at most."""
        [[_, mine]], [[states, theirs]] = self.host or [[None, {}]], other.host or [[None, {}]]
        beside = {**mine, **theirs}  # what comes with an encoding is about its tokens
        if "hooks" in mine:  # but for these, which may have been set since
            beside["hooks"] = mine["hooks"]
        return replace(other, host=[[states, beside]] if beside else None)

    def pooled(self) -> Tensor:
        """(c,): the state of the token that sums the prompt up, or the mean of all but padding."""
        states, at = self.states["tokens"], self.tokens.summary
        return states[: len(self.tokens.ids)].mean(0) if at is None else states[at]

    def clone(self) -> "Conditioning":
        """With states of its own: a host's inference tensors cannot be saved for a gradient."""
        return replace(self, states={name: state.clone() for name, state in self.states.items()})


@torch.no_grad()
def encode(
    text: str,
    tokenizer: Any,
    text_encoder: Any,
    model: str,
    vocabulary: Vocabulary | None = None,
) -> Conditioning:
    """Tokenize a prompt and encode it with CLIP.

    vocabulary: of a model that was trained on few words; the notes tell which it does not know.
    Raises EvenframeError as `tokenize`, and for tokens that the text encoder does not have.
    """
    tokens = tokenize(text, tokenizer, end_sums_up=True)
    length = int(tokenizer.model_max_length)
    padded = tokenizer(text, padding="max_length", max_length=length).input_ids
    require_known(padded, tokenizer, text_encoder)
    device = next(text_encoder.parameters()).device
    states = text_encoder(input_ids=torch.tensor([padded], device=device)).last_hidden_state
    notes = (*syntax_notes(text), *(vocabulary.notes(text) if vocabulary else ()))
    return Conditioning(tokens, {"tokens": states[0].float()}, model, notes)


def require_known(ids: Sequence[int], tokenizer: Any, text_encoder: Any) -> None:
    """A GPU that is asked for a token beyond the last computes nothing more in this process."""
    known = text_encoder.get_input_embeddings().num_embeddings
    if max(ids) >= known:
        token = tokenizer.convert_ids_to_tokens(max(ids))
        raise EvenframeError(
            f"The tokenizer writes {quoted(str(token))} as token {max(ids)}, but the model's text "
            f"encoder has tokens 0 to {known - 1} only: they belong to different models, so "
            "download the complete model again."
        )
