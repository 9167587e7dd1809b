"""FAME's formulas against the specified values and slow loops in double precision."""

import math
from typing import Any

import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.fame import formulas as fame

IDS = torch.tensor([0, 1, 1, 0, 1, 1, 0, 0])  # two frames of four pixels
FRAMES = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
ROW = torch.tensor([[2.0, 1.0, 0.0, -1.0]], dtype=torch.float64)
NEVER, NAN = math.inf, math.nan
CLOSE = {"atol": 5e-5, "rtol": 0}


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def modulated(regions: list[int], similar: torch.Tensor, a: float, same: float, other: float):
    keys = torch.tensor(regions)
    return reference.modulate_self_logits(
        ROW, torch.ones(1), keys, 0, torch.zeros(4), similar, a, same, other, NEVER
    )


# Self-attention


def test_background_is_neutral_to_itself_and_different_from_a_subject():
    logits = random(8, 8)
    only_same = reference.modulate_self_logits(logits, IDS, IDS, 0, 0, None, 1, 1, 0, NEVER)
    only_other = reference.modulate_self_logits(logits, IDS, IDS, 0, 0, None, 1, 0, 1, NEVER)
    largest, smallest = logits.amax(-1, keepdim=True), logits.amin(-1, keepdim=True)
    raised = torch.isclose(only_same, largest) & (only_same >= logits)
    lowered = torch.isclose(only_other, smallest) & (only_other <= logits)
    subject = (IDS[:, None] == 1) & (IDS[None, :] == 1)
    crossing = IDS[:, None] != IDS[None, :]
    assert (int(subject.sum()), int(crossing.sum())) == (16, 32)
    assert (raised[subject]).all() and torch.equal(only_same[~subject], logits[~subject])
    assert (lowered[crossing]).all() and torch.equal(only_other[~crossing], logits[~crossing])
    for row in (1, 2, 4, 5):
        assert subject[row].int().tolist() == [0, 1, 1, 0, 1, 1, 0, 0]


def test_the_decay_over_frames_is_the_specified_one():
    decay = fame.frame_weights(torch.arange(5.0), 4)
    assert torch.allclose(decay, torch.tensor([1, 0.7788, 0.6065, 0.4724, 0.3679]), **CLOSE)
    assert torch.equal(fame.frame_weights(torch.arange(5.0), NEVER), torch.ones(5))
    assert torch.equal(fame.frame_weights(torch.tensor([-2.0]), 4), decay[2:3])


def test_the_similarity_is_the_specified_one():
    similar = fame.similarity(torch.tensor([1.0, 0.9, 0.5]), 0.1)
    assert torch.allclose(similar, torch.tensor([1, 0.3679, 0.00674]), **CLOSE)


def test_the_schedule_is_the_published_one():
    rho = [fame.schedule_weight("power", t, step, 50) for step, t in enumerate(range(981, 0, -20))]
    assert [round(rho[step], 4) for step in (0, 1, 14)] == [0.9039, 0.8154, 0.1681]
    assert rho[15:] == [0.0] * 35
    assert fame.schedule_weight("power", 1, 0, 50) == 0
    assert fame.schedule_weight("constant", 1, 49, 50) == 1


def test_a_row_of_the_specification():
    out = modulated([1, 1, 0, 0], numbers(1, 1, 0, 0), 0.5, 0.6, 0.4)
    assert torch.allclose(out, numbers(2, 1.3, -0.2, -1), atol=1e-12)
    expected = numbers(0.6034, 0.2997, 0.0669, 0.0300)
    assert torch.allclose(torch.softmax(out, -1), expected, **CLOSE)
    full = modulated([1, 1, 0, 0], numbers(1, 1, 0, 0), 1, 1, 1)
    assert torch.allclose(full, numbers(2, 2, -1, -1), atol=1e-12)


def test_regions_alone_decide_where_there_is_no_similarity():
    out = reference.modulate_self_logits(
        ROW, torch.ones(1), torch.tensor([1, 1, 0, 0]), 0, 0, None, 0.5, 0.6, 0.4, NEVER
    )
    assert torch.allclose(out, numbers(2, 1.3, -0.2, -1), atol=1e-12)


