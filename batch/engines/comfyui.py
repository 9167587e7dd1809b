"""Rows on ComfyUI servers: each is sent a workflow at a time, and what it saves is fetched."""

from __future__ import annotations

import errno
import queue
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ...pipelines.common.errors import EvenframeError
from ..commit import perform
from ..edits import first_video, thumbnail
from ..job import Job, Lost, Made, Outcome
from ..measures import measured
from ..store import Store
from .server import Gone, Refused, Server, told_error

POLL, RETRY = 0.5, 5.0
"""Seconds between questions for a row, and for a server that did not answer."""
STOP = 10.0
"""Seconds in which all servers are told to end their rows."""
CLIENT = "evenframe-batch"
FULL = ("No space left on device", "The disk is full")
INVERTER, STEPS = "EvenframeInvert", re.compile("[0-9]+ steps")
"""The node that inverts, and what it shows unless it found an inversion."""

Fits = Callable[[Server], Mapping[str, Any]]


class ComfyUIEngine:
    """`Engine` of several servers, which each keep inversions of their own.

    fits: what a server is, for records; raises EvenframeError where it computes otherwise than the
        batch's keys say.
    """

    name, shared = "comfyui", False

    def __init__(
        self, store: Store, servers: list[Server], fits: Fits, evaluate: bool = False
    ) -> None:
        self._store, self._servers = store, {server.url: server for server in servers}
        self._fits, self._evaluate = fits, evaluate
        self._jobs: dict[str, Job | None] = {}
        self._up: dict[str, str] = {}
        self._handed: dict[str, queue.SimpleQueue[Job]] = {}
        self._ended: queue.SimpleQueue[tuple[str, Outcome]] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        for url in self._servers:
            self._jobs[url], self._handed[url] = None, queue.SimpleQueue()
            self._up[url] = "is not asked yet"
            thread = threading.Thread(target=self._serve, args=(url,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def idle(self) -> list[str]:
        return [url for url, job in self._jobs.items() if job is None and not self._up[url]]

    def give(self, worker: str, job: Job) -> None:
        self._jobs[worker] = job
        self._handed[worker].put(job)

    def wait(self, seconds: float) -> list[tuple[str, Outcome]]:
        found = list[tuple[str, Outcome]]()
        try:
            found.append(self._ended.get(timeout=seconds))
            while True:
                found.append(self._ended.get_nowait())
        except queue.Empty:
            for url, _ in found:  # not before the driver hears of it: else a row is given on top
                self._jobs[url] = None
            return found

    def note(self) -> str:
        down = [said for said in self._up.values() if said]
        return f"{len(down)} of {len(self._up)} servers: {down[0]}" if down else ""

    def stop(self) -> None:
        self._stopped.set()
        end = time.monotonic() + STOP
        for thread in self._threads:
            thread.join(timeout=max(end - time.monotonic(), 0.0))

    def _serve(self, url: str) -> None:
        """A server's thread: waits until it answers, then does its rows, one by one."""
        server = self._servers[url]
        while not self._stopped.is_set():
            try:
                told = self._fits(server)
                cancel(server, self._client)
                self._up[url] = ""
            except (Gone, EvenframeError) as error:
                self._up[url] = str(error)
                self._stopped.wait(RETRY)
                continue
            self._do_rows(url, server, told)

    def _do_rows(self, url: str, server: Server, told: Mapping[str, Any]) -> None:
        """Until the server is gone."""
        run = Run(server, self._client, self._stopped, told, self._evaluate)
        while not self._stopped.is_set():
            try:
                job = self._handed[url].get(timeout=POLL)
            except queue.Empty:
                continue
            outcome = Outcome(job.key, "lost", f"{url}: its row could not be ended")
            try:
                outcome = perform(self._store, job, run, url)
            except (Lost, OSError, EvenframeError) as error:
                outcome = Outcome(job.key, "lost", str(error))
            finally:  # whatever it is, the batch must hear of it
                if outcome.state == "lost":
                    self._up[url] = outcome.message
                self._ended.put((url, outcome))
            if outcome.state == "lost":
                return

    @cached_property
    def _client(self) -> str:
        """By which a server's queue tells our runs, those of a driver that is gone too."""
        return f"{CLIENT}-{self._store.id}"


class Interrupted(Lost):
    """The run was ended on the server, or the batch ends."""


class Run:
    """An `Edit` on a server, from when it answers until it is gone."""

    def __init__(
        self,
        server: Server,
        client: str,
        stopped: threading.Event,
        told: Mapping[str, Any],
        evaluate: bool = False,
    ) -> None:
        """client: see `ComfyUIEngine`. stopped: ends the run. told: of the server, for records."""
        self._server, self._client, self._stopped, self._told = server, client, stopped, told
        self._evaluate, self._sent = evaluate, dict[str, str]()

    def __call__(self, job: Job, folder: Path) -> Made:
        number = str(uuid.uuid4())
        try:
            prompt = self._uploaded(job)
            asked = {"prompt": prompt, "client_id": self._client, "prompt_id": number}
            told = self._server.post("/prompt", asked)
            if isinstance(told, dict) and told.get("node_errors"):
                end(self._server, number)
                raise EvenframeError(f"{told_error(told)}: correct the row.")
            made = self._fetched(job, self._waited(number), folder)
        except Refused as error:
            raise EvenframeError(f"{self._server.url}: {error}") from error
        thumbnail(folder)
        if not self._evaluate:
            return made
        clip = next(map(Path, job.uploads.values()), None)
        measures = measured(job, clip, first_video(folder))
        return replace(made, facts={**made.facts, "measures": measures})

    def _uploaded(self, job: Job) -> dict[str, Any]:
        """The workflow with the clips of this machine named as they are on the server."""
        prompt = {
            node: {**each, "inputs": dict(each["inputs"])} for node, each in job.prompt.items()
        }
        for target, path in job.uploads.items():
            node, _, socket = target.rpartition(".")
            content = job.record["content"][job.prompt[node]["inputs"][socket]]
            name = f"{content[:32]}{Path(path).suffix.lower()}"
            if name not in self._sent:
                self._sent[name] = self._server.upload(Path(path), name)
            prompt[node]["inputs"][socket] = self._sent[name]
        return prompt

    def _waited(self, number: str) -> Mapping[str, Any]:
        """What the server tells of a run, once it has ended."""
        absent = 0
        while True:
            if self._stopped.wait(POLL):
                end(self._server, number)
                raise Interrupted("the batch ends")
            told = _mapping(self._server.get(f"/history/{number}")).get(number)
            if told is not None:
                return _mapping(told)
            absent = 0 if number in queued(self._server) else absent + 1
            if absent > 2:  # between the queue and the history it may be in neither
                raise Gone(f"{self._server.url} was started anew and has lost the row")

    def _fetched(self, job: Job, told: Mapping[str, Any], folder: Path) -> Made:
        outputs = _outputs(told)
        saved = [e for e in _entries(outputs) if isinstance(e, dict) and e.get("type") == "output"]
        if not saved:
            raise EvenframeError("The workflow saved no file: add a node that saves.")
        for entry in saved:
            self._server.download(entry, folder)
        inverters = {n for n, each in job.prompt.items() if each["class_type"] == INVERTER}
        inverters -= _cached(told)
        shown = [list(_entries({n: outputs[n]})) for n in inverters & outputs.keys()]
        made = sum(any(isinstance(e, str) and STEPS.match(e) for e in each) for each in shown)
        return Made(made, {"process": dict(self._told)})


def cancel(server: Server, client: str) -> None:
    """End what a driver of this batch that is gone has left in a server's queue."""
    for number, theirs in queued(server).items():
        if theirs == client:
            end(server, number)


def end(server: Server, number: str) -> None:
    """Take a run out of the queue, or stop it."""
    try:
        server.post("/queue", {"delete": [number]})
        server.post("/interrupt", {"prompt_id": number})
    except (Gone, Refused):
        return


def queued(server: Server) -> dict[str, str]:
    """The runs that wait or are done now, each with the client that sent it."""
    told = _mapping(server.get("/queue"))
    found: dict[str, str] = {}
    for name in ("queue_running", "queue_pending"):
        runs = told.get(name)
        for run in runs if isinstance(runs, list) else ():
            if isinstance(run, list) and len(run) > 3:
                found[str(run[1])] = str(_mapping(run[3]).get("client_id"))
    return found


def _outputs(told: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of a run; EvenframeError for one that failed, OSError where a disk was full."""
    status = _mapping(told.get("status"))
    if status.get("status_str") == "success":
        return dict(_mapping(told.get("outputs")))
    messages = status.get("messages")
    for message in messages if isinstance(messages, list) else ():
        kind, data = (message[0], _mapping(message[1])) if len(message) > 1 else ("", {})
        if kind == "execution_interrupted":
            raise Interrupted("somebody ended the run on its server")
        if kind == "execution_error":
            said = str(data.get("exception_message", "")).strip()
            if any(sign in said for sign in FULL):
                raise OSError(errno.ENOSPC, f"the server's disk is full: {said}")
            raise EvenframeError(f"node {data.get('node_id')} ({data.get('node_type')}): {said}")
    raise EvenframeError("The run failed, and its server does not say why: see the server's log.")


def _cached(told: Mapping[str, Any]) -> set[str]:
    """The nodes whose results the server had already."""
    messages = _mapping(told.get("status")).get("messages")
    found: set[str] = set()
    for message in messages if isinstance(messages, list) else ():
        if len(message) > 1 and message[0] == "execution_cached":
            found.update(map(str, _mapping(message[1]).get("nodes") or ()))
    return found


def _entries(outputs: Mapping[str, Any]) -> Any:
    for shown in outputs.values():
        for entries in _mapping(shown).values():
            if isinstance(entries, list):
                yield from entries


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
