"""A MODEL, CLIP and VAE of ComfyUI's, as tensors that the pack's own modules can share.

How ComfyUI holds them: each socket has a `ModelPatcher`, whose `model` holds the parameters.
Loading moves them to the device and replaces those that a LoRA patches; unloading puts the
originals back and moves them away. So the tensors to share are those of a loaded patcher, and they
change. The clones made here tell the pack's modules when: ComfyUI calls `eject` before it moves or
patches anything and `inject` after (`PatcherInjection`), for a full and a partial unload alike.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import comfy.model_management as memory
import comfy.model_sampling
import torch
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import PatcherInjection

from ...pipelines.common.errors import EvenframeError

if TYPE_CHECKING:
    from torch import Tensor

    from ...pipelines.models.model import Model

log = logging.getLogger(__name__)
KEY = "evenframe"
WANTED = "Connect a Stable Diffusion 1.x or 2.1 model."


@dataclass(frozen=True)
class ComfyAdoption:
    """`Adoption` (door.py) of ComfyUI's sockets; the patchers are clones of this pack's own."""

    unet: ModelPatcher
    text_encoder: ModelPatcher
    vae: ModelPatcher
    prediction: str
    text_layers: int | None
    ignored: tuple[str, ...]

    @property
    def patchers(self) -> tuple[Any, ...]:
        return self.unet, self.text_encoder, self.vae

    def model(self) -> Model:
        """A model over ComfyUI's tensors, and kept at those of now from now on."""
        from ...pipelines.models.stable_diffusion import adopt, family

        memory.load_models_gpu(list(self.patchers), force_full_load=True)
        states = unet_state(self.unet), text_state(self.text_encoder), vae_state(self.vae)
        model = family.adopt(*states, prediction=self.prediction, text_layers=self.text_layers)
        unet, vae, text = model.modules
        _follow(self.unet, unet, lambda p: adopt.rebind("unet", unet, unet_state(p)))
        _follow(self.vae, vae, lambda p: adopt.rebind("vae", vae, vae_state(p)))
        _follow(
            self.text_encoder, text, lambda p: adopt.rebind("text_encoder", text, text_state(p))
        )
        return model


def adopt_sockets(model: Any, clip: Any, vae: Any) -> ComfyAdoption:
    """Read three sockets. EvenframeError where one is not Stable Diffusion 1.x or 2.x."""
    if getattr(vae, "first_stage_model", None) is None:
        raise EvenframeError(
            "The VAE is empty: the checkpoint it comes from has none. Load one with ComfyUI's VAE "
            "loader and connect that."
        )
    if clip is None:
        raise EvenframeError(
            "The CLIP is empty: the checkpoint it comes from has no text encoder. Load one with "
            "ComfyUI's CLIP loader and connect that."
        )
    unet, text = _own(model), _own(clip.patcher)
    _check_unet(unet)
    ignored = ignored_patches(unet)
    if ignored:
        log.warning("Evenframe adopts the weights only; left out: %s", ", ".join(ignored))
    return ComfyAdoption(
        unet=unet,
        text_encoder=text,
        vae=_own(vae.patcher),
        prediction=prediction_of(unet.get_model_object("model_sampling")),
        text_layers=text_layers_of(text, clip.layer_idx),
        ignored=ignored,
    )


def prediction_of(sampling: Any) -> str:
    """What the UNet predicts. EvenframeError for other schedules than Stable Diffusion's own."""
    kinds = {
        comfy.model_sampling.EPS: "epsilon",
        comfy.model_sampling.V_PREDICTION: "v_prediction",
    }
    # The class that says how a prediction is read, not one that it derives from: LCM and others
    # derive from EPS.
    reads = next((c for c in type(sampling).__mro__ if "calculate_denoised" in vars(c)), None)
    if reads not in kinds:
        raise EvenframeError(
            f"The MODEL predicts in a way that is not supported ({type(sampling).__mro__[1:]}): "
            "connect it before any node that changes its sampling (LCM, flow, zero SNR)."
        )
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, 0)
    expected = ((1 - alphas) / alphas).sqrt()
    sigmas = sampling.sigmas.detach().cpu().double()
    if sigmas.shape != expected.shape or not torch.allclose(sigmas, expected, rtol=1e-3):
        raise EvenframeError(
            "The MODEL's noise schedule is not Stable Diffusion's own: connect it before any node "
            "that changes its sampling (zero SNR, shift)."
        )
    return kinds[reads]


