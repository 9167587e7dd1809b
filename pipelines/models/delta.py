"""A difference on a model's weights: what a LoRA, a tuning or a motion layer adds to them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from ..attention.processor import Norm
from ..common.errors import EvenframeError
from ..common.tensor_file import hash_tensors


@dataclass(frozen=True, eq=False)
class Delta:
    """What a denoiser does otherwise than by its own weights; put on by `Model.with_delta`.

    name: for people. changes: what is added to its parameters, by their names. added: weights of
    layers over the frames of a clip, which it has not, by the names that they would have there, see
    `stable_diffusion/over_frames.py`. Neither is to be altered once it is on a model, whose
    fingerprint has them. norm: what group norms take their statistics over. base: fingerprint of
    the only model that it is good for; "" for any that it fits. frames: of the clip that it was
    tuned on; 0 where it is no tuning.
    """

    name: str
    changes: Mapping[str, Tensor] = field(default_factory=dict)
    added: Mapping[str, Tensor] = field(default_factory=dict)
    norm: Norm = "frame"
    base: str = ""
    frames: int = 0

    @property
    def fingerprint(self) -> str:
        """Of the names and every value."""
        changes = hash_tensors(self.changes)
        if not self.over_frames:
            return changes
        facts = f"{changes} {hash_tensors(self.added)} {self.norm}"
        return hashlib.sha256(facts.encode()).hexdigest()

    @property
    def over_frames(self) -> bool:
        """Whether it has frames depend on others in another way than by attention to key frames."""
        return bool(self.added) or self.norm != "frame"

    def require_base(self, model: str, fingerprint: str) -> None:
        """Raise EvenframeError for another model than the one that it is good for."""
        if self.base and self.base != fingerprint:
            raise EvenframeError(
                f"The difference '{self.name}' was made on another model than '{model}': load the "
                "model that it was made on, in the same precision and without other differences."
            )

    def require_fitting(self, weights: Mapping[str, Tensor], model: str) -> None:
        """Raise EvenframeError for parameters that a denoiser does not have, or in other shapes."""
        for name, change in self.changes.items():
            if name not in weights:
                raise EvenframeError(
                    f"The difference '{self.name}' changes '{name}', which '{model}' does not "
                    "have: use the model that it was made for."
                )
            self.require_finite(name, change)
            if change.shape != weights[name].shape:
                raise EvenframeError(
                    f"The difference '{self.name}' has {tuple(change.shape)} numbers for '{name}', "
                    f"which '{model}' has {tuple(weights[name].shape)} of: use the model that it "
                    "was made for."
                )

    def require_finite(self, name: str, numbers: Tensor) -> None:
        """Raise EvenframeError for numbers that are none."""
        if not numbers.isfinite().all():
            raise EvenframeError(
                f"The difference '{self.name}' has numbers for '{name}' that are none (NaN or "
                "infinite): make it again."
            )
