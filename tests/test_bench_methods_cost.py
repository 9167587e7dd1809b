"""What VideoGrain and TokenFlow cost, counted."""

import pytest

from evenframe.benchmarks import methods_cost


def test_videograin_costs_little_and_token_flow_saves():
    most = methods_cost.TARGETS
    assert 1 < methods_cost.videograin() <= most["methods.videograin_ratio"]
    assert 0.5 < methods_cost.token_flow() <= most["methods.token_flow_ratio"]


def test_token_flow_costs_an_edit_what_its_help_says():
    """A plain edit does not ask the source."""
    assert round(methods_cost.token_flow(source=False), 2) == 1.28
    assert methods_cost.token_flow(source=False, looks="all") == pytest.approx(1, abs=0.02)