def text_layers_of(patcher: ModelPatcher, layer: int | None) -> int | None:
    """How many layers of a text encoder count: CLIP Set Last Layer, or the model's own choice."""
    encoder = _text_encoder(patcher)
    if layer is None:
        layer = encoder.options_default[1]
    if layer is None or layer >= 0 or -layer > encoder.num_layers:
        return None
    return encoder.num_layers + layer + 1


def ignored_patches(unet: ModelPatcher) -> tuple[str, ...]:
    """Names of what other nodes put on a MODEL beside weights: it is not taken over."""
    options = unet.model_options
    names = [key for key in options if key != "transformer_options"]
    names += list(options.get("transformer_options", {}))
    names += [name for name in unet.object_patches if name != "model_sampling"]
    names += [name for name in unet.injections if name != KEY]
    names += ["weight hooks"] if unet.hook_patches else []
    return tuple(names)


def unet_state(patcher: ModelPatcher) -> dict[str, Tensor]:
    """LDM names without prefix."""
    return _parameters(patcher.model.diffusion_model)


def text_state(patcher: ModelPatcher) -> dict[str, Tensor]:
    """transformers' names."""
    return _parameters(_text_encoder(patcher).transformer)


def vae_state(patcher: ModelPatcher) -> dict[str, Tensor]:
    """LDM names without prefix."""
    return _parameters(patcher.model)


def _parameters(module: torch.nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters())


def _text_encoder(patcher: ModelPatcher) -> Any:
    """The one CLIP of a Stable Diffusion 1.x or 2.x text encoder, held as `clip_l` or `clip_h`."""
    holders = [name for name, _ in patcher.model.named_children()]
    if holders not in (["clip_l"], ["clip_h"]):
        raise EvenframeError(
            f"The CLIP is not that of Stable Diffusion 1.x or 2.1 (it holds {', '.join(holders)}): "
            "connect the CLIP of the same checkpoint as the MODEL."
        )
    return getattr(patcher.model, holders[0])


def _check_unet(patcher: ModelPatcher) -> None:
    unet = getattr(patcher.model, "diffusion_model", None)
    if unet is None or not hasattr(unet, "input_blocks"):
        config = getattr(patcher.model, "model_config", patcher.model)
        raise EvenframeError(f"The MODEL is {type(config).__name__}. {WANTED}")


def _own(patcher: ModelPatcher) -> ModelPatcher:
    """A clone of this pack's own, over the same weights.

    A patcher with dynamic memory keeps its weights away from the device and fetches each when
    ComfyUI's own layers need it; ComfyUI gives a plain one for others, over a second copy in
    memory.
    """
    if not getattr(patcher, "is_dynamic", lambda: False)():
        return patcher.clone()
    try:
        return patcher.get_non_dynamic_delegate()
    except RuntimeError as error:
        raise EvenframeError(
            "This model was loaded by a node that keeps it in ComfyUI's dynamic memory and cannot "
            "load it again: use a core loader, or start ComfyUI with --disable-dynamic-vram."
        ) from error


def _follow(
    patcher: ModelPatcher, module: torch.nn.Module, bind: Callable[[ModelPatcher], None]
) -> None:
    from ...pipelines.models.stable_diffusion import adopt

    injection = PatcherInjection(inject=bind, eject=lambda _: adopt.release(module))
    patcher.set_injections(KEY, [injection])
    patcher.inject_model()
