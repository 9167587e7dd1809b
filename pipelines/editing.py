"""Edits: an inverted clip, denoised under another prompt, steered by controls."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .common.checks import MAX_SEED, require_whole
from .common.memory import FreeMemory, free_memory
from .common.progress import OnPart, OnPass, carry_on
from .common.settings import check, setting
from .controls.at_work import AtWork
from .controls.base import Control, Edit
from .models.checks import require_model, require_prompt
from .models.schedule import MAX_STEPS, Level
from .passes import Passes
from .source.held import HeldAttention
from .text.conditioning import Conditioning
from .walk import OnStep, Pass, walk

if TYPE_CHECKING:
    from .models.model import Model
    from .source.inversion import Inversion

OnBegin = Callable[[Passes], None]
"""Called before the first step with what is to be done."""


def untold(_: Passes) -> None:
    """Nobody asks."""


@dataclass(frozen=True)
class Settings:
    """The numbers of an edit. Raises EvenframeError for those out of range."""

    guidance_scale: float = setting(
        7.5,
        "How hard the target prompt pulls away from the negative one. 1 uses the target prompt "
        "alone, which is twice as fast.",
        within=(0, 100),
        step=0.1,
    )
    start_step: int = setting(
        0,
        "Denoising steps to skip: the edit starts from the clip with that much less noise, and "
        "stays closer to it.",
        whole=(0, MAX_STEPS - 1),
    )
    eta: float = setting(
        0.0,
        "Fresh noise in every step. 0 is deterministic DDIM, which keeps the clip best and makes "
        "the seed irrelevant.",
        within=(0, 1),
    )
    seed: int = setting(
        0, "Of the fresh noise that eta and some controls draw; else idle.", whole=(0, MAX_SEED)
    )

    def __post_init__(self) -> None:
        check(self)

    def require(self, steps: int) -> None:
        """Raise EvenframeError unless they suit an inversion of so many steps."""
        require_whole("start_step", self.start_step, 0, steps - 1)


def draws(eta: float, controls: Iterable[Control]) -> bool:
    """Whether an edit draws fresh noise, so that its seed matters."""
    return eta > 0 or any(control.draws for control in controls)


@torch.no_grad()
def edit(
    model: "Model",
    inversion: "Inversion",
    prompt: str | Conditioning,
    *,
    negative: str | Conditioning = "",
    controls: Iterable[Control] = (),
    guidance_scale: float = Settings.guidance_scale,
    start_step: int = Settings.start_step,
    eta: float = Settings.eta,
    seed: int = Settings.seed,
    on_begin: OnBegin = untold,
    on_step: OnStep | None = None,
    on_part: OnPart | None = None,
    on_pass: OnPass = carry_on,
    free: FreeMemory = free_memory,
) -> Tensor:
    """Denoise an inverted clip under a target prompt, in the windows of its inversion.

    controls: in order, but see `attending` and `AtWork.guide`. free: free bytes of a device.
    guidance_scale, start_step, eta, seed: see `Settings`. Returns latents (t, c, h, w) float32.
    Raises EvenframeError for values out of range or made by another model.
    """
    Settings(guidance_scale, start_step, eta, seed).require(inversion.steps)
    require_model(model, inversion.model, "inversion")
    target = _encoded(model, prompt, "target prompt")
    against = _encoded(model, negative, "negative prompt")
    chain = tuple(controls)
    for control in chain:
        target = control.prompted(model, target)
    plan = Edit(model, inversion, target, seed=seed, controls=chain, on_pass=on_pass, free=free)
    passes = [EditPass(part, against, guidance_scale) for part in _parts(plan)]
    on_begin(_passes_of(passes, range(start_step, inversion.steps)))
    generator = torch.Generator().manual_seed(seed)
    return walk(
        model,
        inversion.levels(model.schedule)[start_step:],
        inversion.trajectory[inversion.steps - start_step].to(model.device),
        passes,
        stage="edit",
        first=start_step,
        weights=inversion.windowing.weights,
        eta=eta,
        draw=lambda latents: torch.randn(latents.shape, generator=generator).to(latents),
        on_step=on_step,
        on_part=on_part,
    )


def _passes_of(parts: "Sequence[EditPass]", steps: range) -> Passes:
    turns = {step: parts[0].repeats(step) for step in steps}
    edit, source, gradient = len(parts) * sum(turns.values()), 0, 0
    for part in parts:
        source += sum(part.recomputed(step, turns[step]) for step in steps)
        gradient += sum(part.gradients(step) * turns[step] for step in steps)
    return Passes(len(steps), len(parts), len(parts[0].branches), edit, source, gradient)


def _encoded(model: "Model", prompt: str | Conditioning, what: str) -> Conditioning:
    encoded = prompt if isinstance(prompt, Conditioning) else model.text.encode(prompt)
    require_prompt(model, encoded, what)
    return encoded


def _parts(plan: Edit) -> list[Edit]:
    """The edit, or of a clip in windows one for each."""
    windows = plan.inversion.windows
    return [plan] if len(windows) == 1 else [plan.over(window) for window in windows]


class EditPass(Pass):
    """The latent frames that are edited at once: of most clips all, else those of one window.

    Each window lets go of its source attention before the next one begins.
    """

    def __init__(self, plan: Edit, negative: Conditioning, guidance_scale: float):
        self._work = AtWork(plan)
        table, length = plan.inversion.keyframe_table(), plan.length or len(plan.latent_frames)
        both = {"negative": negative.over(plan.latent_frames, length), "target": plan.prompt}
        self._plan, self._both, self._scale = plan, both, guidance_scale
        super().__init__(plan.latent_frames, self._used(plan.model), table, self._work.attend)

    @property
    def prompts(self) -> Mapping[str, Conditioning]:
        """Those of both branches, and the source's."""
        source = self._plan.inversion.prompt
        return {"target": self._plan.prompt, "negative": self._both["negative"], "source": source}

    def ready(self, model: "Model") -> None:
        """Ask this model, also for the source's attention; not the branch that it does without."""
        self.branches = self._used(model)
        self._model, self._source = model, self._plan.inversion.source_attention(model)
        if self._plan.window is None:  # of several windows, all would be held: memory would grow
            self._source = HeldAttention(self._source)
        self._work.ready(model)

    def _used(self, model: "Model") -> Mapping[str, Conditioning]:
        unused = model.unused.get(self._scale)
        return {name: one for name, one in self._both.items() if name != unused}

    def done(self) -> None:
        """Let go of kept attention: a host may take its memory for the next model."""
        del self._model, self._source
        self._work.done()

    def repeats(self, index: int) -> int:
        """As often as the control says that wants it most often."""
        return self._work.repeats(index)

    def recomputed(self, index: int, turns: int) -> int:
        """Passes of the source again, at a step that is taken so often."""
        asked = not self._plan.inversion.records and bool(self._work.sites(index))
        passes = asked + self._work.source_passes(index)
        return passes * (1 if self._plan.window is None else turns)

    def gradients(self, index: int) -> int:
        """Passes through which controls take a gradient, at least, each time a step is taken."""
        return self._work.gradients(index)

    def prepare(self, index: int, here: Level, there: Level, latents: Tensor) -> Tensor:
        """Get the source's attention, and let the controls move the latents."""
        self._plan.on_pass()
        arrival = self._plan.inversion.trajectory[self._plan.steps - 1 - index].to(latents)
        self._step = self._work.prepare(self._source, index, here, there, arrival)
        latents = self._work.guide(latents, self._step)
        self._asked = latents, here
        return latents

    def answer(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """By the model's guidance."""
        return self._model.guidance(outputs, self._scale, *self._asked)

    def settle(self, latents: Tensor) -> Tensor:
        """Let the controls change what was reached."""
        latents = self._work.settle(latents, self._step)
        self._work.end()
        del self._step, self._asked  # and with them the source's attention
        return latents
