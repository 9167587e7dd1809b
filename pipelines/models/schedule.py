"""Noise levels, and the one step between them, whatever the model predicts.

At a level, latents are z = signal * clean + noise * eps. A model's output tells both parts apart,
each linear in z and the output; `matrix` has the four factors. So one formula steps, and one
inverts it, for every kind of model:

    z' = signal' (A z + B out) + noise' (C z + D out)
    z  = (z' - (signal' B + noise' D) out) / (signal' A + noise' C)

Source: "Denoising Diffusion Implicit Models" (Song et al., ICLR 2021), Eq. 12 and 16; for v
"Progressive Distillation for Fast Sampling of Diffusion Models" (Salimans and Ho, ICLR 2022),
appendix D; for flow "Flow Matching for Generative Modeling" (Lipman et al., ICLR 2023), on straight
paths, of which a step is Euler's.
"""

from dataclasses import dataclass
from math import isclose, isfinite, sqrt
from typing import Literal, Protocol, get_args

from torch import Tensor

from ..common.errors import EvenframeError

Kind = Literal["epsilon", "v", "flow", "clean"]
"""What a model predicts: the noise, signal * noise - noise level * clean, noise - clean, or the
clean latents."""
KINDS: tuple[str, ...] = get_args(Kind)
MAX_STEPS = 1000


@dataclass(frozen=True)
class Level:
    """A noise level.

    time: what the denoiser is told of it. signal, noise: the factors of the clean latents and of
    the noise, 0 or more: of variance-preserving models the squares of both sum to 1, of flow models
    they do themselves.
    Raises EvenframeError for factors that are no numbers, negative, or both 0.
    """

    time: float
    signal: float
    noise: float

    def __post_init__(self) -> None:
        factors = float(self.signal), float(self.noise)
        if not all(isfinite(factor) and factor >= 0 for factor in factors) or factors == (0, 0):
            raise EvenframeError(
                f"A noise level has signal {factors[0]:g} and noise {factors[1]:g}: give numbers "
                "from 0, of which one is above it."
            )


class Schedule(Protocol):
    """The noise levels of a model."""

    @property
    def kind(self) -> Kind: ...

    def at(self, time: float) -> Level:
        """The level of a time. Raises EvenframeError for one that the model does not know."""
        ...

    def times(self, steps: int) -> tuple[float, ...]:
        """The times of a run of so many steps, steps + 1 of them: most noise first, clean last.

        Raises EvenframeError for a number of steps that the model does not have.
        """
        ...

    def identity(self) -> str:
        """All that the levels depend on, or its hash: part of an inversion's origin."""
        ...


def matrix(kind: str, level: Level) -> tuple[float, float, float, float]:
    """(A, B, C, D): clean = A z + B out and noise = C z + D out, for latents z at a level.

    kind: what the model predicts, see `Kind`.
    Raises EvenframeError for a level at which the output does not tell the two apart, and for one
    that a model of this kind does not have.
    """
    a, s = level.signal, level.noise
    if kind == "epsilon":
        _require(a > 0, "pure noise, where a prediction of the noise says nothing of the picture")
        return 1 / a, -s / a, 0.0, 1.0
    if kind == "v":
        _require(isclose(a * a + s * s, 1, abs_tol=1e-5), "no level of a model that predicts v")
        return a, -s, s, a
    if kind == "flow":
        _require(isclose(a + s, 1, abs_tol=1e-5), "no level of a flow model")
        return 1.0, -s, 1.0, 1 - s
    if kind == "clean":
        _require(s > 0, "free of noise, where a prediction of the picture says nothing of it")
        return 0.0, 1.0, 1 / s, -a / s
    raise EvenframeError(f"A model that predicts '{kind}' is unknown: use {', '.join(KINDS)}.")


def split(z: Tensor, out: Tensor, level: Level, kind: str) -> tuple[Tensor, Tensor]:
    """(clean latents, noise) that latents z of a level are made of, by the model's output."""
    a, b, c, d = matrix(kind, level)
    return a * z + b * out, c * z + d * out


