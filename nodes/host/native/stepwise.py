"""A sampler around a sampler, which takes its steps one by one."""

# pyright: reportMissingImports=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from comfy.samplers import KSAMPLER, KSamplerX0Inpaint

from ....pipelines.common.errors import EvenframeError
from ....pipelines.models.schedule import add_noise
from .levels import entering, leaving
from .standing import RUN


@dataclass(frozen=True)
class Stepwise:
    """A SAMPLER by which controls have what they have in this pack's own loop: the latents before
    each step and after it, and steps that are taken again.

    inner: the host's KSAMPLER that takes the steps. Each is a run of its own, so that a multistep
    sampler has no earlier ones to look back at.
    """

    inner: Any

    def require(self, guider: Any) -> None:
        """Raise EvenframeError where it cannot take a guider's steps."""
        step = getattr(self.inner, "sampler_function", None)
        if not isinstance(self.inner, KSAMPLER) or step.__module__.endswith("uni_pc"):
            raise EvenframeError(
                f"Refocus Sampler cannot take the steps of {getattr(step, '__name__', 'this')} one "
                "by one: choose another sampler of KSamplerSelect, such as euler, heun or dpm_2."
            )
        if guider.model_options.get("context_handler") is not None:
            raise EvenframeError(
                "Context Windows stands on the MODEL, and Refocus Sampler takes the clip whole: "
                "take one of the two away."
            )

    def sample(
        self,
        model_wrap: Any,
        sigmas: Any,
        extra_args: dict[str, Any],
        callback: Any,
        noise: Any,
        latent_image: Any = None,
        denoise_mask: Any = None,
        disable_pbar: bool = False,
    ) -> Any:
        """Called by the host's guider, model_wrap, in the place of the inner sampler's."""
        guider = model_wrap
        run = extra_args["model_options"]["transformer_options"].get(RUN)
        if run is None:
            raise EvenframeError(
                "There is no source on the MODEL, so that Refocus Sampler has nothing to do: put "
                "Source for Controls and Apply Controls before your sampler."
            )
        extra_args["denoise_mask"], seed = denoise_mask, int(extra_args.get("seed") or 0)
        asked = KSamplerX0Inpaint(guider, sigmas)
        asked.latent_image, asked.noise = latent_image, noise
        if self.inner.inpaint_options.get("random", False):
            random = torch.Generator().manual_seed(seed + 1)
            asked.noise = torch.randn(noise.shape, generator=random).to(noise)
        sampling, whole = guider.inner_model.model_sampling, self.inner.max_denoise(guider, sigmas)
        x = sampling.noise_scaling(sigmas[0], noise, latent_image, whole)
        # Noise that is added again, and the seeds of what the inner sampler draws in each step.
        draws, told = [torch.Generator().manual_seed(seed ^ at) for at in (0, 1)], dict[str, Any]()
        for index in range(len(sigmas) - 1):
            given = asked, sigmas[index : index + 2].clone(), extra_args
            run.step = index  # for all calls of it, though some fall where the next begins
            x = self._step(run, index, x, given, draws, told.update)
            if callback is not None:
                callback(index, told.get("denoised", x), x, len(sigmas) - 1)
        return sampling.inverse_noise_scaling(sigmas[-1], x)

    def _step(self, run: Any, index: int, x: Any, given: Any, draws: Any, tell: Any) -> Any:
        """One step of a run, as often as a control wants it. given: the model that is asked, the
        two sigmas, and what else it gets; draws: of noise to add again, and of seeds."""
        asked, sigmas, extra = given
        options, denoiser, kind = extra["model_options"], run.denoiser, run.kind
        here, there, part = run.levels[index], run.levels[index + 1], run.part(None, options)
        for turn in range(part.repeats(index)):
            latents = leaving(denoiser.inward(x), there if turn else here, kind)
            if turn:
                fresh = torch.randn(latents.shape, generator=draws[0]).to(latents)
                latents = add_noise(latents, fresh, there, here)
            with run.asking(options):
                step = part.prepare(index, here, there, latents)
                guided = part.guide(latents, step)
            if turn or guided is not latents:
                x = denoiser.outward(entering(guided, here, kind)[0])
            # The host draws from the seed anew in each run, which a step is here.
            own = {**extra, "seed": int(torch.randint(2**31, (), generator=draws[1]))}
            more = {"extra_args": own, "callback": tell, "disable": True}
            x = self.inner.sampler_function(asked, x, sigmas, **more, **self.inner.extra_options)
            latents = leaving(denoiser.inward(x), there, kind)
            settled = part.settle(latents, step)
            if settled is not latents:
                x = denoiser.outward(entering(settled, there, kind)[0])
            part.end()
        return x
