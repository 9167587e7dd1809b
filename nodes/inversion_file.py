"""Inversions on disk: written to the output folder, and read again."""

from __future__ import annotations

from ..pipelines.common.tensor_file import SUFFIX
from ..pipelines.source.file import load, save
from ..pipelines.source.inversion import Inversion
from .common import shared, sockets
from .common.files import Stamp, input_stamp
from .common.names import filled_for
from .common.verdict import verdict
from .host import host, io


class EvenframeSaveInversion(io.ComfyNode):
    """An inversion into a file of the output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeSaveInversion",
            display_name="Save Inversion (Evenframe)",
            category=sockets.CATEGORY,
            description="Write an inversion to the output folder, to edit from it elsewhere.",
            is_output_node=True,
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            inputs=[
                sockets.Inversion.Input("inversion", tooltip="What is written."),
                shared.filename_prefix(
                    "evenframe/inversion",
                    "Start of the file name; may name a subfolder of the output folder. "
                    "%date:yyyy-MM-dd% and %Node.input% are filled in.",
                ),
            ],
            outputs=[],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix: str | None = None) -> bool | str:
        """Say before the inversion what would fail after it."""

        def check() -> None:
            if filename_prefix is not None:
                host.check_output(filled_for(cls, filename_prefix), SUFFIX)

        return verdict(check)

    @classmethod
    def execute(cls, inversion: Inversion, filename_prefix: str) -> io.NodeOutput:
        path = save(inversion, host.new_output(filled_for(cls, filename_prefix), SUFFIX))
        return io.NodeOutput(ui={"files": [host.saved(path)], "text": [path.name]})


class EvenframeLoadInversion(io.ComfyNode):
    """An inversion from a file of the input or the output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeLoadInversion",
            display_name="Load Inversion (Evenframe)",
            category=sockets.CATEGORY,
            description="Read an inversion that was saved.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=host.input_names({SUFFIX}, saved=True),
                    tooltip="A file that Save Inversion wrote: of the output folder, marked so, or "
                    "put into the input folder.",
                )
            ],
            outputs=[sockets.Inversion.Output(display_name="inversion")],
        )

    @classmethod
    def fingerprint_inputs(cls, file: str | None) -> Stamp | None:
        return input_stamp(file)

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        return io.NodeOutput(load(host.input_path(file)))


NODES = [EvenframeSaveInversion, EvenframeLoadInversion]
