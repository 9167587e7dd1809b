"""Whether things are where the prompt has them (VISOR), and as many (T2I-CompBench's way to count),
by a detector that takes words: OWLv2, OWL-ViT or Grounding DINO."""

from __future__ import annotations

import re
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..common.pictures import to_image
from . import judges
from .asked import NotMeasured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .asked import Asked, Values

VISOR, COUNT = "VISOR", "count"
FORMULAS = {
    VISOR: "share of frames in which both things are found and their boxes' centres lie as the "
    "prompt says, mean over frames",
    COUNT: "share of frames with as many as the prompt says, detections of one thing that overlap "
    "by more than .5 counted once",
}
LEAST = {"grounding-dino": 0.3}
USUAL_LEAST, OVERLAP = 0.1, 0.5
"""Confidence of a detection that counts, as published for each; overlap of two of one thing."""
WAYS = {"left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1)}
"""Axis and sign of the first thing's place beside the second's."""
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PLACED = re.compile(
    r"^(?P<a>.+?) (?:to the |on the )?(?P<way>left of|right of|above|below) (?P<b>.+?)"
    r"(?: (?:on|in|at|with|by|under) .*)?$"
)
COUNTED = re.compile(rf"\b(?P<n>{'|'.join(NUMBERS[1:])}) (?P<first>[a-z]+)(?: (?P<second>[a-z]+))?")
PLURALS = dict[str, str](
    re.findall(
        r"(\w+):(\w+)",
        "men:man women:woman people:person children:child feet:foot teeth:tooth geese:goose "
        "mice:mouse oxen:ox wolves:wolf calves:calf leaves:leaf knives:knife loaves:loaf buses:bus "
        "axes:axe movies:movie cookies:cookie ties:tie pies:pie sheep:sheep deer:deer fish:fish",
    )
)
"""What the rules of `singular` do not know."""
VERBS = re.compile(r" (?:is|are|that|which|standing|sitting|lying)$")


@dataclass(frozen=True)
class Found:
    """What a detector saw of one phrase in a frame. box: left, top, right, bottom in pixels."""

    score: float
    box: tuple[float, float, float, float]


def measure(asked: Asked) -> Values:
    """NotMeasured where the prompt names neither places nor numbers, and without a detector."""
    prompt = asked.need_prompt()
    place, number = placed(prompt), counted(prompt)
    if place is None and number is None:
        raise NotMeasured("the prompt names neither a place (left of, above, ...) nor a number")
    detector = Detector(asked)
    found: dict[str, float | str] = {
        VISOR: "the prompt says of no two things where they are (left of, right of, above, below)",
        COUNT: "the prompt counts nothing (two, three, ...)",
    }
    if place is not None:
        first, way, second = place
        seen = [detector.look(frame, (first, second)) for frame in asked.result]
        found[VISOR] = fmean(lies(way, *pair) for pair in seen)
    if number is not None:
        many, what = number
        seen = [detector.look(frame, (what,))[0] for frame in asked.result]
        found[COUNT] = fmean(len(each) == many for each in seen)
    return found


def placed(prompt: str) -> tuple[str, str, str] | None:
    """(thing, way, thing) of "a cat to the left of a dog", without articles."""
    told = PLACED.match(prompt.lower().strip(" ."))
    if told is None:
        return None
    return _thing(told["a"]), told["way"], _thing(told["b"])


def counted(prompt: str) -> tuple[int, str] | None:
    """(number, thing in the singular) of "three birds are on a wall": what is counted first, with
    one word before it where that is no plural itself. None where nothing is."""
    for told in COUNTED.finditer(prompt.lower()):
        number, first, second = NUMBERS.index(told["n"]) + 1, told["first"], told["second"] or ""
        if one := singular(first):
            return number, one
        if one := singular(second):
            return number, f"{first} {one}"
    return None


def singular(word: str) -> str:
    """Of a plural; "" of what seems to be none."""
    if word in PLURALS:
        return PLURALS[word]
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else ""


def lies(way: str, first: Sequence[Found], second: Sequence[Found]) -> bool:
    """Whether the surest of the one thing lies on that side of the surest of the other."""
    if not (first and second):
        return False
    axis, sign = WAYS[way]
    a, b = (max(each, key=lambda one: one.score).box for each in (first, second))
    return sign * ((a[axis] + a[axis + 2]) - (b[axis] + b[axis + 2])) > 0


def _thing(phrase: str) -> str:
    words = VERBS.sub("", phrase.strip()).split()
    return " ".join(word for word in words if word not in ("a", "an", "the"))


class Detector:
    """The judge `detector`."""

    def __init__(self, asked: Asked):
        self._asked = asked
        self._model, self._processor = judges.load(
            "detector", "AutoModelForZeroShotObjectDetection", asked
        )
        self._kind = self._model.config.model_type
        words = self._model.config.get_text_config()
        self._most = getattr(words, "max_position_embeddings", None)

    @torch.no_grad()
    def look(self, frame: Tensor, things: Sequence[str]) -> list[list[Found]]:
        """What is seen of each thing in a frame (h, w, 3); of what overlaps, the surest."""
        self._asked.on_pass()
        return [self._look(frame, thing) for thing in things]

    def _look(self, frame: Tensor, thing: str) -> list[Found]:
        import torchvision

        dino = self._kind == "grounding-dino"
        words: Any = f"a {thing}." if dino else [[f"a photo of a {thing}"]]
        how = {} if dino else {"truncation": True, "max_length": self._most}
        given = self._processor(images=to_image(frame), text=words, return_tensors="pt", **how)
        given = given.to(self._asked.device)
        said = self._model(**given)
        told = {"threshold": LEAST.get(self._kind, USUAL_LEAST), "target_sizes": [frame.shape[:2]]}
        if dino:
            told["input_ids"] = given["input_ids"]
        [seen] = self._processor.post_process_grounded_object_detection(said, **told)
        boxes, scores = seen["boxes"].float().cpu(), seen["scores"].float().cpu()
        kept = torchvision.ops.nms(boxes, scores, OVERLAP)
        return [Found(float(scores[at]), tuple(boxes[at].tolist())) for at in kept]
