"""FAME's controls against dense maps in double precision, and inside a whole model."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import reference
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from two_layers import CROSS, SELF, two_layers

from evenframe.pipelines.attention import terms as attention
from evenframe.pipelines.attention.keyframes import parse, resolve
from evenframe.pipelines.attention.sites import Site
from evenframe.pipelines.attention.terms import Call, Term, evaluate
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.base import Control, ControlRun, Edit, Step, attending
from evenframe.pipelines.controls.fame import formulas as fame
from evenframe.pipelines.controls.fame.cross_reweighter import CrossReweighter
from evenframe.pipelines.controls.fame.self_modulator import SelfModulator, appearance
from evenframe.pipelines.controls.fame.subject import find_subjects
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.controls.span import NEVER, Span
from evenframe.pipelines.editing import edit
from evenframe.pipelines.fairness.encoder import encode_fair, parse_wishes
from evenframe.pipelines.models.schedule import Level
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.inversion import Inversion, invert
from evenframe.pipelines.source.store import SourceAttention

HEADS, WIDTH, FRAMES, ROWS, COLUMNS = 2, 4, 3, 4, 8
TOKENS = ROWS * COLUMNS
SIZE = (ROWS * 8, COLUMNS * 8)
SOURCE = "a man walking down a road"
TARGET = "a doctor walking down a road"
LONGER = "a tall doctor walking down a road"
NO_PROMPT: Any = None
PERSON = box_region([(0, 0, 24 + 8 * f, 24) for f in range(FRAMES)], SIZE, name="p", words="doctor")
OTHER = box_region([(40, 8, 64, 32)] * FRAMES, SIZE, name="q", words="road")
REGIONS = Regions((PERSON, OTHER), FRAMES, SIZE)
RELATIVE = SelfModulator(tau=0.1, regions=REGIONS)
ADDITIVE = SelfModulator(form="additive", tau=0, regions=REGIONS)


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def plan(model) -> Callable[..., Edit]:
    prompts = {text: model.text.encode(text) for text in (SOURCE, TARGET, LONGER)}

    def made(
        keyframes: str = "all", window: range | None = None, steps: int = 4, target: str = TARGET
    ) -> Edit:
        frames = FRAMES if window is None else len(window)
        times = tuple(range(1 + 100 * (steps - 1), -100, -100))
        trajectory = random(steps + 1, frames, 4, ROWS, COLUMNS)
        inversion = Inversion(trajectory, prompts[SOURCE], times, parse(keyframes), "two layers")
        return Edit(two_layers(), inversion, prompts[target], window, FRAMES if window else 0)

    return made


def source_attention() -> SourceAttention:
    return SourceAttention(
        {
            SELF.name: random(FRAMES, HEADS, TOKENS, WIDTH, seed=1),
            CROSS.name: random(FRAMES, HEADS, TOKENS, WIDTH, seed=2),
        },
        {
            SELF.name: random(FRAMES, HEADS, TOKENS, WIDTH, seed=3),
            CROSS.name: random(1, HEADS, 77, WIDTH, seed=4),
        },
    )


def started(control: Control, plan: Edit, index: int = 0) -> ControlRun:
    run = control.begin(plan)
    here, there = (Level(time, 1.0, 0.0) for time in plan.inversion.times[index : index + 2])
    run.prepare(Step(index, here, there, source_attention(), plan.inversion.trajectory[0]))
    return run


def a_call(site: Site, table: Tensor | None, branch: str = "target", frames: int = FRAMES) -> Call:
    tokens = 77 if site.kind == "cross" else TOKENS
    k, v = (random(frames, HEADS, tokens, WIDTH, seed=seed) for seed in (6, 7))
    if site.kind == "cross":  # the prompt is the same in every frame
        k, v = (tensor[:1].expand(frames, -1, -1, -1) for tensor in (k, v))
    q = 3 * random(frames, HEADS, TOKENS, WIDTH, seed=5)
    return Call(site, branch, (ROWS, COLUMNS), q, k, v, table if site.kind == "self" else None)


# Self-attention


def ids_of(frame: int) -> Tensor:
    """Region ids of one frame's tokens, by hand."""
    cells = torch.zeros(ROWS, COLUMNS, dtype=torch.long)
    cells[:3, : 3 + frame] = 1
    cells[1:, 5:] = 2
    return cells.flatten()


