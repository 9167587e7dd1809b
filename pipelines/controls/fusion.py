"""FateZero: fuse the source's attention into the edit's.

Source: "FateZero: Fusing Attentions for Zero-shot Text-based Video Editing" (Qi et al., ICCV 2023),
section 3.2 and Eq. 5-6, with the word swap, refinement and reweighting of "Prompt-to-Prompt".
Both fusions are linear in the maps, so they are written as sums of fused attention calls:

    self-attention    M softmax(Q_e K_e) V_e + (1-M) softmax(Q_s K_s) V_e
    cross-attention   softmax(Q_s K_s) V_1 + softmax(Q_e K_e) V_2

The values are always the edit's; V_1 and V_2 are its values, mixed over tokens.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..alignment import align_tokens, replace_matrix
from ..attention.maps import mask_sites, word_maps
from ..attention.sites import Site
from ..attention.store import SourceAttention, kept_sites
from ..attention.terms import Call, Term, Terms
from ..checks import require_range
from ..errors import EvenframeError
from ..grids import nearest
from ..prompt import Prompt, find_tokens
from .base import ControlRun, Edit, Step

METHODS = ("refine", "replace", "reweight")


@dataclass(frozen=True)
class Fusion:
    """Settings of attention fusion.

    method: "refine" keeps the attention of tokens that both prompts share, "replace" carries each
        source word's attention to the target word in its place (equally many words), "reweight"
        takes no attention from the source and only applies the weights.
    cross_steps: share of steps, 0..1, in which cross-attention is controlled, from the start.
    self_steps: share of steps, 0..1, in which self-attention comes from the source.
    blend_words: words of the source prompt; where they look, the edit is free, as the next
        settings say. (): self-attention is the source's everywhere.
    threshold: 0..2, of those words' attention relative to its maximum in the frame; 0 edits
        everywhere, 1 and more nowhere.
    weights: (target word, factor >= 0) pairs, which scale the word's attention columns.
    self_blend: where the blend words look, self-attention is the edit's own, which frees shapes.
        False: it is the source's there, too, which keeps them: for a colour or a texture.
    latent_blend: keep the source's latents where the blend words do not look.
    blend_window: (start, end) shares of the steps in which they are kept.
    """

    method: str = "refine"
    cross_steps: float = 0.8
    self_steps: float = 0.7
    blend_words: tuple[str, ...] = ()
    threshold: float = 0.3
    weights: tuple[tuple[str, float], ...] = ()
    self_blend: bool = True
    latent_blend: bool = False
    blend_window: tuple[float, float] = (0.2, 0.8)

    def begin(self, edit: Edit) -> "FusionRun":
        """Check the settings against both prompts and start."""
        self._check()
        source, target = edit.inversion.prompt, edit.prompt
        found = [token for word in self.blend_words for token in find_tokens(source, word)]
        blend = list(dict.fromkeys(found))  # a word that two phrases name counts once
        return FusionRun(self, edit, token_mix(self.method, source, target, self.weights), blend)

    def _check(self) -> None:
        if self.method not in METHODS:
            raise EvenframeError(
                f"fusion method '{self.method}' is unknown: use {', '.join(METHODS)}."
            )
        ranges = {
            "cross_steps": (self.cross_steps, 1.0),
            "self_steps": (self.self_steps, 1.0),
            "threshold": (self.threshold, 2.0),
            "blend_window start": (self.blend_window[0], 1.0),
            "blend_window end": (self.blend_window[1], 1.0),
        }
        for name, (value, high) in ranges.items():
            require_range(name, value, 0, high)
        if self.blend_window[0] > self.blend_window[1]:
            raise EvenframeError(
                f"blend_window starts at {self.blend_window[0]} and ends at "
                f"{self.blend_window[1]}: it must not end before it starts."
            )
        for word, factor in self.weights:
            require_range(f"the weight of '{word}'", factor, 0, 1000)
        if self.blend_words and not (self.self_blend or self.latent_blend):
            raise EvenframeError(
                f"The blend words '{', '.join(self.blend_words)}' would do nothing, because "
                "self_blend and latent_blend are off: switch one on, or leave the words out."
            )
        if self.latent_blend and not self.blend_words:
            raise EvenframeError(
                "latent_blend is on, but there are no blend words: "
                "name the words of the source prompt whose place is edited, or switch it off."
            )


@dataclass(frozen=True, eq=False)
class TokenMix:
    """Which attention columns the edit takes from the source, and which are its own.

    from_source: (L, L), rows source tokens and columns target tokens, so that V_1 = from_source V.
    own: (L,), factors of the edit's own columns, so that V_2 = own V.
    """

    from_source: Tensor
    own: Tensor


class FusionRun(ControlRun):
    """Fusion at work in one edit."""

    replaces = True

    def __init__(self, settings: Fusion, edit: Edit, mix: TokenMix, blend_tokens: Sequence[int]):
        backbone, steps = edit.backbone, edit.steps
        self._mix, self._blend_tokens, self._threshold = mix, blend_tokens, settings.threshold
        self._uses_source = bool(mix.from_source.any())
        self._uses_own = bool(mix.own.any())
        self._cross_end, self._self_end = windows(settings, steps)
        low, high = settings.blend_window
        self._blend_range = range(int(low * steps), int(high * steps))
        if not settings.latent_blend:
            self._blend_range = range(0)
        self._gate_end = self._self_end if blend_tokens and settings.self_blend else 0
        self._kept = kept_sites(backbone.sites, backbone.layout)
        self._mask_sites = mask_sites(backbone.sites, backbone.layout.mask_stride)
        self._frame_size = backbone.frame_size(edit.inversion.trajectory[0])
        self._latent_size = tuple(edit.inversion.trajectory.shape[-2:])
        self._source = SourceAttention({}, {})
        self._masks: Mapping[tuple[int, int], Tensor] = {}
        self._cross_on = self._self_on = self._gated = False

    def source_sites(self, step: int) -> Collection[Site]:
        """Cross and self sites inside their windows, mask sites wherever a mask is used."""
        sites: set[Site] = set()
        if step < self._cross_end and self._uses_source:
            sites.update(site for site in self._kept if site.kind == "cross")
        if step < self._self_end:
            sites.update(site for site in self._kept if site.kind == "self")
        if self._masked(step):
            sites.update(self._mask_sites)
        return sites

    def prepare(self, step: Step) -> None:
        """Open the windows of this step and read the mask M_t from the source's attention."""
        self._source = step.source
        self._cross_on = step.index < self._cross_end
        self._self_on = step.index < self._self_end
        self._gated = step.index < self._gate_end
        self._masks = {}
        if self._masked(step.index):
            maps = word_maps(step.source, self._mask_sites, self._blend_tokens, self._frame_size)
            grids = {site.grid(self._frame_size) for site in self._kept if site.kind == "self"}
            sizes = [*grids, (self._latent_size[0], self._latent_size[1])]
            self._masks = blend_mask(maps, sizes, self._threshold)

    def attend(self, call: Call, terms: Terms) -> Terms:
        """Fuse the target branch's attention at the sites that are kept of the source."""
        if call.branch != "target" or call.site not in self._kept:
            return terms
        if call.site.kind == "cross":
            return self._fuse_cross(call, terms) if self._cross_on else terms
        return self._fuse_self(call, terms) if self._self_on else terms

    def settle(self, latents: Tensor, step: Step) -> Tensor:
        """Keep the source's latents outside the mask, at the noise level that was reached."""
        masks, self._masks = self._masks, {}
        # Let go now: the next step's attention may be computed before `prepare` is called again.
        self._source = SourceAttention({}, {})
        if step.index not in self._blend_range:
            return latents
        mask = masks[self._latent_size[0], self._latent_size[1]].to(latents)[:, None]  # f 1 h w
        return step.arrival + mask * (latents - step.arrival)

    def _masked(self, step: int) -> bool:
        return step < self._gate_end or step in self._blend_range

    def _fuse_self(self, call: Call, terms: Terms) -> Terms:
        name = call.site.name
        keys = call.gather(self._source.keys[name])
        source = Term(self._source.queries[name], keys, call.values, source=True)
        if not self._gated:
            return (source,)
        inside = self._masks[call.grid].flatten(1)[:, None, :, None].to(call.q)  # f 1 (h w) 1
        edited = tuple(replace(term, gate=_times(term.gate, inside)) for term in terms)
        return (*edited, replace(source, gate=1 - inside))

    def _fuse_cross(self, call: Call, terms: Terms) -> Terms:
        name = call.site.name
        fused: Terms = ()
        if self._uses_own:
            own = self._mix.own.to(call.v)[:, None]  # tokens 1
            fused = tuple(replace(term, v=term.v * own) for term in terms)
        if self._uses_source:
            # The prompt is the same in every frame, so its mixed values are, too.
            values = self._mix.from_source.to(call.v) @ call.v[:1]  # 1 heads tokens d
            keys = self._source.keys[name].expand(len(call.q), -1, -1, -1)
            values = values.expand(len(call.q), -1, -1, -1)
            fused = (*fused, Term(self._source.queries[name], keys, values, source=True))
        return fused


