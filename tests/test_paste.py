"""The source's pixels outside of the regions."""

import pytest
import torch

from evenframe.pipelines.errors import EvenframeError
from evenframe.pipelines.paste import paste_outside

GENERATOR = torch.Generator().manual_seed(0)
EDITED, SOURCE = (torch.rand(2, 32, 48, 3, generator=GENERATOR) for _ in "es")
MASK = torch.zeros(2, 32, 48)
MASK[:, 8:24, 8:40] = 1


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("feathered", [0, 5])
def test_pixels_outside_are_equal_to_the_sources(feathered: int, linear: bool):
    pasted = paste_outside(EDITED, SOURCE, MASK, feathered, linear)
    assert torch.equal(pasted[MASK == 0], SOURCE[MASK == 0])
    assert torch.allclose(pasted[:, 16, 20], EDITED[:, 16, 20], atol=1e-6)
    edge = pasted[:, 16, 8]
    assert torch.allclose(edge, EDITED[:, 16, 8], atol=1e-6) == (feathered == 0)


def test_an_edge_in_linear_light_mixes_light():
    white, black = torch.ones(1, 1, 1, 3), torch.zeros(1, 1, 1, 3)
    half = torch.full((1, 1, 1), 0.5)
    assert float(paste_outside(white, black, half, 0)[..., 0]) == 0.5
    # Half of the light of white is 0.735 in sRGB.
    assert float(paste_outside(white, black, half, 0, linear=True)[..., 0]) == pytest.approx(
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
    pasted = paste_outside(EDITED, SOURCE, mask, feathered)
    inside = ((pasted - SOURCE) / (EDITED - SOURCE)).median(-1).values
    assert inside.amax((1, 2)).tolist() == pytest.approx([strength] * 2, abs=1e-3)
    assert (rows < 5) == bool((inside[:, 4, 4:44] > 0.99 * strength).all()), "an edge, if it fits"
    assert torch.equal(pasted[mask == 0], SOURCE[mask == 0])


def test_a_small_region_is_kept_beside_a_large_one():
    large, small = box(28, 20), torch.zeros(2, 32, 48)
    small[1, 10:16, 38:44] = 1
    pasted = paste_outside(EDITED, SOURCE, torch.stack([large, small]))
    assert torch.equal(pasted[1, 12:14, 40:42], EDITED[1, 12:14, 40:42])
    alone = paste_outside(EDITED, SOURCE, large)
    assert torch.equal(pasted[..., :38, :], alone[..., :38, :]) and torch.equal(pasted[0], alone[0])


def test_there_is_no_seam_between_regions_that_touch():
    left, right = box(28, 20), box(28) - box(28, 20)
    pasted = paste_outside(EDITED, SOURCE, torch.stack([left, right]))
    assert torch.equal(pasted, paste_outside(EDITED, SOURCE, box(28)))


@pytest.mark.parametrize(
    ("edited", "source", "starts"),
    [
        (EDITED.byte(), SOURCE.byte(), "The edit's pixels are uint8, the source's uint8: give"),
        (EDITED.half(), SOURCE, "The edit's pixels are float16, the source's float32: give both"),
    ],
)
def test_pixels_of_another_kind_are_refused(edited, source, starts: str):
    with pytest.raises(EvenframeError) as caught:
        paste_outside(edited, source, MASK)
    assert str(caught.value).startswith(starts)


@pytest.mark.parametrize(
    ("edited", "mask", "feathered", "starts"),
    [
        (EDITED[:1], MASK[:1], 0, "The edit has 1 frames of 48x32 pixels, the source 2 frames"),
        (EDITED, MASK[:, :16], 0, "The regions are for 2 frames of 48x16 pixels, but the clip"),
        (EDITED, MASK, -1, "feather is -1: choose 0 to 1024 pixels"),
    ],
)
def test_what_does_not_fit_is_refused(edited, mask, feathered: int, starts: str):
    with pytest.raises(EvenframeError) as caught:
        paste_outside(edited, SOURCE, mask, feathered)
    assert str(caught.value).startswith(starts)


def test_a_mask_that_is_not_quite_white_has_its_soft_edge():
    """The width of an edge goes by a region's shape, not by noise in its values."""
    source, edited = torch.zeros(1, 64, 64, 3), torch.ones(1, 64, 64, 3)
    mask = torch.zeros(1, 64, 64)
    mask[:, 8:56, 8:56] = 1
    noisy = mask * (0.95 + 0.05 * torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(0)))
    hard, soft = (paste_outside(edited, source, each, 8)[0, 32, 8:20, 0] for each in (mask, noisy))
    assert float((hard - soft).abs().max()) < 0.1
