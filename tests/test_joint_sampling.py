"""IRJS: what lies outside of the regions stays the source's."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.base import Edit
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling, keep_outside
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.noise_schedule import NoiseSchedule
from evenframe.pipelines.models.schedule import Level, add_noise, mix
from evenframe.pipelines.models.stable_diffusion import shipped
from evenframe.pipelines.regions.region import box_region, mask_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.inversion import Inversion, invert
from evenframe.pipelines.walk import StepReport

SOURCE, TARGET = "a silver jeep on a road", "a red jeep on a road"
SIZE, STEPS = (64, 128), 4


def regions(soften: int = 0) -> Regions:
    box = [(32.0, 16.0, 96.0, 64.0)] * 3
    return Regions((box_region(box, SIZE, name="it", words="red", soften=soften),), 3, SIZE)


@pytest.fixture(scope="module")
def inversion(model, clip) -> Inversion:
    return invert(model, clip, SOURCE, steps=STEPS)


def edited(model, inversion: Inversion, *controls: Any, **settings: Any) -> Tensor:
    return edit(model, inversion, TARGET, guidance_scale=2, controls=controls, **settings)


# Eq. 8


@pytest.mark.parametrize(
    ("timestep", "mean", "deviation"),
    [(981, 0.07600, 0.99711), (501, 0.52440, 0.85147), (1, 0.99915, 0.04128)],
)
def test_the_source_at_a_noise_level(timestep: int, mean: float, deviation: float):
    schedule = NoiseSchedule.from_config(shipped.config("sd15", "scheduler"))
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    level = schedule.at(timestep)
    assert float(mix(one, zero, level)) == pytest.approx(mean, abs=5e-6)
    assert float(mix(zero, one, level)) == pytest.approx(deviation, abs=5e-6)


def test_inside_the_edit_and_outside_the_source():
    edit_, source = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    mask = torch.zeros(2, 1, 8, 8)
    assert torch.equal(keep_outside(edit_, source, mask), source)
    assert torch.equal(keep_outside(edit_, source, mask + 1), edit_)
    assert torch.allclose(keep_outside(edit_, source, mask + 0.25), 0.25 * edit_ + 0.75 * source)


def test_noise_is_added_as_the_schedule_says():
    """From x at one level to the next: the signal and the noise have their shares again."""
    low, high = Level(1, 0.9**0.5, 0.1**0.5), Level(2, 0.4**0.5, 0.6**0.5)
    one = torch.ones(1, dtype=torch.float64)
    signal = add_noise(low.signal * one, 0 * one, low, high)
    assert float(signal) == pytest.approx(high.signal)
    variance = add_noise(low.noise * one, 0 * one, low, high) ** 2
    variance += add_noise(0 * one, one, low, high) ** 2
    assert float(variance) == pytest.approx(high.noise**2)


# In an edit


def watched(model, inversion: Inversion, *controls: Any, **settings: Any) -> list[Tensor]:
    """The latents after each step."""
    seen: list[Tensor] = []

    def keep(report: StepReport) -> None:
        seen.append(report.latents)

    edited(model, inversion, *controls, on_step=keep, **settings)
    return seen


def test_outside_the_inversions_latents_are_kept_at_every_step(model, inversion):
    plain = edited(model, inversion)
    steps = watched(model, inversion, JointSampling(regions()))
    for index, latents in enumerate(steps):
        source = inversion.trajectory[STEPS - 1 - index]
        outside = torch.ones(8, 16, dtype=torch.bool)
        outside[2:8, 4:12] = False
        assert torch.equal(latents[..., outside], source[..., outside])
        assert not torch.equal(latents[..., ~outside], source[..., ~outside])
    assert not torch.equal(plain[..., outside], inversion.trajectory[0][..., outside])


def test_an_inset_keeps_the_cells_inside_the_edge_too(model, inversion):
    """On three sides; the frame's own edge, below, is none."""
    for latents, index in zip(
        watched(model, inversion, JointSampling(regions(), inset=1)), range(STEPS), strict=True
    ):
        source = inversion.trajectory[STEPS - 1 - index]
        kept = torch.ones(8, 16, dtype=torch.bool)
        kept[3:8, 5:11] = False
        assert torch.equal(latents[..., kept], source[..., kept])
        assert (latents != source)[..., ~kept].any(dim=0).any(dim=0).all()


def test_fresh_noise_ends_in_the_source_itself(model, inversion):
    control = JointSampling(regions(), noise="fresh")
    steps = watched(model, inversion, control, seed=1)
    again = watched(model, inversion, control, seed=1)
    other = watched(model, inversion, control, seed=2)
    assert torch.equal(steps[0], again[0]) and not torch.equal(steps[0], other[0])
    corner = steps[-1][..., :2, :4]
    assert torch.equal(corner, inversion.trajectory[0][..., :2, :4])
    level = inversion.levels(model.schedule)[1]
    noise = (steps[0] - level.signal * inversion.trajectory[0])[..., :2, :] / level.noise
    assert float(noise.std()) == pytest.approx(1, abs=0.1)


