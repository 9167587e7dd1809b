"""Which of the host's families controls can reach, told before anything is asked of them."""

from __future__ import annotations

from typing import Any

from ....pipelines.common.errors import EvenframeError

NETWORKS = {"UNetModel", "WanModel", "VaceWanModel", "CameraWanModel"}
"""The host's networks whose words and pixels attend apart, and to which a prompt says what to do.
Those of other packs are tried."""
OTHERWISE = {
    "SVD_img2vid": "is asked with a picture and not with words",
    "Stable_Zero123": "is asked with a picture and not with words",
    "Lotus": "makes maps of depth or of surfaces, and no edits",
    "SD_X4Upscaler": "enlarges pictures, and makes no edits",
    "WAN21_FlowRVS": "makes masks of a clip, and no edits",
    "CausalWanModel": "makes a clip one part after the other, each from those before",
    "WanModel_S2V": "is led by sound, by layers that controls do not know",
    "HumoWanModel": "is led by sound, by layers that controls do not know",
    "WanDancerModel": "is led by sound, by layers that controls do not know",
    "AnimateWanModel": "is led by the motion of another clip, by layers that controls do not know",
    "WanAnimate2Model": "is led by the motion of another clip, by layers that controls do not know",
    "SCAILWanModel": "is led by the motion of another clip, by layers that controls do not know",
}
"""What keeps a model from being edited with, by its class or its network's, where it is not that
words and pixels attend together."""
TOGETHER = "attends to words and pixels together, or in a way of its own that no control reaches"
INSTEAD = "Stable Diffusion 1.x or 2.x, SDXL, or Wan (text to video, image to video, VACE)"


def unfit(name: str, reason: str) -> EvenframeError:
    """The error for a model that cannot be edited with. reason: what it does."""
    return EvenframeError(f"'{name}' {reason}: load {INSTEAD}.")


def require_family(patcher: Any, name: str) -> None:
    """Raise EvenframeError for a MODEL of a family that cannot be edited with, whatever its prompt.

    It comes before all else that is asked of a MODEL, CLIP and VAE: what these lack otherwise would
    be told first, and mended in vain.
    """
    network = getattr(patcher.model, "diffusion_model", None)
    kinds = [kind.__name__ for each in (patcher.model, network) for kind in type(each).__mro__]
    reason = next((OTHERWISE[kind] for kind in kinds if kind in OTHERWISE), None)
    hosts = type(network).__module__.split(".")[0] == "comfy"
    if reason is None and hosts and type(network).__name__ not in NETWORKS:
        reason = TOGETHER
    if reason is not None:
        raise unfit(name, reason)