def dense_self(
    call: Call, q: Tensor, k: Tensor, settings: SelfModulator, plan: Edit, rho: float = 1.0
) -> Tensor:
    """The modulated attention of one term, every map written out. k: before frames are gathered."""
    first = plan.latent_frames.start
    features = appearance(plan.inversion.trajectory[0], call.grid).double()
    outputs = []
    for frame in range(len(q)):
        keys = [frame] if call.keyframes is None else call.keyframes[frame].tolist()
        similar = None
        if settings.tau:
            cosine = features[frame] @ torch.cat([features[key] for key in keys]).T
            similar = fame.similarity(cosine, settings.tau)
        logits = q[frame] @ torch.cat([k[key] for key in keys], 1).transpose(-1, -2) / WIDTH**0.5
        form = reference.modulate_self_logits
        if settings.form == "additive":
            form = reference.add_to_self_logits
        modulated = form(
            logits,
            ids_of(first + frame),
            torch.cat([ids_of(first + key) for key in keys]),
            first + frame,
            torch.tensor([first + key for key in keys for _ in range(TOKENS)]),
            similar,
            settings.strength,
            settings.same,
            settings.other,
            settings.frame_decay,
            rho,
        )
        outputs.append(torch.softmax(modulated, -1) @ torch.cat([call.v[key] for key in keys], 1))
    return torch.stack(outputs)


@pytest.mark.parametrize("keyframes", ["all", "own, mid", "own"])
@pytest.mark.parametrize(
    "settings",
    [
        RELATIVE,
        SelfModulator(tau=0, strength=1, same=1, other=1, regions=REGIONS),
        SelfModulator(tau=0, frame_decay=math.inf, regions=REGIONS),
        SelfModulator(form="additive", tau=0.1, regions=REGIONS),
        SelfModulator(form="additive", tau=0, regions=REGIONS),
        SelfModulator(form="additive", tau=0, same=1, other=0, frame_decay=1, regions=REGIONS),
    ],
    ids=["relative", "full", "no-decay", "additive-similar", "additive", "additive-same"],
)
def test_fast_forms_are_those_of_the_maps(plan, settings: SelfModulator, keyframes: str):
    made = plan(keyframes)
    call = a_call(SELF, resolve(parse(keyframes), FRAMES))
    out = evaluate(started(settings, made).attend(call, call.plain()))
    expected = dense_self(call, call.q, call.k, settings, made)
    assert torch.allclose(out, expected, atol=1e-12)
    assert not torch.allclose(out, evaluate(call.plain()), atol=1e-3)


@pytest.mark.parametrize("form", [{}, {"form": "additive", "tau": 0}])
def test_key_frames_that_all_frames_share_may_be_one_row(plan, form: dict[str, Any]):
    settings = SelfModulator(regions=REGIONS, **form)
    run, table = started(settings, plan("all")), resolve(("all",), FRAMES)
    assert table is not None
    calls = [a_call(SELF, which) for which in (table, table[:1])]
    one, other = (evaluate(run.attend(call, call.plain())) for call in calls)
    assert torch.allclose(one, other, atol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2), (torch.float16, 3e-3)]
)
@pytest.mark.parametrize(
    "settings",
    [RELATIVE, replace(RELATIVE, tau=0), ADDITIVE],
)
def test_fast_forms_hold_in_every_precision(plan, dtype, tolerance: float, settings):
    made = plan("all")
    call = a_call(SELF, resolve(("all",), FRAMES))
    small = replace(call, q=call.q.to(dtype), k=call.k.to(dtype), v=call.v.to(dtype))
    out = evaluate(started(settings, made).attend(small, small.plain()))
    assert out.dtype == dtype
    expected = dense_self(call, call.q, call.k, settings, made)
    assert (out.double() - expected).abs().max() < tolerance * expected.abs().max()


