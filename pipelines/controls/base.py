"""What a control is: a frozen description, and what it does during one edit.

A control (Fusion, ...) is a frozen dataclass of settings that travels between nodes. It checks
itself when it is made, so that a wrong setting is reported where it was set; `begin` checks it
against one edit and returns a run, which may hold state; the run ends with the edit.
"""

from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from ..attention.processor import Attend, Carried, Carrying
from ..attention.sites import Site
from ..attention.terms import Call, Terms
from ..common.memory import FreeMemory, free_memory
from ..common.progress import OnPass, carry_on
from ..common.settings import check
from ..models.lattice import frames_in
from ..models.schedule import Level
from ..source.store import SourceAttention
from ..text.conditioning import Conditioning
from .together import require_carried, require_together

if TYPE_CHECKING:
    from ..models.lattice import Lattice
    from ..models.model import Model
    from ..source.inversion import Inversion


@dataclass(frozen=True, eq=False)
class Edit:
    """What an edit consists of, for a control to look up.

    Raises EvenframeError for controls that do not go together, see `require_together`.
    inversion: of the latent frames at work. window: which of the clip's latent frames these are, or
    None for all. length: latent frames of the whole clip where there is a window, and whole_clip:
    the inversion of all of them. seed: of fresh noise.
    controls: all of the edit's. on_pass: to be called before a control's own passes. free: free
    bytes of a device, for choices that depend on it.
    """

    model: "Model"
    inversion: "Inversion"
    prompt: Conditioning
    window: range | None = None
    length: int = 0
    seed: int = 0
    controls: "tuple[Control, ...]" = ()
    on_pass: OnPass = carry_on
    free: FreeMemory = free_memory
    whole_clip: "Inversion | None" = None
    _found: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        require_together(self.controls)
        require_carried(self.controls, self.model)

    @property
    def steps(self) -> int:
        """Denoising steps N."""
        return self.inversion.steps

    @property
    def whole(self) -> "Inversion":
        """The inversion of the whole clip, of which a window is a part."""
        return self.whole_clip or self.inversion

    @property
    def latent_frames(self) -> range:
        """The latent frames at work, by their place in the clip."""
        return range(self.inversion.latent_frames) if self.window is None else self.window

    @property
    def first_window(self) -> bool:
        """Whether this is the whole clip or its first window: what is told once is told there."""
        return self.latent_frames.start == 0

    @property
    def clip(self) -> "Lattice":
        """How the frames of the whole clip lie under its latents."""
        codec, length = self.model.codec, self.length or self.inversion.latent_frames
        frames = frames_in(length, codec.time_stride)
        return codec.lattice(frames, codec.lattice_of(self.inversion.trajectory[0]).size)

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) of a frame in pixels."""
        return self.clip.size

    def once(self, key: Hashable, find: Callable[[], Any]) -> Any:
        """What is the same in every window of the edit: found by the first that asks."""
        if key not in self._found:
            self._found[key] = find()
        return self._found[key]

    def over(self, window: range) -> "Edit":
        """Of these of the clip's latent frames alone."""
        length = self.inversion.latent_frames
        return replace(
            self,
            inversion=self.inversion.part(window),
            prompt=self.prompt.over(window, length),
            window=window,
            length=length,
            whole_clip=self.inversion,
        )


@dataclass(frozen=True, eq=False)
class Step:
    """One denoising step.

    index: k in 0..N-1. here, there: the noise levels that it begins and ends at. source: the
    source's attention at `here`, at the sites that were asked for. arrival: the source's latents
    (t, c, h, w) at `there`.
    """

    index: int
    here: Level
    there: Level
    source: SourceAttention
    arrival: Tensor


