"""FateZero's fusion against dense maps in double precision, and inside a whole model."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import tiny
from two_layers import CROSS, SELF, two_layers

from evenframe.pipelines.attention.sites import Site
from evenframe.pipelines.attention.terms import Call, Terms, evaluate
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.base import Edit, Step
from evenframe.pipelines.controls.fatezero.fusion import Fusion, FusionRun, published_steps
from evenframe.pipelines.controls.span import WHOLE
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.schedule import Level
from evenframe.pipelines.source.inversion import Inversion, invert
from evenframe.pipelines.source.maps import blend_mask
from evenframe.pipelines.source.recompute import RecomputedAttention
from evenframe.pipelines.source.store import SourceAttention, kept_sites
from evenframe.pipelines.text.alignment import align_tokens, replace_matrix
from evenframe.pipelines.text.conditioning import Conditioning
from evenframe.pipelines.text.tokens import Tokens

HEADS, WIDTH, FRAMES, ROWS, COLUMNS = 2, 4, 3, 4, 8
TOKENS = ROWS * COLUMNS
TABLE = torch.tensor([[0, 1], [1, 1], [2, 1]])
SOURCE = "a silver jeep driving down a road"
TARGET = "watercolor painting of a silver jeep driving down a road"
SWAPPED = "a yellow Shiba-Inu driving down a road"


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def dense(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    logits = torch.einsum("fhnd,fhmd->fhnm", q, k) / q.shape[-1] ** 0.5
    return torch.softmax(logits, dim=-1)


def gathered(tokens: torch.Tensor) -> torch.Tensor:
    """Each frame's key frames, by loops."""
    rows = [torch.cat([tokens[other] for other in row], dim=1) for row in TABLE.tolist()]
    return torch.stack(rows)


@pytest.fixture(scope="module")
def prompts(model) -> dict[str, Conditioning]:
    return {text: model.text.encode(text) for text in ("", SOURCE, TARGET, SWAPPED)}


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


def a_call(site: Site, branch: str = "target") -> Call:
    tokens = 77 if site.kind == "cross" else TOKENS
    k, v = (random(FRAMES, HEADS, tokens, WIDTH, seed=seed) for seed in (6, 7))
    if site.kind == "cross":  # the prompt is the same in every frame
        k, v = (tensor[:1].expand(FRAMES, -1, -1, -1) for tensor in (k, v))
    q = random(FRAMES, HEADS, TOKENS, WIDTH, seed=5)
    keyframes = TABLE if site.kind == "self" else None
    return Call(site, branch, (ROWS, COLUMNS), q, k, v, keyframes)


def a_run(
    settings: Fusion, prompts: dict[str, Conditioning], target: str, steps: int = 4
) -> FusionRun:
    """Fusion in an edit of made-up attention."""
    trajectory = random(steps + 1, FRAMES, 4, ROWS, COLUMNS)
    times = tuple(range(1 + 100 * (steps - 1), -100, -100))
    inversion = Inversion(trajectory, prompts[SOURCE], times, ("own", "mid"), "two layers")
    return settings.begin(Edit(two_layers(), inversion, prompts[target]))


def a_step(index: int = 0, source: SourceAttention | None = None) -> Step:
    arrival = random(FRAMES, 4, ROWS, COLUMNS, seed=9)
    level = Level(901, 0.6, 0.8)
    return Step(index, level, level, source or source_attention(), arrival)


def fused(run: FusionRun, call: Call) -> torch.Tensor:
    return evaluate(run.attend(call, call.plain()))


# Self-attention


