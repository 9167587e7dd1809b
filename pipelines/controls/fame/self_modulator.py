"""FAME's temporal self-attention modulation: one person stays one person in every frame.

Source: "FAME: Fairness-aware Attention-modulated Video Editing" (arXiv 2510.22960, 2025) for what
is done: coherence inside a region across frames is reinforced, interaction between regions
suppressed, with a decay over time and a soft similarity mask. The formulas are this project's own,
see formulas.py.

No matrix of queries x keys is built. A form with a similarity rewrites the logits some rows at a
time. Without, the regions alone decide: the additive form is a few more dimensions of the queries
and keys, and one fused call; the relative form looks for each row's largest and smallest logit
first, and is a fused call for each region of a frame.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ...attention.relative import Groups, Relative, pulled
from ...attention.terms import Call, Term, Terms, extended
from ...common.errors import EvenframeError
from ...common.grids import averaged, grid_of
from ...common.settings import setting
from ..base import ControlRun, Edit
from .formulas import (
    by_similarity,
    frame_weights,
    pair_weights,
    require_decay,
    shifted,
    similarity,
    unit_length,
)
from .shared import FameControl, FameRun
from .subject import Subjects, find_subjects, require_subject

PATCH = 3
"""Side of the neighbourhood, in tokens, whose latents tell how alike two places are."""
MOST_TOKENS = 8192
"""Of a clip whose tokens all attend to each other, where rows are rewritten."""


@dataclass(frozen=True, kw_only=True)
class SelfModulator(FameControl):
    """Settings of the modulation. Raises EvenframeError for settings out of range, and where
    neither regions nor a subject say where people are, unless nothing changes."""

    same: float = setting(
        0.6, "Pull inside a region, over the frames (lambda).", within=(0, 1), told="same (lambda)"
    )
    other: float = setting(
        0.4, "Push between different regions (mu).", within=(0, 1), told="other (mu)"
    )
    tau: float = setting(
        0.0,
        "How alike two places must look to count as the same: less is stricter, and about 0.1 is "
        "strict. 0 lets the regions alone decide, in a third of the time.",
        within=(0, 10),
    )
    frame_decay: float = setting(
        4.0,
        "Frames after which the pull is down to about a third; inf is no decay.",
        demand=require_decay,
        within=(0, 1000),
        step=0.5,
        stand_in=(0, math.inf),
    )
    form: str = setting(
        "relative",
        "relative: measured by each row's largest and smallest value. additive: a fixed amount, "
        "which costs next to nothing where tau is 0.",
        choices=("relative", "additive"),
    )
    unit: float = setting(4.0, "The amount of the additive form.", within=(0, 100), step=0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self._acts:
            require_subject(self.regions, self.subject)

    @property
    def changes_self(self) -> str:
        """Where self-attention is changed, how to switch that off."""
        return "strength of Temporal Self-Attention Modulator to 0" if self._acts else ""

    @property
    def _acts(self) -> bool:
        return self.strength > 0 and (self.same > 0 or self.other > 0)

    @property
    def _by_rows(self) -> bool:
        """Whether logits are rewritten some rows at a time: each pair of places has its own."""
        return self.tau != 0

    def begin(self, edit: Edit) -> ControlRun:
        """Find the people in the clip and start."""
        if not self._acts:
            return ControlRun()
        if self._by_rows and edit.model.denoiser.layout.whole_clip:
            _require_few_tokens(edit)
        subjects = find_subjects(edit, self.regions, self.subject, self.threshold)
        return SelfModulatorRun(self, edit, subjects)


def _require_few_tokens(edit: Edit) -> None:
    """Refuse to rewrite the rows of a long clip in a model that attends to all of it: few of them
    fit into memory at a time, so that a step would take minutes."""
    stride = edit.model.denoiser.layout.control_stride
    rows, columns = grid_of(edit.frame_size, stride)
    tokens = len(edit.latent_frames) * rows * columns
    if tokens > MOST_TOKENS:
        raise EvenframeError(
            f"FAME Self Modulator would compare each of {tokens} tokens with all others, row by "
            f"row, and in '{edit.model.name}' does so for {MOST_TOKENS} at most: set tau to "
            "0, which is fast, or take smaller frames or shorter windows."
        )


class SelfModulatorRun(FameRun):
    """The modulation at work in one edit."""

    _settings: SelfModulator

    def __init__(self, settings: SelfModulator, edit: Edit, subjects: Subjects):
        super().__init__(settings, edit)
        self._subjects = subjects
        held = [edit.clip.held(latent) for latent in edit.latent_frames]
        self._frames = torch.tensor([(frames[0] + frames[-1]) / 2 for frames in held])
        self._latents = edit.inversion.trajectory[0]
        self._known: dict[tuple[int, int], Pixels] = {}

    def attend(self, call: Call, terms: Terms) -> Terms:
        """Modulate the target branch's self-attention, in the coarser layers."""
        if not self.acts(call, "self"):
            return terms
        settings, pixels = self._settings, self._pixels(call)
        if not settings.tau and settings.form == "additive":
            amount = settings.unit * settings.strength * self._rho
            rows, columns = region_bias(
                pixels, call.keyframes, amount, settings.same, settings.other, settings.frame_decay
            )
            return tuple(extended(term, rows[:, None], columns[:, None]) for term in terms)
        if not settings.tau:
            return tuple(self._regional(term, pixels, call) for term in terms)
        return tuple(self._rewritten(term, pixels, call.keyframes) for term in terms)

    def _regional(self, term: Term, pixels: "Pixels", call: Call) -> Term:
        """The relative form without a similarity: the rows of a region go the same way."""
        if term.rewrite is not None:
            return self._rewritten(term, pixels, call.keyframes)
        weights = self._weights(pixels, call.keyframes)
        return replace(term, rewrite=Relative(pixels.groups, *weights))

    def _rewritten(self, term: Term, pixels: "Pixels", keyframes: Tensor | None) -> Term:
        settings, earlier = self._settings, term.rewrite
        every_reach, every_gap = self._weights(pixels, keyframes)

        def rewrite(logits: Tensor, frame: int, rows: slice) -> Tensor:
            if earlier is not None:
                logits = earlier(logits, frame, rows)
            mine = pixels.ids[frame, rows]
            reach, gap = every_reach[frame][mine], every_gap[frame][mine]
            alike = pixels.similarity(frame, rows, keyframes, settings.tau)
            reach, gap = by_similarity(reach, gap, alike)
            if settings.form == "additive":
                return shifted(logits, reach, gap, settings.unit)
            return pulled(logits, reach, gap)

        return replace(term, rewrite=rewrite)

    def _weights(self, pixels: "Pixels", keyframes: Tensor | None) -> tuple[Tensor, Tensor]:
        """(alpha rho lambda delta R, alpha rho mu D), (t, regions, m) each: one row for each region
        is enough, and the pixels pick theirs."""
        settings, (frames, tokens) = self._settings, pixels.ids.shape
        amount = settings.strength * self._rho
        table = pixels.table(keyframes)  # t j, or 1 j
        near = frame_weights(pixels.frames[:, None] - pixels.frames[table], settings.frame_decay)
        near = amount * near.repeat_interleave(tokens, dim=1)[:, None]  # t 1 m
        regions = torch.arange(pixels.regions + 1, device=near.device)
        ids = pixels.ids[table].flatten(1)  # t m, or 1 m
        up, down = pair_weights(regions, ids, near, settings.same, amount * settings.other)
        return up, down.expand(frames, -1, -1)

    def _pixels(self, call: Call) -> "Pixels":
        """What is known of the tokens of a grid; the same at every step."""
        if call.grid not in self._known:
            device = call.q.device
            dtype = torch.promote_types(call.q.dtype, torch.float32)
            features = appearance(self._latents, call.grid).to(device, dtype)
            ids = self._subjects.ids(call.grid)  # t n
            # A region that others hide has no number: each is one more dimension.
            shown = torch.cat([torch.zeros_like(ids[0, :1]), ids.flatten()]).unique()
            self._known[call.grid] = Pixels(
                len(shown) - 1,
                Groups.of(torch.searchsorted(shown, ids), device),
                self._frames.to(device, dtype),
                features if self._settings.tau else None,
            )
        return self._known[call.grid]


