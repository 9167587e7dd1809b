"""One-shot tuning: a text-to-image model learns one clip, and to move as it does.

Trained are the queries of the model's attention and attention over frames, which is new; all else
stays as it is. Nothing of the model is altered: what was learnt is a `Delta`.

Source: "Tune-A-Video" (Wu et al., ICCV 2023), section 3.2 and 4.1.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attention import keyframes as key_frames
from ..common.errors import EvenframeError
from ..common.memory import FreeMemory, free_memory
from ..common.progress import OnFrame
from ..models.checks import require_frames, require_prompt
from ..models.delta import Delta
from ..models.schedule import Level, mix, output
from ..text.conditioning import Conditioning
from .settings import Tuning

if TYPE_CHECKING:
    from ..models.model import Denoiser, Model

KEPT_DTYPE = torch.float16
BETAS, WEIGHT_DECAY, MAX_NORM = (0.9, 0.999), 1e-2, 1.0
TIMES = 1000
"""Of a schedule; each step of a tuning draws one."""


@dataclass(frozen=True)
class TuningReport:
    """A step that has just ended. loss: of its prediction, at a time that was drawn."""

    done: int
    total: int
    loss: float


OnTuningStep = Callable[[TuningReport], None]
"""Called after every step; what it raises (an interrupt) ends the tuning, and nothing is kept."""


def tune(
    model: "Model",
    frames: Tensor,
    prompt: str | Conditioning,
    tuning: Tuning = Tuning(),  # noqa: B008, frozen
    *,
    on_step: OnTuningStep | None = None,
    on_frame: OnFrame | None = None,
    free: FreeMemory = free_memory,
) -> Delta:
    """What a model has to be changed by to make a clip, in half precision on the CPU.

    frames: (f, h, w, 3) in 0..1, two or more, all of which are learnt at once. prompt: what they
    show. on_frame: for each frame encoded. free: free bytes of a device. What is found stands on
    this model alone (`Delta.base`), and the model stays as it is.
    Raises EvenframeError for a clip of one frame, and a model that cannot be tuned.
    """
    require_frames(frames, model)
    if len(frames) < 2:
        raise EvenframeError(
            "The clip has one frame, which tells nothing of how things move: tune on two or more."
        )
    if tuning.checkpointing == "auto":
        kept = replace(tuning, checkpointing="off")
        short = training_bytes(model, frames, kept) > free(model.device)
        tuning = replace(kept, checkpointing="on" if short else "off")
    source = model.text.encode(prompt) if isinstance(prompt, str) else prompt
    require_prompt(model, source, "source prompt")
    with torch.inference_mode(False), torch.enable_grad():
        draw = torch.Generator().manual_seed(tuning.seed)
        start = replace(model.denoiser.tuning_start(tuning.layers, draw), norm=tuning.norm)
        device = model.device
        changes, added = (
            {name: nn.Parameter(each.to(device)) for name, each in part.items()}
            for part in (start.changes, start.added)
        )
        tuned = model.denoiser.with_delta(replace(start, changes=changes, added=added))
        with torch.no_grad():
            clean = model.codec.encode(frames, tuning.seed, on_frame).to(device).float().clone()
        states = {name: each.clone() for name, each in source.states.items()}
        one_clip = _Clip(clean, replace(source, states=states), tuning)
        _learn(model, tuned, one_clip, changes, added, draw, on_step)
        changes, added = (
            {name: each.detach().to("cpu", KEPT_DTYPE) for name, each in part.items()}
            for part in (changes, added)
        )
    name = f"tuned in {tuning.steps} steps"
    return Delta(name, changes, added, start.norm, model.fingerprint, len(frames))


def training_bytes(model: "Model", frames: Tensor, tuning: Tuning) -> int:
    """About what a tuning on frames (f, h, w, 3) needs beside the weights.

    Counted for Stable Diffusion 1.5 in 16 bits at 512x512, per frame: 6.8 GB, or 93 MB with
    checkpointing, which "auto" needs at least; and for each number that is trained, four in
    float32. Raises EvenframeError for a model that cannot be tuned.
    """
    start = model.denoiser.tuning_start(tuning.layers, torch.Generator())
    trained = sum(each.numel() for part in (start.changes, start.added) for each in part.values())
    count, height, width = frames.shape[:3]
    pass_bytes = model.denoiser.working_bytes(count, (height, width), branches=1)
    return 16 * trained + int(
        pass_bytes * (6.8e9 if tuning.checkpointing == "off" else 93e6) / 70e6
    )


@dataclass(frozen=True, eq=False)
class _Clip:
    """What is learnt: clean latents (f, c, h, w), their prompt, and how."""

    clean: Tensor
    prompt: Conditioning
    tuning: Tuning


def _learn(
    model: "Model",
    tuned: "Denoiser",
    clip: _Clip,
    changes: dict[str, nn.Parameter],
    added: dict[str, nn.Parameter],
    draw: torch.Generator,
    on_step: OnTuningStep | None,
) -> None:
    """Train the parameters, in place."""
    tuning, rate = clip.tuning, clip.tuning.learning_rate
    trained = [*changes.values(), *added.values()]
    # The decay of what is changed is that of the whole weight, see `_decay`.
    groups = [
        {"params": list(changes.values()), "weight_decay": 0.0},
        {"params": list(added.values()), "weight_decay": WEIGHT_DECAY},
    ]
    optimiser = torch.optim.AdamW(groups, lr=rate, betas=BETAS)
    half = model.dtype == torch.float16 and model.device.type == "cuda"
    scaler = torch.amp.GradScaler(model.device.type, enabled=half)  # gradients underflow in float16
    times = model.schedule.times(TIMES)[:-1]
    with tuned.training(tuning.checkpointing == "on"):
        for index in range(tuning.steps):
            time = times[int(torch.randint(len(times), (), generator=draw))]
            noise = torch.randn(clip.clean.shape, generator=draw).to(clip.clean)
            loss = _loss(tuned, clip, noise, model.schedule.at(time), model.schedule.kind)
            scaler.scale(loss).backward()
            scaler.unscale_(optimiser)
            nn.utils.clip_grad_norm_(trained, MAX_NORM)
            _decay(model.denoiser, changes, rate * WEIGHT_DECAY)
            scaler.step(optimiser)
            scaler.update()
            optimiser.zero_grad(set_to_none=True)
            reached = float(loss.detach())
            _require_finite(reached, index, tuning)
            if on_step is not None:
                on_step(TuningReport(index + 1, tuning.steps, reached))


def _loss(tuned: "Denoiser", clip: _Clip, noise: Tensor, level: Level, kind: str) -> Tensor:
    """How far a prediction for the whole clip at a level is from what was mixed."""
    table = key_frames.table(clip.tuning.keyframes, len(clip.clean), "all")
    noisy = mix(clip.clean, noise, level)
    found = tuned.predict(noisy, level, {"source": clip.prompt}, table)["source"]
    return F.mse_loss(found, output(clip.clean, noise, level, kind))


@torch.no_grad()
def _decay(denoiser: "Denoiser", changes: dict[str, nn.Parameter], share: float) -> None:
    """Take a share of each changed weight, its own and the change, off the change."""
    for name, change in changes.items():
        change -= share * (change + denoiser.module.get_parameter(name))


def _require_finite(loss: float, step: int, tuning: Tuning) -> None:
    if loss != loss or loss == float("inf"):
        raise EvenframeError(
            f"The tuning broke at step {step + 1} of {tuning.steps}: its loss is not a number. "
            f"Set learning_rate, {tuning.learning_rate:g}, to a tenth of it."
        )
