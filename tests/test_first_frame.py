"""First Frame: an edited frame that the rest of the clip follows."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from tiny_wan import FRAMES, SIZE, tiny_wan
from torch import Tensor

from evenframe.nodes.control import EvenframeFirstFrame
from evenframe.pipelines.attention.terms import Call, evaluate
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.window import Windowing
from evenframe.pipelines.controls.base import Edit, Step, attending
from evenframe.pipelines.controls.fame.self_modulator import SelfModulator
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.first_frame.first_frame import FirstFrame
from evenframe.pipelines.controls.first_frame.motion import changed_part, moved, shifts
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.controls.span import Span
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.inversion import Inversion, invert
from evenframe.pipelines.source.store import SourceAttention
from evenframe.pipelines.walk import StepReport

SOURCE, TARGET, STEPS = "a silver jeep on a road", "a red jeep on a road", 4


@pytest.fixture(scope="module")
def inversion(model: Model, clip: Tensor) -> Inversion:
    return invert(model, clip, SOURCE, steps=STEPS, keyframes="own")


@pytest.fixture(scope="module")
def shared(model: Model, clip: Tensor) -> Inversion:
    """With key frames."""
    return invert(model, clip, SOURCE, steps=3, keyframes="own, mid")


@pytest.fixture(scope="module")
def image(clip: Tensor) -> Tensor:
    """The first frame, with a bright square in it."""
    changed = clip[:1].clone()
    changed[:, 16:40, 24:56] = torch.tensor([1.0, 0.1, 0.0])
    return changed


def regions(size: tuple[int, int] = (64, 128), frames: int = 3) -> Regions:
    box = [(32.0, 16.0, 96.0, 64.0)] * frames
    return Regions((box_region(box, size, name="it", words="red"),), frames, size)


def edited(model: Model, inversion: Inversion, *controls: Any, **settings: Any) -> Tensor:
    return edit(model, inversion, TARGET, guidance_scale=2, controls=controls, **settings)


def started(control: FirstFrame, model: Model, inversion: Inversion, index: int = 0) -> Any:
    """A run that is in a step."""
    plan = Edit(model, inversion, model.text.encode(TARGET), controls=(control,))
    run, levels = control.begin(plan), inversion.levels(model.schedule)
    arrival = inversion.trajectory[inversion.steps - 1 - index]
    step = Step(index, levels[index], levels[index + 1], SourceAttention({}, {}), arrival)
    run.prepare(step)
    return run, step


# Where a part moves


def slow_shift(template: Tensor, frame: Tensor, part: Tensor) -> tuple[int, int]:
    """The whole shift with the smallest squared error, place by place."""
    (_, height, width), best = template.shape, {}
    for down, right in product(range(-4, 5), repeat=2):
        error = 0.0
        for y, x in product(range(height), range(width)):
            row, column = min(max(y + down, 0), height - 1), min(max(x + right, 0), width - 1)
            difference = template[:, y, x].double() - frame[:, row, column].double()
            error += float(part[y, x] * (difference**2).sum())
        best[down, right] = error
    return min(best, key=lambda shift: best[shift])


def test_a_part_is_found_again_where_it_has_moved():
    generator = torch.Generator().manual_seed(3)
    still = torch.randn(4, 12, 16, generator=generator)
    clean = torch.stack([still.roll((2 * f, -f), (1, 2)) for f in range(3)])
    part = torch.zeros(12, 16)
    part[3:6, 7:11] = 1
    found = shifts(clean, part, 0)
    assert found.tolist() == [[0, 0], [2, -1], [4, -2]]
    assert tuple(found[1].int().tolist()) == slow_shift(clean[0], clean[1], part)
    assert shifts(clean, part, 1)[0].tolist() == [-2, 1]
    difference = torch.randn(4, 12, 16, generator=generator) * part
    carried = moved(difference, found)
    assert torch.equal(carried[0], difference)
    assert torch.equal(carried[2], difference.roll((4, -2), (1, 2)))


def test_between_its_cells_a_shift_is_found_to_a_quarter():
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    clean = torch.stack(
        [torch.exp(-((rows - 7 - f) ** 2 + (columns - 8 + 0.5 * f) ** 2) / 8) for f in (0, 0.75)]
    )[:, None]
    found = shifts(clean, changed_part(clean[0]), 0)
    assert found[1].tolist() == pytest.approx([0.75, -0.375], abs=0.13)


def test_what_is_flat_everywhere_stays_where_it_is():
    assert not shifts(torch.ones(3, 4, 8, 8), torch.ones(8, 8), 1).any()


# Attention, against whole maps


def slow_attention(call: Call, keys: list[list[int]], weights: list[list[Tensor]]) -> Tensor:
    """Each frame's rows over the frames it looks at, whose tokens count so many times."""
    out = []
    for frame, seen in enumerate(keys):
        k, v = (torch.cat([t[i] for i in seen], dim=1).double() for t in (call.k, call.v))
        count = torch.cat(
            [w.expand(call.q.shape[2], call.k.shape[2]) for w in weights[frame]], dim=1
        )
        maps = (call.q[frame].double() @ k.mT * call.q.shape[-1] ** -0.5).exp() * count
        out.append(maps / maps.sum(-1, keepdim=True) @ v)
    return torch.stack(out)


