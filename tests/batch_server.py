"""A program that answers as a ComfyUI server does, with edits that cost nothing.

`python batch_server.py PORT FOLDER`: a process of its own, which can be killed.
"""

from __future__ import annotations

import json
import os
import queue
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

TEXT, NUMBER = ["STRING", {}], ["INT", {"min": 0, "max": 1000}]
NODES = {
    "EvenframeLoadVideo": {"file": [["none.mp4"], {}]},
    "EvenframePrompt": {"text": TEXT},
    "EvenframeInvert": {"frames": ["IMAGE"], "source_prompt": ["PROMPT"]},
    "EvenframeEdit": {"inversion": ["I"], "target_prompt": ["PROMPT"], "seed": NUMBER},
}


class State:
    """What one server holds: it is gone with the process, but for its files."""

    def __init__(self, folder: Path, code: str) -> None:
        self.folder, self.code = folder, code
        self.waiting: queue.Queue[tuple[str, dict[str, Any], str]] = queue.Queue()
        self.queued: dict[str, str] = {}
        self.history: dict[str, Any] = {}
        self.inverted: set[str] = set()
        threading.Thread(target=self.work, daemon=True).start()

    def work(self) -> None:
        while True:
            number, prompt, _ = self.waiting.get()
            if number in self.queued:
                self.history[number] = self.run(number, prompt)
                self.queued.pop(number, None)

    def run(self, number: str, prompt: dict[str, Any]) -> dict[str, Any]:
        target = prompt["target"]["inputs"]["text"]
        clip = prompt["clip"]["inputs"]["file"]
        if not (self.folder / "input" / clip).is_file():
            return failed("the clip was not sent before")
        do, _, how = target.partition(" ")
        time.sleep(float(how) if do == "sleep" else 0.02)
        mark = self.folder.parent / f"mark-{target.replace(' ', '-')}"
        if do == "crash" and (how != "once" or not mark.exists()):
            mark.touch()
            os._exit(9)
        if do in ("error", "full") and (how != "once" or not mark.exists()):
            mark.touch()
            said = "No space left on device" if do == "full" else "It cannot be done"
            return failed(said)
        (self.folder / "output" / f"{number}.mp4").write_text(target)
        entry = {"filename": f"{number}.mp4", "subfolder": "", "type": "output"}
        said = "found on disk" if clip in self.inverted else "25 steps"
        self.inverted.add(clip)
        outputs = {"edit": {"images": [entry]}, "invert": {"text": [said]}}
        return {"status": {"status_str": "success", "messages": []}, "outputs": outputs}


def failed(said: str) -> dict[str, Any]:
    error = {"exception_message": said, "node_id": "edit", "node_type": "EvenframeEdit"}
    return {"status": {"status_str": "error", "messages": [["execution_error", error]]}}


def handler(state: State) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def answer(self, value: Any, code: int = 200) -> None:
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            if url.path == "/object_info":
                self.answer({name: {"input": {"required": i}} for name, i in NODES.items()})
            elif url.path == "/queue":
                runs = [[0, number, {}, {"client_id": c}] for number, c in state.queued.items()]
                self.answer({"queue_running": runs, "queue_pending": []})
            elif url.path.startswith("/history/"):
                number = url.path.rpartition("/")[2]
                self.answer({n: told for n, told in state.history.items() if n == number})
            elif url.path == "/view":
                self.answer((state.folder / "output" / asked["filename"]).read_bytes())
            else:
                self.answer({}, 404)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/upload/image":
                name = re.search(rb'filename="([^"]+)"', body)
                assert name
                folder = state.folder / "input" / "evenframe_batch"
                folder.mkdir(parents=True, exist_ok=True)
                (folder / name.group(1).decode()).write_bytes(body)
                self.answer({"name": name.group(1).decode(), "subfolder": "evenframe_batch"})
                return
            asked = json.loads(body)
            if self.path == "/evenframe/made-by":
                if state.code == "none":
                    self.answer({}, 404)
                    return
                files = {n: "1" for n in asked["names"] if n == "sd15.safetensors"}
                self.answer({"code": state.code, "versions": {}, "threads": 3, "files": files})
            elif self.path == "/prompt":
                number = asked["prompt_id"]
                if asked["prompt"]["target"]["inputs"]["text"] == "refused":
                    errors = [{"message": "Value not in list", "details": "text"}]
                    told = {"error": {"message": "invalid"}, "node_errors": {}}
                    self.answer(told | {"node_errors": {"5": {"errors": errors}}}, 400)
                    return
                state.queued[number] = asked["client_id"]
                state.waiting.put((number, asked["prompt"], asked["client_id"]))
                self.answer({"prompt_id": number, "node_errors": {}})
            elif self.path == "/queue":
                for number in asked["delete"]:
                    state.queued.pop(number, None)
                self.answer({})
            else:
                self.answer({})

    return Handler


def serve(port: int, folder: Path, code: str = "c") -> ThreadingHTTPServer:
    for name in ("input", "output"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return ThreadingHTTPServer(("127.0.0.1", port), handler(State(folder, code)))


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2])).serve_forever()
