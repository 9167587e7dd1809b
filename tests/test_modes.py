"""Every mode of the store gives what materialised maps give; and what each of them costs."""

from dataclasses import replace

import pytest
import torch

from evenframe.benchmarks import counting
from evenframe.benchmarks.baseline import MapFusion, MapStore, map_model
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.editing import edit
from evenframe.pipelines.source.inversion import invert

SOURCE = "a silver jeep driving down a road"
REFINED = "watercolor painting of a silver jeep driving down a road"
SWAPPED = "a yellow Shiba-Inu driving down a road"
STEPS = 3


@pytest.mark.parametrize(
    ("settings", "target"),
    [
        (
            Fusion("refine", 1, 1, ("jeep",), 0.5, (("watercolor", 5.0),), latent_blend=True),
            REFINED,
        ),
        (Fusion("replace", 0.7, 0.7, weights=(("shiba-inu", 2.0),)), SWAPPED),
        (Fusion("reweight", 1, 0.5, ("silver",), 0.4, (("painting", 3.0),)), REFINED),
    ],
    ids=["refine", "replace", "reweight"],
)
def test_every_mode_agrees_with_materialised_maps(model, clip, settings: Fusion, target: str):
    store = MapStore(torch.float32)
    mapped = map_model(model, store)
    maps = invert(mapped, clip, SOURCE, steps=STEPS, store="recompute")
    controls = [MapFusion(settings, store)]
    expected = edit(mapped, maps, target, guidance_scale=2, controls=controls)
    plain = edit(model, maps, target, guidance_scale=2)
    assert (plain - expected).norm() > 0.01 * expected.norm()  # the control does something
    for mode, tolerance in (("recompute", 1e-5), ("offload", 1e-3), ("resident", 1e-3)):
        inversion = invert(model, clip, SOURCE, steps=STEPS, store=mode)
        out = edit(model, inversion, target, guidance_scale=2, controls=[settings])
        assert float((out - expected).norm() / expected.norm()) < tolerance, mode


@pytest.mark.parametrize("longer", ["source", "target"])
@pytest.mark.parametrize(("method", "target"), [("refine", REFINED), ("replace", SWAPPED)])
def test_prompts_of_different_lengths_agree_with_materialised_maps(
    model, clip, method: str, target: str, longer: str
):
    """77 tokens and 154, as of prompts in two pieces."""
    whole = {text: model.text.encode(text) for text in (SOURCE, target, "")}
    behind = model.text.encode("so very good").states["tokens"]
    for text in (SOURCE,) if longer == "source" else (target, ""):
        states = torch.cat([whole[text].states["tokens"], behind])
        whole[text] = replace(whole[text], states={"tokens": states})
    settings, store = Fusion(method, 1, 1, ("jeep",), 0.5), MapStore(torch.float32)
    mapped = map_model(model, store)
    asked = {"negative": whole[""], "guidance_scale": 2}
    made = invert(mapped, clip, whole[SOURCE], steps=2, store="recompute")
    controls = [MapFusion(settings, store)]
    expected = edit(mapped, made, whole[target], controls=controls, **asked)
    out = edit(model, made, whole[target], controls=[settings], **asked)
    plain = edit(model, made, whole[target], **asked)
    assert (plain - expected).norm() > 0.01 * expected.norm()
    assert float((out - expected).norm() / expected.norm()) < 1e-5


def test_prompts_of_one_batch_must_have_one_length(model, clip):
    inversion, target = invert(model, clip, SOURCE, steps=2), model.text.encode(REFINED)
    longer = replace(target, states={"tokens": target.states["tokens"].repeat(2, 1)})
    message = r"^The prompts \(negative, target\) have states of 77 and 154 tokens, but 'tiny"
    with pytest.raises(EvenframeError, match=message):
        edit(model, inversion, longer)


def test_maps_are_what_the_store_is_compared_with(model, clip):
    """Every coarse layer, every step, rows that sum to one."""
    store = MapStore()
    invert(map_model(model, store), clip, SOURCE, steps=2, store="recompute")
    assert len(store.steps) == 2
    assert all(len(maps) == len(model.denoiser.sites) for maps in store.steps)
    for maps in store.steps[1].values():
        assert maps.dtype == torch.float16
        assert torch.allclose(maps.float().sum(-1), torch.ones(maps.shape[:-1]), atol=2e-3)


@pytest.mark.slow
def test_attention_kept_at_full_size_is_within_its_figures():
    """Stable Diffusion 1.5, 512x512, 8 frames, 50 steps, on the meta device."""
    with torch.no_grad():
        kept = counting.stored_bytes()
    assert kept["store.maps_bytes"] == pytest.approx(74.5e9, rel=1e-3)
    assert kept["store.resident_bytes"] == kept["store.offload_bytes"] <= 12.1e9
    assert kept["store.recompute_bytes"] <= 0.30e9


@pytest.mark.slow
def test_work_at_full_size_is_as_published():
    """0.803 TFLOP per frame; a second key frame, at strides 16 and coarser, adds 15 GFLOP."""
    model = counting.meta_model()
    both = counting.meta_inversion(model, frames=2)
    for inversion, expected in ((replace(both, keyframes=("own",)), 0.803e12), (both, 0.818e12)):
        with torch.no_grad():
            counted = counting.flops(
                lambda inversion=inversion: counting.source_pass(
                    model, inversion, lambda call, terms: terms
                )
            )
        assert counted / 2 == pytest.approx(expected, rel=0.001)
