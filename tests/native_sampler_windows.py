"""Run by native_sampler_tools.py: controls in ComfyUI's Context Windows, by its own schedules."""

# pyright: reportMissingImports=false

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from native_sampler_cases import Noting, apart
from native_sampler_runs import refused

from evenframe.benchmarks import host_models
from evenframe.benchmarks import sampler as own
from evenframe.benchmarks.sampler import sampled, source, steered
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions

LENGTH, SPAN, OVERLAP, STEPS = 8, 3, 1, 6
"""Of the clip and its windows, in latent frames; of the sampler."""


def cut(model: Model, schedule: str, **settings: Any) -> Any:
    """The MODEL from the host's node."""
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode

    given: dict[str, Any] = {"context_stride": 1, "closed_loop": False, "freenoise": False}
    dim = 2 if model.codec.time_stride > 1 else 0
    given |= {"fuse_method": "flat", "causal_window_fix": False, "dim": dim, **settings}
    return ContextWindowsManualNode.execute(
        own.patcher_of(model), SPAN, OVERLAP, schedule, **given
    ).result[0]


def edits(model: Model) -> tuple[Any, Any]:
    """A source, and IRJS over it."""
    generator = torch.Generator().manual_seed(2)
    clean = torch.randn((LENGTH, model.codec.channels, *own.SIZE), generator=generator)
    clip = replace(source(model), clean=clean)
    frames, size = model.codec.lattice_of(clean).frames, (64, 64)
    box = box_region([(13, 13, 44, 44)] * frames, size, name="it", words="yellow, circle")
    return clip, JointSampling(Regions((box,), frames, size))


def given(model: Model) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn((LENGTH, model.codec.channels, *own.SIZE), generator=generator)
    denoiser: Any = model.denoiser
    return {"noise": denoiser.outward(noise), "sigmas": own.sigmas_of(model, STEPS)}


def windows_may_lie_elsewhere_in_each_step(model: Model) -> None:
    """Of all that there are, those of two steps are held. Of single frames that look at none but
    themselves, all comes to what it does without windows."""
    clip, kept = edits(model)
    noting, held = Noting(), list[list[int]]()

    def note(run: Any, *args: Any) -> Any:
        parts = args[-1]["transformer_options"]["evenframe_run"]._parts
        held.append([part.last for part in parts.values()])
        return run(*args)

    video = model.codec.time_stride > 1
    on = cut(model, "standard_uniform", causal_window_fix=video)
    on = steered(model, clip, Fusion(), kept, noting, patcher=on)
    on.add_wrapper("calc_cond_batch", note)
    found = sampled(on, model, **given(model))
    assert len(held[-1]) < len({*noting.windows}), (held, noting.windows)
    assert all(max(steps) - min(steps) <= 1 for steps in held if steps), held
    whole = sampled(steered(model, clip, Fusion(), kept), model, **given(model))
    assert found.isfinite().all() and (apart(found, whole) > 1e-5) == video


def frames_out_of_their_row_are_refused(model: Model) -> None:
    clip, kept = edits(model)
    for schedule, settings in (
        ("looped_uniform", {}),
        ("looped_uniform", {"closed_loop": True}),
        ("standard_uniform", {"context_stride": 2}),
    ):
        on = cut(model, schedule, **settings)
        with refused("^Context Windows asks about frames that are not in a row .* standard_static"):
            sampled(steered(model, clip, kept, patcher=on), model, **given(model))
    on = cut(model, "standard_static", latent_retain_index_list="0, 2")
    with refused(r"^Context Windows retains latents \(\[0, 2\]\)"):
        sampled(steered(model, clip, kept, patcher=on), model, **given(model))


def main() -> None:
    assert not host_models.find()
    with torch.inference_mode():
        for make in (host_models.sd, own.FAMILIES["Wan"]):
            model = make()
            windows_may_lie_elsewhere_in_each_step(model)
            frames_out_of_their_row_are_refused(model)


if __name__ == "__main__":
    main()
