"""New words count for more where the source looks at the words whose place they take.

A logarithm is added to their columns of the cross-attention, in the places of a mask that the
source's own attention gives. Source: the grounding and boosting of "StreamEdit" (arXiv 2605.21466),
with the mask of "FateZero" (ICCV 2023), Eq. 5.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...attention.sites import Site
from ...attention.terms import Call, Terms, extended
from ...common.settings import setting
from ...source.maps import blend_mask, mask_sites, word_maps
from ...source.store import kept_sites
from ...text.prompt import tokens_of
from ..base import Control, ControlRun, Edit, Step
from ..span import WHOLE, Span


@dataclass(frozen=True)
class WordBoost(Control):
    """Settings of boosted words.

    new_words: of the target prompt. source_words: of the source prompt; none for everywhere.
    Raises EvenframeError for settings out of range.
    """

    unique: ClassVar[str] = "Word Boost"

    new_words: tuple[str, ...]
    source_words: tuple[str, ...] = ()
    boost: float = setting(4.0, "How many times more they count. 1 is nothing.", within=(1, 1000))
    threshold: float = setting(0.3, "As that of Attention Fusion.", within=(0, 2))
    steps: Span = WHOLE

    def begin(self, edit: Edit) -> "WordBoostRun":
        """Find the words in both prompts and start."""
        return WordBoostRun(self, edit)


class WordBoostRun(ControlRun):
    """Boosted words at work in one edit."""

    def __init__(self, settings: WordBoost, edit: Edit):
        denoiser, source, target = edit.model.denoiser, edit.inversion.prompt, edit.prompt
        self._threshold, self._size = settings.threshold, edit.frame_size
        self._steps = settings.steps.steps(edit.steps)
        self._looked = tokens_of(source.tokens, settings.source_words)
        self._mask_sites = mask_sites(denoiser.sites, denoiser.layout.mask_stride)
        kept = kept_sites(denoiser.sites, denoiser.layout)
        self._sites = {site for site in kept if site.kind == "cross"}
        self._grids = {site.grid(self._size) for site in self._sites}
        self._columns = torch.zeros(len(target.states["tokens"]), 1, device=edit.model.device)
        self._columns[tokens_of(target.tokens, settings.new_words)] = math.log(settings.boost)
        self._rows: dict[tuple[int, int], Tensor] = {}

    def source_sites(self, step: int) -> Collection[Site]:
        """Where the mask is read."""
        return self._mask_sites if self._looked and step in self._steps else ()

    def prepare(self, step: Step) -> None:
        """Read the mask from the source's attention."""
        self._rows = {}
        if step.index not in self._steps:
            return
        if not self._looked:
            self._rows = {grid: torch.ones(1, 1, 1, 1) for grid in self._grids}
            return
        maps = word_maps(step.source, self._mask_sites, self._looked, self._size)
        masks = blend_mask(maps, self._grids, self._threshold)
        self._rows = {grid: mask.flatten(1)[:, None, :, None] for grid, mask in masks.items()}

    def attend(self, call: Call, terms: Terms) -> Terms:
        """Raise the new words' columns; the source's own attention has none of them."""
        if call.branch != "target" or call.site not in self._sites or call.grid not in self._rows:
            return terms
        bias = self._rows[call.grid], self._columns
        return tuple(term if term.source else extended(term, *bias) for term in terms)
