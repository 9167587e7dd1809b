"""Models whose costs are counted, and models with other parts."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from ..pipelines.models.model import Model
from ..pipelines.models.stable_diffusion import shipped
from ..pipelines.models.stable_diffusion.components import PARTS, Components, empty, native_size
from ..pipelines.models.stable_diffusion.family import from_components


def full_size() -> Model:
    """Stable Diffusion 1.5 on the meta device: shapes and costs, no memory."""
    unet, vae, text_encoder = (empty(part, shipped.config("sd15", part)) for part in PARTS)
    return from_components(
        Components(
            unet=unet,
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=shipped.tokenizer("sd15"),
            scheduler_config=shipped.config("sd15", "scheduler"),
            native_size=native_size(unet, vae),
            fingerprint="sd15 without weights",
            name="sd15",
        )
    )


def with_part(model: Model, part: str, **fields: Any) -> Model:
    """The model with other fields of one part, as in `with_part(model, "denoiser", layout=...)`."""
    changed: Any = {part: replace(getattr(model, part), **fields)}
    return replace(model, **changed)


def with_predict(model: Model, predict: Callable[..., dict[str, Tensor]]) -> Model:
    """The model with another `predict` of its denoiser."""
    denoiser: Any = _Predicting(model.denoiser, predict)
    return replace(model, denoiser=denoiser)


class _Predicting:
    def __init__(self, denoiser: Any, predict: Callable[..., dict[str, Tensor]]) -> None:
        self._denoiser, self.predict = denoiser, predict

    def __getattr__(self, name: str) -> Any:
        return getattr(self._denoiser, name)
