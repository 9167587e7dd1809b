"""The source's attention, computed again when an edit step needs it.

Nothing is stored: the inversion's trajectory tells what the source was asked about at every step. A
forward pass on that gives the same queries and keys, and leaves the denoiser after the last layer
that is asked for.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from ..attention.keyframes import KeyFrameTable
from ..attention.processor import EarlyExit
from ..attention.sites import Site
from ..models.schedule import Level
from ..text.conditioning import Conditioning
from .store import Recorder, SourceAttention, keep

if TYPE_CHECKING:
    from ..models.model import Model


@dataclass(frozen=True, eq=False)
class RecomputedAttention:
    """An AttentionSource that runs the source branch before each edit step.

    asked: gives the latents (t, c, h, w) that the source is asked about at a denoising step.
    prompt: the source's. levels: of the denoising, N+1.
    rounded: give what a kept record would have given, to the bit: rounded to its precision.
    """

    model: "Model"
    asked: Callable[[int], Tensor]
    prompt: Conditioning
    levels: Sequence[Level]
    keyframes: KeyFrameTable | None
    rounded: bool = False

    def at(self, step: int, sites: Sequence[Site]) -> SourceAttention:
        """Queries and keys of these sites, in the model's own precision."""
        recorder = Recorder(sites, stop=True)
        latents = self.asked(step).to(self.model.device)
        with suppress(EarlyExit):
            self.model.denoiser.predict(
                latents,
                self.levels[step],
                {"source": self.prompt},
                self.keyframes,
                recorder.attend,
            )
        record = recorder.record()
        if not self.rounded:
            return record
        return keep(record, "resident").to(self.model.device, self.model.dtype)
