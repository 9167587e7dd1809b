"""The rules of this process: workflows as `evenframe run` runs them."""

from __future__ import annotations

from typing import Any

from ..nodes import node_classes
from ..nodes.common.files import stamps
from ..nodes.common.made_by import LONGEST_NAME, content_hash, facts
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
        self._contents = Contents(session)

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
        return self._contents.of(name)[0]

    def upload(self, name: str) -> None:
        return None

    def files(self, name: str) -> tuple[File, ...]:
        return self._contents.of(name)[1]


class Contents:
    """What texts name on this machine, each looked at once: as it was when the batch began."""

    def __init__(self, session: Session) -> None:
        self._session, self._host = session, standalone()
        self._known: dict[str, tuple[str | None, tuple[File, ...]]] = {}

    def of(self, name: str) -> tuple[str | None, tuple[File, ...]]:
        """SHA-256 and stamps of a file or a folder of weights; (None, ()) where there is none."""
        if name not in self._known:
            with self._host.using(self._session):
                path = self._host.named_file(name) if 0 < len(name) <= LONGEST_NAME else None
                # Before the content: what is written meanwhile is then a change.
                files = () if path is None else tuple(stamps(path.absolute()))
                self._known[name] = None if path is None else content_hash(name), files
        return self._known[name]
