"""Run by test_native.py in a process of its own: what other nodes have put on a MODEL or beside it.

Not a test itself: it ends with an AssertionError where something is taken for what it is not.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from evenframe.benchmarks import host_models, native
from evenframe.benchmarks.stand_ins import RandomLatents, WordStates
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.editing import edit
from evenframe.pipelines.source.inversion import invert

SIDES = "cond", "uncond"
"""Target and negative, in ComfyUI's words."""


def main() -> None:
    assert not host_models.find()
    with torch.inference_mode():
        model = host_models.sd()
        patcher: Any = model.denoiser.patcher  # type: ignore[attr-defined]
        told_apart(patcher)
        adopted_again(patcher)
        refused(patcher)
        every_setter_is_known(patcher, model)
        guidance_at_scale_one(model)
        another_clip(model, patcher)
        tokenizers()
        sizes()
        pictures()
        one_block()


def node(module: str, name: str, patcher: Any, *given: Any) -> Any:
    """The MODEL that one of ComfyUI's own nodes gives."""
    import importlib

    made = getattr(importlib.import_module(f"comfy_extras.{module}"), name)
    return made.execute(patcher, *given)[0]


def told_apart(patcher: Any) -> None:
    """Equal patches are equal, others are not, and what cannot be compared is only itself."""
    from evenframe.nodes.host.native.standing import facts_of

    def freeu(skip: float) -> Any:
        return node("nodes_freelunch", "FreeU", patcher, 1.1, 1.2, 0.9, skip)

    assert facts_of(patcher, patcher.clone()) == ()
    assert facts_of(freeu(0.2)) == facts_of(freeu(0.2)) != facts_of(freeu(0.3))
    assert facts_of(freeu(0.2)) != ()
    guided = node("nodes_pag", "PerturbedAttentionGuidance", patcher, 3.0)
    guided.set_model_sampler_cfg_function(lambda args: args["cond"], True)
    assert facts_of(guided) == (), "guidance does not change an inversion"
    for put in (
        lambda each, what: each.set_model_attn2_patch(what),
        lambda each, what: each.add_wrapper("diffusion_model", what),
        lambda each, what: each.add_object_patch("diffusion_model.out", what),
    ):
        same, long = _with(patcher, put, _scaled(torch.ones(100))), torch.ones(100)
        long[-1] = 2
        assert facts_of(same) == facts_of(_with(patcher, put, _scaled(torch.ones(100))))
        assert facts_of(same) != facts_of(_with(patcher, put, _scaled(long)))
        for hidden in (iter([1]), count(), patcher, SimpleNamespace(own=iter([1]))):
            unlike = _with(patcher, put, _scaled(hidden))
            assert facts_of(unlike) != facts_of(unlike)


def adopted_again(patcher: Any) -> None:
    """What stands on a MODEL is part of an adoption's fingerprint."""
    from comfy.sd1_clip import SD1Tokenizer

    from evenframe.nodes.host.native.model import open_sockets

    clip = SimpleNamespace(
        patcher=patcher.clone(),
        layer_idx=None,
        tokenizer_options={},
        tokenizer=None,
        tokenize=SD1Tokenizer().tokenize_with_weights,
        encode_from_tokens_scheduled=lambda _: [[torch.zeros(1, 77, 64), {}]],
    )
    vae = SimpleNamespace(
        patcher=patcher.clone(),
        first_stage_model=1,
        latent_channels=4,
        latent_dim=2,
        spacial_compression_encode=lambda: 8,
        temporal_compression_decode=lambda: None,
    )

    def freeu(skip: float) -> str:
        put_on = node("nodes_freelunch", "FreeU", patcher, 1.1, 1.2, 0.9, skip)
        return open_sockets(put_on, clip, vae).fingerprint

    assert freeu(0.2) == freeu(0.2)
    assert len({open_sockets(patcher, clip, vae).fingerprint, freeu(0.2), freeu(0.3)}) == 3


def _with(patcher: Any, put: Callable[[Any, Any], None], what: Any) -> Any:
    clone = patcher.clone()
    put(clone, what)
    return clone


def _scaled(by: Any) -> Callable[..., Any]:
    return lambda *given: (by, given)


