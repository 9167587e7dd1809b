"""What VideoGrain and TokenFlow cost, counted."""

from evenframe.benchmarks import methods_cost


def test_videograin_costs_little_and_token_flow_saves():
    most = methods_cost.TARGETS
    assert 1 < methods_cost.videograin() <= most["methods.videograin_ratio"]
    assert 0.5 < methods_cost.token_flow() <= most["methods.token_flow_ratio"]
