"""Regions as a noise mask on latents."""

from __future__ import annotations

import pytest
import torch

from evenframe.nodes.sampler_tools import EvenframeRegionsToLatentMask
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.regions.latent_mask import latent_mask
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions

SIZE = (64, 96)


def moving(frames: int) -> Regions:
    """A box of 16 pixels that goes 8 to the right in each frame."""
    boxes = [(8 * at, 16, 8 * at + 16, 32) for at in range(frames)]
    return Regions((box_region(boxes, SIZE, name="it", words="it"),), frames, SIZE)


def test_each_frame_has_its_own_and_a_latent_of_four_their_union():
    image = latent_mask(moving(9), (9, 4, 8, 12))
    assert image.shape == (9, 1, 8, 12) and image.sum() == 9 * 4
    video = latent_mask(moving(9), (1, 16, 3, 8, 12))
    assert video.shape == (1, 1, 3, 8, 12)
    for latent, held in enumerate((range(1), range(1, 5), range(5, 9))):
        union = image[held.start : held.stop, 0].amax(0)
        assert torch.equal(video[0, 0, latent], union)


@pytest.mark.parametrize("shape", [(9, 4, 8, 12), (1, 16, 3, 8, 12)])
@pytest.mark.parametrize("size", [(64, 96), (8, 12), (31, 47)])
def test_a_mask_that_is_there_goes_on_holding(shape: tuple[int, ...], size: tuple[int, int]):
    regions = moving(9)
    everywhere, nowhere = torch.ones(1, 1, *size), torch.zeros(1, *size)
    plain = latent_mask(regions, shape)
    assert torch.equal(latent_mask(regions, shape, everywhere), plain)
    assert latent_mask(regions, shape, nowhere).sum() == 0
    left = everywhere.clone()
    left[..., size[1] // 2 :] = 0
    both = latent_mask(regions, shape, left)
    assert torch.equal(both[..., :5], plain[..., :5]) and both[..., 7:].sum() == 0


def test_a_mask_of_frames_frees_each_latent_that_holds_a_free_one():
    regions, before = moving(9), torch.zeros(9, *SIZE)
    before[3] = 1
    plain = latent_mask(regions, (1, 16, 3, 8, 12))
    both = latent_mask(regions, (1, 16, 3, 8, 12), before)
    assert torch.equal(both[:, :, 1], plain[:, :, 1]) and plain[:, :, 1].any()
    assert not both[:, :, 0].any() and not both[:, :, 2].any()


@pytest.mark.parametrize(
    "shape", [(8, 4, 8, 12), (9, 4, 8, 11), (1, 16, 4, 8, 12), (9, 4, 0, 12), (9, 8, 12)]
)
def test_latents_of_another_clip_are_refused(shape: tuple[int, ...]):
    with pytest.raises(EvenframeError, match="^The latent has the shape .* of 9 frames of 96x64"):
        latent_mask(moving(9), shape)


def test_the_node_keeps_what_else_a_latent_has_and_asks_for_a_model_where_steps_count():
    latent = {"samples": torch.zeros(9, 4, 8, 12), "batch_index": [3]}
    found, mask, model = EvenframeRegionsToLatentMask.execute(moving(9), latent).args
    assert found["batch_index"] == [3] and "noise_mask" not in latent and model is None
    assert torch.equal(found["noise_mask"][:, 0], mask)
    with pytest.raises(EvenframeError, match=r"from 0 to 0\.5 of the steps.* link model"):
        EvenframeRegionsToLatentMask.execute(moving(9), latent, end=0.5)