def refused(patcher: Any) -> None:
    """Each by name, before anything is done; what can be honoured is not."""
    from comfy.context_windows import IndexListContextHandler as Handler

    from evenframe.nodes.host.native.model import host_model

    def adopted(each: Any) -> Any:
        return host_model(each, WordStates(64, 77), RandomLatents(4), "")

    shrink = 3, 2.0, 0.0, 0.35, True, "bicubic", "bicubic"
    windows, other, several, sourced = (patcher.clone() for _ in range(4))
    sourced.model_options["transformer_options"]["evenframe"] = "a source"
    several.set_additional_models("multigpu", [patcher.clone()])
    windows.model_options["context_handler"] = Handler.__new__(Handler)
    other.set_model_attn2_replace(_scaled(1), "input", 4)
    for each, said in (
        (windows, "Context Windows"),
        (node("nodes_easycache", "EasyCacheNode", patcher, 0.2, 0.15, 0.95, False), "EasyCache"),
        (node("nodes_easycache", "LazyCacheNode", patcher, 0.2, 0.15, 0.95, False), "LazyCache"),
        (node("nodes_slg", "SkipLayerGuidanceDiTSimple", patcher, 0.0, 1.0, "1", "1"), "Skip"),
        (node("nodes_custom_sampler", "CFGOverride", patcher, 1.0, 0.0, 1.0), "CFGOverride"),
        (
            node("nodes_differential_diffusion", "DifferentialDiffusion", patcher),
            "DifferentialDiff",
        ),
        (several, "MultiGPU"),
        (sourced, "Source for Controls stands on the MODEL"),
        (node("nodes_hypertile", "HyperTile", patcher, 32, 2, 0, False), "HyperTile"),
        (node("nodes_tomesd", "TomePatchModel", patcher, 0.3), "Token Merging"),
        (node("nodes_model_downscale", "PatchModelAddDownscale", patcher, *shrink), "Deep Shrink"),
        (node("nodes_sag", "SelfAttentionGuidance", patcher, 0.5, 2.0), "middle.0.0 of 'SD15'"),
        (other, "cross-attention of block input.4"),
    ):
        with pytest.raises(EvenframeError, match=said):
            adopted(each)
    adopted(node("nodes_pag", "PerturbedAttentionGuidance", patcher, 3.0))
    adopted(node("nodes_freelunch", "FreeU", patcher, 1.1, 1.2, 0.9, 0.2))
    lengthened = patcher.clone()
    lengthened.set_model_attn2_patch(lambda q, k, v, _: (q, k.repeat(1, 2, 1), v.repeat(1, 2, 1)))
    with pytest.raises(
        EvenframeError, match="to 154 tokens in block input.1.0, but the prompt has 77"
    ):
        adopted(lengthened)


def every_setter_is_known(patcher: Any, model: Any) -> None:
    """What ComfyUI lets a node set on a MODEL counts in an edit, or is refused; nothing is new."""
    from comfy.model_patcher import ModelPatcher

    seen: set[str] = set()
    counted = {
        "attn1_patch": lambda q, k, v, _: (q, k, v),
        "attn2_patch": lambda q, k, v, _: (q, k, v),
        "attn1_output_patch": lambda n, _: n,
        "attn2_output_patch": lambda n, _: n,
        "input_block_patch": lambda h, _: h,
        "input_block_patch_after_skip": lambda h, _: h,
        "output_block_patch": lambda h, hsp, _: (h, hsp),
        "middle_block_after_patch": lambda args: args,
        "emb_patch": lambda emb, model_channels, _: emb,
        "unet_function_wrapper": lambda apply, args: apply(
            args["input"], args["timestep"], **args["c"]
        ),
        "sampler_cfg_function": lambda args: args["cond"],
        "sampler_pre_cfg_function": lambda args: args["conds_out"],
        "sampler_post_cfg_function": lambda args: args["denoised"],
        "optimized_attention": _attention,
    }
    refused = {"attn1_replace", "attn2_replace", "patch_replace"}
    refused |= {"denoise_mask_function", "sampler_calc_cond_batch_function"}
    general = {"patch", "compute_dtype"}
    others = {"double_block_patch", "rope_options"}  # Wan's, which looks at them itself
    others |= {"post_input_patch", "noise_refiner_patch"}  # of families that are refused
    others |= {"forward_timestep_embed_patch"}  # for layers that a UNet does not know
    setters = {name[10:] for name in vars(ModelPatcher) if name.startswith("set_model_")}
    unknown = setters - counted.keys() - refused - general - others
    assert not unknown, unknown
    clone = patcher.clone()
    for name, what in counted.items():
        getattr(clone, f"set_model_{name}")(_noted(seen, name, what))
    own = replace(model, denoiser=replace(model.denoiser, patcher=clone))
    edit(own, native.noise(own, (64, 64)), native.TARGET)
    assert seen == counted.keys(), counted.keys() - seen


