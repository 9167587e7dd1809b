"""How an inversion finds its steps: "uni-inv" against a slow reference, and what it gains."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from evenframe.benchmarks.models import with_predict
from evenframe.miniature.demo import demo_clip
from evenframe.pipelines.common import tensor_file
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.memory import free_memory
from evenframe.pipelines.common.window import WHOLE_CLIP, Windowing
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.families import load
from evenframe.pipelines.models.flow_schedule import FlowSchedule
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.models.noise_schedule import NoiseSchedule
from evenframe.pipelines.models.schedule import KINDS, Level, Schedule, ahead
from evenframe.pipelines.source import file
from evenframe.pipelines.source.inversion import Inversion, Settings, invert
from evenframe.pipelines.source.keeper import Keeper, SourcePass
from evenframe.pipelines.source.reconstruction import reconstruct
from evenframe.pipelines.source.store import kept_sites
from evenframe.pipelines.walk import StepReport, walk

SOURCE, TARGET = "a silver jeep driving down a road", "a red jeep driving down a road"
STEPS = 4


def schedule_of(kind: str) -> Schedule:
    alphas = torch.linspace(0.999, 0.01, 1000, dtype=torch.float64)
    return FlowSchedule(3.0) if kind == "flow" else NoiseSchedule(alphas, kind)  # type: ignore[arg-type]


def signs(z: Tensor, level: Level) -> Tensor:
    """The clean latents that are expected where all are 1 or -1."""
    return torch.tanh(level.signal * z / level.noise**2)


def normal(z: Tensor, level: Level) -> Tensor:
    """Those where all are normal, of the deviation 0.3."""
    return 0.09 * level.signal * z / (0.09 * level.signal**2 + level.noise**2)


def said(z: Tensor, level: Level, kind: str, expected: Callable[..., Tensor] = signs) -> Tensor:
    """What a model of a kind says that knows the answer."""
    a, s, clean = level.signal, level.noise, expected(z, level)
    noise = (z - a * clean) / s
    return {"epsilon": noise, "v": a * noise - s * clean, "flow": noise - clean, "clean": clean}[
        kind
    ]


def made_of(z: Tensor, out: Tensor, level: Level, kind: str) -> tuple[Tensor, Tensor]:
    """(clean latents, noise), with each kind's own formula."""
    a, s = level.signal, level.noise
    if kind == "epsilon":
        return (z - s * out) / a, out
    if kind == "clean":
        return out, (z - a * out) / s
    return (a * z - s * out, s * z + a * out) if kind == "v" else (z - s * out, z + (1 - s) * out)


def corrected(z: Tensor, out: Tensor, here: Level, there: Level, kind: str) -> Tensor:
    """Where a step down along the output at `there` arrives at z, with each kind's own formula."""
    a, s, b, t = here.signal, here.noise, there.signal, there.noise
    if kind == "epsilon":
        return b * (z - s * out) / a + t * out
    if kind == "clean":
        return t * (z - a * out) / s + b * out
    if kind == "v":
        return (z + (a * t - s * b) * out) / (a * b + s * t)
    return z + (t - s) * out


def by_hand(z: Tensor, levels: list[Level], kind: str) -> list[Tensor]:
    """The latents of all levels, one prediction and one correction after the other."""
    trajectory, out = [z], None
    for here, there in pairwise(levels):
        z = guess = trajectory[-1]
        if out is not None:
            clean, noise = made_of(z, out, here, kind)
            guess = there.signal * clean + there.noise * noise
        out = said(guess, there, kind)
        trajectory.append(corrected(z, out, here, there, kind))
    return trajectory


def exact(model: Model, kind: str, expected: Callable[..., Tensor] = signs) -> Model:
    """One of a kind that knows the answer."""

    def predict(z: Tensor, level: Level, branches, *_) -> dict[str, Tensor]:
        return dict.fromkeys(branches, said(z, level, kind, expected))

    return replace(with_predict(model, predict), schedule=schedule_of(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_it_predicts_and_corrects_whatever_the_model_says(model: Model, kind: str):
    known, prompt = exact(model, kind), model.text.encode(SOURCE)
    levels = [known.schedule.at(time) for time in reversed(known.schedule.times(7))]
    if kind == "clean":  # says nothing of noise that is not there
        levels = levels[1:]
    start = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(1)).double()
    found, keeper = [start], Keeper(known, "recompute", 7, 1, free_memory)

    def note(report: StepReport) -> None:
        found.append(report.latents)

    for predicts in (False, True):
        source = SourcePass(range(2), prompt, None, keeper, predicts)
        walk(known, levels, start, [source], stage="inversion", on_step=note)
    plain, found = found[1 : len(levels)], [start, *found[len(levels) :]]
    wanted = by_hand(start, levels, kind)
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-9)
    assert torch.equal(plain[0], found[1]) and not torch.allclose(plain[1], found[2], atol=1e-3)


