"""What edits take on a GPU: models of full size with random weights, in bf16. The keys `gpu.*`.

Stable Diffusion 1.5 with 8 frames of 512x512 (`gpu.sd8`), 16 and 32; Wan 2.1's 1.3B with 33 frames
of 832x480 in this pack's own engine (`gpu.wan`), and in ComfyUI (`gpu.host_wan`) where one is found
($COMFYUI_PATH, else ~/comfy/ComfyUI). Of a guided step in which a control acts: its `seconds`;
`peak_bytes` of all that is on the card; `tflop`, its work, counted while it is done; `times_floor`,
its seconds over those that this work takes at the speed of a large matrix product on the same card
(`gpu.matmul.tflops`). What is not measured is told as `skipped`, with the reason.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from ..pipelines.common.errors import EvenframeError
from ..pipelines.controls.base import Control, Edit, Step
from ..pipelines.controls.fame.cross_reweighter import CrossReweighter
from ..pipelines.controls.fame.self_modulator import SelfModulator
from ..pipelines.controls.reatco.refocus import Refocus
from ..pipelines.controls.span import WHOLE
from ..pipelines.editing import edit
from ..pipelines.models.model import Model
from ..pipelines.models.noise_schedule import NoiseSchedule
from ..pipelines.models.stable_diffusion import shipped
from ..pipelines.models.stable_diffusion.components import empty
from ..pipelines.models.stable_diffusion.denoiser import denoiser_of
from ..pipelines.source.inversion import Inversion, invert
from ..pipelines.source.store import NOTHING
from . import host_models, main, native_cost
from .counting import flops
from .native import rel_error
from .parts import Figures, Parts
from .peaks import peak
from .stand_ins import RandomLatents, WordStates

BY_NAME = True
DTYPE = torch.bfloat16
STEPS, KEPT_STEPS, ROUNDS = 2, 4, 3
CASES = ("plain", "fusion", "bridge", "masks", "boost", "gradient", "fame")


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    unet, wan: of their layouts, what differs from the published. clips: frames for the UNet, of
    `size`, (height, width). matmul: side of the matrices.
    """

    unet: Mapping[str, Any] = field(default_factory=dict)
    clips: tuple[int, ...] = (8, 16, 32)
    size: tuple[int, int] = (512, 512)
    wan: Mapping[str, Any] = field(default_factory=lambda: native_cost.PUBLISHED)
    wan_frames: int = native_cost.FRAMES
    wan_size: tuple[int, int] = native_cost.SIZE
    matmul: int = 8192


FULL = Sizes()
NARROW = {
    "block_out_channels": (32, 64),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "cross_attention_dim": 32,
    "attention_head_dim": 4,
    "sample_size": 16,
}
TINY = Sizes(NARROW, (2, 3), (64, 64), native_cost.SMALL, 5, (32, 32), 256)
"""For a CPU, in seconds."""
MODELS = ("host_wan", "wan", *(f"sd{frames}" for frames in FULL.clips))
TARGETS = {f"gpu.{model}.{case}.times_floor": 2.5 for model in MODELS for case in CASES}
TARGETS |= {"gpu.offload.changed_share": 0.0, "gpu.offload.prefetch_ratio": 1.02}
TARGETS |= {f"gpu.gradient_{size}.rel_error": 0.05 for size in ("tiny", "sd")}
"""The most that a figure may be."""


def run(seconds: int = 300) -> Figures:
    """Measure on the first GPU. seconds: the time to keep to."""
    if not torch.cuda.is_available():
        print("gpu: not measured, torch finds no GPU")
        return {}
    card: Figures = {"gpu.card": torch.cuda.get_device_name(), "gpu.torch": torch.__version__}
    print(*card.values(), flush=True)
    return card | measure(FULL, "cuda", seconds)


