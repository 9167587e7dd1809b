"""Training of the video miniature: what is begun with, a step, and going on where it stopped."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from evenframe.miniature import shards
from evenframe.miniature.meaning_loss import MeaningLoss
from evenframe.miniature.sampling import load
from evenframe.miniature.tokenizer import WordEncoder
from evenframe.miniature.video import weights_dir
from evenframe.miniature.video.contrast import OtherPrompts, contrast
from evenframe.miniature.video.motions import OBJECT_MOTIONS, TOLD_SHARE
from evenframe.miniature.video.pool import Part, make_shard
from evenframe.miniature.video.sample_clips import sample_clip
from evenframe.miniature.video.sampling import load as load_shipped
from evenframe.miniature.video.text import MOTIONS, start_text_encoder, word_encoder
from evenframe.miniature.video.train import Recipe, Trainer, _even_workers, run
from evenframe.miniature.video.transformer import (
    PlainAttention,
    Width,
    flow_times,
    make_transformer,
)

SMALL = Width(heads=1, layers=1)
QUICK = Recipe(clips=8, frames_first=8, clip_batch=4, frame_batch=4, frame_share=0, warmup=1)


@pytest.fixture(scope="module")
def pool_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    (folder / "0000").mkdir()
    for name, array in make_shard(seed=3, index=0, size=6).items():
        np.save(folder / "0000" / f"{name}.npy", array)
    (folder / "0001.part").mkdir()  # not whole yet
    return folder


def trainer(recipe: Recipe = QUICK) -> Trainer:
    return Trainer(recipe, SMALL, "cpu", rank=0, workers=1)


def test_a_pool_is_read_from_the_disk(pool_folder: Path):
    pool = shards.load(shards.shards_of(pool_folder))
    taken = pool.take(np.array([0, 5]))
    latents = taken["latents"]
    assert len(pool) == 6 and latents.shape == (2, 16, 5, 16, 16) and latents.dtype == np.float16
    assert taken["ids"].shape == taken["slots"].shape == (2, 77)
    assert np.array_equal(latents[1], make_shard(3, 0, size=6)["latents"][5])


def test_the_text_encoder_begins_where_the_image_miniatures_stands():
    text = "a red circle left of a blue square on a gray background"
    with torch.no_grad():
        own = start_text_encoder()(input_ids=torch.tensor([word_encoder()(text.split())]))
    assert torch.equal(own.last_hidden_state, load().embed([text]))


def test_motions_have_axes_beside_those_of_the_still_world():
    device = torch.device("cpu")
    still = MeaningLoss(WordEncoder(), 96, device)
    moving = MeaningLoss(word_encoder(), 96, device, MOTIONS)
    known = still.axes.shape[1]
    assert torch.equal(moving.axes[:, :known], still.axes)
    assert torch.allclose(moving.axes.T @ moving.axes, torch.eye(moving.axes.shape[1]), atol=1e-5)
    left = word_encoder()(["left"])[1]
    assert moving.places[left, known:].abs().sum() == 0 and moving.places[left].abs().sum() > 0
    assert moving.moving[left, :known].abs().sum() == 0 and moving.moving[left].abs().sum() > 0


def test_the_transformer_begins_as_a_copy_of_its_input():
    model = make_transformer(SMALL)
    latents = torch.randn(2, 16, 5, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out = model(
            latents, torch.tensor([900.0, 100.0]), torch.zeros(2, 77, 96), return_dict=False
        )
    # The layer norm scales each token to one length.
    assert torch.nn.functional.cosine_similarity(out[0], latents, dim=1).mean() > 0.98


def test_plain_attention_is_the_librarys():
    model = make_transformer(SMALL)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
        given = (torch.randn(1, 16, 2, 8, 8), torch.tensor([500.0]), torch.randn(1, 77, 96))
        expected = model(*given, return_dict=False)[0]
        model.set_attn_processor(PlainAttention())
        assert torch.allclose(model(*given, return_dict=False)[0], expected, atol=1e-5)


def test_more_noise_where_a_scene_stands_more_often():
    random = torch.Generator().manual_seed(0)
    few, many = (flow_times(4000, shift, 0.25, random) for shift in (1.0, 5.0))
    assert few.min() > 0 and many.max() < 1
    assert few.mean() == pytest.approx(0.5, abs=0.02) and many.mean() > 0.7


def test_outlines_are_drawn_where_little_noise_is_left():
    random = torch.Generator().manual_seed(0)
    shares = [float((flow_times(8000, 7.0, even, random) < 0.3).float().mean()) for even in (0, 1)]
    assert shares[0] < 0.02 and shares[1] == pytest.approx(0.3, abs=0.02)
    even_share = Recipe.even_share
    half = float((flow_times(100_000, 7.0, even_share, random) < 0.5).float().mean())
    assert half == pytest.approx(0.145, abs=0.005)


def test_every_process_has_an_even_share_of_a_batch():
    assert [_even_workers(count) for count in (0, 1, 3, 12, 32, 128)] == [1, 1, 2, 8, 16, 16]


def test_a_run_trains_and_goes_on_where_it_stopped(pool_folder: Path, tmp_path: Path):
    whole = trainer()
    run(whole, pool_folder, tmp_path)
    assert whole.frames_seen == 8 and whole.clips_seen == 8
    part = trainer()
    pool = shards.load(shards.shards_of(pool_folder))
    for _ in range(2):
        part.train_step(pool)
    part.save(tmp_path)
    again = trainer()
    assert again.resume_from(tmp_path)
    assert again.counters() == part.counters() and again.rate == part.rate
    for _ in range(2):
        again.train_step(pool)
    same: list[tuple[Tensor, Tensor]] = [
        *zip(whole.parameters, again.parameters, strict=True),
        *zip(whole.averages, again.averages, strict=True),
    ]
    assert all(torch.equal(*pair) for pair in same)
    begun = trainer().parameters
    assert not all(torch.equal(*pair) for pair in zip(begun, whole.parameters, strict=True))


def test_a_state_without_a_counter_of_the_average_goes_on_the_same(pool_folder: Path):
    pool = shards.load(shards.shards_of(pool_folder))
    one, other = trainer(), trainer()
    one.train_step(pool)
    state = deepcopy(one.state())
    del state["counters"]["averaged_steps"]
    other.resume(state)
    assert one.train_step(pool) == other.train_step(pool)
    assert all(torch.equal(*pair) for pair in zip(one.averages, other.averages, strict=True))


def test_the_rate_falls_over_the_last_clips():
    one = trainer(Recipe(clips=100, decay=0.2, warmup=1))
    rates = []
    for seen in (0, 80, 90, 100):
        one.clips_seen = seen
        rates.append(one.rate / one.recipe.rate)
    assert rates == pytest.approx([1, 1, 0.5, 0.02])


def test_averages_are_kept_in_half_precision_by_name(tmp_path: Path):
    one = trainer()
    one.save(tmp_path)
    stored = load_file(tmp_path / "averages.safetensors")
    assert stored.keys() == set(one.names)
    assert all(tensor.dtype == torch.float16 for tensor in stored.values())
    other, more = trainer(), tmp_path / "more.safetensors"
    save_file({name: tensor + 1 for name, tensor in stored.items()}, more)
    other.start_from(more)
    assert torch.allclose(other.parameters[0], one.parameters[0] + 1, atol=1e-2)


def test_a_run_begins_at_the_weights_of_a_transformer_alone(tmp_path: Path):
    one, file = trainer(), tmp_path / "transformer.safetensors"
    given = {name: tensor + 1 for name, tensor in one.transformer.state_dict().items()}
    before = [parameter.clone() for parameter in one.text.parameters()]
    save_file(given, file)
    one.start_from(file)
    for name, parameter in one.transformer.named_parameters():
        assert torch.equal(parameter, given[name])
    assert all(torch.equal(*pair) for pair in zip(before, one.text.parameters(), strict=True))
    with pytest.raises(ValueError, match="none of the weights"):
        save_file({"elsewhere": torch.zeros(1)}, file)
        one.start_from(file)


def test_a_run_goes_on_at_the_weights_that_are_shipped():
    one = Trainer(Recipe(), Width(), "cpu", 0, 1)
    one.start_from(weights_dir())
    shipped = load_shipped()
    for part, module in (("transformer", shipped.transformer), ("text_encoder", shipped.text)):
        for name, value in module.state_dict().items():
            assert torch.equal(one.parameters[one.names.index(f"{part}.{name}")], value)
    assert one.clips_seen >= 92_000 and one.step == 0


def test_practice_is_drawn_of_one_kind_and_told():
    clips = [sample_clip(np.random.default_rng(seed), "one", told=1.0) for seed in range(8)]
    assert all(clip.movers[0].told for clip in clips)
    same = [sample_clip(np.random.default_rng(5), "one", told=t) for t in (0.55, TOLD_SHARE)]
    assert same[0] == same[1]


def test_another_prompt_tells_another_motion_or_number_of_the_same_thing():
    encoder = word_encoder()
    names = {token: word.removesuffix("</w>") for word, token in encoder.ids.items()}
    others, random = OtherPrompts(encoder), torch.Generator().manual_seed(0)

    def told(prompt: str) -> set[str]:
        ids = torch.tensor([encoder(prompt.split())])
        found = set()
        for _ in range(40):
            [row], [differs] = others(ids, random)
            body = [names[int(token)] for token in row if token not in (encoder.start, encoder.end)]
            assert bool(differs) == (" ".join(body) != prompt) and len(row) == 77
            found.add(" ".join(body))
        return found

    still = "a female doctor standing still on a gray background"
    assert told(still) == {"a female doctor walking right on a gray background"}  # left is held out
    assert told("three blue crosses") == {"two blue crosses"}
    one = "a red circle left of a blue square moving up"
    ways = {motion.words for motion in OBJECT_MOTIONS} - {"moving up", "moving left"}  # held out
    assert {other.removeprefix(one.removesuffix("moving up")) for other in told(one)} == ways
    round_one = {other.removeprefix("a red circle ") for other in told("a red circle moving left")}
    assert not {"turning", "moving up"} & round_one
    assert told("a woman walking left") == {"a woman walking right", "a woman standing still"}
    assert told("a red star camera panning left") == {"a red star camera panning right"}
    assert told("a red circle left of a blue square") == {"a red circle left of a blue square"}


def test_the_contrast_asks_for_a_margin_and_no_more():
    right = torch.tensor([0.1, 0.1, 0.4], dtype=torch.float64, requires_grad=True)
    wrong = torch.tensor([0.1, 0.2, 0.1], dtype=torch.float64, requires_grad=True)
    missed = contrast(right, wrong)
    expected = [0.002 * np.log(2), 0.0, 0.3]
    assert missed.tolist() == pytest.approx(expected, abs=1e-6)
    missed.sum().backward()
    assert right.grad is not None and wrong.grad is not None
    assert right.grad.tolist() == pytest.approx([0.5, 0, 1], abs=1e-6)
    assert torch.equal(wrong.grad, -right.grad)


def test_told_motions_are_contrasted_where_it_is_noisy(monkeypatch: pytest.MonkeyPatch):
    told = make_shard(seed=3, index=1, size=6, part=Part("one", 1.0))
    pool, missed = shards.Pool([told]), {}
    for least, weight in ((0.0, 1.0), (1.0, 1.0), (0.0, 0.0)):
        monkeypatch.setattr("evenframe.miniature.video.train.LEAST_NOISE", least)
        recipe = replace(QUICK, frames_first=0, short_share=0.0, contrast=weight)
        missed[least, weight] = trainer(recipe).train_step(pool)["missed"]
    assert missed[0.0, 1.0] > 0 == missed[1.0, 1.0] == missed[0.0, 0.0]
