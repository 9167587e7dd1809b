"""Frames to latents and back."""

import pytest
import torch
from torch import Tensor

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.model import Model


def test_decoding_in_slices_changes_nothing(model: Model, clip: Tensor) -> None:
    latents, done = model.codec.encode(clip), []
    one_by_one = model.codec.decode(latents, 1, done.append)
    assert done == [1, 2, 3]
    assert one_by_one.shape == clip.shape
    assert torch.allclose(one_by_one, model.codec.decode(latents, 3), atol=1e-5)


def test_the_latent_distribution_is_its_mode_or_sampled_with_a_seed(
    model: Model, clip: Tensor
) -> None:
    mode = model.codec.encode(clip)
    assert torch.equal(mode, model.codec.encode(clip))
    assert torch.equal(model.codec.encode(clip, seed=1), model.codec.encode(clip, seed=1))
    assert not torch.equal(mode, model.codec.encode(clip, seed=1))
    assert not torch.equal(model.codec.encode(clip, seed=2), model.codec.encode(clip, seed=1))


@pytest.mark.parametrize("shape", [(2, 16, 8, 8), (4, 8, 8), (1, 4, 1, 8, 8)])
def test_latents_of_another_kind_of_model_are_refused(model: Model, shape: tuple[int, ...]) -> None:
    with pytest.raises(EvenframeError, match="connect the editor of the same model"):
        model.codec.decode(torch.zeros(shape))
