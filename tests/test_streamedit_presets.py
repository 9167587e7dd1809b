"""StreamEdit's published settings as presets, made of the controls that there are."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_wan import tiny_wan

from evenframe.nodes.presets import EvenframeStreamEditPreset
from evenframe.pipelines.attention.terms import Call, evaluate
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.base import Edit, Step
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.first_frame.first_frame import FirstFrame
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.controls.streamedit.presets import PRESETS
from evenframe.pipelines.controls.streamedit.word_boost import WordBoost
from evenframe.pipelines.editing import edit
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.inversion import invert
from evenframe.pipelines.source.maps import blend_mask, mask_sites, word_maps
from evenframe.pipelines.text.prompt import find_tokens

PAGE = Path(__file__).parents[1] / "web" / "docs" / "EvenframeStreamEditPreset.md"
FRAMES, SIZE = 5, (64, 64)
REGIONS = Regions(
    (box_region([(0, 0, 32, 32)] * FRAMES, SIZE, name="it", words="red"),), FRAMES, SIZE
)


def test_the_page_gives_their_settings():
    for name, preset in PRESETS.items():
        numbers = f"{preset.boost:g} | {preset.bridge:g} | {preset.steps}"
        row = f"| `{name}` | {preset.example} | {numbers} |"
        assert re.search(f"^{re.escape(row)}$", PAGE.read_text(), re.M), row


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_bridges_masks_and_boosts(preset: str):
    output = EvenframeStreamEditPreset.execute(preset, "silver jeep", "red jeep")
    fusion, boost = output[0]
    assert isinstance(fusion, Fusion) and fusion.bridge == 2 and fusion.self_steps == 1
    assert boost == WordBoost(("red jeep",), ("silver jeep",), PRESETS[preset].boost)
    assert fusion.blend_words == ("silver jeep",) and fusion.target_blend_words == ("red jeep",)
    assert fusion.latent_blend and not fusion.self_blend
    [text] = output.ui["text"]
    assert f"set steps to {PRESETS[preset].steps} and noise_seed from 0 up" in text
    assert ("Put First Frame before it" in text) == (preset == "first frame")


def test_with_regions_their_words_are_boosted_there():
    fusion, boost = EvenframeStreamEditPreset.execute("colour", "jeep", "", regions=REGIONS)[0]
    assert isinstance(fusion, Fusion) and isinstance(boost, Refocus)
    assert (boost.guide_by, boost.boost) == ("boost", 4)


def test_without_any_words_it_is_refused():
    with pytest.raises(EvenframeError, match="StreamEdit Preset has no words: name what is edited"):
        EvenframeStreamEditPreset.execute("colour", "", " ")
    with pytest.raises(EvenframeError, match="There are two Attention Fusions"):
        EvenframeStreamEditPreset.execute("colour", "jeep", "", controls=(Fusion(),))


@pytest.mark.parametrize("regions", [None, REGIONS])
def test_it_edits_wan_without_an_inversion(regions: Regions | None):
    model = tiny_wan()
    frames = torch.rand(FRAMES, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    inversion = invert(model, frames, "a silver jeep", steps=3, noise_seed=1)
    chain = PRESETS["first frame"].controls(("silver jeep",), ("red jeep",), regions)
    chain = FirstFrame(0.5 * frames[:1]), *chain
    found = edit(model, inversion, "a red jeep", controls=chain)
    assert found.isfinite().all()
    assert not torch.equal(found, edit(model, inversion, "a red jeep"))


def test_a_word_that_two_phrases_name_counts_once():
    """In the mask: seen twice, it would drown the other words."""
    model = tiny_wan()
    frames = torch.rand(FRAMES, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    inversion = invert(model, frames, "a silver jeep", steps=3, noise_seed=1)
    plan = Edit(model, inversion, model.text.encode("a red jeep"))
    here, there = inversion.levels(model.schedule)[:2]
    masks = []
    for words in (("silver jeep", "jeep"), ("silver", "jeep")):
        run = WordBoost(("red jeep", "red"), words, threshold=0.9).begin(plan)
        source = inversion.source_attention(model).at(0, tuple(run.source_sites(0)))
        run.prepare(Step(0, here, there, source, inversion.trajectory[0]))
        masks.append(torch.cat([rows.flatten() for rows in run._rows.values()]))
    assert 0 < masks[0].mean() < 1 and torch.equal(*masks)


def test_a_boosted_word_counts_so_many_times_where_the_source_looks():
    """Against whole maps, in a mask that is half of the places."""
    model = tiny_wan()
    frames = torch.rand(FRAMES, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    inversion = invert(model, frames, "a silver jeep", steps=3, noise_seed=1)
    target = model.text.encode("a red jeep")
    control = WordBoost(("red",), ("silver",), boost=3.0, threshold=0.9)
    run, site = control.begin(Edit(model, inversion, target)), model.denoiser.sites[1]
    source = inversion.source_attention(model).at(0, tuple(run.source_sites(0)))
    level = inversion.levels(model.schedule)[0]
    run.prepare(Step(0, level, level, source, inversion.trajectory[0]))
    sites = mask_sites(model.denoiser.sites, model.denoiser.layout.mask_stride)
    looked = find_tokens(inversion.prompt.tokens, "silver")
    mask = blend_mask(word_maps(source, sites, looked, SIZE), [(4, 4)], 0.9)[4, 4]
    assert 0 < mask.mean() < 1
    length = len(target.states["tokens"])
    q, k, v = (torch.randn(2, 2, n, 24) for n in (16, length, length))
    call = Call(site, "target", (4, 4), q, k, v)
    count = torch.ones(2, 1, 16, length).double()
    for token in find_tokens(target.tokens, "red"):
        count[..., token] += 2 * mask.flatten(1)[:, None]
    maps = (q.double() @ k.double().mT * 24**-0.5).exp() * count
    wanted = maps / maps.sum(-1, keepdim=True) @ v.double()
    assert (evaluate(run.attend(call, call.plain())) - wanted).abs().max() < 2e-6
    negative = replace(call, branch="negative")
    assert run.attend(negative, plain := negative.plain()) is plain
