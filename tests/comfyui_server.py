"""A real ComfyUI server for tests: started in a folder of its own, driven as a browser does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 240


class PromptRefused(Exception):
    """The server did not take a workflow; `body` says why."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(json.dumps(body)[:2000])
        self.body = body


@dataclass
class Run:
    """What a client saw of one run.

    messages: (type, data) of the websocket, in order. previews: number of preview pictures.
    refused: the errors of nodes that are left out of the run, by their ids.
    """

    prompt_id: str
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    previews: int = 0
    refused: dict[str, Any] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for name, data in list(self.messages) if name == kind]

    @property
    def outcome(self) -> str:
        """One of ENDS, or nothing while it runs."""
        ends = [name for name, _ in list(self.messages) if name in ENDS]
        return ends[-1] if ends else ""


ENDS = ("execution_success", "execution_error", "execution_interrupted")


class ComfyServer:
    """One server process, run by `python`, and one client that listens to it."""

    def __init__(
        self,
        comfyui: Path,
        base: Path,
        packs: dict[str, Path],
        python: str | Path = sys.executable,
    ) -> None:
        for folder in ("custom_nodes", "input", "output", "user", "models/checkpoints"):
            (base / folder).mkdir(parents=True, exist_ok=True)
        for name, source in packs.items():
            (base / "custom_nodes" / name).symlink_to(source)
        self.base = base
        self.port = _free_port()
        self.log_path = base / "server.log"
        self._comfyui = comfyui
        self._python = python
        self._client = uuid.uuid4().hex
        self._runs: dict[str, Run] = {}
        self._current: Run | None = None
        self._listening = threading.Event()  # what a run says before is lost
        self.pid = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[ComfyServer]:
        """Start the server and the client; stop both at the end."""
        arguments = ["--cpu", "--listen", "127.0.0.1", "--port", str(self.port)]
        arguments += ["--base-directory", str(self.base), "--database-url", "sqlite:///:memory:"]
        arguments += ["--disable-api-nodes", "--disable-auto-launch", "--preview-method", "auto"]
        arguments += frontend(self.base / "frontend")
        with self.log_path.open("w") as log:
            process = subprocess.Popen(
                [self._python, str(self._comfyui / "main.py"), *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                cwd=self.base,
            )
            self.pid = process.pid
            try:
                self._wait_until_up(process)
                threading.Thread(target=lambda: asyncio.run(self._listen()), daemon=True).start()
                assert self._listening.wait(60), "the server took no websocket"
                yield self
            finally:
                process.terminate()
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self._url(path), timeout=60) as answer:
            return json.loads(answer.read())

    def text(self, path: str) -> str:
        with urllib.request.urlopen(self._url(path), timeout=60) as answer:
            return answer.read().decode()

    def post(self, path: str, data: Any) -> Any:
        request = urllib.request.Request(
            self._url(path), json.dumps(data).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:
            raise PromptRefused(json.loads(error.read() or b"{}")) from error
        return json.loads(body) if body else None

    def queue(self, prompt: dict[str, Any]) -> Run:
        """Send a workflow in API format; PromptRefused if the server finds it invalid."""
        run = Run(str(uuid.uuid4()))
        self._runs[run.prompt_id] = run
        answer = self.post(
            "/prompt", {"prompt": prompt, "client_id": self._client, "prompt_id": run.prompt_id}
        )
        run.refused = answer["node_errors"]
        return run

    def run(self, prompt: dict[str, Any], seconds: float = 300) -> Run:
        """Queue a workflow and wait for its end."""
        run = self.queue(prompt)
        assert run.ended.wait(seconds), f"no end after {seconds} s\n{self.log[-4000:]}"
        return run

    def interrupt(self) -> None:
        self.post("/interrupt", {})

    def free(self) -> None:
        """Ask for all models to be unloaded, and wait until the server has taken note."""
        self.post("/free", {"unload_models": True})
        time.sleep(2)

    def outputs(self, run: Run) -> dict[str, dict[str, Any]]:
        """What the output nodes showed, by node id."""
        # The server tells of the end before it writes the history.
        history = wait_for(lambda: self.get(f"/history/{run.prompt_id}"))
        return history[run.prompt_id]["outputs"]

    def files(self, run: Run) -> list[Path]:
        """Files that a run saved or previewed, where they lie on disk."""
        found = []
        for shown in self.outputs(run).values():
            for entry in (entry for entries in shown.values() for entry in entries):
                if isinstance(entry, dict) and "filename" in entry:
                    folder = self.base / entry["type"] / entry["subfolder"]
                    found.append(folder / entry["filename"])
        return found

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def _wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"the server stopped while starting\n{self.log[-4000:]}")
            with contextlib.suppress(OSError, urllib.error.URLError):
                self.get("/system_stats")
                return
            time.sleep(0.5)
        raise RuntimeError(f"the server was not up after {START_SECONDS} s\n{self.log[-4000:]}")

    async def _listen(self) -> None:
        import aiohttp

        url = self._url(f"/ws?clientId={self._client}")
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(url, max_msg_size=0) as socket_,
            ):
                self._listening.set()
                async for message in socket_:
                    if message.type == aiohttp.WSMsgType.TEXT:
                        self._note(json.loads(message.data))
                    elif message.type == aiohttp.WSMsgType.BINARY and self._current:
                        self._current.previews += 1

    def _note(self, message: dict[str, Any]) -> None:
        data = message.get("data") or {}
        run = self._runs.get(data.get("prompt_id", ""))
        if run is None:
            return
        self._current = run
        run.messages.append((message["type"], data))
        if message["type"] in ENDS:
            run.ended.set()


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true value of `condition`, asked ten times a second."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not so after {seconds} s")


def find_comfyui() -> tuple[Path | None, str]:
    """Where ComfyUI lies, or None and why the tests that need it are skipped."""
    path = Path(os.environ.get("COMFYUI_PATH") or Path.home() / "comfy" / "ComfyUI")
    if not (path / "main.py").is_file():
        return None, f"no ComfyUI at {path}: set COMFYUI_PATH to run the tests that need one"
    done = subprocess.run(
        [sys.executable, "-c", "import aiohttp, alembic, comfyui_frontend_package, torchsde"],
        capture_output=True,
    )
    if done.returncode:
        return None, f"what {path} requires is not installed: run `make test`, or pip install it"
    return path, ""


def frontend(folder: Path) -> list[str]:
    """How a server is told of another frontend than the installed one: of that which
    COMFYUI_FRONTEND names, a wheel or the folder of one that is unpacked."""
    given = Path(os.environ.get("COMFYUI_FRONTEND", ""))
    if given.suffix == ".whl":
        zipfile.ZipFile(given).extractall(folder)
        given = folder
    found = [*given.glob("*/static/index.html"), *given.glob("index.html")]
    return ["--front-end-root", str(found[0].parent.resolve())] if given.name and found else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
