"""Re-Attentional Diffusion (RAD): move each word's attention into its region.

Source: "Re-Attentional Controllable Video Diffusion Editing" (AAAI 2025), Eq. 3-7,
with the step sizes and the conditioning of the maps of its published code as options.

Of a forward pass only what leads to the maps is computed: the pass leaves the denoiser at the last
cross-attention that they are read from, and the gradient flows back through the same part.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from ...attention.processor import EarlyExit
from ...common.errors import EvenframeError
from ...common.settings import setting
from ...models.schedule import Level
from ...regions.regions import Regions
from ...source.maps import MapCollector, mask_sites
from ...text.prompt import parse_phrases
from ..base import Control, ControlRun, Edit, Step
from ..span import Span, nearest_step, span_setting
from .boost import BoostRun
from .losses import (
    OUTER_COUNTS,
    PUBLISHED_SCALE,
    RULES,
    condition_maps,
    region_losses,
    require_fraction,
    step_size,
)
from .refinement import RULES as REFINEMENTS
from .refinement import THRESHOLDS, refined
from .updates import Updates
from .word_masks import OVERLAPS, word_masks

if TYPE_CHECKING:
    from ...models.model import Model

PUBLISHED_FRAMES = 4
"""Frames of the published windows: over their mean, the published step sizes were chosen."""
LOSS_SCALES = {torch.float16: (2.0**12, 2.0**6, 1.0)}
"""Factors of the loss, tried in turn: in float16 small gradients vanish, large ones overflow."""


@dataclass(frozen=True, eq=False)
class Refocus(Control):
    """Settings of RAD.

    regions: where the objects belong, each with words of the target prompt.
    Raises EvenframeError for settings out of range and for regions without words.
    """

    unique: ClassVar[str] = "RAD Refocuser"
    regions: Regions
    rule: str = setting(
        "code",
        "How the scale falls from step to step: as the published code has it, or as the paper.",
        choices=RULES,
    )
    scale: float | None = setting(
        None,
        "How far the latents are moved. None: as published for the rule, 20 with 'code' and 1 "
        "with 'paper'. More where objects stay away, less where they break.",
        within=(0, 10_000),
        step=1.0,
        stand_in=(-1, None),
    )
    steps: Span = span_setting(
        Span(0.0, 0.5),
        start="Share of the steps after which the guidance begins.",
        end="Share of the steps after which it ends. Each guided step takes about half again as "
        "long.",
    )
    top_fraction: float = setting(
        0.2,
        "Share of a region's cells that count, those with the most attention. Larger fills the "
        "region, and holds the object less well.",
        demand=require_fraction,
        within=(0.01, 1),
        step=0.01,
    )
    outer_count: str = setting(
        "complement",
        "Cells that count outside of a region: the fraction of them all, or as many as inside.",
        choices=OUTER_COUNTS,
    )
    sharpen: bool = setting(True, "Let the words of the prompt compete for each place.")
    smooth: bool = setting(True, "Smooth the attention over neighbouring places and frames.")
    refine: bool = setting(
        False,
        "Move the latents up to 20 times more at three early steps, until the attention is there. "
        "For objects that stay away; slow.",
    )
    checkpointing: str = setting(
        "auto",
        "Compute parts twice instead of keeping them: a fifth of the memory, a third more time, "
        "the same result. auto: where memory is short.",
        choices=("auto", "on", "off"),
    )
    guide_by: str = setting(
        "auto",
        "gradient: move the latents, as published. boost: let each word count for more inside its "
        "region, at no cost. auto: boost for models that see the whole clip at once, such as Wan, "
        "where a gradient takes nearly three passes an update.",
        choices=("auto", "gradient", "boost"),
    )
    boost: float = setting(
        4.0,
        "How many times more a word counts inside its region, with guide_by boost. More where "
        "objects stay away; 1 is nothing.",
        within=(1, 1000),
        step=0.5,
    )

    refine_by: str = setting(
        "all",
        "all: refine along every word's losses. worst: as in the published code, along those of "
        "the worst word alone, and once more after that is enough.",
        choices=REFINEMENTS,
    )
    overlap: str = setting(
        "top",
        "Whose a place is that two regions have: that of the one on top, or of both, as published.",
        choices=OVERLAPS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.regions.require_items()
        for region in self.regions.items:
            if not parse_phrases(region.words):
                raise EvenframeError(
                    f"Region '{region.name}' has no words: give it the words of the target prompt "
                    "that belong there."
                )

    @property
    def first_size(self) -> float:
        """The scale: of the first update, and where none is set, as published for the rule."""
        return PUBLISHED_SCALE[self.rule] if self.scale is None else self.scale

    def notes(self) -> list[str]:
        """What to know of the settings: where the scale is the one published for the other rule."""
        own = PUBLISHED_SCALE[self.rule]
        other = next((rule for rule in RULES if PUBLISHED_SCALE[rule] == self.scale != own), None)
        if other is None:
            return []
        return [
            f"The scale is {self.scale:g}, as published for rule '{other}'; for '{self.rule}' it "
            f"was {own:g}. A scale of -1 takes the published one."
        ]

    def working_bytes(self, model: "Model", frames: int, frame_size: tuple[int, int]) -> int:
        """What a gradient needs, which a host is asked for before the edit. "auto" asks for all of
        it, and makes do with less where that cannot be had."""
        if not self.guides(model):
            return 0
        checkpointed = self.checkpointing == "on"
        return model.denoiser.gradient_bytes(frames, frame_size, checkpointed)

    def begin(self, edit: Edit) -> ControlRun:
        """Check the regions against the clip and the target prompt, and start."""
        self.regions.require(edit.clip.frames, edit.frame_size)
        if not self.guides(edit.model):
            steps = self.steps.steps(edit.steps)
            return BoostRun(self.regions, edit, self.boost, steps, self.overlap)
        # A model that has no gradient says so now, and not in the middle of the edit.
        self.working_bytes(edit.model, len(edit.latent_frames), edit.frame_size)
        return RefocusRun(self, edit)

    def guides(self, model: "Model") -> bool:
        """Whether it is by a gradient."""
        auto = model.denoiser.layout.whole_clip
        return self.guide_by != "boost" and not (self.guide_by == "auto" and auto)


class RefocusRun(ControlRun):
    """RAD at work in one edit."""

    def __init__(self, settings: Refocus, edit: Edit):
        model = self._model = edit.model
        self._settings, self._edit = settings, edit
        self._updates = Updates(edit.steps, settings.first_size)
        self._sites = mask_sites(model.denoiser.sites, model.denoiser.layout.mask_stride)
        self._last = max(self._sites, key=lambda site: site.order)
        self._steps = settings.steps.steps(edit.steps)
        self._thresholds: dict[int, float] = {}
        if settings.refine:
            self._thresholds = {nearest_step(at, edit.steps): least for at, least in THRESHOLDS}
        # Inference tensors, which a host may make of all that is made here, take no gradient.
        with torch.inference_mode(False):
            grid = self._sites[0].grid(edit.frame_size)
            self._words = word_masks(settings.regions, edit, grid, overlap=settings.overlap)

    def ready(self, model: "Model") -> None:
        """Ask this one."""
        self._model = model

    def done(self) -> None:
        """Hold no session."""
        self._model = self._edit.model

    def gradients(self, step: int) -> int:
        """One for each update; refinement makes more."""
        return int(step in self._steps and bool(self._words))

    def guide(self, latents: Tensor, step: Step) -> Tensor:
        """X <- X - alpha dL/dX (Eq. 7), repeated where refinement asks for it."""
        if not self.gradients(step.index):
            return latents
        size = step_size(step.index, self._edit.steps, self._settings.rule, self._settings.scale)
        # The mean over the frames in L makes the gradient of a frame fall with their number.
        size *= len(latents) / PUBLISHED_FRAMES
        enough = 1 - self._thresholds.get(step.index, 0.0)

        def evaluate(latents: Tensor, loss: str) -> tuple[float, Tensor]:
            return self._evaluate(latents, step, loss)

        def move(latents: Tensor, gradient: Tensor) -> Tensor:
            return self._updates.take(latents, size * gradient, step.index)

        rule = self._settings.refine_by
        latents, gradient = refined(latents, enough, rule, evaluate, move)
        return move(latents, gradient)

    def losses(self, latents: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """(L_IR, L_OR) of every word, (words,) each; differentiable in the latents."""
        settings = self._settings
        limits = settings.top_fraction, settings.outer_count
        pairs = [
            region_losses(maps, mask, *limits)
            for maps, (_, mask) in zip(self._word_maps(latents, level), self._words, strict=True)
        ]
        inner, outer = zip(*pairs, strict=True)
        return torch.stack(inner), torch.stack(outer)

    def _word_maps(self, latents: Tensor, level: Level) -> list[Tensor]:
        """(f, h, w) of every word, the mean over its tokens, as its losses are taken from it."""
        settings, words = self._settings, [tokens for tokens, _ in self._words]
        if not settings.sharpen:  # without a competition no other tokens count
            maps = condition_maps(self._maps(latents, level, words), False, settings.smooth, (0, 0))
            return [maps[..., at] / len(tokens) for at, tokens in enumerate(words)]
        maps = self._maps(latents, level)
        prompt, columns = self._edit.prompt.tokens, maps.shape[-1]
        # What stands before the words, and the last column, unless a word has it.
        left_out = prompt.first, min(1, columns - 1 - prompt.last)
        maps = condition_maps(maps, True, settings.smooth, left_out)
        return [maps[..., [token - prompt.first for token in each]].mean(-1) for each in words]

    def _evaluate(self, latents: Tensor, step: Step, which: str = "all") -> tuple[float, Tensor]:
        """(largest L_IR, dL/dX) of a loss that `refinement.Evaluate` names."""
        model = self._model
        # A host may run all this under inference mode, in which nothing can be differentiated.
        with torch.inference_mode(False), torch.enable_grad():
            for scale in LOSS_SCALES.get(model.dtype, (1.0,)):
                self._edit.on_pass()
                start = latents.clone().requires_grad_()
                with model.denoiser.differentiable(
                    self._last if self._checkpoints(latents) else None
                ):
                    inner, outer = self.losses(start, step.here)
                    losses = {"all": inner + outer, "worst": inner.max(), "inner": inner}
                    loss = scale * losses[which].sum()
                    gradient = torch.autograd.grad(loss, start)[0] / scale
                if gradient.isfinite().all():
                    return float(inner.detach().max()), gradient
        exact = model.dtype == torch.float32
        raise EvenframeError(
            f"The guidance of RAD broke at step {step.index + 1} of {self._edit.steps}: its "
            "gradient is not numbers (NaN). Reduce its scale"
            f"{'' if exact else ', or load the model in float32'}."
        )

    def _maps(
        self, latents: Tensor, level: Level, words: Sequence[Sequence[int]] | None = None
    ) -> Tensor:
        """(f, h, w, L) attention to every token, or to words of these tokens, the mean over sites
        and heads."""
        edit = self._edit
        collector = MapCollector(self._sites, words)
        target, table = {"target": edit.prompt.clone()}, edit.inversion.keyframe_table()
        with suppress(EarlyExit):
            self._model.denoiser.predict(latents, level, target, table, collector.attend)
        return torch.stack(list(collector.maps.values())).mean(0)

    def _checkpoints(self, latents: Tensor) -> bool:
        model, wanted = self._model, self._settings.checkpointing
        if wanted != "auto":
            return wanted == "on"
        needed = model.denoiser.gradient_bytes(len(latents), self._edit.frame_size)
        return needed > self._edit.free(model.device)
