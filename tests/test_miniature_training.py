"""Tokenizer, autoencoder, training and export of the miniature, each at a size for tests."""

from __future__ import annotations

import json
from copy import deepcopy

import numpy as np
import pytest
import torch

from evenframe.miniature import shards
from evenframe.miniature.attention_loss import localisation_loss
from evenframe.miniature.autoencoder import write_linear_encoder, write_simple_decoder
from evenframe.miniature.integrity import check_weights
from evenframe.miniature.latents import LatentMap, features_of, load_latent_map
from evenframe.miniature.meaning_loss import MeaningLoss
from evenframe.miniature.models import Size, make_autoencoder
from evenframe.miniature.pool import make_shard
from evenframe.miniature.sample_scenes import sample_scene
from evenframe.miniature.scenes import render
from evenframe.miniature.tokenizer import WordEncoder, save_tokenizer
from evenframe.miniature.train import Recipe, Trainer, learning_rate, train
from evenframe.miniature.train_decoder import DecoderTrainer, psnr
from evenframe.miniature.vocabulary import (
    BACKGROUNDS,
    NUMBERS,
    OBJECT_COLOURS,
    PROFESSIONS,
    SHAPES,
    all_words,
    plural,
    trained_words,
)
from evenframe.pipelines.common.errors import EvenframeError

TINY = Size(
    unet=(8, 8, 16, 16),
    unet_groups=4,
    text_width=32,
    text_layers=1,
    text_heads=2,
    autoencoder=(16, 16, 32, 32),
)


@pytest.fixture(scope="module")
def latent_map() -> LatentMap:
    return load_latent_map()


@pytest.fixture(scope="module")
def shard(latent_map):
    return make_shard(seed=5, index=0, latent_map=latent_map, size=128)


@pytest.fixture(scope="module")
def pool(shard):
    return shards.Pool([shard])


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(3)
    return np.stack([render(sample_scene(rng))[0] for _ in range(4)])


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from transformers import CLIPTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder)
    return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)


def test_every_word_is_one_token(tokenizer):
    for word in all_words():
        assert len(tokenizer(word).input_ids) == 3, word


def test_the_word_encoder_is_the_tokenizer(tokenizer):
    encoder = WordEncoder()
    rng = np.random.default_rng(1)
    prompts = ["", *(sample_scene(rng).prompt for _ in range(30))]
    full = tokenizer(prompts, padding="max_length", max_length=77).input_ids
    assert [list(ids) for ids in full] == [encoder(prompt.split()) for prompt in prompts]
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == encoder.end


def test_latents_have_unit_variance(shard):
    assert np.asarray(shard["latents"], np.float32).std((0, 2, 3)) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("groups", [4, 8])
def test_the_written_encoder_is_the_linear_map(latent_map, images, groups):
    size = Size(autoencoder_groups=groups)
    autoencoder = make_autoencoder(size)
    write_linear_encoder(autoencoder, latent_map)
    pixels = torch.from_numpy(images).movedim(-1, 1) * 2 - 1
    with torch.no_grad():
        mode = autoencoder.encode(pixels).latent_dist.mode()
    assert torch.allclose(mode, torch.from_numpy(latent_map.encode(images)), atol=2e-3)


def test_the_decoder_starts_as_the_inverse_map(latent_map, images):
    torch.manual_seed(0)
    autoencoder = make_autoencoder(Size())
    write_simple_decoder(autoencoder, latent_map)
    target = torch.from_numpy(images).movedim(-1, 1) * 2 - 1
    latents = torch.from_numpy(latent_map.encode(images))
    with torch.no_grad():
        decoded = autoencoder.decode(latents).sample
    assert psnr(decoded, target).mean() > 18
    cells = torch.nn.functional.avg_pool2d(target, 8)
    assert (torch.nn.functional.avg_pool2d(decoded, 8) - cells).abs().mean() < 0.05


def test_a_pool_of_one_kind_holds_nothing_else(latent_map):
    made = make_shard(0, 0, latent_map, 16, kind="count")
    numbers = {WordEncoder()([word])[1] for word in NUMBERS.values()}
    assert set(made["ids"][:, 1].tolist()) == numbers


