"""Run by test_native.py in a process of its own, together with native_families.py: conditions that
have something for each frame, in windows. It ends with an AssertionError where a window gets
another's."""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import native_families
import pytest
import torch
from native_families import adopted, built
from native_manners import Stopped

from evenframe.benchmarks import host_models, native
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.window import Windowing
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.source.inspection import seen
from evenframe.pipelines.source.inversion import Inversion, invert
from evenframe.pipelines.source.reconstruction import checked
from evenframe.pipelines.text.conditioning import Conditioning

SIZE, LATENT, FRAMES = (64, 64), (8, 8), 5
SPAN, STRIDE = 4, 1
"""Of the windows, in latent frames."""
RANDOM = torch.Generator().manual_seed(5)
FRAMED = {"concat_latent_image", "concat_mask", "mask"}
"""What of the conditioning has a frame for each of the clip's, beside hints."""
LEFT = ("cond_hint", "extra_concat", "timestep_range", "model_sampling_current", "control_input")


def rand(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=RANDOM)


@dataclass
class Slow:
    """A denoiser that makes the model ready anew for each pass over a window, with prompts whose
    parts for each frame are cut by hand."""

    model: Model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model.denoiser, name)

    def predict(
        self, latents: torch.Tensor, level: Any, branches: Mapping[str, Conditioning], *others: Any
    ) -> Any:
        own = {name: by_hand(prompt) for name, prompt in branches.items()}
        work = partial(asked, latents=latents, level=level, branches=own, others=others)
        return self.model.run(own, latents, work)


def asked(held: Model, latents: Any, level: Any, branches: Any, others: Any) -> Any:
    return held.denoiser.predict(latents, level, branches, *others)


def by_hand(prompt: Conditioning) -> Conditioning:
    """A prompt of a window as if the clip had no other frames."""
    at = [*(prompt.window or ())]
    host = prompt.host and [
        [states, {name: cut(name, value, at) for name, value in more.items()}]
        for states, more in prompt.host
    ]
    return replace(prompt, host=host, window=None, length=0)


def cut(name: str, value: Any, at: list[int]) -> Any:
    if name == "control":
        hint = value.cond_hint_original
        own = value.copy().set_cond_hint(
            hint if len(hint) == 1 else hint[at], value.strength, value.timestep_percent_range
        )
        before = value.previous_controlnet
        return own.set_previous_controlnet(before and cut(name, before, at))
    if name in ("vace_frames", "vace_mask"):
        return [each[:, :, at] for each in value]
    return value[at] if name in FRAMED else value


def chained(hints: Iterable[torch.Tensor], *controls: Any) -> Any:
    """ControlNets one behind the other, each with a hint."""
    last = None
    for control, hint in zip(controls, hints, strict=True):
        last = control.copy().set_cond_hint(hint, 0.5, (0.0, 1.0)).set_previous_controlnet(last)
    return last


def adapter() -> Any:
    from comfy.controlnet import T2IAdapter
    from comfy.t2i_adapter.adapter import Adapter_light

    network = Adapter_light(channels=[32, 64, 64], nums_rb=1, cin=192)
    host_models._randomise(network)
    return T2IAdapter(network, 3, 4, "nearest-exact", torch.device("cpu"))


def same_as_by_hand(model: Model, source: Conditioning, target: Conditioning) -> Inversion:
    """An inversion and an edit in two windows, which overlap."""
    given: dict[str, Any] = {"steps": 2, "keyframes": "own", "windowing": Windowing(SPAN, STRIDE)}
    slow = replace(model, denoiser=Slow(model), session=None)  # type: ignore[arg-type]
    clip = rand(FRAMES if model.codec.time_stride == 1 else 4 * FRAMES - 3, *SIZE, 3)
    if model.codec.time_stride > 1:
        given["windowing"] = Windowing(4 * SPAN - 3, 4 * STRIDE)
    ours, theirs = (invert(each, clip, source, **given) for each in (model, slow))
    assert len(ours.windows) == 2
    assert native.rel_error(ours.trajectory, theirs.trajectory) < 1e-6
    results = [
        edit(each, inversion, target, controls=[Fusion()], negative="blurry")
        for each, inversion in ((model, ours), (slow, theirs))
    ]
    assert native.rel_error(*results) < 1e-6
    without = edit(model, ours, replace(target, host=None), controls=[Fusion()], negative="blurry")
    assert native.rel_error(without, results[0]) > 1e-4, "it does nothing"
    return ours


