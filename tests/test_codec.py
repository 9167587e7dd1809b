"""Frames to latents and back."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from evenframe.nodes.host.native.codec import latents_of
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


def test_a_model_that_has_come_without_a_vae_is_previewed_without_decoding() -> None:
    told: dict[str, Any] = {"latent_rgb_factors": None, "latent_rgb_factors_bias": None}
    told |= {"latent_dimensions": 2}
    told |= {"latent_channels": 4, "spacial_downscale_ratio": 8, "temporal_downscale_ratio": 1}
    codec = latents_of(SimpleNamespace(**told), "a model")
    latents = torch.randn(1, 4, 6, 8)
    latents[..., :3, :] += 3
    picture = codec.preview(latents)
    assert picture.shape == (6, 8, 3) and picture.min() >= 0 and picture.max() <= 1
    assert (picture == picture[..., :1]).all() and picture[:3].mean() > picture[3:].mean() + 0.3
    assert codec.preview(torch.zeros(1, 4, 6, 8)).unique().tolist() == [0.5]
    told["latent_rgb_factors"] = [[1.0, 0.0, 0.0]] * 4
    picture = latents_of(SimpleNamespace(**told), "a model").preview(latents)
    assert picture.shape == (6, 8, 3) and (picture[..., 1:] == 0.5).all()
