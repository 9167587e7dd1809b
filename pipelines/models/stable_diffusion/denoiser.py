"""Stable Diffusion's denoiser: a diffusers UNet whose attention can be rewritten, and its costs."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor
from torch.func import functional_call

from ...attention.keyframes import KeyFrameTable
from ...attention.processor import Attend, ForwardPass, Norm, Passing, SiteProcessor
from ...attention.sites import Site, layout_of
from ...attention.terms import as_it_is
from ...common.errors import EvenframeError
from ...text.conditioning import Conditioning
from ..delta import Delta
from ..gradients import checkpointed, ordinary_weights
from ..module_denoiser import ModuleDenoiser
from ..schedule import Level
from . import over_frames
from .codec import SPACE_STRIDE


@dataclass(frozen=True, eq=False)
class UNetDenoiser(ModuleDenoiser):
    """A `Denoiser` (model.py) of diffusers' UNet2DConditionModel.

    passing: hands a pass on to hooks. added, norm: see `ForwardPass`.
    """

    passing: Passing = field(default_factory=Passing, kw_only=True)
    added: Mapping[str, over_frames.Layer] = field(default_factory=dict, kw_only=True)
    norm: Norm = field(default="frame", kw_only=True)

    def with_delta(self, delta: Delta) -> Self:
        """Another over the same module; see `Model.with_delta`."""
        changed = self.with_changes(delta)
        if not delta.over_frames:
            return changed
        if self.added and delta.added:
            raise EvenframeError(
                f"'{self.name}' has layers over frames already, and '{delta.name}' has others: "
                "put only one of the two on the model."
            )
        over_frames.require_fitting(delta, self.module, self.name)
        added = over_frames.by_place(delta.added) or self.added
        more = over_frames.temporal_sites(added, self.sites).values() if delta.added else ()
        sites = tuple(sorted((*self.sites, *more), key=lambda site: site.order))
        norm = "frame" if self.norm == delta.norm == "frame" else "clip"
        return replace(changed, added=added, norm=norm, sites=sites)

    def predict(
        self,
        latents: Tensor,
        level: Level,
        branches: Mapping[str, Conditioning],
        keyframes: KeyFrameTable | None = None,
        attend: Attend = as_it_is,
    ) -> dict[str, Tensor]:
        """What it says of latents (f, 4, h, w), by branch name; see `Denoiser`."""
        config = self.module.config
        self.require_fitting(latents, branches, config.in_channels, config.cross_attention_dim)
        frames, _, rows, columns = latents.shape
        states = [prompt.states["tokens"] for prompt in branches.values()]
        context = torch.cat([state.expand(frames, -1, -1) for state in states])  # (b f) L c
        batch = latents.repeat(len(branches), 1, 1, 1)  # (b f) c h w
        width = None if keyframes is None else keyframes.width
        forward = ForwardPass(
            branches=tuple(branches),
            frame_size=(rows * SPACE_STRIDE, columns * SPACE_STRIDE),
            keyframes=None if keyframes is None else keyframes.rows.to(self.device),
            keyframe_stride=self.layout.looks_from(width, SPACE_STRIDE),
            attend=attend,
            frames=frames,
            added=self.added,
            norm=self.norm,
        )
        given = {
            "encoder_hidden_states": context.to(self.device, self.dtype),
            "cross_attention_kwargs": {"forward": forward},
        }
        inputs = (batch.to(self.device, self.dtype), level.time)
        with self.passing.through(forward):
            output = functional_call(self.module, self.changed(), inputs, given, tie_weights=False)
        return dict(zip(branches, output.sample.float().chunk(len(branches)), strict=True))

    @contextmanager
    def differentiable(self, checkpoint_to: Site | None = None) -> Iterator[None]:
        """Inside, `predict` can be differentiated with respect to the latents; see `Denoiser`."""
        with ordinary_weights(self.module), ExitStack() as stack:
            if checkpoint_to is not None:
                name = checkpoint_to.name
                holder = self.module.get_submodule(name.partition(".transformer_blocks")[0])
                stack.enter_context(checkpointed(self.module, holder))
            yield

    def tuning_start(self, layers: str, draw: torch.Generator) -> Delta:
        """The queries of its attention, and attention over frames; see `Denoiser`."""
        return over_frames.tuning_start(self.module, self.sites, layers, draw)

    @contextmanager
    def training(self, checkpointing: bool = True) -> Iterator[None]:
        """Inside, `predict` can be differentiated with respect to a `Delta`.

        checkpointing: keep only the input of each block, and compute it again for the gradient.
        """
        with ordinary_weights(self.module), ExitStack() as stack:
            if checkpointing:
                stack.enter_context(checkpointed(self.module, None))
            yield

    def working_bytes(self, frames: int, frame_size: tuple[int, int], branches: int) -> int:
        """Counted for Stable Diffusion 1.5: 70 MB per frame and branch at 512x512 in 16 bits.

        It grows with the pixels, the width of the first block and the size of a number.
        """
        pixels = frame_size[0] * frame_size[1] / 512**2
        width = self.module.config.block_out_channels[0] / 320
        return int(70e6 * pixels * width * self.dtype.itemsize / 2) * frames * branches

    def gradient_bytes(
        self, frames: int, frame_size: tuple[int, int], checkpointed: bool = False
    ) -> int:
        """Counted for Stable Diffusion 1.5, to the coarse cross-attention.

        Beside what the pass itself needs, it keeps 366 MB per frame at 512x512 in 16 bits, or 70 MB
        where it is `checkpointed`.
        """
        own = self.working_bytes(frames, frame_size, branches=1)
        return int(own * (1 + (70 if checkpointed else 366) / 70))


def denoiser_of(unet: Any, name: str, native_size: int) -> UNetDenoiser:
    """Wrap a loaded UNet, which gets this package's attention processors."""
    sites = unet_sites(unet)
    processors: dict[str, Any] = {f"{site.name}.processor": SiteProcessor(site) for site in sites}
    unet.set_attn_processor(processors)
    passing = Passing()
    over_frames.attach(unet, sites, passing)
    layout = replace(layout_of(sites, native_size), carries=True)
    return UNetDenoiser(name, unet, sites, layout, passing=passing)


def unet_sites(unet: Any) -> tuple[Site, ...]:
    """The attention layers of a UNet2DConditionModel in the order of its forward pass."""
    names = [name.removesuffix(".processor") for name in unet.attn_processors]
    depth = len(unet.config.block_out_channels) - 1
    return tuple(
        Site(
            name=name,
            kind="self" if name.endswith("attn1") else "cross",
            stride=SPACE_STRIDE * 2 ** _level(name, depth),
            order=order,
        )
        for order, name in enumerate(sorted(names, key=_forward_order))
    )


def _forward_order(name: str) -> tuple[int, list[int | str]]:
    stage = ("down_blocks", "mid_block", "up_blocks").index(name.split(".")[0])
    return stage, [int(part) if part.isdecimal() else part for part in name.split(".")[1:]]


def _level(name: str, depth: int) -> int:
    """How many times the latents were halved at this layer."""
    stage, index = name.split(".")[:2]
    if stage == "mid_block":
        return depth
    return int(index) if stage == "down_blocks" else depth - int(index)
