"""The video miniature in the house: its weights in a folder, as a model, in the node's choice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from video_weights import write_weights

from evenframe.__main__ import main
from evenframe.cli import demo
from evenframe.miniature import video
from evenframe.miniature.integrity import HASHES
from evenframe.miniature.video import sampling
from evenframe.miniature.video.card import model_card
from evenframe.miniature.video.comfyui import write_files
from evenframe.miniature.video.demo import demo_clip, demo_edit
from evenframe.miniature.video.export import LIMIT, sample_statistics
from evenframe.miniature.video.judge import watch
from evenframe.miniature.video.model import FILES, load_model
from evenframe.miniature.video.sample_clips import stays_true
from evenframe.miniature.video.verdict import judge_clip
from evenframe.nodes import model as nodes
from evenframe.nodes.host import host
from evenframe.nodes.host.standalone import Session, StandaloneHost
from evenframe.nodes.video_miniature import EvenframeVideoMiniature
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.window import Windowing
from evenframe.pipelines.editing import edit
from evenframe.pipelines.measure.psnr import psnr
from evenframe.pipelines.models import families
from evenframe.pipelines.source.inversion import invert
from evenframe.pipelines.source.report import report

PROMPT = "a red circle moving left on a gray background"
OPTION = "video miniature (built in)"
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("video"))


@pytest.fixture
def shipped(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The weights, where the pack looks for its own."""
    monkeypatch.setattr(video, "weights_dir", lambda: weights)
    monkeypatch.setattr("evenframe.miniature.video.model.weights_dir", lambda: weights)
    return weights


@pytest.fixture
def session(tmp_path: Path) -> Iterator[None]:
    assert isinstance(host, StandaloneHost)
    with host.using(Session(models=(tmp_path,))):
        yield


def test_the_folder_is_in_the_layout_of_diffusers(weights: Path):
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
    from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
    from transformers import CLIPTextModel

    index = json.loads((weights / "model_index.json").read_text())
    assert index["_class_name"] == "WanPipeline"
    kinds: dict[str, Any] = {
        "transformer": WanTransformer3DModel,
        "vae": AutoencoderKLWan,
        "text_encoder": CLIPTextModel,
    }
    for part, kind in kinds.items():
        assert index[part][1] == kind.__name__
        if part == "text_encoder":
            assert kind.from_pretrained(weights / part, local_files_only=True)
            continue
        made = kind.from_config(json.loads((weights / part / "config.json").read_text()))
        made.load_state_dict(load_file(weights / FILES[part]))
    assert json.loads((weights / HASHES).read_text()).keys() == set(FILES.values())
    assert not weights.with_name("weights.part").exists()


def test_the_card_is_of_these_weights(weights: Path):
    facts = json.loads((weights / "training.json").read_text())
    size = sum((weights / name).stat().st_size for name in FILES.values())
    assert model_card(facts, size, facts) == (weights / "README.md").read_text(encoding="utf-8")
    assert facts["sample"] == sample_statistics(weights)
    told = {
        "counters": {"frames_seen": 1000, "clips_seen": 2000, "step": 30, "seconds": 7200.0},
        "recipe": {"rate": 2e-3, "shift": [3, 0.5], "drop_prompt": 0.1, "average": 0.999},
    }
    card = model_card({"transformer": told}, size, {"hardware": "a core", "figures": {"a.b": 1}})
    assert "1,000 single latent frames and 2,000 clips, 2.0 hours on a core" in card
    assert "triangle growing" in card and "| `a.b` | 1 |" in card


def test_it_is_offered_once_its_weights_are_there(
    weights: Path, session: None, monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path
):
    for there, folder in ((False, tmp_path / "none"), (True, weights)):
        monkeypatch.setattr(video, "weights_dir", lambda folder=folder: folder)
        assert (OPTION in nodes.model_options()) == there
        assert main(["models", "--models", str(tmp_path)]) == 0
        told = capsys.readouterr().out
        assert (f"built in     {OPTION}" in told) == there and nodes.MINIATURE in told


