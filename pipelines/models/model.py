"""The model, as everything else sees it, and where to get one.

A backbone turns prompts into embeddings, frames into latents and back, and predicts, letting
controls rewrite its attention. What it predicts, its schedule knows. Nothing outside of the two may
assume a UNet, four latent channels, 77 tokens or epsilon prediction.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from ..attention.keyframes import KeyFrameTable
from ..attention.processor import Attend
from ..attention.sites import Layout, Site
from ..text.prompt import Prompt
from .schedule import NoiseSchedule

if TYPE_CHECKING:
    from .stable_diffusion.single_file import Prediction

MINIATURE = "miniature"


class Backbone(Protocol):
    """What a text-to-image or text-to-video model must offer; see stable_diffusion.py."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def schedule(self) -> NoiseSchedule: ...
    @property
    def native_size(self) -> int: ...
    @property
    def size_multiple(self) -> int: ...
    @property
    def sites(self) -> tuple[Site, ...]: ...
    @property
    def layout(self) -> Layout: ...
    @property
    def latent_scale(self) -> float: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def dtype(self) -> torch.dtype: ...

    def frame_size(self, latents: Tensor) -> tuple[int, int]: ...

    def encode_prompt(self, text: str) -> Prompt: ...

    def working_bytes(self, frames: int, frame_size: tuple[int, int], branches: int) -> int: ...

    def decoding_bytes(self, frames: int, frame_size: tuple[int, int]) -> int: ...

    def gradient_bytes(
        self, frames: int, frame_size: tuple[int, int], checkpointed: bool = False
    ) -> int: ...

    def differentiable(self, checkpoint_to: Site | None = None) -> AbstractContextManager[None]: ...

    def encode(
        self,
        frames: Tensor,
        seed: int | None = None,
        on_frame: Callable[[int], None] | None = None,
    ) -> Tensor: ...

    def decode(
        self, latents: Tensor, slice_size: int = 1, on_frame: Callable[[int], None] | None = None
    ) -> Tensor: ...

    def predict(
        self,
        latents: Tensor,
        timestep: int,
        branches: Mapping[str, Tensor],
        keyframes: KeyFrameTable | None = None,
        attend: Attend = ...,
    ) -> dict[str, Tensor]: ...


def load(
    source: str | Path = MINIATURE,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    prediction: "Prediction" = "auto",
) -> Backbone:
    """Load a model: "miniature" (built in), a diffusers folder, or a single-file checkpoint.

    Works offline; reads safetensors (or what torch.load(weights_only=True) reads). prediction:
    "auto", "epsilon" or "v_prediction", for single files that cannot tell. Raises EvenframeError
    naming what the file is where it is not Stable Diffusion 1.x or 2.x.
    """
    from .stable_diffusion.folder import load_folder
    from .stable_diffusion.single_file import load_checkpoint

    if str(source) == MINIATURE:
        from ...miniature import load_components

        return from_components(load_components(dtype), device)
    path = Path(source)
    if path.is_dir():
        return from_components(load_folder(path, dtype), device)
    return from_components(load_checkpoint(path, dtype, prediction), device)


def from_components(components: Any, device: torch.device | str | None = None) -> Backbone:
    """A backbone of modules that are already loaded (loading/components.py)."""
    from .stable_diffusion.denoiser import from_components as stable_diffusion

    if device is not None:
        for module in (components.unet, components.vae, components.text_encoder):
            module.to(device)
    return stable_diffusion(components)
