"""Copying one step ahead changes when records are read, never what is read."""

from collections.abc import Sequence

import pytest
import torch

from evenframe.pipelines.attention.sites import Site
from evenframe.pipelines.source.prefetch import PrefetchedAttention
from evenframe.pipelines.source.store import KeptAttention, SourceAttention, keep

FINE, COARSE = Site("fine", "self", 16, 0), Site("coarse", "self", 32, 1)
STEPS = 4


class Counting(KeptAttention):
    """Counts the copies of each step."""

    def at(self, step: int, sites: Sequence[Site]) -> SourceAttention:
        self.__dict__.setdefault("copied", []).append(step)
        return super().at(step, sites)


@pytest.fixture
def kept() -> Counting:
    records = [
        SourceAttention(
            {name: torch.full((1, 1, 2, 2), float(index)) for name in ("fine", "coarse")},
            {name: torch.full((1, 1, 2, 2), -float(index)) for name in ("fine", "coarse")},
        )
        for index in range(STEPS)
    ]
    return Counting(tuple(records), torch.device("cpu"), torch.float32)


def test_each_step_is_copied_once_and_is_its_own(kept: Counting) -> None:
    source = PrefetchedAttention(kept)
    for step in range(STEPS):
        found = source.at(step, [FINE, COARSE])
        assert found.queries["fine"].unique().item() == STEPS - 1 - step
        assert found.keys["coarse"].unique().item() == -(STEPS - 1 - step)
    assert kept.__dict__["copied"] == [0, 1, 2, 3]


def test_a_step_may_ask_for_other_sites_than_the_one_before(kept: Counting) -> None:
    source = PrefetchedAttention(kept)
    assert set(source.at(0, [FINE]).queries) == {"fine"}
    assert set(source.at(1, [FINE, COARSE]).queries) == {"fine", "coarse"}
    assert set(source.at(2, [COARSE]).queries) == {"coarse"}


def test_a_skipped_step_is_read_all_the_same(kept: Counting) -> None:
    source = PrefetchedAttention(kept)
    source.at(0, [FINE])
    assert source.at(3, [FINE]).queries["fine"].unique().item() == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_what_a_busy_gpu_reads_is_each_steps_own() -> None:
    """Copies run beside the computation; what is computed with them must not see another step's."""
    device = torch.device("cuda")
    steps, shape = 12, (8, 8, 1024, 40)
    on_gpu = [
        SourceAttention(
            {"fine": torch.full(shape, float(index), device=device, dtype=torch.float16)},
            {"fine": torch.full(shape, -float(index), device=device, dtype=torch.float16)},
        )
        for index in range(steps)
    ]
    records = tuple(keep(record, "offload") for record in on_gpu)
    for record in records:
        assert all(t.is_pinned() for t in (*record.queries.values(), *record.keys.values()))
    source = PrefetchedAttention(KeptAttention(records, device, torch.float32))
    work = torch.rand(2048, 2048, device=device)
    sums = []
    for step in range(steps):
        found = source.at(step, [FINE])
        for _ in range(20):  # keeps the GPU behind, so that frees and copies overlap it
            work = torch.tanh(work @ work)
        sums.append(found.queries["fine"].double().mean() - found.keys["fine"].double().mean())
        del found
    assert torch.stack(sums).tolist() == [2.0 * (steps - 1 - step) for step in range(steps)]
