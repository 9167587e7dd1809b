"""Run by test_native.py in a process of its own: prompts that carry more than words in ComfyUI's
own models, and weights in other forms. It ends with an AssertionError where something is wrong."""

# pyright: reportMissingImports=false

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from native_manners import Stopped, refocus

from evenframe.benchmarks import host_models, native
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.window import Windowing
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.source.inversion import invert
from evenframe.pipelines.source.reconstruction import checked, reconstruct
from evenframe.pipelines.text.conditioning import Conditioning

SIZE = (64, 64)
FRAMES = torch.rand(4, *SIZE, 3, generator=torch.Generator().manual_seed(3))


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return native.rel_error(one, other) < 1e-5


def the_controlnet_of_one_prompt_is_its_own(model: Model, steered: Model) -> None:
    """The target's is not the source's, whose attention is the same kept and computed again."""
    kept = invert(model, FRAMES, native.SOURCE, steps=3, store="resident")
    target = steered.text.encode(native.TARGET)
    first, again = (
        edit(model, each, target, controls=[Fusion()]) for each in (kept, replace(kept, records=()))
    )
    assert native.rel_error(again, first) < 5e-3  # kept in half precision
    assert native.rel_error(first, edit(model, kept, native.TARGET, controls=[Fusion()])) > 1e-2


def every_frame_has_its_own_hint(model: Model, steered: Model) -> None:
    prompt = steered.text.encode(native.SOURCE)
    inversion = invert(model, FRAMES, prompt, steps=3, keyframes="own")
    rebuilt = checked(model, inversion).rebuilt
    assert rebuilt is not None and close(rebuilt[0], reconstruct(model, inversion)[1])
    with pytest.raises(EvenframeError, match="several windows"):
        invert(model, FRAMES, prompt, steps=3, windowing=Windowing(2, 2))

    def stop(*_: Any) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        invert(model, FRAMES[:1], prompt, steps=3, keyframes="own", on_step=stop)
    again = invert(model, FRAMES, prompt, steps=3, keyframes="own")
    assert torch.equal(again.trajectory, inversion.trajectory), "a hint of before was kept"
    assert edit(model, again, native.TARGET, controls=[refocus(SIZE)]).isfinite().all()


def prompts_may_be_of_two_lengths(model: Model) -> None:
    """The host repeats the shorter one beside the longer: controls see it once."""
    inversion, negative = native.noise(model, SIZE), model.text.encode("blurry")
    doubled = negative.states["tokens"].repeat(2, 1)
    twice = replace(negative, states={"tokens": doubled})
    for name, controls in native.controls(size=SIZE).items():
        if name not in ("RAD, one step", "IRJS"):
            given = {"controls": controls if name != "FAME" else controls[1:], "guidance_scale": 3}
            one, two = (
                edit(model, inversion, native.TARGET, negative=each, **given)
                for each in (negative, twice)
            )
            assert close(two, one), name


def a_hook_follows_its_schedule_upwards(model: Model) -> None:
    def inverted(*strengths: tuple[float, float]) -> torch.Tensor:
        prompt = hooked(model.text.encode(native.SOURCE), *strengths)
        return invert(model, FRAMES, prompt, steps=4).trajectory

    on, off = inverted((0, 1)), inverted((0, 0))
    late, early = inverted((0, 0), (0.5, 1)), inverted((0, 1), (0.5, 0))
    # The first steps of an inversion are the last of a run.
    assert close(late[1], on[1]) and close(early[1], off[1])
    assert not close(late[-1], on[-1]) and not close(early[-1], off[-1])


def hooked(prompt: Conditioning, *strengths: tuple[float, float]) -> Conditioning:
    """A prompt with a LoRA of these strengths, each from a share of the run on."""
    import comfy.hooks

    group = comfy.hooks.create_hook_lora(host_models.lora(), 1.0, 0.0)
    frames = comfy.hooks.HookKeyframeGroup()
    for start, strength in strengths:
        frames.add(comfy.hooks.HookKeyframe(strength=strength, start_percent=start))
    group.set_keyframes_on_hooks(frames)
    return replace(prompt, host=[[None, {"hooks": group}]])


def a_fingerprint_does_not_depend_on_what_is_loaded(model: Model) -> None:
    from evenframe.nodes.host.native.fingerprint import of_patchers

    patched: Any = host_models.with_lora(model).denoiser
    plain: Any = model.denoiser
    before = of_patchers(plain.patcher), of_patchers(patched.patcher)
    edit(replace(model, denoiser=patched), native.noise(model, SIZE), native.TARGET)
    assert (of_patchers(plain.patcher), of_patchers(patched.patcher)) == before


def quantised_weights_have_a_gradient(model: Model) -> None:
    from comfy.quant_ops import QuantizedTensor

    network: Any = model.denoiser.module.diffusion_model
    layer = next(m for name, m in network.named_modules() if name.endswith("attn1.to_q"))
    packed = QuantizedTensor.from_float(layer.weight.detach().clone(), "TensorCoreFP8E4M3Layout")
    layer.weight = torch.nn.Parameter(packed, requires_grad=False)
    inversion = native.noise(model, SIZE)
    assert edit(model, inversion, native.TARGET, controls=[refocus(SIZE)]).isfinite().all()


def main() -> None:
    assert not host_models.find()
    with torch.inference_mode():
        model = host_models.sd()
        steered = host_models.with_controlnet(model, SIZE, len(FRAMES))
        the_controlnet_of_one_prompt_is_its_own(model, steered)
        every_frame_has_its_own_hint(model, steered)
        prompts_may_be_of_two_lengths(model)
        a_hook_follows_its_schedule_upwards(model)
        a_fingerprint_does_not_depend_on_what_is_loaded(model)
        quantised_weights_have_a_gradient(model)


if __name__ == "__main__":
    main()
