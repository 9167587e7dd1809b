"""How the frames of a clip lie under its latents, and under the tokens of a layer."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from ..common.grids import averaged, grid_of


@dataclass(frozen=True)
class Lattice:
    """The latents of a clip in time and space.

    frames: of the video. size: (height, width) of a frame in pixels.
    time_stride: video frames that one latent frame holds; the first latent frame always holds one
        alone, so that with 4 a clip has 1, 5, 9, ... frames. 1 where every frame has its own.
    space_stride: pixels along one side of a latent. size_multiple: both sides of a frame must be
        multiples of it, in pixels.
    model: what an error names.
    Raises EvenframeError for frames that do not fit.
    """

    frames: int
    size: tuple[int, int]
    time_stride: int = 1
    space_stride: int = 8
    size_multiple: int = 8
    model: str = field(default="the model", compare=False)

    def __post_init__(self) -> None:
        (height, width), multiple, time = self.size, self.size_multiple, self.time_stride
        if height < 1 or width < 1 or height % multiple or width % multiple:
            raise EvenframeError(
                f"frames are {width}x{height} pixels, but '{self.model}' takes multiples of "
                f"{multiple}: load the clip with multiple {multiple}, or one that is itself a "
                "multiple of it."
            )
        if self.frames < 1 or (self.frames - 1) % time:
            fewer = max(1, self.frames - (self.frames - 1) % time)
            raise EvenframeError(
                f"The clip has {self.frames} frames, but '{self.model}' takes 1 and then {time} at "
                f"a time: choose {fewer} or {fewer + time} of them, or load the clip with "
                f"frame_step {time}."
            )

    @property
    def latent_frames(self) -> int:
        """Frames of the latents."""
        return latents_for(self.frames, self.time_stride)

    @property
    def latent_size(self) -> tuple[int, int]:
        """(rows, columns) of the latents of a frame."""
        return grid_of(self.size, self.space_stride)

    def grid(self, stride: int) -> tuple[int, int, int]:
        """(t, rows, columns) of tokens that are `stride` pixels along one side."""
        return (self.latent_frames, *grid_of(self.size, stride))

    def held(self, latent: int) -> range:
        """The frames of the video that a latent frame holds."""
        end = 1 + latent * self.time_stride
        return range(max(0, end - self.time_stride), end)

    def spread(self, values: Tensor) -> Tensor:
        """What is known of latent frames, (t, ...), for the frames that they hold: (f, ...)."""
        counts = [len(self.held(latent)) for latent in range(self.latent_frames)]
        return values.repeat_interleave(torch.tensor(counts, device=values.device), dim=0)

    def coarsen(self, mask: Tensor) -> Tensor:
        """A mask (f, h, w) of the video's pixels on the latents: (t, rows, columns), float32.

        A latent belongs to the mask where any frame that it holds does, as far as the mask covers
        it: the union over time, and the mean over space. So a mask that moves is wider in latents.
        """
        return averaged(self.union(mask)[:, None], self.latent_size)[:, 0]

    def union(self, mask: Tensor) -> Tensor:
        """A mask (f, h, w) of the video's pixels where any frame has it that a latent frame holds:
        (t, h, w), float32."""
        if tuple(mask.shape) != (self.frames, *self.size):
            raise EvenframeError(
                f"The mask has the shape {tuple(mask.shape)}: give {(self.frames, *self.size)}, as "
                "many frames of the same size as the clip has."
            )
        height, width = self.size
        first, later = mask[:1].float(), mask[1:].float()
        later = later.view(-1, self.time_stride, height, width).amax(1)  # t-1 h w
        held = later.new_empty(self.latent_frames, height, width)
        held[:1], held[1:] = first, later
        return held


def latents_for(frames: int, time_stride: int) -> int:
    """Latent frames that hold so many frames of a video, 1 or more; what is too many for the last
    counts no more."""
    return 1 + (frames - 1) // time_stride


def frames_in(latent_frames: int, time_stride: int) -> int:
    """Frames of the video that so many latent frames, 1 or more, hold."""
    return 1 + (latent_frames - 1) * time_stride