def test_rows_are_the_same_however_many_are_taken_at_once(plan, monkeypatch):
    call = a_call(SELF, resolve(("all",), FRAMES))
    run = started(RELATIVE, plan())
    whole = evaluate(run.attend(call, call.plain()))
    monkeypatch.setitem(attention.ROWS_ELEMENTS, "cpu", 5 * HEADS * TOKENS * FRAMES)
    assert torch.allclose(evaluate(run.attend(call, call.plain())), whole, atol=1e-14)


def test_a_window_of_a_clip_keeps_its_regions_and_its_frame_numbers(plan):
    window = range(1, 3)
    settings, made = SelfModulator(regions=REGIONS, frame_decay=1), plan("all", window)
    call = a_call(SELF, resolve(("all",), 2), frames=2)
    out = evaluate(started(settings, made).attend(call, call.plain()))
    assert torch.allclose(out, dense_self(call, call.q, call.k, settings, made), atol=1e-12)


def test_the_source_is_modulated_where_fusion_puts_it(plan):
    """In whatever order they stand: fusion first, then the modulation of what it left."""
    settings, made = SelfModulator(regions=REGIONS), plan("own, mid")
    call, source = a_call(SELF, resolve(parse("own, mid"), FRAMES)), source_attention()
    expected = dense_self(call, source.queries[SELF.name], source.keys[SELF.name], settings, made)
    for controls in ((Fusion(), settings), (settings, Fusion())):
        attend = attending([started(control, made) for control in controls])
        assert torch.allclose(evaluate(attend(call, call.plain())), expected, atol=1e-12)


def test_a_bias_and_a_gate_of_another_control_are_kept(plan):
    call = a_call(SELF, resolve(("all",), FRAMES))
    bias, gate = random(HEADS, TOKENS, TOKENS * FRAMES), torch.tensor(0.5).double()
    term = replace(call.plain()[0], bias=bias, gate=gate)
    for settings in (RELATIVE, replace(RELATIVE, tau=0), ADDITIVE):
        run = started(replace(settings, strength=1e-12), plan())
        out = evaluate(run.attend(call, (term,)))
        assert torch.allclose(out, evaluate((term,)), atol=1e-9)


def test_two_modulations_follow_each_other(plan):
    call = a_call(SELF, resolve(("all",), FRAMES))
    one, two = (
        SelfModulator(tau=0, form="additive", unit=2, regions=REGIONS),
        SelfModulator(tau=0, other=0, regions=REGIONS),
    )
    runs = [started(settings, plan()) for settings in (one, two)]
    (term,) = runs[1].attend(call, runs[0].attend(call, call.plain()))
    assert term.rewrite is not None and term.q.shape[-1] == WIDTH + 3
    twice = started(one, plan())
    both = evaluate(twice.attend(call, runs[0].attend(call, call.plain())))
    doubled = started(replace(one, unit=4), plan())
    assert torch.allclose(both, evaluate(doubled.attend(call, call.plain())), atol=1e-12)


def test_the_schedule_and_the_window_say_when(plan):
    call = a_call(SELF, None)
    terms = call.plain()
    for settings, acting in (
        (SelfModulator(schedule="power", regions=REGIONS), [0, 1, 2]),
        (SelfModulator(window=Span(0.2, 0.5), regions=REGIONS), [2, 3, 4]),
    ):
        made = plan("own", steps=10)
        changed = [
            index
            for index in range(10)
            if started(settings, made, index).attend(call, terms) is not terms
        ]
        assert changed == acting


