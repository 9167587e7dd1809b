"""What FAME's controls cost, counted for Stable Diffusion 1.5 at 512x512: the keys `cost.*`.

Every self-attention layer at 32x32, 16x16 and 8x8 tokens looks at all of 8 frames; two people.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ..pipelines.attention.sites import Site
from ..pipelines.attention.terms import Call, Term, evaluate
from ..pipelines.controls.base import Edit, Step
from ..pipelines.controls.fame.self_modulator import SelfModulator
from ..pipelines.regions.region import box_region
from ..pipelines.regions.regions import Regions
from ..pipelines.source.inversion import Inversion
from . import main
from .attention import interleaved
from .counting import ASKED, FRAMES, SIZE, STEPS, flops, meta_inversion, meta_model, meta_prompt
from .counting import TARGET as PROMPT
from .shares import Figures

PART_OF = "fairness"
PEOPLE = Regions(
    tuple(
        box_region([(left, 64, left + 200, 480)] * FRAMES, (SIZE, SIZE), name=str(left))
        for left in (40, 270)
    ),
    FRAMES,
    (SIZE, SIZE),
)
"""Two that stand side by side."""
FORMS = {
    "modulator": SelfModulator(tau=0.1, regions=PEOPLE),
    "relative": SelfModulator(tau=0, regions=PEOPLE),
    "additive": SelfModulator(form="additive", tau=0, regions=PEOPLE),
}
"""By what a figure calls them: with a similarity, and the two without."""
HALF = 2


def run() -> Figures:
    """Work over that of the same attention without the modulator, and bytes beside a mask's."""
    figures: Figures = {}
    for name, settings in FORMS.items():
        attention, whole = work(settings)
        figures[f"cost.{name}_ratio"] = round(attention, 4)
        figures[f"cost.{name}_pass_ratio"] = round(whole, 4)
    tokens = (SIZE // 16) ** 2 * FRAMES
    figures["cost.dense_mask_bytes"] = tokens * tokens * HALF
    figures["cost.additive_bytes"] = 3 * tokens * (1 + FRAMES) * 8 * HALF
    return figures | times()


def work(settings: SelfModulator) -> tuple[float, float]:
    """(the coarse self-attention, the whole pass) with the modulator, over both without it."""
    model = meta_model()
    inversion = replace(meta_inversion(model), keyframes=("all",))
    run = settings_run(model, inversion, settings)
    branch = {"target": inversion.prompt}
    table = inversion.keyframe_table()
    calls: list[Call] = []

    def keep(call: Call, terms: Any) -> Any:
        if call.keyframes is not None:
            calls.append(call)
        return terms

    def forward(attend: Any) -> None:
        model.denoiser.predict(inversion.trajectory[0], ASKED, branch, table, attend)

    plain_pass = flops(lambda: forward(keep))
    with_pass = flops(lambda: forward(run.attend))
    plain = sum(flops(lambda call=call: evaluate(call.plain())) for call in calls)
    modulated = sum(
        flops(lambda call=call: evaluate(run.attend(call, call.plain()))) for call in calls
    )
    return modulated / plain, with_pass / plain_pass


def settings_run(model: Any, inversion: Inversion, settings: SelfModulator) -> Any:
    """The modulator at work on those people."""
    edit = Edit(model, inversion, meta_prompt(model, PROMPT))
    run = settings.begin(edit)
    nothing: Any = None
    run.prepare(Step(0, ASKED, ASKED, nothing, inversion.trajectory[0]))
    return run


def times(side: int = 16, width: int = 24, heads: int = 2) -> Figures:
    """Seconds over plain attention on the CPU at the built-in model's size, interleaved; the dense
    mask, which fits here, beside them."""
    torch.manual_seed(0)
    frames, n = FRAMES, side * side
    q, k, v = (torch.randn(frames, heads, n, width) for _ in range(3))
    site, everyone = Site("s", "self", SIZE // side, 0), torch.arange(frames).expand(frames, -1)
    call = Call(site, "target", (side, side), q, k, v, everyone)
    model = meta_model()
    latents = torch.randn(STEPS + 1, frames, 4, SIZE // 8, SIZE // 8)
    inversion = replace(meta_inversion(model), keyframes=("all",), trajectory=latents)
    dense = torch.randn(frames, 1, n, n * frames)
    runs = {name: settings_run(model, inversion, form) for name, form in FORMS.items()}
    medians = interleaved(
        {
            "plain": lambda: evaluate(call.plain()),
            "dense_mask": lambda: evaluate((Term(q, call.gather(k), call.gather(v), bias=dense),)),
            **{
                name: lambda run=run: evaluate(run.attend(call, call.plain()))
                for name, run in runs.items()
            },
        }
    )
    plain = medians.pop("plain")
    return {f"cost.{way}_time_ratio": round(taken / plain, 2) for way, taken in medians.items()}


if __name__ == "__main__":
    main(__file__)