def test_two_levels_that_are_one_show_no_way():
    z, level = torch.ones(1), Level(1, 0.8, 0.6)
    assert torch.equal(ahead(z, level, 2 * z, Level(0, 0.8, 0.6), Level(2, 0.6, 0.8)), z)


@pytest.mark.parametrize("kind", ["epsilon", "v", "flow"])
def test_the_error_falls_with_the_square_of_the_steps(model: Model, clip: Tensor, kind: str):
    """By four where there are twice as many, with "ddim" by two."""
    known = exact(model, kind, normal)

    def error(steps: int, solver: str) -> float:
        inversion = invert(known, clip[:1], SOURCE, steps=steps, store="recompute", solver=solver)
        clean = inversion.trajectory[0]
        return float((reconstruct(known, inversion) - clean).norm() / clean.norm())

    plain, better = ([error(n, solver) for n in (100, 200)] for solver in ("ddim", "uni-inv"))
    assert (
        1.6 < plain[0] / plain[1] < 2.6 and better[0] / better[1] > 3 and better[1] < plain[1] / 4
    )


def asking(model: Model, asked: list[tuple[float, Tensor]]) -> Model:
    """The model, which notes what it is asked."""

    def predict(latents: Tensor, level: Level, *args) -> dict[str, Tensor]:
        asked.append((level.time, latents))
        return model.denoiser.predict(latents, level, *args)

    return with_predict(model, predict)


@pytest.mark.parametrize("windowing", [WHOLE_CLIP, Windowing(2, 1)])
def test_the_source_is_asked_again_about_the_very_same(model: Model, clip: Tensor, windowing):
    """One question a step and window; to the bit the same ones when its attention is computed."""
    first, second = [], []
    given = {"steps": STEPS, "store": "recompute", "solver": "uni-inv", "windowing": windowing}
    inversion = invert(asking(model, first), clip, SOURCE, **given)
    windows, sites = inversion.windows, kept_sites(model.denoiser.sites, model.denoiser.layout)
    for step in reversed(range(STEPS)):
        for window in windows:
            inversion.part(window).source_attention(asking(model, second)).at(step, sites)
    assert len(first) == STEPS * len(windows)
    for (time, latents), (again, others) in zip(first, second, strict=True):
        assert time == again and torch.equal(latents, others)
    assert not torch.equal(first[-1][1], inversion.trajectory[-2][windows[-1].start :])


def test_kept_and_computed_attention_give_the_same_bytes(model: Model, clip: Tensor):
    kept = invert(model, clip, SOURCE, steps=STEPS, store="resident", solver="uni-inv")
    again = replace(kept, records=())
    one, other = (
        edit(model, each, TARGET, controls=[Fusion(blend_words=("jeep",))])
        for each in (kept, again)
    )
    assert kept.records and torch.equal(one, other)
    plain = invert(model, clip, SOURCE, steps=STEPS, store="resident")
    assert not torch.allclose(plain.trajectory[-1], kept.trajectory[-1], atol=1e-3)


def test_the_built_in_model_comes_closer_to_its_clip():
    frames, source, _, _ = demo_clip(1)
    model = load("miniature")

    def error(solver: str) -> float:
        clip = torch.from_numpy(frames)
        inversion = invert(model, clip, source, steps=8, store="recompute", solver=solver)
        return float((reconstruct(model, inversion) - inversion.trajectory[0]).norm())

    assert error("uni-inv") < error("ddim") / 2


def test_files_say_it_and_older_ones_are_of_ddim(model: Model, clip: Tensor, tmp_path: Path):
    inversion = invert(model, clip[:1], SOURCE, steps=2, solver="uni-inv")
    path = file.save(inversion, tmp_path / "a.safetensors")
    assert file.load(path).solver == "uni-inv"
    text, tensors = tensor_file.read(path, file.FORMAT)

    def loaded(name: str, header: dict[str, object]) -> Inversion:
        path = tmp_path / f"{name}.safetensors"
        tensor_file.write(path, file.FORMAT, json.dumps(header), tensors, "inversion")
        return file.load(path)

    header = json.loads(text)
    with pytest.raises(EvenframeError, match="solver 'heun' is unknown: use ddim, uni-inv"):
        loaded("wrong", header | {"solver": "heun"})
    del header["solver"]
    assert loaded("old", header).solver == "ddim"


def test_solvers_that_are_not_there_or_have_nothing_to_solve_are_refused():
    with pytest.raises(EvenframeError, match="^solver 'heun' is unknown: use ddim, uni-inv"):
        Settings(solver="heun")
    with pytest.raises(EvenframeError, match=r"^The solver is 'uni-inv', but where nothing is inv"):
        Settings(noise_seed=1, solver="uni-inv")
