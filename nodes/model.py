"""Models: from a file, from a folder, built in, or adopted from ComfyUI's own nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import miniature
from ..miniature import video as video_miniature
from ..pipelines.models.family import PRECISIONS
from ..pipelines.models.noise_schedule import config_name
from .common import sockets
from .common.files import Stamp, stamps
from .host import host, io

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from ..pipelines.models.family import Prediction
    from ..pipelines.models.model import Model

MINIATURE = "miniature (built in)"
BUILT_IN = {MINIATURE: miniature.NAME, "video miniature (built in)": video_miniature.NAME}
"""What the pack carries itself, by the names of `models.families`."""
OWN_WORLD = (
    "It knows its own world of moving shapes and figures, and no footage: for a video of yours, "
    "choose another model."
)
SWITCH_AT = 0.875
"""Of Wan 2.2's text-to-video experts."""
DTYPES = {"auto": None, **PRECISIONS}


class EvenframeLoadModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeLoadModel",
            display_name="Load Model (Evenframe)",
            category=sockets.CATEGORY,
            description="Load Stable Diffusion 1.x or 2.1 (a checkpoint file or a folder in the "
            "diffusers layout), Wan (a folder), or the small model of the pack's own. Offline.",
            search_aliases=["checkpoint", "stable diffusion", "diffusers"],
            inputs=[
                io.Combo.Input(
                    "model",
                    options=model_options(),
                    default=MINIATURE,
                    tooltip="What is built in edits its own world of shapes only. Others are "
                    "Stable Diffusion 1.x or 2.1, files of models/checkpoints and folders of "
                    "models/diffusers, and folders of Wan.",
                ),
                io.Combo.Input(
                    "dtype",
                    options=list(DTYPES),
                    default="auto",
                    advanced=True,
                    tooltip="Precision of the weights. 'auto' is what suits the device: fp16 or "
                    "bf16 on a GPU, fp32 on a CPU.",
                ),
                io.Combo.Input(
                    "prediction",
                    options=["auto", "epsilon", "v_prediction"],
                    default="auto",
                    advanced=True,
                    tooltip="What a checkpoint file predicts. Choose only where 'auto' is wrong "
                    "(noise instead of a picture): v_prediction for Stable Diffusion 2.1 at "
                    "768 px, epsilon for the rest. A folder says it itself.",
                ),
            ],
            outputs=[sockets.Model.Output(display_name="model")],
        )

    @classmethod
    def fingerprint_inputs(cls, model: str | None, **others: Any) -> list[Stamp]:
        """Load again when a file of the model was replaced, a configuration too."""
        if model is None:  # linked, not yet known
            return []
        return stamps(locate(model))

    @classmethod
    def execute(cls, model: str, dtype: str, prediction: Prediction) -> io.NodeOutput:
        from ..pipelines.models import families

        source = BUILT_IN[model] if model in BUILT_IN else locate(model)
        loaded = families.load(source, dtype=torch_dtype(dtype), prediction=prediction)
        said = [describe(loaded)]
        if model in BUILT_IN:
            said.append(OWN_WORLD)
        return io.NodeOutput(host.hold(loaded, loaded.modules), ui={"text": said})


class EvenframeAdoptModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeAdoptModel",
            display_name="Adopt Model (Evenframe)",
            category=sockets.CATEGORY,
            description="Edit with the model, text encoder and VAE that ComfyUI's own nodes have "
            "loaded: Wan, SDXL, Stable Diffusion, with all that other nodes have put on them. "
            "ComfyUI goes on running them; nothing is copied.",
            search_aliases=["lora", "use loaded model", "convert model", "wan 2.2", "high noise"],
            inputs=[
                io.Model.Input("model", tooltip="Wan, SDXL, Stable Diffusion 1.x or 2.x."),
                io.Clip.Input("clip", tooltip="The text encoder that belongs to it."),
                io.Vae.Input("vae", tooltip="The VAE that belongs to it."),
                io.Model.Input(
                    "low_noise_model",
                    optional=True,
                    tooltip="Of a model that is two experts, as Wan 2.2 14B is, the one for low "
                    "noise; model is then the one for high noise. They are loaded in turn.",
                ),
                io.Float.Input(
                    "switch_at",
                    default=SWITCH_AT,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    optional=True,
                    tooltip="Share of noise from which upwards model is asked, and below it "
                    "low_noise_model. Wan 2.2: 0.875 for text to video, 0.9 for image to video. 0 "
                    "never asks low_noise_model. Idle without one.",
                ),
            ],
            outputs=[sockets.Model.Output(display_name="model")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        clip: Any,
        vae: Any,
        low_noise_model: Any = None,
        switch_at: float = SWITCH_AT,
    ) -> io.NodeOutput:
        handle = host.adopt(model, clip, vae, low_noise_model, switch_at)
        return io.NodeOutput(handle, ui={"text": [describe(handle.model)]})


def model_options() -> list[str]:
    """What is built in, checkpoint files, folders in the diffusers layout."""
    own = [name for name in BUILT_IN if name == MINIATURE or video_miniature.is_there()]
    return [*own, *host.model_names("checkpoints"), *host.model_names("diffusers")]


def locate(model: str) -> Path:
    """Where an option of `model_options` lies, a file or a folder."""
    if model in BUILT_IN:
        return (miniature if model == MINIATURE else video_miniature).weights_dir()
    kind = "diffusers" if model in host.model_names("diffusers") else "checkpoints"
    return host.model_path(kind, model)


def torch_dtype(name: str) -> torch.dtype:
    """An option of `DTYPES` as a type; 'auto' is what suits the device."""
    import torch

    attribute = DTYPES[name]
    return host.dtype() if attribute is None else getattr(torch, attribute)


def describe(model: Model) -> str:
    """A model in one line: "name: 512 px, epsilon, float16, 1066 M parameters, a1b2c3d4"."""
    count = sum(p.numel() for module in model.modules for p in module.parameters())
    dtype = str(model.dtype).removeprefix("torch.")
    predicts = config_name(model.schedule.kind)
    return (
        f"{model.name}: {model.native_size} px, {predicts}, {dtype}, "
        f"{count / 1e6:.1f} M parameters, {model.fingerprint[:8]}"
    )


NODES = [EvenframeLoadModel, EvenframeAdoptModel]
