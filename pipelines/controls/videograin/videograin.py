"""VideoGrain: what is in a region looks at the region's words, and at its own places in all frames.

Source: "VideoGrain: Modulating Space-Time Attention for Multi-grained Video Editing" (ICLR 2025,
arXiv 2502.17258), with the schedule and the amounts of its published code. Logits s of the
conditional branch, of which m says what belongs together:

    s + c (max - s) where m, s - c (s - min) elsewhere,    c = size lambda ((t - 1) / 1000)^5

m: in cross-attention a place of a region and a word of that region, in self-attention two places of
one region, in any frames. size: 1 less the share of all keys' places that the region has in the
row's own frame; 1 outside of all regions. max and min are the row's, so no map is built:
`attention/relative.py`.

Three slips of the published code are not repeated: self-attention modulated in the unconditional
half, a division by frames squared where few frames are looked at, and a background that is kept a
noise level too high.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ...attention.relative import pulled_together
from ...attention.terms import Call, Terms
from ...common.errors import EvenframeError
from ...common.settings import setting
from ...regions.regions import Regions
from ...text.conditioning import Conditioning
from ...text.prompt import parse_phrases
from ..base import Control, ControlRun, Edit, Step
from ..region_words import region_places, tell_places
from ..span import Span, span_setting
from .local_words import with_local_words

if TYPE_CHECKING:
    from ...models.model import Model

PUBLISHED = Span(0.0, 0.3)
"""The first 15 of 50 steps."""
POWER = 5


@dataclass(frozen=True, eq=False)
class VideoGrain(Control):
    """Settings of the modulation.

    regions: where the things are, each with words of the target prompt; where two overlap, the
    later one lies on top. Raises EvenframeError for settings out of range, and for regions without
    words where there is cross-attention to modulate.
    """

    unique: ClassVar[str] = "VideoGrain"
    regions: Regions
    cross: float = setting(
        1.0,
        "How far each region is drawn to its own words and away from all others (lambda). 0 leaves "
        "the words alone.",
        within=(0, 1),
    )
    own: float = setting(
        0.3,
        "How far places of one region look at each other, in all frames, and away from the rest "
        "(lambda). More keeps things apart; too much blurs them. 0 leaves self-attention alone.",
        within=(0, 1),
    )
    steps: Span = span_setting(
        PUBLISHED,
        start="Share of the steps after which it begins.",
        end="Share of the steps after which it ends. It is strongest at the first step in any "
        "case.",
    )
    local_words: bool = setting(
        True,
        "Encode each region's words alone, so that the rest of the prompt does not colour them. "
        "Not in your own sampler, whose prompt is your own.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.regions.require_items()
        for region in self.regions.items:
            if self.cross and not parse_phrases(region.words):
                raise EvenframeError(
                    f"Region '{region.name}' has no words: give it the words of the target prompt "
                    "that belong there, or set cross to 0."
                )

    @property
    def changes_self(self) -> str:
        """Where self-attention is changed, how to switch that off."""
        return "own of VideoGrain to 0" if self.own else ""

    @property
    def rewords(self) -> bool:
        """Whether words are encoded anew."""
        return self.local_words and self.cross > 0

    def prompted(self, model: "Model", prompt: Conditioning) -> Conditioning:
        """Each region's words as if they stood alone."""
        if not self.rewords:
            return prompt
        places = region_places(prompt.tokens, self.regions.items)
        each = list(dict.fromkeys(place for theirs in places for place in theirs))
        return with_local_words(model.text.encode, prompt, each)

    def begin(self, edit: Edit) -> ControlRun:
        """Check the regions against the clip and the target prompt, and start."""
        self.regions.require(edit.clip.frames, edit.frame_size)
        return VideoGrainRun(self, edit)


class VideoGrainRun(ControlRun):
    """VideoGrain at work in one edit."""

    def __init__(self, settings: VideoGrain, edit: Edit):
        self._settings, self._edit = settings, edit
        self._steps = settings.steps.steps(edit.steps)
        self._coarse = edit.model.denoiser.layout.control_stride
        self._amounts: dict[str, float] = {}
        self._known: dict[tuple[int, int], Tensor] = {}
        count = len(settings.regions.items)
        self._words = torch.zeros(len(edit.prompt.states["tokens"]), count)  # L r
        if settings.cross:
            items, prompt = settings.regions.items, edit.prompt.tokens
            places = region_places(prompt, items)
            tell_places(edit, items, places)
            for region, theirs in enumerate(places):
                for place in theirs:
                    self._words[list(prompt.at(place)), region] = 1

    def prepare(self, step: Step) -> None:
        """Look up how much, at this level."""
        settings = self._settings
        rho = falling(step.here.time) if step.index in self._steps else 0.0
        self._amounts = {"cross": settings.cross * rho, "self": settings.own * rho}

    def attend(self, call: Call, terms: Terms) -> Terms:
        """Modulate the target branch's attention, in the coarser layers; not that to the words of
        the source prompt."""
        amount, cross = self._amounts.get(call.site.kind, 0.0), call.site.kind == "cross"
        if call.branch != "target" or call.site.stride < self._coarse or not amount:
            return terms
        rows = self._members(call)  # t 1 n r
        columns = self._words if cross else _of_keys(rows, call.keyframes)
        frames = 1 if cross or call.keyframes is None else call.keyframes.shape[1]
        share = amount * sizes(rows, frames)
        return tuple(
            term if cross and term.source else pulled_together(term, share, rows, columns)
            for term in terms
        )

    def _members(self, call: Call) -> Tensor:
        """(t, 1, n, r) of 0 and 1: which region each place belongs to, if any; the same at every
        step."""
        if call.grid not in self._known:
            edit = self._edit
            regions = self._settings.regions.on_latents(edit.clip).part(edit.latent_frames)
            cells = regions.cells(call.grid, warn=False).flatten(2)  # r t n
            numbers = torch.arange(1, len(cells) + 1)[:, None, None]
            ids = (cells * numbers).amax(0).long()  # t n; none has two
            members = F.one_hot(ids, len(cells) + 1)[:, None, :, 1:]  # t 1 n r
            exact = torch.promote_types(call.q.dtype, torch.float32)
            self._known[call.grid] = members.to(call.q.device, exact)
        return self._known[call.grid]


def _of_keys(members: Tensor, keyframes: Tensor | None) -> Tensor:
    """(t, 1, j n, r), or (1, 1, j n, r) where all frames look at the same: the keys' regions."""
    if keyframes is None:
        return members
    return members[keyframes.to(members.device), 0].flatten(1, 2)[:, None]  # t j n r


def falling(time: float) -> float:
    """((t - 1) / 1000)^5 of a noise level's time, 0..1000."""
    return max(time - 1, 0) ** POWER / 1000**POWER


def sizes(members: Tensor, frames: int) -> Tensor:
    """(t, 1, n, 1): 1 less the share that a place's region has, of its own frame, in the places of
    so many frames; 1 outside of all regions. members: (t, 1, n, r)."""
    filled = members.sum(-2, keepdim=True)  # t 1 1 r
    mine = (members * filled).sum(-1, keepdim=True)  # t 1 n 1
    return 1 - mine / (frames * members.shape[-2])