def test_other_branches_and_finer_layers_are_left_alone(plan):
    for control in (SelfModulator(regions=REGIONS), CrossReweighter(regions=REGIONS)):
        run = started(control, plan())
        for site in (SELF, CROSS):
            for call in (
                a_call(site, None, "negative"),
                a_call(site, None, "source"),
                replace(a_call(site, None), site=replace(site, stride=4)),
            ):
                terms = call.plain()
                assert run.attend(call, terms) is terms


# Cross-attention


def test_reweighting_is_that_of_the_maps(plan):
    made, call = plan(), a_call(CROSS, None)
    settings = CrossReweighter(regions=REGIONS, weight=0.8, eos=True)
    out = evaluate(started(settings, made).attend(call, call.plain()))
    logits = call.q @ call.k.transpose(-1, -2) / WIDTH**0.5
    end = len(made.prompt.tokens.ids) - 1
    # One after the other: what is raised stays below the row's largest.
    for region, tokens in ((1, [2, end]), (2, [6, end])):
        subject = torch.stack([(ids_of(frame) == region).double() for frame in range(FRAMES)])
        logits = reference.modulate_cross_logits(
            logits, call.q, call.k, tokens, 0.5, 0.8, subject[:, None]
        )
    assert torch.allclose(out, torch.softmax(logits, -1) @ call.v, atol=1e-12)
    assert not torch.allclose(out, evaluate(call.plain()), atol=1e-3)


def test_without_a_subject_the_word_is_raised_everywhere(plan):
    made, call = plan(), a_call(CROSS, None)
    logits = call.q @ call.k.transpose(-1, -2) / WIDTH**0.5
    expected = reference.modulate_cross_logits(logits, call.q, call.k, [2], 0.5, 0.4, None, 1, True)
    for settings in (CrossReweighter(("doctor",), spread=True), CrossReweighter(spread=True)):
        out = evaluate(started(settings, made).attend(call, call.plain()))
        assert torch.allclose(out, torch.softmax(expected, -1) @ call.v, atol=1e-12)


@pytest.mark.parametrize(
    ("target", "word", "token"),
    [(TARGET, "doctor", 2), (LONGER, "road", 6), (LONGER, "doctor", None)],
    ids=["in-its-place", "moved", "new"],
)
def test_the_source_is_reweighted_by_its_own_tokens(plan, target: str, word: str, token):
    """The doctor stands where the man of the source stood; the road is the sixth word there."""
    made, call, source = plan(target=target), a_call(CROSS, None), source_attention()
    q, k = source.queries[CROSS.name], source.keys[CROSS.name].expand(FRAMES, -1, -1, -1)
    terms = (Term(q, k, call.v, source=True),)
    logits = q @ k.transpose(-1, -2) / WIDTH**0.5
    if token is not None:
        logits = reference.modulate_cross_logits(logits, q, k, [token], 0.5, 0.4)
    out = evaluate(started(CrossReweighter((word,)), made).attend(call, terms))
    assert torch.allclose(out, torch.softmax(logits, -1) @ call.v, atol=1e-12)


@pytest.mark.parametrize("lengths", [(9, 20), (90, 30)])
def test_prompts_encoded_to_different_lengths_are_reweighted_alike(plan, lengths):
    """lengths: of the source, which has more tokens than the target can in the second case."""
    made = plan(target=LONGER)
    prompts = (made.inversion.prompt, made.prompt)
    source, target = (
        replace(prompt, states={"tokens": torch.zeros(length, 4)})
        for prompt, length in zip(prompts, lengths, strict=True)
    )
    if lengths[0] > 77:
        behind = tuple(range(len(source.tokens.ids), 80))
        tokens = replace(source.tokens, ids=(*source.tokens.ids, *behind))
        source = replace(source, tokens=tokens)
    sized = replace(made, inversion=replace(made.inversion, prompt=source), prompt=target)
    call = a_call(CROSS, None)
    outs = [
        evaluate(started(CrossReweighter(("road",)), each).attend(call, call.plain()))
        for each in (made, sized)
    ]
    assert torch.equal(*outs)


