"""Run by test_native.py in a process of its own: every cell of docs/models.md, tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from native_manners import refocus

from evenframe.benchmarks import host_models, native
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.window import Windowing
from evenframe.pipelines.controls.base import Control
from evenframe.pipelines.controls.fame.cross_reweighter import CrossReweighter
from evenframe.pipelines.controls.fame.self_modulator import SelfModulator
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.first_frame.first_frame import FirstFrame
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.streamedit.presets import PRESETS
from evenframe.pipelines.controls.token_flow.token_flow import TokenFlow
from evenframe.pipelines.controls.videograin.videograin import VideoGrain
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.source.inversion import Inversion, Settings, invert_clip

FRAMES, SIZE = 5, (128, 128)
MODELS = {
    "Stable Diffusion 1.x, 2.x": host_models.sd,
    "SDXL": host_models.sdxl,
    "Wan 2.1, 2.2: text to video": host_models.wan,
}
PAGE = Path(__file__).parents[1] / "docs" / "models.md"


def table() -> dict[str, dict[str, str]]:
    """Cells by row and column."""
    lines = [line.split("|")[1:-1] for line in PAGE.read_text("utf-8").splitlines() if "|" in line]
    head, _, *rows = [[cell.strip() for cell in line] for line in lines]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def inverted(model: Model, **settings: Any) -> Inversion:
    frames = torch.rand(FRAMES, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    return invert_clip(model, frames, model.text.encode(native.SOURCE), Settings(2, **settings))


def with_control(*controls: Control) -> Callable[[Model], torch.Tensor]:
    return lambda model: edit(model, inverted(model), native.TARGET, controls=controls)


def rows() -> dict[str, Callable[[Model], torch.Tensor]]:
    rad = refocus(frames=FRAMES)
    regions = rad.regions
    return {
        "Inversion": lambda model: inverted(model).trajectory,
        "Editing without inversion (`noise_seed`)": lambda model: edit(
            model, inverted(model, noise_seed=1), native.TARGET
        ),
        "Attention Fusion": with_control(Fusion()),
        "Attention Fusion with `blend_words`": with_control(Fusion(blend_words=("circle",))),
        "Attention Fusion with `bridge`": with_control(Fusion(bridge=2.0)),
        "RAD Refocuser, `gradient`": with_control(replace(rad, guide_by="gradient")),
        "RAD Refocuser, `boost`": with_control(replace(rad, guide_by="boost")),
        "IRJS Blender": with_control(JointSampling(regions)),
        "First Frame": with_control(FirstFrame(torch.rand(1, *SIZE, 3))),
        "StreamEdit Preset": with_control(*PRESETS["colour"].controls(("circle",), (), None)),
        "Self Modulator": with_control(SelfModulator(regions=regions)),
        "Cross Reweighter": with_control(CrossReweighter(("yellow",), regions=regions)),
        "VideoGrain": with_control(VideoGrain(regions)),
        "TokenFlow": with_control(TokenFlow()),
        "Windows": lambda model: edit(
            model, inverted(model, windowing=Windowing(3, 2)), native.TARGET
        ),
    }


def tried(work: Callable[[Model], torch.Tensor], model: Model) -> str:
    try:
        return "yes" if work(model).isfinite().all() else "not a number"
    except EvenframeError:
        return "no"


def main() -> None:
    assert not host_models.find()
    said, works = table(), rows()
    with torch.inference_mode():
        models = {name: make() for name, make in MODELS.items()}
        found = {
            row: {name: tried(work, model) for name, model in models.items()}
            for row, work in works.items()
        }
    assert found == said, found


if __name__ == "__main__":
    main()
