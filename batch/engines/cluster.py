"""Workers as actors of a Ray cluster: one that there is, or one that is started for the batch.

Ray Core, and not Ray Data, which drops a row that fails without a record. Its token authentication
is left as it is set. A cluster listens on all of a machine's addresses: keep it off open networks.
"""

from __future__ import annotations

import logging
import os
import platform
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...pipelines.common.errors import EvenframeError, in_short
from ..commit import perform
from ..edits import standalone
from ..job import Job, Outcome, Setup
from ..signals import hearing
from ..store import Store

MISSING = (
    "--engine ray needs Ray: install it with `pip install 'evenframe[cluster]'`, into an "
    "environment that no ComfyUI runs in."
)
START_SECONDS = 180
"""In which a cluster must be up; a busy machine takes longer than Ray's own 30."""
MOST_STARTS = 3


class Worker:
    """What an actor is: made anew by Ray wherever it dies."""

    def __init__(self, setup: Setup, made_by: Mapping[str, Any]) -> None:
        self._setup, self._name = setup, f"worker {setup.number} on {platform.node()}"
        self._store, self._made_by = Store(setup.out), dict(made_by)
        self._refusal, self._edit = "", None
        try:
            self._store.require()
            self._require_same()
            self._edit = setup.make(setup)
        except EvenframeError as error:  # an exception would have Ray begin again, without end
            self._refusal = str(error)

    def ready(self) -> tuple[str, int]:
        """Why it cannot work, mostly "", and its process."""
        return self._refusal, os.getpid()

    def perform(self, job: Job) -> Outcome:
        assert self._edit is not None
        return perform(self._store, job, self._edit, self._name)

    def _require_same(self) -> None:
        """What computes there must be what the keys say."""
        if not self._made_by:
            return
        from ...nodes.common.made_by import facts

        told = facts(())
        differ = [name for name, value in self._made_by.items() if told.get(name) != value]
        if differ:
            raise EvenframeError(
                f"{self._name} differs from the driver in {', '.join(differ)}: install the same "
                "Evenframe and libraries there."
            )


class RayEngine:
    """`Engine` of so many actors, which share the folder of inversions.

    gpus: of each worker, in parts of one. address: of a cluster to join; None starts one here.
    made_by: of the keys, which workers must match.
    """

    name, shared = "ray", True

    def __init__(
        self,
        setup: Setup,
        workers: int,
        made_by: Mapping[str, Any],
        gpus: float = 0.0,
        address: str | None = None,
    ) -> None:
        self._setup, self._count, self._made_by = setup, workers, made_by
        self._gpus, self._address, self._joined = gpus, address, False
        self._actors: dict[str, Any] = {}
        self._jobs: dict[str, Job] = {}
        self._asked: dict[Any, str] = {}
        self._starts: dict[str, int] = {}
        self.pids: dict[str, int] = {}

    def start(self) -> None:
        standalone()
        try:
            import ray
        except ImportError as error:
            raise EvenframeError(MISSING) from error
        # Without "local", Ray joins whatever was last started on this machine.
        settings: dict[str, Any] = {"address": self._address or "local"}
        if not self._address:
            settings |= {"include_dashboard": False, "num_cpus": max(self._count, 1)}
            os.environ.setdefault("RAY_raylet_start_wait_time_s", str(START_SECONDS))
        try:
            with hearing(signal.SIGTERM):  # which Ray takes, to end the process at once
                ray.init(logging_level=logging.ERROR, log_to_driver=False, **settings)
        except Exception as error:  # Ray raises of all kinds
            raise EvenframeError(
                f"The Ray cluster cannot be joined ({in_short(error)}): check --address, that the "
                "same Ray is installed there, and RAY_AUTH_MODE=token with its RAY_AUTH_TOKEN."
            ) from error
        self._joined = True
        actor = ray.remote(Worker).options(
            num_cpus=1, num_gpus=self._gpus, max_restarts=-1, scheduling_strategy="SPREAD"
        )
        for number in range(self._count):
            name = f"worker {number}"
            setup = replace(self._setup, number=number)
            self._actors[name] = actor.remote(setup, self._made_by)
            self._ask(name)

    def idle(self) -> list[str]:
        busy = {*self._jobs, *self._asked.values()}
        return [name for name in self._actors if name not in busy]

    def give(self, worker: str, job: Job) -> None:
        self._jobs[worker] = job
        self._asked[self._actors[worker].perform.remote(job)] = worker

    def wait(self, seconds: float) -> list[tuple[str, Outcome]]:
        import ray
        from ray.exceptions import RayError

        asked = list(self._asked)
        if not asked:
            time.sleep(seconds)
            return []
        ready, _ = ray.wait(asked, num_returns=1, timeout=seconds)
        if ready:  # and whatever else has ended meanwhile
            ready, _ = ray.wait(asked, num_returns=len(asked), timeout=0)
        ended = list[tuple[str, Outcome]]()
        for ref in ready:
            name = self._asked.pop(ref)
            try:
                said = ray.get(ref)
            except RayError as error:
                ended += self._died(name, error)
                continue
            if isinstance(said, Outcome):
                del self._jobs[name]
                ended.append((name, said))
                continue
            refusal, self.pids[name] = said
            self._starts[name] = 0
            if refusal:
                raise EvenframeError(f"{name} cannot work: {refusal}")
        return ended

    def note(self) -> str:
        waiting = sum(name not in self._jobs for name in self._asked.values())
        return f"{waiting} of {self._count} workers wait for room in the cluster" if waiting else ""

    def stop(self) -> None:
        if not self._joined:
            return
        import ray

        for actor in self._actors.values():
            ray.kill(actor)
        ray.shutdown()
        self._joined = False

    def _ask(self, name: str) -> None:
        """Have an actor say that it is ready, be it new or made anew."""
        # Of an actor that Ray is making anew, a question without retries fails at once.
        ready = self._actors[name].ready.options(max_task_retries=-1)
        self._asked[ready.remote()] = name

    def _died(self, name: str, error: Exception) -> list[tuple[str, Outcome]]:
        self._starts[name] = self._starts.get(name, 0) + 1
        if name not in self._jobs and self._starts[name] >= MOST_STARTS:
            raise EvenframeError(
                f"{name} ended {MOST_STARTS} times while it got ready ({in_short(error)}): run one "
                "row with `evenframe run` on its machine to see why."
            )
        self._ask(name)
        job = self._jobs.pop(name, None)
        if job is None:
            return []
        return [(name, Outcome(job.key, "lost", f"{name} died ({in_short(error)})"))]


def cache_of(setup: Setup) -> Path:
    """Where workers on several machines find each other's inversions, unless it was said."""
    return setup.cache or setup.out / "cache"