def test_scenes_to_practise_lie_beside_the_others(shard, tmp_path):
    shards.fill(tmp_path, range(1), lambda _: shard)
    shards.fill(tmp_path, range(2), lambda _: shard, "count")
    (tmp_path / ".evenframe-1.partial").mkdir()  # not whole yet
    found = shards.shards_of(tmp_path)
    assert [path.name for path in found] == ["0000", "count-0000", "count-0001"]
    pool = shards.load(found)
    assert len(pool) == 3 * len(shard["ids"])
    taken = pool.take(np.array([0, 127, 128, 383]))
    for name, array in shard.items():
        assert np.array_equal(taken[name], array[[0, 127, 0, 127]])


def test_shards_that_appear_are_taken_in(shard, tmp_path):
    growing = shards.GrowingPool(lambda: shards.shards_of(tmp_path))
    with pytest.raises(FileNotFoundError, match="empty"):
        growing.at(0)
    shards.fill(tmp_path, range(1), lambda _: shard)
    assert len(growing.at(1)) == len(shard["ids"])
    shards.fill(tmp_path, range(2), lambda _: shard)
    assert len(growing.at(2)) == len(shard["ids"])
    assert len(growing.at(shards.REFRESH)) == 2 * len(shard["ids"])


def test_two_workers_may_fill_one_pool(shard, tmp_path):
    def draw(index):
        if index == 0:  # meanwhile the other one draws it, too
            shards.fill(tmp_path, [0], lambda _: shard)
        return shard

    shards.fill(tmp_path, range(2), draw)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0000", "0001"]
    assert len(shards.load(shards.shards_of(tmp_path))) == 2 * len(shard["ids"])


def test_a_pool_of_an_earlier_version_is_not_called_empty(shard, tmp_path):
    (tmp_path / "shard-000.npz").touch()
    with pytest.raises(EvenframeError, match=r"earlier version.*draw a new one"):
        shards.GrowingPool(lambda: shards.shards_of(tmp_path)).at(0)
    shards.fill(tmp_path, range(1), lambda _: shard)
    assert len(shards.shards_of(tmp_path)) == 1


def test_pool_masks_and_slots_name_the_same_things(shard):
    assert shard["masks"].shape == (128, 3, 16, 16) and shard["slots"].shape == (128, 77)
    for slots, masks in zip(shard["slots"], shard["masks"], strict=True):
        for slot in (0, 1):
            assert (slot in slots) == bool(masks[slot].any())
        total = masks.astype(int).sum(0)
        assert total.min() > 240 and total.max() <= 255


def test_localisation_loss_is_lowest_on_the_truth():
    masks = torch.zeros(1, 3, 16)
    masks[0, 0, :4], masks[0, 1, 4:8], masks[0, 2, 8:] = 1, 1, 1
    slots = torch.full((1, 77), -1)
    slots[0, 1:4] = torch.tensor([0, 1, 2])
    right = torch.zeros(1, 16, 77)
    for slot in range(3):
        right[0, masks[0, slot] > 0, slot + 1] = 1
    wrong = right.roll(4, dims=1)
    even = torch.full((1, 16, 77), 1 / 77)
    losses = [float(localisation_loss(m, slots, masks)) for m in (right, even, wrong)]
    assert losses[0] == pytest.approx(0, abs=1e-4)
    assert losses[0] < losses[1] < losses[2]


def test_every_word_of_the_world_means_something_else():
    encoder = WordEncoder()
    loss = MeaningLoss(encoder, 64, torch.device("cpu"))
    place = {
        word: loss.places[encoder([word])[1]] / 3
        for word in trained_words()
        if word != "background"
    }
    for one, other in (("left", "right"), ("above", "below"), ("female", "male"), ("two", "three")):
        assert torch.equal(place[one], -place[other]) and place[one].norm() == 1
    assert not float(place["left"] @ place["above"])
    for shape in SHAPES:
        assert torch.equal(place[shape], place[plural(shape)])
    assert torch.equal(place["woman"], place["female"] + place["person"])
    kinds = [*OBJECT_COLOURS, *SHAPES, *BACKGROUNDS, *PROFESSIONS, "left", "above", "two", "male"]
    table = torch.stack([place[kind] for kind in kinds])
    assert torch.equal(table @ table.T, torch.eye(len(kinds)))
    for word in ("a", "an", "of", "and", "on"):
        assert not place[word].any()
    with pytest.raises(ValueError, match="16"):
        MeaningLoss(encoder, 16, torch.device("cpu"))


