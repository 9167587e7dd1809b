"""Training of the video miniature's decoder; independent of the transformer, whose latents are
fixed. Seeded by its step, resumable, on one CPU core or a GPU."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...pipelines.common import whole_file
from ..latents import LatentMap, load_latent_map
from ..optimiser import MatrixOptimiser
from ..train_decoder import LATENT_NOISE, crop, psnr, things_first
from ..training import BaseTrainer, autocast, run, write_line
from .codec import (
    decode_each,
    make_codec,
    wans_own,
    write_linear_encoder,
    write_simple_decoder,
)
from .latents import COPIES, pack
from .motions import CLIP
from .sample_clips import sample_clip
from .world import render

FIRST_SHARE = 0.15
"""Of the steps, those of a clip's first latent frame, which is one frame."""
WHOLE_SHARE = 0.1
"""Of the steps, those of whole frames, for what is at their borders."""
MEASURE_EVERY = 200
"""Steps between two measurements, which cost as much as thirty: a save may come after one, where
others need the machine."""
Batch = tuple[Tensor, Tensor, Tensor]


def clip_batch(rng: np.random.Generator, latent_map: LatentMap, count: int, first: bool) -> Batch:
    """Single latent frames of clips: (frames (n, 3 f, 128, 128) in -1..1, latents (n, 16, 16, 16),
    weights (n, 1, 128, 128)): things count more.

    first: of a clip, for which f = 1; else 4.
    """
    images, latents, weights = [], [], []
    for _ in range(count):
        clip = sample_clip(rng)
        start = 0 if first else 1 + COPIES * int(rng.integers((CLIP - 1) // COPIES))
        drawn = [render(clip, frame) for frame in range(start, start + (1 if first else COPIES))]
        stack = np.stack([image for image, _ in drawn])
        each = latent_map.encode(stack)
        latents.append(pack(each)[:, 0] if first else each.reshape(-1, *each.shape[2:]))
        images.append(stack.transpose(0, 3, 1, 2).reshape(-1, *stack.shape[1:3]))
        weights.append(np.max([masks.max(0) for _, masks in drawn], 0))
    target = torch.from_numpy(np.stack(images)) * 2 - 1
    return target, torch.from_numpy(np.stack(latents)), things_first(weights)


class CodecTrainer(BaseTrainer):
    """A run of the decoder; the encoder is written and stays, and attention stays silent."""

    STATE, LOG, AVERAGES = "state.pt", "log.jsonl", "averages.safetensors"
    COUNTED = (*BaseTrainer.COUNTED, "frames_seen")

    def __init__(self, latent_map: LatentMap, rate: float, device: str, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.map, self.rate, self.device, self.seed = latent_map, rate, torch.device(device), seed
        self.codec = make_codec()
        write_linear_encoder(self.codec, latent_map)
        write_simple_decoder(self.codec, latent_map)
        self.codec.to(self.device)
        learned = {name: getattr(self.codec, name) for name in ("decoder", "post_quant_conv")}
        self.codec.decoder.mid_block.attentions.requires_grad_(False)
        optimiser = MatrixOptimiser(learned.values(), rate, 1e-4, inner=lambda *_: False)
        super().__init__(learned, optimiser, average=0.998)
        self.frames_seen, self._measured = 0, 0

    def decode(self, latents: Tensor, first: bool, codec: nn.Module | None = None) -> Tensor:
        """Frames (n, 3 f, 8 h, 8 w) in -1..1 of the map's latents (n, 16, h, w)."""
        wans = wans_own(self.codec, latents[:, :, None])[:, :, 0]
        return decode_each(codec or self.codec, wans, first).flatten(1, 2)

    def train_step(self, batch: int, share: float = 1.0) -> float:
        """One step on fresh clips, at a share of the learning rate; returns the loss."""
        rng = np.random.default_rng([self.seed, self.step])
        torch.manual_seed(self.seed * 2**32 + self.step)
        first = bool(rng.random() < FIRST_SHARE)
        if rng.random() < WHOLE_SHARE:
            tensors = clip_batch(rng, self.map, max(1, batch // 4), first)
        else:
            tensors = crop(rng, clip_batch(rng, self.map, batch, first))
        target, latents, weight = (t.to(self.device) for t in tensors)
        level = LATENT_NOISE * torch.rand(len(latents), 1, 1, 1, device=self.device)
        with autocast(self.device):
            error = self.decode(latents + level * torch.randn_like(latents), first).float() - target
        loss = (weight * (error.abs() + error.square())).mean()
        self.update(loss, self.rate * share * min(1.0, (self.step + 1) / 50))
        self.frames_seen += len(latents)
        return float(loss.detach())

    def averaged(self) -> dict[str, Tensor]:
        """State dict of the whole autoencoder with the averaged decoder."""
        return self.with_averages(self.codec)

    def save_averages(self, folder: Path) -> None:
        """Write them as a whole autoencoder, and now and then how well it does."""
        from safetensors.torch import save_file

        weights = {name: value.contiguous() for name, value in self.averaged().items()}
        facts = {"training": json.dumps({"counters": self.counters()})}
        whole_file.replace(folder / self.AVERAGES, partial(save_file, weights, metadata=facts))
        if self.step - self._measured >= MEASURE_EVERY:
            mean, lowest = self.evaluate()
            write_line(folder / self.LOG, self.counters() | {"psnr": mean, "psnr_min": lowest})
            self._measured = self.step

    @torch.no_grad()
    def evaluate(self, count: int = 16) -> tuple[float, float]:
        """(mean, lowest) PSNR of the averaged decoder on latent frames of seeded clips."""
        codec = make_codec().to(self.device)
        codec.load_state_dict(self.averaged())
        values = []
        for first, number in ((False, count), (True, count // 4)):
            target, latents, _ = clip_batch(np.random.default_rng(999), self.map, number, first)
            for each, wanted in zip(latents, target, strict=True):
                made = self.decode(each[None].to(self.device), first, codec).cpu()
                values.append(psnr(made, wanted[None]))
        return float(torch.cat(values).mean()), float(torch.cat(values).min())


def main() -> None:
    """``python -m evenframe.miniature.video.train_codec``."""
    parser = argparse.ArgumentParser(description="Train the video miniature's decoder.")
    parser.add_argument("--out", type=Path, default=Path(".cache/video/codec"))
    parser.add_argument("--steps", type=int, default=40_000, help="in all, over several runs")
    parser.add_argument("--decay-steps", type=int, default=8_000, help="the last, at a lower rate")
    parser.add_argument("--minutes", type=float, help="stop after so long; go on another day")
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    trainer = CodecTrainer(load_latent_map(), args.rate, args.device)
    trainer.resume_from(args.out)
    began = time.monotonic()

    def step() -> Iterable[tuple[str, float]]:
        left = (args.steps - trainer.step) / max(1, args.decay_steps)
        yield "loss", trainer.train_step(args.batch, min(1.0, max(0.02, left)))

    def done(_: float) -> bool:
        over = args.minutes is not None and time.monotonic() - began > 60 * args.minutes
        return trainer.step >= args.steps or over or (args.out / "STOP").exists()

    run(trainer, args.out, step, done, save_every=240.0)


if __name__ == "__main__":
    main()
