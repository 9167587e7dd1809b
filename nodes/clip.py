"""Clips: load a video file, take ComfyUI's videos and images, save the edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .common import sockets
from .common.files import Stamp, stamp
from .common.names import filled
from .host import host, io

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from ..pipelines.video import Audio, Clip, Film, Fitting, Target

EXTENSIONS = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".gif", ".avi"})
FORMATS = ("mp4", "webm", "gif", "mov", "mkv")
MAX_FRAMES = 100_000


def _choice_inputs() -> list[io.Input]:
    """Which frames are kept: the fields of `Choice`."""
    return [
        io.Int.Input(
            "max_frames",
            default=16,
            min=0,
            max=MAX_FRAMES,
            tooltip="Keep at most so many frames; 0 keeps all. Memory and time grow with them.",
        ),
        io.Int.Input(
            "skip",
            default=0,
            min=0,
            max=10**7,
            tooltip="Leave out so many frames at the beginning.",
        ),
        io.Int.Input(
            "stride",
            default=1,
            min=1,
            max=10**5,
            tooltip="Keep every so many frames: 2 keeps every other. The clip lasts as long as "
            "that part of the video, at a lower frame rate, and its sound fits.",
        ),
        io.Float.Input(
            "frame_rate",
            default=0.0,
            min=0.0,
            max=1000.0,
            step=0.01,
            tooltip="Bring the video to so many frames a second first; 0 keeps its own. Use it for "
            "videos whose frame rate varies.",
        ),
    ]


def _fit_inputs() -> list[io.Input]:
    """How frames are brought to a size that models take: the fields of `Fitting` but one."""
    return [
        io.Combo.Input(
            "fit",
            options=["stretch", "crop", "pad"],
            default="stretch",
            tooltip="How sides become multiples of `multiple`: stretch edits the whole frame and "
            "changes its proportions a little, pad adds a border, crop leaves edges unedited. The "
            "saver undoes it.",
        ),
        io.Int.Input(
            "max_side",
            default=768,
            min=0,
            max=16384,
            step=8,
            tooltip="Make larger frames smaller, so that their longer side is at most this; 0 sets "
            "no limit.",
        ),
        io.Int.Input(
            "width",
            default=0,
            min=0,
            max=16384,
            step=8,
            advanced=True,
            tooltip="An exact width, a multiple of `multiple`; 0 follows from the video.",
        ),
        io.Int.Input(
            "height",
            default=0,
            min=0,
            max=16384,
            step=8,
            advanced=True,
            tooltip="An exact height, a multiple of `multiple`; 0 follows from the video.",
        ),
    ]


def _multiple_input() -> io.Input:
    """The last field of `Fitting`: workflows saved without it have the default."""
    return io.Combo.Input(
        "multiple",
        options=["8", "16", "32", "64"],
        default="16",
        optional=True,
        advanced=True,
        tooltip="Both sides become multiples of it, in pixels. Less comes nearer to the video's "
        "proportions; Stable Diffusion takes 8 and more. 64 gives the sizes it was trained on.",
    )


def _target_inputs() -> list[io.Input]:
    """For which editor the clip is: its sizes and its numbers of frames."""
    from ..pipelines.video.lengths import ENDINGS
    from ..pipelines.video.targets import targets

    return [
        io.Combo.Input(
            "target",
            options=[target.name for target in targets()],
            default="own",
            optional=True,
            tooltip="The video editor that the clip is for: frames get its pixel area in the "
            "video's proportions, and their number one that it takes, such as 4n+1. max_side is "
            "then not used; width and height are. own leaves all of that to the other inputs.",
        ),
        io.Combo.Input(
            "length",
            options=list(ENDINGS),
            default="trim",
            optional=True,
            advanced=True,
            tooltip="What is done where `target` takes another number of frames: trim leaves out "
            "the last ones, repeat shows the last one again. The saver leaves repeated ones out.",
        ),
    ]


def _fitting(fit: str, max_side: int, width: int, height: int, multiple: str) -> Fitting:
    from ..pipelines.video import Fitting

    return Fitting(fit, int(multiple), width, height, max_side)


def _clip_outputs() -> list[io.Output]:
    return [
        io.Image.Output(display_name="frames", tooltip="The frames that were kept, fitted."),
        sockets.Clip.Output(
            display_name="clip",
            tooltip="All that belongs to the frames: for the saver, which undoes the fit and puts "
            "the sound back.",
        ),
        io.Audio.Output(display_name="audio", tooltip="The sound of the frames that were kept."),
        io.Float.Output(display_name="frame_rate", tooltip="Frames a second of the kept frames."),
        io.String.Output(display_name="info", tooltip="The clip in words, warnings included."),
    ]


def _given(clip: Clip, target: Target) -> io.NodeOutput:
    """The outputs of a node that makes a clip."""
    remark = target.remark(clip.frame_rate)
    info = "\n".join([clip.describe(), *([remark] if remark else [])])
    return io.NodeOutput(
        clip.frames,
        clip,
        _audio_value(clip.audio),
        float(clip.frame_rate),
        info,
        ui={"text": (info,)},
    )


def _audio_value(audio: Audio | None) -> dict[str, Any] | None:
    """Sound as the AUDIO socket has it."""
    if audio is None:
        return None
    return {"waveform": audio.samples[None], "sample_rate": audio.sample_rate}


def _audio(value: dict[str, Any] | None) -> Audio | None:
    """The AUDIO socket's sound; the first, where there are several."""
    from ..pipelines.video import Audio

    if value is None:
        return None
    return Audio(value["waveform"][0].float().cpu(), int(value["sample_rate"]))


