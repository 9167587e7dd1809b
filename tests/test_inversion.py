"""DDIM inversion of a clip: its trajectory, what is kept on the way, and bad input."""

from copy import deepcopy
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from ddim import alpha, clean_latents, ddim_step
from tiny_model import tiny
from torch import Tensor

from evenframe.benchmarks.models import with_part, with_predict
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.models.schedule import Level
from evenframe.pipelines.source.inversion import Inversion, invert
from evenframe.pipelines.source.recompute import RecomputedAttention
from evenframe.pipelines.source.reconstruction import reconstruct
from evenframe.pipelines.source.store import kept_sites
from evenframe.pipelines.walk import StepReport

SOURCE = "a silver jeep driving down a road"


@pytest.fixture(scope="module")
def resident(model, clip) -> Inversion:
    return invert(model, clip, SOURCE, steps=4, store="resident")


def softened(model: Model, factor: float) -> Model:
    """The model with a weaker prediction, which changes less from step to step."""
    unet = deepcopy(model.denoiser.module)
    with torch.no_grad():
        unet.conv_out.weight.mul_(factor)
        unet.conv_out.bias.mul_(factor)
    return with_part(model, "denoiser", module=unet)


def test_a_trajectory_holds_every_noise_level(model, clip, resident: Inversion):
    assert resident.trajectory.shape == (5, 3, 4, 8, 16)
    assert resident.trajectory.dtype == torch.float32
    assert resident.latent_frames == 3
    assert resident.times == (751, 501, 251, 1, -249)
    assert torch.equal(resident.trajectory[0], model.codec.encode(clip).float())
    assert resident.model == model.fingerprint
    assert resident.prompt.tokens.text == SOURCE


def test_each_step_predicts_at_the_lower_noise_and_the_higher_timestep(model, resident):
    """z_{i+1} from eps(z_i, t_{N-1-i}), by the schedule's own formula."""
    schedule = model.schedule
    for index, (below, timestep) in enumerate(pairwise(reversed(resident.times))):
        latents = resident.trajectory[index]
        branches = {"source": resident.prompt}
        with torch.no_grad():
            epsilon = model.denoiser.predict(
                latents, schedule.at(timestep), branches, resident.keyframe_table()
            )
        start, end = alpha(schedule, below), alpha(schedule, timestep)
        expected = ddim_step(latents.double(), epsilon["source"].double(), start, end)
        assert torch.allclose(resident.trajectory[index + 1].double(), expected, atol=1e-5)


def test_the_mode_of_the_autoencoder_is_the_default_and_a_seed_samples(model, clip):
    def start(seed: int | None) -> Tensor:
        return invert(model, clip[:1], SOURCE, steps=1, store="recompute", seed=seed).trajectory[0]

    mode = start(None)
    with torch.no_grad():
        pixels = clip[:1].movedim(-1, 1) * 2 - 1
        expected = model.codec.module.encode(pixels).latent_dist.mode() * 0.18215
    assert torch.allclose(mode, expected, atol=1e-5)
    assert torch.equal(start(7), start(7))
    assert not torch.equal(start(7), start(8))
    assert not torch.allclose(start(7), mode, atol=1e-3)


def test_records_hold_the_sources_attention_at_the_same_timestep(model, resident):
    sites = kept_sites(model.denoiser.sites, model.denoiser.layout)
    recomputed = RecomputedAttention(
        model,
        lambda step: resident.trajectory[3 - step],
        resident.prompt,
        resident.levels(model.schedule),
        resident.keyframe_table(),
    )
    kept = resident.source_attention(model)
    for step in (0, 1, 3):
        one, other = kept.at(step, sites), recomputed.at(step, sites)
        for name in one.queries:
            for mine, theirs in (
                (one.queries[name], other.queries[name]),
                (one.keys[name], other.keys[name]),
            ):
                assert mine.shape == theirs.shape
                assert torch.allclose(mine, theirs, rtol=1e-3, atol=1e-3)
    names = {site.name for site in sites}
    assert set(one.queries) == set(other.queries) == names
    first, last = kept.at(0, sites), kept.at(3, sites)
    assert any(not torch.allclose(first.queries[n], last.queries[n], atol=0.1) for n in names)


