"""Run by native_windows.py in a process of its own: which of ComfyUI's families are edited with,
and what is said of the others. It ends with an AssertionError where something else is."""

# pyright: reportMissingImports=false

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from evenframe.benchmarks import host_models, native
from evenframe.benchmarks.stand_ins import RandomLatents, WordStates
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.token_flow.token_flow import TokenFlow
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.source.inversion import invert

STREAMS = {"axes_dim": [16, 56, 56], "depth": 1, "depth_single_blocks": 1, "hidden_size": 128}
STREAMS |= {"num_heads": 1, "mlp_ratio": 4.0, "qkv_bias": True, "guidance_embed": True}
EMBEDDER = {"in_features": 64, "out_features": 128}
TOGETHER: dict[str, dict[str, Any]] = {
    "Flux": STREAMS
    | {"image_model": "flux", "in_channels": 16, "out_channels": 16, "vec_in_dim": 64}
    | {"context_in_dim": 64, "theta": 10000, "patch_size": 2, "txt_ids_dims": []},
    "HunyuanVideo": STREAMS
    | {"image_model": "hunyuan_video", "in_channels": 16, "out_channels": 16, "vec_in_dim": 768}
    | {"context_in_dim": 64, "theta": 256, "patch_size": [1, 2, 2], "byt5": False}
    | {"meanflow": False, "use_cond_type_embedding": False, "vision_in_dim": None}
    | {"meanflow_sum": False},
    "SD3": {"in_channels": 16, "patch_size": 2, "out_channels": 16, "depth": 2, "input_size": None}
    | {"context_embedder_config": {"target": "torch.nn.Linear", "params": EMBEDDER}}
    | {"adm_in_channels": 64, "num_patches": 16, "pos_embed_max_size": 4}
    | {"pos_embed_scaling_factor": None, "x_block_self_attn_layers": []},
    "QwenImage": {"image_model": "qwen_image", "in_channels": 64, "num_layers": 1}
    | {"num_attention_heads": 1, "joint_attention_dim": 64},
}
DETECTED = "Flux", "HunyuanVideo", "SD3"
"""Those that ComfyUI's loader knows again so narrow."""
WAN = {
    "WAN22_T2V": {"in_dim": 48, "out_dim": 48},
    "WAN21_T2V": {},
    "WAN21_I2V": {"model_type": "i2v", "in_dim": 36},
    "WAN21_FunControl2V": {"model_type": "i2v", "in_dim": 48},
    "WAN21_Camera": {"model_type": "camera", "in_dim": 32},
    "WAN22_Camera": {"model_type": "camera_2.2", "in_dim": 36},
    "WAN21_Vace": {"model_type": "vace", "vace_layers": 1, "vace_in_dim": 96},
    "WAN21_CausalAR_T2V": "one part after the other",
    "WAN22_S2V": "led by sound",
    "WAN21_HuMo": "led by sound",
    "WAN22_WanDancer": "led by sound",
    "WAN22_Animate": "the motion of another clip",
    "WAN_Animate2": "the motion of another clip",
    "WAN21_SCAIL": "the motion of another clip",
    "WAN21_SCAIL2": "the motion of another clip",
    "WAN21_FlowRVS": "makes masks",
}
"""A layout of those that are served, and what is said of the others."""
OTHERS = {"LotusD": "maps of depth", "Stable_Zero123": "with a picture"}
PIX2PIX = {"in_channels": 8}


def built(kind: str, layout: dict[str, Any]) -> Any:
    """A MODEL of a kind by its name, with random weights."""
    import comfy.supported_models
    from comfy.model_patcher import ModelPatcher

    config, cpu = getattr(comfy.supported_models, kind)(dict(layout)), torch.device("cpu")
    config.unet_config |= {"dtype": torch.float32, **layout}
    weight = torch.zeros(64, 68)  # Zero123 looks for its own, the rest for nothing
    model = config.get_model({"cc_projection.weight": weight, "cc_projection.bias": weight[:, 0]})
    host_models._randomise(model.diffusion_model)
    return ModelPatcher(model, cpu, cpu)


def detected(patcher: Any) -> Any:
    """The same from its weights alone, as ComfyUI's loaders do."""
    from comfy.sd import load_diffusion_model_state_dict

    return load_diffusion_model_state_dict(dict(patcher.model.diffusion_model.state_dict()))