def test_self_attention_comes_from_the_source_with_the_values_of_the_edit(prompts):
    run = a_run(Fusion(), prompts, TARGET)
    run.prepare(a_step())
    call, source = a_call(SELF), source_attention()
    keys = gathered(source.keys[SELF.name])
    expected = dense(source.queries[SELF.name], keys) @ gathered(call.v)
    assert torch.allclose(fused(run, call), expected, atol=1e-12)


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.9])
def test_a_mask_blends_the_maps_row_by_row(prompts, threshold: float):
    run = a_run(Fusion(blend_words=("jeep",), threshold=threshold), prompts, TARGET)
    run.prepare(a_step())
    call, source = a_call(SELF), source_attention()
    words = dense(source.queries[CROSS.name], source.keys[CROSS.name].expand(FRAMES, -1, -1, -1))
    maps = words[..., 3].transpose(0, 1).reshape(HEADS, FRAMES, ROWS, COLUMNS)
    mask = blend_mask(maps, [(ROWS, COLUMNS)], threshold)[ROWS, COLUMNS]
    assert 0 < mask.mean() < 1
    rows = mask.reshape(FRAMES, 1, TOKENS, 1)
    theirs = dense(source.queries[SELF.name], gathered(source.keys[SELF.name]))
    ours = dense(call.q, gathered(call.k))
    expected = (rows * ours + (1 - rows) * theirs) @ gathered(call.v)
    assert torch.allclose(fused(run, call), expected, atol=1e-12)


def test_a_full_mask_is_the_plain_edit_and_an_empty_one_the_source(prompts):
    call, source = a_call(SELF), source_attention()
    full = a_run(Fusion(blend_words=("jeep",), threshold=0), prompts, TARGET)
    full.prepare(a_step())
    assert torch.equal(fused(full, call), evaluate(call.plain()))
    empty = a_run(Fusion(blend_words=("jeep",), threshold=2), prompts, TARGET)
    empty.prepare(a_step())
    theirs = dense(source.queries[SELF.name], gathered(source.keys[SELF.name]))
    assert torch.allclose(fused(empty, call), theirs @ gathered(call.v), atol=1e-12)


# Cross-attention


def blended_maps(
    theirs: torch.Tensor, ours: torch.Tensor, source: Tokens, target: Tokens, settings: Fusion
) -> torch.Tensor:
    """The edited maps, column by column, as the papers write them."""
    if settings.method == "replace":
        matrix = replace_matrix([w.tokens for w in source.words], [w.tokens for w in target.words])
        blended = theirs @ matrix.double()
    elif settings.method == "refine":
        mapper, alphas = align_tokens(source.ids, target.ids)
        blended = torch.stack(
            [
                alphas[n] * theirs[..., mapper[n]] + (1 - alphas[n]) * ours[..., n]
                for n in range(77)
            ],
            dim=-1,
        )
    else:
        blended = ours.clone()
    for word, factor in settings.weights:
        tokens = [t for w in target.words if w.text.lower() == word for t in w.tokens]
        blended[..., tokens] *= factor
    return blended


@pytest.mark.parametrize(
    ("settings", "target"),
    [
        (Fusion("refine"), TARGET),
        (Fusion("refine", weights=(("watercolor", 10.0), ("jeep", 0.0))), TARGET),
        (Fusion("replace"), SWAPPED),
        (Fusion("replace", weights=(("shiba-inu", 3.0),)), SWAPPED),
        (Fusion("reweight", weights=(("painting", 2.0),)), TARGET),
    ],
    ids=["refine", "refine-weights", "replace", "replace-weights", "reweight"],
)
def test_cross_attention_is_that_of_the_blended_maps(prompts, settings: Fusion, target: str):
    run = a_run(settings, prompts, target)
    run.prepare(a_step())
    call, source = a_call(CROSS), source_attention()
    theirs = dense(source.queries[CROSS.name], source.keys[CROSS.name].expand(FRAMES, -1, -1, -1))
    before, after = (prompts[text].tokens for text in (SOURCE, target))
    maps = blended_maps(theirs, dense(call.q, call.k), before, after, settings)
    assert torch.allclose(fused(run, call), maps @ call.v, atol=1e-12)


