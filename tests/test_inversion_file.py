"""Inversions on disk: what comes back, what is refused, what the cache keeps."""

import json
import os
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from evenframe.benchmarks.models import with_part
from evenframe.pipelines.attention.sites import Layout
from evenframe.pipelines.common import tensor_file
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.tensor_file import SUFFIX, hash_tensors
from evenframe.pipelines.common.window import Windowing
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.models.stable_diffusion.codec import FrameCodec
from evenframe.pipelines.source import file as inversion_file
from evenframe.pipelines.source import origin
from evenframe.pipelines.source.cache import InversionCache, find_or_invert, inversion_key
from evenframe.pipelines.source.inversion import Inversion, Settings, invert
from evenframe.pipelines.source.origin import origin_of
from evenframe.pipelines.source.reconstruction import checked, reconstruct

PROMPT = "a silver jeep, driving"


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    return torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def inversion(model, frames) -> Inversion:
    return invert(model, frames, PROMPT, steps=3, store="resident")


def test_what_is_saved_comes_back(inversion: Inversion, tmp_path: Path) -> None:
    read = inversion_file.load(inversion_file.save(inversion, tmp_path / "a.safetensors"))
    assert torch.equal(read.trajectory, inversion.trajectory)
    assert torch.equal(read.prompt.states["tokens"], inversion.prompt.states["tokens"])
    assert read.prompt.tokens == inversion.prompt.tokens
    assert (read.times, read.keyframes, read.model, read.origin) == (
        inversion.times,
        inversion.keyframes,
        inversion.model,
        inversion.origin,
    )


def test_layers_survive_the_way_to_disk_and_old_files_have_the_models_own(
    inversion: Inversion, tmp_path: Path
) -> None:
    chosen = replace(inversion, layers="all")
    path = inversion_file.save(chosen, tmp_path / "a.safetensors")
    assert inversion_file.load(path).layers == "all"
    text, tensors = tensor_file.read(path, inversion_file.FORMAT)

    def rewritten(name: str, header: dict[str, object]) -> Path:
        path, text = tmp_path / name, json.dumps(header)
        return tensor_file.write(path, inversion_file.FORMAT, text, tensors, "inversion")

    header = json.loads(text)
    wrong = rewritten("wrong.safetensors", header | {"layers": "x" * 9})
    with pytest.raises(EvenframeError, match="key-frame layers 'xxxxxxxxx' is unknown"):
        inversion_file.load(wrong)
    del header["layers"]
    assert inversion_file.load(rewritten("old.safetensors", header)).layers == "auto"


def test_the_rebuilt_frame_of_a_checked_inversion_comes_back(
    model, inversion: Inversion, tmp_path: Path
) -> None:
    whole = checked(model, inversion)
    assert whole.rebuilt is not None
    assert torch.equal(whole.rebuilt, reconstruct(model, inversion, 0))
    read = inversion_file.load(inversion_file.save(whole, tmp_path / "a.safetensors"))
    assert read.rebuilt is not None and torch.equal(read.rebuilt, whole.rebuilt)
    broken = replace(inversion, rebuilt=torch.zeros(1, 4, 2, 2))
    path = inversion_file.save(broken, tmp_path / "b.safetensors")
    with pytest.raises(EvenframeError, match="its rebuilt frame does not match its trajectory"):
        inversion_file.load(path)


def test_the_header_names_what_it_is_the_inversion_of(
    model, frames, inversion: Inversion, tmp_path: Path
) -> None:
    path = inversion_file.save(inversion, tmp_path / "a.safetensors")
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["header"])
    assert (header["model"], header["prompt"]) == (model.fingerprint, PROMPT)
    assert header["prompt_hash"] == hash_tensors({"embeddings": inversion.prompt.states["tokens"]})
    assert header["origin"]["clip"] == hash_tensors({"frames": frames})
    assert len(header["origin"]["schedule"]) == 64
    assert f"torch {torch.__version__}, diffusers " in header["origin"]["versions"]