def test_without_weights_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys):
    for module in ("video", "video.model"):
        monkeypatch.setattr(f"evenframe.miniature.{module}.weights_dir", lambda: tmp_path / "none")
    with pytest.raises(EvenframeError, match="not trained yet"):
        families.load(video.NAME)
    assert main(["demo", "--video-model", "--output", str(tmp_path)]) == 1
    assert "not trained yet" in capsys.readouterr().err


def test_altered_weights_are_refused(weights: Path, tmp_path: Path):
    import shutil

    folder = Path(shutil.copytree(weights, tmp_path / "altered"))
    file = folder / FILES["transformer"]
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(EvenframeError, match=r"transformer.* has SHA-256"):
        load_model(folder=folder)


@pytest.mark.skipif(
    not video.is_there(),
    reason="no trained weights yet: python -m evenframe.miniature.video.export writes them, and "
    "the statistics of a fixed seed with them",
)
def test_a_fixed_seed_gives_the_clip_that_was_exported():
    folder = video.weights_dir()
    stored = json.loads((folder / "training.json").read_text(encoding="utf-8"))["sample"]
    found = sample_statistics(folder)  # which checks the hashes
    assert (found["prompt"], found["seed"]) == (stored["prompt"], stored["seed"])
    # Other machines round otherwise, which 25 steps amplify a little.
    assert found["mean"] == pytest.approx(stored["mean"], abs=0.02)
    assert found["std"] == pytest.approx(stored["std"], abs=0.02)
    assert sum((folder / name).stat().st_size for name in FILES.values()) <= LIMIT
    model, frames = sampling.load(folder), demo_edit(5).frames
    kept = model.decode(model.encode(frames[None]))[0]
    assert psnr(torch.from_numpy(kept), torch.from_numpy(frames)) > 26


def test_load_model_loads_it_and_tells_what_it_knows(shipped: Path, session: None):
    output = nodes.EvenframeLoadModel.execute(OPTION, "fp32", "auto")
    assert output.ui["text"][0].startswith("video miniature: 128 px, flow, float32,")
    assert output.ui["text"][1] == nodes.OWN_WORLD
    model = host.load(output.args[0])
    assert model.schedule.identity() == "flow, shift 5.0, scale 1000.0"
    assert model.text.encode(PROMPT).notes == ()
    [note] = model.text.encode("a red circle jumping on a gray background").notes
    assert "never trained on 'jumping'" in note
    assert nodes.EvenframeLoadModel.fingerprint_inputs(OPTION)


def test_its_sockets_are_comfyuis(shipped: Path, session: None):
    assert EvenframeVideoMiniature.fingerprint_inputs()
    with pytest.raises(EvenframeError, match="only inside ComfyUI: use Load Model"):
        EvenframeVideoMiniature.execute()
    page = ROOT / "web" / "docs" / f"{EvenframeVideoMiniature.GET_SCHEMA().node_id}.md"
    text = page.read_text()
    for output in EvenframeVideoMiniature.GET_SCHEMA().outputs:
        assert f"| `{output.display_name}` |" in text


def test_its_files_have_the_names_of_wan(weights: Path, tmp_path: Path):
    transformer, vae = (load_file(file) for file in write_files(tmp_path, weights))
    assert transformer["text_embedding.0.weight"].shape[1] == 4096
    assert "blocks.0.self_attn.q.weight" in transformer and "head.modulation" in transformer
    assert vae["encoder.downsamples.5.time_conv.weight"].shape == (32, 32, 3, 1, 1)
    assert vae["decoder.upsamples.7.time_conv.weight"].shape == (128, 64, 3, 1, 1)
    assert vae["conv1.weight"].shape == (32, 32, 1, 1, 1)
    assert not any("resnets" in name or "_blocks" in name for name in vae)
    assert len(vae) == len(load_file(weights / FILES["vae"]))
    with pytest.raises(EvenframeError, match="weights are missing"):
        write_files(tmp_path, tmp_path / "none")


