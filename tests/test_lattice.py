"""Frames, latents and tokens in time and space."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.lattice import Lattice

WAN = (4, 8, 16)
"""Wan 2.1: a latent frame holds four frames, tokens are two latents wide."""


def coarsened(mask: Tensor, time: int, space: int) -> Tensor:
    """Latent by latent, as it is said: any of its frames, and how much of it in each pixel."""
    frames, height, width = mask.shape
    latents = [[0], *([n, *range(n + 1, n + time)] for n in range(1, frames, time))]
    out = torch.zeros(len(latents), height // space, width // space, dtype=torch.float64)
    for t, held in enumerate(latents):
        for row in range(height // space):
            for column in range(width // space):
                pixels = [
                    max(float(mask[frame, y, x]) for frame in held)
                    for y in range(row * space, (row + 1) * space)
                    for x in range(column * space, (column + 1) * space)
                ]
                out[t, row, column] = sum(pixels) / len(pixels)
    return out


def test_wan_at_its_own_size():
    lattice = Lattice(81, (480, 832), *WAN)
    assert (lattice.latent_frames, *lattice.latent_size) == (21, 60, 104)
    assert lattice.grid(8) == (21, 60, 104)
    assert lattice.grid(16) == (21, 30, 52)
    mask = torch.zeros(81, 480, 832)
    mask[4, 8:16, 16:20] = 1  # frames 1 to 4 are the second latent frame
    mask[5, 8:16, 20:24] = 1
    seen = lattice.coarsen(mask)
    assert seen.shape == (21, 60, 104)
    assert seen.nonzero().tolist() == [[1, 1, 2], [2, 1, 2]]
    assert seen[1, 1, 2] == seen[2, 1, 2] == 0.5


def test_what_moves_is_wider_in_latents():
    lattice, mask = Lattice(5, (16, 32), *WAN), torch.zeros(5, 16, 32)
    for frame in range(1, 5):
        mask[frame, :, 8 * (frame - 1) : 8 * frame] = 1
    assert lattice.coarsen(mask).sum((1, 2)).tolist() == [0, 8]


def test_frames_of_images_are_their_own():
    lattice = Lattice(3, (72, 104))
    assert (lattice.latent_frames, *lattice.latent_size) == (3, 9, 13)
    assert [lattice.grid(stride) for stride in (8, 16, 32, 64)] == [
        (3, 9, 13),
        (3, 5, 7),
        (3, 3, 4),
        (3, 2, 2),
    ]


@given(
    st.sampled_from([(1, 8, 8), WAN, (8, 4, 8)]),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(1, 2),
    st.integers(0, 999),
)
def test_masks_are_coarsened_as_they_are_said_to_be(strides, latents, rows, columns, seed):
    time, space, multiple = strides
    frames, size = 1 + (latents - 1) * time, (rows * multiple, columns * multiple)
    mask = torch.rand(frames, *size, generator=torch.Generator().manual_seed(seed))
    found = Lattice(frames, size, *strides).coarsen(mask)
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), coarsened(mask, time, space), atol=1e-6)
    whole = mask > 0.5
    assert torch.allclose(
        Lattice(frames, size, *strides).coarsen(whole).double(),
        coarsened(whole.double(), time, space),
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("frames", "size", "message"),
    [
        (80, (480, 832), "takes 1 and then 4 at a time: choose 77 or 81 of them,"),
        (3, (480, 832), "or load the clip with frame_step 4."),
        (0, (480, 832), "choose 1 or 5 of them,"),
        (81, (480, 840), "frames are 840x480 pixels, but 'the model' takes multiples of 16"),
        (81, (0, 832), "load the clip with multiple 16"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(frames, size, message: str):
    with pytest.raises(EvenframeError) as error:
        Lattice(frames, size, *WAN)
    assert message in str(error.value)


@pytest.mark.parametrize("shape", [(4, 16, 16), (5, 16, 32), (5, 2, 2), (16, 16)])
def test_masks_of_other_clips_are_refused(shape):
    with pytest.raises(EvenframeError, match=r"^The mask has the shape .*: give \(5, 16, 16\)"):
        Lattice(5, (16, 16), *WAN).coarsen(torch.zeros(shape))


def test_a_model_gives_the_lattice_of_its_latents(model, clip):
    lattice = model.codec.lattice(len(clip), (64, 128))
    assert model.codec.lattice_of(model.codec.encode(clip)) == lattice
    with pytest.raises(EvenframeError, match=f"but '{model.name}' takes multiples of 8"):
        model.codec.lattice(1, (60, 64))