def test_a_row_with_similarity_and_a_key_one_frame_away():
    out = reference.modulate_self_logits(
        ROW,
        torch.tensor([1]),
        torch.tensor([1, 0, 1, 0]),
        torch.tensor([0]),
        torch.tensor([0, 0, 1, 0]),
        numbers(1, 0.2, 0.5, 0),
        0.5,
        0.6,
        0.4,
        4.0,
    )
    assert torch.allclose(out, numbers(2, 0.68, 0.2336, -1), **CLOSE)
    expected = numbers(0.6721, 0.1795, 0.1149, 0.0335)
    assert torch.allclose(torch.softmax(out, -1), expected, **CLOSE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("form", [reference.modulate_self_logits, reference.add_to_self_logits])
def test_neutral_settings_change_no_bit(form, dtype: torch.dtype):
    logits = random(2, 8, 8).to(dtype)
    rest = (IDS, IDS, FRAMES, FRAMES, None)
    assert torch.equal(form(logits, *rest, 0, 0.6, 0.4, 4.0), logits)
    assert torch.equal(form(logits, *rest, 0.5, 0.6, 0.4, 4.0, schedule=0), logits)
    out = form(logits, *rest, 0.5, 0.6, 0.4, 4.0)
    assert out.dtype == dtype and not torch.equal(out, logits)
    assert torch.allclose(torch.softmax(out.double(), -1).sum(-1), torch.ones(2, 8).double())


def loops(logits, ids, frames, similar, a, same, other, tau, rho, additive: float | None):
    """Each pair by itself, as the formula is written."""
    out = logits.clone()
    for i in range(len(ids)):
        largest, smallest = float(logits[i].max()), float(logits[i].min())
        for j in range(len(ids)):
            value = float(logits[i, j])
            up = largest - value if additive is None else additive
            down = value - smallest if additive is None else additive
            s = float(similar[i, j])
            change = 0.0
            if ids[i] == ids[j] and ids[i] != 0:
                change = same * math.exp(-abs(int(frames[i] - frames[j])) / tau) * s * up
            elif ids[i] != ids[j]:
                change = -other * (1 - s) * down
            out[i, j] = value + a * rho * change
    return out


@given(
    st.integers(0, 99),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0.2, 20),
    st.floats(0, 1),
)
def test_self_modulation_is_that_of_the_loops(seed, a, same, other, tau, rho):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 3, (8,), generator=generator)
    similar = torch.rand(8, 8, generator=generator, dtype=torch.float64)
    logits = random(8, 8, seed=seed)
    arguments = (ids, ids, FRAMES, FRAMES, similar, a, same, other, tau, rho)
    relative = loops(logits, ids, FRAMES, similar, a, same, other, tau, rho, None)
    assert torch.allclose(reference.modulate_self_logits(logits, *arguments), relative, atol=1e-12)
    additive = loops(logits, ids, FRAMES, similar, a, same, other, tau, rho, 4.0)
    assert torch.allclose(reference.add_to_self_logits(logits, *arguments), additive, atol=1e-12)


@pytest.mark.parametrize("form", [reference.modulate_self_logits, reference.add_to_self_logits])
def test_ids_that_skip_are_ids(form):
    ids, logits = torch.tensor([0, 1, 2, 2, 1, 0, 0, 2]), random(8, 8)
    skipping = torch.where(ids == 2, 3, ids)
    one, two = (
        form(logits, which, which, FRAMES, FRAMES, None, 0.5, 0.6, 0.4, 4.0)
        for which in (ids, skipping)
    )
    assert torch.equal(one, two)


# Cross-attention


QUERY = numbers(3, 4)
KEYS = torch.tensor([[4, 3], [-4, 3], [0, 5]], dtype=torch.float64)


def test_the_example_of_the_specification():
    logits = QUERY @ KEYS.T / 2**0.5
    assert torch.allclose(logits, numbers(16.9706, 0, 14.1421), **CLOSE)
    assert torch.allclose(fame.likeness(QUERY, KEYS), numbers(0.96, 0, 0.8), atol=1e-12)
    out = reference.modulate_cross_logits(logits, QUERY, KEYS, [2], 0.5, 0.4, 1)
    assert torch.allclose(out, numbers(16.9706, 0, 14.5947), **CLOSE)
    before, after = numbers(0.9442, 0, 0.0558), numbers(0.9150, 0, 0.0850)
    assert torch.allclose(torch.softmax(logits, -1), before, **CLOSE)
    assert torch.allclose(torch.softmax(out, -1), after, **CLOSE)
    for off in ((0.5, 0.4, torch.zeros(1)), (0.0, 0.4, 1), (0.5, 0.0, 1)):
        assert torch.equal(reference.modulate_cross_logits(logits, QUERY, KEYS, [2], *off), logits)


