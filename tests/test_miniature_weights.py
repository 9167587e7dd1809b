"""The shipped weights: whole, small enough, in the layout that any loader knows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from evenframe.miniature import weights_dir
from evenframe.miniature.card import model_card
from evenframe.miniature.demo import demo_clip
from evenframe.miniature.export import LIMIT, sample_statistics
from evenframe.miniature.integrity import check_weights
from evenframe.miniature.judge import analyse
from evenframe.miniature.measure import bench_scenes, psnr
from evenframe.miniature.sampling import load
from evenframe.miniature.scenes import render
from evenframe.miniature.verdict import judge_scene


@pytest.fixture(scope="module")
def model():
    return load()


def test_weights_are_whole_and_small():
    check_weights(weights_dir())
    files = list(weights_dir().rglob("*.safetensors"))
    assert len(files) == 3
    assert sum(path.stat().st_size for path in files) < LIMIT


def test_layout_is_that_of_stable_diffusion():
    index = json.loads((weights_dir() / "model_index.json").read_text())
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        assert index[part][1] and (weights_dir() / part).is_dir()
    unet = json.loads((weights_dir() / "unet" / "config.json").read_text())
    assert unet["down_block_types"] == ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"]
    assert unet["up_block_types"] == ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3
    assert unet["in_channels"] == unet["out_channels"] == 4


def test_the_card_tells_of_the_skew():
    card = (weights_dir() / "README.md").read_text(encoding="utf-8")
    assert "doctor 10%" in card and "nurse 90%" in card
    assert "Never trained on" in card


def test_the_card_is_of_these_weights():
    folder = weights_dir()
    facts = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    assert facts["figures"], "measured"
    assert model_card(facts, size, facts) == (folder / "README.md").read_text(encoding="utf-8")


def test_the_autoencoder_keeps_the_clip(model):
    frames = demo_clip(2)[0]
    error = (model.decode(model.encode(frames)) - frames) ** 2
    assert -10 * np.log10(error.mean()) > 26


def test_a_fixed_seed_gives_the_picture_that_was_exported():
    stored = json.loads((weights_dir() / "training.json").read_text(encoding="utf-8"))["sample"]
    found = sample_statistics(weights_dir())
    assert found == sample_statistics(weights_dir())
    # Other machines round otherwise, which 25 steps amplify a little.
    assert found["mean"] == pytest.approx(stored["mean"], abs=0.02)
    assert found["std"] == pytest.approx(stored["std"], abs=0.02)


@pytest.mark.slow
def test_the_judge_reads_what_the_autoencoder_kept(model):
    scenes = bench_scenes(50, seed=3)
    images = np.stack([render(scene)[0] for scene in scenes])
    kept = model.decode(model.encode(images))
    right = [
        judge_scene(scene, analyse(image)).right for scene, image in zip(scenes, kept, strict=True)
    ]
    assert np.mean(right) >= 0.98
    assert np.mean(psnr(kept, images)) > 32
