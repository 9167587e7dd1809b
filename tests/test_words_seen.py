"""Every word's maps, at a few moments: what they say, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from evenframe.nodes.inspect import EvenframeAttentionViewer
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.grids import nearest
from evenframe.pipelines.common.window import WHOLE_CLIP, Windowing
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.source import words_seen
from evenframe.pipelines.source.inspection import Chosen, look
from evenframe.pipelines.source.inversion import Inversion, invert
from evenframe.pipelines.source.words_seen import (
    FILE,
    WordsSeen,
    look_around,
    look_at_edit,
    moments_of,
)

PROMPT = "a silver jeep driving down a road"
CHOSEN = Chosen(("silver jeep",), 0.5, 0.3)


@pytest.fixture(scope="module")
def inversion(model: Model, clip: torch.Tensor) -> Inversion:
    return invert(model, clip, PROMPT, steps=7, store="recompute")


def around(
    model: Model, inversion: Inversion, chosen: Chosen = CHOSEN, moments: int = 5
) -> WordsSeen:
    seen = look_around(model, inversion, chosen, moments, lambda: None)[1]
    assert seen is not None
    return seen


def counted(model: Model, asked: list[int]) -> Model:
    """The model, which notes each pass."""

    class Counted:
        def __getattr__(self, name: str) -> Any:
            return getattr(model.denoiser, name)

        def predict(self, *given: Any, **more: Any) -> Any:
            asked.append(1)
            return model.denoiser.predict(*given, **more)

    return replace(model, denoiser=Counted())


@pytest.mark.parametrize(
    ("store", "windowing"),
    [("recompute", WHOLE_CLIP), ("resident", WHOLE_CLIP), ("recompute", Windowing(2, 1))],
    ids=["computed again", "kept", "windows"],
)
def test_the_view_stays_what_it_is(
    model: Model, clip: torch.Tensor, store: str, windowing: Windowing
):
    inversion = invert(model, clip, PROMPT, steps=4, store=store, windowing=windowing)
    for chosen in (CHOSEN, Chosen(("jeep", "road"), 0.0, 0.8)):
        view, seen = look_around(model, inversion, chosen, 5, lambda: None)
        alone = look(model, inversion, chosen.words, chosen.at, chosen.threshold)
        assert view.step == alone.step and seen is not None
        assert torch.equal(view.maps, alone.maps) and torch.equal(view.mask, alone.mask)


@pytest.mark.parametrize(("moments", "passes"), [(1, 1), (3, 3), (9, 7)])
def test_each_moment_is_one_pass(model: Model, inversion: Inversion, moments: int, passes: int):
    asked: list[int] = []
    watched: list[int] = []
    look_around(counted(model, asked), inversion, CHOSEN, moments, lambda: watched.append(1))
    assert len(asked) == len(watched) == passes


def test_what_was_kept_costs_no_pass(model: Model, clip: torch.Tensor):
    kept, asked = invert(model, clip, PROMPT, steps=3, store="resident"), []
    look_around(counted(model, asked), kept, CHOSEN, 3, lambda: None)
    assert asked == []


def test_words_are_the_prompts_and_at_last_what_was_asked_for(model: Model, inversion: Inversion):
    seen = around(model, inversion)
    assert seen.words == (*PROMPT.split(), "silver jeep") and seen.chosen == 7
    assert around(model, inversion, Chosen(("Jeep",), 0.5, 0.3)).chosen == 2


@pytest.mark.parametrize("words", ["silver jeep", "road"])
def test_a_words_map_gives_the_mask_that_the_node_gives(
    model: Model, inversion: Inversion, words: str
):
    """As the browser makes it: spread by a cell, and above the threshold."""
    chosen = Chosen((words,), 0.5, 0.9)
    view, seen = look_around(model, inversion, chosen, 5, lambda: None)
    assert seen is not None and seen.chosen is not None
    maps = seen.maps[seen.steps.index(view.step), seen.chosen].float()
    assert (maps.amax(dim=(1, 2)) == 255).all()
    spread = F.max_pool2d(maps[:, None], 3, 1, 1)[:, 0]
    unsure = nearest((spread - 0.9 * 255).abs() <= 0.5, (64, 128))
    assert ((nearest(spread > 0.9 * 255, (64, 128)) == view.mask.bool()) | unsure).all()
    assert unsure.float().mean() < 0.05
    assert 0 < view.mask.mean() < 1


def test_an_edit_that_is_the_source_looks_as_the_source_does(
    model: Model, inversion: Inversion, clip: torch.Tensor
):
    source = around(model, inversion)
    same = look_at_edit(model, inversion, clip, inversion.prompt, source.steps, lambda: None)
    assert same is not None and same.of == "edit"
    assert torch.equal(same.maps, source.maps[:, :-1])
    target = model.text.encode("a wooden train driving down a road")
    other = look_at_edit(model, inversion, 1 - clip, target, source.steps, lambda: None)
    assert other is not None and other.words[:3] == ("a", "wooden", "train")
    assert not torch.equal(other.maps, same.maps)


def test_of_too_many_moments_of_an_edit_some_are_kept_from_the_first_to_the_last(
    model: Model, inversion: Inversion, clip: torch.Tensor, monkeypatch: pytest.MonkeyPatch
):
    source = around(model, inversion)
    assert len(source.steps) > 3
    monkeypatch.setattr(words_seen, "MOST_BYTES", 2 * source.maps[0, :-1].numel())
    two = look_at_edit(model, inversion, clip, inversion.prompt, source.steps, lambda: None)
    assert two is not None and two.steps == (source.steps[0], source.steps[-1])
    assert torch.equal(two.maps, source.maps[[0, -1], :-1])


@pytest.mark.parametrize("how", [{"noise_seed": 3}, {"solver": "uni-inv"}], ids=str)
def test_however_it_was_inverted_the_edit_gets_the_same_noise(
    model: Model, clip: torch.Tensor, how: dict[str, Any]
):
    noised = invert(model, clip, PROMPT, steps=4, **how)
    source = around(model, noised)
    same = look_at_edit(model, noised, clip, noised.prompt, source.steps, lambda: None)
    assert same is not None and torch.equal(same.maps, source.maps[:, :-1])


@pytest.mark.parametrize("frames", [slice(0, 2), slice(None)])
def test_an_edit_of_another_clip_is_refused(
    model: Model, inversion: Inversion, clip: torch.Tensor, frames: slice
):
    other = clip[frames] if frames.stop else clip[:, :, :64]
    with pytest.raises(EvenframeError, match="edited has . frames of .*: link an edit of that"):
        look_at_edit(model, inversion, other, inversion.prompt, (0,), lambda: None)


def test_half_an_edit_is_refused_before_any_pass():
    nothing: Any = None
    with pytest.raises(EvenframeError, match="edited is not linked, but target_prompt is"):
        EvenframeAttentionViewer.execute(
            nothing, nothing, nothing, "jeep", 0.5, 0.3, target_prompt=cast(Any, "a prompt")
        )


@pytest.mark.parametrize(
    ("total", "wanted", "count", "steps"),
    [
        (50, 24, 5, [0, 12, 24, 37, 49]),
        (50, 40, 1, [40]),
        (50, 49, 3, [0, 24, 49]),
        (3, 1, 9, [0, 1, 2]),
        (1, 0, 5, [0]),
    ],
)
def test_moments(total: int, wanted: int, count: int, steps: Sequence[int]):
    assert moments_of(total, wanted, count) == list(steps)


def test_maps_that_are_too_large_are_fewer(
    model: Model, inversion: Inversion, monkeypatch: pytest.MonkeyPatch
):
    each = 8 * 3 * 8 * 16
    monkeypatch.setattr(words_seen, "MOST_BYTES", 3 * each)
    assert around(model, inversion).maps.numel() == 3 * each
    monkeypatch.setattr(words_seen, "MOST_BYTES", each - 1)
    view, seen = look_around(model, inversion, CHOSEN, 5, lambda: None)
    assert seen is None and view.mask.any()


def test_the_file_is_what_is_told_of_it(model: Model, inversion: Inversion, tmp_path: Path):
    seen = around(model, inversion)
    told = seen.write(tmp_path).told()
    shape = [len(told["steps"]), len(told["words"])] + [
        told[n] for n in ("frames", "rows", "columns")
    ]
    read = np.fromfile(tmp_path / FILE, np.uint8).reshape(shape)
    assert (torch.from_numpy(read) == seen.maps).all()
    assert told["cell"] == [1 / 16, 1 / 8] and told["total"] == 7 and told["time_stride"] == 1
