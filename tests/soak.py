"""`make soak`: one ComfyUI server, many edits, with interrupts and malformed prompts in between.

Prints for each edit what the server's memory is, and in the end by how much an edit makes it grow.
Fails where an edit fails, where something malformed does not, and where memory does not level off.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from comfyui_server import ROOT, ComfyServer, PromptRefused, Run, find_comfyui, wait_for

Graph = dict[str, Any]
RECIPES = (
    "FateZero attribute edit",
    "FateZero style edit",
    "ReAtCo two objects",
    "FAME one person",
)
KINDS = ("interrupt", "word", "missing node", "half a character", "type", "circle", "nothing")
MOST_GROWTH = 1.0
"""MB by which an edit may make the server grow, once it has warmed up."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=100)
    options = parser.parse_args()
    path, reason = find_comfyui()
    if path is None:
        print(f"soak: {reason}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="soak-") as base:
        server = ComfyServer(path, Path(base), {"evenframe": ROOT})
        with server.running():
            return soak(server, options.edits)


def soak(server: ComfyServer, edits: int) -> int:
    """Edit so many times; the exit code."""
    chance, memory, began = random.Random(0), [], time.monotonic()
    recipes = [load(name) for name in RECIPES]
    print(f"{'edit':>5} {'seconds':>8} {'MB':>8}  between")
    for number in range(edits):
        graph = recipes[number % len(recipes)]
        between = disturb(server, graph, number, chance)
        start = time.monotonic()
        run = server.run(changed(graph, number))
        if run.outcome != "execution_success":
            print(f"edit {number} failed: {run.of('execution_error')}", file=sys.stderr)
            return 1
        memory.append(resident(server))
        row = f"{number:>5} {time.monotonic() - start:>8.1f} {memory[-1]:>8.1f}"
        print(f"{row}  {between}", flush=True)
    growth = per_edit(memory[len(memory) // 3 :])
    print(f"{edits} edits in {time.monotonic() - began:.0f} s; memory per edit: {growth:+.3f} MB")
    return int(growth > MOST_GROWTH)


def load(name: str) -> Graph:
    path = ROOT / "examples_workflows" / "api" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def changed(graph: Graph, number: int) -> Graph:
    """An edit that no cache has seen: every one takes another target and another seed."""
    graph = copy.deepcopy(graph)
    for node in of(graph, "EvenframeInvert"):
        node["inputs"] |= {"steps": 6 + number % 3, "cache_gb": 0}
    for node in of(graph, "EvenframeEdit"):
        node["inputs"]["seed"] = number
        node["inputs"]["eta"] = 0.1
    return graph


def of(graph: Graph, class_type: str) -> list[dict[str, Any]]:
    return [node for node in graph.values() if node["class_type"] == class_type]


def disturb(server: ComfyServer, graph: Graph, number: int, chance: random.Random) -> str:
    """Something that goes wrong, and must leave nothing; what it was."""
    graph = changed(graph, 10_000 + number)
    kind = KINDS[number % len(KINDS)]
    if kind == "interrupt":
        run = server.queue(graph)
        wait_for(lambda: run.of("progress") or run.ended.is_set())
        time.sleep(2 * chance.random())
        server.interrupt()
        run.ended.wait(60)
        return f"interrupt: {run.outcome}"
    return refused(server, graph, kind, number) if kind != "nothing" else ""


def refused(server: ComfyServer, graph: Graph, kind: str, number: int) -> str:
    """What the server says of a workflow that is malformed."""
    (editor,) = of(graph, "EvenframeEdit")
    if kind == "word":
        for node in of(graph, "EvenframeAttentionFusion"):
            node["inputs"] |= {"weights": f"giraffe{number}: 2"}
        for node in of(graph, "EvenframePrompt"):
            node["inputs"]["text"] += " of very many words" * 40
    elif kind == "half a character":
        for node in of(graph, "EvenframePrompt"):
            node["inputs"]["text"] = f"a giraffe {number} \ud83d"
    elif kind == "missing node":
        editor["inputs"]["model"] = ["999", 0]
    elif kind == "type":
        editor["inputs"] |= {"guidance_scale": "x" * number, "seed": None}
    else:
        editor["inputs"]["inversion"] = next([key, 0] for key, n in graph.items() if n is editor)
    try:
        run = server.run(graph)
    except PromptRefused:
        return f"{kind}: refused"
    return failed(run, kind)


def failed(run: Run, kind: str) -> str:
    """What a run said that had to fail."""
    errors = [error["exception_message"].split("\n")[0] for error in run.of("execution_error")]
    assert errors, f"a workflow with '{kind}' ran"
    return f"{kind}: {errors[0]}"


def resident(server: ComfyServer) -> float:
    """MB of the server's process."""
    return psutil.Process(server.pid).memory_info().rss / 1e6


def per_edit(memory: list[float]) -> float:
    """The slope, in MB for each edit: the median of those between all pairs (Theil and Sen)."""
    return statistics.median(slopes(memory)) if len(memory) > 1 else 0.0


def slopes(memory: list[float]) -> Iterator[float]:
    for late, after in enumerate(memory):
        for early, before in enumerate(memory[:late]):
            yield (after - before) / (late - early)


if __name__ == "__main__":
    sys.exit(main())
