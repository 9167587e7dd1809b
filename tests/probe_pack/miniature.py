"""The video miniature of a folder, in the host's own hands and in files for its own loaders."""

# pyright: reportMissingImports=false

from __future__ import annotations

from pathlib import Path

import folder_paths

from evenframe.miniature.video.comfyui import NAMES, write_files
from evenframe.nodes.host import host, io


class ProbeVideoMiniature(io.ComfyNode):
    """Open it, and write its files."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ProbeVideoMiniature",
            category="probe",
            inputs=[io.String.Input("folder")],
            outputs=[io.Model.Output("model"), io.Clip.Output("clip"), io.Vae.Output("vae")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, folder: str) -> io.NodeOutput:
        models = Path(folder_paths.get_folder_paths("vae")[0]).parent
        write_files(models, Path(folder))
        return io.NodeOutput(*host.video_miniature(Path(folder)), ui={"text": [*NAMES.values()]})
