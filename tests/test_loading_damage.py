"""Every file of a model folder and of an inversion, damaged in many ways: our own error or a model.

What is let through is not computed with here: modules are built where a case is about them only.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import damage
import ldm_layout as layout
import pytest
import torch
from torch import Tensor

from evenframe.pipelines.common import tensor_file
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.noise_schedule import NoiseSchedule
from evenframe.pipelines.models.stable_diffusion import configs, shipped
from evenframe.pipelines.models.stable_diffusion import folder as diffusers_folder
from evenframe.pipelines.models.stable_diffusion.folder import load_folder
from evenframe.pipelines.models.stable_diffusion.single_file import load_checkpoint
from evenframe.pipelines.models.stable_diffusion.tokenizer import read_tokenizer, tokenizer_files
from evenframe.pipelines.source import file as inversion_file
from evenframe.pipelines.source.inversion import Inversion, invert
from evenframe.pipelines.source.reconstruction import reconstruct

# How many ways to hurt a file at random: more in a long run.
COUNT = int(os.environ.get("EVENFRAME_DAMAGE", "3"))


class Accepted(BaseException):
    """Everything that comes before the modules are made was let through."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose weights are a header and a hole."""
    path = tmp_path_factory.mktemp("folders") / "tiny"
    for part, name in (("unet", "config"), ("vae", "config"), ("text_encoder", "config")):
        (path / part).mkdir(parents=True)
        shutil.copy(shipped.CONFIGS / "sd15" / part / f"{name}.json", path / part)
        stem = diffusers_folder.STEMS[part]
        layout.save_hollow(path / part / f"{stem}.safetensors", {"conv_in.weight": (4, 4, 3, 3)})
    shutil.copytree(shipped.CONFIGS / "sd15" / "scheduler", path / "scheduler")
    shutil.copytree(shipped.CONFIGS / "tokenizer", path / "tokenizer")
    shutil.copy(shipped.CONFIGS / "sd15" / "model_index.json", path)
    return path


@pytest.fixture
def before_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop where modules would be made; the tokenizer, which takes a second, is left out."""

    def accept(*args: object) -> None:
        raise Accepted

    monkeypatch.setattr(diffusers_folder, "build", accept)
    monkeypatch.setattr(diffusers_folder, "read_tokenizer", lambda folder: None)


def told(run: Callable[[], Any], what: str) -> str:
    """What an attempt was told, "" where it was let through; anything but our own error fails."""
    try:
        run()
    except Accepted:
        return ""
    except EvenframeError as error:
        text = str(error)
        assert len(text.splitlines()) == 1 and len(text) < 600, what
        assert any(verb in text for verb in REMEDIES), f"{what}: {text}"
        return text
    except Exception as error:
        raise AssertionError(f"{what}: {error!r}") from error
    return ""


REMEDIES = ("download", "choose", "Choose", "check", "Check", "use ", "Use ", "invert", "make it")


def settings_of(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.json")) if path.parent.name != "tokenizer"]


def test_settings_hurt_at_random(folder: Path, before_modules: None) -> None:
    for path in settings_of(folder):
        for what in damage.each(path, damage.of_bytes(path.read_bytes(), COUNT)):
            told(lambda: load_folder(folder), what)


@pytest.mark.parametrize("name", ["model_index.json", "scheduler/scheduler_config.json"])
def test_settings_with_other_values(folder: Path, before_modules: None, name: str) -> None:
    path = folder / name
    for what in damage.each(path, damage.of_json(json.loads(path.read_text()), places=4 * COUNT)):
        told(lambda: load_folder(folder), what)


def test_files_that_are_none(folder: Path, before_modules: None) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.parent.name != "tokenizer":
            for what in damage.replaced(path):
                assert told(lambda: load_folder(folder), what), what


def test_weights_hurt_at_random(folder: Path, before_modules: None) -> None:
    for path in sorted(folder.rglob("*.safetensors")):
        data = path.read_bytes()
        length = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:length])
        for what in damage.each(path, damage.of_bytes(data[:length], 3 * COUNT)):
            told(lambda: load_folder(folder), what)
        ways = [
            (what, len(text).to_bytes(8, "little") + text + data[length:])
            for what, text in damage.of_json(header)
        ]
        for what in damage.each(path, ways):
            told(lambda: load_folder(folder), what)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_configurations_with_other_values_are_told_or_made(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is let through goes to the library, whose own refusals are told."""

    def made(part: str, config: dict[str, Any]) -> None:
        assert all(-1 <= value <= 10**6 for value in numbers(list(config.values())))
        raise Accepted

    monkeypatch.setattr(configs, "empty", made)
    whole = {name: shipped.config("sd15", name) for name in ("unet", "vae", "text_encoder")}
    whole = {part: whole[part]} | whole
    monkeypatch.setattr(configs, "_made", only(part, configs._made))
    refused = 0
    for what, text in damage.of_json(whole[part], places=4 * COUNT):
        changed = whole | {part: json.loads(text)}
        refused += bool(told(lambda changed=changed: configs.build(changed), what))
    assert refused > 100


