"""The video miniature's autoencoder: Wan's own, whose encoder is the linear map of the latents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from evenframe.miniature.latents import load_latent_map
from evenframe.miniature.video.codec import (
    decode_clip,
    decode_each,
    is_flat,
    make_codec,
    normalised,
    wans_own,
    write_linear_encoder,
    write_simple_decoder,
)
from evenframe.miniature.video.latents import clip_latents
from evenframe.miniature.video.sample_clips import sample_clip
from evenframe.miniature.video.train_codec import CodecTrainer, clip_batch
from evenframe.miniature.video.world import render

FRAMES = 5


@pytest.fixture(scope="module")
def codec():
    torch.manual_seed(0)
    made = make_codec().eval()
    write_linear_encoder(made, load_latent_map())
    write_simple_decoder(made, load_latent_map())
    return made


@pytest.fixture(scope="module")
def clip() -> tuple[Tensor, Tensor]:
    """(pixels (1, 3, f, h, w) in -1..1, the map's latents) of a quarter of a clip: all is local."""
    drawn = sample_clip(np.random.default_rng(1), "two")
    frames = np.stack([render(drawn, frame)[0] for frame in range(FRAMES)])
    pixels = torch.from_numpy(frames).movedim(-1, 0)[None] * 2 - 1
    latents = torch.from_numpy(clip_latents(drawn, load_latent_map(), FRAMES))[None]
    return pixels[..., 32:96, 32:96], latents[..., 4:12, 4:12]


@pytest.mark.parametrize("halved", [False, True])
@torch.no_grad()
def test_the_encoder_is_the_linear_map(codec, clip, halved: bool):
    pixels, latents = clip
    if halved:  # as weights are stored
        stored = {name: value.half().float() for name, value in codec.state_dict().items()}
        codec = make_codec().eval()
        codec.load_state_dict(stored)
    encoded = codec.encode(pixels).latent_dist.mode()
    assert torch.allclose(normalised(codec, encoded), latents, atol=5e-3 if halved else 2e-4)
    assert torch.allclose(wans_own(codec, normalised(codec, encoded)), encoded, atol=1e-5)


@torch.no_grad()
def test_frames_are_decoded_one_by_one_as_the_autoencoder_does(codec, clip):
    wans = wans_own(codec, clip[1])
    whole = codec.decode(wans).sample
    first, later = wans[:, :, 0], wans[0, :, 1:].transpose(0, 1)
    apart = [decode_each(codec, first, True), decode_each(codec, later, False)]
    joined = torch.cat([each.flatten(0, 1) for each in apart]).transpose(0, 1)
    assert torch.allclose(whole[0], joined, atol=1e-5)
    assert 10 * torch.log10(4 / (whole - clip[0]).square().mean()) > 16  # before its first step
    done: list[int] = []
    assert torch.equal(decode_clip(codec, wans[0], done.append).transpose(0, 1), joined)
    assert done == [1, 2]


@torch.no_grad()
def test_a_decoder_that_looks_around_is_not_decoded_frame_by_frame(codec):
    assert is_flat(codec)
    for part in ("decoder.conv_in.weight", "decoder.mid_block.attentions.0.proj.weight"):
        other = make_codec()
        other.load_state_dict(codec.state_dict())
        other.get_parameter(part).view(-1)[0] = 1e-3
        assert not is_flat(other)


def test_batches_are_of_single_latent_frames():
    latent_map, rng = load_latent_map(), np.random.default_rng(0)
    frames, latents, weights = clip_batch(rng, latent_map, 2, first=False)
    assert frames.shape == (2, 12, 128, 128) and latents.shape == (2, 16, 16, 16)
    pictures = frames[0].unflatten(0, (4, 3)).movedim(1, -1).numpy() / 2 + 0.5
    packed = latents[0].unflatten(0, (4, 4)).numpy()
    assert np.allclose(latent_map.encode(np.asarray(pictures, np.float32)), packed, atol=1e-5)
    assert weights.shape == (2, 1, 128, 128) and float(weights[0].mean()) == pytest.approx(1)
    frames, latents, _ = clip_batch(rng, latent_map, 1, first=True)
    assert frames.shape == (1, 3, 128, 128)
    assert torch.equal(latents[0, :4], latents[0, 12:])


def test_a_run_moves_the_decoder_alone_and_goes_on_where_it_stopped(tmp_path: Path):
    def trainer() -> CodecTrainer:
        return CodecTrainer(load_latent_map(), 3e-4, "cpu")

    whole, part, again = trainer(), trainer(), trainer()
    losses = [whole.train_step(1) for _ in range(2)]
    assert part.train_step(1) == losses[0]
    part.average, part.save_averages = 0.0, lambda folder: None  # which measures, too
    part.save(tmp_path)
    assert again.resume_from(tmp_path) and again.counters() == part.counters()
    assert again.train_step(1) == losses[1]
    pairs = zip(whole.parameters, again.parameters, strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    begun, moved = trainer().codec.state_dict(), whole.codec.state_dict()
    changed = {name for name, value in moved.items() if not torch.equal(value, begun[name])}
    assert not any(
        "attentions" in name or name.startswith(("encoder", "quant")) for name in changed
    )
    past = [value for name, value in moved.items() if "decoder" in name and value.ndim == 5]
    assert changed and all(not value[:, :, :-1].any() for value in past)