def test_a_region_without_words_beside_one_with_words_is_told(plan, caplog):
    regions = Regions((PERSON, replace(OTHER, words="")), FRAMES, SIZE)
    made, call = plan(), a_call(CROSS, None)
    with caplog.at_level("WARNING"):
        out = evaluate(started(CrossReweighter(regions=regions), made).attend(call, call.plain()))
    assert caplog.messages == [
        "Region 'q' has no words: nothing is raised there. Give it words of the target prompt, as "
        "the other regions have."
    ]
    regions = Regions((replace(PERSON, words="doctor, road"),), FRAMES, SIZE)
    both = evaluate(started(CrossReweighter(regions=regions), made).attend(call, call.plain()))
    assert not torch.equal(both, out)


# Cost


class Largest(TorchDispatchMode):
    """The most elements that any tensor has."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.untyped_storage().nbytes() // 8)
        return out


@pytest.mark.parametrize(
    "settings",
    [RELATIVE, replace(RELATIVE, tau=0), ADDITIVE],
)
def test_memory_grows_with_the_tokens_not_with_their_square(monkeypatch, settings):
    monkeypatch.setitem(attention.ROWS_ELEMENTS, "cpu", 2**12)
    most = []
    for side in (8, 16):
        size = (side * 8, side * 8)
        half = box_region([(0, 0, side * 4, side * 8)] * 2, size, name="p")
        trajectory = random(2, 2, 4, side, side)
        inversion = Inversion(trajectory, NO_PROMPT, (1, -999), ("all",), "two layers")
        made = Edit(two_layers(), inversion, NO_PROMPT)
        run = started(replace(settings, regions=Regions((half,), 2, size)), made)
        q, k, v = (random(2, HEADS, side * side, WIDTH, seed=seed) for seed in range(3))
        call = Call(SELF, "target", (side, side), q, k, v, torch.tensor([[0, 1], [0, 1]]))
        terms = run.attend(call, call.plain())
        with Largest() as watch:
            terms = run.attend(call, call.plain())
            if settings.tau:  # else one fused call, which has its own proof
                evaluate(terms)
        most.append(watch.elements)
    assert most[1] <= 4.5 * most[0]  # four times the tokens, sixteen times the pairs


@pytest.mark.parametrize(
    "settings",
    [RELATIVE, ADDITIVE],
)
@pytest.mark.parametrize(("side", "width"), [(32, 80), (16, 160), (8, 160)])
def test_the_work_is_at_most_a_tenth_more(settings: SelfModulator, side: int, width: int):
    """All frames at the three grids of Stable Diffusion, by count."""
    heads, frames, meta = 8, 8, torch.device("meta")
    stride = 512 // side
    box = box_region([(0, 0, 256, 512)] * frames, (512, 512), name="p")
    inversion = Inversion(
        torch.zeros(2, frames, 4, 64, 64),
        NO_PROMPT,
        (1, -999),
        ("all",),
        "two layers",
    )
    made = Edit(two_layers(), inversion, NO_PROMPT)
    run = started(replace(settings, regions=Regions((box,), frames, (512, 512))), made)
    q, k, v = (torch.empty(frames, heads, side * side, width, device=meta) for _ in range(3))
    table = torch.arange(frames).expand(frames, -1)
    call = Call(Site("s", "self", stride, 0), "target", (side, side), q, k, v, table)

    def work(action: Callable[[], Any]) -> int:
        with FlopCounterMode(display=False) as counter:
            action()
        return counter.get_total_flops()

    plain = work(lambda: evaluate(call.plain()))
    assert work(lambda: evaluate(run.attend(call, call.plain()))) <= 1.10 * plain


# Whole edits


GUIDANCE = 3.0
WORDS = ("jeep",)
JEEP, PAINTED = "a silver jeep driving down a road", "a red jeep driving down a road"


@pytest.fixture(scope="module")
def inverted(model, clip) -> Inversion:
    return invert(model, clip, JEEP, steps=3, keyframes="all")


@pytest.mark.parametrize(
    "control",
    [
        SelfModulator(strength=0, subject=WORDS),
        SelfModulator(same=0, other=0, subject=WORDS),
        SelfModulator(window=NEVER, subject=WORDS),
        CrossReweighter(("jeep",), strength=0, subject=WORDS),
        CrossReweighter(("jeep",), weight=0),
        CrossReweighter(("jeep",), window=Span(1, 1)),
    ],
)
def test_neutral_settings_are_bit_identical_to_no_control(model, inverted, control):
    plain = edit(model, inverted, PAINTED, guidance_scale=GUIDANCE)
    assert torch.equal(
        edit(model, inverted, PAINTED, controls=[control], guidance_scale=GUIDANCE), plain
    )


@pytest.mark.parametrize(
    "control",
    [
        SelfModulator(subject=WORDS),
        SelfModulator(form="additive", tau=0, subject=WORDS),
        CrossReweighter(("jeep",), subject=WORDS),
        CrossReweighter(("jeep",), weight=1, strength=1, eos=True, spread=True),
    ],
)
def test_only_the_conditional_branch_changes(model, inverted, control):
    target = model.text.encode(PAINTED)
    run = control.begin(Edit(model, inverted, target))
    latents, levels = inverted.trajectory[3], inverted.levels(model.schedule)
    run.prepare(Step(0, levels[0], levels[1], SourceAttention({}, {}), latents))
    branches = {"negative": model.text.encode(""), "target": target}
    table = inverted.keyframe_table()
    with torch.no_grad():
        plain = model.denoiser.predict(latents, levels[0], branches, table)
        controlled = model.denoiser.predict(latents, levels[0], branches, table, run.attend)
    assert torch.equal(plain["negative"], controlled["negative"])
    assert not torch.allclose(plain["target"], controlled["target"], atol=1e-4)


def test_all_of_it_works_together_and_repeats_to_the_bit(model, inverted):
    controls = [
        SelfModulator(subject=WORDS),
        CrossReweighter(("jeep",), subject=WORDS),
        Fusion("refine", 0.5, 0.5, ("jeep",), latent_blend=True),
    ]
    one, two = (
        edit(model, inverted, PAINTED, controls=controls, guidance_scale=GUIDANCE) for _ in range(2)
    )
    assert torch.equal(one, two) and one.isfinite().all()
    for index in range(3):
        fewer = [control for at, control in enumerate(controls) if at != index]
        assert not torch.equal(
            edit(model, inverted, PAINTED, controls=fewer, guidance_scale=GUIDANCE), one
        )


def test_two_people_in_one_edit_with_all_controls(model, clip):
    """RAD moves, fusion keeps, both fairness controls act in each region, IRJS keeps the rest."""
    source, target = "a doctor and a nurse on a road", "a doctor and a nurse on a beach"
    inversion = invert(model, clip, source, steps=3, keyframes="all")
    size = model.codec.lattice_of(inversion.trajectory[0]).size
    boxes = {"doctor": (0, 0, 64, 64), "nurse": (64, 8, 112, 64)}
    people = (box_region([box] * 3, size, name=word, words=word) for word, box in boxes.items())
    regions = Regions(tuple(people), 3, size)
    wishes = parse_wishes("doctor: female, nurse: male")
    prompt = encode_fair(model, target, wishes).prompt
    controls: list[Control] = [
        Refocus(regions),
        Fusion("refine", 0.5, 0.5),
        SelfModulator(regions=regions),
        CrossReweighter(regions=regions),
        JointSampling(regions),
    ]

    def made(chosen: list[Control]) -> Tensor:
        return edit(model, inversion, prompt, controls=chosen, guidance_scale=GUIDANCE)

    whole = made(controls)
    assert whole.isfinite().all() and torch.equal(made(controls), whole)
    for index, control in enumerate(controls):
        rest = made(controls[:index] + controls[index + 1 :])
        assert not torch.equal(rest, whole), control


@pytest.mark.parametrize(
    "settings",
    [RELATIVE, ADDITIVE],
)
def test_region_ids_may_skip(plan, settings: SelfModulator):
    """A region that others hide leaves its number out: 1 and 3 are told apart as 1 and 2 are."""
    hidden = replace(OTHER, name="hidden", words="walking")
    skipping = Regions((PERSON, hidden, OTHER), FRAMES, SIZE)
    ids = find_subjects(plan(), skipping, (), 0).ids((ROWS, COLUMNS))
    assert ids.unique().tolist() == [0, 1, 3]
    call, made = a_call(SELF, resolve(("all",), FRAMES)), plan("all")
    out, expected = (
        evaluate(started(replace(settings, regions=regions), made).attend(call, call.plain()))
        for regions in (skipping, REGIONS)
    )
    assert torch.equal(out, expected)


# Bad input


@pytest.mark.parametrize(
    ("settings", "starts"),
    [
        ({"strength": 1.1}, "strength (alpha) is 1.1: choose a value from 0 to 1"),
        ({"same": -0.1}, "same (lambda) is -0.1: choose"),
        ({"other": math.nan}, "other (mu) is nan: choose"),
        ({"tau": -1}, "tau is -1: choose a value from 0 to 10"),
        ({"frame_decay": 0}, "frame_decay is 0: choose a number of frames above 0"),
        ({"form": "dense"}, "form 'dense' is unknown: use relative, additive"),
        ({"schedule": "late"}, "schedule 'late' is unknown: use constant, power"),
        ({}, "There is no subject: name the words of the source prompt"),
        ({"regions": Regions((), 3, SIZE)}, "There are no regions: draw one"),
    ],
)
def test_a_modulator_is_refused_where_it_is_made(settings: dict[str, Any], starts: str):
    with pytest.raises(EvenframeError) as caught:
        SelfModulator(**settings)
    assert str(caught.value).startswith(starts)


@pytest.mark.parametrize(
    ("settings", "starts"),
    [
        ({"weight": 2}, "weight (lambda) is 2: choose a value from 0 to 1"),
        ({"threshold": 3}, "threshold is 3: choose a value from 0 to 2"),
        ({"schedule": "late"}, "schedule 'late' is unknown: use constant, power"),
        ({"regions": Regions((), 3, SIZE)}, "There are no regions: draw one"),
    ],
)
def test_a_reweighter_is_refused_where_it_is_made(settings: dict[str, Any], starts: str):
    with pytest.raises(EvenframeError) as caught:
        CrossReweighter(**settings)
    assert str(caught.value).startswith(starts)


def test_a_modulator_that_changes_nothing_needs_no_subject(plan):
    for settings in (SelfModulator(strength=0), SelfModulator(same=0, other=0)):
        assert type(settings.begin(plan())) is ControlRun


@pytest.mark.parametrize(
    ("control", "starts"),
    [
        (SelfModulator(regions=REGIONS.part(range(2))), "The regions are for 2 frames"),
        (CrossReweighter(("nurse",)), f"The word 'nurse' is not in the prompt '{TARGET}'"),
        (
            CrossReweighter(regions=Regions((replace(PERSON, words="nurse"),), 3, SIZE)),
            f"The word 'nurse' is not in the prompt '{TARGET}'",
        ),
    ],
)
def test_what_does_not_fit_the_edit_says_what_to_do(plan, control: Control, starts: str):
    with pytest.raises(EvenframeError) as caught:
        control.begin(plan())
    assert str(caught.value).startswith(starts)


def test_a_prompt_without_a_person_is_refused(model, inverted):
    with pytest.raises(EvenframeError, match="^No word of the prompt '.*' is known to stand for"):
        CrossReweighter().begin(Edit(model, inverted, model.text.encode(PAINTED)))