@dataclass(frozen=True, eq=False)
class Pixels:
    """The tokens of some latent frames. groups: by region, 0 for background, else 1..regions.
    frames: (t,) the middle of what each holds of the video. features: (t, n, s) of unit length, or
    None."""

    regions: int
    groups: Groups
    frames: Tensor
    features: Tensor | None

    @property
    def ids(self) -> Tensor:
        """(t, n) the region of each."""
        return self.groups.ids

    def table(self, keyframes: Tensor | None) -> Tensor:
        """(t, j) or (1, j): the frames that each frame attends to."""
        if keyframes is None:
            return torch.arange(len(self.ids), device=self.ids.device)[:, None]
        return keyframes.to(self.ids.device)

    def similarity(
        self, frame: int, rows: slice, keyframes: Tensor | None, tau: float
    ) -> Tensor | None:
        """S (rows, m) of some rows of a frame."""
        if self.features is None:
            return None
        chosen = self.table(keyframes).expand(len(self.ids), -1)[frame]
        return similarity(self.features[frame, rows] @ self.features[chosen].flatten(0, 1).T, tau)


def appearance(latents: Tensor, grid: tuple[int, int]) -> Tensor:
    """What tells how alike two places of a clip are: (f, n, s), of unit length.

    latents: (f, c, h, w) of the clean source. The features of a token are the latents of its 3x3
    neighbourhood on the grid, less their mean over the clip. This project's own choice: the paper's
    features are not known.
    """
    small = averaged(latents.float(), grid)
    around = F.pad(small, (PATCH // 2,) * 4, mode="replicate")
    features = F.unfold(around, PATCH).transpose(1, 2)  # f n (c 3 3)
    return unit_length(features - features.mean((0, 1)))


def region_bias(
    pixels: Pixels,
    keyframes: Tensor | None,
    amount: float,
    same: float,
    other: float,
    frame_decay: float,
) -> tuple[Tensor, Tensor]:
    """The additive form as (rows (t, n, r), columns (t or 1, m, r)) whose products are the bias.

    amount: unit times alpha times rho. Between equal regions lambda delta, between others -mu. A
    constant of a row does not count in a softmax, so mu is added to every pair: others get 0, and
    one dimension for each of the regions, background included, is enough. Where all frames have the
    same j keys, these need one for each region in each of the j frames, so that they stay the same.
    """
    each = F.one_hot(pixels.ids, pixels.regions + 1).to(pixels.frames)  # t n r
    table = pixels.table(keyframes)  # t j, or 1 j
    near = frame_weights(pixels.frames[:, None] - pixels.frames[table], frame_decay)  # t j
    # Background is neutral to itself.
    pull = torch.tensor([0.0, *[same] * pixels.regions], dtype=each.dtype, device=each.device)
    weight = amount * (near[..., None] * pull + other)  # t j r
    if len(table) == len(each) or not math.isfinite(frame_decay):
        columns = each[table] * weight[: len(table), :, None]  # t j n r, or 1 j n r
        return each, columns.flatten(1, 2)
    rows = each[:, :, None] * weight[:, None]  # t n j r
    places = torch.eye(table.shape[1], dtype=each.dtype, device=each.device)
    columns = places[:, None, :, None] * each[table[0]][:, :, None]  # j n j r
    return rows.flatten(2), columns.flatten(0, 1).flatten(1)[None]
