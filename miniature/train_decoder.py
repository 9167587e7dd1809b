"""Training of the miniature's decoder; independent of the UNet, because latents are fixed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .autoencoder import write_linear_encoder, write_simple_decoder
from .latents import LatentMap, load_latent_map
from .models import Size, load_published, make_autoencoder
from .optimiser import MatrixOptimiser
from .sample_scenes import sample_scene
from .scenes import Array, render
from .training import BaseTrainer, run, save_at_once, write_line
from .vocabulary import FRAMES

LATENT_NOISE = 0.06
"""Largest deviation of the noise on training latents: sampled latents are never exact."""


def scene_batch(
    rng: np.random.Generator, latent_map: LatentMap, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(images (n, 3, 128, 128) in -1..1, latents, weights (n, 1, 128, 128)): items count more."""
    images, weights = [], []
    for _ in range(count):
        image, masks = render(sample_scene(rng), int(rng.integers(FRAMES)))
        images.append(image)
        weights.append(masks.max(0))
    stack = np.stack(images)
    latents = torch.from_numpy(latent_map.encode(stack))
    target = torch.from_numpy(stack).permute(0, 3, 1, 2) * 2 - 1
    return target, latents, things_first(weights)


def things_first(covers: Sequence[Array]) -> Tensor:
    """Weights (n, 1, 128, 128) of pictures, whose mean is 1, from what things cover (128, 128):
    these, and what is next to them, count five times as much."""
    near = nn.functional.max_pool2d(torch.from_numpy(np.stack(covers))[:, None], 9, 1, 4)
    weight = 1 + 4 * near
    return weight / weight.mean((1, 2, 3), keepdim=True)


def crop(
    rng: np.random.Generator, tensors: tuple[Tensor, Tensor, Tensor], cells: int = 8
) -> tuple[Tensor, Tensor, Tensor]:
    """A window of ``cells`` latent cells of each picture, over the edge of something: most of a
    whole picture is flat and teaches nothing."""
    parts: list[list[Tensor]] = [[], [], []]
    for target, latents, weight in zip(*tensors, strict=True):
        heavy = weight[0] > 1
        edge = torch.nonzero(heavy[8:-8:4, 8:-8:4])
        y, x = edge[int(rng.integers(len(edge)))] * 4 + 8 if len(edge) else torch.tensor([64, 64])
        shift = rng.integers(-2, 3, 2)
        top, left = (
            int(np.clip(int(v) // 8 - cells // 2 + s, 0, 16 - cells))
            for v, s in zip((y, x), shift, strict=True)
        )
        window = (slice(top * 8, (top + cells) * 8), slice(left * 8, (left + cells) * 8))
        parts[0].append(target[:, *window])
        parts[1].append(latents[:, top : top + cells, left : left + cells])
        parts[2].append(weight[:, *window])
    target, latents, weight = (torch.stack(part) for part in parts)
    return target, latents, weight


def psnr(decoded: Tensor, target: Tensor) -> Tensor:
    """Peak signal to noise per image in dB, pictures in -1..1."""
    error = (decoded.clamp(-1, 1) - target).square().mean((1, 2, 3))
    return 10 * torch.log10(4 / error)


class DecoderTrainer(BaseTrainer):
    """A run of the decoder; the encoder is written and stays."""

    STATE, LOG = "decoder_state.pt", "decoder_log.jsonl"

    def __init__(self, latent_map: LatentMap, rate: float, device: str, seed: int = 3) -> None:
        torch.manual_seed(seed)
        self.map, self.device = latent_map, torch.device(device)
        self.autoencoder = make_autoencoder(Size())
        write_linear_encoder(self.autoencoder, latent_map)
        write_simple_decoder(self.autoencoder, latent_map)
        self.autoencoder.to(self.device, memory_format=torch.channels_last)
        learned = {name: getattr(self.autoencoder, name) for name in ("decoder", "post_quant_conv")}
        optimiser = MatrixOptimiser(learned.values(), rate, 1e-4, inner=lambda *_: False)
        super().__init__(learned, optimiser, average=0.998)

    def train_step(self, rng: np.random.Generator, batch: int, rate: float) -> float:
        """One step on fresh scenes; returns the loss."""
        # Whole pictures now and then, because group normalisation sees the whole picture.
        if rng.random() < 0.75:
            tensors = crop(rng, scene_batch(rng, self.map, 2 * batch))
        else:
            tensors = scene_batch(rng, self.map, batch)
        target, latents, weight = (t.to(self.device) for t in tensors)
        level = LATENT_NOISE * torch.rand(len(latents), 1, 1, 1, device=self.device)
        noisy = latents + level * torch.randn_like(latents)
        error = self.autoencoder.decode(noisy).sample - target
        loss = (weight * (error.abs() + error.square())).mean()
        self.update(loss, rate)
        return float(loss.detach())

    def averaged(self) -> dict[str, Tensor]:
        """State dict of the whole autoencoder with the averaged decoder."""
        return self.with_averages(self.autoencoder)

    def save_averages(self, folder: Path) -> None:
        """Write them as a whole autoencoder, and how well it does."""
        save_at_once(self.averaged(), folder / "autoencoder.pt")
        mean, lowest = self.evaluate()
        write_line(folder / self.LOG, self.counters() | {"psnr": mean, "psnr_min": lowest})

    def start_from(self, folder: Path) -> None:
        """Start at the decoder of an exported folder, with a fresh optimiser."""
        load_published(self.autoencoder, folder / "vae" / "diffusion_pytorch_model.safetensors")
        write_linear_encoder(self.autoencoder, self.map)
        self.average_anew()

    @torch.no_grad()
    def evaluate(self, count: int = 24) -> tuple[float, float]:
        """(mean, lowest) PSNR of the averaged decoder on seeded scenes."""
        target, latents, _ = scene_batch(np.random.default_rng(999), self.map, count)
        model = make_autoencoder(Size())
        model.load_state_dict(self.averaged())
        values = psnr(model.decode(latents).sample, target)
        return float(values.mean()), float(values.min())


def main() -> None:
    """``python -m evenframe.miniature.train_decoder``."""
    parser = argparse.ArgumentParser(description="Train the miniature's decoder.")
    parser.add_argument("--out", type=Path, default=Path(".cache/miniature/run"))
    parser.add_argument("--init-from", type=Path, help="exported weights to start at")
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--decay-minutes", type=float, default=8)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    trainer = DecoderTrainer(load_latent_map(), args.learning_rate, args.device)
    if not trainer.resume_from(args.out) and args.init_from is not None:
        trainer.start_from(args.init_from)
    rng = np.random.default_rng([77, trainer.step])
    began, seconds = time.monotonic(), args.minutes * 60

    def step() -> Iterable[tuple[str, float]]:
        left = seconds - (time.monotonic() - began)
        fall = min(1.0, max(0.03, left / max(1e-6, args.decay_minutes * 60)))
        rate = args.learning_rate * min(1.0, (trainer.step + 1) / 50) * fall
        yield "loss", trainer.train_step(rng, args.batch, rate)

    run(trainer, args.out, step, lambda elapsed: elapsed >= seconds, save_every=120)


if __name__ == "__main__":
    main()