class ControlRun:
    """A control at work in one edit. Every verb does nothing unless it is overridden.

    replaces: whether `attend` puts other attention in the place of the edit's. See `attending`.
    carries: whether `carry` does anything.
    """

    replaces: ClassVar[bool] = False
    carries: ClassVar[bool] = False

    def ready(self, model: "Model") -> None:
        """Before the steps in which it may ask this model, which is ready for them: of two experts
        first the one, then the other."""

    def done(self) -> None:
        """After them: let go of that model, with which a host's session may hold much."""

    def source_sites(self, step: int) -> Collection[Site]:
        """The sites whose source attention it needs at a denoising step."""
        return ()

    def repeats(self, step: int) -> int:
        """How often a denoising step is taken, with noise added again in between."""
        return 1

    def gradients(self, step: int) -> int:
        """Passes of its own, through which it takes a gradient, each time a step is taken."""
        return 0

    def source_passes(self, step: int) -> int:
        """Passes of its own that it asks of the source at a denoising step; in windows, each time
        that is taken."""
        return 0

    def prepare(self, step: Step) -> None:
        """Before anything else of a step."""

    def carry(self, site: Site, branch: str, tokens: Tensor) -> Carried | None:
        """Let a few frames attend for all, in a layer of self-attention: see `Carry`. No other
        control has a say in that layer then, and the negative branch may be carried, too."""
        return None

    def look(self, call: Call) -> Call:
        """Before anybody rewrites an attention call, let its frames look at others as well;
        branches other than "target" must be left alone."""
        return call

    def attend(self, call: Call, terms: Terms) -> Terms:
        """Rewrite one attention call; branches other than "target" must be left alone."""
        return terms

    def guide(self, latents: Tensor, step: Step) -> Tensor:
        """Change the latents (t, c, h, w) before the prediction."""
        return latents

    def settle(self, latents: Tensor, step: Step) -> Tensor:
        """Change the latents (t, c, h, w) after the step."""
        return latents

    def end(self) -> None:
        """After all else of a step: let go of the source's attention."""


def attending(runs: Iterable[ControlRun]) -> Attend:
    """The `attend` of all runs as one: those that replace attention first, else in their order.

    So a control that changes terms changes the attention that is evaluated, the source's too,
    wherever it stands in the list: behind it, a replacement would undo its change in silence.
    """
    ordered = sorted(runs, key=lambda run: not run.replaces)

    def attend(call: Call, terms: Terms) -> Terms:
        seen = call
        for run in ordered:
            seen = run.look(seen)
        terms = terms if seen is call else seen.plain()
        for run in ordered:
            terms = run.attend(seen, terms)
        return terms

    carriers = [run.carry for run in ordered if run.carries]
    return Carrying(attend, carriers[0]) if carriers else attend


class Control:
    """Settings of a technique: a frozen dataclass derived from this, whose settings are checked
    when it is made.

    unique: its name, where a chain may hold only one of them, because of two their order would
        matter.
    carries: whether its run lets a few frames attend for all, see `ControlRun.carry`.
    """

    unique: ClassVar[str] = ""
    carries: ClassVar[bool] = False

    @property
    def changes_self(self) -> str:
        """Where it changes self-attention, how to have it not do so: "strength of X to 0"."""
        return ""

    def __post_init__(self) -> None:
        check(self)

    @property
    def kept_noise(self) -> str:
        """Where it keeps the source's latents, by whose noise they have: "inversion" or "fresh"."""
        return ""

    @property
    def draws(self) -> bool:
        """Whether it has the edit draw fresh noise, from the editor's seed."""
        return False

    def guides(self, model: "Model") -> bool:
        """Whether it moves latents before a prediction, by passes of its own."""
        return False

    @property
    def rewords(self) -> bool:
        """Whether it changes the target prompt, which a sampler has had before it."""
        return False

    def prompted(self, model: "Model", prompt: Conditioning) -> Conditioning:
        """The target prompt as it wants the model to be asked with it, before the edit begins."""
        return prompt

    def working_bytes(self, model: "Model", frames: int, frame_size: tuple[int, int]) -> int:
        """About what its own passes need beside the weights, where that may be more than the
        edit's."""
        return 0

    def begin(self, edit: Edit) -> ControlRun:
        """Check what only an edit can tell, such as words against prompts, and start.

        Raises EvenframeError.
        """
        raise NotImplementedError


def chained(controls: Iterable[Control], control: Control) -> tuple[Control, ...]:
    """The chain with one control more. Raises EvenframeError where it does not go with another."""
    chain = (*controls, control)
    require_together(chain)
    return chain


def working_bytes(
    controls: Iterable[Control], model: "Model", frames: int, frame_size: tuple[int, int]
) -> int:
    """About what a step of a guided edit needs beside the weights, for hosts that make room first.

    frames: of the latents, in a window. frame_size: (height, width) in pixels.
    """
    own = model.denoiser.working_bytes(frames, frame_size, branches=2)
    return max([own, *(each.working_bytes(model, frames, frame_size) for each in controls)])
