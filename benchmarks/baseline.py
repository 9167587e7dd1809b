"""The original's way, for comparison only: attention maps are built, stored at every step, fused.

Written from the method's description (FateZero, ICCV 2023, section 3.2; Prompt-to-Prompt, ICLR
2023), map by map, so that it can also judge the factorised form that the package uses. What the
public implementation does besides (a second store for the edit's own maps, deep copies of both) is
left out, so it is the better for it.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..pipelines.attention.keyframes import KeyFrameTable
from ..pipelines.attention.processor import ForwardPass, SiteProcessor
from ..pipelines.attention.sites import Site
from ..pipelines.attention.terms import Call, evaluate
from ..pipelines.controls.base import Control, ControlRun, Edit, Step
from ..pipelines.controls.fatezero.fusion import Fusion, published_steps
from ..pipelines.models.model import Model
from ..pipelines.models.schedule import Level
from ..pipelines.source.maps import blend_mask, mask_sites
from ..pipelines.text.alignment import align_tokens, replace_matrix
from ..pipelines.text.conditioning import Conditioning
from ..pipelines.text.prompt import find_tokens
from .models import with_part, with_predict

Maps = dict[str, Tensor]
"""Attention maps of one step by site name: (f, heads, n, m)."""


class MapProcessor(SiteProcessor):
    """Builds the maps of the layers from a stride on and lets a hook see and change them."""

    def __init__(self, site: Site, stride: int):
        super().__init__(site)
        self._stride = stride

    def output(self, forward: ForwardPass, call: Call) -> Tensor:
        if call.site.stride < self._stride:
            return evaluate(call.plain())
        logits = call.q @ call.gather(call.k).transpose(-1, -2)  # f heads n m
        maps = torch.softmax(logits * call.q.shape[-1] ** -0.5, dim=-1)
        hook: Any = forward.attend
        return hook(call, maps) @ call.gather(call.v)


@dataclass
class MapStore:
    """Takes every step's maps to main memory.

    dtype: what they are kept in; the original keeps float16.
    """

    dtype: torch.dtype = torch.float16
    steps: list[Maps] = field(default_factory=list)

    def attend(self, call: Call, maps: Tensor) -> Tensor:
        """Keep the maps of this call; a meta tensor stands for its copy."""
        kept = maps.to(self.dtype)
        self.steps[-1][call.site.name] = kept if kept.is_meta else kept.cpu().clone()
        return maps

    def nbytes(self) -> int:
        """Bytes of all maps."""
        kept = [tensor for maps in self.steps for tensor in maps.values()]
        return sum(tensor.numel() * tensor.element_size() for tensor in kept)


def map_layers(model: Model) -> Model:
    """A Stable Diffusion model whose coarse layers build their maps; `attend` changes those."""
    unet, denoiser = deepcopy(model.denoiser.module), model.denoiser
    processors: Any = {
        f"{site.name}.processor": MapProcessor(site, denoiser.layout.control_stride)
        for site in denoiser.sites
    }
    unet.set_attn_processor(processors)
    return with_part(model, "denoiser", module=unet)


def map_model(model: Model, store: MapStore) -> Model:
    """The same, whose maps of every pass with nothing but a source branch are stored."""
    mapped = map_layers(model)

    def predict(
        latents: Tensor,
        level: Level,
        branches: Mapping[str, Conditioning],
        keyframes: KeyFrameTable | None = None,
        attend: Any = None,
    ) -> dict[str, Tensor]:
        if set(branches) == {"source"}:
            store.steps.append({})
            attend = store.attend
        return mapped.denoiser.predict(latents, level, branches, keyframes, attend)

    return with_predict(mapped, predict)


@dataclass(frozen=True)
class MapFusion(Control):
    """FateZero's fusion of maps. settings: as for the package's. store: the inversion's maps."""

    settings: Fusion
    store: MapStore

    def begin(self, edit: Edit) -> ControlRun:
        return MapFusionRun(self.settings, self.store.steps, edit)


class MapFusionRun(ControlRun):
    """Fusion at work on maps, in one edit."""

    def __init__(self, settings: Fusion, records: Sequence[Maps], edit: Edit):
        self._settings, self._records, self._edit = settings, records, edit
        self._cross_end, self._self_end = published_steps(settings, edit.steps)
        source = edit.inversion.prompt.tokens
        words = [token for word in settings.blend_words for token in find_tokens(source, word)]
        self._blend_tokens = list(dict.fromkeys(words))
        self._latent_size = tuple(edit.inversion.trajectory.shape[-2:])
        self._maps: Maps = {}
        self._masks: Mapping[tuple[int, int], Tensor] = {}

    def prepare(self, step: Step) -> None:
        self._index = step.index
        record = self._records[len(self._records) - 1 - step.index]
        model = self._edit.model
        self._maps = {name: maps.to(model.device, model.dtype) for name, maps in record.items()}
        if self._blend_tokens:
            self._masks = self._blend_masks()

    def attend(self, call: Call, terms: Any) -> Any:
        """The maps of this call, fused with the source's."""
        ours: Tensor = terms
        if call.branch != "target":
            return ours
        theirs = self._maps[call.site.name]
        if call.site.kind == "cross":
            return self._cross(theirs, ours) if self._index < self._cross_end else ours
        if self._index >= self._self_end:
            return ours
        if not self._masks:
            return theirs
        rows = self._masks[call.grid].flatten(1)[:, None, :, None]  # f 1 n 1
        return rows * ours + (1 - rows) * theirs

    def settle(self, latents: Tensor, step: Step) -> Tensor:
        blended = self._settings.blend_window.steps(self._edit.steps)
        if not self._settings.latent_blend or step.index not in blended:
            return latents
        mask = self._masks[self._latent_size[0], self._latent_size[1]][:, None]
        return step.arrival + mask * (latents - step.arrival)

    def _cross(self, theirs: Tensor, ours: Tensor) -> Tensor:
        source, target = self._edit.inversion.prompt.tokens, self._edit.prompt.tokens
        lengths = ours.shape[-1], theirs.shape[-1]
        if self._settings.method == "replace":
            before, after = ([word.tokens for word in p.words] for p in (source, target))
            matrix = replace_matrix(before, after, *lengths).to(theirs)
            fused = theirs @ matrix
            fused[..., lengths[1] :] += ours[..., lengths[1] :] * ~matrix.any(0)[lengths[1] :]
        elif self._settings.method == "refine":
            mapper, alphas = align_tokens(source.ids, target.ids, *lengths)
            alphas = alphas.to(ours)
            fused = alphas * theirs[..., mapper.clamp(min=0).to(ours.device)] + (1 - alphas) * ours
        else:
            fused = ours.clone()
        for word, factor in self._settings.weights:
            fused[..., list(find_tokens(target, word))] *= factor
        return fused

    def _blend_masks(self) -> Mapping[tuple[int, int], Tensor]:
        model = self._edit.model
        size = model.codec.lattice_of(self._edit.inversion.trajectory[0]).size
        sites: Sequence[Site] = mask_sites(model.denoiser.sites, model.denoiser.layout.mask_stride)
        layers = [
            self._maps[site.name][..., self._blend_tokens]
            .sum(-1)
            .transpose(0, 1)
            .unflatten(-1, site.grid(size))  # heads f h w
            for site in sites
        ]
        grids = {site.grid(size) for site in model.denoiser.sites if site.kind == "self"}
        sizes = [*grids, (self._latent_size[0], self._latent_size[1])]
        return blend_mask(torch.cat(layers), sizes, self._settings.threshold)
