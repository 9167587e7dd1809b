"""Windows over long clips: which frames, what each counts, and what edits make of them."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from evenframe.benchmarks.models import with_predict
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.progress import Part
from evenframe.pipelines.common.window import WHOLE_CLIP, Windowing, merged, shares, windows
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.schedule import Level, ancestral_step, inverse_step, mix, split
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.file import load, save
from evenframe.pipelines.source.inspection import look
from evenframe.pipelines.source.inversion import Inversion, invert
from evenframe.pipelines.source.reconstruction import reconstruct
from evenframe.pipelines.walk import Pass, walk


def counts(frames: int, size: int, stride: int) -> list[int]:
    cut = windows(frames, size, stride)
    return [sum(frame in window for window in cut) for frame in range(frames)]


def test_the_published_windows():
    assert len(windows(16, 4, 1)) == 13
    assert counts(16, 4, 1) == [1, 2, 3, *[4] * 10, 3, 2, 1]
    assert len(windows(16, 4, 3)) == 5


def test_the_last_window_ends_with_the_clip():
    assert windows(17, 4, 3)[-2:] == [range(12, 16), range(13, 17)]


def test_a_window_larger_than_the_clip_is_the_clip():
    assert windows(3, 4, 1) == [range(3)]
    assert windows(1, 1, 1) == [range(1)]


@given(st.integers(1, 70), st.integers(1, 40), st.integers(1, 40))
def test_every_frame_is_covered_and_counts_one(frames: int, size: int, stride: int):
    cut = windows(frames, size, min(stride, size))
    assert all(len(window) == min(size, frames) for window in cut)
    for weights in ("uniform", "triangular"):
        total = torch.zeros(frames, dtype=torch.float64)
        for window, share in zip(cut, shares(cut, weights), strict=True):
            assert (share > 0).all()
            total[window.start : window.stop] += share
        assert torch.allclose(total, torch.ones_like(total), atol=1e-12)


@pytest.mark.parametrize("weights", ["uniform", "triangular"])
def test_a_single_window_counts_exactly_one(weights: str):
    [share] = shares(windows(7, 7, 3), weights)
    assert torch.equal(share, torch.ones(7, dtype=torch.float64))


def test_triangular_weights_favour_the_middle_of_a_window():
    first, second = shares(windows(6, 4, 2), "triangular")
    assert first.tolist() == pytest.approx([1, 1, 2 / 3, 1 / 3])
    assert second.tolist() == pytest.approx([1 / 3, 2 / 3, 1, 1])


@pytest.mark.parametrize(
    ("cut", "starts"),
    [
        ((0, 4, 1), "The clip has 0 frames"),
        ((8, 0, 1), "The window has 0 frames: choose 1 or more"),
        ((8, 4, 5), "The stride of the windows is 5: choose 1 to 4"),
        ((8, 4, 0), "The stride of the windows is 0: choose 1 to 4"),
        ((8, 4.0, 1), "The window's size is 4.0: give a whole number"),
        ((8, 4, True), "The windows' stride is True: give a whole number"),
        ((float("nan"), 4, 1), "The number of frames is nan: give a whole number"),
    ],
)
def test_windows_that_leave_out_frames_are_refused(cut: Any, starts: str):
    with pytest.raises(EvenframeError) as caught:
        windows(*cut)
    assert str(caught.value).startswith(starts)


def test_weights_that_do_not_exist_are_refused():
    with pytest.raises(EvenframeError, match="window weights 'gauss' is unknown: use uniform"):
        Windowing(4, 2, "gauss")


def test_what_windows_give_is_averaged_by_what_they_count():
    parts, clip = windows(6, 4, 2), torch.arange(6.0)[:, None]
    results = (
        (clip[part.start : part.stop] * 2, torch.full((4,), float(index)))
        for index, part in enumerate(parts)
    )
    doubled, same = merged(parts, "triangular", results)
    assert torch.allclose(doubled, clip * 2)
    assert same.tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 1, 1])


def test_a_single_window_gives_its_result_to_the_bit():
    result = torch.tensor([-0.0, 1e-45, 3.0])
    [found] = merged([range(3)], "uniform", [(result,)])
    assert found is result


# In an edit

SOURCE, TARGET = "a silver jeep on a road", "a red jeep on a road"
CUT = Windowing(3, 2)
FRAMES, STEPS = 5, 3


@pytest.fixture(scope="module")
def long_clip(clip) -> Tensor:
    return torch.cat([clip, clip.flip(0)[1:]])


@pytest.fixture(scope="module")
def inversion(model, long_clip) -> Inversion:
    return invert(model, long_clip, SOURCE, steps=STEPS, windowing=CUT)


def all_controls() -> list[Any]:
    boxes = [(0.0, 0.0, 60.0, 40.0)] * FRAMES
    regions = Regions((box_region(boxes, (64, 128), name="it", words="red"),), FRAMES, (64, 128))
    fusion = Fusion(blend_words=("jeep",), latent_blend=True)
    return [fusion, Refocus(regions), JointSampling(regions)]


def close(one: Tensor, other: Tensor, tolerance: float) -> bool:
    return float((one - other).norm() / other.norm()) < tolerance


@pytest.mark.parametrize("store", ["resident", "recompute"])
def test_a_window_of_the_whole_clip_gives_the_same_bytes(model, long_clip, store: str):
    results = []
    for windowing in (WHOLE_CLIP, Windowing(FRAMES, 2), Windowing(64, 48)):
        kept = invert(model, long_clip, SOURCE, steps=STEPS, store=store, windowing=windowing)
        edited = edit(model, kept, TARGET, controls=all_controls(), eta=0.5, seed=3)
        results.append((kept.trajectory, edited))
    for trajectory, edited in results[1:]:
        assert torch.equal(trajectory, results[0][0])
        assert torch.equal(edited, results[0][1])


def test_predictions_are_averaged_in_the_inversion_and_in_the_edit(model, long_clip, inversion):
    """Step by step, with each window predicted apart."""
    kind, levels = model.schedule.kind, inversion.levels(model.schedule)
    parts = windows(FRAMES, CUT.size, CUT.stride)
    branches = {
        name: model.text.encode(text) for name, text in (("source", SOURCE), ("target", TARGET))
    }

    def predict(latents: Tensor, level: Level, name: str) -> Tensor:
        total = torch.zeros_like(latents)
        for part, share in zip(parts, shares(parts, CUT.weights), strict=True):
            table = inversion.part(part).keyframe_table()
            with torch.no_grad():
                output = model.denoiser.predict(
                    latents[list(part)], level, {name: branches[name]}, table
                )[name]
            total[list(part)] += share.float()[:, None, None, None] * output
        return total

    latents = inversion.trajectory[0]
    for done, (here, there) in enumerate(pairwise(reversed(levels))):
        output = predict(latents, there, "source")
        latents = inverse_step(latents, output, here, there, kind)
        assert close(inversion.trajectory[done + 1], latents, 1e-5)
    for here, there in pairwise(levels):
        output = predict(latents, here, "target")
        latents = mix(*split(latents, output, here, kind), there)
    assert close(edit(model, inversion, TARGET, guidance_scale=1), latents, 1e-4)


def test_no_pass_sees_more_frames_than_a_window(model, inversion, long_clip):
    seen: list[int] = []
    hook = model.denoiser.module.conv_in.register_forward_pre_hook(
        lambda _, inputs: seen.append(len(inputs[0]))
    )
    edit(model, inversion, TARGET, guidance_scale=1, controls=all_controls())
    reconstruct(model, inversion, 4)
    assert look(model, inversion, ["jeep"]).maps.shape == (FRAMES, 8, 16)
    invert(model, long_clip, SOURCE, steps=1, windowing=CUT)
    hook.remove()
    assert set(seen) <= set(range(1, CUT.size + 1))


def test_all_windows_of_a_step_share_their_noise(model, inversion):
    """Where nothing is edited, fresh noise in each window would average to less of it."""
    box = box_region([(0, 0, 1, 1)] * FRAMES, (64, 128), name="dot")
    control = JointSampling(Regions((box,), FRAMES, (64, 128)), noise="fresh")
    noisy: list[Tensor] = []

    def watch(report: Any) -> None:
        noisy.append(report.latents)

    edit(model, inversion, TARGET, guidance_scale=1, controls=[control], on_step=watch)
    level = inversion.levels(model.schedule)[1]
    noise = noisy[0] - level.signal * inversion.trajectory[0]
    deviation = noise[:, :, 1:, 1:].flatten(1).std(1) / level.noise
    assert torch.allclose(deviation, torch.ones(FRAMES), atol=0.12)


def test_a_window_takes_the_fresh_noise_of_its_own_frames(model, inversion):
    """Where the model predicts no noise, a step is what is kept of the latents, and fresh noise."""

    def predict(latents: Tensor, level: Level, branches: Any, *args: Any) -> dict[str, Tensor]:
        return {name: torch.zeros_like(latents) for name in branches}

    still = with_predict(model, predict)
    noises: list[Tensor] = []

    def draw(latents: Tensor) -> Tensor:
        noises.append(torch.randn(latents.shape, generator=torch.Generator().manual_seed(7)))
        return noises[-1]

    here, there = inversion.levels(model.schedule)[:2]
    start = inversion.trajectory[-1]
    passes = [Pass(part, {"target": inversion.prompt}) for part in windows(FRAMES, 4, 4)]
    end = walk(still, [here, there], start, passes, stage="edit", eta=1.0, draw=draw)
    kept = there.signal / here.signal * start
    fresh = ancestral_step(start, torch.zeros_like(start), here, there, "epsilon", 1.0, noises[0])
    assert torch.allclose(end, fresh, atol=1e-5) and not torch.allclose(end, kept, atol=0.1)


def test_every_window_and_turn_of_a_step_is_told_and_may_end_the_work(model, long_clip, inversion):
    class Stopped(Exception):
        pass

    told: list[Part] = []
    whole = box_region([(0, 0, 128, 64)] * FRAMES, (64, 128), name="whole")
    control = JointSampling(Regions((whole,), FRAMES, (64, 128)), repeats=2)
    edit(model, inversion, TARGET, controls=[control], on_part=told.append)
    first = [str(part) for part in told[:4]]
    assert first == [f"window {w} of 2, pass {t} of 2" for t in (1, 2) for w in (1, 2)]
    assert [part.share for part in told[:4]] == [0, 0.25, 0.5, 0.75]

    def stop(part: Part) -> None:
        if part.window == 1:
            raise Stopped

    steps: list[int] = []
    for work in (
        lambda: invert(model, long_clip, SOURCE, steps=2, windowing=CUT, on_part=stop),
        lambda: edit(
            model, inversion, TARGET, on_part=stop, on_step=lambda r: steps.append(r.done)
        ),
    ):
        with pytest.raises(Stopped):
            work()
    assert steps == []


def test_windows_survive_the_way_to_disk(inversion, tmp_path: Path):
    assert load(save(inversion, tmp_path / "clip.inversion")).windowing == CUT


def test_windows_keep_no_attention(model, long_clip, inversion):
    assert inversion.records == () and inversion.mode == "auto"
    with pytest.raises(EvenframeError, match="The attention store is 'resident', but of 2 windows"):
        invert(model, long_clip, SOURCE, steps=1, store="resident", windowing=CUT)


def test_a_frame_is_rebuilt_in_the_window_where_it_is_most_central(model, inversion):
    alone = reconstruct(model, inversion, 1)
    assert torch.equal(alone, reconstruct(model, inversion.part(range(3)), 1))
    whole = reconstruct(model, replace(inversion, windowing=Windowing(3, 2, "uniform")))
    assert close(whole[:2], reconstruct(model, inversion.part(range(3)))[:2], 1e-6)
