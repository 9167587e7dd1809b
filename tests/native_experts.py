"""Run by test_native.py in a process of its own: a model of two experts, for high and low noise.

Not a test itself: it ends with an AssertionError where one of them is asked in the other's place.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from native_manners import Stopped, state

from evenframe.benchmarks import host_models, native
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.window import Windowing
from evenframe.pipelines.controls.base import Control
from evenframe.pipelines.controls.fame.self_modulator import SelfModulator
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.models.schedule import Level
from evenframe.pipelines.source.inspection import Chosen, look
from evenframe.pipelines.source.inversion import Inversion, Settings, invert_clip
from evenframe.pipelines.source.reconstruction import reconstruct
from evenframe.pipelines.source.words_seen import look_around
from evenframe.pipelines.walk import StepReport

FRAMES, SIZE, STEPS, SWITCH = 5, (64, 64), 4, 0.92
"""Two steps are above the switch, two below: the shift of Wan 2.1 is 8."""


@dataclass(frozen=True, eq=False)
class AskedEach:
    """A `Denoiser` that has a session for every single question, with the expert of its level."""

    high: Model
    low: Model

    def predict(self, latents: Any, level: Level, branches: Any, *args: Any) -> Any:
        expert = self.high if level.noise >= SWITCH else self.low
        return expert.run(
            branches,
            latents,
            lambda ready: ready.denoiser.predict(latents, level, branches, *args),
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.high.denoiser, name)


def joined(high: Model, low: Any, switch_at: float = SWITCH) -> Model:
    from evenframe.nodes.host.native.experts import with_low_noise

    return with_low_noise(high, low.denoiser.patcher, switch_at)


def slowly(both: Model) -> Model:
    """The same as plainly as can be."""
    low = both.low_noise
    assert low is not None
    asked: Any = AskedEach(replace(both, low_noise=None), low)
    return replace(both, denoiser=asked, session=None, low_noise=None)


def main() -> None:
    assert not host_models.find()
    with torch.inference_mode():
        one, other = small(0), small(1)
        both = joined(one, other)
        the_level_decides(both)
        equal_ones(one, small(0))
        different_ones(both)
        in_turn(both)
        interrupted(both)
        told_apart(one, other, both)
        refused(one)


def small(seed: int, **layout: int) -> Model:
    return host_models.wan(**{"layers": 2, "heads": 1, "seed": seed} | layout)


def inverted(model: Model, **settings: Any) -> Inversion:
    frames = torch.rand(FRAMES, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    given = Settings(**{"steps": STEPS, "store": "recompute"} | settings)
    return invert_clip(model, frames, model.text.encode(native.SOURCE), given)


def edits() -> dict[str, Sequence[Control]]:
    chains = native.controls(FRAMES, SIZE)
    [rad] = chains.pop("RAD, one step")
    assert isinstance(rad, Refocus)
    words = SelfModulator(subject=("circle",))
    return {**chains, "RAD, boost": [replace(rad, guide_by="boost")], "FAME, words": [words]}


def the_level_decides(both: Model) -> None:
    """The level of the switch itself belongs to the expert of high noise."""
    for noise, expert in ((1.0, both), (SWITCH, both), (SWITCH - 1e-3, both.low_noise)):
        assert both.expert(Level(noise * 1000, 1 - noise, noise)) is expert
    sums = 0.6 + 0.1 + 0.175  # 0.8749999999999999
    assert replace(both, switch_at=0.875).expert(Level(875, 1 - sums, sums)).switch_at == 0.875


def equal_ones(one: Model, same: Model) -> None:
    """Two experts of equal weights are one model, to the bit, with the gradient of RAD, too."""
    both = joined(one, same)
    first, second = inverted(one), inverted(both)
    assert equal(first.trajectory, second.trajectory)
    [rad] = native.controls(FRAMES, SIZE)["RAD, one step"]
    assert isinstance(rad, Refocus)
    gradient = [replace(rad, guide_by="gradient", steps=replace(rad.steps, end=1.0))]
    for name, controls in {**edits(), "RAD, gradient": gradient}.items():
        given = {"controls": controls, "eta": 0.5, "seed": 3}
        a, b = (edit(*each, native.TARGET, **given) for each in ((one, first), (both, second)))
        assert equal(a, b), name


def different_ones(both: Model) -> None:
    """Everything that asks the model asks the expert of the level, and no control notices."""
    plain, chains, windows = slowly(both), edits(), {"windowing": Windowing(3, 2)}
    for settings in ({}, {"store": "resident"}, {"noise_seed": 1}, {"solver": "uni-inv"}, windows):
        made, expected = inverted(both, **settings), inverted(plain, **settings)
        assert equal(made.trajectory, expected.trajectory), settings
        for name, controls in chains.items():
            found, wanted = (
                edit(model, made, native.TARGET, controls=controls) for model in (both, plain)
            )
            assert equal(found, wanted), (settings, name)
        assert equal(reconstruct(both, made), reconstruct(plain, made)), settings
        for at in (0.0, 1.0):
            seen = (look(model, made, ["circle"], at).maps for model in (both, plain))
            assert equal(*seen), (settings, at)
        assert equal(*(words(model, made) for model in (both, plain))), settings
        chains = {"fusion with masks": chains["fusion with masks"]}
    alone = replace(both, low_noise=None)
    assert not equal(edit(alone, made, native.TARGET), edit(both, made, native.TARGET))


def words(model: Model, inversion: Inversion) -> torch.Tensor:
    """Where all words of the source prompt are looked at, at every step."""
    chosen = Chosen(("circle",), 0.5, 0.3)
    _, found = look_around(model, inversion, chosen, STEPS, lambda: None)
    assert found is not None and len(found.steps) == STEPS
    return found.maps


def equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """To the bit: the same is computed, in the same order."""
    return torch.equal(one, other)


@contextmanager
def watched() -> Iterator[list[Any]]:
    """The patchers whose sessions are opened meanwhile, in turn; never two at once."""
    from evenframe.nodes.host.native import model, session

    opened: list[Any] = []
    here: list[Any] = []
    whole = session.in_guider

    def counted(patcher: Any, *args: Any, **more: Any) -> Any:
        assert not here, "two sessions are open at once"
        here.append(patcher)
        opened.append(patcher)
        try:
            return whole(patcher, *args, **more)
        finally:
            here.clear()

    model.in_guider = session.in_guider = counted  # type: ignore[assignment]
    try:
        yield opened
    finally:
        model.in_guider = session.in_guider = whole


def in_turn(both: Model) -> None:
    """Two sessions a walk, upwards from the expert of low noise; steps are counted through."""
    high, low = (each.denoiser.patcher for each in (both, both.low_noise))  # type: ignore[union-attr]
    with watched() as opened:
        made = inverted(both)
    assert opened == [low, high]
    reports: list[StepReport] = []
    with watched() as opened:
        edit(both, made, native.TARGET, controls=[Fusion()], on_step=reports.append)
    assert opened == [high, low]
    assert [(report.done, report.total) for report in reports] == [
        (done, STEPS) for done in range(1, STEPS + 1)
    ]
    for start, expected in ((3, [low]), (1, [high, low])):
        with watched() as opened:
            edit(both, made, native.TARGET, start_step=start)
        assert opened == expected
    with watched() as opened:
        words(both, made)
    assert opened == [high, low]
    with watched() as opened:
        edit(replace(both, low_noise=None), made, native.TARGET)
    assert opened == [high]


def interrupted(both: Model) -> None:
    """In either half, nothing is left behind, and the next edit is as if nothing had been."""
    made = inverted(both)
    experts: tuple[Any, Any] = both, both.low_noise
    plain = edit(both, made, native.TARGET, controls=[Fusion()])
    for last in (1, STEPS - 1):

        def stop(report: StepReport, last: int = last) -> None:
            if report.done == last:
                raise Stopped

        before = [state(each) for each in experts]
        with pytest.raises(Stopped):
            edit(both, made, native.TARGET, controls=[Fusion()], on_step=stop)
        assert [state(each) for each in experts] == before, "something was left behind"
        assert torch.equal(edit(both, made, native.TARGET, controls=[Fusion()]), plain)


def told_apart(one: Model, other: Model, both: Model) -> None:
    """Another expert, a patch on it, or another switch: an inversion is refused."""
    patched: Any = other.denoiser
    clone = patched.patcher.clone()
    name = "diffusion_model.blocks.0.cross_attn.v.weight"
    clone.add_patches({name: (torch.ones_like(clone.model.state_dict()[name]),)})
    lora = replace(other, denoiser=replace(patched, patcher=clone))
    others = [joined(one, small(2)), joined(one, lora), joined(one, other, 0.9), one]
    prints = {each.fingerprint for each in [both, *others]}
    assert len(prints) == 5 and joined(one, other).fingerprint in prints
    made = inverted(both)
    for each in others:
        with pytest.raises(EvenframeError, match="inversion was made with another model"):
            edit(each, made, native.TARGET)


def refused(one: Model) -> None:
    """What are no experts of one model; told before either is asked."""
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    def beginning(low: Any, text: str) -> None:
        with watched() as opened, pytest.raises(EvenframeError) as error:
            joined(one, low)
        assert str(error.value).startswith(text), error.value
        assert not opened

    model: Any = one.denoiser
    shifted = ModelSamplingSD3().patch(model.patcher, 5.0)[0]
    beginning(
        replace(one, denoiser=replace(model, patcher=shifted)),
        "The two experts differ in their noise levels (flow, shift 8.0, scale 1000.0 of model, "
        "flow, shift 5.0, scale 1000.0 of low_noise_model): put the same ModelSamplingSD3 on both",
    )
    beginning(
        host_models.sd(),
        "The two experts differ in their kind (WAN21_T2V of model, SD15 of low_noise_model): "
        "connect both experts of one model",
    )
    with pytest.raises(EvenframeError, match=r"attention layers \(4 of model, 6 of low_noise_mod"):
        joined(one, small(0, layers=3))


if __name__ == "__main__":
    main()