class NoText:
    """A CLIP that must not be asked for anything."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} of the CLIP was asked for")


def said(patcher: Any, clip: Any = None) -> str:
    """The first line of a refusal, for whatever CLIP and VAE."""
    from evenframe.nodes.host.native.model import open_sockets

    with pytest.raises(EvenframeError) as refusal:
        open_sockets(patcher, clip, NoText())
    return str(refusal.value).partition("\n")[0]


def words_and_pixels_together() -> None:
    """Refused by name with what can be used, before anything is asked of text."""
    for kind, layout in TOGETHER.items():
        patcher = built(kind, layout)
        for each in (patcher, detected(patcher)) if kind in DETECTED else (patcher,):
            line = said(each, NoText())
            assert line.startswith(f"'{kind}' attends to words and pixels together"), line
            assert line.endswith("SDXL, or Wan (text to video, image to video, VACE)."), line


def adopted(patcher: Any, pooled: int = 0) -> Model:
    from evenframe.nodes.host.native.model import host_model, is_joined

    joined, channels = is_joined(patcher), int(patcher.model.latent_format.latent_channels)
    codec = RandomLatents(channels, *((4, 16) if joined else ()))
    return host_model(patcher, WordStates(64, 64 if joined else 77, pooled), codec, "random")


def edited(model: Model, frames: int = 5) -> None:
    clip = torch.rand(frames, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    inversion = invert(model, clip, native.SOURCE, steps=2)
    assert edit(model, inversion, native.TARGET, controls=[Fusion()]).isfinite().all()
    with pytest.raises(EvenframeError, match="TokenFlow must see .*does not show it: load"):
        edit(model, inversion, native.TARGET, controls=[TokenFlow()])


def every_kind_of_wan() -> None:
    """Edited with, or refused with what it is."""
    import comfy.supported_models as host

    kinds = {kind.__name__ for kind in host.models if issubclass(kind, host.WAN21_T2V)}
    assert kinds == WAN.keys(), kinds ^ WAN.keys()
    layout = dict(host_models.wan().denoiser.patcher.model.model_config.unet_config)  # type: ignore[attr-defined]
    layout |= {"dim": 256, "num_heads": 2, "num_layers": 2}
    for kind, facts in WAN.items():
        told = facts if isinstance(facts, str) else ""
        kept = {"model_type": getattr(host, kind).unet_config["model_type"]}
        patcher = built(kind, layout | kept | ({} if told else facts))  # type: ignore[operator]
        if told:
            line = said(patcher)
            assert line.startswith(f"'{kind}' ") and told in line, line
        else:
            edited(adopted(patcher))


def a_control_video_is_left_alone() -> None:
    """Of VACE, layers are those of the clip; however many control videos there are beside it."""
    layout = dict(host_models.wan().denoiser.patcher.model.model_config.unet_config)  # type: ignore[attr-defined]
    layout |= {"dim": 256, "num_heads": 2, "num_layers": 2, **WAN["WAN21_Vace"]}
    model = adopted(built("WAN21_Vace", layout))
    names = [site.name for site in model.denoiser.sites]
    assert names == [f"double.{block}.{call}" for block in (0, 1) for call in ("self0", "cross1")]
    latents, seen = torch.randn(2, 16, 8, 8), []

    def noted(call: Any, plain: Any) -> Any:
        seen.append(call.site.name)
        return plain

    for videos in (1, 2):
        seen.clear()
        more = {
            "vace_frames": [torch.rand(1, 32, 2, 8, 8) for _ in range(videos)],
            "vace_mask": [torch.ones(1, 64, 2, 8, 8)] * videos,
            "vace_strength": [1.0] * videos,
        }
        branches = {"source": replace(model.text.encode(native.SOURCE), host=[[None, more]])}
        work = partial(asked, latents=latents, branches=branches, attend=noted)
        model.run(branches, latents, work)
        assert seen == names, (videos, seen)


def led_otherwise() -> None:
    """A control video of another length is named, and a picture of unCLIP's counts."""
    wan: Any = host_models.wan().denoiser
    layout = dict(wan.patcher.model.model_config.unet_config)
    layout |= {"dim": 256, "num_heads": 2, "num_layers": 2, **WAN["WAN21_Vace"]}
    model, latents = adopted(built("WAN21_Vace", layout)), torch.randn(2, 16, 8, 8)
    more = {"vace_frames": [torch.rand(1, 32, 3, 8, 8)], "vace_mask": [torch.ones(1, 64, 3, 8, 8)]}
    prompt = replace(model.text.encode(native.SOURCE), host=[[None, more]])
    with pytest.raises(EvenframeError, match="has 3 latent frames, but the clip has 2"):
        model.run({"source": prompt}, latents, lambda held: held)
    sd: Any = host_models.sd().denoiser
    layout = dict(sd.patcher.model.model_config.unet_config)
    layout |= {"num_classes": "sequential", "adm_in_channels": 1536}
    model = adopted(built("SD21UnclipL", layout))
    seen = SimpleNamespace(image_embeds=torch.rand(1, 768))
    picture = {"clip_vision_output": seen, "strength": 1.0, "noise_augmentation": 0.1}
    inversion, plain = native.noise(model, (64, 64)), model.text.encode(native.TARGET)
    led = replace(plain, host=[[None, {"unclip_conditioning": [picture]}]])
    one, again, without = (edit(model, inversion, each) for each in (led, led, plain))
    assert torch.equal(one, again) and native.rel_error(one, without) > 1e-4


def asked(model: Model, latents: torch.Tensor, **given: Any) -> None:
    model.denoiser.predict(latents, model.schedule.at(model.schedule.times(2)[0]), **given)


def pictures_asked_with_pictures() -> None:
    """Of networks that are served, models that no words lead."""
    sd: Any = host_models.sd().denoiser
    layout = dict(sd.patcher.model.model_config.unet_config)
    more = {"LotusD": {"num_classes": "sequential", "adm_in_channels": 4}}
    for kind, told in OTHERS.items():
        line = said(built(kind, layout | more.get(kind, PIX2PIX)))
        assert line.startswith(f"'{kind}' ") and told in line, line
    edited(adopted(built("SD15_instructpix2pix", layout | PIX2PIX)))


def names_are_the_hosts() -> None:
    """Where ComfyUI gives a class another name, its models would be told something else."""
    import comfy.model_base as host
    from comfy.ldm import wan

    from evenframe.nodes.host.native.family import NETWORKS, OTHERWISE

    classes = {
        name for each in (host, *vars(wan).values()) for name in getattr(each, "__dict__", {})
    }
    assert NETWORKS | OTHERWISE.keys() <= classes, {*NETWORKS, *OTHERWISE} - classes


def main() -> None:
    assert not host_models.find()
    with torch.inference_mode():
        names_are_the_hosts()
        words_and_pixels_together()
        every_kind_of_wan()
        a_control_video_is_left_alone()
        pictures_asked_with_pictures()
        led_otherwise()


if __name__ == "__main__":
    main()
