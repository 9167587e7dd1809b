"""Run by test_native.py in a process of its own: prompts that carry more than words in ComfyUI's
own models, and weights in other forms. It ends with an AssertionError where something is wrong."""

# pyright: reportMissingImports=false

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from native_manners import Stopped, refocus

from evenframe.benchmarks import host_models, native
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.editing import edit
from evenframe.pipelines.fairness.encoder import Wish, encode_fair
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


def added_words_keep_the_controlnet(model: Model, steered: Model) -> None:
    """An attribute's own words come into a prompt that has more than words."""
    given = {"strength": 1, "eos_scope": "first+padding", "mask": "soft", "explicit": True}
    made = encode_fair(model, steered.text.encode(native.TARGET), [Wish("tall", "circle")], **given)
    assert made.record.fair == "a yellow tall circle on a gray background"
    assert len(made.prompt.tokens.words) == 8
    inversion, states = native.noise(model, SIZE), {"tokens": made.prompt.states["tokens"]}
    there, bare = (
        replace(each.text.encode(made.record.fair), states=states) for each in (steered, model)
    )
    with_hint, expected, without = (
        edit(model, inversion, each, controls=[Fusion("reweight", weights=(("tall", 2.0),))])
        for each in (made.prompt, there, bare)
    )
    assert close(with_hint, expected) and not close(with_hint, without)


def every_frame_has_its_own_hint(model: Model, steered: Model) -> None:
    prompt = steered.text.encode(native.SOURCE)
    inversion = invert(model, FRAMES, prompt, steps=3, keyframes="own")
    rebuilt = checked(model, inversion).rebuilt
    assert rebuilt is not None and close(rebuilt[0], reconstruct(model, inversion)[1])

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


def every_entry_with_the_words_is_one(model: Model) -> None:
    """In another area or stretch of a schedule; others stay as they are, which is said."""
    from evenframe.nodes.host.native.prompts import OTHERS, STRETCHES, bearing, notes_of
    from evenframe.nodes.host.native.prompts import conditioning_of as conditioned

    prompt, other = (model.text.encode(text) for text in (native.TARGET, native.SOURCE))
    own, theirs = (each.states["tokens"][None] for each in (prompt, other))
    entries = [[own, {}], [theirs, {}], [own.clone(), {"strength": 0.5}]]
    assert bearing(entries) == [0, 2] and notes_of(entries) == (OTHERS,)
    blended = replace(prompt, host=entries, states={"tokens": own[0] + 1})
    states = [states for states, _ in conditioned(blended)]
    assert all(torch.equal(states[at], own + 1) for at in (0, 2)) and states[1] is theirs
    moved = {"clip_start_percent": 0.0, "clip_end_percent": 0.5}
    later = {"clip_start_percent": 0.5, "clip_end_percent": 1.0}
    scheduled = [[own, moved], [own + 0.1, later], [theirs, moved]]
    assert bearing(scheduled) == [0, 1] and notes_of(scheduled) == (OTHERS, STRETCHES)
    assert notes_of(entries[::2]) == () == notes_of(entries[:1])
    inversion, target = native.noise(model, SIZE), replace(prompt, host=scheduled[:2])
    half = inversion.steps // 2
    two, four = (
        edit(model, inversion, target, controls=[weighted], start_step=half)
        for weighted in (Fusion("reweight", weights=(("yellow", by),)) for by in (2.0, 4.0))
    )
    assert not close(four, two), "controls end with the first stretch"


def the_entry_of_a_text_leads(model: Model) -> None:
    """Of combined conditioning, words are those of the entry that has been made of the text."""
    from comfy.sd1_clip import SD1Tokenizer

    from evenframe.nodes.host.native.prompts import OTHERS
    from evenframe.nodes.host.native.text import HostText

    def encoded(tokens: Any) -> Any:
        return [[torch.tensor(tokens["l"])[..., :1].repeat(1, 1, 64), {}]]

    tokenizer = SD1Tokenizer()
    clip = SimpleNamespace(
        tokenize=tokenizer.tokenize_with_weights, encode_from_tokens_scheduled=encoded
    )
    first, second = (encoded(clip.tokenize(text)) for text in ("a dog", "a red cat"))
    for combined in (first + second, second + first):
        prompt = HostText("", clip).wrapped("a red cat", combined)
        assert torch.equal(prompt.states["tokens"][None], second[0][0])
        assert prompt.notes == (OTHERS,) and len(prompt.host) == 2


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
        added_words_keep_the_controlnet(model, steered)
        every_frame_has_its_own_hint(model, steered)
        prompts_may_be_of_two_lengths(model)
        a_hook_follows_its_schedule_upwards(model)
        every_entry_with_the_words_is_one(model)
        the_entry_of_a_text_leads(model)
        a_fingerprint_does_not_depend_on_what_is_loaded(model)
        quantised_weights_have_a_gradient(model)


if __name__ == "__main__":
    main()
