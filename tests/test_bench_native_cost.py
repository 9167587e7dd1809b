"""What controls cost on Wan, counted on two of its layers."""

from evenframe.benchmarks import native_cost
from evenframe.pipelines.controls.fatezero.fusion import Fusion


def test_fusion_costs_a_pass_of_the_source_and_keeps_nothing():
    model = native_cost.wan("meta", native_cost.PUBLISHED | {"num_layers": 2})
    most = native_cost.TARGETS
    for name, control in (("fusion", Fusion()), ("masks", Fusion(blend_words=("car",)))):
        assert 1.2 < native_cost.overhead(model, control) <= most[f"native.overhead_{name}"]
    assert native_cost.bytes_kept(native_cost.wan("cpu", native_cost.SMALL)) == 0


def test_words_are_looked_for_without_the_map_of_all_tokens():
    found = native_cost.word_map_bytes()
    assert all(0 < found[name] <= native_cost.TARGETS[name] for name in found), found
    assert len(found) == 2