def mix(clean: Tensor, noise: Tensor, level: Level) -> Tensor:
    """Latents of a level, from what they are made of."""
    return level.signal * clean + level.noise * noise


def output(clean: Tensor, noise: Tensor, level: Level, kind: str) -> Tensor:
    """What a model says of latents that are mixed of these two at a level, if it is right."""
    if kind == "v":
        return level.signal * noise - level.noise * clean
    said = {"epsilon": noise, "flow": noise - clean, "clean": clean}
    return said[kind]


def step(z: Tensor, out: Tensor, here: Level, there: Level, kind: str) -> Tensor:
    """Latents z of `here` at `there`, along the model's output at `here`."""
    a, b, c, d = matrix(kind, here)
    kept, moved = there.signal * a + there.noise * c, there.signal * b + there.noise * d
    return kept * z + moved * out


def inverse_step(z: Tensor, out: Tensor, here: Level, there: Level, kind: str) -> Tensor:
    """The latents of `there`, the noisier level, from which a step arrives at z, those of `here`.

    out: the model's, at `there`.
    Raises EvenframeError where every latent would arrive at the same: the output alone decides.
    """
    a, b, c, d = matrix(kind, there)
    kept, moved = here.signal * a + here.noise * c, here.signal * b + here.noise * d
    _require(kept != 0, "a level from which a step forgets where it began: it cannot be inverted")
    return (z - moved * out) / kept


def ahead(z: Tensor, here: Level, before: Tensor, earlier: Level, there: Level) -> Tensor:
    """What latents z of `here` become at `there` if they go on as they came from `before`, those
    of `earlier`: of the same clean latents and the same noise, so along the same output, whatever
    its kind.

    z where those two levels are one, from which nothing tells the way.
    """
    between = here.signal * earlier.noise - earlier.signal * here.noise
    if not between:
        return z
    of_z = (there.signal * earlier.noise - earlier.signal * there.noise) / between
    of_before = (here.signal * there.noise - there.signal * here.noise) / between
    return of_z * z + of_before * before


def ancestral_step(
    z: Tensor, out: Tensor, here: Level, there: Level, kind: str, eta: float, fresh: Tensor
) -> Tensor:
    """`step` with a part of the noise replaced by fresh noise: none at eta 0, as DDPM does at 1."""
    clean, noise = split(z, out, here, kind)
    _require(there.signal > 0, "pure noise, at which no step ends")
    share = there.noise * here.signal / (there.signal * here.noise) if here.noise else 1.0
    sigma = eta * there.noise * sqrt(max(1 - share**2, 0.0))
    kept = sqrt(max(there.noise**2 - sigma**2, 0.0))
    return there.signal * clean + kept * noise + sigma * fresh


def move(
    z: Tensor,
    out: Tensor,
    here: Level,
    there: Level,
    kind: str,
    eta: float = 0.0,
    fresh: Tensor | None = None,
) -> Tensor:
    """A step towards less noise, with a part of it fresh where there is some, or one upwards.

    out: the model's, at the noisier of the two levels.
    """
    if there.noise > here.noise:
        return inverse_step(z, out, here, there, kind)
    if fresh is None:
        return step(z, out, here, there, kind)
    return ancestral_step(z, out, here, there, kind, eta, fresh)


def add_noise(z: Tensor, fresh: Tensor, here: Level, there: Level) -> Tensor:
    """Latents z of `here` at `there`, a level of more noise, by fresh noise on top."""
    _require(here.signal > 0, "pure noise, which more noise does not change")
    kept = there.signal / here.signal
    return kept * z + sqrt(max(there.noise**2 - (kept * here.noise) ** 2, 0.0)) * fresh


def require_steps(steps: int, most: int = MAX_STEPS) -> None:
    """Raise EvenframeError for a number of steps that a schedule does not have."""
    if not 1 <= steps <= most:
        raise EvenframeError(f"steps is {steps}: choose a whole number from 1 to {most}.")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise EvenframeError(
            f"The noise level is {what}: use another model, or other settings of its schedule."
        )
