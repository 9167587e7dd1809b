"""Training of the miniature's UNet and text encoder: seeded, resumable, on a CPU or one GPU.

Epsilon prediction with min-SNR weights (Hang et al. 2023, Eq. 6, gamma 5) and more for the noisiest
steps, noise offset, dropped prompts, an averaged copy of the weights, and two supervised losses:
words look at their things, and their states say what they mean. Progress is kept in a state file
after every few minutes, so that a run can be stopped and gone on with at any time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from . import shards
from .attention_loss import localisation_loss, make_explicit, mean_map
from .export import FACTS
from .meaning_loss import MeaningLoss
from .models import Size, alphas_cumprod, load_published, make_text_encoder, make_unet
from .optimiser import MatrixOptimiser
from .tokenizer import WordEncoder
from .training import BaseTrainer, PromptRecipe, Prompts, autocast, run, save_at_once

_ANEW = "begin the average at this start; to be left out where that run goes on"


@dataclass(frozen=True)
class Recipe(PromptRecipe):
    """What is done; stored with the state and in the model card.

    Attributes:
        batch: noisy samples per step; each scene is used `repeats` times with other noise.
        snr_limit: gamma of min-SNR.
        high_noise: added to min-SNR's weight of the clean latents' error, which otherwise vanishes
            with the signal: in the noisiest steps it is decided what stands where.
        noise_offset: standard deviation of a constant added per channel, against the leak of the
            background's mean through the noise that Stable Diffusion's schedule leaves.
        localisation: weight of the cross-attention loss.
    """

    learning_rate: float = 2e-3
    batch: int = 32
    repeats: int = 2
    snr_limit: float = 5.0
    high_noise: float = 0.2
    noise_offset: float = 0.4
    localisation: float = 0.4
    coarse_localisation: float = 0.2


class Trainer(BaseTrainer):
    """A run of the image miniature; seen: noisy samples so far."""

    COUNTED = (*BaseTrainer.COUNTED, "seen")

    def __init__(self, recipe: Recipe, size: Size, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.size, self.device = recipe, size, torch.device(device)
        encoder = WordEncoder()
        self.unet = make_unet(size).to(self.device, memory_format=torch.channels_last)
        self.text = make_text_encoder(size, len(encoder.ids)).to(self.device)
        self.recorders = make_explicit(self.unet)
        modules = {"unet": self.unet, "text_encoder": self.text}
        optimiser = MatrixOptimiser(modules.values(), recipe.learning_rate, recipe.weight_decay)
        super().__init__(modules, optimiser, recipe.average)
        self.seen = 0
        self.random = torch.Generator().manual_seed(recipe.seed)
        kept = alphas_cumprod(torch.float64)
        snr = kept / (1 - kept)
        weight = (snr.clamp(max=recipe.snr_limit) + recipe.high_noise) / snr
        self.signal, self.noise, self.weight = (
            values.float().to(self.device) for values in (kept.sqrt(), (1 - kept).sqrt(), weight)
        )
        self.prompts = Prompts(self.text, encoder, recipe, self.random, keeps_end=False)
        self.meaning_loss = MeaningLoss(encoder, size.text_width, self.device)

    def train_step(self, pool: shards.Pool, rate: float) -> dict[str, Tensor]:
        """One optimiser step; returns timesteps, squared errors (n,), both supervised losses."""
        with autocast(self.device):
            loss, report = self._loss(*self._draw(pool))
        self.update(loss, rate)
        self.seen += self.recipe.batch
        return report

    def _draw(self, pool: shards.Pool) -> tuple[Tensor, ...]:
        """Scenes on the training device: latents (s, 4, 16, 16), ids and slots (s, 77), masks
        (s, 3, 16, 16) in 0..1."""
        count = self.recipe.batch // self.recipe.repeats
        drawn = pool.take(torch.randint(len(pool), (count,), generator=self.random).numpy())
        arrays = (
            drawn["latents"].astype(np.float32),
            drawn["ids"].astype(np.int64),
            drawn["slots"],
            drawn["masks"].astype(np.float32) / 255,
        )
        return tuple(torch.from_numpy(array).to(self.device) for array in arrays)

    def _loss(
        self, latents: Tensor, ids: Tensor, slots: Tensor, masks: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        recipe, repeats = self.recipe, self.recipe.repeats
        ids, slots, states, _ = self.prompts(ids, slots)
        context = states.repeat(repeats, 1, 1)  # (r s) 77 c
        clean = latents.repeat(repeats, 1, 1, 1)
        time_index = torch.randint(1000, (len(clean),), generator=self.random).to(self.device)
        offset = recipe.noise_offset * self._normal(len(clean), 4, 1, 1)
        noise = self._normal(*clean.shape) + offset
        noisy = (
            self.signal[time_index].view(-1, 1, 1, 1) * clean
            + self.noise[time_index].view(-1, 1, 1, 1) * noise
        ).contiguous(memory_format=torch.channels_last)
        predicted = self.unet(noisy, time_index, context).sample.float()
        error = (predicted - noise).square().mean((1, 2, 3))
        missed = self._localisation(slots.repeat(repeats, 1), masks.repeat(repeats, 1, 1, 1))
        unsaid = self.meaning_loss(states, ids, slots)
        loss = (error * self.weight[time_index]).mean() + missed + recipe.meaning * unsaid
        report = {"time": time_index, "error": error, "missed": missed, "unsaid": unsaid}
        return loss, {name: value.detach() for name, value in report.items()}

    def _localisation(self, slots: Tensor, masks: Tensor) -> Tensor:
        total = masks.new_zeros(())
        for cells, weight in ((16, self.recipe.localisation), (8, self.recipe.coarse_localisation)):
            if weight:
                pooled = nn.functional.adaptive_avg_pool2d(masks, cells).flatten(2)  # n s q
                missed = localisation_loss(mean_map(self.recorders, cells), slots, pooled)
                total = total + weight * missed
        return total

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.random).to(self.device)

    def start_from(self, folder: Path) -> None:
        """Start at the averaged weights of an exported folder, with a fresh optimiser; samples and
        seconds that they took count on."""
        load_published(self.unet, folder / "unet" / "diffusion_pytorch_model.safetensors")
        load_published(self.text, folder / "text_encoder" / "model.safetensors")
        self.average_anew()
        before = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        self.seen, self.seconds = int(before["seen"]), float(before["seconds"])

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs."""
        return super().state() | {"random": self.random.get_state()}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        super().resume(state)
        self.random.set_state(state["random"].cpu())

    def save_averages(self, folder: Path) -> None:
        """Write them with what the export needs beside them."""
        weights: dict[str, dict[str, Tensor]] = {"unet": {}, "text_encoder": {}}
        for name, average in self.named_averages().items():
            part, _, rest = name.partition(".")
            weights[part][rest] = average
        snapshot = {
            "weights": weights,
            "size": asdict(self.size),
            "recipe": asdict(self.recipe),
            "counters": self.counters(),
        }
        save_at_once(snapshot, folder / "averages.pt")


