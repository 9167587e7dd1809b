"""Wan's denoiser: a diffusers video transformer whose attention can be rewritten, and its costs."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from ...attention.keyframes import KeyFrameTable
from ...attention.processor import Attend, ForwardPass, Passing
from ...attention.sites import Site, layout_of
from ...attention.terms import as_it_is
from ...text.conditioning import Conditioning
from ..gradients import checkpointed, ordinary_weights
from ..module_denoiser import ModuleDenoiser
from ..schedule import Level
from .processor import ClipProcessor
from .text import MAX_TOKENS


@dataclass(frozen=True, eq=False)
class WanDenoiser(ModuleDenoiser):
    """A `Denoiser` (model.py) of diffusers' WanTransformer3DModel.

    passing: hands a pass on to the attention. space_stride: pixels along one side of a latent.
    """

    passing: Passing
    space_stride: int

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the large weights; norms and the like may have more."""
        return self.module.patch_embedding.weight.dtype

    def predict(
        self,
        latents: Tensor,
        level: Level,
        branches: Mapping[str, Conditioning],
        keyframes: KeyFrameTable | None = None,
        attend: Attend = as_it_is,
    ) -> dict[str, Tensor]:
        """What it says of latents (t, c, h, w), by branch name; see `Denoiser`.

        keyframes: have no meaning here, for every frame attends to all.
        """
        config, count = self.module.config, len(branches)
        self.require_fitting(latents, branches, config.in_channels, config.text_dim)
        frames, _, rows, columns = latents.shape
        forward = ForwardPass(
            branches=tuple(branches),
            frame_size=(rows * self.space_stride, columns * self.space_stride),
            keyframes=torch.arange(frames, device=self.device)[None],  # 1 t
            keyframe_stride=0,
            attend=attend,
            frames=frames,
        )
        clip = latents.transpose(0, 1)[None].to(self.device, self.dtype)  # 1 c t h w
        states = torch.stack([prompt.states["tokens"] for prompt in branches.values()])  # b L c
        times = torch.full((count,), float(level.time), device=self.device)
        given = {"encoder_hidden_states": states.to(self.device, self.dtype)}
        inputs = (clip.expand(count, -1, -1, -1, -1), times)
        with self.passing.through(forward):
            output = functional_call(
                self.module, self.changed(), inputs, given, tie_weights=False
            ).sample
        each = output.float().transpose(1, 2)  # b t c h w
        return dict(zip(branches, each, strict=True))

    @contextmanager
    def differentiable(self, checkpoint_to: Site | None = None) -> Iterator[None]:
        """Inside, `predict` can be differentiated with respect to the latents; see `Denoiser`."""
        with ordinary_weights(self.module), ExitStack() as stack:
            if checkpoint_to is not None:
                holder = self.module.get_submodule(checkpoint_to.name.rpartition(".")[0])
                stack.enter_context(checkpointed(self.module, holder))
            yield

    def working_bytes(self, frames: int, frame_size: tuple[int, int], branches: int) -> int:
        """Counted for Wan 2.1: 50 kB per token and branch of the 1.3B model in 16 bits, and 115 kB
        of the 14B one; 33 frames of 480x832 have 14,040 tokens."""
        ffn = self.module.config.ffn_dim
        each = (7 * self._width + 1.6 * ffn) * self.dtype.itemsize
        return int(each * self._tokens(frames, frame_size)) * branches

    def gradient_bytes(
        self, frames: int, frame_size: tuple[int, int], checkpointed: bool = False
    ) -> int:
        """Counted for Wan 2.1, to the last cross-attention.

        Beside what the pass itself needs, each layer keeps 90 kB per token of the 1.3B model in 16
        bits, of which 25 kB are maps; where it is `checkpointed`, one layer does, and of the others
        their input and their maps' mean over the heads.
        """
        config, size = self.module.config, self.dtype.itemsize
        maps = 4 * MAX_TOKENS  # of one head and token
        layer = (17.3 * self._width + 0.7 * config.ffn_dim) * size
        layer += maps * config.num_attention_heads
        kept, whole = (self._width * size + maps, 1) if checkpointed else (0, config.num_layers)
        each = whole * layer + config.num_layers * kept
        own = self.working_bytes(frames, frame_size, branches=1)
        return own + int(each * self._tokens(frames, frame_size))

    @property
    def _width(self) -> int:
        return self.module.config.num_attention_heads * self.module.config.attention_head_dim

    def _tokens(self, frames: int, frame_size: tuple[int, int]) -> int:
        rows, columns = self.sites[0].grid(frame_size)
        return frames * rows * columns


def denoiser_of(transformer: Any, name: str, native_size: int, space_stride: int) -> WanDenoiser:
    """Wrap a loaded transformer, which gets this package's attention processors."""
    passing, sites = Passing(), wan_sites(transformer, space_stride)
    processors: dict[str, Any] = {
        f"{site.name}.processor": ClipProcessor(site, passing) for site in sites
    }
    transformer.set_attn_processor(processors)
    layout = layout_of(sites, native_size, whole_clip=True)
    return WanDenoiser(name, transformer, sites, layout, passing, space_stride)


def wan_sites(transformer: Any, space_stride: int) -> tuple[Site, ...]:
    """The attention layers of a WanTransformer3DModel in the order of its forward pass."""
    stride = space_stride * transformer.config.patch_size[-1]
    return tuple(
        site
        for block in range(transformer.config.num_layers)
        for site in (
            Site(f"blocks.{block}.attn1", "self", stride, 2 * block),
            Site(f"blocks.{block}.attn2", "cross", stride, 2 * block + 1),
        )
    )
