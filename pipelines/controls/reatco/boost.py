"""RAD without a gradient: each word counts for more inside its region.

A logarithm is added to a word's column of the cross-attention, for the places of its region: as if
the word stood in the prompt several times there. It takes no pass of its own, where a gradient
through a video transformer takes nearly three for each update.
Source: the region weights of "StreamEdit" (arXiv 2605.21466); "Dense Text-to-Image Generation with
Attention Modulation" (ICCV 2023).
"""

import math

import torch
from torch import Tensor

from ...attention.sites import Site
from ...attention.terms import Call, Terms, extended
from ...regions.regions import Regions
from ..base import ControlRun, Edit, Step
from .word_masks import word_masks


class BoostRun(ControlRun):
    """The boost at work in one edit.

    factor: how many times more a word counts, above 0. steps: in which it acts. overlap: see
    `word_masks`.
    """

    def __init__(
        self, regions: Regions, edit: Edit, factor: float, steps: range, overlap: str = "top"
    ):
        layout = edit.model.denoiser.layout
        self._regions, self._edit, self._weight = regions, edit, math.log(factor)
        self._overlap = overlap
        self._steps, self._acts, self._coarse = steps, False, layout.control_stride
        self._words: dict[tuple[int, int], tuple[Tensor, Tensor] | None] = {}
        sites = edit.model.denoiser.sites
        first = next(site for site in sites if site.kind == "cross" and self._inside(site))
        self._bias(first.grid(edit.frame_size))  # what is wrong is said before the first step

    def prepare(self, step: Step) -> None:
        """Look up whether it acts in this step."""
        self._acts = step.index in self._steps and self._weight != 0

    def attend(self, call: Call, terms: Terms) -> Terms:
        """Raise the columns of the target branch's words, in the coarser layers; the source's own
        attention has none of them."""
        inside = call.site.kind == "cross" and self._inside(call.site)
        bias = self._bias(call.grid) if self._acts and inside and call.branch == "target" else None
        if bias is None:
            return terms
        return tuple(term if term.source else extended(term, *bias) for term in terms)

    def _inside(self, site: Site) -> bool:
        return site.stride >= self._coarse

    def _bias(self, grid: tuple[int, int]) -> tuple[Tensor, Tensor] | None:
        """(rows (t, 1, n, words), columns (L, words)) whose products are added to the logits."""
        if grid not in self._words:
            given = self._regions, self._edit, grid, not self._words, self._overlap
            found = word_masks(*given)
            self._words[grid] = self._as_bias(found) if found else None
        return self._words[grid]

    def _as_bias(self, found: list[tuple[tuple[int, ...], Tensor]]) -> tuple[Tensor, Tensor]:
        masks = torch.stack([mask.flatten(1) for _, mask in found], dim=-1)  # t n words
        length = len(self._edit.prompt.states["tokens"])
        columns = masks.new_zeros(length, len(found))
        for word, (tokens, _) in enumerate(found):
            columns[list(tokens), word] = 1
        return self._weight * masks[:, None], columns
