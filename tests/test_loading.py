"""Models from files, folders and memory, on random weights of the real layout."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
from pathlib import Path
from typing import Any

import ldm_layout as layout
import pytest
import torch
from torch import Tensor

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.files import fingerprint
from evenframe.pipelines.models.stable_diffusion import shipped
from evenframe.pipelines.models.stable_diffusion.components import Components
from evenframe.pipelines.models.stable_diffusion.folder import load_folder
from evenframe.pipelines.models.stable_diffusion.single_file import load_checkpoint

DOCTOR = [49406, 320, 5547, 533, 1629, 5298, 49407]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a model asks nothing of any network."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a model was looked for on the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def sd1_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sd1") / "tiny-sd1.safetensors"
    return layout.save_checkpoint(path, layout.sd1_shapes())


@pytest.fixture(scope="module")
def sd2_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sd2") / "tiny-sd2.safetensors"
    return layout.save_checkpoint(path, layout.sd2_shapes())


@pytest.fixture(scope="module")
def folder(sd1_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny SD 1 model in the diffusers layout."""
    path = tmp_path_factory.mktemp("folders") / "tiny"
    write_folder(load_checkpoint(sd1_file), path)
    return path


def write_folder(model: Components, path: Path) -> None:
    for part in ("unet", "vae", "text_encoder", "tokenizer"):
        getattr(model, part).save_pretrained(path / part)
    (path / "scheduler").mkdir()
    text = json.dumps(dict(model.scheduler_config))
    (path / "scheduler" / "scheduler_config.json").write_text(text)
    shutil.copy(shipped.CONFIGS / "sd15" / "model_index.json", path)


def parameters(model: Components) -> dict[str, Tensor]:
    return {
        f"{part}.{name}": value
        for part in ("unet", "vae", "text_encoder")
        for name, value in getattr(model, part).named_parameters()
    }


def assert_same_weights(left: Components, right: Any) -> None:
    for part in ("unet", "vae", "text_encoder"):
        ours, theirs = getattr(left, part).state_dict(), getattr(right, part).state_dict()
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert torch.equal(value, theirs[name]), name


# --- tokenizer


@pytest.mark.parametrize(("family", "padding"), [("sd15", 49407), ("sd21", 0)])
def test_the_shipped_tokenizer_is_clips(family: str, padding: int) -> None:
    tokenizer = shipped.tokenizer(family)
    assert tokenizer("a doctor is playing tennis").input_ids == DOCTOR
    assert len(tokenizer("Shiba-Inu").input_ids) == 2 + 5
    assert len(tokenizer) == 49408
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (49406, 49407)
    padded = tokenizer("a", padding="max_length").input_ids
    assert padded == [49406, 320, 49407] + [padding] * 74


# --- single files


@pytest.mark.parametrize("file", ["sd1_file", "sd2_file"])
def test_a_checkpoint_loads_as_diffusers_loads_it(
    file: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """diffusers is given the configuration, which we read from the shapes, and converts itself."""
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (
        StableDiffusionPipeline,
    )

    path = request.getfixturevalue(file)
    ours = load_checkpoint(path)
    write_folder(ours, tmp_path / "config")
    for weights in (tmp_path / "config").rglob("*.safetensors"):
        weights.unlink()
    theirs = StableDiffusionPipeline.from_single_file(
        str(path), config=str(tmp_path / "config"), local_files_only=True, tokenizer=ours.tokenizer
    )
    assert_same_weights(ours, theirs)
    latents, step = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)), 500
    ids = torch.arange(77)[None] % 64
    states = [model.text_encoder(ids).last_hidden_state for model in (ours, theirs)]
    assert torch.equal(states[0], states[1])
    for model in (ours, theirs):  # products of weights that lie otherwise in memory round otherwise
        for weight in model.unet.parameters():
            weight.data = weight.data.clone()
    outputs = [model.unet(latents, step, states[0]).sample for model in (ours, theirs)]
    assert torch.equal(outputs[0], outputs[1])
    assert outputs[0].std() > 0


