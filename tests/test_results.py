"""What the command line keeps on disk between two runs of a workflow."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from evenframe.cli.run import kept_results
from evenframe.nodes.host import host, io, workflow
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.results import ResultCache
from evenframe.nodes.host.standalone import Session, StandaloneHost


class Start(io.ComfyNode):
    calls: ClassVar[list[str]] = []

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeStart",
            inputs=[io.Int.Input("value")],
            outputs=[io.Int.Output("number")],
        )

    @classmethod
    def execute(cls, value: int) -> io.NodeOutput:
        cls.calls.append("start")
        return io.NodeOutput(value)


class Costly(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeCostly",
            inputs=[io.Int.Input("number")],
            outputs=[io.Latent.Output("latents")],
        )

    @classmethod
    def execute(cls, number: int) -> io.NodeOutput:
        Start.calls.append("costly")
        return io.NodeOutput({"samples": torch.full((1, 4, 2, 2), float(number))})


class Show(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeShow", inputs=[io.Latent.Input("latents")], is_output_node=True
        )

    @classmethod
    def execute(cls, latents: dict) -> io.NodeOutput:
        Start.calls.append("show")
        return io.NodeOutput(ui={"text": [str(latents["samples"].sum().item())]})


Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the workflow as a new process would; gives what it shows."""

    def fresh(value: int = 2, made_by: str = "1") -> str:
        Start.calls.clear()
        graph = {
            "1": {"class_type": "EvenframeStart", "inputs": {"value": value}},
            "2": {"class_type": "EvenframeCostly", "inputs": {"number": ["1", 0]}},
            "3": {"class_type": "EvenframeShow", "inputs": {"latents": ["2", 0]}},
        }
        assert isinstance(host, StandaloneHost)
        with host.using(Session(output=tmp_path / "output")):
            kept = ResultCache(tmp_path / "results", 10**6, made_by)
            result = Executor(host, [Start, Costly, Show], kept).run(workflow.parse(graph))
        return result.results["3"].ui["text"][0]

    return fresh


def test_the_second_run_computes_nothing_that_is_there(run: Run) -> None:
    assert (run(), Start.calls) == ("32.0", ["start", "costly", "show"])
    assert (run(), Start.calls) == ("32.0", ["show"])


def test_a_changed_input_is_computed(run: Run) -> None:
    run()
    assert (run(3), Start.calls) == ("48.0", ["start", "costly", "show"])


def test_other_code_computes_its_own(run: Run) -> None:
    run()
    run(made_by="2")
    assert Start.calls == ["start", "costly", "show"]


def test_another_device_computes_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU makes is not what the CPU makes to the bit: one is not found for the other."""
    assert isinstance(host, StandaloneHost)
    value = {"samples": torch.zeros(1, 4, 2, 2)}
    with host.using(Session(cache=tmp_path)):
        kept_results(host).put("a key", value)
        assert kept_results(host).get("a key") is not None
        monkeypatch.setattr(host, "device", lambda: torch.device("cuda", 0))
        assert kept_results(host).get("a key") is None


def cut(data: bytes) -> bytes:
    return data[:-3]


def altered(data: bytes) -> bytes:
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


@pytest.mark.parametrize("damage", [lambda _: b"", lambda _: b"no tensors", cut, altered])
def test_a_damaged_file_is_computed_again(
    run: Run, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    run()
    (path,) = (tmp_path / "results").iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert (run(), Start.calls) == ("32.0", ["start", "costly", "show"])


def test_a_file_under_the_name_of_another_is_computed_again(run: Run, tmp_path: Path) -> None:
    run(2)
    (two,) = (tmp_path / "results").iterdir()
    run(3)
    (three,) = set((tmp_path / "results").iterdir()) - {two}
    three.write_bytes(two.read_bytes())
    assert run(3) == "48.0"


def test_a_folder_that_cannot_be_written_costs_nothing_else(run: Run, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("in the way")
    assert run() == "32.0"
