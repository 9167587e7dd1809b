"""Training of the video miniature: seeded, resumable, on some CPU cores or one GPU.

Flow matching: at a noise share t the network sees (1 - t) clean + t noise and says noise - clean
("Flow Matching for Generative Modeling", Lipman et al., 2023; the straight path). First single
latent frames, which are five times cheaper, then clips. On a CPU one process a core, each with a
thread of its own, and the mean of their gradients: several threads in one process, beside other
work, are many times slower.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from ..meaning_loss import MeaningLoss
from ..optimiser import MatrixOptimiser
from ..train import computes_in_bfloat16, save_at_once
from . import pool as pools
from .text import MOTIONS, start_text_encoder, word_encoder
from .transformer import PlainAttention, Width, flow_times, is_inner, make_transformer

_LOG, _REFRESH, _SAVE_SECONDS = 100, 200, 240.0


@dataclass(frozen=True)
class Recipe:
    """What is done; stored with the state and in the model card.

    Attributes:
        clips: to be seen in all; over the last `decay` of them the learning rate falls to 2 %.
        frames_first: single latent frames seen before the first clip.
        clip_batch, frame_batch: samples of a step, of all processes together.
        frame_share: of the later steps, those of single frames. short_share: of the steps of clips,
            those of shorter ones, so that 5 and 9 frames are known too.
        shift: of the noise for a single latent frame, and what each further one adds.
        even_share: samples at even times, without which edges stay ragged.
        meaning: weight of the loss on the text encoder's states.
        swap_padding: share of samples whose padding's states are the empty prompt's.
    """

    rate: float = 2e-3
    clips: int = 240_000
    decay: float = 0.2
    frames_first: int = 120_000
    clip_batch: int = 16
    frame_batch: int = 64
    frame_share: float = 0.2
    short_share: float = 0.15
    shift: tuple[float, float] = (3.0, 0.5)
    even_share: float = 0.25
    meaning: float = 0.3
    swap_padding: float = 0.5
    drop_prompt: float = 0.1
    warmup: int = 100
    weight_decay: float = 1e-3
    average: float = 0.999
    seed: int = 0


class Trainer:
    """Networks, optimiser, averaged weights and counters of a run, in one of its processes."""

    def __init__(self, recipe: Recipe, width: Width, device: str, rank: int, workers: int) -> None:
        self.recipe, self.width, self.device = recipe, width, torch.device(device)
        self.rank, self.workers = rank, workers
        self.encoder = word_encoder()
        self.transformer = make_transformer(width).to(self.device)
        self.text = start_text_encoder().to(self.device)
        if self.device.type == "cpu":
            self.transformer.set_attn_processor(PlainAttention())
        modules = (self.transformer, self.text)
        self.names = [
            f"{part}.{name}"
            for part, module in zip(("transformer", "text_encoder"), modules, strict=True)
            for name, _ in module.named_parameters()
        ]
        self.parameters = [p for module in modules for p in module.parameters()]
        self.averages = [p.detach().clone() for p in self.parameters]
        self.optimiser = MatrixOptimiser(modules, recipe.rate, recipe.weight_decay, is_inner)
        self.empty = torch.tensor([self.encoder([])], device=self.device)
        self.meaning_loss = MeaningLoss(self.encoder, width.text, self.device, MOTIONS)
        self.step, self.frames_seen, self.clips_seen, self.seconds = 0, 0, 0, 0.0
        self.random = torch.Generator().manual_seed(recipe.seed)

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        recipe = self.recipe
        left = (recipe.clips - self.clips_seen) / (recipe.decay * recipe.clips)
        warm = min(1.0, (self.step + 1) / recipe.warmup)
        return recipe.rate * warm * max(0.02, min(1.0, left))

    def train_step(self, pool: pools.Pool) -> dict[str, float]:
        """One optimiser step; returns what it was of, and the errors in this process."""
        recipe = self.recipe
        self.random.manual_seed(recipe.seed * 2**32 + self.step)
        times = self._kind_of_step()
        batch = recipe.frame_batch if times == 1 else recipe.clip_batch
        # All processes have drawn the same kind of step; the samples of it are each one's own.
        self.random.manual_seed((recipe.seed * 2**32 + self.step) * self.workers + self.rank + 1)
        with torch.autocast(self.device.type, torch.bfloat16, computes_in_bfloat16(self.device)):
            error, unsaid = self._loss(pool, times, batch // self.workers)
            loss = error + recipe.meaning * unsaid
        loss.backward()
        self._share_gradients()
        self.optimiser.step(self.rate)
        self.step += 1
        if times == 1:
            self.frames_seen += batch
        else:
            self.clips_seen += batch
        decay = min(recipe.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for average, now in zip(self.averages, self.parameters, strict=True):
                average.lerp_(now, 1 - decay)
        return {"times": times, "error": error.item(), "unsaid": unsaid.item()}

    def _kind_of_step(self) -> int:
        """Latent frames of a step."""
        recipe, draw = self.recipe, torch.rand(2, generator=self.random)
        if self.frames_seen < recipe.frames_first or draw[0] < recipe.frame_share:
            return 1
        return pools.TIMES if draw[1] >= recipe.short_share else 2 + int(draw[1] * 1e6) % 2

    def _loss(self, pool: pools.Pool, times: int, count: int) -> tuple[Tensor, Tensor]:
        index = torch.randint(len(pool), (count,), generator=self.random).numpy()
        latents, ids, slots = (torch.from_numpy(part) for part in pool.take(index))
        clean = latents.float().to(self.device)
        clean = _single_frames(clean, self.random) if times == 1 else clean[:, :, :times]
        dropped = self._uniform(count) < self.recipe.drop_prompt
        ids = torch.where(dropped[:, None], self.empty, ids.long().to(self.device))
        slots = torch.where(dropped[:, None], -1, slots.long().to(self.device))
        states = self._embed(ids)
        first, more = self.recipe.shift
        shift = first + more * (times - 1)
        level = flow_times(count, shift, self.recipe.even_share, self.random).to(self.device)
        noise = torch.randn(clean.shape, generator=self.random).to(self.device)
        share = level.view(-1, 1, 1, 1, 1)
        noisy = (1 - share) * clean + share * noise
        said = self.transformer(noisy, level * 1000, states, return_dict=False)[0]
        error = (said.float() - (noise - clean)).square().mean()
        return error, self.meaning_loss(states.float(), ids, slots)

    def _embed(self, ids: Tensor) -> Tensor:
        """States of prompts with, in some samples, the padding of the empty one: else the padding
        carries the prompt, and draws the attention that its words should have."""
        states = self.text(input_ids=ids).last_hidden_state
        empty = self.text(input_ids=self.empty).last_hidden_state
        ends = ids == self.encoder.end
        padding = ends & (ends.cumsum(1) > 1)  # the first end keeps the prompt
        swapped = self._uniform(len(ids), 1) < self.recipe.swap_padding
        return torch.where((padding & swapped)[..., None], empty, states)

    def _share_gradients(self) -> None:
        """The mean over all processes, no longer than 1."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if self.workers > 1:
            flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
            dist.all_reduce(flat)
            flat /= self.workers
            for gradient, part in zip(
                gradients, flat.split([g.numel() for g in gradients]), strict=True
            ):
                gradient.copy_(part.view_as(gradient))
        nn.utils.clip_grad_norm_(self.parameters, 1.0)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.random).to(self.device)

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs."""
        return {
            "parameters": [p.detach() for p in self.parameters],
            "averages": self.averages,
            "optimiser": self.optimiser.state_dict(),
            "counters": self.counters(),
        }

    def counters(self) -> dict[str, float]:
        """How far it is."""
        return {
            "step": self.step,
            "frames_seen": self.frames_seen,
            "clips_seen": self.clips_seen,
            "seconds": self.seconds,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        with torch.no_grad():
            for name in ("parameters", "averages"):
                for own, stored in zip(getattr(self, name), state[name], strict=True):
                    own.copy_(stored)
        self.optimiser.load_state_dict(state["optimiser"])
        counters = state["counters"]
        self.step, self.seconds = int(counters["step"]), float(counters["seconds"])
        self.frames_seen, self.clips_seen = (
            int(counters[name]) for name in ("frames_seen", "clips_seen")
        )

    def start_from(self, weights: dict[str, Tensor]) -> None:
        """Begin at weights by name: of a run's averages, or of a transformer alone."""
        found = [weights.get(name, weights.get(name.partition(".")[2])) for name in self.names]
        known = [(place, stored) for place, stored in enumerate(found) if stored is not None]
        if not known:
            raise ValueError("none of the weights to start from has a name of this network")
        with torch.no_grad():
            for place, stored in known:
                self.parameters[place].copy_(stored)
                self.averages[place].copy_(stored)

    def named_averages(self) -> dict[str, Tensor]:
        """Averaged weights by name."""
        return {
            name: average.cpu() for name, average in zip(self.names, self.averages, strict=True)
        }


