"""The video miniature's weights as a model that the whole package can run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...pipelines.common.errors import EvenframeError
from ...pipelines.models.files import fingerprint
from ...pipelines.models.flow_schedule import FlowSchedule
from ...pipelines.models.stable_diffusion.text import ClipText
from ...pipelines.models.wan.codec import ClipCodec
from ...pipelines.models.wan.folder import from_parts
from ...pipelines.text.vocabulary import Vocabulary
from .. import vocabulary as still
from ..integrity import check_weights
from ..tokenizer import LENGTH
from ..vocabulary import SIZE
from . import NAME, is_there, weights_dir
from .codec import decode_clip, is_flat
from .motions import CLIP, FIGURE_MOTIONS, MOTION_WORDS, OBJECT_MOTIONS
from .sampling import SHIFT, load_codec, networks_of

if TYPE_CHECKING:
    from ...pipelines.models.model import Model

FILES = {
    "transformer": "transformer/diffusion_pytorch_model.safetensors",
    "vae": "vae/diffusion_pytorch_model.safetensors",
    "text_encoder": "text_encoder/model.safetensors",
}
"""Of the parts with weights, as diffusers names them."""


def load_model(dtype: torch.dtype = torch.float32, folder: Path | None = None) -> Model:
    """The shipped weights, or another export of them.

    dtype: of the transformer in memory; norms and the like, and the other parts in the place of
    float16, stay in float32.
    Raises EvenframeError where they are missing or altered.
    """
    folder = folder or weights_dir()
    with torch.inference_mode(False):
        modules = load_modules(folder)
        for part, module in modules.items():
            _convert(module, dtype if part == "transformer" or dtype != torch.float16 else None)
    identity = fingerprint.of_files([folder / name for name in FILES.values()], f"shift {SHIFT}")
    tokenizer = _tokenizer(folder / "tokenizer")
    text = ClipText(identity, modules["text_encoder"], tokenizer, words())
    model = from_parts(NAME, identity, modules, tokenizer, FlowSchedule(SHIFT), text, SIZE, CLIP)
    if not is_flat(modules["vae"]):
        return model
    return replace(model, codec=FrameCodec(**vars(model.codec)))


@dataclass(frozen=True, eq=False)
class FrameCodec(ClipCodec):
    """The miniature's autoencoder, whose decoder needs no frame but its own: the same pixels as
    `ClipCodec`, in an eighth of the time."""

    @torch.no_grad()
    def decode(
        self, latents: Tensor, slice_size: int = 1, on_frame: Callable[[int], None] | None = None
    ) -> Tensor:
        """Latents (t, c, h, w) to frames (f, h, w, 3), one by one; see `Codec`."""
        self.require_latents(latents, "latent frames", "height/8, width/8")
        own = self.exported(latents.float()).transpose(0, 1)  # c t h w
        pixels = decode_clip(self.module, own.to(self.device, self.dtype), on_frame)
        return (pixels.float() / 2 + 0.5).clamp(0, 1).movedim(1, -1).cpu()


def load_modules(folder: Path) -> dict[str, Any]:
    """Transformer, autoencoder and text encoder in float32, in evaluation mode, frozen."""
    from safetensors.torch import load_file

    if not is_there(folder):
        raise EvenframeError(
            "The video miniature is not trained yet, and this copy of the pack comes without it: "
            "choose the miniature, or another model."
        )
    check_weights(folder)
    read = {part: load_file(folder / FILES[part]) for part in ("transformer", "text_encoder")}
    transformer, text = networks_of(read["transformer"], read["text_encoder"])
    return {
        "transformer": transformer,
        "vae": load_codec(folder / FILES["vae"]),
        "text_encoder": text,
    }


def words() -> Vocabulary:
    """What it was trained on: the still world's words, and how things move behind each of them."""
    known = still.vocabulary()
    moves = dict.fromkeys(motion.words for motion in (*OBJECT_MOTIONS, *FIGURE_MOTIONS))
    roles = {**known.roles, "how things move": (*moves, "camera panning left")}
    return Vocabulary(known.words | set(MOTION_WORDS), roles, known.before)


def _convert(module: Any, dtype: torch.dtype | None) -> None:
    """Give the weights a precision, but those that are too fine for it."""
    exact = tuple(getattr(module, "_keep_in_fp32_modules", None) or ())
    for name, parameter in module.named_parameters():
        if dtype is not None and not any(each in name for each in exact):
            parameter.data = parameter.data.to(dtype)


def _tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(
        str(folder), local_files_only=True, model_max_length=LENGTH
    )
