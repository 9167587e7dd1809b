"""What goes with a MODEL to the host's own samplers: data that nothing changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ....pipelines.common.errors import EvenframeError
from ....pipelines.models.schedule import Level
from ....pipelines.source.between import Blurred, Inverted
from .standing import OURS

if TYPE_CHECKING:
    from torch import Tensor

    from ....pipelines.attention.keyframes import KeyFrames
    from ....pipelines.controls.base import Control
    from ....pipelines.models.model import Model
    from ....pipelines.source.between import SourceLatents
    from ....pipelines.source.inversion import Inversion
    from ....pipelines.text.conditioning import Conditioning


@dataclass(frozen=True, eq=False)
class Source:
    """The clip that a sampler edits.

    model: knows layers, words and lattice. prompt, target: of the clip and of the edit. clean: (t,
    c, h, w), the clip as the model scales latents. shared: (t, c, h, w), the noise that it has at
    every level; None for what the sampler starts with. inversion: in the place of noise.
    keyframes: who looks at whom.
    """

    model: Model
    prompt: Conditioning
    target: Conditioning
    clean: Tensor
    shared: Tensor | None = None
    inversion: Inversion | None = None
    keyframes: KeyFrames = ("own",)

    @property
    def layers(self) -> str:
        """Which of them look at key frames, see `Inversion`."""
        return "auto" if self.inversion is None else self.inversion.layers

    def latents(self, noise: Tensor) -> SourceLatents:
        """The source at every level. noise: (t, c, h, w), what the sampler starts with."""
        if self.inversion is None:
            return Blurred(self.clean, noise if self.shared is None else self.shared)
        inverted = self.inversion.levels(self.model.schedule)
        # However little noise its schedule ends with, those latents are the clip's own.
        return Inverted(self.inversion, [*inverted[:-1], Level(inverted[-1].time, 1.0, 0.0)])

    def require_noise(self, noise: Tensor) -> None:
        """Raise EvenframeError where it is to have a sampler's noise, and there is none."""
        if self.shared is None and self.inversion is None and not noise.any():
            raise EvenframeError(
                "The sampler starts without noise (add_noise is off), from which the source shall "
                "have its own: set noise of Source for Controls to 'shared', with the seed of the "
                "sampler that began, or link an inversion."
            )


@dataclass(frozen=True, eq=False)
class Attached:
    """A source, and what steers the edit of it. controls: a chain."""

    source: Source
    controls: tuple[Control, ...] = ()


def attached_in(options: Mapping[str, Any]) -> Attached | None:
    """Of model options."""
    return options.get("transformer_options", {}).get(OURS)


def attached_to(model: Any, node: str) -> Attached:
    """Of a MODEL. Raises EvenframeError, told by a node of this name, where there is none."""
    found = attached_in(model.model_options)
    if found is None:
        raise EvenframeError(
            f"There is no source on the MODEL: put Source for Controls before {node}."
        )
    return found


def with_source(attached: Attached, **changes: Any) -> Attached:
    """The same with a source that differs in these."""
    return replace(attached, source=replace(attached.source, **changes))
