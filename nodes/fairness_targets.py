"""Fairness-aware editing (FAME): targets over a batch."""

from __future__ import annotations

from ..pipelines.fairness.targets import parse_shares, plan
from .common import sockets
from .host import io


class EvenframeFairnessTargets(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeFairnessTargets",
            display_name="Fairness Targets (Evenframe)",
            category=sockets.CATEGORY,
            description="Give each clip of a batch an attribute, so that the batch has the shares "
            "that you ask for.",
            search_aliases=["distribution", "batch", "shares", "fame"],
            inputs=[
                io.String.Input(
                    "shares",
                    multiline=True,
                    default="female: 0.5, male: 0.5",
                    tooltip="Attributes and their shares, with commas or one a line. They are "
                    "scaled where they do not sum to 1.",
                ),
                io.Int.Input("count", default=10, min=1, max=100000, tooltip="Clips of the batch."),
                io.Int.Input(
                    "index",
                    default=0,
                    min=0,
                    max=99999,
                    control_after_generate=io.ControlAfterGenerate.increment,
                    tooltip="Which clip this is, counted from 0. The editor counts it up after "
                    "each run.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**31 - 1,
                    control_after_generate=False,
                    tooltip="Keep it for the whole batch: it decides which clip gets which.",
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="attribute",
                    tooltip="For the attribute of Fairness Prompt Encoder.",
                ),
                io.String.Output(
                    display_name="log",
                    tooltip="Which clip this is, and the whole batch's assignment, as JSON: for "
                    "the log of Save Video.",
                ),
            ],
        )

    @classmethod
    def execute(cls, shares: str, count: int, index: int, seed: int) -> io.NodeOutput:
        batch = plan(parse_shares(shares), count, seed)
        attribute, log = batch.at(index), batch.log(index)
        lines = [f"clip {index + 1} of {count}: {attribute}", batch.note, log]
        text = "\n".join(line for line in lines if line)
        return io.NodeOutput(attribute, log, ui={"text": [text]})


NODES = [EvenframeFairnessTargets]