def test_the_noisiest_steps_weigh_more_and_meanings_are_trained(pool):
    trainer = Trainer(Recipe(), TINY)
    snr = (trainer.signal / trainer.noise) ** 2
    assert torch.allclose(trainer.weight * snr, snr.clamp(max=5) + 0.2, rtol=1e-3)
    left = []
    for weight in (0.0, 1.0):
        recipe = Recipe(batch=8, learning_rate=3e-3, warmup=5, meaning=weight)
        trainer = Trainer(recipe, TINY)
        reports = [trainer.train_step(pool, 3e-3) for _ in range(25)]
        left.append(np.mean([float(report["unsaid"]) for report in reports[-5:]]))
    assert left[1] < 0.9 * left[0]


def test_learning_rate_warms_up_and_falls():
    recipe = Recipe(learning_rate=1.0, warmup=10)
    assert learning_rate(recipe, 0, None, 0) == pytest.approx(0.1)
    assert learning_rate(recipe, 500, None, 0) == 1
    assert learning_rate(recipe, 95, 90, 10) == pytest.approx(0.5)
    assert learning_rate(recipe, 100, 90, 10) == pytest.approx(0.02)


@pytest.mark.slow
def test_the_loss_of_a_tiny_run_falls(pool):
    torch.set_num_threads(1)
    trainer = Trainer(Recipe(batch=8, learning_rate=5e-3, warmup=10), TINY)
    errors = [float(trainer.train_step(pool, 5e-3)["error"].mean()) for _ in range(50)]
    assert np.mean(errors[-20:]) < 0.75 * np.mean(errors[:10])


def test_a_resumed_run_goes_on_as_if_never_stopped(pool, tmp_path):
    recipe = Recipe(batch=4, warmup=2)
    whole = Trainer(recipe, TINY)
    for _ in range(4):
        whole.train_step(pool, 1e-3)
    first = Trainer(recipe, TINY)
    for _ in range(2):
        first.train_step(pool, 1e-3)
    first.save(tmp_path)
    second = Trainer(recipe, TINY)
    assert second.resume_from(tmp_path)
    for _ in range(2):
        second.train_step(pool, 1e-3)
    assert second.step == whole.step and second.seen == whole.seen
    for a, b in zip(whole.averages, second.averages, strict=True):
        assert torch.equal(a, b)


def test_a_run_logs_and_keeps_what_the_export_needs(shard, tmp_path):
    shards.fill(tmp_path / "pool", range(1), lambda _: shard)
    trainer = Trainer(Recipe(batch=4), TINY)
    train(trainer, tmp_path / "pool", tmp_path / "run", steps=3, log_every=3)
    [line] = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert {"step", "seen", "missed", "unsaid"} <= json.loads(line).keys()
    kept = torch.load(tmp_path / "run" / "averages.pt", weights_only=True)
    assert kept["counters"]["seen"] == 12 and kept["weights"].keys() == {"unet", "text_encoder"}
    for name, module in (("unet", trainer.unet), ("text_encoder", trainer.text)):
        module.load_state_dict(kept["weights"][name])
    (tmp_path / "run" / "STOP").touch()
    train(trainer, tmp_path / "pool", tmp_path / "run", steps=6)
    assert trainer.step == 3


def earlier_state(trainer: Trainer | DecoderTrainer) -> dict[str, object]:
    """What was saved before all trainings kept their weights in one list."""
    state = trainer.state()
    return {"unet": {}, "averages": state["averages"], "counters": state["counters"]}


def test_a_state_of_an_earlier_version_says_what_to_do(latent_map, tmp_path):
    for trainer in (Trainer(Recipe(batch=4), TINY), DecoderTrainer(latent_map, 1e-3, "cpu")):
        assert not trainer.resume_from(tmp_path)
        torch.save(earlier_state(trainer), tmp_path / trainer.STATE)
        with pytest.raises(EvenframeError, match=r"state\.pt.*earlier version.*--init-from"):
            trainer.resume_from(tmp_path)


def test_the_decoder_goes_on_from_its_state(latent_map):
    one, other = (DecoderTrainer(latent_map, 1e-3, "cpu") for _ in range(2))
    one.train_step(np.random.default_rng(1), 1, 1e-3)
    other.resume(deepcopy(one.state()))
    losses = []
    for trainer in (one, other):
        torch.manual_seed(4)
        losses.append(trainer.train_step(np.random.default_rng(2), 1, 1e-3))
    assert losses[0] == losses[1] and other.step == 2
    kept, whole = other.averaged(), one.averaged()
    assert kept.keys() == make_autoencoder(Size()).state_dict().keys()
    assert all(torch.equal(kept[name], whole[name]) for name in kept)


