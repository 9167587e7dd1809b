"""Shares over a batch."""

import json

import pytest
import typed
from hypothesis import given
from hypothesis import strategies as st

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.fairness.targets import LEFT_OUT, assign, parse_shares, plan
from evenframe.pipelines.video import log_metadata

HALVES = {"female": 0.5, "male": 0.5}


@pytest.mark.parametrize("seed", range(20))
def test_ten_clips_at_halves_are_five_and_five(seed: int):
    batch = assign(HALVES, 10, seed)
    assert batch.count("female") == batch.count("male") == 5
    assert all(set(batch[start : start + 2]) == {"female", "male"} for start in range(0, 10, 2))


def test_a_seed_gives_one_assignment_and_another_seed_another():
    assert assign(HALVES, 12, 3) == assign(HALVES, 12, 3)
    assert len({assign(HALVES, 12, seed) for seed in range(20)}) > 10
    assert {assign(HALVES, 1, seed)[0] for seed in range(20)} == {"female", "male"}


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=5), st.integers(0, 40), st.integers(0, 9))
def test_counts_are_the_shares_and_so_is_every_beginning(weights, count: int, seed: int):
    total = sum(weights)
    shares = {f"a{index}": weight / total for index, weight in enumerate(weights)}
    batch = assign(shares, count, seed)
    assert len(batch) == count
    for name, share in shares.items():
        assert abs(batch.count(name) - share * count) < 1 + 1e-9
        for end in range(count + 1):
            assert abs(batch[:end].count(name) - share * end) < 1.5


def test_a_share_of_nothing_gets_nothing():
    assert set(assign({"a": 0, "b": 1}, 7, 1)) == {"b"}
    assert assign(HALVES, 0) == ()


def test_shares_that_do_not_sum_to_one_are_scaled_with_a_warning():
    with pytest.warns(UserWarning, match="^The shares sum to 4: they are scaled to 1"):
        batch = assign({"female": 1, "male": 3}, 8)
    assert batch.count("male") == 6


@pytest.mark.parametrize(
    ("shares", "count", "starts"),
    [
        ({"a": -0.5, "b": 1.5}, 3, "The share of 'a' is -0.5: choose a number from 0 to 1."),
        ({"a": float("nan")}, 3, "The share of 'a' is nan"),
        ({"a": 1e308, "b": 1e308}, 3, "The share of 'a' is 1e+308: choose a number from 0 to 1."),
        ({str(index): 1.0 for index in range(51)}, 3, "There are 51 shares: give a batch at most"),
        ({"a": 0.0}, 3, "All shares are 0"),
        ({}, 3, "The shares are empty"),
        (HALVES, -1, "count is -1: choose a whole number from 0 to 100000"),
        (HALVES, 10**12, "count is 1000000000000: choose a whole number from 0 to 100000"),
    ],
)
def test_shares_that_mean_nothing_are_refused(shares, count: int, starts: str):
    with pytest.raises(EvenframeError) as caught:
        assign(shares, count)
    assert str(caught.value).startswith(starts)


def test_shares_are_read_from_text():
    assert parse_shares("female: 0.5, an older person: .5") == {
        "female": 0.5,
        "an older person": 0.5,
    }
    for text in ("female", "female: half", ": 0.5", "a: nan", "a: " + "9" * 5000, "a: 0,5"):
        with pytest.raises(EvenframeError, match="cannot be read: write 'attribute: share'"):
            parse_shares(text)
    for text in ("a: .5, a: .5", "A: .5, a: .5", "\u00e4: .5, A\u0308: .5"):
        with pytest.raises(EvenframeError, match="^'.*' has two shares"):
            parse_shares(text)
    with pytest.raises(EvenframeError, match="has half a character after 'a: .5, '"):
        parse_shares("a: .5, \ud83d: .5")


@given(typed.listed)
@pytest.mark.filterwarnings("ignore:The shares sum to")
def test_any_shares_give_a_batch_or_are_said_to_be_wrong(text: str):
    log = typed.read_or_refused(lambda text: plan(parse_shares(text), 5).log(0), text)
    assert log is None or len(json.loads(log)["attributes"]) == 5


def test_the_log_holds_what_is_needed_to_check_a_batch():
    batch = plan(HALVES, 4, 7)
    told = json.loads(batch.log())
    assert told["counts"] == {"female": 2, "male": 2}
    assert told["seed"] == 7 and told["shares"] == told["normalised"] == HALVES
    assert "note" not in told
    assert tuple(told["attributes"]) == batch.attributes == assign(HALVES, 4, 7)
    assert batch.at(3) == batch.attributes[3]
    own = {"index": 3, "attribute": batch.attributes[3]}
    assert json.loads(batch.log(3)) == told | own
    with pytest.raises(EvenframeError, match="^index is 4: choose one from 0 to 3"):
        batch.at(4)


def test_the_log_tells_of_shares_that_were_scaled():
    with pytest.warns(UserWarning) as warned:
        told = json.loads(plan({"female": 1, "male": 3}, 4).log())
    assert told["shares"] == {"female": 1, "male": 3}
    assert told["normalised"] == {"female": 0.25, "male": 0.75}
    [warning] = warned
    assert warning.filename == __file__
    assert told["note"] == str(warning.message) == "The shares sum to 4: they are scaled to 1."


def test_the_log_of_any_batch_fits_into_a_file():
    batch = plan({"female": 0.5, "male": 0.5}, 40_000, seed=3)
    told = json.loads(batch.log(7))
    assert log_metadata(batch.log(7))
    assert "attributes" not in told and told["note"] == LEFT_OUT
    assert told["index"] == 7 and told["attribute"] == batch.at(7)
    again = assign(told["shares"], sum(told["counts"].values()), told["seed"])
    assert again == batch.attributes
    with pytest.raises(EvenframeError, match="^The shares fill .* bytes of a log"):
        plan({"x" * 100_000: 1}, 1).log()
