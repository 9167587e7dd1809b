"""Batches on ComfyUI servers: made-up ones here, a real one at the end."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import batch_server
import pytest
from batch_fakes import GRAPH, driving, leftovers, opened, table_of
from comfyui_server import ComfyServer

from evenframe.batch import there
from evenframe.batch.driver import Driver
from evenframe.batch.engines import comfyui as engine_of_servers
from evenframe.batch.engines.server import Gone, Refused, Server
from evenframe.batch.plan import Plan, plan
from evenframe.batch.store import Store
from evenframe.batch.there import ThereRules
from evenframe.nodes.host.standalone import Session
from evenframe.nodes.host.workflow import parse
from evenframe.pipelines.common.errors import EvenframeError


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(engine_of_servers, "POLL", 0.05)
    monkeypatch.setattr(engine_of_servers, "RETRY", 0.2)
    for number in range(4):
        (tmp_path / f"{number}.mp4").write_text(f"clip {number}")
    return opened(tmp_path / "out")


@contextmanager
def serving(folder: Path, code: str = "c") -> Iterator[Server]:
    """A server in a thread."""
    with running(batch_server.serve(0, folder, code)) as server:
        yield server


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[Server]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()


def until(condition: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def rules_of(store: Store, *servers: Server) -> ThereRules:
    return ThereRules([*servers], Session(inputs=(store.root.parent,)), parse(GRAPH))


def run(store: Store, work: Plan, *servers: Server, said: Any = print) -> Any:
    engine = engine_of_servers.ComfyUIEngine(store, [*servers], work.rules.fits)  # pyright: ignore
    with driving(store):
        return Driver(store, work, engine, tell=said, pause=0.2).run()


def test_rows_are_done_by_several_servers(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sent: list[tuple[str, str]] = []
    upload = Server.upload

    def uploaded(self: Server, path: Path, name: str) -> str:
        sent.append((self.url, name))
        return upload(self, path, name)

    monkeypatch.setattr(Server, "upload", uploaded)
    with serving(tmp_path / "one") as one, serving(tmp_path / "two") as two:
        rules = rules_of(store, one, two)
        work = plan(
            table_of(["a", "b", "error", "c", "full once", "refused"], 3), parse(GRAPH), rules
        )
        progress = run(store, work, one, two)
    assert (progress.done, progress.failed) == (4, 2)
    assert progress.inversions == 3, "a clip's rows go to one server"
    assert len(sent) == len(set(sent)), "a server is sent a clip once"
    assert len({name for _, name in sent}) == 3
    records = {r["row"]["target"]: r for r in map(store.record, store.committed())}
    made = store.clips / records["a"]["folder"] / records["a"]["files"][0]
    assert made.read_text() == "a"
    assert records["error"]["error"] == "node edit (EvenframeEdit): It cannot be done"
    assert "invalid; node 5: Value not in list text" in records["refused"]["error"]
    assert {r["worker"] for r in records.values()} == {one.url, two.url}
    assert records["a"]["made_by"]["code"] == "c" and records["a"]["process"]["threads"] == 3
    assert leftovers(store) == []


def test_a_server_that_dies_loses_its_row_to_another(store: Store, tmp_path: Path):
    port = batch_server.serve(0, tmp_path / "free").server_port + 1
    script = Path(batch_server.__file__)
    arguments = [sys.executable, str(script), str(port), str(tmp_path / "one")]
    process = subprocess.Popen(arguments)
    dies = Server(f"http://127.0.0.1:{port}")
    try:
        with serving(tmp_path / "two") as stays:
            rules = rules_of(store, dies, stays)
            work = plan(table_of(["crash once", "a", "b", "c"]), parse(GRAPH), rules)
            time.sleep(0.1)
            progress = run(store, work, dies, stays)
    finally:
        process.kill()
        process.wait()
    assert (progress.done, progress.failed) == (4, 0)
    assert leftovers(store) == []


def test_a_server_is_given_no_row_before_its_last_was_heard_of(store: Store, tmp_path: Path):
    with serving(tmp_path / "one") as one:
        rules = rules_of(store, one)
        work = plan(table_of(["a"]), parse(GRAPH), rules)
        engine = engine_of_servers.ComfyUIEngine(store, [one], rules.fits)
        engine.start()
        try:
            until(engine.idle)
            engine.give(one.url, work.job(work.keys[0]))
            until(lambda: not engine._ended.empty())
            assert engine.idle() == []
            ((_, outcome),) = engine.wait(1)
            assert outcome.state == "done" and engine.idle() == [one.url]
        finally:
            engine.stop()


def test_a_server_that_computes_otherwise_gets_no_rows(store: Store, tmp_path: Path):
    with serving(tmp_path / "one") as one, serving(tmp_path / "two", "other") as two:
        rules = rules_of(store, one, two)
        with pytest.raises(EvenframeError, match="gets no rows, because it differs .* in code"):
            rules.fits(two)
        progress = run(store, plan(table_of(["a", "b"]), parse(GRAPH), rules), one, two)
    assert progress.done == 2
    assert {store.record(key)["worker"] for key in store.committed()} == {one.url}


def test_a_server_that_does_not_tell_is_refused(store: Store, tmp_path: Path):
    said = "does not tell what it computes with"
    with serving(tmp_path / "one", "none") as one, pytest.raises(EvenframeError, match=said):
        rules_of(store, one)


def test_rows_are_checked_before_the_first_is_sent(store: Store, tmp_path: Path):
    with serving(tmp_path / "one") as one:
        rules = rules_of(store, one)
        table = table_of(["a", "b", "c", "d"], clips=4)
        cells = [dict(row.cells) for row in table.rows]
        cells[0]["file"], cells[1]["seed"], cells[2]["seed"] = "9.mp4", "x", "1001"
        rows = tuple(type(r)(r.line, c) for r, c in zip(table.rows, cells, strict=True))
        work = plan(type(table)(table.columns, rows), parse(GRAPH), rules)
        wrong = work.wrong(work.keys)
    assert len(wrong) == 3
    assert wrong[0].startswith("line 2: node clip (EvenframeLoadVideo): file is '9.mp4', must be")
    assert "seed is 'x', not INT" in wrong[1]
    assert "seed is 1001, must be from 0 to 1000" in wrong[2]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("FLOAT", "nan"),
        ("FLOAT", "1e999"),
        ("INT", "1" * 150),
        ("INT", "1_0"),
        ("INT", "1.5"),
        ("BOOLEAN", "yes"),
    ],
)
def test_a_cell_is_no_other_value_than_it_says(kind: str, text: str):
    with pytest.raises(EvenframeError, match=f"seed is '.*, not {kind}"):
        there._typed(kind, {}, text, "node", "seed")
    typed = [("INT", "-7"), ("FLOAT", ".5"), ("BOOLEAN", "False"), ("STRING", "a")]
    assert [there._typed(k, {}, t, "", "") for k, t in typed] == [-7, 0.5, False, "a"]


def test_what_a_driver_that_is_gone_left_in_a_queue_is_ended(store: Store, tmp_path: Path):
    with serving(tmp_path / "one") as one:
        rules = rules_of(store, one)
        engine = engine_of_servers.ComfyUIEngine(store, [one], rules.fits)
        job = plan(table_of(["sleep 5"]), parse(GRAPH), rules)
        prompt = job.job(job.keys[0]).prompt
        (tmp_path / "one" / "input" / "0.mp4").touch()
        asked = {"prompt": prompt, "client_id": engine._client, "prompt_id": "p"}
        one.post("/prompt", asked)
        assert engine_of_servers.queued(one) == {"p": engine._client}
        engine_of_servers.cancel(one, engine._client)
        assert engine_of_servers.queued(one) == {}


ADDRESSES = (
    "127.0.0.1:8188",
    "file:///etc/passwd",
    "ftp://x",
    "http://",
    "http://[::1",
    "http://h:x",
)


@pytest.mark.parametrize("url", ADDRESSES)
def test_addresses_are_of_servers(url: str):
    with pytest.raises(EvenframeError, match="is no address: write http"):
        Server(url)


def test_a_server_is_one_server_with_a_slash_behind_it():
    assert Server("http://a:8188/") == Server("http://a:8188")


def test_many_names_are_asked_after_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[list[str]] = []

    def post(_: Server, path: str, value: Any, seconds: float) -> Any:
        asked.append(value["names"])
        return {"code": "c", "versions": {}, "files": dict.fromkeys(value["names"], "f")}

    monkeypatch.setattr(Server, "post", post)
    names = [f"{number}.mp4" for number in range(50)]
    assert list(Server("http://a:1").made_by(names)["files"]) == names
    assert max(map(len, asked)) <= 16 and sum(map(len, asked)) == 50


def test_a_file_of_a_server_cannot_leave_its_folder(store: Store, tmp_path: Path):
    with serving(tmp_path / "one") as one:
        (tmp_path / "one" / "output" / "x.mp4").write_text("x")
        (tmp_path / "safe").mkdir()
        entry = {"filename": "../output/x.mp4", "subfolder": "..", "type": "output"}
        assert one.download(entry, tmp_path / "safe") == tmp_path / "safe" / "x.mp4"
        assert one.download(entry, tmp_path / "safe").name.endswith("_x.mp4")


@contextmanager
def answering(body: bytes, length: int) -> Iterator[Server]:
    """A server with one answer to all, which breaks off where it tells a greater length."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield server