def test_an_average_begun_anew_forgets_what_was(pool):
    trainer = Trainer(Recipe(batch=4, warmup=2), TINY)
    for _ in range(30):
        trainer.train_step(pool, 1e-2)
    assert any(
        not torch.equal(a, p) for a, p in zip(trainer.averages, trainer.parameters, strict=True)
    )
    trainer.average_anew()
    before = [p.detach().clone() for p in trainer.parameters]
    trainer.train_step(pool, 1e-2)
    for average, old, new in zip(trainer.averages, before, trainer.parameters, strict=True):
        assert torch.allclose(average, old.lerp(new, 9 / 11), atol=1e-6)


def test_altered_and_missing_weights_are_told_by_their_hash(tmp_path):
    from evenframe.miniature.integrity import HASHES, hash_folder

    with pytest.raises(EvenframeError, match="missing"):
        check_weights(tmp_path)
    weights = tmp_path / "unet" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    hashes = hash_folder(tmp_path)
    (tmp_path / HASHES).write_text(json.dumps(hashes))
    check_weights(tmp_path)
    weights.write_bytes(b"Weights")
    with pytest.raises(EvenframeError, match=hashes["unet/model.safetensors"]):
        check_weights(tmp_path)
    weights.unlink()
    with pytest.raises(EvenframeError, match=r"miss unet/model\.safetensors"):
        check_weights(tmp_path)


def fit_latent_map(seed: int = 11, scenes: int = 1000) -> LatentMap:
    """Whiten the features over seeded scenes, so that each latent channel has unit variance."""
    rng = np.random.default_rng(seed)
    batches = [
        features_of(np.stack([render(sample_scene(rng))[0] for _ in range(100)])).reshape(-1, 4)
        for _ in range(scenes // 100)
    ]
    features = np.concatenate(batches).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(features[:, :3].T))
    # The sign of an eigenvector is arbitrary; fix it, so that every machine makes the same map.
    vectors = vectors * np.sign(vectors.sum(0))
    weight = np.zeros((4, 4))
    weight[:3, :3] = (vectors / np.sqrt(values)).T
    weight[3, 3] = 1 / features[:, 3].std()
    bias = -weight @ features.mean(0)
    return LatentMap(weight.astype(np.float32), bias.astype(np.float32))


def test_the_stored_latent_map_whitens_the_world():
    stored, fitted = load_latent_map(), fit_latent_map()
    assert np.allclose(stored.weight, fitted.weight, atol=0.35)
    assert np.allclose(stored.bias, fitted.bias, atol=0.2)


def test_meaning_loss_asks_what_can_be_known_and_falls_to_zero():
    encoder = WordEncoder()
    loss = MeaningLoss(encoder, 64, torch.device("cpu"))
    things = (
        {"red": 0, "circle": 0, "blue": 1, "cross": 1, "gray": 2},
        {"two": 0, "green": 0, "squares": 0, "navy": 2},
        {"female": 0, "doctor": 0, "woman": 1, "teal": 2},
    )
    said = (
        ("red", "red circle", "left", "blue left", "blue cross left", "gray"),
        ("two", "two green", "two green square", "navy"),
        ("female", "female doctor", "right", "female person right", "teal"),
    )
    prompts = (
        "a red circle left of a blue cross on a gray",
        "two green squares on a navy",
        "a female doctor right of a woman on a teal",
    )
    ids = torch.tensor([encoder(prompt.split()) for prompt in prompts])
    slots = torch.full((3, 77), -1)
    states = torch.zeros(3, 77, 64)
    for row, prompt in enumerate(prompts):
        meanings = iter(said[row])
        for position, word in enumerate(prompt.split(), 1):
            slots[row, position] = things[row].get(word, -1)
            if word in things[row] or word in ("left", "right"):
                meant = sum(loss.places[encoder([w])[1]] for w in next(meanings).split())
                states[row, position] = loss.axes @ meant
        assert not list(meanings)
    assert float(loss(states, ids, slots)) == pytest.approx(0, abs=1e-6)
    words = sum(len(meaning.split()) for row in said for meaning in row)
    asked = sum(len(row) for row in said)
    assert float(loss(torch.zeros_like(states), ids, slots)) == pytest.approx(words / asked)
    empty = torch.tensor([encoder([])])
    assert float(loss(states[:1], empty, torch.full((1, 77), -1))) == 0