def test_the_shipped_configuration_is_what_full_size_shapes_say() -> None:
    """The published widths and depths, and those that we read from the published shapes."""
    from evenframe.pipelines.models.stable_diffusion import ldm

    unet = layout.unet_shapes(layout.SD15_WIDTHS)
    assert ldm.unet_config("sd15", unet) == shipped.config("sd15", "unet")
    unet = layout.unet_shapes(layout.SD15_WIDTHS, text_width=1024, linear=True)
    assert ldm.unet_config("sd21", unet) == shipped.config("sd21", "unet")
    vae = layout.vae_shapes(layout.SD_VAE_WIDTHS)
    text = {k.removeprefix("text_model."): v for k, v in layout.clip_shapes(layers=12).items()}
    for family in ("sd15", "sd21"):
        assert ldm.vae_config(family, vae) == shipped.config(family, "vae")
    assert ldm.text_config("sd15", text) == shipped.config("sd15", "text_encoder")


def test_sizes_schedule_and_name(sd1_file: Path, sd2_file: Path) -> None:
    sd1, sd2 = load_checkpoint(sd1_file), load_checkpoint(sd2_file)
    assert (sd1.native_size, sd2.native_size) == (512, 512)
    assert (sd1.name, sd1.scheduler_config["prediction_type"]) == ("tiny-sd1", "epsilon")
    assert sd1.scheduler_config["steps_offset"] == 1
    assert sd1.tokenizer.model_max_length == 77
    assert sd2.text_encoder.config.num_hidden_layers == 3  # of the 23 that are used, of 24
    assert sd2.text_encoder.config.hidden_act == "gelu"
    assert not any(p.requires_grad or p.is_inference() for p in parameters(sd1).values())
    assert not any(module.training for module in (sd1.unet, sd1.vae, sd1.text_encoder))


@pytest.mark.parametrize("held", [3, 23, 24])
def test_an_sd2_file_uses_23_text_layers_whether_it_holds_24_or_those_alone(
    held: int, tmp_path: Path
) -> None:
    """Each layer here adds a mark of its own to the states and nothing else."""
    prefix = "cond_stage_model.model."
    name = prefix + "transformer.resblocks.{}.attn.out_proj.bias"
    marks = {name.format(layer): torch.eye(1024)[layer] for layer in range(held)}
    marks[prefix + "ln_final.weight"] = torch.ones(1024)
    path = tmp_path / "sd2.safetensors"
    layout.save_hollow(path, layout.sd2_shapes(held), filled=marks)
    states = load_checkpoint(path, torch.float16).text_encoder(torch.tensor([[1]]))
    assert (states.last_hidden_state[0, 0] > 1).nonzero().flatten().tolist() == [
        *range(min(held, 23))
    ]


def test_v_prediction_by_choice_by_metadata_and_by_the_spread(
    sd2_file: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    chosen = load_checkpoint(sd2_file, prediction="v_prediction")
    assert (chosen.native_size, chosen.scheduler_config["prediction_type"]) == (768, "v_prediction")
    assert chosen.fingerprint != load_checkpoint(sd2_file).fingerprint
    tensors = load_file(sd2_file)
    stated = tmp_path / "stated.safetensors"
    save_file(tensors, stated, metadata={"modelspec.prediction_type": "v"})
    assert load_checkpoint(stated).native_size == 768
    tensors["model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"] *= 10
    spread = tmp_path / "spread.safetensors"
    save_file(tensors, spread)
    assert load_checkpoint(spread).native_size == 768
    assert load_checkpoint(spread, prediction="epsilon").native_size == 512
    with pytest.raises(EvenframeError, match="Unknown prediction 'x0'"):
        load_checkpoint(sd2_file, prediction="x0")  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_come_in_the_type_asked_for(sd1_file: Path, dtype: torch.dtype) -> None:
    cast, full = (parameters(load_checkpoint(sd1_file, kind)) for kind in (dtype, torch.float32))
    types = {name.split(".")[0]: value.dtype for name, value in cast.items()}
    vae = torch.float32 if dtype == torch.float16 else dtype
    assert types == {"unet": dtype, "text_encoder": dtype, "vae": vae}
    assert all(torch.equal(cast[name], value.to(cast[name])) for name, value in full.items())


def test_a_model_loaded_under_inference_mode_can_still_be_differentiated_through(
    sd1_file: Path,
) -> None:
    """A host runs nodes under inference mode; guidance needs gradients later."""
    with torch.inference_mode():
        model = load_checkpoint(sd1_file)
    latents = torch.randn(1, 4, 8, 8, requires_grad=True)
    model.unet(latents, 10, torch.randn(1, 77, 768)).sample.sum().backward()
    assert latents.grad is not None and latents.grad.abs().sum() > 0


def test_a_pickle_of_tensors_loads_and_one_with_code_does_not_run(
    sd1_file: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    plain = tmp_path / "plain.ckpt"
    torch.save({"state_dict": load_file(sd1_file), "epoch": 3}, plain)
    assert_same_weights(load_checkpoint(plain), load_checkpoint(sd1_file))
    bad, trace = tmp_path / "bad.ckpt", tmp_path / "ran"
    bad.write_bytes(pickle.dumps(_Payload(str(trace)), protocol=2))
    with pytest.raises(EvenframeError, match=r"'bad\.ckpt' is a pickle that cannot be read safely"):
        load_checkpoint(bad)
    assert not trace.exists()


def _wrapped_in_itself() -> dict[str, Any]:
    checkpoint: dict[str, Any] = {"epoch": 3}
    checkpoint["state_dict"] = checkpoint
    return checkpoint


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x80\x02no opcodes", "cannot be read safely, or is damaged"),
        (b"\x80\x02\x85.", "cannot be read safely, or is damaged"),
        (_wrapped_in_itself(), "is not a model that is known"),
        ({0: torch.zeros(2), "lora_up.weight": torch.zeros(2)}, "is a LoRA"),
        ([1, 2], "something else than a checkpoint"),
    ],
)
def test_a_pickle_of_anything_else_says_so(content: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(EvenframeError, match=rf"^'odd\.ckpt' .*{words}"):
        load_checkpoint(path)


class _Payload:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, int]]:
        return os.open, (self.path, os.O_CREAT | os.O_WRONLY)


