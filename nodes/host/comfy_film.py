"""A film as ComfyUI's VIDEO."""

# pyright: reportMissingImports=false

from __future__ import annotations

import json
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

from comfy.model_management import throw_exception_if_processing_interrupted
from comfy_api.latest import Input, Types

from ...pipelines.common.errors import EvenframeError
from ...pipelines.common.progress import Counted
from ...pipelines.video import save
from ...pipelines.video.film import Film, images, trimmed

ENDINGS = {"auto": ".mp4", "mp4": ".mp4", "mkv": ".mkv", "webm": ".webm"}
CODECS = ("auto", "h264")
COLOURS = (None, "auto", "sRGB")


class FilmVideo(Input.Video):
    """Frames that are made while they are saved; all at once only for who asks for images."""

    def __init__(self, film: Film) -> None:
        self.film = film
        self._count = 0  # until it is known

    def get_components(self) -> Any:
        frames = images(self.film, on_frame=_look_for_interrupt)
        self._count = len(frames)
        audio = self.film.sound()
        if audio is not None:
            audio = audio.cut(len(frames) / self.film.frame_rate)
        sound = audio and {"waveform": audio.samples[None], "sample_rate": audio.sample_rate}
        return Types.VideoComponents(
            images=frames, frame_rate=self.film.frame_rate, audio=sound or None
        )

    def save_to(
        self,
        path: Any,
        format: Any = "auto",
        codec: Any = "auto",
        metadata: dict[str, Any] | None = None,
        bit_depth: int | None = None,
        crf: float | None = None,
        color_space: str | None = None,
    ) -> None:
        if codec not in CODECS:
            raise EvenframeError(
                f"The codec is {str(codec)!r}: choose {' or '.join(CODECS)}, this video is written "
                "as H.264, or as VP9 into webm."
            )
        if color_space not in COLOURS or bit_depth not in (None, 8):
            raise EvenframeError(
                "This video has 8 bits a channel and sRGB colours: choose no others."
            )
        fields = {name: json.dumps(value) for name, value in (metadata or {}).items()}
        if isinstance(path, str):
            self._write(Path(path), fields, crf)
            return
        with tempfile.TemporaryDirectory(prefix="evenframe-") as folder:
            file = Path(folder) / f"film{ENDINGS[str(getattr(format, 'value', format))]}"
            self._write(file, fields, crf)
            with file.open("rb") as written:
                shutil.copyfileobj(written, path)

    def _write(self, path: Path, fields: dict[str, str], crf: float | None) -> None:
        counted = Counted(_look_for_interrupt)
        save(
            path,
            self.film,
            metadata=fields,
            crf=None if crf is None else round(crf),
            on_frame=counted,
        )
        self._count = counted.done

    def as_trimmed(
        self,
        start_time: float | None = None,
        duration: float | None = None,
        strict_duration: bool = False,
    ) -> Any:
        start, seconds, total = start_time or 0.0, duration or 0.0, self.get_duration()
        start = max(0.0, start + total) if start < 0 else start
        if start >= total or (strict_duration and start + seconds > total):
            return None
        return FilmVideo(trimmed(self.film, start, seconds))

    def get_dimensions(self) -> tuple[int, int]:
        return self.film.size

    def get_frame_rate(self) -> Fraction:
        return self.film.frame_rate

    def get_frame_count(self) -> int:
        if not self._count:
            self._count = self.film.number
        return self._count

    def get_duration(self) -> float:
        return float(self.get_frame_count() / self.film.frame_rate)

    def get_container_format(self) -> str:
        return "mp4"


def _look_for_interrupt(_: int) -> None:
    throw_exception_if_processing_interrupted()
