"""The bench for GPUs: tiny, on the CPU, by the same code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from comfyui_server import find_comfyui

from evenframe.__main__ import main
from evenframe.benchmarks import gpu, host_models, parts
from evenframe.cli import bench

CHECKS = ("gradient_tiny", "gradient_sd", "offload")
EDITED = ("sd2", "wan", "sd3")
NAMES = {*CHECKS, "matmul"} | {f"{m}.{case}" for m in (*EDITED, "host_wan") for case in gpu.CASES}
PATH, REASON = find_comfyui()


def test_all_is_measured_but_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_models, "find", lambda device: "none here")
    found = gpu.measure(gpu.TINY, "cpu", 600)
    costs = ("seconds", "peak_bytes", "tflop", "tflops", "times_floor")
    edited = {f"gpu.{m}.{case}.{each}" for m in EDITED for case in gpu.CASES for each in costs}
    absent = {f"gpu.host_wan.{case}.skipped": "none here" for case in gpu.CASES}
    others = {"gpu.matmul.tflops", "gpu.offload.bytes_per_step", *absent}
    others |= {f"gpu.{check}.cosine" for check in CHECKS[:2]}
    checks = {name: most for name, most in gpu.TARGETS.items() if name.split(".")[1] in CHECKS}
    assert found.keys() == edited | others | checks.keys()
    assert absent.items() <= found.items()
    assert found["gpu.offload.changed_share"] == 0
    for check in CHECKS[:2]:
        name = f"gpu.{check}.rel_error"
        assert 0 < float(found[name]) <= gpu.TARGETS[name]
    assert float(found["gpu.wan.plain.tflop"]) * 1e12 == wan_operations()
    rates = found["gpu.matmul.tflops"], found["gpu.sd2.fusion.tflops"]
    assert found["gpu.sd2.fusion.times_floor"] == pytest.approx(float(rates[0]) / float(rates[1]))


def wan_operations() -> int:
    """Of a guided step of the tiny Wan, by hand: what each of its layers multiplies."""
    tokens, words, width, wide, states, blocks = 2 * 2 * 2, 512, 128, 64, 4096, 2
    ends = 2 * tokens * (16 * 4) * width  # a token of 16 channels, 2x2; and back again
    text = words * (states * width + width * width)
    time = 256 * width + width * width + width * 6 * width
    look = 4 * tokens * width * width + 2 * tokens * tokens * width
    read = 2 * (tokens + words) * width * width + 2 * tokens * words * width
    return 2 * 2 * (ends + text + time + blocks * (look + read + 2 * tokens * width * wide))


def test_without_time_every_part_is_told_as_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "sd", lambda *_: pytest.fail("a model was made"))
    found = gpu.measure(gpu.TINY, "cpu", 0)
    reason = "out of time: it was to end after 0 s"
    assert found == dict.fromkeys((f"gpu.{name}.skipped" for name in NAMES), reason)
    assert capsys.readouterr().out.count(reason) == len(NAMES)


def test_no_part_is_begun_that_could_end_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def take(seconds: float) -> dict[str, float]:
        now[0] += seconds
        return {"seconds": seconds}

    monkeypatch.setattr(parts, "perf_counter", lambda: now[0])
    some = parts.Parts("some", {}, 100)
    for name, seconds in (("short", 20), ("long", 40), ("late", 1)):
        some.part(name, lambda seconds=seconds: take(seconds))
    some.part("last", dict)
    assert some.found["some.long.seconds"] == 40 and now == [61]
    assert some.found["some.last.skipped"] == "out of time: it was to end after 100 s"


def test_a_fault_costs_its_own_part_and_an_interrupt_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def raising(error: type[BaseException]) -> dict[str, float]:
        raise error("why")

    some = parts.Parts("some", {}, 100)
    for error in (RuntimeError, torch.cuda.OutOfMemoryError, KeyboardInterrupt):
        some.part(error.__name__, lambda error=error: raising(error))
    some.part("last", lambda: pytest.fail("begun all the same"))
    assert list(some.found.values()) == [
        "failed: RuntimeError: why",
        "out of memory",
        "interrupted",
        "interrupted",
    ]
    told = capsys.readouterr()
    assert all(f"{name}  {value}" in told.out for name, value in some.found.items())
    assert "in raising" in told.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    figures = tmp_path / "gpu.json"
    assert main(["bench", "gpu", "--seconds", "3", "--json", str(figures)]) == 0
    assert "gpu: not measured" in capsys.readouterr().out
    assert json.loads(figures.read_text()) == {}


def test_a_bench_that_is_run_by_name_is_not_among_all(monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[str] = []

    class Named:
        BY_NAME: ClassVar = True

        @staticmethod
        def run() -> dict[str, float]:
            run.append("named")
            return {}

    monkeypatch.setattr(bench, "benchmarks", lambda: ["named"])
    monkeypatch.setattr(bench, "_module", lambda name: Named)
    assert main(["bench"]) == 0 and not run
    assert main(["bench", "named"]) == 0 and run


HOSTED = """
import torch
from evenframe.benchmarks import gpu
from evenframe.benchmarks.parts import Parts
parts = Parts("gpu", {}, 600)
for name, made in (("host_wan", gpu.host_wan), ("wan", gpu.wan)):
    scene = gpu.Scene(made(gpu.TINY.wan, "cpu"), gpu.TINY.wan_frames, gpu.TINY.wan_size)
    gpu.edits(parts, name, lambda: scene)
work = [parts.found[f"gpu.{name}.plain.tflop"] for name in ("host_wan", "wan")]
assert work[0] == work[1], work
"""


@pytest.mark.slow
@pytest.mark.skipif(PATH is None, reason=REASON)
def test_comfyui_is_measured_where_it_is_found() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOSTED],
        capture_output=True,
        text=True,
        env=os.environ | {"COMFYUI_PATH": str(PATH)},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith("gpu.host_wan.")]
    assert len(told) == 4 * len(gpu.CASES) and "skipped" not in done.stdout
