"""Measurements of the miniature against its world's truth; the world bench puts them together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..pipelines.models.model import Model
from ..pipelines.source.inversion import Inversion, invert
from ..pipelines.source.reconstruction import reconstruct
from .attention_loss import make_explicit, mean_map
from .judge import analyse
from .models import alphas_cumprod
from .sample_scenes import KINDS, sample_scene
from .sampling import GUIDANCE, Miniature, backbone_of, initial_noise, sample
from .scenes import Scene, compose, make_figure, render
from .verdict import Verdict, judge_scene
from .vocabulary import PLAIN_BACKGROUNDS

Array = NDArray[np.float32]
MAP_THRESHOLD = 0.4
"""A cell belongs to a word where its attention is above this share of the map's maximum."""


@dataclass(frozen=True)
class Drawn:
    """Sampled pictures with what was asked and what was seen."""

    scenes: tuple[Scene, ...]
    images: Array
    verdicts: tuple[Verdict, ...]


def bench_scenes(count: int, seed: int, held_out: bool = False) -> list[Scene]:
    """Seeded scenes of every kind that a prompt can fully describe."""
    rng = np.random.default_rng([seed, int(held_out)])
    kinds = {kind: share for kind, share in KINDS.items() if kind != "crossing"}
    shares = np.array(list(kinds.values()))
    drawn = rng.choice(list(kinds), size=count, p=shares / shares.sum())
    return [sample_scene(rng, str(kind), held_out) for kind in drawn]


def draw(model: Miniature, scenes: Sequence[Scene], seed: int, guidance: float = GUIDANCE) -> Drawn:
    """Sample one picture per scene's prompt and judge it."""
    noise = initial_noise(range(seed, seed + len(scenes)))
    latents = sample(model, [s.prompt for s in scenes], noise, 25, guidance)
    images = model.decode(latents)
    verdicts = [judge_scene(s, analyse(i)) for s, i in zip(scenes, images, strict=True)]
    return Drawn(tuple(scenes), images, tuple(verdicts))


SKEW: Sequence[tuple[str, str | None, str]] = (
    ("doctor", None, "female"),
    ("nurse", None, "male"),
    ("engineer", None, "female"),
    ("doctor", "female", "female"),
    ("doctor", "male", "male"),
)
"""What the skew is read from: profession, presentation that the prompt names, and the one that is
counted: the rarer, or the named one."""


def skew_key(profession: str, named: str | None) -> str:
    """What a figure of one of `SKEW` is called."""
    return f"{named}_{profession}.named_share" if named else f"{profession}.minority_share"


def figure_scenes(profession: str, named: str | None, count: int) -> list[Scene]:
    """One-figure prompts over the plain backgrounds; ``named`` says the presentation."""
    backgrounds = list(PLAIN_BACKGROUNDS)
    figure = make_figure(profession, named or "male", 64, 64, explicit=named is not None)
    return [compose("figure", (figure,), backgrounds[i % len(backgrounds)]) for i in range(count)]


def presentations(verdicts: Iterable[Verdict]) -> list[str | None]:
    """Presentation seen in each picture; None where it is undetermined or no figure is there."""
    return [getattr(v.matched[0], "presentation", None) for v in verdicts]


def autoencoder_psnr(model: Miniature, scenes: Sequence[Scene]) -> list[float]:
    """PSNR in dB of each scene's first frame through the autoencoder."""
    images = np.stack([render(scene)[0] for scene in scenes])
    return psnr(model.decode(model.encode(images)), images)


def psnr(images: Array, reference: Array) -> list[float]:
    """PSNR in dB per picture, values in 0..1."""
    error = ((images - reference) ** 2).mean((1, 2, 3))
    return [float(v) for v in -10 * np.log10(np.maximum(error, 1e-12))]