def test_an_inversion_that_is_not_numbers_is_refused(inversion: Inversion, tmp_path: Path) -> None:
    broken = replace(inversion, trajectory=inversion.trajectory * float("nan"))
    path = inversion_file.save(broken, tmp_path / "a.safetensors")
    with pytest.raises(EvenframeError, match="its trajectory holds what is not a number"):
        inversion_file.load(path)


def test_an_edit_from_disk_has_the_same_bytes(model, inversion, tmp_path: Path) -> None:
    read = inversion_file.load(inversion_file.save(inversion, tmp_path / "a.safetensors"))
    fusion = Fusion(blend_words=("jeep",), threshold=0.9)
    kept, again = (
        edit(model, value, "a red jeep, driving", controls=[fusion]) for value in (inversion, read)
    )
    assert not read.records
    assert torch.equal(kept, again)


@pytest.mark.parametrize(
    "timesteps", [(1, 334, 667), (667, 334, 334), (667, 334, -1), (667, 334), (9, 8, 7, 6), ()]
)
def test_timesteps_that_are_no_way_to_a_picture_are_refused(
    inversion: Inversion, tmp_path: Path, timesteps
) -> None:
    forged = copy(inversion)
    object.__setattr__(forged, "times", (*timesteps, -1))
    path = inversion_file.save(forged, tmp_path / "a.safetensors")
    with pytest.raises(EvenframeError, match=r"a\.safetensors' is not a usable inversion"):
        inversion_file.load(path)


def test_timesteps_beyond_the_models_are_refused(model, inversion, tmp_path: Path) -> None:
    foreign = replace(inversion, times=(1200, 334, 1, -332), records=())
    read = inversion_file.load(inversion_file.save(foreign, tmp_path / "a.safetensors"))
    message = "^The timestep 1200 is beyond the model's noise levels, 0 to 999: invert the clip"
    with pytest.raises(EvenframeError, match=message):
        reconstruct(model, read)
    with pytest.raises(EvenframeError, match=message):
        edit(model, read, "a red jeep, driving")