def learning_rate(recipe: Recipe, step: int, decay_from: int | None, decay_steps: int) -> float:
    """Warm-up, constant, and after `decay_from` a linear fall to 2 % over `decay_steps`."""
    rate = recipe.learning_rate * min(1.0, (step + 1) / recipe.warmup)
    if decay_from is None:
        return rate
    return rate * max(0.02, 1 - max(0, step - decay_from) / decay_steps)


def train(
    trainer: Trainer,
    pool_folder: Path,
    out: Path,
    steps: int,
    decay_steps: int = 0,
    minutes: float | None = None,
    decay_minutes: float = 0.0,
    log_every: int = 100,
) -> None:
    """Train until the counter reaches `steps`, or until the time is up.

    New shards of the pool are taken in as they appear. The last `decay_steps` steps, or the last
    `decay_minutes` where the time is limited (a machine shared with others has no known number
    of steps), lower the learning rate. A file `STOP` in the output folder ends the run after a
    save.
    """
    began = time.monotonic()
    decay_from = steps - decay_steps if decay_steps else None
    pool = shards.GrowingPool(lambda: shards.shards_of(pool_folder))

    def step() -> Iterable[tuple[str, float]]:
        rate = learning_rate(trainer.recipe, trainer.step, decay_from, decay_steps)
        if minutes is not None and decay_minutes:
            left = minutes - (time.monotonic() - began) / 60
            rate *= max(0.02, min(1.0, left / decay_minutes))
        report = trainer.train_step(pool.at(trainer.step), rate)
        for timestep, error in zip(report["time"].tolist(), report["error"].tolist(), strict=True):
            yield f"error_{timestep // 250}", error
        yield from ((name, float(report[name])) for name in ("missed", "unsaid"))

    def done(seconds: float) -> bool:
        over = minutes is not None and seconds > minutes * 60
        return over or trainer.step >= steps or (out / "STOP").exists()

    run(trainer, out, step, done, log_every)


def main() -> None:
    """``python -m evenframe.miniature.train``: see docs/miniature.md."""
    parser = argparse.ArgumentParser(description="Train the miniature's UNet and text encoder.")
    parser.add_argument("--pool", type=Path, default=Path(".cache/miniature/pool"))
    parser.add_argument("--out", type=Path, default=Path(".cache/miniature/run"))
    parser.add_argument("--steps", type=int, default=100_000, help="step at which to stop")
    parser.add_argument("--decay-steps", type=int, default=0, help="of these, the last decay")
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--decay-minutes", type=float, default=0.0, help="of these, the last decay")
    parser.add_argument("--init-from", type=Path, help="exported weights to start at")
    parser.add_argument("--average-anew", action="store_true", help=_ANEW)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=Recipe.batch)
    parser.add_argument("--learning-rate", type=float, default=Recipe.learning_rate)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    recipe = Recipe(learning_rate=args.learning_rate, batch=args.batch, seed=args.seed)
    trainer = Trainer(recipe, Size(), args.device)
    if not trainer.resume_from(args.out) and args.init_from is not None:
        trainer.start_from(args.init_from)
    if args.average_anew:
        trainer.average_anew()
    time_limit = {"minutes": args.minutes, "decay_minutes": args.decay_minutes}
    train(trainer, args.pool, args.out, args.steps, args.decay_steps, **time_limit)


if __name__ == "__main__":
    main()
