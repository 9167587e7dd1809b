"""A difference on a model's weights: what a LoRA, a tuning or a motion layer adds to them."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..common.errors import EvenframeError
from ..common.tensor_file import hash_tensors


@dataclass(frozen=True, eq=False)
class Delta:
    """What is added to a denoiser's parameters, by their names; put on by `Model.with_delta`.

    name: for people. changes: not to be altered once it is on a model, whose fingerprint has them.
    """

    name: str
    changes: Mapping[str, Tensor]

    @property
    def fingerprint(self) -> str:
        """Of the names and every value."""
        return hash_tensors(self.changes)

    def require_fitting(self, weights: Mapping[str, Tensor], model: str) -> None:
        """Raise EvenframeError for parameters that a denoiser does not have, or in other shapes."""
        for name, change in self.changes.items():
            if name not in weights:
                raise EvenframeError(
                    f"The difference '{self.name}' changes '{name}', which '{model}' does not "
                    "have: use the model that it was made for."
                )
            if not change.isfinite().all():
                raise EvenframeError(
                    f"The difference '{self.name}' has numbers for '{name}' that are none (NaN or "
                    "infinite): make it again."
                )
            if change.shape != weights[name].shape:
                raise EvenframeError(
                    f"The difference '{self.name}' has {tuple(change.shape)} numbers for '{name}', "
                    f"which '{model}' has {tuple(weights[name].shape)} of: use the model that it "
                    "was made for."
                )