@pytest.mark.parametrize("damage", ["byte", "header", "cut", "empty", "text"])
def test_a_damaged_file_is_refused(inversion: Inversion, tmp_path: Path, damage: str) -> None:
    path = inversion_file.save(inversion, tmp_path / "a.safetensors")
    data = bytearray(path.read_bytes())
    if damage == "byte":
        data[-5] ^= 1
    elif damage == "header":
        data = data.replace(b"silver", b"golden")
    path.write_bytes(
        {"cut": data[: len(data) // 2], "empty": b"", "text": b"not an inversion"}.get(damage, data)
    )
    with pytest.raises(EvenframeError, match=r"a\.safetensors' is not a usable inversion"):
        inversion_file.load(path)


def test_a_full_disk_is_said_and_leaves_nothing(
    inversion: Inversion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(EvenframeError, match="No space left on device"):
        inversion_file.save(inversion, tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_the_second_time_nothing_is_inverted(model, frames, tmp_path: Path) -> None:
    cache, steps = InversionCache(tmp_path, 10**9), []
    prompt = model.text.encode(PROMPT)

    def request(**changes) -> tuple[Inversion, bool]:
        settings = replace(Settings(2), **changes)
        return find_or_invert(cache, model, frames, prompt, settings, on_step=steps.append)

    first, found = request()
    assert (found, len(steps)) == (False, 2)
    second, found = request()
    assert (found, len(steps)) == (True, 2)
    assert torch.equal(first.trajectory, second.trajectory)
    assert request(steps=3)[1] is False
    assert request(keyframes=("first",))[1] is False
    assert request(seed=1)[1] is False
    assert request(store="recompute")[1] is True


def test_what_is_found_is_as_the_store_says_whichever_it_was_made_with(
    model, frames, tmp_path: Path
) -> None:
    """`auto` and `recompute` differ in rounding."""
    cache, prompt = InversionCache(tmp_path, 10**9), model.text.encode(PROMPT)
    find_or_invert(cache, model, frames, prompt, Settings(2, store="recompute"))
    for store in ("auto", "resident", "recompute"):
        inversion, found = find_or_invert(cache, model, frames, prompt, Settings(2, store=store))
        assert (inversion.mode, found) == (store, True)


def test_the_clip_is_hashed_once(
    model, frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[int] = []

    def counting(tensors):
        hashed.extend(len(tensor) for name, tensor in tensors.items() if name == "frames")
        return hash_tensors(tensors)

    monkeypatch.setattr(origin, "hash_tensors", counting)
    cache, prompt = InversionCache(tmp_path, 10**9), model.text.encode(PROMPT)
    inversion, _ = find_or_invert(cache, model, frames, prompt, Settings(1))
    assert hashed == [len(frames)]
    assert inversion.origin.clip == hash_tensors({"frames": frames})


def test_a_check_that_is_interrupted_does_not_cost_the_inversion(
    model, frames, tmp_path: Path
) -> None:
    class Stop(BaseException):
        pass

    def stop(report) -> None:
        raise Stop

    cache, prompt = InversionCache(tmp_path, 10**9), model.text.encode(PROMPT)
    request = (cache, model, frames, prompt, Settings(2))
    with pytest.raises(Stop):
        find_or_invert(*request, check=True, on_check=stop)
    inversion, found = find_or_invert(*request, check=True)
    assert found and inversion.rebuilt is not None
    assert find_or_invert(*request)[0].rebuilt is not None


def test_a_damaged_file_in_the_cache_is_made_again(model, frames, tmp_path: Path) -> None:
    cache, prompt = InversionCache(tmp_path, 10**9), model.text.encode(PROMPT)
    request = (cache, model, frames, prompt, Settings(2))
    find_or_invert(*request)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    assert find_or_invert(*request)[1] is False
    assert find_or_invert(*request)[1] is True


def test_a_file_under_another_key_does_not_count(inversion: Inversion, tmp_path: Path) -> None:
    cache = InversionCache(tmp_path, 10**9)
    cache.put("one", inversion)
    (tmp_path / f"one{SUFFIX}").rename(tmp_path / f"two{SUFFIX}")
    assert cache.get("two") is None


def test_the_cache_drops_what_was_used_longest_ago(inversion: Inversion, tmp_path: Path) -> None:
    size = inversion_file.save(inversion, tmp_path / "measure").stat().st_size
    cache = InversionCache(tmp_path / "cache", int(2.5 * size))
    for age, key in enumerate(("a", "b")):
        cache.put(key, inversion)
        os.utime(tmp_path / "cache" / f"{key}{SUFFIX}", (age, age))
    assert cache.get("a") is not None  # used now, so b is the one used longest ago
    cache.put("c", inversion)
    assert [cache.get(key) is not None for key in ("a", "b", "c")] == [True, False, True]


def test_a_cache_of_no_size_keeps_and_finds_nothing(inversion: Inversion, tmp_path: Path) -> None:
    InversionCache(tmp_path, 10**9).put("one", inversion)
    nothing = InversionCache(tmp_path, 0)
    nothing.put("two", inversion)
    assert nothing.get("one") is None
    assert [path.stem for path in tmp_path.iterdir()] == ["one"]


def test_an_unknown_mode_is_refused_though_the_inversion_was_kept(
    model, frames, tmp_path: Path
) -> None:
    cache, prompt = InversionCache(tmp_path, 10**9), model.text.encode(PROMPT)
    find_or_invert(cache, model, frames, prompt, Settings(2))
    with pytest.raises(EvenframeError, match="attention store mode 'maps' is unknown"):
        find_or_invert(cache, model, frames, prompt, Settings(2, store="maps"))


def test_a_cache_that_cannot_be_written_costs_nothing_but_the_cache(
    model, frames, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = InversionCache(tmp_path / "file", 10**9)
    prompt = model.text.encode(PROMPT)
    inversion, found = find_or_invert(cache, model, frames, prompt, Settings(2))
    assert (inversion.latent_frames, found) == (2, False)
    assert "The inversion could not be written" in caplog.text


def test_the_key_follows_everything_that_matters(model, frames) -> None:
    def key(of=model, pixels=frames, text=PROMPT, **changes) -> str:
        settings, prompt = replace(Settings(2), **changes), model.text.encode(text)
        return inversion_key(of, prompt, settings, origin_of(model, pixels))

    class Scaled(FrameCodec):
        def exported(self, latents: torch.Tensor) -> torch.Tensor:
            return latents / 0.5

    class Half(Model):
        @property
        def dtype(self) -> torch.dtype:
            return torch.float16

    class Elsewhere(Model):
        @property
        def device(self) -> torch.device:
            return torch.device("cuda", 0)

    changed = frames.clone()
    changed[0, 0, 0, 0] += 0.01
    keys = [
        key(),
        key(pixels=changed),
        key(text="a jeep"),
        key(steps=3),
        key(keyframes=("first",)),
        key(layers="all"),
        key(seed=0),
        key(solver="uni-inv"),
        key(windowing=Windowing(1, 1)),
        *(key(kind(**vars(model))) for kind in (Half, Elsewhere)),
        key(replace(model, codec=Scaled(**vars(model.codec)))),
        key(with_part(model, "denoiser", layout=Layout(32, 32, 32))),
    ]
    assert len(set(keys)) == len(keys)
    assert key() == key(store="recompute")


def test_every_part_of_the_noise_schedule_is_in_its_hash(model: Model):
    schedule: Any = model.schedule
    frames = torch.zeros(1, 64, 64, 3)
    others = [
        replace(schedule, kind="v"),
        replace(schedule, steps_offset=schedule.steps_offset + 1),
        replace(schedule, spacing="trailing"),
        replace(schedule, alphas_cumprod=schedule.alphas_cumprod * 0.999),
    ]
    hashes = {
        origin_of(replace(model, schedule=each), frames).schedule for each in [schedule, *others]
    }
    assert len(hashes) == 5


def test_a_prompt_stays_that_of_its_text_encoder(inversion: Inversion, tmp_path: Path) -> None:
    """Which is another than the model's, where a difference was put on its denoiser."""
    own = replace(inversion, prompt=replace(inversion.prompt, model="its encoder"), records=())
    read = inversion_file.load(inversion_file.save(own, tmp_path / "a.safetensors"))
    assert (read.model, read.prompt.model) == (inversion.model, "its encoder")


def test_a_pooled_state_comes_back(inversion: Inversion, tmp_path: Path) -> None:
    states = {**inversion.prompt.states, "pooled": torch.arange(5.0)}
    saved = replace(inversion, prompt=replace(inversion.prompt, states=states))
    back = inversion_file.load(inversion_file.save(saved, tmp_path / "a.safetensors"))
    assert torch.equal(back.prompt.states["pooled"], torch.arange(5.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"states": {"image": torch.ones(1)}}, r"states \(image\)"),
        ({"host": []}, "other nodes put"),
    ],
)
def test_what_a_file_cannot_hold_is_refused(
    inversion: Inversion, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    states = {**inversion.prompt.states, **change.pop("states", {})}
    prompt = replace(inversion.prompt, states=states, **change)
    with pytest.raises(EvenframeError, match=message + ".* that a file cannot hold"):
        inversion_file.save(replace(inversion, prompt=prompt), tmp_path / "a.safetensors")


def test_a_prompt_with_a_controlnet_is_never_found_again(model, frames, tmp_path: Path) -> None:
    cache, prompt = InversionCache(tmp_path, 10**9), model.text.encode(PROMPT)
    find_or_invert(cache, model, frames, prompt, Settings(2))
    for _ in range(2):
        steered = replace(prompt, host=["a ControlNet"])
        assert not find_or_invert(cache, model, frames, steered, Settings(2))[1]
    assert find_or_invert(cache, model, frames, prompt, Settings(2))[1]
