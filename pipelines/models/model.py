"""A model, as everything else sees it: four parts that know nothing of each other.

Nothing outside of them may assume a UNet, four latent channels, 77 tokens or epsilon prediction.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from ..attention.keyframes import KeyFrameTable
from ..attention.processor import Attend
from ..attention.sites import Layout, Site
from ..text.conditioning import Conditioning
from .delta import Delta
from .guidance import UNUSED, Guidance, classifier_free
from .lattice import Lattice
from .schedule import Level, Schedule

Result = TypeVar("Result")


class Codec(Protocol):
    """Frames to latents and back.

    module: what holds its weights, for those who move them.
    space_stride, time_stride, size_multiple: see `Lattice`. channels: of the latents.
    """

    @property
    def module(self) -> Any: ...
    @property
    def space_stride(self) -> int: ...
    @property
    def time_stride(self) -> int: ...
    @property
    def size_multiple(self) -> int: ...
    @property
    def channels(self) -> int: ...
    def lattice(self, frames: int, size: tuple[int, int]) -> Lattice:
        """Of a clip of frames of (height, width) pixels; EvenframeError where they do not fit."""
        ...

    def lattice_of(self, latents: Tensor) -> Lattice:
        """Of the clip that latents (t, c, h, w) stand for."""
        ...

    def encode(
        self,
        frames: Tensor,
        seed: int | None = None,
        on_frame: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Frames (f, h, w, 3) in 0..1 to latents (t, c, h, w) float32, where its weights are.

        seed: sample the latent distribution with it; None takes the mode, which is reproducible
        without a seed. on_frame: called with the number of frames done.
        """
        ...

    def decode(
        self, latents: Tensor, slice_size: int = 1, on_frame: Callable[[int], None] | None = None
    ) -> Tensor:
        """Latents to frames (f, h, w, 3) in 0..1, float32 on the CPU.

        slice_size: frames decoded at once; memory grows with it, results do not change. Without
        meaning where frames depend on those before. on_frame: called with the number of latents
        done.
        Raises EvenframeError for latents of another kind of model.
        """
        ...

    def preview(self, latents: Tensor) -> Tensor:
        """A picture (h, w, 3) in 0..1 of one latent frame (1, c, h, w), of any size and quality."""
        ...

    def exported(self, latents: Tensor) -> Tensor:
        """Latents (f, c, h, w) as other programs exchange them: the autoencoder's own numbers."""
        ...

    def imported(self, samples: Tensor) -> Tensor:
        """The inverse of `exported`."""
        ...

    def decoding_bytes(self, frames: int, frame_size: tuple[int, int]) -> int:
        """About what decoding so many frames at once needs beside the weights."""
        ...


class TextEncoder(Protocol):
    """Prompts to what a denoiser reads.

    module: as of a codec. fingerprint: goes with each prompt; one of another model is refused.
    """

    @property
    def module(self) -> Any: ...
    @property
    def tokenizer(self) -> Any: ...
    @property
    def fingerprint(self) -> str: ...

    def encode(self, text: str) -> Conditioning:
        """Tokens, words and states of a prompt; an error says by how much it is too long."""
        ...


class Denoiser(Protocol):
    """What predicts, letting controls rewrite its attention.

    module: as of a codec. sites: its attention layers in the order of the forward pass. layout:
    which of them methods use. device, dtype: where its weights are now, and their precision.
    """

    @property
    def module(self) -> Any: ...
    @property
    def sites(self) -> tuple[Site, ...]: ...
    @property
    def layout(self) -> Layout: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def dtype(self) -> torch.dtype: ...

    def predict(
        self,
        latents: Tensor,
        level: Level,
        branches: Mapping[str, Conditioning],
        keyframes: KeyFrameTable | None = None,
        attend: Attend = ...,
    ) -> dict[str, Tensor]:
        """What it says of the latents, as each branch's prompt sees them.

        latents: (t, c, h, w), the same for every branch. branches: prompts by branch name,
        evaluated as one batch in this order. keyframes: who looks at whom, or None,
        see attention/keyframes.py; without meaning where the layout says `whole_clip`.
        attend: rewrites attention terms, see attention/processor.py.
        Returns its output (t, c, h, w) float32 by branch name; the schedule knows what it means.
        """
        ...

    def differentiable(self, checkpoint_to: Site | None = None) -> AbstractContextManager[None]:
        """Inside, `predict` can be differentiated with respect to the latents.

        checkpoint_to: keep only the input of each block, and compute it again for the gradient;
        the pass must be left at this site. None keeps everything.
        """
        ...

    def with_delta(self, delta: Delta) -> "Denoiser":
        """Another with these weights changed, which shares all others; see `Model.with_delta`."""
        ...

    def tuning_start(self, layers: str, draw: torch.Generator) -> Delta:
        """A difference of nothing in float32: what a one-shot tuning trains, as it begins.

        layers: "all", or "mid and up". draw: of first weights.
        Raises EvenframeError where it cannot be tuned.
        """
        ...

    def training(self, checkpointing: bool = True) -> AbstractContextManager[None]:
        """Inside, `predict` can be differentiated with respect to a difference that is on it.

        checkpointing: keep only the input of each block, and compute it again for the gradient.
        """
        ...

    def working_bytes(self, frames: int, frame_size: tuple[int, int], branches: int) -> int:
        """About what a forward pass needs beside the weights, for hosts that make room first.

        frames: of the latents.
        """
        ...

    def gradient_bytes(
        self, frames: int, frame_size: tuple[int, int], checkpointed: bool = False
    ) -> int:
        """About what a pass to the coarse cross-attention needs, and keeps to be differentiated.

        frames: of the latents. Raises EvenframeError where it cannot be differentiated.
        """
        ...