def _noted(seen: set[str], name: str, what: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*args: Any, **more: Any) -> Any:
        seen.add(name)
        return what(*args, **more)

    return noted


def _attention(*args: Any, **more: Any) -> Any:
    from comfy.ldm.modules.attention import attention_pytorch

    return attention_pytorch(*args, **more)


def guidance_at_scale_one(model: Any) -> None:
    """A node that wants the negative prompt at scale 1 gets it, any node the target at scale 0."""
    from evenframe.nodes.host.native.model import host_model

    asked: list[tuple[bool, float, float]] = []

    def noted(args: Any) -> Any:
        target, negative = (float(args[f"{side}_denoised"].abs().sum()) for side in SIDES)
        asked.append((args["uncond"] is not None, target, negative))
        return args["denoised"]

    def edited(scale: float, *given: Any) -> torch.Tensor:
        asked.clear()
        patcher: Any = model.denoiser.patcher.clone()
        if given:
            patcher.set_model_sampler_post_cfg_function(noted, *given)
        own = host_model(patcher, model.text, model.codec, "")
        inversion, prompts = native.noise(own, (64, 64)), (native.TARGET, "blurry")
        return edit(own, inversion, prompts[0], negative=prompts[1], guidance_scale=scale)

    plain = edited(1.0)
    assert torch.equal(edited(1.0, False), plain)
    assert asked and not any(given or negative for given, _, negative in asked)
    assert native.rel_error(edited(1.0, True), plain) < 1e-5  # two rows in one batch
    assert asked and all(given and target and negative for given, target, negative in asked)
    edited(0.0, False)
    assert asked and all(given and target and negative for given, target, negative in asked)


def another_clip(model: Any, patcher: Any) -> None:
    """Named by its width, as is a conditioning that it has made."""
    from evenframe.nodes.host.native.model import host_model, width_of
    from evenframe.nodes.host.native.text import HostText

    with pytest.raises(EvenframeError, match="The CLIP makes 48 numbers .* 'SD15' takes 64"):
        host_model(patcher, WordStates(48, 77), model.codec, "")
    assert width_of(host_models.wan().denoiser.patcher) == 64  # type: ignore[attr-defined]
    with pytest.raises(EvenframeError, match="has 48 numbers for each token, .* takes 64"):
        HostText("", None, 64).wrapped("a cat", [[torch.zeros(1, 77, 48), {}]])


def tokenizers() -> None:
    """An embedding longer for one of SDXL's text encoders shifts the words behind it."""
    from comfy.sdxl_clip import SDXLTokenizer
    from safetensors.torch import save_file

    from evenframe.nodes.host.native.text import SHIFTED, HostText

    with TemporaryDirectory() as folder:
        vectors = {"clip_l": torch.ones(3, 768), "clip_g": torch.ones(2, 1280)}
        save_file(vectors, Path(folder, "own.safetensors"))
        tokenizer = SDXLTokenizer(embedding_directory=folder)
        clip = SimpleNamespace(tokenize=tokenizer.tokenize_with_weights)
        text = HostText("", clip)
        for prompt, shifted in (
            ("a cat embedding:own", False),
            ("a cat embedding:own runs", True),
            ("a cat runs", False),
        ):
            made = text.wrapped(prompt, [[torch.zeros(1, 77, 2048), {}]])
            assert made.notes == ((SHIFTED,) if shifted else ()), prompt
        # One of them begins a second row, and the states are cut to the other's.
        long = text.wrapped("a cat " * 36 + "embedding:own", [[torch.zeros(1, 77, 2048), {}]])
        assert len(long.states["tokens"]) == 77


