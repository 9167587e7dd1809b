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
import math
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from ...pipelines.common import whole_file
from .. import shards
from ..export import FACTS
from ..meaning_loss import MeaningLoss
from ..optimiser import MatrixOptimiser
from ..training import BaseTrainer, PromptRecipe, Prompts, autocast
from ..training import run as run_steps
from .contrast import LEAST_NOISE, OtherPrompts, contrast
from .latents import frames_of
from .pool import TIMES
from .sampling import load
from .text import MOTIONS, start_text_encoder, word_encoder
from .transformer import PlainAttention, Width, flow_times, is_inner, make_transformer


@dataclass(frozen=True)
class Recipe(PromptRecipe):
    """What is done; stored with the averages and in the model card.

    Attributes:
        clips: to be seen in all; over the last `decay` of them the learning rate falls to 2 %.
        frames_first: single latent frames seen before the first clip.
        clip_batch, frame_batch: samples of a step, of all processes together.
        frame_share: of the later steps, those of single frames. short_share: of the steps of clips,
            those of shorter ones, so that 5 and 9 frames are known too.
        shift: of the noise for a single latent frame, and what each further one adds.
        even_share: samples at even times, unshifted, without which edges stay ragged.
        contrast: weight of the loss of that name, of clips.
    """

    rate: float = 2e-3
    clips: int = 240_000
    decay: float = 0.2
    frames_first: int = 120_000
    clip_batch: int = 16
    frame_batch: int = 64
    frame_share: float = 0.2
    short_share: float = 0.15
    shift: tuple[float, float] = (3.0, 1.0)
    even_share: float = 0.25
    meaning: float = 0.3
    contrast: float = 1.0
    warmup: int = 100
    average: float = 0.999


