"""FateZero: fuse the source's attention into the edit's.

Source: "FateZero: Fusing Attentions for Zero-shot Text-based Video Editing" (Qi et al., ICCV 2023),
section 3.2 and Eq. 5-6, with the word swap, refinement and reweighting of "Prompt-to-Prompt".
Both fusions are linear in the maps, so they are written as sums of fused attention calls:

    self-attention    M softmax(Q_e K_e) V_e + (1-M) softmax(Q_s K_s) V_e
    cross-attention   softmax(Q_s K_s) V_1 + softmax(Q_e K_e) V_2

The values are always the edit's; V_1 and V_2 are its values, mixed over tokens.

The bridge is that of "StreamEdit" (arXiv 2605.21466), in the place of softmax(Q_s K_s) V_e:
softmax((r Q_e + (1-r) Q_s)(r K_e + (1-r) K_s)^T) V_e with r = 1 - t^rho.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ...attention.sites import Site
from ...attention.terms import Call, Term, Terms, each_once
from ...common.checks import require_range
from ...common.errors import EvenframeError
from ...common.settings import setting
from ...models.schedule import Level
from ...source.maps import TargetWords, blend_mask, mask_sites, word_maps
from ...source.store import NOTHING, kept_sites
from ...text.prompt import parse_phrases, parse_weights, tokens_of
from ..base import Control, ControlRun, Edit, Step
from ..span import NEVER, Span, span_setting
from .token_mix import token_mix

METHODS = ("refine", "replace", "reweight")
BLENDED = Span(0.2, 0.8)
"""The public code blends latents in steps 10 to 38 of 50; this is 10 to 39."""


def _require_weights(_: str, weights: Iterable[tuple[str, float]]) -> None:
    for word, factor in weights:
        require_range(f"the weight of '{word}'", factor, 0, 1000)


@dataclass(frozen=True)
class Fusion(Control):
    """Settings of attention fusion.

    Raises EvenframeError for settings out of range, or that would do nothing.
    """

    unique: ClassVar[str] = "Attention Fusion"

    method: str = setting(
        "refine",
        "refine: keep the attention of the words that both prompts share. replace: a word for a "
        "word, prompts of equally many words. reweight: only apply the weights.",
        choices=METHODS,
        told="fusion method",
    )
    cross_steps: float = setting(
        0.8,
        "Share of the steps in which the words' attention comes from the source. More keeps the "
        "layout, less frees it.",
        within=(0, 1),
    )
    self_steps: float = setting(
        0.7,
        "Share of the steps in which self-attention comes from the source. More keeps structure "
        "and motion, less frees shapes.",
        within=(0, 1),
    )
    blend_words: tuple[str, ...] = setting(
        (),
        "Words of the source prompt, separated by commas. Where the model looks at them, the edit "
        "is free; elsewhere the source is kept. Empty: its self-attention is kept everywhere.",
        read=parse_phrases,
    )
    threshold: float = setting(
        0.3,
        "How strongly a place must look at the blend words to be edited, relative to the "
        "strongest of its frame. 0 edits everywhere, 1 nowhere.",
        within=(0, 2),
    )
    weights: tuple[tuple[str, float], ...] = setting(
        (),
        "Words of the target prompt and how many times stronger they shall be: 'watercolor: 10, "
        "jeep: 0.5'.",
        read=parse_weights,
        demand=_require_weights,
    )
    self_blend: bool = setting(
        True,
        "Free the self-attention where the model looks at the blend words, for another shape. "
        "Off: it stays the source's there, too, for another colour or texture; the blend words "
        "then say where the latent blend leaves off.",
    )
    latent_blend: bool = setting(
        False, "Also keep the source's latents outside of the blend words' place: for local edits."
    )
    blend_window: Span = span_setting(
        BLENDED,
        blend_start="Share of the steps after which the latent blend begins.",
        blend_end="Share of the steps after which the latent blend ends.",
    )
    target_blend_words: tuple[str, ...] = setting(
        (),
        "Words of the target prompt, separated by commas, for latent_blend: where the edit has "
        "looked at them so far is free as well, so that a thing may outgrow the one whose place "
        "it takes.",
        read=parse_phrases,
    )
    bridge: float = setting(
        0.0,
        "Let self-attention go over from the source's to the edit's as the noise falls, in the "
        "place of a sudden end (StreamEdit); more does so sooner. For video models; about 2, with "
        "self_steps 1. 0 is off.",
        within=(0, 100),
        step=0.5,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_use()

    def _require_use(self) -> None:
        """Blend words must have something to blend, and the other way round."""
        if self.blend_words and not (self.self_blend or self.latent_blend):
            raise EvenframeError(
                f"The blend words '{', '.join(self.blend_words)}' would do nothing, because "
                "self_blend and latent_blend are off: switch one on, or leave the words out."
            )
        if self.target_blend_words and not self.latent_blend:
            raise EvenframeError(
                f"The target blend words '{', '.join(self.target_blend_words)}' would do nothing, "
                "because latent_blend is off: switch it on, or leave the words out."
            )
        if self.latent_blend and not (self.blend_words or self.target_blend_words):
            raise EvenframeError(
                "latent_blend is on, but there are no blend words: name the words, of the source "
                "prompt or of the target prompt, whose place is edited, or switch it off."
            )

    @property
    def changes_self(self) -> str:
        """Where self-attention is changed, how to switch that off."""
        return "self_steps of Attention Fusion to 0" if self.self_steps else ""

    @property
    def kept_noise(self) -> str:
        """At whose noise the source's latents are kept, if they are."""
        return "inversion" if self.latent_blend else ""

    def begin(self, edit: Edit) -> "FusionRun":
        """Find the words in both prompts and start."""
        return FusionRun(self, edit)