def sizes() -> None:
    """Kinds that derive from another were trained on frames of its size."""
    import comfy.supported_models as host

    from evenframe.nodes.host.native.model import native_size_of

    def size(kind: str) -> int:
        config = getattr(host, kind)({})
        return native_size_of(SimpleNamespace(model=SimpleNamespace(model_config=config)))

    for kind in ("SDXL", "SSD1B", "Segmind_Vega", "KOALA_700M", "KOALA_1B", "SDXLRefiner"):
        assert size(kind) == 1024, kind
    for kind in host.models:
        if issubclass(kind, host.WAN21_T2V):
            assert size(kind.__name__) == (960 if kind is host.WAN22_T2V else 640), kind
    assert [size(kind) for kind in ("SD15", "SD20", "SD21UnclipL")] == [512, 768, 768]


def wan(kind: str, layers: int, **more: Any) -> Any:
    """A narrow transformer of Wan's layout, as a patcher."""
    import comfy.model_base

    layout = dict(host_models.wan().denoiser.patcher.model.model_config.unet_config)  # type: ignore[attr-defined]
    layout |= {"num_layers": layers, "dtype": torch.float32, **more}

    class Base(comfy.model_base.WAN21):
        def __init__(self, config: Any):
            super().__init__(config, image_to_video=kind == "WAN21_I2V")

    patcher = host_models._patcher(kind, Base, layout)
    host_models._randomise(patcher.model.diffusion_model)
    return patcher


def pictures() -> None:
    """Of a block that looks at a picture too, the call over the prompt alone is a layer."""
    from evenframe.nodes.host.native.model import host_model

    patcher = wan("WAN21_I2V", 2, model_type="i2v", in_dim=36)
    model = host_model(patcher, WordStates(64, 64), RandomLatents(16, 4, 16), "")
    assert [site.name for site in model.denoiser.sites] == [
        *("double.0.self0", "double.0.cross2", "double.1.self0", "double.1.cross2")
    ]
    picture = SimpleNamespace(penultimate_hidden_states=torch.ones(1, 257, 1280))

    def encoded(text: str) -> Any:
        return replace(model.text.encode(text), host=[[None, {"clip_vision_output": picture}]])

    seen: list[int] = []
    frames = torch.rand(5, 64, 64, 3)
    inversion = invert(model, frames, encoded(native.SOURCE), steps=2)

    def noted(call: Any, plain: Any) -> Any:
        seen.append(call.k.shape[-2] if call.site.kind == "cross" else 64)
        return plain

    target, level = encoded(native.TARGET), model.schedule.at(model.schedule.times(2)[0])
    model.run(
        {"target": target},
        inversion.trajectory[-1],
        lambda held: held.denoiser.predict(
            inversion.trajectory[-1], level, {"target": target}, attend=noted
        ),
    )
    assert seen == [64] * 4
    edit(model, inversion, target, controls=[Fusion()])


def one_block() -> None:
    """A model of a single block begins it again with each run."""
    from evenframe.nodes.host.native.model import host_model
    from evenframe.nodes.host.native.sites import Calls

    for kind, per_block, more in (
        ("WAN21_T2V", 2, {}),
        ("WAN21_I2V", 3, {"model_type": "i2v", "in_dim": 36}),
    ):
        text, codec = WordStates(64, 64), RandomLatents(16, 4, 16)
        model = host_model(wan(kind, 1, **more), text, codec, "")
        place = model.denoiser.places  # type: ignore[attr-defined]
        [most] = {1 + max(number for _, number in place)}
        assert most == per_block
        [at] = {where for where, _ in place}
        calls = Calls({at: most})
        options = {"block_type": at[0], "block_index": at[1]}
        numbers = [calls.number(options)[1] for _ in range(2 * most)]
        assert numbers == [*range(most)] * 2


if __name__ == "__main__":
    main()
