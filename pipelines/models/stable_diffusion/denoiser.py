"""Stable Diffusion 1.x and 2.x: diffusers modules behind the interface of backbone.py.

Everything here that is particular (a UNet, a VAE, CLIP, the names of its blocks) stays here.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...attention.keyframes import KeyFrameTable
from ...attention.processor import Attend, Pass, SiteProcessor
from ...attention.sites import Layout, Site, layout_for
from ...attention.terms import Call, Terms
from ...common.errors import EvenframeError
from ...text import prompt as prompts
from ...text.prompt import Prompt
from ..schedule import NoiseSchedule
from .components import Components
from .gradients import checkpointed, ordinary_weights

LATENT_STRIDE = 8


def unchanged(call: Call, terms: Terms) -> Terms:
    """Attend as the model does."""
    return terms


@dataclass(frozen=True, eq=False)
class StableDiffusion:
    """A loaded Stable Diffusion 1.x or 2.x model.

    sites: its attention layers in the order of the forward pass.
    layout: which of them methods use. trained_words: see `Components`.
    """

    name: str
    fingerprint: str
    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    schedule: NoiseSchedule
    native_size: int
    sites: tuple[Site, ...]
    layout: Layout
    trained_words: frozenset[str] | None = None

    @property
    def device(self) -> torch.device:
        """Where the denoiser's weights are now."""
        return next(self.unet.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The denoiser's precision."""
        return next(self.unet.parameters()).dtype

    @property
    def size_multiple(self) -> int:
        """Frames' sides must be multiples of it, in pixels. Latents may have any sides: where a
        layer halves an odd one it rounds up, and so do the grids (`Site.grid`)."""
        return LATENT_STRIDE

    @property
    def latent_scale(self) -> float:
        """Latents here are the autoencoder's times this, which gives them unit variance."""
        return float(self.vae.config.scaling_factor)

    def frame_size(self, latents: Tensor) -> tuple[int, int]:
        """(height, width) in pixels of the frames that latents (f, c, h, w) stand for."""
        return latents.shape[-2] * LATENT_STRIDE, latents.shape[-1] * LATENT_STRIDE

    def encode_prompt(self, text: str) -> Prompt:
        """Tokens, words and embeddings of a prompt; an error says by how much it is too long."""
        return prompts.encode(
            text, self.tokenizer, self.text_encoder, self.fingerprint, self.trained_words
        )

    @torch.no_grad()
    def encode(
        self,
        frames: Tensor,
        seed: int | None = None,
        on_frame: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Frames to latents, one frame at a time.

        frames: (f, h, w, 3) in 0..1. seed: sample the latent distribution with it; None takes the
        mode, which is reproducible without a seed. Returns (f, 4, h/8, w/8) float32, scaled.
        """
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        latents = []
        for index, frame in enumerate(frames):
            pixels = frame.movedim(-1, 0)[None].to(self._vae_device, self._vae_dtype) * 2 - 1
            distribution = self.vae.encode(pixels).latent_dist
            if generator is None:
                latent = distribution.mode()
            else:
                noise = torch.randn(distribution.mean.shape, generator=generator)
                latent = distribution.mean + distribution.std * noise.to(distribution.mean)
            latents.append(latent.float() * self.latent_scale)
            if on_frame is not None:
                on_frame(index + 1)
        return torch.cat(latents).to(self.device)

    @torch.no_grad()
    def decode(
        self, latents: Tensor, slice_size: int = 1, on_frame: Callable[[int], None] | None = None
    ) -> Tensor:
        """Latents (f, 4, h, w) to frames (f, 8h, 8w, 3) in 0..1, float32 on the CPU.

        slice_size: frames decoded at once; memory grows with it, results do not change.
        Raises EvenframeError for latents of another kind of model.
        """
        channels = self.vae.config.latent_channels
        if latents.ndim != 4 or latents.shape[1] != channels:
            raise EvenframeError(
                f"The latents have the shape {tuple(latents.shape)}, but '{self.name}' decodes "
                f"(frames, {channels}, height/8, width/8): connect the editor of the same model."
            )
        frames, done = [], 0
        for part in latents.split(slice_size):
            scaled = (part / self.latent_scale).to(self._vae_device, self._vae_dtype)
            pixels = self.vae.decode(scaled).sample.float()
            frames.append((pixels / 2 + 0.5).clamp(0, 1).movedim(1, -1).cpu())
            done += len(part)
            if on_frame is not None:
                on_frame(done)
        return torch.cat(frames)

    def working_bytes(self, frames: int, frame_size: tuple[int, int], branches: int) -> int:
        """About what a forward pass needs beside the weights, for hosts that make room first.

        Counted for Stable Diffusion 1.5: 70 MB per frame and branch at 512x512 in 16 bits; it grows
        with the pixels, the width of the first block and the size of a number.
        """
        pixels = frame_size[0] * frame_size[1] / 512**2
        width = self.unet.config.block_out_channels[0] / 320
        return int(70e6 * pixels * width * self.dtype.itemsize / 2) * frames * branches

    def gradient_bytes(
        self, frames: int, frame_size: tuple[int, int], checkpointed: bool = False
    ) -> int:
        """About what a pass to the coarse cross-attention needs, and keeps to be differentiated.

        Counted for Stable Diffusion 1.5: beside the pass's own it keeps 366 MB per frame at 512x512
        in 16 bits, or 70 MB where it is `checkpointed`.
        """
        own = self.working_bytes(frames, frame_size, branches=1)
        return int(own * (1 + (70 if checkpointed else 366) / 70))

    @contextmanager
    def differentiable(self, checkpoint_to: Site | None = None) -> Iterator[None]:
        """Inside, `predict` can be differentiated with respect to the latents.

        checkpoint_to: keep only the input of each block, and compute it again for the gradient;
        the pass must be left at this site. None keeps everything.
        """
        with ordinary_weights(self.unet), ExitStack() as stack:
            if checkpoint_to is not None:
                stack.enter_context(checkpointed(self.unet, checkpoint_to.name))
            yield

    def decoding_bytes(self, frames: int, frame_size: tuple[int, int]) -> int:
        """About what decoding so many frames at once needs beside the weights.

        Counted for Stable Diffusion 1.5: 403 MB per frame at 512x512 in 16 bits.
        """
        pixels = frame_size[0] * frame_size[1] / 512**2
        width = self.vae.config.block_out_channels[0] / 128
        return int(403e6 * pixels * width * self._vae_dtype.itemsize / 2) * frames

    def predict(
        self,
        latents: Tensor,
        timestep: int,
        branches: Mapping[str, Tensor],
        keyframes: KeyFrameTable | None = None,
        attend: Attend = unchanged,
    ) -> dict[str, Tensor]:
        """What the denoiser says of the latents, as each branch's prompt sees them.

        latents: (f, 4, h, w), the same for every branch. branches: prompt embeddings (L, c) by
        branch name, evaluated as one batch in this order. keyframes: who looks at whom, or None,
        see attention/keyframes.py. attend: rewrites attention terms, see attention/processor.py.
        Returns its output (f, 4, h, w) float32 by branch name; `schedule` knows what it means.
        """
        self._require_fitting(latents, branches)
        frames = len(latents)
        context = torch.cat([states.expand(frames, -1, -1) for states in branches.values()])
        batch = latents.repeat(len(branches), 1, 1, 1)  # (b f) c h w
        stride = None if keyframes is None else keyframes.stride
        forward = Pass(
            branches=tuple(branches),
            frame_size=self.frame_size(latents),
            keyframes=None if keyframes is None else keyframes.rows.to(self.device),
            keyframe_stride=stride or self.layout.keyframe_stride,
            attend=attend,
        )
        output = self.unet(
            batch.to(self.device, self.dtype),
            timestep,
            encoder_hidden_states=context.to(self.device, self.dtype),
            cross_attention_kwargs={"forward": forward},
        ).sample.float()
        return dict(zip(branches, output.chunk(len(branches)), strict=True))

    def _require_fitting(self, latents: Tensor, branches: Mapping[str, Tensor]) -> None:
        channels, width = self.unet.config.in_channels, self.unet.config.cross_attention_dim
        given = {states.shape[-1] for states in branches.values()}
        if latents.shape[1] != channels or given != {width}:
            raise EvenframeError(
                f"The latents have {latents.shape[1]} channels and the prompts states of width "
                f"{', '.join(map(str, sorted(given)))}, but '{self.name}' takes {channels} and "
                f"{width}: make the inversion and the prompts again with this model."
            )

    @property
    def _vae_device(self) -> torch.device:
        return next(self.vae.parameters()).device

    @property
    def _vae_dtype(self) -> torch.dtype:
        return next(self.vae.parameters()).dtype


def from_components(components: Components) -> StableDiffusion:
    """Wrap loaded modules; the UNet gets this package's attention processors."""
    sites = unet_sites(components.unet)
    processors: dict[str, Any] = {f"{site.name}.processor": SiteProcessor(site) for site in sites}
    components.unet.set_attn_processor(processors)
    for module in (components.unet, components.vae, components.text_encoder):
        module.eval().requires_grad_(False)
    return StableDiffusion(
        name=components.name,
        fingerprint=components.fingerprint,
        unet=components.unet,
        vae=components.vae,
        text_encoder=components.text_encoder,
        tokenizer=components.tokenizer,
        schedule=NoiseSchedule.from_config(components.scheduler_config),
        native_size=components.native_size,
        sites=sites,
        layout=layout_for(components.native_size),
        trained_words=components.trained_words,
    )


def unet_sites(unet: Any) -> tuple[Site, ...]:
    """The attention layers of a UNet2DConditionModel in the order of its forward pass."""
    names = [name.removesuffix(".processor") for name in unet.attn_processors]
    depth = len(unet.config.block_out_channels) - 1
    return tuple(
        Site(
            name=name,
            kind="self" if name.endswith("attn1") else "cross",
            stride=LATENT_STRIDE * 2 ** _level(name, depth),
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