REFINED = [0, None, None, None, *range(1, 9)]
"""Where each token of `TARGET` is in `SOURCE`."""
SPREAD = {0: 0, 1: 1, 4: 8, 5: 9, 6: 10, 7: 11, 8: 12}
"""Where each token of `SOURCE` is in `SWAPPED`, but for "silver" and "jeep"."""


def column_sums(method: str, theirs: int, length: int) -> list[list[tuple[int, float]] | None]:
    """Of each target column the source columns, with their shares, or None for the edit's own."""
    if method == "refine":
        mapped = [*REFINED, *range(len(REFINED), length)]
        return [None if n is None or n >= theirs else [(n, 1.0)] for n in mapped]
    columns: list[list[tuple[int, float]]] = [[] for _ in range(length)]
    for row in range(theirs):
        if row in (2, 3):
            places, shares = ([2], 1.0) if row == 2 else ([3, 4, 5, 6, 7], 0.2)
        else:
            places, shares = [min(SPREAD.get(row, row + 4), length - 1)], 1.0
        for place in places:
            columns[place].append((row, shares))
    return [found if found or n < theirs else None for n, found in enumerate(columns)]


@pytest.mark.parametrize("lengths", [(14, 30), (30, 14), (16, 17), (77, 154), (154, 77)])
@pytest.mark.parametrize(("method", "target"), [("refine", TARGET), ("replace", SWAPPED)])
def test_prompts_may_be_encoded_to_different_lengths(prompts, method, target, lengths):
    """Column by column, in loops. lengths: of the source and of the target."""
    theirs, length = lengths
    pairs = {SOURCE: theirs, target: length}
    sized = {t: replace(prompts[t], states={"tokens": torch.zeros(n, 4)}) for t, n in pairs.items()}
    run = a_run(Fusion(method), sized, target)
    q_s, k_s = random(FRAMES, HEADS, 3, WIDTH, seed=2), random(1, HEADS, theirs, WIDTH, seed=4)
    run.prepare(a_step(source=SourceAttention({CROSS.name: q_s}, {CROSS.name: k_s})))
    q = random(FRAMES, HEADS, 3, WIDTH, seed=5)
    k, v = (random(1, HEADS, length, WIDTH, seed=s).expand(FRAMES, -1, -1, -1) for s in (6, 7))
    call = Call(CROSS, "target", (1, 3), q, k, v)
    source_maps, own_maps = dense(q_s, k_s.expand(FRAMES, -1, -1, -1)), dense(q, k)
    expected = torch.zeros_like(q)
    for n, column in enumerate(column_sums(method, theirs, length)):
        for row, share in column or []:
            expected += share * source_maps[..., row, None] * v[..., n, None, :]
        if column is None:
            expected += own_maps[..., n, None] * v[..., n, None, :]
    assert torch.allclose(fused(run, call), expected, atol=1e-12)


def test_the_unconditional_branch_and_other_layers_are_left_alone(prompts):
    run = a_run(Fusion(), prompts, TARGET)
    run.prepare(a_step())
    for call in (a_call(SELF, "negative"), a_call(CROSS, "source")):
        terms = call.plain()
        assert run.attend(call, terms) is terms
    fine = replace(a_call(SELF), site=Site("fine", "self", 4, 2))
    terms = fine.plain()
    assert run.attend(fine, terms) is terms


def test_terms_of_earlier_controls_are_kept_inside_the_mask(prompts):
    """Another control's gate multiplies; it is not overwritten."""
    run = a_run(Fusion(blend_words=("jeep",), threshold=0), prompts, TARGET)
    run.prepare(a_step())
    call = a_call(SELF)
    halved = tuple(replace(term, gate=torch.tensor(0.5).double()) for term in call.plain())
    assert torch.allclose(evaluate(run.attend(call, halved)), 0.5 * evaluate(call.plain()))


# Windows


