"""A random ControlNet in a file, for whatever UNet a checkpoint has."""

# pyright: reportMissingImports=false

from __future__ import annotations

from pathlib import Path
from typing import Any

import folder_paths
from safetensors.torch import save_file

from evenframe.benchmarks.host_models import controlnet
from evenframe.nodes.host import io

NAME = "narrow_control.safetensors"


class ProbeControlNet(io.ComfyNode):
    """Write the file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ProbeControlNet",
            category="probe",
            is_output_node=True,
            inputs=[io.Model.Input("model")],
        )

    @classmethod
    def execute(cls, model: Any) -> io.NodeOutput:
        network = controlnet(model.model.model_config.unet_config)
        path = Path(folder_paths.get_folder_paths("controlnet")[0]) / NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {f"control_model.{name}": x.half() for name, x in network.state_dict().items()}
        save_file({name: x.contiguous() for name, x in state.items()}, path)
        return io.NodeOutput(ui={"text": [NAME]})