def _bar(total: int, label: str) -> Callable[[int], None]:
    """Report frames as they are done; without a total, only look for an interrupt."""
    if not total:
        return lambda _: host.check_interrupt()
    progress = host.progress(total, label)
    return lambda done: progress.step(min(done, total))


class EvenframeLoadVideo(io.ComfyNode):
    """A clip from a video file of the input folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeLoadVideo",
            display_name="Load Video (Evenframe)",
            category=sockets.CATEGORY,
            description="Load frames and sound from a video, at a size that models take.",
            search_aliases=["video loader", "import video", "load gif", "frames from video"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=host.input_names(EXTENSIONS),
                    upload=io.UploadType.video,
                    tooltip="A video of the input folder, or one that you upload here.",
                ),
                *_choice_inputs(),
                *_fit_inputs(),
                _multiple_input(),
                *_target_inputs(),
            ],
            outputs=_clip_outputs(),
        )

    @classmethod
    def validate_inputs(cls, file: str | None) -> bool | str:
        # Naming the file lets through what the list does not have: uploads, and output files.
        from ..pipelines.common.errors import EvenframeError

        try:
            return file is None or bool(host.input_path(file))  # None: linked, not yet known
        except EvenframeError as error:
            return str(error)

    @classmethod
    def fingerprint_inputs(cls, file: str | None, **others: Any) -> Stamp | None:
        return None if file is None else stamp(host.input_path(file))  # None: linked

    @classmethod
    def execute(
        cls,
        file: str,
        fit: str,
        max_side: int,
        width: int,
        height: int,
        multiple: str = "16",
        target: str = "own",
        length: str = "trim",
        **choice: Any,
    ) -> io.NodeOutput:
        from ..pipelines.video import Choice, load, targets

        editor = targets.target(target)
        fitting = editor.fitting(_fitting(fit, max_side, width, height, multiple))
        wanted = editor.choice(Choice(**choice), length)
        bar = _bar(wanted.needed, "Loading")
        return _given(load(host.input_path(file), wanted, fitting, on_frame=bar), editor)


class EvenframeClipFromVideo(io.ComfyNode):
    """A clip from a VIDEO socket."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeClipFromVideo",
            display_name="Clip from Video (Evenframe)",
            category=sockets.CATEGORY,
            description="Take frames and sound from a video of another node.",
            search_aliases=["video to frames", "get video components"],
            inputs=[
                io.Video.Input("video", tooltip="A video from any node."),
                *_choice_inputs(),
                *_fit_inputs(),
                _multiple_input(),
                *_target_inputs(),
            ],
            outputs=_clip_outputs(),
        )

    @classmethod
    def execute(
        cls,
        video: Any,
        fit: str,
        max_side: int,
        width: int,
        height: int,
        multiple: str = "16",
        target: str = "own",
        length: str = "trim",
        **choice: Any,
    ) -> io.NodeOutput:
        from ..pipelines.video import (
            Choice,
            clip_from_film,
            clip_from_images,
            fit_clip,
            load,
            select,
            targets,
        )

        editor = targets.target(target)
        fitting = editor.fitting(_fitting(fit, max_side, width, height, multiple))
        wanted = editor.choice(Choice(**choice), length)
        path = host.video_file(video)
        if path is not None:  # decoded as a stream, never the whole file
            return _given(load(path, wanted, fitting, on_frame=_bar(0, "Loading")), editor)
        film = host.video_film(video)
        if film is not None:  # made as a stream, too
            bar = _bar(wanted.needed, "Loading")
            return _given(clip_from_film(film, wanted, fitting, on_frame=bar), editor)
        parts = video.get_components()
        clip = clip_from_images(parts.images, parts.frame_rate, _audio(parts.audio), source="video")
        return _given(fit_clip(select(clip, wanted), fitting), editor)