@pytest.mark.parametrize(
    ("share", "steps", "cross", "own"),
    [(0.8, 50, 40, 40), (0.7, 50, 35, 35), (0.5, 50, 25, 25), (1.0, 50, 51, 50), (0.8, 8, 7, 6)],
)
def test_windows_are_the_published_ones(share: float, steps: int, cross: int, own: int):
    assert published_steps(Fusion(cross_steps=share, self_steps=share), steps) == (cross, own)


def test_controls_end_with_their_windows_and_ask_for_no_more(prompts):
    settings = Fusion(cross_steps=0.5, self_steps=0.3, blend_words=("jeep",))
    run = a_run(settings, prompts, TARGET, steps=10)  # int(.5 * 11) = 5, int(.3 * 10) = 3
    changed: dict[Site, list[int]] = {SELF: [], CROSS: []}
    for index in range(10):
        sites = run.source_sites(index)
        run.prepare(a_step(index))
        for site, steps in changed.items():
            call = a_call(site)
            terms: Terms = call.plain()
            if run.attend(call, terms) is not terms:
                steps.append(index)
                assert site in sites
        run.settle(random(FRAMES, 4, ROWS, COLUMNS), a_step(index))
        assert bool(sites) == (index < 5)
    assert changed == {SELF: [0, 1, 2], CROSS: [0, 1, 2, 3, 4]}


def test_reweighting_alone_asks_for_no_source(prompts):
    run = a_run(Fusion("reweight", self_steps=0), prompts, TARGET)
    assert all(not run.source_sites(step) for step in range(4))


# Masks


def peaked(size: int = 16, frames: int = 1) -> torch.Tensor:
    maps = torch.full((2, frames, size, size), 0.2)
    maps[:, :, 5, 5] = 1.0
    return maps


def test_a_peak_is_spread_to_the_known_counts():
    sizes = [(8, 8), (16, 16), (32, 32), (64, 64)]
    masks = blend_mask(peaked(), sizes, 0.3)
    assert [int(masks[size].sum()) for size in sizes] == [4, 9, 36, 144]
    assert all(masks[size].shape == (1, *size) for size in sizes)
    assert masks[8, 8][0].nonzero().tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]
    assert masks[16, 16][0].nonzero().min(0).values.tolist() == [4, 4]
    assert masks[16, 16][0].nonzero().max(0).values.tolist() == [6, 6]


@pytest.mark.parametrize(("threshold", "share"), [(2, 0.0), (0, 1.0), (0.1, 1.0), (1.0, 0.0)])
def test_thresholds_reach_from_all_to_nothing(threshold: float, share: float):
    masks = blend_mask(peaked(), [(8, 8), (16, 16), (64, 64)], threshold)
    assert {float(mask.mean()) for mask in masks.values()} == {share}


def test_each_frame_is_measured_against_its_own_maximum():
    maps = peaked(frames=2)
    maps[:, 1] *= 0.01
    masks = blend_mask(maps, [(16, 16)], 0.3)[16, 16]
    assert torch.equal(masks[0], masks[1])


def test_layers_and_heads_are_averaged_before_the_threshold():
    maps = torch.zeros(2, 1, 4, 4)
    maps[0, 0, 0, 0], maps[1, 0, 0, 0], maps[1, 0, 3, 3] = 1.0, 1.0, 0.5
    mask = blend_mask(maps, [(4, 4)], 0.3)[4, 4][0]
    assert mask.sum() == 4  # 0.25 of the peak at the far corner is below
    assert blend_mask(maps, [(4, 4)], 0.2)[4, 4][0].sum() == 8


