"""The host's model as a `Denoiser` (pipelines/models/model.py)."""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import comfy.model_management as memory
import comfy.samplers
import torch

from ....pipelines.attention.terms import as_it_is
from ....pipelines.common.errors import EvenframeError
from ....pipelines.models.gradients import ordinary_weights
from ....pipelines.models.guidance import classifier_free
from .attention import Controlled, chained
from .levels import clean_of, entering, output_of
from .session import ROLES, Ready
from .sites import Calls, Place
from .standing import GUIDANCE

if TYPE_CHECKING:
    from torch import Tensor

    from ....pipelines.attention.keyframes import KeyFrameTable
    from ....pipelines.attention.processor import Attend
    from ....pipelines.attention.sites import Layout, Site
    from ....pipelines.models.delta import Delta
    from ....pipelines.models.schedule import Level
    from ....pipelines.text.conditioning import Conditioning

KEPT = 366 / 70
"""What a gradient keeps over what a pass needs, as counted for Stable Diffusion 1.5."""


@dataclass(frozen=True, eq=False)
class Asking:
    """What the host is asked: two branches by name, the first one positive, their conditions, or
    None for one that is not asked, the latents as it scales and lays them out, and their sigmas."""

    names: tuple[str, str]
    conditions: list[Any]
    x: Tensor
    sigmas: Tensor


