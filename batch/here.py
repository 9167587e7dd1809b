"""The rules of this process: workflows as `evenframe run` runs them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from ..nodes import node_classes
from ..nodes.common.files import stamps
from ..nodes.common.made_by import content_hash, facts
from ..nodes.host.executor import Executor
from ..nodes.host.standalone import Session
from ..nodes.host.workflow import Workflow
from .columns import Column
from .edits import standalone
from .plan import File
from .prompts import Prompts


class HereRules:
    """`Rules` of a session: its folders, the nodes of this pack."""

    def __init__(self, session: Session) -> None:
        self._session, self._host = session, standalone()
        told = facts(())
        self.made_by: dict[str, Any] = {name: told[name] for name in ("code", "versions")}
        with self._host.using(session):
            self._executor = Executor(self._host, node_classes())
        self._prompts = Prompts()
        self._contents: dict[str, str | None] = {}

    def require(self, workflow: Workflow, column: Column) -> None:
        self.assign(workflow, column, "")

    def assign(self, workflow: Workflow, column: Column, text: str) -> Workflow:
        with self._host.using(self._session):
            return self._executor.assign(workflow, f"{column.target}={text}")

    def check(self, workflow: Workflow) -> None:
        with self._host.using(self._session):
            self._executor.check(workflow)
            self._prompts.check(workflow)

    def content(self, name: str) -> str | None:
        if name not in self._contents:
            with self._host.using(self._session):
                self._contents[name] = content_hash(name)
        return self._contents[name]

    def upload(self, name: str) -> None:
        return None

    def files(self, name: str) -> tuple[File, ...]:
        if self.content(name) is None:
            return ()
        with self._host.using(self._session):
            path = self._host.named_file(name)
        return () if path is None else stamps_of(path.absolute())


@lru_cache(maxsize=100_000)
def stamps_of(path: Path) -> tuple[File, ...]:
    """As they were when the batch began."""
    return tuple(stamps(path))