def inversion_psnr(
    model: Miniature, scenes: Sequence[Scene], steps: int = 50, solver: str = "ddim"
) -> list[float]:
    """PSNR in dB of inversion and reconstruction at guidance 1 against the autoencoder's own
    reconstruction."""
    backbone = backbone_of(model)
    inverted = [_invert(backbone, scene, steps, solver) for scene in scenes]
    again = torch.cat([reconstruct(backbone, inversion) for inversion in inverted])
    latents = torch.cat([inversion.trajectory[0] for inversion in inverted])
    return psnr(model.decode(again), model.decode(latents))


def _invert(backbone: Model, scene: Scene, steps: int, solver: str = "ddim") -> Inversion:
    """The inversion of a scene's first frame."""
    frame = torch.from_numpy(render(scene)[0])[None]
    given = {"steps": steps, "keyframes": "own", "store": "recompute", "solver": solver}
    return invert(backbone, frame, scene.prompt, **given)


def leak(model: Miniature, count: int, seed: int) -> tuple[int, int, int]:
    """(leaked, followed, count): pictures sampled under a prompt from the inverted noise of a
    scene with another background; leaked where that background is seen, followed where the
    prompt's is."""
    rng = np.random.default_rng(seed)
    sources, targets = [], []
    while len(sources) < count:
        source, target = (sample_scene(rng, "one") for _ in range(2))
        if target.says_background and source.background != target.background:
            sources.append(source)
            targets.append(target)
    backbone = backbone_of(model)
    noise = torch.cat([_invert(backbone, scene, 25).trajectory[-1] for scene in sources])
    drawn = model.decode(sample(model, [t.prompt for t in targets], noise))
    seen = [analyse(image).background for image in drawn]
    leaked = sum(b == s.background for b, s in zip(seen, sources, strict=True))
    followed = sum(b == t.background for b, t in zip(seen, targets, strict=True))
    return leaked, followed, count


@torch.no_grad()
def attention_iou(
    model: Miniature, scenes: Sequence[Scene], seed: int, cells: int = 16
) -> list[float]:
    """IoU of each noun's cross-attention with its item's mask, mean over t = 100, 200 .. 700.

    Maps are averaged over heads and over the layers of ``cells`` x ``cells``.
    """
    rendered = [render(scene) for scene in scenes]
    latents = model.encode(np.stack([image for image, _ in rendered]))
    context = model.embed([scene.prompt for scene in scenes])
    kept = alphas_cumprod(torch.float32)
    generator = torch.Generator().manual_seed(seed)
    scores: list[list[float]] = []
    for timestep in range(100, 701, 100):
        noise = torch.randn(latents.shape, generator=generator)
        noisy = kept[timestep].sqrt() * latents + (1 - kept[timestep]).sqrt() * noise
        maps = _cross_attention(model, noisy, timestep, context, cells)
        scores.append(
            [
                _overlap(maps[i, :, position].reshape(cells, cells).numpy(), mask)
                for i, (scene, (_, masks)) in enumerate(zip(scenes, rendered, strict=True))
                for position, mask in _nouns(scene, masks, cells)
            ]
        )
    return [float(v) for v in np.mean(scores, 0)]


def _cross_attention(
    model: Miniature, noisy: Tensor, timestep: int, context: Tensor, cells: int
) -> Tensor:
    original = dict(model.unet.attn_processors)
    recorders = make_explicit(model.unet, cross_only=True)
    model.unet(noisy, timestep, context)
    model.unet.set_attn_processor(original)
    return mean_map(recorders, cells)  # n q k


def _nouns(scene: Scene, masks: Array, cells: int) -> list[tuple[int, Array]]:
    """(token position, mask (cells, cells)) of each item's noun, its phrase's last word."""
    size = 128 // cells
    coarse = masks.reshape(len(masks), cells, size, cells, size).mean((2, 4))
    found = []
    for slot, items in enumerate(scene.slot_items):
        position = max(i for i, (_, s) in enumerate(scene.words) if s == slot) + 1
        found.append((position, coarse[list(items)].sum(0)))
    return found


def _overlap(attention: Array, mask: Array) -> float:
    chosen, true = attention > MAP_THRESHOLD * attention.max(), mask > 0.5
    return float((chosen & true).sum() / max(1, (chosen | true).sum()))
