"""A pack for tests: nodes that use nothing but the host door, loaded by a real server."""

from __future__ import annotations

import json
import time
from functools import partial

import torch

from evenframe.nodes.host import ComfyExtension, host, io
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.whole_file import write_new

Held = io.Custom("EVENFRAME_PROBE_MODEL")


class ProbeModel(io.ComfyNode):
    """Put a small model into the host's care."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ProbeModel",
            category="probe",
            inputs=[io.Int.Input("width", default=64, min=1, max=4096)],
            outputs=[Held.Output("model")],
        )

    @classmethod
    def execute(cls, width: int) -> io.NodeOutput:
        layer = torch.nn.Linear(width, width)
        return io.NodeOutput(host.hold(layer, [layer]))


class ProbeRun(io.ComfyNode):
    """Use everything the door offers, step by step."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ProbeRun",
            category="probe",
            inputs=[
                Held.Input("model"),
                io.Int.Input("steps", default=5, min=1, max=1000),
                io.Float.Input("pause", default=0.0, min=0.0, max=10.0),
                io.String.Input("fail", default=""),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model, steps: int, pause: float, fail: str) -> io.NodeOutput:
        from PIL import Image

        layer = host.load(model, memory_bytes=2**20)
        if fail:
            raise EvenframeError(fail)
        bar = host.progress(steps, "Probing")
        for done in range(1, steps + 1):
            bar.step(done, partial(Image.new, "RGB", (32, 32)) if done % 2 else None)
            time.sleep(pause)
        told = {
            "host": host.name,
            "device": str(host.device()),
            "dtype": str(host.dtype()),
            "weights": str(layer.weight.device),
            "free": host.free_memory(host.device()),
            "inference": torch.is_inference_mode_enabled(),
            "checkpoints": host.model_names("checkpoints"),
            "inputs": host.input_names([".txt"]),
            "cache": str(host.cache_dir()),
            "prompt": cls.hidden.prompt,
        }
        text = json.dumps(told)
        path = write_new(host.new_output("probe/told", ".json"), lambda path: path.write_text(text))
        return io.NodeOutput(ui={"files": [host.saved(path)]})


class Probe(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        from evenframe.tests.probe_pack.controlnet import ProbeControlNet
        from evenframe.tests.probe_pack.lending import ProbeLoan
        from evenframe.tests.probe_pack.miniature import ProbeVideoMiniature
        from evenframe.tests.probe_pack.wan import ProbeClip, ProbeWanFiles

        probes = [ProbeModel, ProbeRun, ProbeLoan, ProbeClip, ProbeWanFiles]
        return [*probes, ProbeVideoMiniature, ProbeControlNet]


async def comfy_entrypoint() -> ComfyExtension:
    return Probe()
