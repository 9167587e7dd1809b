"""First Frame: one frame has been edited, by an image editor or by hand, and the clip follows it.

Three things hold it. The frame's own latents are, at every noise level, those of the edited frame
with the noise that the source has there. In the first steps those of the other frames are the
source's with the same difference, moved as the changed part moves in the clip (`motion`); the rest
of the steps makes pictures of that. And all along, the other frames' self-attention looks at the
edited one, too.
Source: the key frames of "Tune-A-Video" (ICCV 2023) and the propagation of one edited frame of
"AnyV2V" (arXiv 2403.14468), here without a model that was trained on video.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...attention.terms import Call, Terms, extended
from ...common.checks import require_numbers
from ...common.errors import EvenframeError
from ...common.settings import setting
from ...models.schedule import Level
from ...regions.regions import Regions
from ..base import Control, ControlRun, Edit, Step
from ..span import WHOLE, Span, span_setting
from .motion import changed_part, moved, shifts

UNEDITED = 1e-4
"""Of the largest latent: a smaller difference is rounding, and no edit."""
LEAST = 1e-6
"""Weight of tokens that do not count; a logarithm cannot say 0."""


@dataclass(frozen=True, eq=False)
class FirstFrame(Control):
    """Settings of First Frame.

    image: the edited frame (1, h, w, 3) in 0..1, of the clip's size; or latents: (1, c, h, w), or
    of video models (1, c, 1, h, w), what the model's VAE makes of it, as other programs exchange
    them. regions: outside of them nothing is followed; None for everywhere.
    Raises EvenframeError for settings out of range, and unless there is exactly one frame.
    """

    unique: ClassVar[str] = "First Frame"
    image: Tensor | None = None
    latents: Tensor | None = None
    frame: int = setting(
        0,
        "Number of the frame of the clip that was edited, from 0. Models that hold several frames "
        "in a latent, such as Wan, take frame 0 alone.",
        whole=(0, None),
    )
    strength: float = setting(
        1.0, "How far the other frames follow. 0 leaves this control out.", within=(0, 1)
    )
    decay: float = setting(
        0.0,
        "Number of frames after which only half of the strength is left, on both sides of the "
        "edited one. 0: the whole clip follows alike.",
        within=(0, 10_000),
        step=1.0,
    )
    carry: float = setting(
        0.9,
        "Share of the steps, from the start, in which what was changed is put into all frames, "
        "moved as it moves in the clip. Less leaves more to the model, which then follows colours "
        "well and shapes only if the prompt names them. Not for Wan.",
        within=(0, 1),
    )
    attention: float = setting(
        3.0,
        "How many times more the edited frame counts than a frame itself, where frames look at "
        "each other. More takes over more of its look; 0 is off.",
        within=(0, 100),
        step=0.5,
    )
    steps: Span = span_setting(
        WHOLE,
        start="Share of the steps after which anything of it begins.",
        end="Share of the steps after which all of it ends. At 1 the edited frame comes out as it "
        "is.",
    )
    regions: Regions | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.image is None) == (self.latents is None):
            given = "neither" if self.image is None else "both"
            raise EvenframeError(
                f"First Frame has {given} of image and latents: link the edited frame as one."
            )
        if self.image is not None:
            _require_picture(self.image)
        elif self.latents is not None:
            require_numbers(self.latents)
        if self.regions is not None:
            self.regions.require_items()

    @property
    def changes_self(self) -> str:
        """Where self-attention is changed, how to switch that off."""
        return "attention of First Frame to 0" if self.strength and self.attention else ""

    @property
    def kept_noise(self) -> str:
        """The edited frame is held at the noise that the source has."""
        return "inversion" if self.strength else ""

    def begin(self, edit: Edit) -> ControlRun:
        """Check the frame against the clip, and start; an unedited frame is nothing to follow."""
        if not self.strength:
            return ControlRun()
        _require_place(self.frame, edit)
        if self.regions is not None:
            self.regions.require(edit.clip.frames, edit.frame_size)
        difference = edit.once((self, "difference"), lambda: self._difference(edit))
        return ControlRun() if difference is None else FirstFrameRun(self, edit, difference)

    def _difference(self, edit: Edit) -> Tensor | None:
        """(c, h, w), the edited frame's clean latents less the source's; None where they are the
        same."""
        clean = edit.whole.trajectory[0][self.frame]
        difference = self._encoded(edit, clean) - clean
        edited = difference.abs().max() > UNEDITED * clean.abs().max()
        return difference if edited else None

    def carried(self, edit: Edit, difference: Tensor) -> Tensor:
        """(t, c, h, w), a difference where it has moved to in each frame of the whole clip."""
        clean, part = edit.whole.trajectory[0], changed_part(difference)
        return moved(difference, shifts(clean, part, self.frame, edit.on_pass))

    def _encoded(self, edit: Edit, like: Tensor) -> Tensor:
        """(c, h, w), on the CPU."""
        codec, image = edit.model.codec, self.image
        if image is None:
            latents = codec.imported(self.latents if self.latents is not None else like[None])
        else:
            (height, width), size = edit.frame_size, tuple(image.shape[1:3])
            if size != (height, width):
                raise EvenframeError(
                    f"The edited frame has {size[1]}x{size[0]} pixels, but the clip's have "
                    f"{width}x{height}: edit a frame of the clip as it was loaded, or resize it."
                )
            latents = codec.encode(image.float())
        if tuple(latents.shape) != (1, *like.shape):
            raise EvenframeError(
                f"The edited frame's latents have the shape {tuple(latents.shape)}, but one frame "
                f"of the clip has {(1, *like.shape)}: encode one frame of the clip's size with its "
                "model's VAE."
            )
        return latents[0].float().cpu()


def _require_picture(image: Tensor) -> None:
    if image.ndim != 4 or image.shape[-1] != 3:
        raise EvenframeError(
            f"The edited frame has the shape {tuple(image.shape)}: give (1, height, width, 3)."
        )
    if len(image) != 1:
        raise EvenframeError(
            f"{len(image)} pictures came as the edited frame: pick one of them, the one whose "
            "number `frame` says."
        )
    require_numbers(image)


def _require_place(frame: int, edit: Edit) -> None:
    clip, time = edit.clip, edit.model.codec.time_stride
    if frame >= clip.frames:
        raise EvenframeError(
            f"frame of First Frame is {frame}, but the clip has {clip.frames} frames: choose 0 to "
            f"{clip.frames - 1}."
        )
    if frame and time > 1:
        raise EvenframeError(
            f"frame of First Frame is {frame}, but '{edit.model.name}' holds {time} frames in one "
            "latent, all but the first, which has its own: edit frame 0, and set frame to 0."
        )


class FirstFrameRun(ControlRun):
    """First Frame at work in one edit.

    difference: (c, h, w), the edited frame's clean latents less the source's.
    """

    def __init__(self, settings: FirstFrame, edit: Edit, difference: Tensor):
        self._settings, self._edit, frames = settings, edit, edit.latent_frames
        device = edit.model.device
        # In a window without it, frames look at the nearest, which looks at it in its own window.
        self._at = min(max(settings.frame, frames.start), frames.stop - 1) - frames.start
        starts = [edit.clip.held(latent).start for latent in frames]  # decay counts frames
        away = (torch.tensor(starts) - settings.frame).abs()
        falls = 0.5 ** (away / settings.decay) if settings.decay else torch.ones(len(frames))
        self._share = (settings.strength * falls)[:, None, None].to(device)  # t 1 1
        self._held = (away == 0)[:, None, None, None].to(device)
        self._holds = bool((away == 0).any())
        self._steps = settings.steps.steps(edit.steps)
        self._carried = range(0)
        self._more = difference.expand(len(frames), -1, -1, -1)
        if edit.model.codec.time_stride == 1 and settings.carry:
            self._carried = Span(0, settings.carry).steps(edit.steps)
            more = edit.once((settings, "carried"), lambda: settings.carried(edit, difference))
            self._more = more[frames.start : frames.stop]
        self._more = self._more.to(device)
        self._masks: dict[tuple[int, int], Tensor] = {}
        self._biases: dict[str, tuple[Tensor, Tensor]] = {}
        self._beside, self._acts = dict[str, bool](), False

    def prepare(self, step: Step) -> None:
        """Look up whether it acts in this step."""
        self._acts = step.index in self._steps

    def look(self, call: Call) -> Call:
        """Let frames look at the edited one, unless all do."""
        if not self._changes(call):
            return call
        if call.site.name not in self._beside:
            self._beside[call.site.name] = not self._seen(call)
        return call.looking_at(self._at) if self._beside[call.site.name] else call

    def attend(self, call: Call, terms: Terms) -> Terms:
        """Weigh its tokens: where they came in beside the others by w, else by 1 + w."""
        if not self._changes(call):
            return terms
        if call.site.name not in self._biases:
            self._biases[call.site.name] = self._bias(call)
        return tuple(extended(term, *self._biases[call.site.name]) for term in terms)

    def guide(self, latents: Tensor, step: Step) -> Tensor:
        """As `settle`, where a step begins: the first has none before it."""
        source = self._edit.inversion.trajectory[self._edit.steps - step.index].to(latents)
        return self._kept(latents, source, step.index, step.here)

    def settle(self, latents: Tensor, step: Step) -> Tensor:
        """The edited frame's latents in its place, and what was changed in all."""
        return self._kept(latents, step.arrival, step.index, step.there)

    def _kept(self, latents: Tensor, source: Tensor, index: int, level: Level) -> Tensor:
        """source: (t, c, h, w) at this level, of which its noise is taken."""
        if index not in self._steps or not (self._holds or self._carried):
            return latents
        rows, columns = latents.shape[-2:]
        share = self._share * self._mask((rows, columns)) * (index in self._carried)
        share = torch.where(self._held, 1.0, share[:, None])  # t 1 h w
        return torch.lerp(
            latents, source + level.signal * self._more.to(latents), share.to(latents)
        )

    def _changes(self, call: Call) -> bool:
        asked = call.branch == "target" and call.site.kind == "self"
        return asked and self._acts and self._settings.attention > 0 and len(call.q) > 1

    def _seen(self, call: Call) -> bool:
        """Whether every frame looks at the edited one as it is."""
        return call.keyframes is not None and bool((call.keyframes == self._at).any(1).all())

    def _bias(self, call: Call) -> tuple[Tensor, Tensor]:
        """(rows (t, 1, n or 1, 1), columns (t or none, 1, j*m, 1)), whose products are added to the
        logits."""
        weight = self._settings.attention * self._share * self._mask(call.grid)
        weight = weight.flatten(1)[:, None, :, None]  # t 1 n 1
        tokens, frames = call.k.shape[2], call.keyframes
        if frames is None:
            raise ValueError("frames that look at another have key frames")
        if self._beside[call.site.name]:
            last = torch.arange(frames.shape[1], device=frames.device) == frames.shape[1] - 1
            return weight.clamp(min=LEAST).log(), last[:, None].expand(-1, tokens).flatten()[
                :, None
            ]
        columns = (frames == self._at)[..., None].expand(-1, -1, tokens).flatten(1)  # f (j m)
        return weight.log1p(), columns[:, None, :, None]

    def _mask(self, grid: tuple[int, int]) -> Tensor:
        """(t, rows, columns): where frames follow; of one cell where it is everywhere."""
        if self._settings.regions is None:
            return torch.ones_like(self._share)
        if grid not in self._masks:
            regions = self._settings.regions.on_latents(self._edit.clip)
            cells = regions.part(self._edit.latent_frames).coverages(grid).amax(0)
            self._masks[grid] = cells.to(self._share)
        return self._masks[grid]
