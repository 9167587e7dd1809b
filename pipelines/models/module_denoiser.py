"""What denoisers have in common that are a library's module: its weights, and changes to them."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor

from ..attention.sites import Layout, Site
from ..common.errors import EvenframeError
from ..text.conditioning import Conditioning
from .delta import Delta


@dataclass(frozen=True, eq=False)
class ModuleDenoiser:
    """As much of a `Denoiser` (model.py) as does not depend on what the module is.

    name: the model's, for errors. changes: added to the module's parameters during a pass.
    """

    name: str
    module: Any
    sites: tuple[Site, ...]
    layout: Layout
    changes: Mapping[str, tuple[Tensor, ...]] = field(default_factory=dict, kw_only=True)

    @property
    def device(self) -> torch.device:
        """Where the weights are now."""
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Their precision."""
        return next(self.module.parameters()).dtype

    def with_delta(self, delta: Delta) -> Self:
        """Another over the same module; see `Model.with_delta`."""
        if delta.over_frames:
            raise EvenframeError(
                f"The difference '{delta.name}' has layers over frames, which '{self.name}' has "
                "no place for: use Stable Diffusion 1.x or 2.1, from Load Model."
            )
        return self.with_changes(delta)

    def with_changes(self, delta: Delta) -> Self:
        """Another whose parameters are changed, and no more."""
        name = f"{self.name} + {delta.name}"
        delta.require_fitting(dict(self.module.named_parameters()), self.name)
        changes = dict(self.changes)
        for key, change in delta.changes.items():
            changes[key] = (*changes.get(key, ()), change)  # summed later: a tuning alters its own
        return replace(self, name=name, changes=changes)

    def tuning_start(self, layers: str, draw: torch.Generator) -> Delta:
        """Refused: there are no published layers over frames for it."""
        raise self._untunable()

    def training(self, checkpointing: bool = True) -> AbstractContextManager[None]:
        """Refused."""
        raise self._untunable()

    def _untunable(self) -> EvenframeError:
        return EvenframeError(
            f"'{self.name}' cannot be tuned on a clip: load Stable Diffusion 1.x or 2.1 with Load "
            "Model."
        )

    def changed(self) -> dict[str, Tensor]:
        """The parameters that are others than the module's own, where and as those are now."""
        found = {}
        for key, changes in self.changes.items():
            weight = self.module.get_parameter(key)
            first, *more = (change.to(weight.device) for change in changes)
            # Added in the wider type: a change may be smaller than the weight's own precision.
            found[key] = (sum(more, first) + weight).to(weight.dtype)
        return found

    def require_fitting(
        self, latents: Tensor, branches: Mapping[str, Conditioning], channels: int, width: int
    ) -> None:
        """Refuse latents of other channels, and prompts with states of another width or, in one
        batch, of different lengths."""
        shapes = {tuple(prompt.states["tokens"].shape) for prompt in branches.values()}
        given, lengths = {shape[-1] for shape in shapes}, {shape[0] for shape in shapes}
        if latents.shape[1] != channels or given != {width}:
            raise EvenframeError(
                f"The latents have {latents.shape[1]} channels and the prompts states of width "
                f"{', '.join(map(str, sorted(given)))}, but '{self.name}' takes {channels} and "
                f"{width}: make the inversion and the prompts again with this model."
            )
        if len(lengths) > 1:
            raise EvenframeError(
                f"The prompts ({', '.join(branches)}) have states of "
                f"{' and '.join(map(str, sorted(lengths)))} tokens, but '{self.name}' takes them "
                "in one batch: encode them all with its own text encoder."
            )