def test_an_answer_that_breaks_off_is_no_result(tmp_path: Path):
    with answering(b'{"a": 1', 4000) as server:
        with pytest.raises(Gone, match="ended its answer"):
            server.download({"filename": "x.mp4"}, tmp_path)
        with pytest.raises(Gone, match="ended its answer"):
            server.get("/queue")


@pytest.mark.parametrize("told", [b"", b"[]", b'{"code": 1}', b'{"name": 1}'])
def test_what_a_server_tells_is_not_believed_to_have_a_form(tmp_path: Path, told: bytes):
    with answering(told, len(told)) as server:
        with pytest.raises(Refused, match="another form"):
            server.made_by([])
        (tmp_path / "clip.mp4").touch()
        with pytest.raises(Refused, match="does not tell what it calls"):
            server.upload(tmp_path / "clip.mp4", "clip.mp4")


@pytest.mark.slow
def test_a_real_server_does_rows(comfyui: ComfyServer, tmp_path: Path):
    from evenframe.__main__ import main

    recipe = Path(__file__).resolve().parents[1] / "examples_workflows" / "api"
    graph = json.loads((recipe / "FateZero attribute edit.json").read_text())
    graph = {node: each for node, each in graph.items() if node not in ("11", "12")}
    graph["6"]["inputs"] |= {"steps": 2, "check": False}
    graph["3"]["inputs"] |= {"max_frames": 2}
    (tmp_path / "w.json").write_text(json.dumps(graph))
    red = "a {} circle left of a blue square on a gray background"
    lines = [f"{red.format('red')},{red.format(color)}" for color in ("green", "yellow")]
    (tmp_path / "t.csv").write_text("\n".join(["source,target", *lines]))
    out = tmp_path / "batch"
    command = ["batch", str(tmp_path / "t.csv"), "--workflow", str(tmp_path / "w.json")]
    command += ["--out", str(out), "--engine", "comfyui"]
    assert main([*command, "--server", f"http://127.0.0.1:{comfyui.port}"]) == 0
    records = [Store(out).record(key) for key in Store(out).committed()]
    assert [record["state"] for record in records] == ["done", "done"]
    assert sum(record["inversions"] for record in records) == 1
    assert all(any(name.endswith(".mp4") for name in record["files"]) for record in records)