@pytest.mark.parametrize("table", [None, [[1]], [[0, 1]], [[0, 0], [0, 1], [1, 2]]])
def test_the_edited_frame_counts_as_often_as_it_says(
    table: Any, model: Model, inversion: Inversion, image: Tensor
):
    """It comes in beside what is looked at; where all look at it already, it counts for more."""
    control = FirstFrame(image, attention=3.0, strength=0.5, decay=2.0, regions=regions())
    run, _ = started(control, model, inversion)
    site = next(site for site in model.denoiser.sites if site.kind == "self")
    grid, generator = site.grid((64, 128)), torch.Generator().manual_seed(1)
    shape = (3, 2, grid[0] * grid[1], 4)
    q, k, v = (torch.randn(shape, generator=generator) for _ in range(3))
    frames = None if table is None else torch.tensor(table)
    call = Call(site, "target", grid, q, k, v, frames)
    inside = regions().coverages(grid).amax(0).flatten(1)[..., None].double()  # f n 1
    own = [[f] for f in range(3)] if table is None else table * (3 // len(table))
    held, keys, weights = all(0 in seen for seen in own), [], []
    for frame, seen in enumerate(own):
        weight = 3.0 * 0.5 * 0.5 ** (frame / 2) * inside[frame]
        one = torch.ones(1, 1).double()
        weights.append([one + weight if held and i == 0 else one for i in seen])
        keys.append(list(seen))
        if not held:
            keys[-1].append(0)
            weights[-1].append(weight.clamp(min=1e-6))
    found = evaluate(attending([run])(call, call.plain()))
    assert (found - slow_attention(call, keys, weights)).abs().max() < 2e-6


def test_it_leaves_other_branches_layers_and_steps_alone(
    model: Model, inversion: Inversion, image: Tensor
):
    run, step = started(FirstFrame(image, steps=Span(0.5, 1.0)), model, inversion)
    sites = {site.kind: site for site in model.denoiser.sites}
    tokens = torch.randn(3, 1, 8, 4)
    for kind, branch in (("self", "target"), ("self", "negative"), ("cross", "target")):
        call = Call(sites[kind], branch, (2, 4), tokens, tokens, tokens)
        plain = call.plain()
        assert attending([run])(call, plain) is plain
        assert torch.equal(run.settle(tokens, step), tokens)


# Latents


def test_the_frame_is_the_edited_one_at_the_sources_noise_and_the_others_carry_it(
    model: Model, inversion: Inversion, image: Tensor
):
    seen: list[Tensor] = []

    def keep(report: StepReport) -> None:
        seen.append(report.latents)

    edited(model, inversion, FirstFrame(image, carry=0.5), on_step=keep)
    clean, levels = inversion.trajectory[0], inversion.levels(model.schedule)
    difference = model.codec.encode(image)[0] - clean[0]
    more = moved(difference, shifts(clean, changed_part(difference), 0))
    for index, latents in enumerate(seen):
        source = inversion.trajectory[STEPS - 1 - index]
        wanted = source + levels[index + 1].signal * more
        assert torch.equal(latents[0], wanted[0])
        assert torch.equal(latents[1:], wanted[1:]) == (index < 2)
    assert (seen[-1][0] - model.codec.encode(image)[0]).abs().max() < 1e-3


def test_any_frame_may_be_the_edited_one_and_the_strength_falls_with_the_distance(
    model: Model, inversion: Inversion, image: Tensor
):
    run, step = started(FirstFrame(image, frame=1, strength=0.8, decay=1.0), model, inversion)
    mine = torch.randn(3, 4, 8, 16)
    found = run.settle(mine, step)
    wanted = step.arrival + step.there.signal * run._more
    assert torch.equal(found[1], wanted[1])
    for frame in (0, 2):
        assert torch.allclose(found[frame], torch.lerp(mine[frame], wanted[frame], 0.4))


def test_a_first_step_that_is_later_begins_with_it(
    model: Model, inversion: Inversion, image: Tensor
):
    run, step = started(FirstFrame(image), model, inversion, index=2)
    source = inversion.trajectory[STEPS - 2]
    wanted = source + step.here.signal * run._more
    assert torch.equal(run.guide(source, step), wanted)


def test_outside_of_regions_only_the_edited_frame_is_held(
    model: Model, inversion: Inversion, image: Tensor
):
    run, step = started(FirstFrame(image, regions=regions()), model, inversion)
    mine = torch.randn(3, 4, 8, 16)
    outside = (regions().coverages((8, 16)).amax(0) == 0)[:, None].expand_as(mine)[1:]
    found = run.settle(mine, step)
    assert torch.equal(found[1:][outside], mine[1:][outside])
    assert not torch.equal(found[1:], mine[1:])
    assert torch.equal(found[0], step.arrival[0] + step.there.signal * run._more[0])


@pytest.mark.parametrize("settings", [{"strength": 0.0}, {"unedited": True}])
def test_without_strength_or_an_edit_it_changes_no_bit(
    settings: dict[str, Any], model: Model, inversion: Inversion, clip: Tensor, image: Tensor
):
    frame = clip[:1] if settings.pop("unedited", False) else image
    found = edited(model, inversion, FirstFrame(frame, **settings))
    assert torch.equal(found, edited(model, inversion))


def test_latents_of_the_frame_do_as_well_as_its_picture(
    model: Model, inversion: Inversion, image: Tensor
):
    samples = model.codec.exported(model.codec.encode(image))
    given = edited(model, inversion, FirstFrame(latents=samples))
    assert (given - edited(model, inversion, FirstFrame(image))).abs().max() < 1e-4


# Beside others


@pytest.mark.parametrize(
    "others",
    [
        (Fusion(cross_steps=0.5, self_steps=1.0),),
        (Fusion(bridge=2.0, self_steps=1.0),),
        (JointSampling(regions(), repeats=2),),
        (Refocus(regions()),),
        (Refocus(regions(), guide_by="boost"),),
        (SelfModulator(regions=regions(), form="additive", tau=0),),
    ],
    ids=["fusion", "bridge", "IRJS", "RAD", "boost", "FAME"],
)
def test_it_goes_with_the_other_controls(
    others: Any, model: Model, image: Tensor, shared: Inversion, inversion: Inversion
):
    made = shared if isinstance(others[0], Fusion) else inversion
    control = FirstFrame(image, carry=0.5, decay=4.0)
    alone, found = edited(model, made, *others), edited(model, made, control, *others)
    assert found.isfinite().all() and not torch.equal(found[1:], alone[1:])
    if not isinstance(others[0], JointSampling):
        assert (found[0] - model.codec.encode(image)[0]).abs().max() < 1e-3


def test_fused_attention_of_the_source_sees_the_source_of_that_frame(
    model: Model, inversion: Inversion, image: Tensor
):
    """In the place of the edit's keys: what the source's frame says, the edit's frame gives."""
    fusion, control = Fusion(cross_steps=0, self_steps=1), FirstFrame(image)
    plan = Edit(model, inversion, model.text.encode(TARGET), controls=(control, fusion))
    site = next(s for s in model.denoiser.sites if s.kind == "self")
    source = inversion.source_attention(model).at(0, (site,))
    levels = inversion.levels(model.schedule)
    step = Step(0, levels[0], levels[1], source, inversion.trajectory[STEPS - 1])
    runs = [each.begin(plan) for each in plan.controls]
    for run in runs:
        run.prepare(step)
    q = torch.randn_like(source.queries[site.name])
    [term] = attending(runs)(
        call := Call(site, "target", site.grid((64, 128)), q, q, q), call.plain()
    )
    keys, tokens = source.keys[site.name], q.shape[2]
    assert torch.equal(term.k[2, :, tokens:, :-1], keys[0]) and torch.equal(
        term.v[2, :, tokens:], q[0]
    )


def test_windows_without_the_frame_carry_it_too(model: Model, clip: Tensor, image: Tensor):
    frames = torch.cat([clip, clip.flip(0)[1:]])  # 5
    made = invert(model, frames, SOURCE, steps=3, windowing=Windowing(2, 2), keyframes="own")
    assert [list(window) for window in made.windows] == [[0, 1], [2, 3], [3, 4]]
    plain = edited(model, made)
    found = edited(model, made, FirstFrame(image, carry=1.0))
    clean = made.trajectory[0]
    difference = model.codec.encode(image)[0] - clean[0]
    wanted = clean + moved(difference, shifts(clean, changed_part(difference), 0))
    assert (found - wanted).abs().max() < 1e-3 and not torch.equal(found[4], plain[4])


def test_what_all_windows_share_is_found_once_and_may_be_interrupted(
    model: Model, clip: Tensor, image: Tensor, monkeypatch: pytest.MonkeyPatch
):
    frames = torch.cat([clip, clip.flip(0)[1:]])  # 5
    made = invert(model, frames, SOURCE, steps=2, windowing=Windowing(2, 2), keyframes="own")
    control, encode = FirstFrame(image), type(model.codec).encode
    encoded, looks = list[Any](), list[int]()

    def counted(codec: Any, *given: Any) -> Tensor:
        encoded.append(given)
        return encode(codec, *given)

    def stopped() -> None:
        looks.append(1)
        if len(looks) == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(type(model.codec), "encode", counted)
    plan = Edit(model, made, model.text.encode(TARGET), controls=(control,), on_pass=stopped)
    for window in made.windows:
        control.begin(plan.over(window))
    assert len(encoded) == 1 and len(looks) == 4  # a look before each other frame
    with pytest.raises(KeyboardInterrupt):
        control.begin(replace(plan, _found={}))


# Wan


@pytest.fixture(scope="module")
def wan() -> tuple[Model, Tensor, Inversion]:
    model = tiny_wan()
    frames = torch.rand(FRAMES, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    return model, frames, invert(model, frames, "a silver jeep", steps=3)


def test_on_wan_the_first_latent_is_held_and_counts_for_more(wan: Any):
    model, frames, inversion = wan
    frame = frames[:1] * 0.5
    found = edit(model, inversion, "a red jeep", controls=(FirstFrame(frame),))
    plain = edit(model, inversion, "a red jeep")
    assert (found[:1] - model.codec.encode(frame)).abs().max() < 1e-5
    assert not torch.equal(found[1:], plain[1:])
    run, step = started(FirstFrame(frame, decay=4.0), model, inversion)
    mine = torch.randn_like(found)
    assert torch.equal(run.settle(mine, step)[1:], mine[1:])
    site = model.denoiser.sites[0]
    q, k, v = (torch.randn(3, 2, 16, 24) for _ in range(3))
    call = Call(site, "target", (4, 4), q, k, v, torch.arange(3)[None])
    terms = attending([run])(call, call.plain())
    assert terms[0].k.shape[2] == 3 * 16 and terms[0].k.stride(0) == 0
    one, weights = torch.ones(1, 1).double(), []
    for away in (0, 1, 5):  # frames from the first to those that a latent holds
        weights.append([one + 3.0 * 0.5 ** (away / 4), one, one])
    wanted = slow_attention(call, [[0, 1, 2]] * 3, weights)
    assert (evaluate(terms) - wanted).abs().max() < 2e-6


def test_wan_takes_frame_0_alone(wan: Any):
    model, frames, inversion = wan
    with pytest.raises(EvenframeError, match="holds 4 frames in one latent.*edit frame 0"):
        edit(model, inversion, "a red jeep", controls=(FirstFrame(frames[5:6], frame=5),))


# What is refused


@pytest.mark.parametrize(
    ("given", "starts"),
    [
        ({"image": None}, "First Frame has neither of image and latents"),
        ({"latents": torch.zeros(1, 4, 8, 16)}, "First Frame has both of image and latents"),
        ({"image": torch.rand(2, 64, 128, 3)}, "2 pictures came as the edited frame: pick one"),
        ({"image": torch.rand(64, 128, 3)}, "The edited frame has the shape (64, 128, 3): give"),
        ({"image": torch.full((1, 64, 128, 3), torch.nan)}, "Frame 0 has pixels that are not num"),
        ({"strength": 1.5}, "strength is 1.5: choose a value from 0 to 1"),
        ({"frame": -1}, "frame is -1: choose a whole number from 0 up"),
        ({"decay": float("nan")}, "decay is nan: choose a value from 0 to 10000"),
    ],
)
def test_what_is_wrong_is_told_when_it_is_made(given: dict[str, Any], starts: str, image: Tensor):
    with pytest.raises(EvenframeError) as told:
        FirstFrame(**{"image": image, **given})
    assert str(told.value).startswith(starts)


@pytest.mark.parametrize(
    ("given", "starts"),
    [
        ({"frame": 3}, "frame of First Frame is 3, but the clip has 3 frames: choose 0 to 2"),
        ({"image": torch.rand(1, 64, 64, 3)}, "The edited frame has 64x64 pixels, but the clip's"),
        (
            {"image": None, "latents": torch.zeros(1, 4, 8, 8)},
            "The edited frame's latents have the shape (1, 4, 8, 8), but one frame",
        ),
        ({"regions": regions(frames=2)}, "The regions"),
    ],
)
def test_what_does_not_fit_the_clip_is_told_before_the_first_step(
    given: dict[str, Any], starts: str, model: Model, inversion: Inversion, image: Tensor
):
    steps: list[StepReport] = []
    with pytest.raises(EvenframeError) as told:
        edited(model, inversion, FirstFrame(**{"image": image, **given}), on_step=steps.append)
    assert str(told.value).startswith(starts) and not steps


def test_fresh_noise_of_irjs_is_refused_beside_it(image: Tensor):
    fresh = JointSampling(regions(), noise="fresh")
    with pytest.raises(EvenframeError, match="one at fresh noise.*leave First Frame out"):
        EvenframeFirstFrame.execute(image=image, controls=(fresh,))


def test_the_node_makes_the_control(image: Tensor):
    [control] = EvenframeFirstFrame.execute(
        image=image, frame=2, strength=0.5, decay=8.0, carry=0.7, attention=2.0, start=0.1, end=0.9
    )[0]
    assert torch.equal(control.image, image) and control.steps == Span(0.1, 0.9)
    assert (control.frame, control.decay, control.carry, control.attention) == (2, 8, 0.7, 2)
    [control] = EvenframeFirstFrame.execute(latents={"samples": torch.zeros(1, 4, 8, 16)})[0]
    assert control.latents.shape == (1, 4, 8, 16) and control.strength == 1