def measure(sizes: Sizes, device: str, seconds: float) -> Figures:
    """All parts, in the order of their importance. device: "cuda" or "cpu"."""
    parts, (first, *longer) = Parts("gpu", TARGETS, seconds), sizes.clips
    film = sizes.wan_frames, sizes.wan_size

    def clip(frames: int) -> Scene:
        return Scene(sd(sizes.unet, device), frames, sizes.size)

    def small() -> Scene:
        return Scene(sd(TINY.unet, device), TINY.clips[0], TINY.size)

    parts.part("matmul", lambda: {"tflops": matmul_rate(sizes.matmul, device) / 1e12})
    edits(parts, f"sd{first}", lambda: clip(first))
    edits(parts, "host_wan", lambda: Scene(host_wan(sizes.wan, device), *film))
    edits(parts, "wan", lambda: Scene(wan(sizes.wan, device), *film))
    parts.part("gradient_tiny", lambda: gradient_error(small()))
    parts.part("gradient_sd", lambda: gradient_error(clip(first)))
    parts.part("offload", lambda: offload(clip(first)))
    for frames in longer:
        edits(parts, f"sd{frames}", partial(clip, frames))
    return parts.found


class Scene:
    """A model and a clip that was blurred, not inverted: what is edited."""

    def __init__(self, model: Model, frames: int, size: tuple[int, int]):
        self.model, self.frames = model, torch.rand(frames, *size, 3)
        model.denoiser.module.requires_grad_(False)
        texts = (model.text.encode(text) for text in native_cost.PROMPTS)
        self.source, self.target, self.negative = texts
        self.regions = native_cost.region(frames, size)
        self.inversion = invert(model, self.frames, self.source, steps=STEPS, noise_seed=0)

    def edited(
        self, controls: list[Control], inversion: Inversion | None = None, start_step: int = 0
    ) -> Tensor:
        """The latents (t, c, h, w) of an edit."""
        given: Any = {"negative": self.negative, "controls": controls, "start_step": start_step}
        return edit(self.model, inversion or self.inversion, self.target, **given)

    def controls(self, case: str) -> list[Control]:
        """Those of a case; they act in every step."""
        regions, settings = self.regions, {}
        if self.model.denoiser.layout.whole_clip:  # where rows of long clips are not rewritten
            settings: Any = {"form": "additive", "tau": 0.0}
        if case == "plain":
            return []
        if case == "gradient":
            return [Refocus(regions, guide_by="gradient", steps=WHOLE)]
        if case == "fame":
            words = CrossReweighter(("blue",), regions=regions)
            return [SelfModulator(regions=regions, **settings), words]
        return [native_cost.controls(regions)[case]]


def sd(layout: Mapping[str, Any], device: str) -> Model:
    """Stable Diffusion 1.5's UNet, or one with another layout."""
    unet = empty("unet", shipped.config("sd15", "unet") | dict(layout))
    cast(unet, DTYPE)
    host_models._randomise(unet.to_empty(device=device).eval(), gain=1.0)
    text = WordStates(unet.config.cross_attention_dim, 77)
    schedule = NoiseSchedule.from_config(shipped.config("sd15", "scheduler"))
    native = 8 * unet.config.sample_size
    denoiser = denoiser_of(unet, "SD 1.5", native)
    return Model("SD 1.5", "random", RandomLatents(4), text, denoiser, schedule, native)


def wan(layout: Mapping[str, Any], device: str) -> Model:
    """Wan's transformer in this pack's engine."""
    model = native_cost.wan(device, dict(layout))
    cast(model.denoiser.module, DTYPE)
    return model


def cast(module: Any, dtype: torch.dtype) -> None:
    """To another precision, but for what is kept in float32 where it is loaded from a file."""
    exact = tuple(getattr(module, "_keep_in_fp32_modules", None) or ())
    for name, weight in module.named_parameters():
        if not any(each in name for each in exact):
            weight.data = weight.data.to(dtype)


