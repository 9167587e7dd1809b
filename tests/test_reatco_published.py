"""ReAtCo in the order of its published code, against a slow program that follows that order."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_model import tiny
from torch import Tensor

from evenframe.pipelines.attention.terms import Call, Terms
from evenframe.pipelines.controls.reatco import refinement
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.reatco.presets import PUBLISHED
from evenframe.pipelines.controls.reatco.refinement import refined
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.inversion import Inversion, invert
from evenframe.pipelines.walk import StepReport

TARGET = "a jellyfish and a goldfish in the ocean"
WORDS = {"jellyfish": 2, "goldfish": 5}  # their tokens
SIZE, STEPS, FRAMES, SCALE = (64, 128), 4, 4, 3.0
BOXES = {"jellyfish": (0, 0, 96, 64), "goldfish": (64, 0, 128, 32)}  # they overlap
MOVES = 2


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny(native=512)


@pytest.fixture(scope="module")
def regions() -> Regions:
    items = [box_region([box] * FRAMES, SIZE, name=w, words=w) for w, box in BOXES.items()]
    return Regions(tuple(items), FRAMES, SIZE)


@pytest.fixture(scope="module")
def inversion(model, clip) -> Inversion:
    frames = torch.cat([clip, clip[:1]])
    return invert(model, frames, "", steps=STEPS, keyframes="first, -1", layers="all")


class Slowly:
    """The published order: whole passes, whole maps, a loop over frames and words."""

    def __init__(self, model: Model, inversion: Inversion):
        self.model, self.inversion = model, inversion
        self.prompts = {"negative": model.text.encode(""), "target": model.text.encode(TARGET)}
        self.levels = inversion.levels(model.schedule)
        mask = torch.zeros(FRAMES, 1, SIZE[0] // 8, SIZE[1] // 8)
        for x0, y0, x1, y1 in BOXES.values():
            mask[:, :, y0 // 8 : y1 // 8, x0 // 8 : x1 // 8] = 1
        self.mask = mask

    def predict(self, latents: Tensor, index: int, names: list[str], attend: Any = None) -> Any:
        branches = {name: self.prompts[name] for name in names}
        more = {} if attend is None else {"attend": attend}
        table = self.inversion.keyframe_table()
        return self.model.denoiser.predict(latents, self.levels[index], branches, table, **more)

    def losses(self, latents: Tensor, index: int) -> tuple[list[Tensor], list[Tensor]]:
        """L_IR and L_OR of each word."""
        maps: list[Tensor] = []

        def attend(call: Call, terms: Terms) -> Terms:
            if call.site.kind == "cross" and call.site.stride == 32:
                logits = call.q @ call.k.transpose(-1, -2) / call.q.shape[-1] ** 0.5
                maps.append(logits.softmax(-1).mean(1).unflatten(1, call.grid))
            return terms

        self.predict(latents, index, ["target"], attend)
        sharp = (100 * torch.stack(maps).mean(0)[..., 1:-1]).softmax(-1)  # f h w 75
        inner, outer = [], []
        for word, token in WORDS.items():
            video = smoothed(sharp[..., token - 1])
            box = torch.zeros_like(video)
            x0, y0, x1, y1 = (side // 32 for side in BOXES[word])
            box[:, y0:y1, x0:x1] = 1
            for found, mask in ((inner, box), (outer, 1 - box)):
                tops = []
                for frame, cells in zip(video, mask, strict=True):
                    count = max(1, int(cells.sum() * 0.2))
                    tops.append((frame * cells).flatten().topk(count).values.mean())
                found.append(torch.stack(tops).mean())
        return [1 - one for one in inner], outer

    def moved(self, latents: Tensor, index: int) -> Tensor:
        """After RAD."""
        size = SCALE * torch.linspace(1, 0.5, STEPS)[index].sqrt()
        thresholds = {0: 0.05, 1: 0.5, 2: 0.8}
        x = latents.clone().requires_grad_()
        inner, outer = self.losses(x, index)
        loss, enough = torch.stack(inner + outer).sum(), 1 - thresholds[index]
        if max(inner) > enough:
            for _ in range(MOVES):
                x = x.detach().requires_grad_()
                worst = max(self.losses(x, index)[0])
                x = x - size * torch.autograd.grad(worst, x)[0]
                if worst <= enough:
                    break
            x = x.detach().requires_grad_()
            loss = torch.stack(self.losses(x, index)[0]).sum()
        return (x - size * torch.autograd.grad(loss, x)[0]).detach()

    @torch.no_grad()
    def stepped(self, latents: Tensor, index: int, scale: float) -> Tensor:
        """IRJS, then the prediction and a DDIM step."""
        kept = self.inversion.trajectory[STEPS - index]
        x = latents * self.mask + (1 - self.mask) * kept
        said = self.predict(x, index, ["negative", "target"])
        noise = said["negative"] + scale * (said["target"] - said["negative"])
        here, there = self.levels[index : index + 2]
        clean = (x - here.noise * noise) / here.signal
        return there.signal * clean + there.noise * noise


def smoothed(video: Tensor) -> Tensor:
    """A map (f, h, w) with a 3x3x3 kernel of sigma .5 in the published form, reflected."""
    line = torch.exp(-(torch.tensor([-1.0, 0.0, 1.0]) ** 2))
    kernel = line[:, None, None] * line[:, None] * line
    padded = torch.nn.functional.pad(video[None, None], (1,) * 6, mode="reflect")
    return torch.nn.functional.conv3d(padded, (kernel / kernel.sum())[None, None])[0, 0]


def test_the_first_steps_are_those_of_the_published_order(model, inversion, regions, monkeypatch):
    monkeypatch.setattr(refinement, "MOST", MOVES)
    controls = (
        Refocus(
            regions,
            scale=SCALE,
            refine=True,
            refine_by="worst",
            overlap="both",
            steps=PUBLISHED.steps,
        ),
        JointSampling(regions, place="before"),  # with noise that both can have
    )
    reached: list[Tensor] = []

    def on_step(report: StepReport) -> None:
        reached.append(report.latents)

    edit(model, inversion, TARGET, guidance_scale=5, controls=controls, on_step=on_step)
    slow, latents = Slowly(model, inversion), inversion.trajectory[-1]
    # It grows from step to step, as rounding does in either program alone.
    for index, tolerance in enumerate((1e-5, 1e-4, 2e-3)):
        if index < 2:  # RAD acts in the first half of the steps
            latents = slow.moved(latents, index)
        latents = slow.stepped(latents, index, 5)
        assert float((reached[index] - latents).norm() / latents.norm()) < tolerance


def sequence(worst: list[float]) -> tuple[list[str], Callable[..., Any], Callable[..., Any]]:
    done: list[str] = []

    def evaluate(latents: Tensor, loss: str) -> tuple[float, Tensor]:
        done.append(loss)
        return worst[len([each for each in done if each != "move"]) - 1], torch.ones(1)

    def move(latents: Tensor, gradient: Tensor) -> Tensor:
        done.append("move")
        return latents + 1

    return done, evaluate, move


def test_the_published_rule_looks_before_it_moves():
    done, evaluate, move = sequence([0.9, 0.9, 0.6, 0.4, 0.4])
    latents, _ = refined(torch.zeros(1), 0.5, "worst", evaluate, move)
    assert done == ["all", *["worst", "move"] * 3, "inner"] and float(latents) == 3
    done, evaluate, move = sequence([0.9, 0.6, 0.4])
    latents, _ = refined(torch.zeros(1), 0.5, "all", evaluate, move)
    assert done == ["all", "move", "all", "move", "all"] and float(latents) == 2
    for rule in refinement.RULES:
        done, evaluate, move = sequence([0.5])
        refined(torch.zeros(1), 0.5, rule, evaluate, move)
        assert done == ["all"]


def test_overlapping_regions_count_both(model, inversion, regions):
    plan = model.text.encode(TARGET)
    both, top = (
        edit(model, inversion, plan, controls=[Refocus(regions, scale=SCALE, overlap=overlap)])
        for overlap in ("both", "top")
    )
    assert not torch.equal(both, top)


def test_irjs_before_the_prediction_leaves_rad_what_was_reached(model, inversion, regions):
    """Alone it comes to the same, with the inversion's noise: the clip outside of the regions."""
    first, second = (JointSampling(regions, place=place) for place in ("before", "after"))
    alone = [edit(model, inversion, TARGET, controls=[joint]) for joint in (first, second)]
    assert torch.equal(*alone)
    outside = (Slowly(model, inversion).mask == 0).expand_as(alone[0])
    assert torch.equal(alone[0][outside], inversion.trajectory[0][outside])
    rad = Refocus(regions, scale=SCALE)
    both = [edit(model, inversion, TARGET, controls=[rad, joint]) for joint in (first, second)]
    assert not torch.equal(*both)
    turned = edit(model, inversion, TARGET, controls=[first, rad])
    assert torch.equal(turned, both[0]), "wherever it stands in the chain"
    fresh = [JointSampling(regions, noise="fresh", place=place) for place in ("before", "after")]
    results = [edit(model, inversion, TARGET, controls=[joint]) for joint in fresh]
    assert torch.equal(results[0][outside], inversion.trajectory[0][outside])
    assert not torch.equal(*results)


def test_the_preset_is_the_published_chain(model, inversion, regions):
    refocus, joint = PUBLISHED.controls(regions)
    assert isinstance(refocus, Refocus) and isinstance(joint, JointSampling)
    assert (refocus.refine, refocus.refine_by, refocus.overlap) == (True, "worst", "both")
    assert (joint.place, joint.noise) == ("before", "fresh")
    for said in ("'first, -1'", "'all'", "empty source prompt", "windows of 4", "12.5"):
        assert said in PUBLISHED.note()