def reference_mask(maps: torch.Tensor, size: tuple[int, int], threshold: float) -> torch.Tensor:
    """The mask by loops over pixels."""
    frames, height, width = maps.shape[1:]
    out = torch.zeros(frames, *size)
    for frame in range(frames):
        mean = maps[:, frame].mean(0)
        for row in range(size[0]):
            for column in range(size[1]):
                i, j = row * height // size[0], column * width // size[1]
                near = mean[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
                out[frame, row, column] = near.max()
        out[frame] /= out[frame].max()
    return (out > threshold).float()


@settings(max_examples=30, deadline=None)
@given(
    st.integers(2, 5),
    st.integers(2, 7),
    st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2)]),
    st.floats(0.05, 0.95),
    st.integers(0, 99),
)
def test_masks_of_any_shape_are_those_of_the_loops(half_h, half_w, scale, threshold, seed):
    maps = random(3, 2, half_h * 2, half_w * 2, seed=seed).abs().float()
    size = (half_h * scale[0], half_w * scale[1] * 2)
    mask = blend_mask(maps, [size], threshold)[size]
    assert torch.equal(mask, reference_mask(maps, size, threshold))


# Latent blend


def test_latents_outside_the_mask_are_the_source_at_the_same_noise_level(prompts):
    settings = Fusion(blend_words=("jeep",), latent_blend=True, threshold=0.6)
    run = a_run(settings, prompts, TARGET, steps=10)
    latents = random(FRAMES, 4, ROWS, COLUMNS, seed=11)
    blended = []
    for index in range(10):
        step = a_step(index)
        run.prepare(step)
        out = run.settle(latents, step)
        if out is latents:
            continue
        blended.append(index)
        kept, edited = (out == step.arrival).all(1), (out - latents).abs().amax(1) < 1e-12
        assert (kept | edited).all() and kept.any() and edited.any()
    assert blended == [2, 3, 4, 5, 6, 7]


def test_a_latent_blend_reaches_beyond_the_other_windows(prompts):
    settings = Fusion("reweight", 0.0, 0.0, ("jeep",), latent_blend=True)
    run = a_run(settings, prompts, TARGET, steps=10)
    assert [bool(run.source_sites(step)) for step in range(10)] == [2 <= s < 8 for s in range(10)]
    assert run.source_sites(5) == {CROSS}


def test_without_self_blend_the_mask_is_for_the_latents_alone(prompts):
    settings = Fusion("refine", 0.5, 1.0, ("jeep",), self_blend=False, latent_blend=True)
    run = a_run(settings, prompts, TARGET, steps=10)
    plain = a_run(replace(settings, blend_words=(), latent_blend=False), prompts, TARGET, steps=10)
    for index in range(10):
        asked = set(run.source_sites(index))
        assert asked >= set(plain.source_sites(index))
        assert (CROSS in asked) == (index < 8)  # the words' windows end at 5, the blend's at 8
        call = a_call(SELF)
        for each in (run, plain):
            each.prepare(a_step(index))
        assert torch.equal(fused(run, call), fused(plain, call))
        latents = random(FRAMES, 4, ROWS, COLUMNS, seed=index)
        assert (run.settle(latents, a_step(index)) is latents) == (index not in range(2, 8))


# The target's words


GROWN = Fusion("refine", 1.0, 1.0, ("jeep",), 0.5, latent_blend=True, blend_window=WHOLE)
PAINTED = (1, 2)  # "watercolor painting" in the target


def edits_call(index: int) -> Call:
    """The edit's cross-attention at one step."""
    q = random(FRAMES, HEADS, TOKENS, WIDTH, seed=20 + index)
    return replace(a_call(CROSS), q=q)


def looked_at(q: torch.Tensor, k: torch.Tensor, tokens: Sequence[int]) -> torch.Tensor:
    """(f, h, w): attention to some tokens summed over them and over the heads, pixel by pixel."""
    found = torch.zeros(FRAMES, ROWS, COLUMNS, dtype=torch.float64)
    for frame in range(FRAMES):
        for head in range(HEADS):
            keys = k[frame if len(k) > 1 else 0, head]
            for row in range(ROWS):
                for column in range(COLUMNS):
                    logits = keys @ q[frame, head, row * COLUMNS + column] / WIDTH**0.5
                    found[frame, row, column] += torch.softmax(logits, 0)[list(tokens)].sum()
    return found