def test_a_checkpoint_that_lacks_a_tensor_says_which(sd1_file: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(sd1_file)
    del tensors["model.diffusion_model.middle_block.0.in_layers.2.weight"]
    path = tmp_path / "holes.safetensors"
    save_file(tensors, path)
    with pytest.raises(EvenframeError, match=r"UNet is incomplete: 1 of 684.*mid_block"):
        load_checkpoint(path)


# --- folders


def test_a_folder_gives_back_what_was_written(folder: Path, sd1_file: Path) -> None:
    model = load_folder(folder)
    assert_same_weights(model, load_checkpoint(sd1_file))
    assert (model.native_size, model.name) == (512, "tiny")
    assert model.tokenizer("a doctor is playing tennis").input_ids == DOCTOR
    assert model.tokenizer.model_max_length == 77
    assert model.scheduler_config["beta_schedule"] == "scaled_linear"
    assert model.fingerprint == load_folder(folder).fingerprint


def test_the_fp16_variant_is_used_for_fp16(folder: Path, tmp_path: Path) -> None:
    path = shutil.copytree(folder, tmp_path / "both")
    model = load_folder(path)
    with torch.no_grad():
        model.unet.conv_in.weight.zero_()  # type: ignore[union-attr]
    model.unet.half().save_pretrained(path / "unet", variant="fp16")
    assert load_folder(path, torch.float16).unet.conv_in.weight.abs().sum() == 0  # type: ignore
    assert load_folder(path, torch.float32).unet.conv_in.weight.abs().sum() > 0  # type: ignore


def test_attention_names_of_the_published_vae_are_read(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = shutil.copytree(folder, tmp_path / "old")
    file = path / "vae" / "diffusion_pytorch_model.safetensors"
    old = {
        name.replace("to_q.", "query.")
        .replace("to_k.", "key.")
        .replace("to_v.", "value.")
        .replace("to_out.0.", "proj_attn."): value.clone()
        for name, value in load_file(file).items()
    }
    assert any(".query." in name for name in old)
    save_file(old, file)
    assert_same_weights(load_folder(path), load_folder(folder))


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: edit_json(p / "model_index.json", _class_name="FluxPipeline"), "'FluxPipeline'"),
        (
            lambda p: edit_json(p / "model_index.json", _class_name="StableDiffusionXLPipeline"),
            "'StableDiffusionXLPipeline', which is not supported: choose a Stable Diffusion 1",
        ),
        (
            lambda p: edit_json(p / "model_index.json", text_encoder=["x", "T5EncoderModel"]),
            "'T5EncoderModel' as its text_encoder",
        ),
        (lambda p: edit_json(p / "text_encoder/config.json", hidden_size=1024), "1024.*768"),
        (lambda p: edit_json(p / "unet/config.json", in_channels=9), "9 input channels"),
        (lambda p: (p / "model_index.json").unlink(), "no model_index.json"),
        (lambda p: (p / "model_index.json").write_text("{"), "model_index.json' cannot be read"),
        (lambda p: (p / "unet/config.json").unlink(), "no 'unet/config.json'"),
        (lambda p: (p / "vae/diffusion_pytorch_model.safetensors").unlink(), "no weights in 'vae'"),
        (
            lambda p: (p / "vae/diffusion_pytorch_model.safetensors").rename(p / "vae/x.bin"),
            "'vae/x.bin' but no safetensors",
        ),
        (
            lambda p: os.truncate(p / "unet/diffusion_pytorch_model.safetensors", 10_000),
            "'unet/diffusion_pytorch_model.safetensors' is cut short: it has 10000 bytes",
        ),
        (lambda p: shutil.rmtree(p / "tokenizer"), "no tokenizer"),
        (lambda p: shutil.rmtree(p), "No such model folder"),
    ],
)
def test_a_folder_that_cannot_be_used_says_why(
    folder: Path, tmp_path: Path, damage: Any, message: str
) -> None:
    path = shutil.copytree(folder, tmp_path / "copy")
    damage(path)
    with pytest.raises(EvenframeError, match=message):
        load_folder(path)


