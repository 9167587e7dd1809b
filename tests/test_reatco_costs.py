"""What ReAtCo costs at full size, counted: the figures of docs/reatco.md."""

from pathlib import Path

import pytest
from PIL import Image

from evenframe.benchmarks import guidance, plot, refocus, two_objects
from evenframe.benchmarks.shares import share
from evenframe.miniature.judge import analyse
from evenframe.miniature.scenes import render
from evenframe.miniature.verdict import judge_scene


@pytest.mark.slow
def test_the_guidance_and_the_windows_cost_what_they_may():
    figures = guidance.guidance() | guidance.window_memory()
    for key, value in figures.items():
        assert value <= refocus.TARGETS.get(key, float("inf")), key
    assert figures["guidance.original_run_pflop"] > 3 * figures["guidance.run_pflop"]
    assert figures["guidance.checkpointed_mb_per_frame"] > 0
    assert figures["window.memory_ratio"] > 1
    assert figures["guidance.asked_ratio"] > 1


def test_the_cases_of_the_bench_ask_for_what_can_be_seen():
    """The truth itself is right in every aspect, its mirror image on the wrong sides."""
    for case in two_objects.cases(6):
        truth = [render(case.target, two_objects.EVERY * f)[0] for f in range(len(case.frames))]
        for image in truth:
            answers = judge_scene(case.target, analyse(image)).answers
            assert all(answers["color"]) and all(answers["shape"]) and all(answers["relation"])
            mirrored = judge_scene(case.target, analyse(image[:, ::-1].copy())).answers
            assert not all(mirrored["relation"])
        cells = case.regions.cells(case.regions.frame_size)
        items = render(case.target, 0)[1]
        for region, item in zip(cells[:, 0].numpy(), items, strict=True):
            assert (region * item).sum() > 0.8 * item.sum()
    assert [c.target.prompt for c in two_objects.cases(3)] == [
        c.target.prompt for c in two_objects.cases(6)[:3]
    ]


def test_the_shares_over_k_are_drawn(tmp_path: Path):
    figures = {}
    for index, fraction in enumerate(two_objects.FRACTIONS):
        figures |= share(f"refocus.unsaid_share_k{fraction * 100:.0f}", 12 - 2 * index, 12)
    refocus.plot_fractions(tmp_path / "k.png", figures)
    with Image.open(tmp_path / "k.png") as picture:
        colours = picture.getcolors(10_000) or []
    bars = {colour: count for count, colour in colours}[plot.BAR]
    assert 0.1 < bars / (plot.WIDTH * plot.HEIGHT) < 0.3