def host_wan(layout: Mapping[str, Any], device: str) -> Model:
    """The same in ComfyUI. Raises EvenframeError where there is none."""
    if reason := host_models.find(device):
        raise EvenframeError(reason)
    heads = layout["num_attention_heads"]
    same = {name: layout[name] for name in ("ffn_dim", "text_dim")}
    own = {"dim": 128 * heads, "freq_dim": 256, "text_len": 512, "dtype": DTYPE}
    return host_models.wan(layout["num_layers"], heads, **same, **own)


def edits(parts: Parts, name: str, build: Callable[[], Scene]) -> None:
    """Each case of a model, which is gone from memory at the end."""
    scene = cache(build)
    rate = 1e12 * float(parts.found.get("gpu.matmul.tflops", 0))
    for case in CASES:
        parts.part(f"{name}.{case}", lambda case=case: cost(scene(), case, rate))
    scene.cache_clear()
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def cost(scene: Scene, case: str, rate: float) -> dict[str, float]:
    """Of a step. rate: operations per second that the card can do; 0 where it is not known."""
    controls = scene.controls(case)
    # One step, for all have the same work; it loads the kernels as well.
    work = flops(lambda: scene.edited(controls, start_step=STEPS - 1))
    taken, most = timed(lambda: scene.edited(controls), scene.model.device)
    seconds = taken / STEPS
    figures = {"seconds": seconds, "peak_bytes": float(most), "tflop": work / 1e12}
    figures["tflops"] = work / seconds / 1e12
    return figures | ({"times_floor": seconds / (work / rate)} if rate else {})


def timed(work: Callable[[], Any], device: torch.device) -> tuple[float, int]:
    """(seconds, most bytes): of all that is on a GPU; on a CPU, what comes to the process."""

    def seconds() -> float:
        _wait(device)
        start = perf_counter()
        work()
        _wait(device)
        return perf_counter() - start

    if device.type != "cuda":
        most, taken = peak(seconds)
        return taken, most
    torch.cuda.reset_peak_memory_stats(device)
    return seconds(), torch.cuda.max_memory_allocated(device)


def matmul_rate(side: int, device: str) -> float:
    """Operations per second of large matrix products, of the best of some rounds."""
    a, b = torch.rand(2, side, side, device=device).to(DTYPE)

    def products() -> None:
        for _ in range(10):
            torch.mm(a, b)

    products()
    return 10 * 2 * side**3 / min(timed(products, a.device)[0] for _ in range(ROUNDS))


def offload(scene: Scene) -> dict[str, float]:
    """Attention that is copied from main memory a step ahead, against when it is asked for."""
    model = scene.model
    ahead = invert(model, scene.frames, scene.source, steps=KEPT_STEPS, store="offload")
    ways = {"ahead": ahead, "asked": replace(ahead, mode="resident")}
    edited = {
        name: partial(scene.edited, scene.controls("fusion"), way) for name, way in ways.items()
    }
    first, second = (work() for work in edited.values())
    turns = [
        {name: timed(work, model.device)[0] for name, work in edited.items()} for _ in range(ROUNDS)
    ]
    seconds = {name: median(turn[name] for turn in turns) for name in ways}
    return {
        "bytes_per_step": ahead.records[0].nbytes(),
        "changed_share": float((first != second).double().mean()),
        "prefetch_ratio": seconds["ahead"] / seconds["asked"],
    }


def gradient_error(scene: Scene) -> dict[str, float]:
    """Of RAD's gradient at the first step, against float32 with the same weights."""
    half = _gradient(scene)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        scene.model.denoiser.module.float()
        exact = _gradient(scene)
    cosine = torch.cosine_similarity(half.flatten(), exact.flatten(), dim=0)
    return {"rel_error": rel_error(half, exact), "cosine": float(cosine)}


def _gradient(scene: Scene) -> Tensor:
    inversion, model = scene.inversion, scene.model
    [control] = scene.controls("gradient")
    run: Any = control.begin(Edit(model, inversion, scene.target))
    here, there, *_ = inversion.levels(model.schedule)
    step = Step(0, here, there, NOTHING, inversion.trajectory[-2])
    return run._evaluate(inversion.trajectory[-1].to(model.device), step)[1]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main(__file__)