def only(part: str, made: Callable[..., Any]) -> Callable[..., Any]:
    return lambda name, *rest: made(name, *rest) if name == part else None


def numbers(value: Any) -> Iterator[float]:
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, list):
            yield from numbers(each)
        elif isinstance(each, int | float) and not isinstance(each, bool):
            yield each


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("unet", {"norm_num_groups": 31}, "'unet/config.json' does not describe"),
        ("unet", {"act_fn": "x"}, "'unet/config.json' does not describe"),
        ("unet", {"down_block_types": []}, "'unet/config.json' does not describe"),
        ("unet", {"attention_head_dim": 0}, "'unet/config.json' does not describe"),
        ("unet", {"layers_per_block": 10**5}, "has 100000 as its 'layers_per_block', where a num"),
        ("unet", {"sample_size": None}, "has None as its 'sample_size', where a number is needed"),
        ("unet", {"block_out_channels": [32] * 99}, "where at most 16 entries are read"),
        ("unet", {"norm_eps": "1e-5"}, "has '1e-5' as its 'norm_eps', where a number from 0 to 1"),
        ("unet", {"downsample_padding": 5}, "has 5 as its 'downsample_padding', where a number"),
        ("vae", {"scaling_factor": 0}, "has 0 as its 'scaling_factor'"),
        ("vae", {"latent_channels": 16}, "has 16 as its 'latent_channels'"),
        ("text_encoder", {"num_hidden_layers": 10**6}, "has 1000000 as its 'num_hidden_layers'"),
        ("text_encoder", {"num_attention_heads": 7}, "'text_encoder/config.json' does not descr"),
        ("text_encoder", {"hidden_act": "x"}, "'text_encoder/config.json' does not describe"),
        ("text_encoder", {"max_position_embeddings": 8}, "a number from 77 to 4096 is needed"),
    ],
)
def test_configurations_that_describe_no_model_say_so(
    part: str, changes: dict[str, Any], message: str
) -> None:
    whole = {name: shipped.config("sd15", name) for name in ("unet", "vae", "text_encoder")}
    whole[part] |= changes
    with pytest.raises(EvenframeError, match=message):
        configs.build(whole)