@dataclass(frozen=True, eq=False)
class HostDenoiser:
    """A `Denoiser` of a MODEL that the host loads, moves and runs.

    name: for errors. patcher: the host's `ModelPatcher`. sites, places: its attention, by the
    block and the number of the call in it. kind: what it predicts. space_stride: pixels of a
    latent. ready: inside a session, the model that runs. Where the layout says `whole_clip`, all
    frames are one row of its batch.
    """

    name: str
    patcher: Any
    sites: tuple[Site, ...]
    layout: Layout
    places: Mapping[tuple[Place, int], Site]
    kind: str
    space_stride: int
    ready: Ready | None = None

    @property
    def module(self) -> Any:
        """The host's own; it is never moved from here."""
        return self.patcher.model

    @property
    def device(self) -> torch.device:
        """Where the host runs it."""
        return self.patcher.load_device

    @property
    def dtype(self) -> torch.dtype:
        """In which precision the host computes."""
        return self.patcher.model.get_dtype_inference()

    def outward(self, latents: Tensor) -> Tensor:
        """Latents (f, c, h, w) as the host lays them out."""
        return latents.transpose(0, 1)[None] if self.layout.whole_clip else latents

    def inward(self, latents: Tensor) -> Tensor:
        """The inverse of `outward`."""
        return latents[0].transpose(0, 1) if self.layout.whole_clip else latents

    def predict(
        self,
        latents: Tensor,
        level: Level,
        branches: Mapping[str, Conditioning],
        keyframes: KeyFrameTable | None = None,
        attend: Attend = as_it_is,
    ) -> dict[str, Tensor]:
        """What it says of latents (f, c, h, w), by branch name; see `Denoiser`."""
        ready = self._ready()
        ready.over(next(iter(branches.values())).window)
        asked = self._asked(latents, level, branches)
        tokens = {name: len(prompt.states["tokens"]) for name, prompt in branches.items()}
        layer = self.layer(asked.names, ready.main, tokens, latents, keyframes, attend)
        ready.at(float(asked.sigmas[0]))
        options = ready.during = chained(ready.options, layer)
        given = (ready.inner, asked.conditions, asked.x, asked.sigmas, options)
        outputs = comfy.samplers.calc_cond_batch(*given)
        said = {
            name: output_of(self.inward(clean).float(), latents, level, self.kind)
            for name, clean in zip(asked.names, outputs, strict=True)
        }
        return {name: said[name] for name in branches}

    def layer(
        self,
        names: Sequence[str],
        main: Collection[Any],
        tokens: Mapping[str, int],
        latents: Tensor,
        keyframes: KeyFrameTable | None,
        attend: Attend,
    ) -> Controlled:
        """The override for a call over latents (f, c, h, w), by branches of these names in the
        host's order; the others: see `Controlled`."""
        whole, width = self.layout.whole_clip, None if keyframes is None else keyframes.width
        return Controlled(
            Calls(_per_block(self.places)),
            names=names,
            sites=self.places,
            main=main,
            tokens=tokens,
            frame_size=(latents.shape[2] * self.space_stride, latents.shape[3] * self.space_stride),
            joined=len(latents) if whole else 1,
            keyframes=None if keyframes is None or whole else keyframes.rows,
            keyframe_stride=self.layout.looks_from(width, self.space_stride),
            attend=attend,
        )

    def guided(
        self, outputs: Mapping[str, Tensor], scale: float, latents: Tensor, level: Level
    ) -> Tensor:
        """`Guidance` with what other nodes have put on the MODEL's; passes that those make have the
        attention of the last one."""
        ready = self._ready()
        if not any(ready.options.get(name) for name in GUIDANCE):
            return classifier_free(outputs, scale, latents, level)
        asked = self._asked(latents, level, outputs)
        clean: list[Any] = [
            self.outward(clean_of(outputs[name], latents, level, self.kind))
            if name in outputs
            else torch.zeros_like(asked.x)
            for name in asked.names
        ]
        shared = {"model": ready.inner, "model_options": ready.during, "input": asked.x}
        shared |= {"sigma": asked.sigmas, "timestep": asked.sigmas, "cond_scale": scale}
        for change in ready.options.get("sampler_pre_cfg_function", ()):
            clean = change({**shared, "conds": asked.conditions, "conds_out": clean})
        given = (*clean[:2], scale, asked.x, asked.sigmas, ready.during)
        guided = comfy.samplers.cfg_function(ready.inner, *given, *asked.conditions)
        return output_of(self.inward(guided), latents, level, self.kind)

    def _asked(self, latents: Tensor, level: Level, branches: Collection[str]) -> Asking:
        positive = next((name for name in branches if name != "negative"), "target")
        names, conditions = (positive, "negative"), self._ready().conditions
        x, sigma = entering(latents.to(self.device), level, self.kind)
        x = self.outward(x)
        return Asking(
            names,
            [conditions[ROLES[name]] if name in branches else None for name in names],
            x,
            torch.full((len(x),), sigma, device=x.device),
        )

    @contextmanager
    def differentiable(self, checkpoint_to: Site | None = None) -> Iterator[None]:
        """Inside, `predict` can be differentiated with respect to the latents; see `Denoiser`.

        Everything is kept: the host's blocks cannot be asked to be run again.
        """
        self._require_gradient()
        before, ready = memory.in_training, self._ready()
        with ExitStack() as stack:
            for each in (ready.inner, *(other.model for other in ready.others)):
                stack.enter_context(ordinary_weights(each))
            memory.in_training = True  # some of the host's kernels have no gradient without
            try:
                yield
            finally:
                memory.in_training = before

    def with_delta(self, delta: Delta) -> HostDenoiser:
        """Refused: the host has its own way of changing weights."""
        raise EvenframeError(
            f"'{self.name}' is ComfyUI's: put '{delta.name}' on the MODEL with ComfyUI's own nodes."
        )

    def tuning_start(self, layers: str, draw: torch.Generator) -> Delta:
        """Refused: the host's blocks have no place for layers over frames."""
        raise self._untunable()

    def training(self, checkpointing: bool = True) -> AbstractContextManager[None]:
        """Refused."""
        raise self._untunable()

    def _untunable(self) -> EvenframeError:
        return EvenframeError(
            f"'{self.name}' is ComfyUI's, which has no place for layers over frames: load Stable "
            "Diffusion 1.x or 2.1 with Load Model to tune it on a clip."
        )

    def working_bytes(self, frames: int, frame_size: tuple[int, int], branches: int) -> int:
        """The host's own estimate."""
        rows, columns = (side // self.space_stride for side in frame_size)
        channels = self.patcher.model.latent_format.latent_channels
        batch = (
            [branches, channels, frames]
            if self.layout.whole_clip
            else [branches * frames, channels]
        )
        return int(self.patcher.memory_required([*batch, rows, columns]))

    def gradient_bytes(
        self, frames: int, frame_size: tuple[int, int], checkpointed: bool = False
    ) -> int:
        """About what a pass to the coarse cross-attention needs, and keeps; see `Denoiser`."""
        self._require_gradient()
        return int(self.working_bytes(frames, frame_size, branches=1) * (1 + KEPT))

    def _require_gradient(self) -> None:
        if getattr(self.patcher, "is_dynamic", lambda: False)():
            raise EvenframeError(
                "ComfyUI streams this model's weights to the device (dynamic VRAM), through which "
                "RAD finds no gradient: set its guide_by to 'boost', or start ComfyUI with "
                "--disable-dynamic-vram."
            )

    def _ready(self) -> Ready:
        if self.ready is None:
            raise RuntimeError("the host's model is asked outside of a session: use Model.run")
        return self.ready


def _per_block(places: Mapping[tuple[Place, int], Any]) -> dict[Place, int]:
    found = {place: 1 + number for place, number in places}  # the last of each block stays
    return found if len(found) == 1 else {}
