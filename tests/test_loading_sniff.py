"""What a checkpoint file is said to be, from its first bytes and its header."""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from pathlib import Path

import ldm_layout as layout
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.files.sniff import REFUSALS, classify, require_supported, sniff
from evenframe.pipelines.models.stable_diffusion.ldm import TEXT_PREFIXES, plain_text, text_prefix
from evenframe.pipelines.models.stable_diffusion.single_file import load_checkpoint

UNET, VAE = "model.diffusion_model.", "first_stage_model."
HF_CLIP, OPEN_CLIP = "cond_stage_model.transformer.", "cond_stage_model.model."
sd1_text = layout.prefixed(HF_CLIP, layout.clip_shapes())
sd1_unet = layout.prefixed(UNET, layout.unet_shapes())
vae = layout.prefixed(VAE, layout.vae_shapes())

KINDS: dict[str, layout.Shapes] = {
    "sd1": layout.sd1_shapes(full=True),
    "sd2": layout.sd2_shapes(),
    "sdxl": {
        **layout.prefixed(UNET, layout.unet_shapes(text_width=2048, linear=True)),
        "conditioner.embedders.1.model.ln_final.weight": (1280,),
    },
    "sdxl_refiner": layout.prefixed(UNET, layout.unet_shapes(text_width=1280, linear=True)),
    "sd3": {UNET + "joint_blocks.0.context_block.attn.qkv.weight": (4608, 1536)},
    "flux": {"double_blocks.0.img_attn.qkv.weight": (9216, 3072)},
    "lora": {
        "lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight": (320, 8, 1, 1),
        "lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (8, 320, 1, 1),
    },
    "vae": layout.vae_shapes(),
    "controlnet": {"control_model.input_blocks.0.0.weight": (320, 4, 3, 3)},
    "embedding": {"emb_params": (4, 768)},
    "text_encoder": layout.clip_shapes(),
    "unet": sd1_unet,
    "diffusers_part": {"down_blocks.0.resnets.0.conv1.weight": (320, 320, 3, 3)},
    "video_unet": {
        **sd1_unet,
        UNET + "input_blocks.1.0.time_stack.in_layers.0.weight": (320,),
    },
    "inpainting": {
        **layout.prefixed(UNET, layout.unet_shapes(channels=9)),
        **vae,
        **sd1_text,
    },
    "no_text_encoder": {**sd1_unet, **vae},
    "no_vae": {**sd1_unet, **sd1_text},
    "other": {"model.layers.0.self_attn.q_proj.weight": (64, 64)},
}


def test_every_kind_has_an_example() -> None:
    assert set(KINDS) == {"sd1", "sd2", *REFUSALS}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind: str, tmp_path: Path) -> None:
    assert classify(KINDS[kind]) == kind
    found = sniff(
        layout.save_hollow(tmp_path / "model.safetensors", KINDS[kind], {"modelspec.title": "x"})
    )
    assert (found.container, found.kind) == ("safetensors", kind)
    assert found.metadata == {"modelspec.title": "x"}
    assert found.shapes == KINDS[kind]


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_cannot_be_loaded_is_named_and_answered(kind: str, tmp_path: Path) -> None:
    path = layout.save_hollow(tmp_path / "model.safetensors", KINDS[kind])
    with pytest.raises(EvenframeError) as error:
        load_checkpoint(path)
    first = str(error.value).splitlines()[0]
    assert first.startswith("'model.safetensors' is") or "has no" in first
    assert any(verb in first for verb in ("choose", "adopt", "load"))
    assert "{" not in first


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("sdxl", "Stable Diffusion XL"),
        ("flux", "Flux"),
        ("lora", "LoRA"),
        ("inpainting", "9 input channels"),
        ("vae", "only a VAE"),
    ],
)
def test_the_user_reads_what_it_is(kind: str, words: str, tmp_path: Path) -> None:
    path = layout.save_hollow(tmp_path / "model.safetensors", KINDS[kind])
    with pytest.raises(EvenframeError, match=words):
        require_supported(path, sniff(path))


@pytest.mark.parametrize("prefix", [*TEXT_PREFIXES, "", "te.text_model.", "clip_l.transformer."])
@pytest.mark.parametrize("naming", [layout.clip_shapes(), layout.open_clip_shapes(768, 1)])
def test_a_text_encoder_is_found_wherever_it_lies(prefix: str, naming: layout.Shapes) -> None:
    shapes = {**sd1_unet, **vae, **layout.prefixed(prefix, naming)}
    assert classify(shapes) == "sd1"
    assert set(plain_text(dict.fromkeys(shapes, torch.zeros(3)))) >= {
        "embeddings.token_embedding.weight",
        "encoder.layers.0.self_attn.q_proj.weight",
        "final_layer_norm.bias",
    }


