"""Training of the miniature's UNet and text encoder: seeded, resumable, on a CPU or one GPU.

Epsilon prediction with min-SNR weights (Hang et al. 2023, Eq. 6, gamma 5) and more for the noisiest
steps, noise offset, dropped prompts, an averaged copy of the weights, and two supervised losses:
words look at their things, and their states say what they mean. Progress is kept in a state file
after every few minutes, so that a run can be stopped and gone on with at any time.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from . import pool as pools
from .attention_loss import ExplicitProcessor, localisation_loss
from .meaning_loss import MeaningLoss
from .models import SCHEDULE, Size, make_text_encoder, make_unet
from .optimiser import MatrixOptimiser
from .tokenizer import WordEncoder

_PREFIX = "text_model."
_ANEW = "begin the average at this start; to be left out where that run goes on"


@dataclass(frozen=True)
class Recipe:
    """What is done; stored with the state and in the model card.

    Attributes:
        batch: noisy samples per step; each scene is used ``repeats`` times with other noise.
        warmup: steps of linear warm-up.
        snr_limit: gamma of min-SNR.
        high_noise: added to min-SNR's weight of the clean latents' error, which otherwise vanishes
            with the signal: in the noisiest steps it is decided what stands where.
        noise_offset: standard deviation of a constant added per channel, against the leak of the
            background's mean through the noise that Stable Diffusion's schedule leaves.
        localisation: weight of the cross-attention loss.
        meaning: weight of the loss on the text encoder's states.
        swap_padding: share of samples whose padding embeddings are the empty prompt's.
        drop_prompt: share of empty prompts.
    """

    learning_rate: float = 2e-3
    batch: int = 32
    repeats: int = 2
    warmup: int = 200
    weight_decay: float = 1e-3
    snr_limit: float = 5.0
    high_noise: float = 0.2
    noise_offset: float = 0.4
    localisation: float = 0.4
    coarse_localisation: float = 0.2
    meaning: float = 1.0
    swap_padding: float = 0.5
    drop_prompt: float = 0.1
    average: float = 0.9995
    seed: int = 0


@dataclass(frozen=True)
class Batch:
    """Tensors of one step on the training device: latents (s, 4, 16, 16), ids and slots (s, 77),
    masks (s, 3, 16, 16) in 0..1."""

    latents: Tensor
    ids: Tensor
    slots: Tensor
    masks: Tensor


class Trainer:
    """Networks, optimiser, averaged weights and counters of a run."""

    def __init__(self, recipe: Recipe, size: Size, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.size, self.device = recipe, size, torch.device(device)
        self.encoder = WordEncoder()
        self.unet = make_unet(size).to(self.device, memory_format=torch.channels_last)
        self.text = make_text_encoder(size, len(self.encoder.ids)).to(self.device)
        self.recorders = _make_attention_explicit(self.unet)
        self.parameters = [*self.unet.parameters(), *self.text.parameters()]
        self.averages = [p.detach().clone() for p in self.parameters]
        self.optimiser = MatrixOptimiser(
            (self.unet, self.text), recipe.learning_rate, recipe.weight_decay
        )
        self.step = self.seen = self.averaged_steps = 0
        self.seconds = 0.0
        self.random = torch.Generator().manual_seed(recipe.seed)
        betas = torch.linspace(
            SCHEDULE["beta_start"] ** 0.5, SCHEDULE["beta_end"] ** 0.5, 1000, dtype=torch.float64
        )
        kept = torch.cumprod(1 - betas**2, 0)
        snr = kept / (1 - kept)
        self.signal = kept.sqrt().float().to(self.device)
        self.noise = (1 - kept).sqrt().float().to(self.device)
        self.weight = ((snr.clamp(max=recipe.snr_limit) + recipe.high_noise) / snr).float()
        self.weight = self.weight.to(self.device)
        self.empty = torch.tensor([self.encoder([])], device=self.device)
        self.meaning_loss = MeaningLoss(self.encoder, size.text_width, self.device)

    def draw(self, pool: pools.Pool) -> Batch:
        """A random batch of scenes."""
        count = self.recipe.batch // self.recipe.repeats
        index = torch.randint(len(pool), (count,), generator=self.random).numpy()
        masks = pool.masks[index].astype(np.float32) / 255
        arrays = (pool.latents[index].astype(np.float32), pool.ids[index].astype(np.int64))
        latents, ids, slots, coverage = (
            torch.from_numpy(a).to(self.device) for a in (*arrays, pool.slots[index], masks)
        )
        return Batch(latents, ids, slots, coverage)

    def train_step(self, pool: pools.Pool, learning_rate: float) -> dict[str, Tensor]:
        """One optimiser step; returns timesteps, squared errors (n,), both supervised losses."""
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=computes_in_bfloat16(self.device)
        ):
            loss, report = self._loss(self.draw(pool))
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step(learning_rate)
        self.step += 1
        self.seen += self.recipe.batch
        self.averaged_steps += 1
        decay = min(self.recipe.average, (1 + self.averaged_steps) / (10 + self.averaged_steps))
        with torch.no_grad():
            for average, now in zip(self.averages, self.parameters, strict=True):
                average.lerp_(now, 1 - decay)
        return report

    def _loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        recipe, repeats = self.recipe, self.recipe.repeats
        scenes = len(batch.ids)
        dropped = self._uniform(scenes) < recipe.drop_prompt
        ids = torch.where(dropped[:, None], self.empty, batch.ids)
        states = self._embed(ids)
        context = states.repeat(repeats, 1, 1)  # (r s) 77 c
        clean = batch.latents.repeat(repeats, 1, 1, 1)
        time_index = torch.randint(1000, (len(clean),), generator=self.random).to(self.device)
        offset = recipe.noise_offset * self._normal(len(clean), 4, 1, 1)
        noise = self._normal(*clean.shape) + offset
        noisy = (
            self.signal[time_index].view(-1, 1, 1, 1) * clean
            + self.noise[time_index].view(-1, 1, 1, 1) * noise
        ).contiguous(memory_format=torch.channels_last)
        predicted = self.unet(noisy, time_index, context).sample.float()
        error = (predicted - noise).square().mean((1, 2, 3))
        slots = torch.where(dropped[:, None], -1, batch.slots)
        masks = batch.masks.repeat(repeats, 1, 1, 1)
        missed = self._localisation(slots.repeat(repeats, 1), masks)
        unsaid = self.meaning_loss(states, ids, slots)
        loss = (error * self.weight[time_index]).mean() + missed + recipe.meaning * unsaid
        report = {"time": time_index, "error": error, "missed": missed, "unsaid": unsaid}
        return loss, {name: value.detach() for name, value in report.items()}

    def _embed(self, ids: Tensor) -> Tensor:
        """Embeddings with, in some samples, the padding of the empty prompt.

        Without it, the padding's embeddings carry the whole prompt and draw the attention that
        the words should have.
        """
        hidden = self.text(input_ids=ids).last_hidden_state
        empty = self.text(input_ids=self.empty).last_hidden_state
        padding = ids == self.encoder.end
        swapped = self._uniform(len(ids), 1) < self.recipe.swap_padding
        return torch.where((padding & swapped)[..., None], empty, hidden)

    def _localisation(self, slots: Tensor, masks: Tensor) -> Tensor:
        total = masks.new_zeros(())
        for cells, weight in ((16, self.recipe.localisation), (8, self.recipe.coarse_localisation)):
            maps = [r.probabilities for r in self.recorders if r.probabilities is not None]
            maps = [m.float() for m in maps if m.shape[1] == cells**2]
            if not maps or weight == 0:
                continue
            pooled = nn.functional.adaptive_avg_pool2d(masks, cells).flatten(2)  # n s q
            total = total + weight * localisation_loss(torch.stack(maps).mean(0), slots, pooled)
        return total

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.random).to(self.device)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.random).to(self.device)

    def named_averages(self) -> dict[str, dict[str, Tensor]]:
        """Averaged weights as state dicts of ``unet`` and ``text_encoder``."""
        averages = iter(self.averages)
        return {
            part: {name: next(averages).cpu() for name, _ in module.named_parameters()}
            for part, module in (("unet", self.unet), ("text_encoder", self.text))
        }

    def average_anew(self) -> None:
        """Begin the average at the present weights: after a change of the recipe, or at the end of
        a falling learning rate, the old one lags behind."""
        self.averages = [p.detach().clone() for p in self.parameters]
        self.averaged_steps = 0

    def start_from(self, folder: Path) -> None:
        """Start at the averaged weights of an exported folder, with a fresh optimiser; samples and
        seconds that they took count on."""
        from safetensors.torch import load_file

        files = (
            (self.unet, "unet/diffusion_pytorch_model.safetensors"),
            (self.text, "text_encoder/model.safetensors"),
        )
        for module, name in files:
            wanted = {key.removeprefix(_PREFIX): key for key in module.state_dict()}
            stored = load_file(folder / name).items()
            named = {wanted[key.removeprefix(_PREFIX)]: value.float() for key, value in stored}
            module.load_state_dict(named, strict=True)
        self.average_anew()
        before = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        self.seen, self.seconds = int(before["seen"]), float(before["seconds"])

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs."""
        return {
            "unet": self.unet.state_dict(),
            "text": self.text.state_dict(),
            "averages": self.averages,
            "optimiser": self.optimiser.state_dict(),
            "random": self.random.get_state(),
            "counters": {
                "step": self.step,
                "seen": self.seen,
                "averaged_steps": self.averaged_steps,
                "seconds": self.seconds,
            },
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.unet.load_state_dict(state["unet"])
        self.text.load_state_dict(state["text"])
        self.averages = [a.to(self.device) for a in state["averages"]]
        self.optimiser.load_state_dict(state["optimiser"])
        self.random.set_state(state["random"].cpu())
        counters = state["counters"]
        self.step, self.seen = int(counters["step"]), int(counters["seen"])
        self.averaged_steps = int(counters.get("averaged_steps", self.step))
        self.seconds = float(counters["seconds"])


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether the device computes faster in bfloat16."""
    return device.type == "cuda" or torch.cpu.get_capabilities().get("avx512_bf16", False)


def _make_attention_explicit(unet: Any) -> list[ExplicitProcessor]:
    """Returns the processors of the cross-attention, which record."""
    processors = {
        name: ExplicitProcessor(records=name.endswith("attn2.processor"))
        for name in unet.attn_processors
    }
    unet.set_attn_processor(dict(processors))
    return [processor for processor in processors.values() if processor.records]


def learning_rate(recipe: Recipe, step: int, decay_from: int | None, decay_steps: int) -> float:
    """Warm-up, constant, and after ``decay_from`` a linear fall to 2 % over ``decay_steps``."""
    rate = recipe.learning_rate * min(1.0, (step + 1) / recipe.warmup)
    if decay_from is None:
        return rate
    return rate * max(0.02, 1 - max(0, step - decay_from) / decay_steps)


def save_state(trainer: Trainer, folder: Path) -> None:
    """Write the full state, and the averaged weights alone for evaluation, each at once."""
    save_at_once(trainer.state(), folder / "state.pt")
    snapshot = {
        "weights": trainer.named_averages(),
        "size": asdict(trainer.size),
        "recipe": asdict(trainer.recipe),
        "counters": trainer.state()["counters"],
    }
    save_at_once(snapshot, folder / "averages.pt")


def save_at_once(value: Any, path: Path) -> None:
    """Write a file that is whole or not there."""
    partial = path.with_suffix(".part")
    torch.save(value, partial)
    os.replace(partial, path)


@dataclass
class Window:
    """Running means between two log lines."""

    error: Tensor
    count: Tensor
    missed: float = 0.0
    unsaid: float = 0.0
    steps: int = 0

    def add(self, report: dict[str, Tensor]) -> None:
        """Add one step's report; errors are kept per quarter of the timesteps."""
        quarter = (report["time"] // 250).cpu()
        self.error.index_add_(0, quarter, report["error"].float().cpu())
        self.count.index_add_(0, quarter, torch.ones(len(quarter)))
        self.missed += float(report["missed"])
        self.unsaid += float(report["unsaid"])
        self.steps += 1

    def line(self) -> dict[str, Any]:
        """Means so far."""
        means = self.error / self.count.clamp(min=1)
        return {
            "error_by_quarter": [round(v, 5) for v in means.tolist()],
            "missed": round(self.missed / max(1, self.steps), 5),
            "unsaid": round(self.unsaid / max(1, self.steps), 5),
        }


def run(
    trainer: Trainer,
    pool_folder: Path,
    out: Path,
    steps: int,
    decay_steps: int = 0,
    log_every: int = 100,
    save_every: float = 180.0,
    minutes: float | None = None,
    decay_minutes: float = 0.0,
) -> None:
    """Train until the counter reaches ``steps``, or until the time is up.

    New shards of the pool are taken in as they appear. The last ``decay_steps`` steps, or the last
    ``decay_minutes`` where the time is limited (a machine shared with others has no known number
    of steps), lower the learning rate. A file ``STOP`` in the output folder ends the run after a
    save.
    """
    out.mkdir(parents=True, exist_ok=True)
    known: list[Path] = []
    data: pools.Pool | None = None
    decay_from = steps - decay_steps if decay_steps else None
    began = saved = time.monotonic()
    before = trainer.seconds
    window = Window(torch.zeros(4), torch.zeros(4))
    while trainer.step < steps and not (out / "STOP").exists():
        if trainer.step % 200 == 0 or data is None:
            shards = sorted(p for p in pool_folder.glob("shard-*.npz") if ".part" not in p.name)
            if shards != known:
                known, data = shards, pools.load(shards)
        assert data is not None, "the pool is empty"
        rate = learning_rate(trainer.recipe, trainer.step, decay_from, decay_steps)
        if minutes is not None and decay_minutes:
            left = minutes - (time.monotonic() - began) / 60
            rate *= max(0.02, min(1.0, left / decay_minutes))
        window.add(trainer.train_step(data, rate))
        now = time.monotonic()
        trainer.seconds = before + now - began
        if trainer.step % log_every == 0:
            line = {"step": trainer.step, "seen": trainer.seen, "lr": round(rate, 7)}
            line |= {"seconds": round(trainer.seconds), "pool": len(data), **window.line()}
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            window = Window(torch.zeros(4), torch.zeros(4))
        if now - saved > save_every:
            saved = now
            save_state(trainer, out)
        if minutes is not None and now - began > minutes * 60:
            break
    save_state(trainer, out)


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
    state = args.out / "state.pt"
    if state.exists():
        trainer.resume(torch.load(state, map_location="cpu", weights_only=True))
    elif args.init_from is not None:
        trainer.start_from(args.init_from)
    if args.average_anew:
        trainer.average_anew()
    time_limit = {"minutes": args.minutes, "decay_minutes": args.decay_minutes}
    run(trainer, args.pool, args.out, args.steps, args.decay_steps, **time_limit)


if __name__ == "__main__":
    main()