class Trainer(BaseTrainer):
    """A run of the video miniature, in one of its processes."""

    COUNTED = (*BaseTrainer.COUNTED, "frames_seen", "clips_seen")

    def __init__(self, recipe: Recipe, width: Width, device: str, rank: int, workers: int) -> None:
        self.recipe, self.width, self.device = recipe, width, torch.device(device)
        self.rank, self.workers, self.leads = rank, workers, rank == 0
        encoder = word_encoder()
        self.transformer = make_transformer(width).to(self.device)
        self.text = start_text_encoder().to(self.device)
        if self.device.type == "cpu":
            self.transformer.set_attn_processor(PlainAttention())
        modules = {"transformer": self.transformer, "text_encoder": self.text}
        rates = recipe.rate, recipe.weight_decay
        super().__init__(
            modules, MatrixOptimiser(modules.values(), *rates, is_inner), recipe.average
        )
        self.frames_seen = self.clips_seen = 0
        self.random = torch.Generator().manual_seed(recipe.seed)
        self.prompts = Prompts(self.text, encoder, recipe, self.random, keeps_end=True)
        self.meaning_loss = MeaningLoss(encoder, width.text, self.device, MOTIONS)
        self.others = OtherPrompts(encoder)

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        recipe = self.recipe
        left = (recipe.clips - self.clips_seen) / (recipe.decay * recipe.clips)
        warm = min(1.0, (self.step + 1) / recipe.warmup)
        return recipe.rate * warm * max(0.02, min(1.0, left))

    def train_step(self, pool: shards.Pool) -> dict[str, float]:
        """One optimiser step; returns what it was of, and the errors in this process."""
        recipe = self.recipe
        # By what was seen, not by the step: what goes on from weights draws other numbers.
        drawn = recipe.seed * 2**32 + self.frames_seen + self.clips_seen
        self.random.manual_seed(drawn)
        times = self._kind_of_step()
        batch = recipe.frame_batch if times == 1 else recipe.clip_batch
        # All processes have drawn the same kind of step; the samples of it are each one's own.
        self.random.manual_seed(drawn * self.workers + self.rank + 1)
        with autocast(self.device):
            error, unsaid, missed = self._loss(pool, times, batch // self.workers)
            loss = error + recipe.meaning * unsaid + recipe.contrast * missed
        self.update(loss, self.rate)
        if times == 1:
            self.frames_seen += batch
        else:
            self.clips_seen += batch
        parts = {"error": error, "unsaid": unsaid, "missed": missed}
        return {"times": times, **{name: part.item() for name, part in parts.items()}}

    def _kind_of_step(self) -> int:
        """Latent frames of a step."""
        recipe, draw = self.recipe, torch.rand(2, generator=self.random)
        if self.frames_seen < recipe.frames_first or draw[0] < recipe.frame_share:
            return 1
        return TIMES if draw[1] >= recipe.short_share else 2 + int(draw[1] * 1e6) % 2

    def _loss(self, pool: shards.Pool, times: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
        drawn = pool.take(torch.randint(len(pool), (count,), generator=self.random).numpy())
        clean, ids, slots = (
            torch.from_numpy(drawn[name]).to(self.device, dtype)
            for name, dtype in (
                ("latents", torch.float32),
                ("ids", torch.long),
                ("slots", torch.long),
            )
        )
        clean = _single_frames(clean, self.random) if times == 1 else clean[:, :, :times]
        ids, slots, states, swaps = self.prompts(ids, slots)
        first, more = self.recipe.shift
        shift = first + more * (times - 1)
        level = flow_times(count, shift, self.recipe.even_share, self.random).to(self.device)
        noise = torch.randn(clean.shape, generator=self.random).to(self.device)
        share = level.view(-1, 1, 1, 1, 1)
        noisy = (1 - share) * clean + share * noise
        errors = self._errors(noisy, level, states, noise - clean)
        missed = errors.new_zeros(())
        if self.recipe.contrast and times > 1:
            others, differs = self.others(ids, self.random)
            asked = differs & (level > LEAST_NOISE)
            # Half of the batch always, so that shapes stay those that are compiled.
            rows = asked.int().argsort(descending=True, stable=True)[: max(1, count // 2)]
            told = self.prompts.states(others[rows], swaps[rows])
            wrong = self._errors(noisy[rows], level[rows], told, (noise - clean)[rows])
            missed = (contrast(errors[rows], wrong) * asked[rows]).sum() / count
        return errors.mean(), self.meaning_loss(states.float(), ids, slots), missed

    def _errors(self, noisy: Tensor, level: Tensor, states: Tensor, target: Tensor) -> Tensor:
        """(n,): mean squared error of each clip."""
        said = self.transformer(noisy, level * 1000, states, return_dict=False)[0]
        return (said.float() - target).square().flatten(1).mean(1)

    def share_gradients(self) -> None:
        """Give all processes the mean of their gradients."""
        if self.workers == 1:
            return
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.workers
        for gradient, part in zip(
            gradients, flat.split([g.numel() for g in gradients]), strict=True
        ):
            gradient.copy_(part.view_as(gradient))

    def start_from(self, path: Path) -> None:
        """Begin at a run's averages, at a transformer's file, or at an exported folder, whose
        clips and seconds count on. The optimiser is fresh."""
        weights, counted = _begun(path)
        found = [weights.get(name, weights.get(name.partition(".")[2])) for name in self.names]
        known = [(place, stored) for place, stored in enumerate(found) if stored is not None]
        if not known:
            raise ValueError("none of the weights to start from has a name of this network")
        with torch.no_grad():
            for place, stored in known:
                self.parameters[place].copy_(stored)
        self.average_anew()
        for name in ("seconds", "frames_seen", "clips_seen") if counted else ():
            setattr(self, name, type(getattr(self, name))(counted[name]))

    def save_averages(self, folder: Path) -> None:
        """Write them in half precision."""
        from safetensors.torch import save_file

        halves = {name: value.half().contiguous() for name, value in self.named_averages().items()}
        facts = {"counters": self.counters(), "recipe": asdict(self.recipe)}
        write = partial(save_file, halves, metadata={"training": json.dumps(facts)})
        whole_file.replace(folder / "averages.safetensors", write)


def _begun(path: Path) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Weights by their names in a run, or in the transformer, and an exported folder's counters."""
    if not path.is_dir():
        from safetensors.torch import load_file

        return load_file(path), {}
    found = load(path)
    parts = {"transformer": found.transformer, "text_encoder": found.text}
    weights = {f"{part}.{n}": v for part, of in parts.items() for n, v in of.state_dict().items()}
    facts = json.loads((path / FACTS).read_text(encoding="utf-8"))
    return weights, facts["transformer"]["counters"]


def _single_frames(clips: Tensor, random: torch.Generator) -> Tensor:
    """One frame of each clip, four times: (n, 16, 5, h, w) -> (n, 16, 1, h, w)."""
    frames = frames_of(clips)
    index = torch.randint(3, frames.shape[1], (len(clips),), generator=random)  # 0 to 2 are copies
    chosen = frames[torch.arange(len(clips)), index.to(clips.device)]  # n 4 h w
    return chosen.repeat(1, 4, 1, 1).unsqueeze(2)


def run(trainer: Trainer, pool_folder: Path, out: Path, minutes: float | None = None) -> None:
    """Train until all clips of the recipe are seen, or until the time is up.

    New shards of the pool are taken in as they appear. A file `STOP` in the output folder ends
    the run after a save.
    """
    pool = shards.GrowingPool(lambda: _same_shards(trainer, pool_folder))

    def step() -> Iterable[tuple[str, float]]:
        report = trainer.train_step(pool.at(trainer.step))
        yield f"error_{int(report['times'])}", report["error"]
        yield "unsaid", report["unsaid"]
        yield "missed", report["missed"]

    def done(seconds: float) -> bool:
        if trainer.clips_seen >= trainer.recipe.clips or not pool.is_due(trainer.step):
            return trainer.clips_seen >= trainer.recipe.clips
        over = minutes is not None and seconds > 60 * minutes
        return bool(_told(trainer, over or (out / "STOP").exists()))  # all end at the same step

    run_steps(trainer, out, step, done, save_every=240.0)


def _told(trainer: Trainer, value: int) -> int:
    """What the first process has, to all."""
    if trainer.workers == 1:
        return value
    told = torch.tensor([value])
    dist.broadcast(told, 0)
    return int(told)


def _same_shards(trainer: Trainer, folder: Path) -> list[Path]:
    """As many shards as the first process sees, so that all have as many samples."""
    while not (found := shards.shards_of(folder)):
        time.sleep(5)
    count = _told(trainer, len(found))
    while len(found := shards.shards_of(folder)) < count:
        time.sleep(1)
    return found[:count]


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
    if not trainer.resume_from(options.out) and options.start is not None:
        trainer.start_from(options.start)
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
    parser.add_argument("--start", type=Path, help="weights, or an exported folder, to begin at")
    parser.add_argument("--compile", action="store_true", help="compile the blocks: a C compiler")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "meeting").unlink(missing_ok=True)
    options.workers = 1 if options.device != "cpu" else _even_workers(options.workers)
    if options.workers == 1:
        _worker(0, options)
    else:
        spawn(_worker, (options,), nprocs=options.workers)


def _even_workers(most: int) -> int:
    """As many processes as share every batch evenly."""
    batch = math.gcd(Recipe.clip_batch, Recipe.frame_batch)
    return max(count for count in range(1, max(1, most) + 1) if batch % count == 0)


if __name__ == "__main__":
    main()
