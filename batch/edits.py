"""A row's edit in a plain process, by the executor of `evenframe run`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..pipelines.common.errors import EvenframeError
from .job import Job, Made, Setup

if TYPE_CHECKING:
    from ..nodes.host.executor import Executor
    from ..nodes.host.standalone import Session

log = logging.getLogger(__name__)
INVERTING = "Inverting"
THUMB, THUMB_SIDE = "thumb.jpg", 160
VIDEOS = (".mp4", ".mkv", ".webm", ".gif", ".mov")


class Editor:
    """Runs the workflow of each job."""

    def __init__(self, setup: Setup) -> None:
        from ..nodes import node_classes
        from ..nodes.host.executor import Executor

        self._setup, self._host = setup, standalone()
        self._session, self._process = session(setup), process_facts()
        with self._host.using(self._session):
            self._executor: Executor = Executor(self._host, node_classes())

    def __call__(self, job: Job, folder: Path) -> Made:
        from ..nodes.host import workflow

        inversions, aside = list[int](), folder.parent

        def report(label: str, done: int, total: int) -> None:
            if label == INVERTING and done == total:
                inversions.append(total)

        one = replace(self._session, output=folder, temp=aside / "temp", report=report)
        with self._host.using(one):
            self._executor.forget_files()
            self._executor.run(workflow.parse(job.prompt))
            if not any(folder.iterdir()):
                raise EvenframeError("The workflow saved no file: add Save Video to it.")
            return Made(len(inversions), finish(self._setup, job, folder, self._process))


def make(setup: Setup) -> Editor:
    """The usual `Setup.make`."""
    _take_part(setup)
    return Editor(setup)


def _take_part(setup: Setup) -> None:
    """Take the threads and the device that are this worker's."""
    import torch

    if setup.threads:
        torch.set_num_threads(setup.threads)
    if torch.cuda.is_available():
        torch.cuda.set_device(setup.number % torch.cuda.device_count())


def standalone() -> Any:
    """The host of a plain process: batches never start inside a ComfyUI server."""
    from ..nodes.host import host
    from ..nodes.host.standalone import StandaloneHost

    if not isinstance(host, StandaloneHost):
        raise EvenframeError("A batch does not start inside ComfyUI: use the command line.")
    return host


def session(setup: Setup) -> Session:
    """Where its models, clips and inversions are."""
    from ..nodes.host.standalone import Session

    given = {"models": setup.models, "inputs": setup.inputs, "cache": setup.cache}
    return Session.from_environment(**{name: value for name, value in given.items() if value})


def process_facts() -> dict[str, Any]:
    """What records tell of this process, which is the same for all of its rows."""
    from ..nodes.common.made_by import facts

    told = facts(())
    return {name: told[name] for name in ("versions", "device", "threads")}


def finish(setup: Setup, job: Job, folder: Path, process: Mapping[str, Any]) -> dict[str, Any]:
    """A thumbnail beside the files, and what the record tells. process: `process_facts`."""
    thumbnail(folder)
    if not setup.evaluate:
        return {"process": process}
    from .measures import clip_name, measured

    name = clip_name(job)
    clip = standalone().named_file(name) if name else None
    return {"process": process, "measures": measured(job, clip, first_video(folder))}


def first_video(folder: Path) -> Path | None:
    """By name: of a workflow that saves several, the one that the page shows and measures."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEOS)
    return found[0] if found else None


def thumbnail(folder: Path) -> None:
    """A small picture of an early frame of the first video; none where there is no video."""
    from av.error import FFmpegError

    from ..pipelines.video.source import opened, video_stream

    if (video := first_video(folder)) is None:
        return
    try:
        with opened(video) as container:
            stream = video_stream(container, video)
            # Threads help no nine frames, and wait for the cores that other workers compute on.
            stream.codec_context.thread_count = 1
            frames = [frame for frame, _ in zip(container.decode(stream), range(9), strict=False)]
            image = frames[len(frames) // 2].to_image()
    except (EvenframeError, FFmpegError, IndexError) as error:
        log.warning("No thumbnail of '%s': %s", video.name, error)
        return
    image.thumbnail((THUMB_SIDE, THUMB_SIDE))
    image.save(folder / THUMB, quality=80)