class EvenframeClipFromImages(io.ComfyNode):
    """A clip from images."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeClipFromImages",
            display_name="Clip from Images (Evenframe)",
            category=sockets.CATEGORY,
            description="Take images of another node as a clip, at a size that models take.",
            search_aliases=["images to video", "create video", "frames to clip"],
            inputs=[
                io.Image.Input("images", tooltip="The frames, in their order."),
                io.Float.Input(
                    "frame_rate",
                    default=8.0,
                    min=0.01,
                    max=1000.0,
                    step=0.01,
                    tooltip="How many of them are shown in a second.",
                ),
                *_fit_inputs(),
                io.Audio.Input(
                    "audio", optional=True, tooltip="Sound that starts with the first image."
                ),
                _multiple_input(),
                *_target_inputs(),
            ],
            outputs=_clip_outputs(),
        )

    @classmethod
    def execute(
        cls,
        images: Tensor,
        frame_rate: float,
        fit: str,
        max_side: int,
        width: int,
        height: int,
        audio: dict[str, Any] | None = None,
        multiple: str = "16",
        target: str = "own",
        length: str = "trim",
    ) -> io.NodeOutput:
        from ..pipelines.video import Choice, clip_from_images, fit_clip, select, targets

        editor = targets.target(target)
        fitting = editor.fitting(_fitting(fit, max_side, width, height, multiple))
        clip = clip_from_images(images, frame_rate, _audio(audio))
        return _given(fit_clip(select(clip, editor.choice(Choice(), length)), fitting), editor)


class EvenframeSaveVideo(io.ComfyNode):
    """Frames to a video file of the output folder."""

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
                io.String.Input(
                    "filename_prefix",
                    default="evenframe/edit",
                    tooltip="Name in the output folder, with subfolders if you like; a number is "
                    "added, and nothing is ever overwritten. %date:yyyy-MM-dd% and %Node.input%, "
                    "as %EvenframeEdit.seed%, are filled in.",
                ),
                io.Combo.Input(
                    "format",
                    options=list(FORMATS),
                    default="mp4",
                    tooltip="mp4 plays everywhere. webm is smaller. gif has no sound and 256 "
                    "colours.",
                ),
                sockets.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="The clip that the frames were made from: gives size, rate and sound.",
                ),
                io.Audio.Input(
                    "audio", optional=True, tooltip="Sound to use instead of the clip's own."
                ),
                io.Float.Input(
                    "frame_rate",
                    default=0.0,
                    min=0.0,
                    max=1000.0,
                    step=0.01,
                    tooltip="Frames a second; 0 takes the clip's or the video's, or 8 without "
                    "both.",
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
                io.String.Input(
                    "log",
                    optional=True,
                    force_input=True,
                    tooltip="Text to keep in the file, beside the workflow: the log of Fairness "
                    "Targets, or the record of Fairness Prompt Encoder.",
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
        """Say before the edit what would fail after it.

        None: linked, not yet known. What is named here has no other check of its range.
        """
        from ..pipelines.common.errors import EvenframeError
        from ..pipelines.video import log_metadata
        from ..pipelines.video.formats import chosen

        try:
            # webm takes the widest range of crf. What is no number, the host says itself.
            quality = crf if isinstance(crf, int) and crf != -1 else None
            chosen(f".{format or 'webm'}", quality)
            if filename_prefix is not None:
                name = filled(filename_prefix, cls.hidden.prompt, cls.hidden.extra_pnginfo)
                host.check_output(name, f".{format or 'webm'}")
            log_metadata(log or "")
        except EvenframeError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls,
        frames: Any,
        filename_prefix: str,
        format: str,
        frame_rate: float,
        undo_fit: bool,
        crf: int,
        clip: Clip | None = None,
        audio: dict[str, Any] | None = None,
        log: str = "",
    ) -> io.NodeOutput:
        from ..pipelines.common.progress import Counted
        from ..pipelines.video import log_metadata, save, workflow_metadata

        logged, hidden = log_metadata(log), cls.hidden
        film = _film(frames, clip, undo_fit, frame_rate)
        said = list(film.said)
        own = workflow_metadata(hidden.prompt, hidden.extra_pnginfo)
        # The workflow first: editors look for it near the beginning of a file.
        fields = (own if host.embeds_workflow() else {}) | logged
        name = filled(filename_prefix, hidden.prompt, hidden.extra_pnginfo, film.size)
        counted = Counted(_bar(film.expected, "Saving"))
        path = save(
            host.new_output(name, f".{format}"),
            film,
            audio=_audio(audio),
            metadata=fields,
            crf=None if crf < 0 else crf,
            on_frame=counted,
            on_note=said.append,
        )
        saved = host.saved(path)
        info = "\n".join([f"{saved['filename']}: {counted.done} frames", *said])
        # The keys that the editor's own video preview looks for.
        shown = {"images": [saved], "animated": (True,), "text": (info,)}
        return io.NodeOutput(host.video(path), info, ui=shown)


def _film(frames: Any, clip: Clip | None, undo_fit: bool, frame_rate: float) -> Film:
    """What is to be saved, a frame at a time."""
    from ..pipelines.video import at_rate, film_of, undo_clip, without_repeated
    from ..pipelines.video.clip import rgb_frames

    film = host.video_film(frames)
    if film is not None:
        return at_rate(film, frame_rate) if frame_rate else film
    sound = clip.audio if clip is not None else None
    rate = frame_rate or (clip.frame_rate if clip is not None else 8)
    if hasattr(frames, "get_components"):  # some other node's video
        parts = frames.get_components()
        frames, sound = parts.images, sound or _audio(parts.audio)
        rate = frame_rate or parts.frame_rate
    images, notes = rgb_frames(frames)
    undo = None
    if clip is not None and undo_fit:
        images, left_out = without_repeated(images, clip)
        undo = undo_clip(images, clip)
        notes = (*notes, f"Size: {undo.said}", *left_out)
    return film_of(images, rate, sound, undo, notes)


NODES = [EvenframeLoadVideo, EvenframeClipFromVideo, EvenframeClipFromImages, EvenframeSaveVideo]
