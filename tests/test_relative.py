"""Logits changed by their row's largest and smallest, where these are far apart."""

import pytest
import torch

from evenframe.pipelines.attention.relative import Groups, Relative
from evenframe.pipelines.attention.terms import Term, by_rows, evaluate


@pytest.mark.parametrize("down", [0.6, 1.0])
def test_a_row_all_of_whose_keys_are_pushed_away_stays_numbers(down: float):
    """As of a person whom none of the key frames shows. Logits of Stable Diffusion 2.1 do lie
    hundreds apart; the largest of them is then no measure of those that they become."""
    draw = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 2, 6, 4, generator=draw) for _ in range(3))
    groups = Groups.of(torch.tensor([[0, 0, 0, 1, 1, 1]] * 2), q.device)
    pushed = torch.zeros(2, 2, 6)
    pushed[:, 1] = down
    way = Relative(groups, torch.zeros_like(pushed), pushed)
    term = Term(q, k, v, scale=200.0, rewrite=way)
    out = evaluate((term,))
    assert out.isfinite().all()
    assert torch.allclose(out, by_rows(term, way), atol=1e-4)