def union(source: SourceAttention, steps: Sequence[int], threshold: float) -> torch.Tensor:
    """Where the source looks at "jeep" now, or the edit has looked at its words in these steps."""
    theirs = looked_at(source.queries[CROSS.name], source.keys[CROSS.name], [3])
    ours = torch.zeros_like(theirs)
    for index in steps:
        call = edits_call(index)
        ours += looked_at(call.q, call.k, PAINTED)
    size = (ROWS, COLUMNS)
    either = [reference_mask(maps[None], size, threshold) for maps in (theirs, ours)]
    return torch.maximum(*either)


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9])
def test_the_latent_blend_takes_the_union_of_both_prompts_words(prompts, threshold: float):
    settings = replace(GROWN, threshold=threshold, target_blend_words=("watercolor painting",))
    run = a_run(settings, prompts, TARGET)
    alone = a_run(replace(settings, target_blend_words=()), prompts, TARGET)
    grew = False
    for index in range(4):
        step, latents = a_step(index), random(FRAMES, 4, ROWS, COLUMNS, seed=40 + index)
        for each in (run, alone):
            each.prepare(step)
            call = edits_call(index)
            each.attend(call, call.plain())
        mask = union(step.source, range(index + 1), threshold).double()[:, None]
        grew |= bool((mask > union(step.source, (), threshold)[:, None]).any())
        expected = step.arrival + mask * (latents - step.arrival)
        assert torch.allclose(run.settle(latents, step), expected, atol=1e-12)
        mask = union(step.source, (), threshold).double()[:, None]
        expected = step.arrival + mask * (latents - step.arrival)
        assert torch.allclose(alone.settle(latents, step), expected, atol=1e-12)
    assert grew


def test_words_that_the_source_lacks_may_be_added_by_the_targets_alone(prompts):
    words = ("watercolor painting",)
    settings = replace(GROWN, blend_words=(), target_blend_words=words, threshold=0.7)
    run, step = a_run(settings, prompts, TARGET), a_step()
    assert CROSS not in a_run(replace(settings, cross_steps=0), prompts, TARGET).source_sites(0)
    run.prepare(step)
    call = edits_call(0)
    run.attend(call, call.plain())
    maps = looked_at(call.q, call.k, PAINTED)
    mask = reference_mask(maps[None], (ROWS, COLUMNS), 0.7).double()[:, None]
    latents = random(FRAMES, 4, ROWS, COLUMNS, seed=40)
    expected = step.arrival + mask * (latents - step.arrival)
    assert 0 < mask.mean() < 1
    assert torch.allclose(run.settle(latents, step), expected, atol=1e-12)


def test_a_step_that_is_taken_again_counts_once(prompts):
    """As it was taken last: IRJS repeats steps."""
    settings = replace(GROWN, threshold=0.7, target_blend_words=("watercolor painting",))
    run, step = a_run(settings, prompts, TARGET), a_step(1)
    for index, seen in ((0, 0), (1, 2), (1, 3), (1, 1)):
        run.prepare(a_step(index))
        call = edits_call(seen)
        run.attend(call, call.plain())
    latents = random(FRAMES, 4, ROWS, COLUMNS, seed=40)
    mask = union(step.source, (0, 1), 0.7).double()[:, None]
    expected = step.arrival + mask * (latents - step.arrival)
    assert torch.allclose(run.settle(latents, step), expected, atol=1e-12)