def controlnets(model: Model) -> None:
    """Hints of a window's frames, through a chain, of one frame for all, and of an adapter."""
    steered = host_models.with_controlnet(model, SIZE, FRAMES)
    base: Any = steered.text.encode(native.SOURCE).host[0][1]["control"]
    first, second = rand(FRAMES, 3, *SIZE), rand(1, 3, *SIZE)
    third = rand(FRAMES, 3, *SIZE)
    for control in (
        chained([third, second, first], adapter(), base, base),
        chained([third], adapter()),
    ):
        more = {"control": control, "control_apply_to_uncond": True}
        source, target = (model.text.encode(text) for text in (native.SOURCE, native.TARGET))
        target = replace(target, host=[[None, more]])
        before = facts(control)
        inversion = same_as_by_hand(model, source, target)
        assert facts(control) == before, "something was left on a ControlNet"

        def stop(*_: Any) -> None:
            raise Stopped

        with pytest.raises(Stopped):
            edit(model, inversion, target, on_step=stop)
        assert facts(control) == before, "an interrupt left something on a ControlNet"
    same_as_by_hand(model, replace(source, host=[[None, more]]), target)


def facts(control: Any) -> list[Any]:
    """What could be left on a chain of ControlNets."""
    if control is None:
        return []
    held = [getattr(control, name, None) for name in LEFT]
    assert held == [None] * len(LEFT), held
    return [id(control), id(control.cond_hint_original), *facts(control.previous_controlnet)]


def pictures(model: Model) -> None:
    """Of inpainting models, the picture and the mask of each frame; areas and masks of any."""
    layout = dict(model.denoiser.patcher.model.model_config.unet_config)  # type: ignore[attr-defined]
    inpainting = adopted(built("SD15", layout | {"in_channels": 9}))
    inpainting.denoiser.patcher.model.concat_keys = ("mask", "masked_image")  # type: ignore[attr-defined]
    more = {"concat_latent_image": rand(FRAMES, 4, *LATENT)}
    more["concat_mask"] = rand(FRAMES, 1, *LATENT).round()
    masked = {"mask": rand(FRAMES, *LATENT), "strength": 0.7}
    for each, given in ((inpainting, more), (model, masked)):
        source, target = (each.text.encode(text) for text in (native.SOURCE, native.TARGET))
        entries = [[target.states["tokens"][None], given], [source.states["tokens"][None], {}]]
        target = replace(target, host=entries if given is masked else entries[:1])
        same_as_by_hand(each, source, target)


def videos() -> None:
    """Of VACE, the control video's frames; and of an area over frames what lies in the window."""
    from evenframe.nodes.host.native.windows import _area, require_prompts

    layout = dict(host_models.wan().denoiser.patcher.model.model_config.unet_config)  # type: ignore[attr-defined]
    layout |= {"model_type": "vace", "vace_layers": 1, "vace_in_dim": 96, "num_layers": 2}
    model = adopted(built("WAN21_Vace", layout))
    source, target = (model.text.encode(text) for text in (native.SOURCE, native.TARGET))
    more = {"vace_frames": [rand(1, 32, FRAMES, *LATENT)], "vace_strength": [1.0]}
    more["vace_mask"] = [rand(1, 64, FRAMES, *LATENT)]
    source, target = (replace(each, host=[[None, more]]) for each in (source, target))
    same_as_by_hand(model, source, target)
    assert _area((2, 4, 4, 1, 0, 0), range(2, 6)) == {"area": (1, 4, 4, 0, 0, 0)}
    assert _area((4, 4, 4, 3, 0, 2), range(2, 6)) == {"area": (3, 4, 4, 1, 0, 2)}
    assert _area((2, 4, 4, 0, 0, 0), range(2, 6)) is None
    assert _area((4, 4, 0, 0), range(2, 6)) == {} == _area(None, range(2, 6))
    entries = [{"area": (2, 4, 4, at, 0, 0)} for at in (0, 2)]
    require_prompts({"target": entries, "negative": [{}], "source": []}, (1, 16, 4, 8, 8), ())
    with pytest.raises(EvenframeError, match="No target prompt reaches latent frame 3 of 5"):
        require_prompts({"negative": [{}], "target": entries[:1]}, (1, 16, 5, 8, 8), ())


def looked_at_and_rebuilt(model: Model) -> None:
    steered = host_models.with_controlnet(model, SIZE, FRAMES)
    prompt = steered.text.encode(native.SOURCE)
    clip, windows = rand(FRAMES, *SIZE, 3), Windowing(SPAN, STRIDE)
    inversion = invert(model, clip, prompt, steps=2, windowing=windows)
    assert checked(model, inversion).rebuilt is not None
    assert len(seen(model, inversion, ["circle"]).maps) == FRAMES


def main() -> None:
    native_families.main()
    with torch.inference_mode():
        model = host_models.sd()
        controlnets(model)
        pictures(model)
        videos()
        looked_at_and_rebuilt(model)


if __name__ == "__main__":
    main()
