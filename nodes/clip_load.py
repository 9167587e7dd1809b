"""Clips: from a video file or a built-in scene, and from ComfyUI's videos and images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..pipelines import video as videos
from ..pipelines.models.checks import size_notes
from ..pipelines.video import Choice, Fitting, Length
from ..pipelines.video.targets import OWN, Target
from ..pipelines.video.targets import target as named_target
from .common import shared, sockets
from .common.demo_files import DEMO_FILES, demo_clip, demo_prompt, is_demo
from .common.feedback import frame_bar
from .common.files import Stamp, input_stamp
from .common.inputs import input_of, inputs_of
from .common.sound import audio_of, audio_value
from .common.verdict import verdict
from .host import host, io
from .model import BUILT_IN, OWN_WORLD

if TYPE_CHECKING:
    from torch import Tensor

    from ..pipelines.models.model import Model
    from .host import ModelHandle

EXTENSIONS = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".gif", ".avi"})


def _choice_inputs() -> list[io.Input]:
    """Which frames are kept."""
    return [
        input_of(Choice, "max_frames", default=16, max=100_000),
        input_of(Choice, "skip", max=10**7),
        input_of(Choice, "stride", max=10**5),
        input_of(Choice, "frame_rate"),
    ]


def _fit_inputs() -> list[io.Input]:
    """How frames are brought to a size that models take."""
    return [
        input_of(Fitting, "mode", "fit"),
        input_of(Fitting, "max_side", default=768, step=8),
        *inputs_of(Fitting, "width", "height", step=8, advanced=True),
    ]


def _later_inputs() -> list[io.Input]:
    """What workflows may have been saved without."""
    return [
        shared.multiple(),
        shared.target(
            "The video editor that the clip is for: frames get its pixel area in the "
            "video's proportions, and their number one that it takes, such as 4n+1. max_side is "
            "then not used; width and height are. own leaves all of that to the other inputs.",
            optional=True,
        ),
        input_of(Length, "ending", "length", optional=True, advanced=True),
        input_of(Length, "step", "frame_step", optional=True, advanced=True),
        sockets.Model.Input(
            "model",
            optional=True,
            tooltip="The model of the edit: frames get its own pixel area in the video's "
            "proportions, and their number one that it takes. max_side is then not used; width, "
            "height and target are.",
        ),
    ]


class Wanted(NamedTuple):
    """What the inputs of a loader ask for: which frames, at which size, for what editor."""

    editor: Target
    choice: Choice
    fitting: Fitting
    model: Model | None = None

    def of(self, clip: videos.Clip) -> videos.Clip:
        return videos.fit_clip(videos.select(clip, self.choice), self.fitting)

    def notes(self, clip: videos.Clip, demo: bool) -> list[str]:
        """What to know of a clip before it is edited."""
        remark = self.editor.remark(clip.frame_rate)
        told = [remark] if remark else []
        if self.model is not None:
            told += size_notes(self.model, (clip.height, clip.width))
            told += [] if demo or self.model.name not in BUILT_IN.values() else [OWN_WORLD]
        return told


def wanted_of(
    fit: str,
    max_side: int,
    width: int,
    height: int,
    multiple: str = "16",
    target: str = OWN,
    length: str = "trim",
    frame_step: int = 1,
    model: ModelHandle[Model] | None = None,
    taken: Target | None = None,
    **choice: Any,
) -> Wanted:
    """What a loader is asked for by the values of its inputs, the file or images apart.

    taken: what the model takes, where no more of it is known.
    """
    edits = None if model is None else model.model
    editor = named_target(target)
    if target == OWN:
        editor = taken or (editor if edits is None else target_of(edits))
    fitting = editor.fitting(Fitting(fit, int(multiple), width, height, max_side))
    frames = Length(frame_step, ending=length)
    return Wanted(editor, editor.choice(Choice(**choice), frames), fitting, edits)


def target_of(model: Model) -> Target:
    """What a model takes: the pixel area that it was trained on, and its own numbers of frames."""
    side, codec = model.native_size, model.codec
    return Target(model.name, (side, side), codec.size_multiple, Length(codec.time_stride))


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


def _clip_result(clip: videos.Clip, wanted: Wanted, shows: str = "") -> io.NodeOutput:
    """The values of `_clip_outputs`, and what the node shows. shows: a built-in scene in words."""
    said = [f"It shows: {shows}"] if shows else []
    info = "\n".join([*said, clip.describe(), *wanted.notes(clip, demo=bool(shows))])
    sound, rate = audio_value(clip.audio), float(clip.frame_rate)
    return io.NodeOutput(clip.frames, clip, sound, rate, info, ui={"text": (info,)})


class EvenframeLoadVideo(io.ComfyNode):
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
                    options=[*DEMO_FILES, *host.input_names(EXTENSIONS)],
                    upload=io.UploadType.video,
                    tooltip="A video of the input folder, or one that you upload here; or a "
                    "built-in clip of 128x128 pixels, made to try edits with the built-in model. "
                    "info says what that shows: its source prompt.",
                ),
                *_choice_inputs(),
                *_fit_inputs(),
                *_later_inputs(),
            ],
            outputs=_clip_outputs(),
        )

    @classmethod
    def validate_inputs(cls, file: str | None) -> bool | str:
        # Naming the file lets through what the list does not have: uploads, and output files.
        return verdict(lambda: file is None or is_demo(file) or host.input_path(file))

    @classmethod
    def fingerprint_inputs(cls, file: str | None, **others: Any) -> Stamp | None:
        return None if file is None or is_demo(file) else input_stamp(file)

    @classmethod
    def execute(cls, file: str, **settings: Any) -> io.NodeOutput:
        wanted = wanted_of(**settings)
        if is_demo(file):
            clip = wanted.of(demo_clip(file, wanted.choice))
            return _clip_result(clip, wanted, demo_prompt(file))
        bar = frame_bar(wanted.choice.needed, "Loading")
        clip = videos.load(host.input_path(file), wanted.choice, wanted.fitting, on_frame=bar)
        return _clip_result(clip, wanted)


class EvenframeClipFromVideo(io.ComfyNode):
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
                *_later_inputs(),
            ],
            outputs=_clip_outputs(),
        )

    @classmethod
    def execute(cls, video: Any, **settings: Any) -> io.NodeOutput:
        wanted = wanted_of(**settings)
        choice, fitting = wanted.choice, wanted.fitting
        path, film = host.video_file(video), host.video_film(video)
        if path is not None:  # decoded as a stream, never the whole file
            clip = videos.load(path, choice, fitting, on_frame=frame_bar(0, "Loading"))
        elif film is not None:  # made as a stream, too
            bar = frame_bar(choice.needed, "Loading")
            clip = videos.clip_from_film(film, choice, fitting, on_frame=bar)
        else:
            parts = video.get_components()
            sound = audio_of(parts.audio)
            whole = videos.clip_from_images(parts.images, parts.frame_rate, sound, source="video")
            clip = wanted.of(whole)
        return _clip_result(clip, wanted)


class EvenframeClipFromImages(io.ComfyNode):
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
                input_of(
                    Choice,
                    "frame_rate",
                    default=8.0,
                    min=0.01,
                    tooltip="How many of them are shown in a second.",
                ),
                *_fit_inputs(),
                io.Audio.Input(
                    "audio", optional=True, tooltip="Sound that starts with the first image."
                ),
                *_later_inputs(),
            ],
            outputs=_clip_outputs(),
        )

    @classmethod
    def execute(
        cls,
        images: Tensor,
        frame_rate: float,
        audio: dict[str, Any] | None = None,
        **settings: Any,
    ) -> io.NodeOutput:
        wanted = wanted_of(**settings)
        whole = videos.clip_from_images(images, frame_rate, audio_of(audio))
        return _clip_result(wanted.of(whole), wanted)


NODES = [EvenframeLoadVideo, EvenframeClipFromVideo, EvenframeClipFromImages]