def test_recomputing_stops_after_the_last_layer_that_is_wanted(model, resident):
    recomputed = resident_source(model, resident)
    middle = tuple(site for site in model.denoiser.sites if site.name.startswith("mid_block"))
    seen: list[str] = []

    def spy(module, args, kwargs):
        seen.append(module.__class__.__name__)

    late = model.denoiser.module.up_blocks[2].register_forward_pre_hook(spy, with_kwargs=True)
    try:
        source = recomputed.at(0, middle)
        assert set(source.queries) == {site.name for site in middle}
        assert seen == []
        recomputed.at(0, model.denoiser.sites)
        assert len(seen) == 1
    finally:
        late.remove()


def resident_source(model, inversion: Inversion) -> RecomputedAttention:
    source = replace(inversion, mode="recompute", records=()).source_attention(model)
    assert isinstance(source, RecomputedAttention)
    return source


@pytest.mark.parametrize("store", ["resident", "offload"])
def test_what_is_kept_is_queries_and_keys_in_half_precision(model, clip, store: str):
    kept = invert(model, clip[:2], SOURCE, steps=2, store=store)
    assert kept.mode == store
    assert len(kept.records) == 2
    tokens = [8 * 16 // 4**level for level in range(4)]
    by_stride = {8 * 2**level: count for level, count in enumerate(tokens)}
    expected = 0
    for site in kept_sites(model.denoiser.sites, model.denoiser.layout):
        width = 32 if site.stride == 8 else 64
        keys = 77 * width if site.kind == "cross" else 2 * by_stride[site.stride] * width
        expected += 2 * (2 * by_stride[site.stride] * width + keys)
    assert [record.nbytes() for record in kept.records] == [expected] * 2
    for record in kept.records:  # no view of something larger is kept alive
        for tensor in (*record.queries.values(), *record.keys.values()):
            assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()


def test_recompute_keeps_nothing_but_the_trajectory(model, clip):
    inversion = invert(model, clip[:2], SOURCE, steps=2, store="recompute")
    assert inversion.records == ()
    assert inversion.mode == "recompute"


def test_auto_asks_how_much_memory_is_free_and_gives_the_same_bytes(model, clip):
    def with_free(count: int) -> Inversion:
        return invert(model, clip[:1], SOURCE, steps=2, store="auto", free=lambda device: count)

    resident, recomputed = with_free(2**40), with_free(0)
    assert (resident.mode, len(resident.records)) == ("resident", 2)
    assert (recomputed.mode, recomputed.records) == ("auto", ())
    assert torch.equal(resident.trajectory, recomputed.trajectory)
    edits = [
        edit(model, inversion, "a red jeep", controls=[Fusion("refine", 0.8, 0.8)])
        for inversion in (resident, recomputed)
    ]
    assert torch.equal(*edits)
    # It asks for the attention of all steps, and takes half of what is free.
    needed = sum(record.nbytes() for record in resident.records)
    assert (with_free(2 * needed).mode, with_free(2 * needed - 2).mode) == ("resident", "auto")


def test_one_frame_alone_works(model, clip):
    inversion = invert(model, clip[:1], SOURCE, steps=2, store="resident")
    assert inversion.keyframe_table() is None
    assert edit(model, inversion, "a red jeep").shape == (1, 4, 8, 16)


def test_the_same_bytes_every_time(model, clip):
    first, second = (
        invert(model, clip, SOURCE, steps=3, store="recompute").trajectory for _ in range(2)
    )
    assert torch.equal(first, second)


def test_key_frames_matter(model, clip):
    own, first = (
        invert(model, clip, SOURCE, steps=2, store="recompute", keyframes=names).trajectory[-1]
        for names in ("own", "first")
    )
    assert torch.allclose(own[0], first[0], atol=1e-5)
    assert not torch.allclose(own[2], first[2], atol=1e-4)


def reconstruction_error(model, clip: Tensor, steps: int) -> float:
    inversion = invert(model, clip, SOURCE, steps=steps, store="recompute")
    latents = edit(model, inversion, SOURCE, guidance_scale=1)
    clean = inversion.trajectory[0]
    moved = inversion.trajectory[-1] - clean
    assert moved.norm() > 0.3 * clean.norm()  # there is something to reconstruct
    return float((latents - clean).norm() / clean.norm())


def test_a_good_model_reconstructs_better_the_more_steps_it_has(model, clip):
    """With the exact denoiser of Gaussian data, x_0 ~ N(0, s^2)."""

    def predict(latents: Tensor, level: Level, branches, *args):
        noise = level.noise * latents / (level.signal**2 * 0.3**2 + level.noise**2)
        return dict.fromkeys(branches, noise)

    errors = [reconstruction_error(with_predict(model, predict), clip, n) for n in (10, 50, 200)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.1


def test_a_v_prediction_model_reconstructs(clip):
    model = softened(tiny(prediction="v_prediction"), 0.1)
    errors = [reconstruction_error(model, clip[:1], steps) for steps in (4, 16)]
    assert errors[0] > 2 * errors[1]
    assert errors[1] < 0.15


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_prediction_that_does_not_change_is_undone(clip, prediction: str):
    """What a reconstruction loses comes of a prediction that changes, not of the steps."""
    model = tiny(prediction=prediction)
    output = torch.randn(1, 4, 8, 16, generator=torch.Generator().manual_seed(3))
    constant = with_predict(model, lambda latents, level, branches, *args: {"source": output})
    inversion = invert(constant, clip[:1], SOURCE, steps=50, store="recompute")
    clean = inversion.trajectory[0]
    assert float((reconstruct(constant, inversion) - clean).norm() / clean.norm()) < 1e-4


def test_progress_tells_step_level_and_latents(model, clip):
    reports: list[StepReport] = []
    frames: list[int] = []
    inversion = invert(
        model,
        clip,
        SOURCE,
        steps=3,
        store="recompute",
        on_step=reports.append,
        on_frame=frames.append,
    )
    assert frames == [1, 2, 3]
    assert [(report.done, report.total) for report in reports] == [(1, 3), (2, 3), (3, 3)]
    assert [report.level.time for report in reports] == [1, 334, 667]
    for index, report in enumerate(reports):
        assert torch.equal(report.latents, inversion.trajectory[index + 1])
    with torch.no_grad():
        start = inversion.trajectory[0]
        branches = {"source": inversion.prompt}
        epsilon = model.denoiser.predict(
            start, model.schedule.at(1), branches, inversion.keyframe_table()
        )["source"]
    expected = clean_latents(start, epsilon, alpha(model.schedule, 0).to(start))
    assert torch.allclose(reports[0].clean, expected, atol=1e-5)


# Bad input


def refused(model, frames: Tensor, prompt="a jeep", **settings) -> str:
    with pytest.raises(EvenframeError) as caught:
        invert(model, frames, prompt, **settings)
    return str(caught.value).splitlines()[0]


def test_frames_that_cannot_be_inverted_are_refused(model, clip):
    broken = clip.clone()
    broken[1, 3, 4, 2] = float("nan")
    bad = {
        "frames have the shape (3, 64, 128, 4): give (frames, height, width, 3)": torch.cat(
            [clip, clip[..., :1]], -1
        ),
        "frames have the shape (64, 128, 3)": clip[0],
        "The clip has no frames: give at least one": clip[:0],
        "frames are 127x64 pixels, but 'tiny-0-128' takes multiples of 8: load": clip[:, :, :127],
        "frames are 128x0 pixels": clip[:, :0],
        "Frame 1 has pixels that are not numbers (NaN or infinite)": broken,
        "frames are uint8: give floating-point pixels from 0 to 1": (clip * 255).byte(),
        "frames have pixels from 0 to ": clip * 255,
    }
    for starts, frames in bad.items():
        assert refused(model, frames).startswith(starts)


@pytest.mark.parametrize(
    ("settings", "starts"),
    [
        ({"steps": 0}, "steps is 0: choose a whole number from 1 to 1000"),
        ({"steps": 1001}, "steps is 1001: choose"),
        ({"store": "maps"}, "attention store mode 'maps' is unknown: use auto, recompute"),
        ({"store": ""}, "attention store mode '' is unknown"),
        ({"keyframes": "middle"}, "key frame 'middle' is unknown: use own, mid"),
        ({"keyframes": ""}, "key frames are empty"),
    ],
)
def test_settings_out_of_range_are_refused(model, clip, settings, starts: str):
    assert refused(model, clip, **settings).startswith(starts)


@pytest.mark.parametrize("store", ["recompute", "resident"])
def test_key_frames_in_all_layers_are_those_of_a_model_that_does_so_itself(clip, store: str):
    """The setting reaches inversion, reconstruction, kept and recomputed attention, and edits."""
    model = tiny(native=512)
    layout = replace(model.denoiser.layout, keyframe_stride=8)
    seeing = with_part(model, "denoiser", layout=layout)
    fusion = Fusion("refine", 0.5, 0.5, ("jeep",))

    def made(by: Model, layers: str) -> list[Tensor]:
        names = ("-1", "first")
        inversion = invert(by, clip, SOURCE, steps=2, keyframes=names, store=store, layers=layers)
        target = "a red jeep driving down a road"
        edited = edit(by, inversion, target, controls=[fusion], guidance_scale=2)
        return [inversion.trajectory, reconstruct(by, inversion, 1), edited]

    every, expected, own = made(model, "all"), made(seeing, "auto"), made(model, "auto")
    assert all(torch.equal(*pair) for pair in zip(every, expected, strict=True))
    assert not any(torch.allclose(*pair, atol=1e-4) for pair in zip(every, own, strict=True))
    assert torch.equal(made(model, "half")[0], own[0])


def test_a_prompt_of_another_model_is_refused(model, clip):
    prompt = replace(model.text.encode(SOURCE), model="another")
    expected = f"The source prompt was made with another model than '{model.name}'"
    assert refused(model, clip, prompt).startswith(expected)


def test_latents_that_break_are_caught_at_their_step(model, clip):
    def broken_from(limit: int):
        calls: list[Level] = []

        def predict(latents: Tensor, level: Level, *args) -> dict[str, Tensor]:
            calls.append(level)
            value = float("nan") if len(calls) >= limit else 0.0
            return {"source": torch.full_like(latents, value)}

        broken = with_predict(model, predict)
        return refused(broken, clip, SOURCE, steps=4, store="recompute")

    assert broken_from(3).startswith("The inversion broke at step 3 of 4: its latents are not num")
    assert "Likely cause: weights of the model are damaged" in broken_from(1)
    assert "guidance" not in broken_from(1)


class Stop(BaseException):
    """What a host raises to interrupt."""


def test_an_interrupt_ends_within_a_step_and_the_next_run_works(model, clip):
    before = invert(model, clip, SOURCE, steps=3, store="resident")
    done: list[int] = []

    def stop(report: StepReport) -> None:
        done.append(report.done)
        if report.done == 2:
            raise Stop

    def stop_encoding(frame: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        invert(model, clip, SOURCE, steps=3, store="resident", on_step=stop)
    assert done == [1, 2]
    with pytest.raises(Stop):
        invert(model, clip, SOURCE, steps=3, store="resident", on_frame=stop_encoding)
    after = invert(model, clip, SOURCE, steps=3, store="resident")
    assert torch.equal(before.trajectory, after.trajectory)
    for one, other in zip(before.records, after.records, strict=True):
        assert all(torch.equal(one.queries[name], other.queries[name]) for name in one.queries)


def test_noise_in_the_place_of_an_inversion(model, clip):
    """Each level has its own share of the clip and of one noise."""
    found = invert(model, clip, SOURCE, steps=4, noise_seed=1)
    clean, levels = found.trajectory[0], found.levels(model.schedule)
    assert (found.mode, found.records) == ("recompute", ())
    noises = []
    for index, level in enumerate(reversed(levels[:-1]), start=1):
        kept = level.signal / levels[-1].signal
        share = (level.noise**2 - (kept * levels[-1].noise) ** 2) ** 0.5
        noises.append((found.trajectory[index] - kept * clean) / share)
    assert all(torch.allclose(noise, noises[0], atol=1e-4) for noise in noises)
    assert edit(model, found, "a red jeep", start_step=1, controls=[Fusion()]).isfinite().all()