def test_it_predicts_as_plain_sampling_does(shipped: Path):
    model, plain = families.load(video.NAME), sampling.load(shipped)
    latents = torch.randn(1, 16, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    prompt = model.text.encode(PROMPT)
    assert torch.allclose(prompt.states["tokens"], plain.embed([PROMPT])[0], atol=1e-5)
    found = model.denoiser.predict(
        latents[0].transpose(0, 1), model.schedule.at(600.0), {"target": prompt}
    )["target"]
    with torch.no_grad():
        stock = plain.transformer(latents, torch.tensor([600.0]), plain.embed([PROMPT])).sample
    assert torch.allclose(found, stock[0].transpose(0, 1), atol=1e-4)
    frames = np.random.default_rng(0).random((1, 5, 64, 64, 3), np.float32)
    encoded = model.codec.encode(torch.from_numpy(frames[0])).transpose(0, 1)
    assert torch.allclose(encoded, plain.encode(frames)[0], atol=1e-4)
    done: list[int] = []
    decoded = model.codec.decode(latents[0].transpose(0, 1), on_frame=done.append).numpy()
    assert done == [1, 2]
    assert np.allclose(decoded, plain.decode(latents)[0], atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_keep_what_they_are_too_coarse_for(shipped: Path, dtype: torch.dtype):
    model = families.load(video.NAME, dtype=dtype)
    named = dict(model.denoiser.module.named_parameters())
    assert model.dtype == named["blocks.0.attn1.to_q.weight"].dtype == dtype
    assert named["blocks.0.scale_shift_table"].dtype == torch.float32
    kept = torch.float32 if dtype == torch.float16 else dtype
    assert {module.weight.dtype for module in (model.codec.module.post_quant_conv,)} == {kept}
    inversion = invert(model, torch.rand(5, 32, 32, 3), PROMPT, steps=1)
    assert edit(model, inversion, PROMPT.replace("red", "blue")).isfinite().all()


def test_a_clip_longer_than_it_was_trained_on_is_told_and_cut_into_windows(
    shipped: Path, caplog: pytest.LogCaptureFixture
):
    model, clip = families.load(video.NAME), torch.rand(21, 32, 32, 3)
    whole = invert(model, clip, PROMPT, steps=1)
    told = "21 frames are denoised at once, and 'video miniature' was trained on 17 at most: "
    assert told + "cut the clip into windows of 17 frames" in caplog.text
    assert any(told in line for line in report(model, whole, clip, False, False).lines)
    caplog.clear()
    cut = invert(model, clip, PROMPT, steps=1, windowing=Windowing(size=17, stride=12))
    assert cut.windows == [range(5), range(1, 6)] and not caplog.text
    assert not any("at once" in line for line in report(model, cut, clip, False, False).lines)
    edited = edit(model, cut, PROMPT.replace("red", "blue"), guidance_scale=1)
    assert model.codec.decode(edited).shape == clip.shape and edited.isfinite().all()


def test_latents_of_another_model_are_refused(shipped: Path):
    with pytest.raises(EvenframeError, match="decodes \\(latent frames, 16, height/8, width/8\\)"):
        families.load(video.NAME).codec.decode(torch.zeros(2, 4, 16, 16))


def test_other_numbers_of_frames_are_refused(shipped: Path):
    with pytest.raises(EvenframeError, match="choose 5 or 9 of them"):
        invert(families.load(video.NAME), torch.rand(8, 128, 128, 3), PROMPT, steps=1)


def test_the_demo_edits_a_clip_of_its_own(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    from evenframe.pipelines.video import load

    monkeypatch.setattr(demo, "STEPS", 1)
    monkeypatch.setattr("evenframe.miniature.video.demo.demo_edit", partial(demo_edit, 1))
    assert main(["demo", "--video-model", "--output", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "a red circle moving down left of a blue square moving up on a gray background" in told
    assert load(tmp_path / "demo_00001_.mp4").frames.shape == (1, 128, 128, 3)


def test_the_demo_shows_its_prompt():
    shown, clip = demo_edit(), demo_clip()
    verdict = judge_clip(clip, watch(shown.frames))
    assert stays_true(clip) and verdict.right and verdict.motion == (True, True)
    assert shown.frames.shape == (17, 128, 128, 3) and shown.masks.shape == (17, 128, 128)
    assert shown.source == clip.prompt and shown.target == clip.prompt.replace("red", "yellow")