def test_the_targets_words_are_for_the_latents_alone(prompts):
    """And only the edit's own branch counts."""
    settings = replace(GROWN, threshold=0.7)
    words = a_run(replace(settings, target_blend_words=("painting",)), prompts, TARGET)
    plain = a_run(settings, prompts, TARGET)
    for run in (words, plain):
        run.prepare(a_step())
    negative = replace(edits_call(0), branch="negative")
    words.attend(negative, negative.plain())
    for site in (SELF, CROSS):
        call = a_call(site)
        assert torch.equal(fused(words, call), fused(plain, call))
    fresh = a_run(replace(settings, target_blend_words=("painting",)), prompts, TARGET)
    fresh.prepare(a_step())
    fresh.attend(negative, negative.plain())
    latents = random(FRAMES, 4, ROWS, COLUMNS, seed=40)
    assert torch.equal(fresh.settle(latents, a_step()), plain.settle(latents, a_step()))


def test_an_object_may_grow_inside_a_model(model, clip):
    inversion = invert(model, clip, SOURCE, steps=3, store="recompute")
    words = replace(GROWN, target_blend_words=("watercolor",))
    latents = {
        name: edit(model, inversion, TARGET, controls=[settings], guidance_scale=2)
        for name, settings in (("source", GROWN), ("union", words))
    }
    kept = {
        name: (found == inversion.trajectory[0]).all(1).float().mean()
        for name, found in latents.items()
    }
    assert 0 < kept["union"] < kept["source"]


# Inside a model


@pytest.mark.parametrize(
    "controls",
    [
        Fusion("refine", 1.0, 1.0),
        Fusion("replace", 1.0, 1.0),
        Fusion("refine", 1.0, 1.0, ("jeep",), threshold=0.5),
        Fusion("refine", 1.0, 1.0, ("jeep",), threshold=0),
        Fusion("refine", 1.0, 1.0, ("jeep",), threshold=2),
    ],
    ids=["refine", "replace", "mask", "all-edit", "all-source"],
)
def test_injecting_what_was_recorded_at_the_same_point_changes_nothing(
    model, clip, controls: Fusion
):
    inversion = invert(model, clip, SOURCE, steps=2, store="recompute")
    run = controls.begin(Edit(model, inversion, inversion.prompt))
    prompt, table = inversion.prompt, inversion.keyframe_table()
    levels = inversion.levels(model.schedule)
    source = RecomputedAttention(
        model, lambda step: inversion.trajectory[1 - step], prompt, levels, table
    )
    latents = inversion.trajectory[1]
    step = Step(
        0,
        levels[0],
        levels[1],
        source.at(0, kept_sites(model.denoiser.sites, model.denoiser.layout)),
        latents,
    )
    run.prepare(step)
    with torch.no_grad():
        plain = model.denoiser.predict(latents, levels[0], {"target": prompt}, table)["target"]
        controlled = model.denoiser.predict(
            latents, levels[0], {"target": prompt}, table, run.attend
        )["target"]
    assert torch.allclose(controlled, plain, atol=1e-5 * plain.abs().max())


@pytest.mark.parametrize("layers", ["all", "quarter"])
def test_injection_changes_nothing_whichever_layers_look_at_key_frames(clip, layers: str):
    """Finer and coarser than the layers that take the source's attention."""
    model = tiny(native=512)
    names = ("-1", "first")
    inversion = invert(
        model, clip, SOURCE, steps=2, keyframes=names, store="recompute", layers=layers
    )
    run = Fusion("refine", 1.0, 1.0).begin(Edit(model, inversion, inversion.prompt))
    latents, levels = inversion.trajectory[1], inversion.levels(model.schedule)
    source = inversion.source_attention(model).at(
        0, kept_sites(model.denoiser.sites, model.denoiser.layout)
    )
    run.prepare(Step(0, levels[0], levels[1], source, latents))
    branch, table = {"target": inversion.prompt}, inversion.keyframe_table()
    with torch.no_grad():
        plain = model.denoiser.predict(latents, levels[0], branch, table)["target"]
        controlled = model.denoiser.predict(latents, levels[0], branch, table, run.attend)["target"]
    assert torch.allclose(controlled, plain, atol=1e-5 * float(plain.abs().max()))


