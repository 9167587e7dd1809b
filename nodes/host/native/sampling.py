"""Controls in a sampler of the host's, from its start to its end.

`outer_sample` is the one wrapper that goes with a MODEL. It makes a `Sampling` when a sampler
starts, whose own wrappers live in the options that the host makes for that run and throws away.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from comfy.patcher_extension import WrappersMP
from comfy.sampler_helpers import convert_cond
from comfy.samplers import calc_cond_batch

from ....pipelines.common.errors import EvenframeError
from ....pipelines.common.window import merged
from ....pipelines.models.listed_schedule import ListedSchedule
from .attached import Attached, attached_in
from .attention import chained
from .before_sampling import require_before, target_entries, with_hooks
from .levels import entering, leaving, level_of, scaling_of, step_at
from .part import Part
from .planning import needed_bytes, planned
from .prompts import bearing, conditioning_of
from .session import Ready, Work, as_given, tidy, with_bytes
from .standing import OURS, RUN
from .stepwise import Stepwise
from .windows import require_frames, require_prompts, window_of

if TYPE_CHECKING:
    from torch import Tensor

    from ....pipelines.models.schedule import Kind
    from ....pipelines.source.between import SourceLatents


def outer_sample(
    executor: Any,
    noise: Any,
    latent_image: Any,
    sampler: Any,
    sigmas: Any,
    *more: Any,
    **others: Any,
) -> Any:
    """The wrapper (OUTER_SAMPLE): checks all before the work, and lets go of all after it."""
    guider, given = executor.class_obj, (noise, latent_image, sampler, sigmas, *more)
    attached = attached_in(guider.model_options)
    if isinstance(sampler, Work) or len(sigmas) < 2:
        return executor(*given, **others)
    if attached is None:
        raise EvenframeError(
            "A node behind Source for Controls has replaced the MODEL's options, and with them the "
            "source and the controls: take that node away, or connect the MODEL before them."
        )
    require_before(guider, attached, noise, latent_image, sampler, sigmas)
    run = Sampling(guider, attached, sampler, sigmas)
    try:
        run.join()
        samples = executor(*given, **others)
        run.require_called()
        return samples
    except BaseException:
        tidy(guider)
        raise
    finally:
        run.leave()


class Sampling:
    """One run of one sampler.

    ready: what the host has prepared for it. latents: the source's. step: the one that is taken,
    where steps are taken one by one; else None, and calls tell.
    """

    ready: Ready
    latents: SourceLatents
    step: int | None = None

    def __init__(self, guider: Any, attached: Attached, sampler: Any, sigmas: Tensor):
        self._guider, self._attached, source = guider, attached, attached.source
        self._sampling = guider.model_patcher.get_model_object("model_sampling")
        self.kind: Kind = scaling_of(self._sampling)
        self.sigmas = [float(each) for each in sigmas]
        self.levels = [level_of(self._sampling, each) for each in self.sigmas]
        self._given = convert_cond(conditioning_of(source.prompt))
        places = bearing(source.prompt.host or [[None, {}]])
        self._main = target_entries(guider, source.target)
        self._asking = {self._given[at]["uuid"] for at in places}
        self._negative = {entry["uuid"] for entry in guider.conds.get("negative") or ()}
        self._stepwise = isinstance(sampler, Stepwise)
        self._acts = bool(attached.controls) or source.keyframes != ("own",)
        self._parts: dict[range | None, Part] = {}
        self._used: dict[range, Part] = {}
        self._asked: dict[range, Tensor] = {}
        self._own, self._calls = False, 0
        options = guider.model_options["transformer_options"]
        self._around: Sampling | None = options.get(RUN)

    def join(self) -> None:
        """Take part in what the guider does: the source is one of its prompts."""
        options = self._guider.model_options
        self._guider.conds["source"] = with_hooks(self._given, options)
        inner = options["transformer_options"]
        inner[RUN], wrappers = self, inner.setdefault("wrappers", {})
        for kind, wrapper in self._wrappers.items():
            # Another node's wrapper may sample again: in the place of what was there.
            wrappers.setdefault(kind, {})[OURS] = [wrapper]

    @property
    def _wrappers(self) -> dict[str, Any]:
        """By the host's names of what they go around."""
        return {
            WrappersMP.PREPARE_SAMPLING: self._prepare_sampling,
            WrappersMP.SAMPLER_SAMPLE: self._sampler_sample,
            WrappersMP.PREDICT_NOISE: self._predict_noise,
            WrappersMP.CALC_COND_BATCH: self._calc_cond_batch,
        }

    def _prepare_sampling(
        self, executor: Any, model: Any, noise_shape: Any, *more: Any, **others: Any
    ) -> Any:
        """Room for the controls' own passes, too."""
        needed = needed_bytes(self._attached, noise_shape)
        if needed:
            executor = partial(with_bytes, [*noise_shape], needed, executor)
        return executor(model, noise_shape, *more, **others)

    def _sampler_sample(
        self,
        executor: Any,
        model_wrap: Any,
        sigmas: Any,
        extra_args: Any,
        callback: Any,
        noise: Any,
        *more: Any,
        **others: Any,
    ) -> Any:
        """Where all is prepared and the sampler has not begun: the controls do."""
        guider = model_wrap
        theirs = {entry["uuid"] for entry in self._given}
        for role in guider.conds.keys() - {"source"}:  # without copies of the source's areas
            entries = guider.conds[role]
            guider.conds[role] = [entry for entry in entries if entry["uuid"] not in theirs]
        conditions = dict(guider.conds)
        require_frames(conditions, noise.shape)
        conditions["source"] = as_given(conditions["source"], self._given)
        options, models = extra_args["model_options"], tuple(guider.loaded_models)
        main = frozenset(self._main | self._asking)
        require_prompts({"source": conditions["source"]}, noise.shape, main)
        # Only now is it the noise that the sampler starts with: FreeNoise has shuffled it.
        own: Any = self._attached.source.model.denoiser
        scale = getattr(self._sampling, "noise_scale", 1.0)
        self.latents = self._attached.source.latents(own.inward(noise).float().cpu() * scale)
        self.ready = Ready(guider.inner_model, options, conditions, noise.shape, main, models)
        self._let_go()  # another node's wrapper may sample again within this run
        seed = int(extra_args.get("seed") or 0)
        plan = self._attached, guider.model_patcher, self.ready, self.latents
        self._plan = planned(*plan, ListedSchedule(self.kind, self.levels), seed)
        if self._acts and options.get("context_handler") is None:
            self.part(None, options)
        return executor(guider, sigmas, extra_args, callback, noise, *more, **others)

    def part(self, window: range | None, options: Any) -> Part:
        """The frames of a window, or all."""
        if window not in self._parts:
            plan = self._plan if window is None else self._plan.over(window)
            with self.asking(options):
                self._parts[window] = Part(plan, self.latents)
        return self._parts[window]

    def _forget_before(self, step: int) -> None:
        """Let go of windows that were last asked about before a step: uniform ones lie elsewhere in
        each."""
        for window in [at for at, part in self._parts.items() if at and part.last < step]:
            self._parts.pop(window).done()

    @property
    def denoiser(self) -> Any:
        """The model that the sampler asks."""
        return self._plan.model.denoiser

    @contextmanager
    def asking(self, options: Any) -> Iterator[None]:
        """Inside, the model is asked by this pack itself, with these model options: about a window
        as it is, and steered by nobody else."""
        before, self._own = self._own, True
        self.ready.options = {**options, "context_handler": None}
        try:
            yield
        finally:
            self._own = before

    def _calc_cond_batch(
        self, executor: Any, model: Any, conds: Any, x_in: Any, timestep: Any, model_options: Any
    ) -> Any:
        """A call of the model, with controls in it."""
        x, options = x_in, model_options
        if self._own or not self._acts or model is not self.ready.inner:
            return executor(model, conds, x, timestep, options)
        self._calls += 1
        window = window_of(options, x, self.ready.clip)
        sigma, denoiser = float(timestep[0]), self.denoiser
        index = step_at(self.sigmas, sigma) if self.step is None else self.step
        self._forget_before(index - 1)
        part = self.part(window, options)
        level = level_of(self._sampling, sigma)
        latents = leaving(denoiser.inward(x), level, self.kind)
        with self.asking(options):
            part.prepare(index, level, self.levels[index + 1], latents)
        self._used[part.frames] = part
        if not self._stepwise:
            kept = part.settled_at(level, latents)
            if kept is not latents:
                asked = self._asked[part.frames] = entering(kept, level, self.kind)[0]
                x = denoiser.outward(asked)
        layer = part.layer([self._name(cond) for cond in conds], self._main, latents)
        self.ready.at(sigma)
        return executor(model, conds, x, timestep, chained(options, layer))

    def _predict_noise(
        self, executor: Any, x: Tensor, timestep: Tensor, *more: Any, **others: Any
    ) -> Any:
        """What the sampler gets of a call: clean latents, in which controls keep the source's as
        the host's inpainting does, whatever guidance has made of them."""
        self._used, self._asked = {}, {}
        clean = executor(x, timestep, *more, **others)
        if not self._stepwise:
            pieces, changed = {}, False
            for frames, part in self._used.items():
                one = self.denoiser.inward(clean)[frames.start : frames.stop]
                pieces[frames] = part.settled_clean(one)
                changed |= pieces[frames] is not one
                part.end()
            clean = self._whole(pieces) if changed else clean
        return clean

    def asked(self, x: Tensor) -> Tensor:
        """What the model has just been asked about, where the sampler has given it these latents:
        they, with what controls keep of the source."""
        own = {frames: self.denoiser.inward(x)[frames.start : frames.stop] for frames in self._used}
        return self._whole({**own, **self._asked}) if self._asked else x

    def _whole(self, pieces: Mapping[range, Tensor]) -> Tensor:
        """The clip's latents, as the host lays them out, of those of its windows."""
        frames = sorted(pieces, key=lambda each: each.start)
        return self.denoiser.outward(merged(frames, "uniform", [[pieces[at]] for at in frames])[0])

    def source_says(self, timestep: Tensor, options: Any) -> tuple[Tensor, Tensor]:
        """The source at a sampler's level, and the clean latents that the model makes of it under
        its own prompt, as the host scales and lays them out."""
        level = level_of(self._sampling, float(timestep[0]))
        latents, sigma = entering(self.latents.at(level).to(timestep.device), level, self.kind)
        x, conditions = self.denoiser.outward(latents), [self.ready.whole["source"], None]
        with self.asking(options):
            self.ready.at(sigma)
            said = calc_cond_batch(self.ready.inner, conditions, x, timestep, options)[0]
        return x, said

    def _name(self, cond: Sequence[Any] | None) -> str:
        """Of a branch. Where there are areas, the host adds copies of other branches' behind
        its own entries."""
        uuids = [entry["uuid"] for entry in cond or ()]
        own = bool(uuids) and uuids[0] not in self._negative
        return "target" if own and not self._main.isdisjoint(uuids) else "negative"

    def require_called(self) -> None:
        """Raise EvenframeError where the sampler has ended without ever asking the model."""
        if self._around is not None:  # another node's wrapper samples in the place of that one
            self._around._calls += self._calls
        # Of one step, dpm_fast and dpm_adaptive make none.
        if self._acts and not self._calls and len(self.sigmas) > 2:
            raise EvenframeError(
                "The sampler has never asked the model about latents of the source's shape, so no "
                "control could act: choose another sampler."
            )

    def leave(self) -> None:
        """Take no part any more, and let go of all: nothing waits for Python to find a circle."""
        self._let_go()
        if ready := vars(self).pop("ready", None):
            ready.options, ready.during = {}, {}  # where this run is found
        vars(self).pop("_plan", None)
        inner = self._guider.model_options["transformer_options"]
        inner.pop(RUN, None)
        for kind in self._wrappers:
            inner.get("wrappers", {}).get(kind, {}).pop(OURS, None)

    def _let_go(self) -> None:
        for part in self._parts.values():
            part.done()
        self._parts, self._used, self._asked = {}, {}, {}
