"""Which frame of an edit shows which of its source, by times alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from evenframe.pipelines.video.film import Film, Shot
from evenframe.pipelines.video.matching import alike, matched, with_frames

UNEVEN = [k / 30 for k in range(10)] + [1 / 3 + k / 5 for k in range(10)]
"""Ten frames at 30 a second, then ten at 5: 2.33 seconds."""


def even(rate: float, count: int) -> list[float]:
    return [k / rate for k in range(count)]


def seen(source: list[float], rate: float, count: int) -> list[int]:
    """What an editor shows that looks at the source at an even rate: its frame numbers."""
    looks = even(rate, count)
    return [max(n for n, time in enumerate(source) if time <= look + 1e-6) for look in looks]


def test_an_even_edit_of_an_uneven_source_shows_each_of_its_frames():
    shows = seen(UNEVEN, 30, 70)
    numbers = matched(UNEVEN, even(30, 70), 70 / 30)
    assert [shows[number] for number in numbers] == list(range(20))
    assert not alike(UNEVEN, even(30, 70))


@pytest.mark.parametrize("rate", [24, 25, 29.97, 50, 60])
def test_an_edit_of_a_higher_rate_shows_every_frame(rate: float):
    source, count = even(12, 24), round(2 * rate)
    shows = seen(source, rate, count)
    numbers = matched(source, even(rate, count), count / rate)
    assert [shows[number] for number in numbers] == list(range(24))
    assert not alike(source, even(rate, count))


def test_an_edit_of_a_lower_rate_stands_until_its_next_frame():
    numbers = matched(even(12, 12), even(6, 6), 1)
    assert numbers == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_what_comes_after_the_edit_has_none():
    assert matched(even(12, 12), even(24, 12), 0.5) == [0, 2, 4, 6, 8, 10]
    assert matched(even(12, 3), [0.0], 0.01) == [0]


def test_times_that_containers_round_are_the_same():
    rounded = [round(time, 2) for time in even(30, 90)]
    assert alike(even(30, 90), rounded)
    assert matched(even(30, 90), rounded, 3) == list(range(90))


@pytest.mark.parametrize(
    ("source", "edited", "by_number"),
    [
        (even(30, 90), even(30, 40), True),
        (even(30, 90), even(30000 / 1001, 90), True),
        (even(12, 12), even(6, 6), False),
        (UNEVEN, UNEVEN, True),
        # Played evenly at the mean rate, by a program that knows no times; and looked at evenly.
        (UNEVEN, even(19 / UNEVEN[-1], 20), True),
        (UNEVEN, even(19 / UNEVEN[-1], 21), False),
        # Over a minute, rates that differ by half a per cent are nine frames apart.
        (even(30, 1800), even(30.15, 1809), False),
        ([0.0], [0.0], True),
    ],
)
def test_frames_belong_together_by_number_where_that_is_the_same(
    source: list[float], edited: list[float], by_number: bool
):
    assert alike(source, edited) is by_number


def test_a_film_repeats_and_leaves_out():
    def shots():
        return (Shot(np.full((1, 1, 3), k, np.uint8), Fraction(k, 6)) for k in range(5))

    film = with_frames(Film((1, 1), Fraction(6), shots, Fraction(1, 6)), [0, 0, 1, 4], Fraction(3))
    assert [(int(s.pixels[0, 0, 0]), s.time * 3) for s in film.shots()] == [
        *((0, 0), (0, 1), (1, 2), (4, 3)),
    ]
    assert film.expected == 4 and film.frame_rate == 3