def test_the_unconditional_prediction_is_bit_equal_with_and_without_control(model, clip):
    inversion = invert(model, clip, SOURCE, steps=2, store="resident")
    target = model.text.encode(TARGET)
    settings = Fusion(blend_words=("jeep",), weights=(("watercolor", 10.0),))
    run = settings.begin(Edit(model, inversion, target))
    sites = kept_sites(model.denoiser.sites, model.denoiser.layout)
    source = inversion.source_attention(model).at(0, sites)
    latents, levels = inversion.trajectory[2], inversion.levels(model.schedule)
    run.prepare(Step(0, levels[0], levels[1], source, latents))
    branches = {
        "negative": model.text.encode(""),
        "target": target,
    }
    table = inversion.keyframe_table()
    with torch.no_grad():
        plain = model.denoiser.predict(latents, levels[0], branches, table)
        controlled = model.denoiser.predict(latents, levels[0], branches, table, run.attend)
    assert torch.equal(plain["negative"], controlled["negative"])
    difference = (plain["target"] - controlled["target"]).abs().max()
    assert difference > 0.01 * plain["target"].abs().max()


# Bad input


def refused(begin: Callable[[], object]) -> str:
    with pytest.raises(EvenframeError) as caught:
        begin()
    return str(caught.value).splitlines()[0]


@pytest.mark.parametrize(
    ("settings", "starts"),
    [
        ({"method": "swap"}, "fusion method 'swap' is unknown: use refine, replace, reweight"),
        ({"cross_steps": 1.2}, "cross_steps is 1.2: choose a value from 0 to 1"),
        ({"self_steps": -0.1}, "self_steps is -0.1: choose a value from 0 to 1"),
        ({"threshold": -1}, "threshold is -1: choose a value from 0 to 2"),
        ({"threshold": float("nan")}, "threshold is nan: choose"),
        ({"threshold": "0.3"}, "threshold is '0.3': choose a value from 0 to 2"),
        ({"weights": (("jeep", -2.0),)}, "the weight of 'jeep' is -2.0: choose a value from 0"),
        ({"latent_blend": True}, "latent_blend is on, but there are no blend words"),
        (
            {"target_blend_words": ("jeep",)},
            "The target blend words 'jeep' would do nothing, because latent_blend is off",
        ),
        (
            {"blend_words": ("jeep",), "self_blend": False},
            "The blend words 'jeep' would do nothing, because self_blend and latent_blend are off",
        ),
    ],
)
def test_settings_out_of_range_are_refused_where_they_are_made(settings, starts: str):
    assert refused(lambda: Fusion(**settings)).startswith(starts)


@pytest.mark.parametrize(
    ("settings", "starts"),
    [
        (Fusion(weights=(("car", 2.0),)), f"The word 'car' is not in the prompt '{TARGET}'"),
        (Fusion(blend_words=("painting",)), f"The word 'painting' is not in the prompt '{SOURCE}'"),
        (
            Fusion(latent_blend=True, target_blend_words=("car",)),
            f"The word 'car' is not in the prompt '{TARGET}'",
        ),
        (Fusion("replace"), "Replace needs prompts of equally many words, but the source has 7"),
    ],
)
def test_words_that_do_not_fit_the_prompts_say_so(prompts, settings: Fusion, starts: str):
    assert refused(lambda: a_run(settings, prompts, TARGET)).startswith(starts)


def test_a_blend_word_that_two_phrases_name_counts_once(prompts):
    words: Sequence[tuple[str, ...]] = [("silver jeep",), ("silver jeep", "jeep", "Jeep")]
    masks = []
    for blend in words:
        run = a_run(Fusion(blend_words=blend, threshold=0.5), prompts, TARGET)
        run.prepare(a_step())
        masks.append(fused(run, a_call(SELF)))
    assert torch.equal(*masks)