class FusionRun(ControlRun):
    """Fusion at work in one edit."""

    replaces = True

    def __init__(self, settings: Fusion, edit: Edit):
        model, steps = edit.model, edit.steps
        source, target = edit.inversion.prompt, edit.prompt
        theirs, length = (len(prompt.states["tokens"]) for prompt in (source, target))
        self._mix = token_mix(
            settings.method, source.tokens, target.tokens, length, settings.weights, theirs
        )
        self._blend_tokens = tokens_of(source.tokens, settings.blend_words)
        target_tokens = tokens_of(target.tokens, settings.target_blend_words)
        self._threshold, self._bridge, self._own = settings.threshold, settings.bridge, 0.0
        self._uses_source = bool(self._mix.from_source.any())
        self._uses_own = bool(self._mix.own.any())
        self._cross_end, self._self_end = published_steps(settings, steps)
        blended = settings.blend_window if settings.latent_blend else NEVER
        self._blend_range = blended.steps(steps)
        self._gate_end = self._self_end if self._blend_tokens and settings.self_blend else 0
        self._kept = kept_sites(model.denoiser.sites, model.denoiser.layout)
        self._mask_sites = mask_sites(model.denoiser.sites, model.denoiser.layout.mask_stride)
        self._target_words = TargetWords(self._mask_sites, target_tokens) if target_tokens else None
        self._frame_size = edit.frame_size
        height, width = edit.inversion.trajectory.shape[-2:]
        self._latent_size = (height, width)
        self._source = NOTHING
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
        self._own = own_share(step.here, self._bridge)
        self._cross_on = step.index < self._cross_end
        self._self_on = step.index < self._self_end
        self._gated = step.index < self._gate_end
        self._masks = {}
        if self._target_words is not None:
            self._target_words.start(step.index)
        if self._masked(step.index):
            maps = word_maps(step.source, self._mask_sites, self._blend_tokens, self._frame_size)
            grids = {site.grid(self._frame_size) for site in self._kept if site.kind == "self"}
            self._masks = blend_mask(maps, [*grids, self._latent_size], self._threshold)

    def attend(self, call: Call, terms: Terms) -> Terms:
        """Fuse the target branch's attention at the sites that are kept of the source."""
        if call.branch != "target" or call.site not in self._kept:
            return terms
        if self._target_words is not None:
            self._target_words.see(call)
        if call.site.kind == "cross":
            return self._fuse_cross(call, terms) if self._cross_on else terms
        return self._fuse_self(call, terms) if self._self_on else terms

    def settle(self, latents: Tensor, step: Step) -> Tensor:
        """Keep the source's latents outside the mask, at the noise level that was reached."""
        mask = self._latent_mask() if step.index in self._blend_range else None
        if mask is None:
            return latents
        return step.arrival + mask.to(latents)[:, None] * (latents - step.arrival)

    def end(self) -> None:
        """Let go: the next step's attention may be computed before `prepare` is called again."""
        self._masks, self._source = {}, NOTHING

    def _latent_mask(self) -> Tensor | None:
        """(f, h, w): where the source looks at the blend words or the edit at the target's."""
        size = self._latent_size
        found = [self._masks[size]] if self._masks else []
        maps = None if self._target_words is None else self._target_words.total()
        if maps is not None:
            found.append(blend_mask(maps[None], [size], self._threshold)[size])
        return torch.stack(found).amax(0) if found else None

    def _masked(self, step: int) -> bool:
        """Whether the source's mask is needed."""
        blending = step < self._gate_end or step in self._blend_range
        return blending and bool(self._blend_tokens)

    def _fuse_self(self, call: Call, terms: Terms) -> Terms:
        name, own = call.site.name, self._own
        queries, keys = self._source.queries[name], self._source.keys[name]
        if own:
            queries, keys = torch.lerp(queries, call.q, own), torch.lerp(keys, call.k, own)
        source = Term(queries, call.gather(keys), call.values, source=True)
        if not self._gated:
            return (source,)
        inside = self._masks[call.grid].flatten(1)[:, None, :, None].to(call.q)  # f 1 (h w) 1
        edited = tuple(replace(term, gate=_times(term.gate, inside)) for term in terms)
        return (*edited, replace(source, gate=1 - inside))

    def _fuse_cross(self, call: Call, terms: Terms) -> Terms:
        name = call.site.name
        fused: Terms = ()
        if self._uses_own:
            own = self._mix.own.to(call.v)[:, None]  # target's tokens 1
            fused = tuple(replace(term, v=each_once(term.v, own.mul)) for term in terms)
        if self._uses_source:
            # The prompt is the same in every frame, so its mixed values are, too.
            values = self._mix.from_source.to(call.v) @ call.v[:1]  # 1 heads source's tokens d
            keys = self._source.keys[name].expand(len(call.q), -1, -1, -1)
            values = values.expand(len(call.q), -1, -1, -1)
            fused = (*fused, Term(self._source.queries[name], keys, values, source=True))
        return fused


def published_steps(settings: Fusion, steps: int) -> tuple[int, int]:
    """Steps in which cross- and self-attention are controlled: int(c (N+1)) and int(s N).

    As published, and so not the rule of `Span`, by which every other share of steps is cut.
    """
    return int(settings.cross_steps * (steps + 1)), int(settings.self_steps * steps)


def own_share(level: Level, bridge: float) -> float:
    """r = 1 - t^rho at a level of the noise t: how much of the edit's own queries and keys there is
    beside the source's, from 0 in pure noise to 1. bridge: rho; at 0 there is none of them."""
    return 1 - min(level.noise, 1.0) ** bridge if bridge else 0.0


def _times(gate: Tensor | None, factor: Tensor) -> Tensor:
    return factor if gate is None else gate * factor
