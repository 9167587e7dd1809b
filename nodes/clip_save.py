"""Save the edit as a video."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..pipelines import video as videos
from ..pipelines.common.progress import Counted
from ..pipelines.video.formats import chosen
from .common import shared, sockets
from .common.feedback import frame_bar
from .common.inputs import input_of
from .common.names import filled_for
from .common.run_record import FIELD, recorded, run_record
from .common.sound import audio_of
from .common.verdict import verdict
from .host import host, io

if TYPE_CHECKING:
    from ..pipelines.models.model import Model
    from .host import ModelHandle

FORMATS = ("mp4", "webm", "gif", "mov", "mkv")


def _file_inputs() -> list[io.Input]:
    """Into which file."""
    return [
        shared.filename_prefix(
            "evenframe/edit",
            "Name in the output folder, with subfolders if you like; a number is "
            "added, and nothing is ever overwritten. %date:yyyy-MM-dd% and %Node.input%, "
            "as %EvenframeEdit.seed%, are filled in.",
        ),
        io.Combo.Input(
            "format",
            options=list(FORMATS),
            default="mp4",
            tooltip="mp4 plays everywhere. webm is smaller. gif has no sound and 256 colours.",
        ),
    ]


def _film_inputs() -> list[io.Input]:
    """What the frames become."""
    return [
        sockets.Clip.Input(
            "clip",
            optional=True,
            tooltip="The clip that the frames were made from: gives size, rate and sound.",
        ),
        io.Audio.Input("audio", optional=True, tooltip="Sound to use instead of the clip's own."),
        input_of(
            videos.Choice,
            "frame_rate",
            tooltip="Frames a second; 0 takes the clip's or the video's, or 8 without both.",
        ),
        io.Boolean.Input(
            "undo_fit",
            default=True,
            tooltip="Bring the frames back to the size of the source: borders are removed, "
            "cropped frames are pasted back where they were cut out, repeated last ones "
            "left out.",
        ),
        io.Int.Input(
            "crf",
            default=-1,
            min=-1,
            max=63,
            advanced=True,
            tooltip="Quality: less is better and larger, 0 is the best. mp4, mov and mkv "
            "go to 51, webm to 63. -1 takes a good one.",
        ),
    ]


class EvenframeSaveVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeSaveVideo",
            display_name="Save Video (Evenframe)",
            category=sockets.CATEGORY,
            description="Save frames as a video, at the size and rate and with the sound of the "
            "clip that they were made from. The file carries the workflow, and says that it was "
            "edited with generative AI.",
            search_aliases=["video saver", "export video", "video combine", "save gif"],
            is_output_node=True,
            inputs=[
                io.MultiType.Input(
                    "frames",
                    [io.Image, io.Video],
                    tooltip="The frames to save, or a video: that of Paste Source Outside is made "
                    "frame by frame while it is saved.",
                ),
                *_file_inputs(),
                *_film_inputs(),
                io.String.Input(
                    "log",
                    optional=True,
                    force_input=True,
                    tooltip="Text to keep in the file, beside the workflow: the log of Fairness "
                    "Targets, or the record of Fairness Prompt Encoder.",
                ),
                sockets.Model.Input(
                    "model",
                    optional=True,
                    tooltip="The model of the edit: the record beside the video names it, with its "
                    "hash.",
                ),
            ],
            outputs=[
                io.Video.Output(display_name="video", tooltip="The saved video."),
                io.String.Output(display_name="info", tooltip="What was saved, in words."),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def validate_inputs(
        cls,
        filename_prefix: str | None = None,
        format: str | None = None,
        crf: int | None = None,
        log: str | None = None,
    ) -> bool | str:
        """Say before the edit what would fail after it; what is named here, no one else checks."""

        def check() -> None:
            # webm takes the widest range of crf. What is no number, the host says itself.
            ending = f".{format or 'webm'}"
            chosen(ending, crf if isinstance(crf, int) and crf != -1 else None)
            if filename_prefix is not None:
                host.check_output(filled_for(cls, filename_prefix), ending)
            videos.log_metadata(log or "")

        return verdict(check)

    @classmethod
    def execute(
        cls,
        frames: Any,
        filename_prefix: str,
        format: str,
        frame_rate: float,
        undo_fit: bool,
        crf: int,
        clip: videos.Clip | None = None,
        audio: dict[str, Any] | None = None,
        log: str = "",
        model: ModelHandle[Model] | None = None,
    ) -> io.NodeOutput:
        logged, hidden = videos.log_metadata(log), cls.hidden
        film = _film(frames, clip, undo_fit, frame_rate)
        said = list(film.said)
        record = run_record(model, clip) if host.embeds_workflow() else None
        fields = logged
        if record is not None:  # the workflow first: editors look near the beginning of a file
            own = videos.workflow_metadata(hidden.prompt, hidden.extra_pnginfo)
            fields = {**own, FIELD: json.dumps(record), **logged}
        name = filled_for(cls, filename_prefix, film.size)
        counted = Counted(frame_bar(film.expected, "Saving"))
        path = videos.save(
            host.new_output(name, f".{format}"),
            film,
            audio=audio_of(audio),
            metadata=fields,
            crf=None if crf < 0 else crf,
            on_frame=counted,
            on_note=said.append,
        )
        if record is not None:
            said += recorded(path, record, hidden.prompt)
        saved = host.saved(path)
        info = "\n".join([f"{saved['filename']}: {counted.done} frames", *said])
        # The keys that the editor's own video preview looks for.
        shown = {"images": [saved], "animated": (True,), "text": (info,)}
        return io.NodeOutput(host.video(path), info, ui=shown)


def _film(frames: Any, clip: videos.Clip | None, undo_fit: bool, frame_rate: float) -> videos.Film:
    """What is to be saved, a frame at a time."""
    film = host.video_film(frames)
    if film is not None:
        return videos.at_rate(film, frame_rate) if frame_rate else film
    sound = clip.audio if clip is not None else None
    rate = frame_rate or (clip.frame_rate if clip is not None else 8)
    if hasattr(frames, "get_components"):  # some other node's video
        parts = frames.get_components()
        frames, sound = parts.images, sound or audio_of(parts.audio)
        rate = frame_rate or parts.frame_rate
    images, notes = videos.clip.rgb_frames(frames)
    undo = None
    if clip is not None and undo_fit:
        images, left_out = videos.without_repeated(images, clip)
        undo = videos.undo_clip(images, clip)
        notes = (*notes, f"Size: {undo.said}", *left_out)
    return videos.film_of(images, rate, sound, undo, notes)


NODES = [EvenframeSaveVideo]
