"""What is done once and no more, and the same to the bit as if it were done again."""

from __future__ import annotations

import torch

from evenframe.benchmarks import once
from evenframe.pipelines.attention import keyframes
from evenframe.pipelines.attention.sites import Site
from evenframe.pipelines.attention.terms import Call, evaluate, gather_keyframes
from evenframe.pipelines.source.held import HeldAttention
from evenframe.pipelines.source.store import SourceAttention


def test_nothing_is_done_more_than_once():
    figures = once.run()
    assert figures.keys() == once.TARGETS.keys()
    for key, value in figures.items():
        assert 0 < value <= once.TARGETS[key], key


def test_shared_key_frames_give_the_same_to_the_bit():
    """One copy for all frames in the place of one for each."""
    frames, heads, tokens, width = 4, 2, 6, 8
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(frames, heads, tokens, width, generator=generator) for _ in range(3))
    for names in ("all", "mid", "first, last"):
        table = keyframes.table(keyframes.parse(names), frames)
        assert table is not None and len(table.frames) == frames and len(table.rows) == 1
        assert torch.equal(gather_keyframes(k, table.rows), gather_keyframes(k, table.frames))
        site = Site("s", "self", 16, 0)
        outputs = [
            evaluate(Call(site, "target", (2, 3), q, k, v, which).plain())
            for which in (table.rows, table.frames)
        ]
        assert torch.equal(*outputs)
    for names in ("own, mid", "-1, first"):
        table = keyframes.table(keyframes.parse(names), frames)
        assert table is not None and table.rows is table.frames


def test_attention_is_held_for_a_step_and_let_go_before_the_next():
    asked: list[int] = []

    class Source:
        def at(self, step: int, sites: object) -> SourceAttention:
            assert not held._held, "two steps would be held at once"
            asked.append(step)
            return SourceAttention({}, {})

    held = HeldAttention(Source())
    one, two = Site("one", "self", 16, 0), Site("two", "cross", 16, 1)
    for step, sites in (
        (0, (one,)),
        (0, (one,)),
        (0, (one, two)),
        (1, (one, two)),
        (1, (one, two)),
    ):
        held.at(step, sites)
    assert asked == [0, 0, 1]