def test_cross_modulation_is_that_of_the_loops():
    queries, keys, subject = random(2, 5, 4), random(2, 7, 4, seed=1), random(5).sigmoid()
    logits = queries @ keys.transpose(-1, -2) / 2
    expected = logits.clone()
    for head in range(2):
        for i in range(5):
            for j in (1, 4):
                q, k = queries[head, i], keys[head, j]
                alike = max(0.0, float(q @ k / (q.norm() * k.norm())))
                room = float(logits[head, i].max() - logits[head, i, j])
                expected[head, i, j] += 0.7 * 0.4 * alike * float(subject[i]) * room
    out = reference.modulate_cross_logits(logits, queries, keys, (1, 4), 0.7, 0.4, subject)
    assert torch.allclose(out, expected, atol=1e-12)


def test_flat_cosines_can_be_spread_over_the_pixels():
    queries = random(1, 6, 4) * 0.01 + 1  # all nearly alike
    spread = fame.likeness(queries, random(1, 3, 4, seed=1), spread=True)
    assert torch.equal(spread.amin(-2), torch.zeros(1, 3).double())
    assert torch.equal(spread.amax(-2), torch.ones(1, 3).double())
    flat = fame.likeness(torch.ones(1, 6, 4), torch.ones(1, 3, 4), spread=True)
    assert flat.isfinite().all()


# Bad input


SELF: dict[str, Any] = {
    "regions_q": IDS,
    "regions_k": IDS,
    "frames_q": FRAMES,
    "frames_k": FRAMES,
    "similarity": None,
    "strength": 0.5,
    "same": 0.6,
    "other": 0.4,
    "frame_decay": 4.0,
}
CROSS: dict[str, Any] = {
    "queries": random(8, 4),
    "keys": random(8, 4),
    "tokens": [1],
    "strength": 0.5,
    "weight": 0.4,
}


@pytest.mark.parametrize(
    ("wrong", "starts"),
    [
        ({"strength": 1.5}, "strength is 1.5: choose a value from 0 to 1"),
        ({"strength": 0, "same": NAN}, "same is nan: choose a value from 0 to 1"),
        ({"other": -0.1}, "other is -0.1: choose a value from 0 to 1"),
        ({"schedule": 2}, "schedule is 2: choose a value from 0 to 1"),
        ({"frame_decay": 0}, "frame_decay is 0: choose a number of frames above 0"),
        ({"frame_decay": NAN}, "frame_decay is nan: choose a number of frames above 0"),
        ({"regions_q": IDS[:7]}, "regions_q has the shape (7,), but there are 8 queries: give one"),
        ({"regions_k": IDS[:1]}, "regions_k has the shape (1,), but there are 8 keys: give one"),
        ({"frames_q": FRAMES[:7]}, "frames_q has the shape (7,), but there are 8 queries"),
        ({"frames_k": FRAMES[:7]}, "frames_k has the shape (7,), but there are 8 keys"),
    ],
)
@pytest.mark.parametrize("form", [reference.modulate_self_logits, reference.add_to_self_logits])
def test_self_modulation_refuses_what_means_nothing(form, wrong: dict[str, Any], starts: str):
    with pytest.raises(EvenframeError) as caught:
        form(random(8, 8), **SELF | wrong)
    assert str(caught.value).startswith(starts)


@pytest.mark.parametrize(
    ("wrong", "starts"),
    [
        ({"strength": -1}, "strength is -1: choose a value from 0 to 1"),
        ({"weight": 1.1}, "weight is 1.1: choose a value from 0 to 1"),
        ({"schedule": NAN}, "schedule is nan: choose a value from 0 to 1"),
        ({"subject": torch.ones(7)}, "subject has the shape (7,), but there are 8 queries: give"),
    ],
)
def test_cross_modulation_refuses_what_means_nothing(wrong: dict[str, Any], starts: str):
    with pytest.raises(EvenframeError) as caught:
        reference.modulate_cross_logits(random(8, 8), **CROSS | wrong)
    assert str(caught.value).startswith(starts)


@pytest.mark.parametrize("tau", [0.0, -1.0, NAN])
def test_a_similarity_needs_a_temperature(tau: float):
    with pytest.raises(EvenframeError, match=f"^tau is {tau}: choose a number above 0, or leave"):
        fame.similarity(torch.ones(3), tau)