def test_a_text_encoder_cannot_ask_for_code(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(configs, "empty", lambda part, config: seen.append(config))
    monkeypatch.setattr(configs, "_made", only("text_encoder", configs._made))
    whole = {name: shipped.config("sd15", name) for name in ("unet", "vae", "text_encoder")}
    whole["text_encoder"] |= {"attn_implementation": "somebody/kernel", "auto_map": {"a": "b.c"}}
    with pytest.raises(AttributeError):  # of the VAE that was not made
        configs.build(whole)
    assert not {"attn_implementation", "auto_map"} & set(seen[0])


def test_schedules_with_other_values_are_told_or_can_be_used() -> None:
    for what, text in damage.of_json(shipped.config("sd15", "scheduler")):
        config = json.loads(text)
        told(lambda config=config: NoiseSchedule.from_config(config).times(1), what)
    with pytest.raises(EvenframeError, match="has 1e\\+17 as its 'num_train_timesteps', where a"):
        NoiseSchedule.from_config({"num_train_timesteps": 1e17})


# --- the tokenizer


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer_config.json", b"{", "'tokenizer/tokenizer_config.json' cannot be read"),
        ("tokenizer_config.json", b"[]", "is not a JSON object"),
        ("tokenizer_config.json", b'{"bos_token": 5}', "The tokenizer of 'tiny' cannot be used"),
        ("tokenizer_config.json", b'{"bos_token": {"a": []}}', "The tokenizer of 'tiny' cannot"),
        ("vocab.json", b"", "'tokenizer/vocab.json' is empty"),
        ("vocab.json", b'{"a": 99999999999999999999}', "holds a number 20 characters long"),
        ("vocab.json", b'{"a": "b"}', "The tokenizer of 'tiny' cannot be used"),
        ("vocab.json", b'{"a": -1}', "The tokenizer of 'tiny' cannot be used"),
        ("vocab.json", b"{}", "The tokenizer of 'tiny' cannot be used"),
        ("merges.txt", b"\xff\xfe\xfd", "'tokenizer/merges.txt' cannot be read"),
        ("merges.txt", b"one\ntwo three four\n", "The tokenizer of 'tiny' cannot be used"),
        ("merges.txt", b"a" * (16 * 2**20 + 1), "it has 16777217 bytes, and 16777216 are read"),
        ("added_tokens.json", b'{"a": {}}', "The tokenizer of 'tiny' cannot be used"),
        ("special_tokens_map.json", b'{"bos_token": 1}', "The tokenizer of 'tiny' cannot be used"),
    ],
)
def test_a_damaged_tokenizer_says_so(
    folder: Path, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    copy = shutil.copytree(folder / "tokenizer", tmp_path / "tiny" / "tokenizer")
    (copy / name).write_bytes(content)
    with pytest.raises(EvenframeError) as caught:
        read_tokenizer(copy)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_files_of_a_tokenizer_that_are_none(folder: Path) -> None:
    for path in tokenizer_files(folder / "tokenizer"):
        for what in damage.replaced(path):
            if what.endswith(("a folder", "a pipe", "/dev/zero")):  # others count as not there
                assert told(lambda: read_tokenizer(folder / "tokenizer"), what), what


# --- single files


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("model.diffusion_model.input_blocks.0.0.weight", (4,), "input channels"),
        ("model.diffusion_model.out.2.weight", (), "'out.2.weight' is of the shape ()"),
        ("model.diffusion_model.input_blocks.1.0.out_layers.3.weight", (31, 2), "UNet"),
        ("first_stage_model.decoder.conv_in.weight", (3,), "'decoder.conv_in.weight'"),
        ("first_stage_model.encoder.down.0.block.1.conv2.weight", (), "'encoder.down.0.block.1"),
        (
            "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
            (768,),
            "'embeddings.token_embedding.weight' is of the shape (768,)",
        ),
        (
            "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight",
            None,
            "it has no tensor 'encoder.layers.0.mlp.fc1.weight'",
        ),
    ],
)
def test_a_checkpoint_of_other_shapes_says_which(
    tmp_path: Path, name: str, shape: tuple[int, ...] | None, message: str
) -> None:
    shapes = layout.sd1_shapes()
    shapes = {key: value for key, value in shapes.items() if key != name}
    if shape is not None:
        shapes[name] = shape
    path = layout.save_hollow(tmp_path / "a.safetensors", shapes)
    with pytest.raises(EvenframeError) as caught:
        load_checkpoint(path)
    first = str(caught.value).splitlines()[0]
    assert message in first and first.startswith("'a.safetensors'")