# --- fingerprints


def test_a_fingerprint_of_a_file_sees_size_head_middle_and_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights"
    content = bytearray(os.urandom(2**16))
    path.write_bytes(content)
    whole = fingerprint.of_files([path])
    monkeypatch.setattr(fingerprint, "WHOLE", 1000)
    monkeypatch.setattr(fingerprint, "HEAD", 1024)
    monkeypatch.setattr(fingerprint, "BLOCK", 256)
    monkeypatch.setattr(fingerprint, "BLOCKS", 8)
    sampled = fingerprint.of_files([path])
    seen = {whole, sampled, fingerprint.of_files([path], "v_prediction")}
    for place in (0, 1023, 1024 + (2**16 - 1024 - 256) * 4 // 8, 2**16 - 1):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        seen.add(fingerprint.of_files([path]))
    path.write_bytes(content + b"x")
    seen.add(fingerprint.of_files([path]))
    assert len(seen) == 8
    assert all(len(digest) == 64 for digest in seen)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("scheduler/scheduler_config.json", {"beta_end": 0.02}),
        ("vae/config.json", {"scaling_factor": 0.2}),
        ("unet/config.json", {"norm_eps": 1e-3}),
        ("text_encoder/config.json", {"hidden_act": "gelu"}),
        ("tokenizer/tokenizer_config.json", {"pad_token": "!"}),
    ],
)
def test_a_changed_configuration_changes_the_fingerprint(
    folder: Path, tmp_path: Path, file: str, changes: dict[str, Any]
) -> None:
    path = shutil.copytree(folder, tmp_path / "copy")
    before = load_folder(path).fingerprint
    edit_json(path / file, **changes)
    assert load_folder(path).fingerprint != before


def test_who_wrote_a_configuration_does_not_change_the_fingerprint(
    folder: Path, tmp_path: Path
) -> None:
    path = shutil.copytree(folder, tmp_path / "copy")
    before = load_folder(path).fingerprint
    config = json.loads((path / "unet/config.json").read_text())
    again = dict(reversed(config.items())) | {"_diffusers_version": "99", "_name_or_path": "x"}
    (path / "unet/config.json").write_text(json.dumps(again, indent=7))
    assert load_folder(path).fingerprint == before


# --- the real size


@pytest.mark.slow
def test_a_full_size_checkpoint_loads_without_a_second_copy(tmp_path: Path) -> None:
    """Stable Diffusion 1.5 in fp16, 2.1 GB of random weights in the published layout."""
    if shutil.disk_usage(tmp_path).free < 4e9:
        pytest.skip("less than 4 GB of disk are free")
    path = layout.save_checkpoint(
        tmp_path / "full.safetensors", layout.sd1_shapes(full=True), torch.float16
    )
    try:
        before = _anonymous_bytes()
        model = load_checkpoint(path, torch.float16)
        grown = _anonymous_bytes() - before
        assert sum(p.numel() for p in model.unet.parameters()) == 859_520_964
        assert sum(p.numel() for p in model.vae.parameters()) == 83_653_863
        assert sum(p.numel() for p in model.text_encoder.parameters()) == 123_060_480
        assert model.native_size == 512
        assert grown < 0.7e9  # the file stays mapped, but for the VAE, which is made float32
        assert path.stat().st_size > 2.1e9
    finally:
        path.unlink()


def _anonymous_bytes() -> int:
    """Memory of this process that no file backs."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    for line in status.read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0