def windows(settings: Fusion, steps: int) -> tuple[int, int]:
    """Steps in which cross- and self-attention are controlled: int(c (N+1)) and int(s N)."""
    return int(settings.cross_steps * (steps + 1)), int(settings.self_steps * steps)


def token_mix(
    method: str, source: Prompt, target: Prompt, weights: Iterable[tuple[str, float]] = ()
) -> TokenMix:
    """The columns of R[n] = a_n w_n S_source[map n] + (1 - a_n) w_n S_edit[n], as matrices."""
    length = len(target.embeddings)
    factors = torch.ones(length)
    for word, factor in weights:
        factors[list(find_tokens(target, word))] = factor
    if method == "reweight":
        return TokenMix(torch.zeros(length, length), factors)
    if method == "replace":
        matrix = replace_matrix(
            [word.tokens for word in source.words], [word.tokens for word in target.words], length
        )
        return TokenMix(matrix * factors, torch.zeros(length))
    mapper, alphas = align_tokens(source.ids, target.ids, length)
    columns = torch.arange(length)
    matrix = torch.zeros(length, length)
    matrix[mapper.clamp(min=0), columns] = alphas
    return TokenMix(matrix * factors, (1 - alphas) * factors)


def blend_mask(
    word_maps: Tensor, sizes: Iterable[tuple[int, int]], threshold: float
) -> dict[tuple[int, int], Tensor]:
    """M_t: where the blend words look, 1 for the edit and 0 for the source (FateZero, Eq. 5).

    word_maps: (layers*heads, f, h, w) attention, summed over the words' tokens. sizes: grids to
    give the mask on. threshold: of the attention relative to its maximum in each frame.
    Returns (f, h, w) masks of 0 and 1 by grid, in the dtype of the maps.
    """
    mean = word_maps.mean(0)  # f h w
    spread = F.max_pool2d(mean[:, None], kernel_size=3, stride=1, padding=1)
    masks = {}
    for size in sizes:
        resized = nearest(spread, size)[:, 0]  # f h w
        peak = resized.amax(dim=(1, 2), keepdim=True)
        masks[size] = (resized > threshold * peak).to(word_maps.dtype)
    return masks


def _times(gate: Tensor | None, factor: Tensor) -> Tensor:
    return factor if gate is None else gate * factor