@pytest.mark.parametrize("prefix", ["cond_stage_model.transformer.", "cond_stage_model.model."])
def test_a_checkpoint_without_text_layers_says_so(tmp_path: Path, prefix: str) -> None:
    full = layout.sd2_shapes() if prefix.endswith("model.") else layout.sd1_shapes()
    shapes = {
        name: shape
        for name, shape in full.items()
        if ".layers." not in name and ".resblocks." not in name
    }
    path = layout.save_hollow(tmp_path / "a.safetensors", shapes)
    with pytest.raises(EvenframeError, match="it has no tensor 'encoder.layers.0.mlp.fc1.weight'"):
        load_checkpoint(path)


# --- inversions


@pytest.fixture(scope="module")
def inversion(model: Any) -> Inversion:
    frames = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(5))
    return invert(model, frames, "a silver jeep, driving", steps=1)


@pytest.fixture
def parts(inversion: Inversion, tmp_path: Path) -> tuple[str, dict[str, Tensor]]:
    path = inversion_file.save(inversion, tmp_path / "whole.safetensors")
    return tensor_file.read(path, inversion_file.FORMAT)


def forge(path: Path, header: str, tensors: dict[str, Tensor]) -> Path:
    return tensor_file.write(path, inversion_file.FORMAT, header, tensors, "inversion")


def test_inversions_with_other_values_are_told(
    parts: tuple[str, dict[str, Tensor]], tmp_path: Path
) -> None:
    header, tensors = parts
    small = tensors | {"trajectory": torch.zeros(2, 2, 4, 1, 1)}
    ways = list(damage.of_json(json.loads(header), places=4 * COUNT))
    for what, text in ways:
        path = forge(tmp_path / "a.safetensors", text.decode(), small)
        told(lambda path=path: inversion_file.load(path), what)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("trajectory", torch.zeros(())),
        ("trajectory", torch.zeros(2, 2, 4, 0, 8)),
        ("trajectory", torch.zeros(2, 0, 4, 8, 8)),
        ("trajectory", torch.zeros(3, 2, 4, 8, 8)),
        ("trajectory", torch.zeros(2, 2, 4, 8, 8, dtype=torch.int32)),
        ("trajectory", torch.full((2, 2, 4, 8, 8), float("inf"))),
        ("embeddings", torch.zeros(77)),
        ("embeddings", torch.zeros(3, 768)),
        ("embeddings", torch.zeros(77, 0)),
        ("embeddings", torch.zeros(77, 768, dtype=torch.float64)),
        ("embeddings", torch.full((77, 768), float("nan"))),
        ("rebuilt", torch.zeros(1, 4, 4, 4)),
        ("rebuilt", torch.full((1, 4, 8, 8), float("nan"))),
        ("other", torch.zeros(1)),
    ],
)
def test_arrays_that_are_no_inversions_are_refused(
    parts: tuple[str, dict[str, Tensor]], tmp_path: Path, name: str, tensor: Tensor
) -> None:
    path = forge(tmp_path / "a.safetensors", parts[0], parts[1] | {name: tensor})
    with pytest.raises(EvenframeError, match="'a.safetensors' is not a usable inversion"):
        inversion_file.load(path)


@pytest.mark.parametrize(
    ("name", "shape"), [("trajectory", (2, 2, 3, 8, 8)), ("embeddings", (77, 5))]
)
def test_arrays_of_another_model_are_refused_where_it_computes(
    model: Any,
    parts: tuple[str, dict[str, Tensor]],
    tmp_path: Path,
    name: str,
    shape: tuple[int, ...],
) -> None:
    path = forge(tmp_path / "a.safetensors", parts[0], parts[1] | {name: torch.zeros(shape)})
    with pytest.raises(EvenframeError, match="make the inversion and the prompts again with this"):
        reconstruct(model, inversion_file.load(path))


def test_inversions_hurt_at_random(inversion: Inversion, tmp_path: Path) -> None:
    path = inversion_file.save(inversion, tmp_path / "a.safetensors")
    for what in damage.each(path, damage.of_bytes(path.read_bytes(), 2 * COUNT)):
        assert told(lambda: inversion_file.load(path), what), what
    for what in damage.replaced(path):
        assert told(lambda: inversion_file.load(path), what), what
