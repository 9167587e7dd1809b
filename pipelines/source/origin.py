"""What an inversion was made of, by content: a file says it, and the cache finds it again by it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..common.tensor_file import hash_tensors

if TYPE_CHECKING:
    from ..models.model import Model


@dataclass(frozen=True)
class Origin:
    """Beside its model, prompt and settings, what an inversion depends on.

    clip: SHA-256 of the frames. schedule: SHA-256 of the model's noise schedule. versions: of the
    libraries that computed it. "" where it is not known.
    """

    clip: str = ""
    schedule: str = ""
    versions: str = ""


def origin_of(model: "Model", frames: Tensor) -> Origin:
    """The origin of an inversion of these frames (f, h, w, 3), made here and now."""
    import diffusers

    return Origin(
        clip=hash_tensors({"frames": frames}),
        schedule=model.schedule.identity(),
        versions=f"torch {torch.__version__}, diffusers {diffusers.__version__}",
    )
