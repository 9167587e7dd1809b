"""The noise levels of models that were trained on a list of them, as Stable Diffusion was.

Source: "Denoising Diffusion Probabilistic Models" (Ho et al., NeurIPS 2020) for the list,
"Denoising Diffusion Implicit Models" (Song et al., ICLR 2021) for what a run visits of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from ..common.tensor_file import hash_tensors
from .schedule import MAX_STEPS, Kind, Level, require_steps

MAX_TIMESTEPS = 100_000
"""Noise levels that a model was trained on; all published ones have 1000."""
PREDICTIONS: Mapping[str, Kind] = {"epsilon": "epsilon", "v_prediction": "v"}
"""What a model predicts, by its name in a scheduler_config.json."""


def config_name(kind: str) -> str:
    """The name that it has there, or else its own."""
    return {kind: name for name, kind in PREDICTIONS.items()}.get(kind, kind)


@dataclass(frozen=True)
class NoiseSchedule:
    """The noise levels that a model was trained on.

    alphas_cumprod: (T,) float64, the share of signal (in power) left at each training timestep.
    kind: what the model predicts.
    steps_offset: added to the timesteps of runs with leading spacing (1 for Stable Diffusion).
    spacing: "leading", or "trailing", where a run starts from the last timestep: needed where that
    one is pure noise.
    """

    alphas_cumprod: Tensor
    kind: Kind = "epsilon"
    steps_offset: int = 1
    spacing: str = "leading"

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> "NoiseSchedule":
        """Read a diffusers scheduler configuration (`trained_betas`, or scaled-linear or linear).

        A `timestep_spacing` other than "trailing" is that of a solver, and DDIM's is taken.
        Raises EvenframeError for other schedules and predictions.
        """
        prediction = config.get("prediction_type", "epsilon")
        if not isinstance(prediction, str) or prediction not in PREDICTIONS:
            raise EvenframeError(
                f"The model predicts {prediction!r:.60} ('prediction_type' of its "
                "scheduler_config.json), which is not supported: use a model that predicts "
                "'epsilon' or 'v_prediction'."
            )
        alphas = torch.cumprod(1.0 - _betas(config), 0)
        if config.get("rescale_betas_zero_snr"):
            if prediction == "epsilon":
                raise EvenframeError(
                    "The model's noise schedule ends in pure noise ('rescale_betas_zero_snr' of "
                    "its scheduler_config.json), where a prediction of 'epsilon' says nothing of "
                    "the picture: use a model that predicts 'v_prediction'."
                )
            alphas = zero_terminal_snr(alphas)
        offset = _number(config, "steps_offset", 1, 0, len(alphas) - 1)
        trailing = config.get("timestep_spacing") == "trailing"
        kind, spacing = PREDICTIONS[prediction], "trailing" if trailing else "leading"
        return NoiseSchedule(alphas, kind, int(offset), spacing)

    def at(self, time: float) -> Level:
        """The level of a timestep; a negative one means the clean end, where it is that of 0.
        Between two timesteps, the logarithm of noise over signal runs evenly, as in ComfyUI.

        Raises EvenframeError beyond the last timestep.
        """
        if not time <= len(self.alphas_cumprod) - 1:
            raise EvenframeError(
                f"The timestep {time:g} is beyond the model's noise levels, 0 to "
                f"{len(self.alphas_cumprod) - 1}: invert the clip again with this model."
            )
        first, part = divmod(max(time, 0), 1)
        alpha = float(self.alphas_cumprod[int(first)])
        if part:
            low, high = torch.logit(self.alphas_cumprod[int(first) : int(first) + 2])
            alpha = float(torch.lerp(low, high, part).sigmoid())
        return Level(time, sqrt(alpha), sqrt(1 - alpha))

    def times(self, steps: int) -> tuple[int, ...]:
        """Evenly spaced timesteps and the clean end: 981..1 and -19 for 50 steps of 1000.

        Leading: the published ones, of whole strides, wherever they reach the noise. 600 whole
        strides of 1000 timesteps would end at 600; there the steps are spread over all timesteps
        instead. Trailing: 999..19 and -1.
        """
        count = len(self.alphas_cumprod)
        require_steps(steps, min(MAX_STEPS, count))
        stride = count // steps
        if self.spacing == "trailing":
            falling = [round(count - index * count / steps) - 1 for index in range(steps)]
            return (*falling, falling[-1] - stride)
        span = steps * stride if count - steps * stride < stride else count
        starts = [index * span // steps for index in range(steps)]
        offset = min(self.steps_offset, count - 1 - starts[-1])
        return (*(start + offset for start in reversed(starts)), offset - stride)

    def identity(self) -> str:
        """SHA-256 of all that the levels depend on."""
        # The tensor's name carries what is no tensor.
        name = f"alphas of {config_name(self.kind)}, offset {self.steps_offset}"
        trailing = ", trailing" if self.spacing == "trailing" else ""
        return hash_tensors({name + trailing: self.alphas_cumprod})


def zero_terminal_snr(alphas: Tensor) -> Tensor:
    """Noise levels stretched until the last one holds no signal; the first one stays.

    alphas: (T,) alpha-bar. Source: "Common Diffusion Noise Schedules and Sample Steps are Flawed"
    (Lin et al., WACV 2024), Algorithm 1.
    """
    signal = alphas.sqrt()
    return ((signal - signal[-1]) * signal[0] / (signal[0] - signal[-1])) ** 2


def _betas(config: Mapping[str, Any]) -> Tensor:
    """The variance that each training timestep adds, (T,) float64."""
    listed = config.get("trained_betas")
    if listed is not None:
        if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_TIMESTEPS:
            raise _no_number("trained_betas", listed, f"a list of 1 to {MAX_TIMESTEPS} numbers")
        betas = [_number({"trained_betas": beta}, "trained_betas", 0, 0, 1) for beta in listed]
        return torch.tensor(betas, dtype=torch.float64)
    count = int(_number(config, "num_train_timesteps", 1000, 1, MAX_TIMESTEPS))
    start = _number(config, "beta_start", 1e-4, 0, 1)
    end = _number(config, "beta_end", 0.02, 0, 1)
    kind = config.get("beta_schedule", "linear")
    if kind == "scaled_linear":
        return torch.linspace(start**0.5, end**0.5, count, dtype=torch.float64) ** 2
    if kind == "linear":
        return torch.linspace(start, end, count, dtype=torch.float64)
    raise EvenframeError(
        f"The model's noise schedule {kind!r:.60} is not supported ('beta_schedule' of its "
        "scheduler_config.json): use a model with 'scaled_linear' or 'linear' betas."
    )


def _number(config: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = config.get(name, default)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise _no_number(name, value, f"a number from {low:g} to {high:g}")
    return value


def _no_number(name: str, value: Any, wanted: str) -> EvenframeError:
    return EvenframeError(
        f"The model's noise schedule has {value!r:.60} as its '{name}', where {wanted} is needed: "
        "download its scheduler_config.json again."
    )