def test_fresh_noise_is_other_noise_than_the_edits_own(model, inversion):
    """The edit draws from its seed for eta: the same noise twice would add up."""
    control = JointSampling(regions(), noise="fresh")

    def outside(seed: int) -> Tensor:
        return watched(model, inversion, control, seed=seed)[0][..., :2, :].flatten()

    def drawn(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(inversion.trajectory[0].shape, generator=generator)
        return noise[..., :2, :].flatten()

    pair = torch.stack([outside(1) - outside(5), drawn(1) - drawn(5)])
    assert abs(float(torch.corrcoef(pair)[0, 1])) < 0.2


def test_a_region_of_the_whole_frame_changes_nothing(model, inversion):
    whole = Regions((mask_region(torch.ones(SIZE), 3, SIZE, name="all"),), 3, SIZE)
    kept = edited(model, inversion, JointSampling(whole))
    assert torch.equal(kept, edited(model, inversion))


def test_a_soft_edge_mixes_both(model, inversion):
    soft = edited(model, inversion, JointSampling(regions(soften=24)))
    hard = edited(model, inversion, JointSampling(regions()))
    assert torch.equal(soft[..., :2, :], hard[..., :2, :])
    assert not torch.allclose(soft, hard)


def test_repeats_take_each_step_again_from_more_noise(model, inversion):
    passes: list[int] = []
    hook = model.denoiser.module.conv_in.register_forward_pre_hook(lambda *_: passes.append(1))
    results = [
        edited(model, inversion, JointSampling(regions(), repeats=count), seed=seed)
        for count, seed in ((1, 0), (1, 5), (2, 0), (2, 5))
    ]
    hook.remove()
    assert len(passes) == STEPS * (1 + 1 + 2 + 2)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[2], results[3]) and not torch.equal(results[0], results[2])
    assert torch.equal(results[2][..., :2, :], inversion.trajectory[0][..., :2, :])


def test_a_step_is_repeated_whatever_else_steers_it(model, inversion):
    other = Fusion("reweight", weights=(("red", 2.0),))
    passes: list[int] = []
    hook = model.denoiser.module.conv_in.register_forward_pre_hook(lambda *_: passes.append(1))
    for controls in ((other,), (other, JointSampling(regions(), repeats=2))):
        edited(model, inversion, *controls)
    hook.remove()
    assert len(passes) == STEPS * (1 + 2)


@pytest.mark.parametrize(("share", "taken"), [(0.0, 0), (0.5, STEPS // 2), (1.0, STEPS)])
def test_a_share_of_the_steps_is_repeated_from_the_start(model, inversion, share, taken):
    control = JointSampling(regions(), repeats=3, repeat_steps=share)
    run = control.begin(Edit(model, inversion, inversion.prompt))
    assert [run.repeats(step) for step in range(STEPS)] == [3] * taken + [1] * (STEPS - taken)


def test_with_refocus_and_fusion_in_any_order(model, inversion):
    fusion = Fusion(blend_words=("jeep",), latent_blend=True)
    controls = [fusion, Refocus(regions()), JointSampling(regions())]
    orders = [controls, controls[::-1], [controls[1], controls[2], controls[0]]]
    results = [edited(model, inversion, *order) for order in orders]
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_an_inset_that_swallows_one_region_names_it(model, inversion):
    small = box_region(
        [(0.0, 0.0, 16.0, 16.0), (0.0, 0.0, 8.0, 8.0), (0.0, 0.0, 16.0, 16.0)],
        SIZE,
        name="small",
    )
    both = Regions((*regions().items, small), 3, SIZE)
    plan = Edit(model, inversion, inversion.prompt)
    message = refused(JointSampling(both, inset=1).begin, plan)
    assert message.startswith("inset is 1: on frame 1 it leaves nothing of region 'small'")


# What it refuses


def refused(call: Callable[..., Any], *args: Any, **settings: Any) -> str:
    with pytest.raises(EvenframeError) as caught:
        call(*args, **settings)
    return str(caught.value).splitlines()[0]


@pytest.mark.parametrize(
    ("settings", "starts"),
    [
        ({"noise": "white"}, "noise 'white' is unknown: use inversion, fresh"),
        ({"repeats": 0}, "repeats is 0: choose a whole number from 1 to 20"),
        ({"repeat_steps": 1.5}, "repeat_steps is 1.5: choose a value from 0 to 1"),
        ({"inset": -1}, "inset is -1: choose a whole number from 0 to 16"),
        ({"inset": 4}, "inset is 4: on frame 0 it leaves nothing of region 'it'"),
    ],
)
def test_settings_out_of_range(model, inversion, settings, starts: str):
    plan = Edit(model, inversion, inversion.prompt)
    message = refused(lambda: JointSampling(regions(), **settings).begin(plan))
    assert message.startswith(starts)


def test_controls_that_conflict_are_named(model, inversion):
    fusion = Fusion(blend_words=("jeep",), latent_blend=True)
    for controls in (
        [JointSampling(regions(), noise="fresh"), fusion],
        [fusion, JointSampling(regions(), noise="fresh")],
    ):
        message = refused(edited, model, inversion, *controls)
        assert message.startswith("Two controls keep the source's latents, one at fresh noise")
        assert "set noise of IRJS Blender to 'inversion', or latent_blend" in message
    message = refused(edited, model, inversion, *[JointSampling(regions())] * 2)
    assert message.startswith("There are two IRJS Blenders")


def test_regions_of_another_clip_are_refused(model, inversion):
    other = Regions(regions().items, 3, (64, 64))
    message = refused(edited, model, inversion, JointSampling(other))
    assert message.startswith("The regions are for 3 frames of 64x64 pixels, but the clip has 3")