def test_of_two_text_encoders_the_one_in_the_usual_place_counts() -> None:
    shapes = {**layout.prefixed("a.", layout.clip_shapes()), **sd1_text}
    assert text_prefix(shapes) == HF_CLIP


def test_supported_kinds_have_a_family(tmp_path: Path) -> None:
    for kind, family in (("sd1", "sd15"), ("sd2", "sd21")):
        path = layout.save_hollow(tmp_path / f"{kind}.safetensors", KINDS[kind])
        assert require_supported(path, sniff(path)) == family


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"x", "not a safetensors file"),
        (b"some text that is no model at all", "not a safetensors file"),
        (bytes(1000), "not a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>Log in</html>", "web page"),
        (b"GGUF\x03\x00\x00\x00\x00\x00\x00\x00", "GGUF"),
        ((100).to_bytes(8, "little") + b"{}", "cut short: it has 10 bytes"),
        ((4).to_bytes(8, "little") + b"[][]", "header cannot be read"),
        ((2).to_bytes(8, "little") + b"[]", "not a safetensors file"),
        ((2).to_bytes(8, "little") + b"{}", "holds no tensors"),
        ((9).to_bytes(8, "little") + b'{"a": 1} ', "does not describe tensors"),
        ((4).to_bytes(8, "little") + b"\xff\xfe{}", "header cannot be read"),
    ],
)
def test_broken_files_say_what_is_wrong(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(EvenframeError, match=message):
        load_checkpoint(path)


def test_a_truncated_checkpoint_says_how_much_is_missing(tmp_path: Path) -> None:
    path = layout.save_hollow(tmp_path / "model.safetensors", KINDS["sd1"])
    size = path.stat().st_size
    assert size > 2.1e9  # the published size, without the disk
    os.truncate(path, size - 1000)
    with pytest.raises(EvenframeError, match=r"cut short: 1000 of 213\d+ bytes"):
        load_checkpoint(path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(EvenframeError, match="There is no file"):
        load_checkpoint(tmp_path / "absent.safetensors")
    with pytest.raises(EvenframeError, match="is a folder"):
        load_checkpoint(tmp_path)


def test_pickles_are_told_by_their_bytes_not_their_name(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
    assert sniff(path).container == "pickle"
    bare = tmp_path / "bare.ckpt"
    bare.write_bytes(b"\x80\x02}q\x00.")
    assert sniff(bare).container == "pickle"


@pytest.mark.parametrize("length", [0x0280, 0x0380, 0x0480, 0x0580])
def test_a_header_length_that_looks_like_a_pickle_is_none(tmp_path: Path, length: int) -> None:
    entry = {"lora_up": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}
    path = tmp_path / "model.safetensors"
    text = json.dumps(entry).encode().ljust(length)
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    assert sniff(path).kind == "lora"


def test_a_single_byte_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"\x80")
    with pytest.raises(EvenframeError, match="is not a safetensors file"):
        sniff(path)


def test_headers_that_lie_are_refused(tmp_path: Path) -> None:
    """Offsets beyond the file, a huge length, shapes that are no numbers."""
    path = tmp_path / "model.safetensors"
    for entry in (
        {"dtype": "F16", "shape": [2], "data_offsets": [0, 10**12]},
        {"dtype": "F16", "shape": "ab", "data_offsets": [0, 4]},
        {"dtype": "F16", "shape": [2], "data_offsets": []},
    ):
        text = json.dumps({"a": entry}).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
        with pytest.raises(EvenframeError, match="cut short|does not describe"):
            sniff(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
ENTRY = st.fixed_dictionaries({"dtype": JSON, "shape": JSON, "data_offsets": JSON}) | JSON
NAMES = st.sampled_from(["__metadata__", *KINDS["sd1"], "lora_up", "double_blocks.0"]) | st.text()


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.dictionaries(NAMES, ENTRY, max_size=4), st.binary(max_size=16))
def test_no_header_brings_anything_but_our_own_error(
    tmp_path: Path, header: dict[str, object], data: bytes
) -> None:
    text = json.dumps(header).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    with contextlib.suppress(EvenframeError):
        require_supported(path, sniff(path))


def test_deeply_nested_headers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    text = b"[" * 50_000
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(EvenframeError, match="header cannot be read"):
        sniff(path)
