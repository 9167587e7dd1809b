"""The edge along which an edit gives way to its source."""

from dataclasses import replace

import pytest
import torch

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.pasting.edge import Edge

GENERATOR = torch.Generator().manual_seed(0)
EDITED, SOURCE = (torch.rand(2, 32, 48, 3, generator=GENERATOR) for _ in "es")
MASK = torch.zeros(2, 32, 48)
MASK[:, 8:24, 8:40] = 1


def pasted_outside(
    edited: torch.Tensor,
    source: torch.Tensor,
    mask: torch.Tensor,
    feather: int = 8,
    linear: bool = False,
) -> torch.Tensor:
    edge = Edge(feather=feather, linear_light=linear)
    return edge.mixed(source, edited, edge.inside(mask[None] if mask.ndim == 3 else mask))


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("feathered", [0, 5])
def test_pixels_outside_are_equal_to_the_sources(feathered: int, linear: bool):
    pasted = pasted_outside(EDITED, SOURCE, MASK, feathered, linear)
    assert torch.equal(pasted[MASK == 0], SOURCE[MASK == 0])
    assert torch.allclose(pasted[:, 16, 20], EDITED[:, 16, 20], atol=1e-6)
    edge = pasted[:, 16, 8]
    assert torch.allclose(edge, EDITED[:, 16, 8], atol=1e-6) == (feathered == 0)


def test_an_edge_in_linear_light_mixes_light():
    white, black = torch.ones(1, 1, 1, 3), torch.zeros(1, 1, 1, 3)
    half = torch.full((1, 1, 1), 0.5)
    assert float(pasted_outside(white, black, half, 0)[..., 0]) == 0.5
    # Half of the light of white is 0.735 in sRGB.
    assert float(pasted_outside(white, black, half, 0, linear=True)[..., 0]) == pytest.approx(
        0.7354, abs=1e-4
    )


def box(rows: int, columns: int = 40) -> torch.Tensor:
    mask = torch.zeros(2, 32, 48)
    mask[:, 4 : 4 + rows, 4 : 4 + columns] = 1
    return mask


@pytest.mark.parametrize("rows", [1, 2, 5, 6, 12, 16])
@pytest.mark.parametrize("feathered", [8, 1000])
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_the_middle_of_a_thin_region_stays_the_edit(rows: int, feathered: int, strength: float):
    mask = strength * box(rows)
    pasted = pasted_outside(EDITED, SOURCE, mask, feathered)
    inside = ((pasted - SOURCE) / (EDITED - SOURCE)).median(-1).values
    assert inside.amax((1, 2)).tolist() == pytest.approx([strength] * 2, abs=1e-3)
    assert (rows < 5) == bool((inside[:, 4, 4:44] > 0.99 * strength).all()), "an edge, if it fits"
    assert torch.equal(pasted[mask == 0], SOURCE[mask == 0])


def test_a_small_region_is_kept_beside_a_large_one():
    large, small = box(28, 20), torch.zeros(2, 32, 48)
    small[1, 10:16, 38:44] = 1
    pasted = pasted_outside(EDITED, SOURCE, torch.stack([large, small]))
    assert torch.equal(pasted[1, 12:14, 40:42], EDITED[1, 12:14, 40:42])
    alone = pasted_outside(EDITED, SOURCE, large)
    assert torch.equal(pasted[..., :38, :], alone[..., :38, :]) and torch.equal(pasted[0], alone[0])


def test_there_is_no_seam_between_regions_that_touch():
    left, right = box(28, 20), box(28) - box(28, 20)
    pasted = pasted_outside(EDITED, SOURCE, torch.stack([left, right]))
    assert torch.equal(pasted, pasted_outside(EDITED, SOURCE, box(28)))


@pytest.mark.parametrize("setting", ["grow", "feather"])
@pytest.mark.parametrize("pixels", [-1, 1025])
def test_an_edge_out_of_range_is_refused(setting: str, pixels: int):
    with pytest.raises(EvenframeError, match=f"{setting} is {pixels}: choose a whole number"):
        replace(Edge(), **{setting: pixels})


def test_regions_spread_before_they_are_softened():
    grown = Edge(3, 0).inside(MASK[None])
    assert torch.equal(grown[:, 5:27, 5:43], torch.ones(2, 22, 38)) and grown.sum() == 2 * 22 * 38


def test_an_edge_of_other_pixels_is_an_edge():
    assert Edge(3, 8, True, True).scaled(0.5) == Edge(2, 4, True, True)
    assert Edge(1000, 8).scaled(3) == Edge(1024, 24)


def test_a_mask_that_is_not_quite_white_has_its_soft_edge():
    """The width of an edge goes by a region's shape, not by noise in its values."""
    source, edited = torch.zeros(1, 64, 64, 3), torch.ones(1, 64, 64, 3)
    mask = torch.zeros(1, 64, 64)
    mask[:, 8:56, 8:56] = 1
    noisy = mask * (0.95 + 0.05 * torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(0)))
    hard, soft = (pasted_outside(edited, source, each, 8)[0, 32, 8:20, 0] for each in (mask, noisy))
    assert float((hard - soft).abs().max()) < 0.1
