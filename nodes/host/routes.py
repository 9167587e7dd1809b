"""What the pack's widgets ask of the server, beside what ComfyUI itself answers."""

# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web
from server import PromptServer

from ...pipelines.common.errors import EvenframeError
from ...pipelines.common.json_text import read_json, read_object, read_text

LONGEST = 1 << 16
"""Bytes of a question."""


def register() -> None:
    """Add the routes to the running server."""
    from . import host
    from .comfy import ComfyHost

    making, planning, reading = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()
    if isinstance(host, ComfyHost):
        PromptServer.instance.add_on_prompt_handler(host.posted)

    @PromptServer.instance.routes.post("/evenframe/filmstrip")
    async def filmstrip(request: web.Request) -> web.Response:
        """{"node": a loader's id, "inputs": {name: value}} to what `loaders_strip` gives."""
        from ..common.filmstrips import loaders_strip

        return await _answer(request, loaders_strip, making)

    @PromptServer.instance.routes.post("/evenframe/plan")
    async def plan(request: web.Request) -> web.Response:
        """The same question to what `loaders_plan` gives."""
        from ..common.plans import loaders_plan

        return await _answer(request, loaders_plan, planning)

    @PromptServer.instance.routes.post("/evenframe/made-by")
    async def made_by(request: web.Request) -> web.Response:
        """{"names": [a text of a workflow, ...]} to what `made_by` gives."""
        from ..common.made_by import asked_names, facts

        try:
            names = asked_names((await _body(request)).decode(errors="replace"))
            async with reading:
                return web.json_response(await asyncio.to_thread(facts, names))
        except (EvenframeError, OSError) as error:
            return web.json_response({"error": str(error)}, status=400)

    @PromptServer.instance.routes.post("/evenframe/estimate")
    async def estimate(request: web.Request) -> web.Response:
        """{"node": an editor's id, "inputs": the workflow in API format} to `edits_estimate`."""
        from ..common.estimate import edits_estimate

        return await _answer(request, edits_estimate, planning)


async def _answer(
    request: web.Request,
    answer: Callable[[str, dict[str, Any]], dict[str, Any]],
    one_at_a_time: asyncio.Lock,
) -> web.Response:
    try:
        asked = await _asked(request)
        async with one_at_a_time:
            if request.transport is None:  # who asked has gone on meanwhile
                return web.json_response({}, status=408)
            told = await asyncio.to_thread(answer, asked["node"], asked["inputs"])
    except (EvenframeError, OSError) as error:
        return web.json_response({"error": str(error)}, status=400)
    return web.json_response(told)


async def _asked(request: web.Request) -> dict[str, Any]:
    example = '{"node": "EvenframeLoadVideo", "inputs": {"file": "clip.mp4"}}'
    text = (await _body(request)).decode(errors="replace")
    value = read_json(text, "questions for a clip", example)
    asked = read_object(value, "The question", {"node", "inputs"}, set(), example)
    names = asked["inputs"] if isinstance(asked["inputs"], dict) else ()
    read_object(asked["inputs"], "inputs", set(), set(names), example)
    return {"node": read_text(asked["node"], "node"), "inputs": asked["inputs"]}


async def _body(request: web.Request) -> bytes:
    text = bytearray()
    async for chunk in request.content.iter_any():
        text += chunk
        if len(text) > LONGEST:
            raise EvenframeError(f"The question is longer than {LONGEST} bytes: ask for less.")
    return bytes(text)