class Session(Protocol):
    """Runs some work with a model made ready for it; see `Model.run`."""

    def __call__(
        self,
        model: "Model",
        prompts: Mapping[str, Conditioning],
        latents: Tensor,
        work: "Callable[[Model], Result]",
    ) -> Result: ...


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model.

    name: for people. fingerprint: identifies the weights and how they are used; what one model made
    is refused by another. native_size: side of the square frames it was trained on, in pixels.
    native_frames: of the longest clip that it was trained on, where it sees more than frames and
    that is known; else 0.
    guidance, unused: how branches' answers become one, and by scale the branch that it need not
    have. session: prepares the model for work and tidies up after it, see `run`; None where there
    is nothing to prepare. low_noise: of a model that is two experts the one that is asked below
    `switch_at`, with the same schedule, attention layers, codec and text; see `expert`. tuned_on:
    frames of the clip that it was tuned on, if it was.
    """

    name: str
    fingerprint: str
    codec: Codec
    text: TextEncoder
    denoiser: Denoiser
    schedule: Schedule
    native_size: int
    guidance: Guidance = classifier_free
    unused: Mapping[float, str] = field(default_factory=lambda: UNUSED)
    session: "Session | None" = None
    low_noise: "Model | None" = None
    switch_at: float = 0.0
    native_frames: int = 0
    tuned_on: int = 0

    def expert(self, level: Level) -> "Model":
        """The model that is asked at a level: where it is two, this one from `switch_at` upwards.

        switch_at: the noise of a level. Source: "Wan" 2.2, as diffusers runs it.
        """
        # Schedules reach the same level by different sums.
        high = self.low_noise is None or round(level.noise, 6) >= round(self.switch_at, 6)
        return self if high or self.low_noise is None else self.low_noise

    def in_turn(self, levels: Sequence[Level]) -> Iterator[tuple["Model", range]]:
        """The experts that are asked at levels in this order, each with the places of those in a
        row that are its own: to be `run` one after the other, so that never both are ready."""
        end = 0
        for expert, own in groupby(levels, self.expert):
            begin, end = end, end + len(list(own))
            yield replace(expert, low_noise=None), range(begin, end)

    def run(
        self,
        prompts: Mapping[str, Conditioning],
        latents: Tensor,
        work: "Callable[[Model], Result]",
    ) -> "Result":
        """What `work` gives, called with this model ready to predict.

        prompts: all that the model is asked with meanwhile, by branch name. latents: as many as it
        is asked about at once; only their shape counts.
        """
        return work(self) if self.session is None else self.session(self, prompts, latents, work)

    def with_delta(self, delta: Delta) -> "Model":
        """The same with a difference on its denoiser's weights. This one stays as it is.

        Both share their memory, and go where a host moves it. Prompts are good for both; what else
        one of them made, the other refuses. A second difference is added to the first.
        Raises EvenframeError where the difference is of another model, or kind of model.
        """
        delta.require_base(self.name, self.fingerprint)
        facts = f"{self.fingerprint} {delta.fingerprint}"
        return replace(
            self,
            name=f"{self.name} + {delta.name}",
            fingerprint=hashlib.sha256(facts.encode()).hexdigest(),
            denoiser=self.denoiser.with_delta(delta),
            tuned_on=delta.frames or self.tuned_on,
        )

    @property
    def device(self) -> torch.device:
        """Where the denoiser's weights are now."""
        return self.denoiser.device

    @property
    def dtype(self) -> torch.dtype:
        """The denoiser's precision."""
        return self.denoiser.dtype

    @property
    def modules(self) -> tuple[Any, ...]:
        """The `torch.nn.Module`s that hold all weights, for a host to move."""
        experts = (self,) if self.low_noise is None else (self, self.low_noise)
        denoisers = (each.denoiser.module for each in experts)
        return *denoisers, self.codec.module, self.text.module