def _single_frames(clips: Tensor, random: torch.Generator) -> Tensor:
    """One frame of each clip, four times: (n, 16, 5, h, w) -> (n, 16, 1, h, w)."""
    count, channels, times, height, width = clips.shape
    frames = clips.transpose(1, 2).reshape(count, times * 4, channels // 4, height, width)
    index = torch.randint(3, times * 4, (count,), generator=random)  # the first ones are copies
    chosen = frames[torch.arange(count), index.to(clips.device)]  # n 4 h w
    return chosen.repeat(1, 4, 1, 1).unsqueeze(2)


def save_state(trainer: Trainer, folder: Path) -> None:
    """Write the full state, and the averaged weights alone in half precision, each at once."""
    from safetensors.torch import save_file

    save_at_once(trainer.state(), folder / "state.pt")
    halves = {name: tensor.half().contiguous() for name, tensor in trainer.named_averages().items()}
    partial = folder / "averages.part"
    facts = {"counters": trainer.counters(), "recipe": asdict(trainer.recipe)}
    save_file(halves, partial, metadata={"training": json.dumps(facts)})
    os.replace(partial, folder / "averages.safetensors")


def run(trainer: Trainer, pool_folder: Path, out: Path, minutes: float | None = None) -> None:
    """Train until all clips of the recipe are seen, or until the time is up.

    New shards of the pool are taken in as they appear. A file ``STOP`` in the output folder ends
    the run after a save.
    """
    known: list[Path] = []
    pool: pools.Pool | None = None
    began = saved = time.monotonic()
    before, errors = trainer.seconds, _Errors()
    while trainer.clips_seen < trainer.recipe.clips:
        if trainer.step % _REFRESH == 0 or pool is None:
            if _agreed(trainer, (out / "STOP").exists() or _over(began, minutes)):
                break
            known = _same_shards(trainer, pool_folder)
            pool = pools.load(known)
        errors.add(trainer.train_step(pool))
        trainer.seconds = before + time.monotonic() - began
        if trainer.rank == 0 and trainer.step % _LOG == 0:
            line = trainer.counters() | {"shards": len(known), "rate": trainer.rate} | errors.line()
            print(json.dumps({k: round(float(v), 5) for k, v in line.items()}), flush=True)
            errors = _Errors()
        if trainer.rank == 0 and time.monotonic() - saved > _SAVE_SECONDS:
            save_state(trainer, out)
            saved = time.monotonic()
    if trainer.rank == 0:
        save_state(trainer, out)


def _over(began: float, minutes: float | None) -> bool:
    return minutes is not None and time.monotonic() - began > 60 * minutes


def _agreed(trainer: Trainer, stop: bool) -> bool:
    """What the first process thinks: all end at the same step."""
    if trainer.workers == 1:
        return stop
    told = torch.tensor([float(stop)])
    dist.broadcast(told, 0)
    return bool(told)


def _same_shards(trainer: Trainer, folder: Path) -> list[Path]:
    """The shards that there are, as the first process sees them."""
    while not (shards := pools.shards_of(folder)):
        time.sleep(5)
    if trainer.workers > 1:
        count = torch.tensor([len(shards)])
        dist.broadcast(count, 0)
        while len(shards := pools.shards_of(folder)) < int(count):
            time.sleep(1)
        shards = shards[: int(count)]
    return shards


class _Errors:
    """Running means between two log lines."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}

    def add(self, report: dict[str, float]) -> None:
        self._note(f"error_{int(report['times'])}", report["error"])
        self._note("unsaid", report["unsaid"])

    def _note(self, name: str, value: float) -> None:
        self._sums.setdefault(name, []).append(value)

    def line(self) -> dict[str, float]:
        return {name: float(np.mean(values)) for name, values in self._sums.items()}


def _worker(rank: int, options: argparse.Namespace) -> None:
    """One process of a run."""
    torch.set_num_threads(1 if options.device == "cpu" else 4)
    if options.workers > 1:
        store = f"file://{(options.out / 'meeting').resolve()}"
        dist.init_process_group(
            "gloo", store, timedelta(minutes=30), world_size=options.workers, rank=rank
        )
    recipe = Recipe(clips=options.clips, frames_first=options.frames_first)
    trainer = Trainer(recipe, Width(), options.device, rank, options.workers)
    if (options.out / "state.pt").exists():
        trainer.resume(torch.load(options.out / "state.pt", weights_only=True))
    elif options.start is not None:
        from safetensors.torch import load_file

        trainer.start_from(load_file(options.start))
    if options.compile:
        trainer.transformer.compile_repeated_blocks(dynamic=False)
    run(trainer, options.pool, options.out, options.minutes)


def main() -> None:
    """``python -m evenframe.miniature.video.train --pool FOLDER --out FOLDER``."""
    parser = argparse.ArgumentParser(description="Train the video miniature.")
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=Recipe.clips)
    parser.add_argument("--frames-first", type=int, default=Recipe.frames_first)
    parser.add_argument("--minutes", type=float, help="stop after so long; go on another day")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--start", type=Path, help="weights to begin at, where there is no state")
    parser.add_argument("--compile", action="store_true", help="compile the blocks: a C compiler")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "meeting").unlink(missing_ok=True)
    workers = 1 if options.device != "cpu" else options.workers
    options.workers = workers
    if workers == 1:
        _worker(0, options)
    else:
        spawn(_worker, (options,), nprocs=workers)


if __name__ == "__main__":
    main()
