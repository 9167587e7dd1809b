"""Where people are: regions from the source's attention, on rendered clips with known truth."""

import numpy as np
import pytest
import torch
from torch import Tensor

from evenframe.miniature.demo import doctor_scene, figures_scene
from evenframe.miniature.scenes import Scene, render
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.base import Edit
from evenframe.pipelines.controls.fame.subject import find_subjects
from evenframe.pipelines.models.families import load
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.regions.region import MaskRegion
from evenframe.pipelines.source.inspection import look
from evenframe.pipelines.source.inversion import invert

FRAMES = 2


@pytest.fixture(scope="module")
def model() -> Model:
    return load("miniature")


def shown(model: Model, scene: Scene) -> tuple[Edit, Tensor]:
    """An edit of a scene, and where its figures are: (figures, f, h, w)."""
    pictures, masks = zip(*(render(scene, frame) for frame in range(FRAMES)), strict=True)
    inverted = invert(model, torch.tensor(np.stack(pictures)), scene.prompt, steps=10)
    edit = Edit(model, inverted, model.text.encode(scene.prompt))
    return edit, torch.tensor(np.stack(masks)).transpose(0, 1)


@pytest.fixture(scope="module")
def one(model: Model) -> tuple[Edit, Tensor]:
    return shown(model, doctor_scene())


@pytest.fixture(scope="module")
def two(model: Model) -> tuple[Edit, Tensor]:
    return shown(model, figures_scene())


def covered(region: Tensor, figure: Tensor) -> float:
    """The share of a figure that lies in a region."""
    return float((region * figure).sum() / figure.sum())


def test_one_phrase_is_the_mask_that_the_viewer_shows(model, one):
    edit, (doctor,) = one
    found = find_subjects(edit, None, ("doctor",), 0.3)
    (region,) = found.regions.items
    view = look(model, edit.inversion, ["doctor"], threshold=0.3)
    assert isinstance(region, MaskRegion) and torch.equal(region.masks, view.mask)
    assert covered(region.masks, doctor) > 0.99 and region.masks.mean() < 3 * doctor.mean()
    assert found.soft is not None and torch.equal(found.soft[0], view.maps)
    assert found.ids((16, 16)).shape == found.masks((16, 16))[0].shape == (FRAMES, 256)


@pytest.mark.parametrize("words", [("doctor", "nurse"), ("nurse", "doctor")])
def test_each_phrase_is_a_region_of_its_own(two, words: tuple[str, ...]):
    edit, figures = two
    found = find_subjects(edit, None, words, 0.3)
    assert [region.name for region in found.regions.items] == list(words)
    people = {"doctor": figures[0], "nurse": figures[1]}
    for region, word, other in zip(found.regions.items, words, reversed(words), strict=True):
        assert isinstance(region, MaskRegion) and region.masks.shape == (FRAMES, 128, 128)
        assert covered(region.masks, people[word]) > 0.99
        assert covered(region.masks, people[other]) < 0.01
    assert found.ids((16, 16)).unique().tolist() == [0, 1, 2]


@pytest.mark.parametrize("grid", [(16, 16), (8, 8)])
def test_both_controls_use_one_area(two, grid: tuple[int, int]):
    """The self modulator reads ids, the cross reweighter soft masks."""
    edit, _ = two
    found = find_subjects(edit, None, ("doctor", "nurse"), 0.3)
    ids = found.ids(grid)
    for index in range(2):
        mask = found.masks(grid)[index]
        assert torch.equal(mask > 0, ids == index + 1)
        assert mask.amax() > 0.5 and mask[mask > 0].unique().numel() > 9
    assert torch.equal(found.masks(grid).amax(0) > 0, ids > 0)


@pytest.mark.parametrize("words", [("doctor",), ("doctor", "nurse")])
def test_where_nothing_is_found_a_lower_threshold_is_asked_for(two, words: tuple[str, ...]):
    with pytest.raises(EvenframeError) as caught:
        find_subjects(two[0], None, words, 1.0)
    said = str(caught.value)
    assert said.startswith(
        "The source looks at 'doctor' nowhere above the threshold 1 (0 to 2), or"
    )
    assert said.endswith("lower the threshold or name another word.")
