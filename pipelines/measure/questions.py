"""What a model answers to questions about a result: TIFA (Hu et al., ICCV 2023) and FiVE-Acc.

A file of questions is a JSON list. TIFA's entries have `question`, `answer` and perhaps `choices`;
FiVE's have `target_yes_no_question`, `multiple_choice_question`, of which b is right, and perhaps
`source_yes_no_question`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..common import untrusted_json
from ..common.errors import EvenframeError, in_short
from ..common.pictures import spread, to_image
from . import judges
from .asked import NotMeasured

if TYPE_CHECKING:
    from .asked import Asked, Values

TIFA = "TIFA"
YES_NO, CHOICE, UNION, BOTH, FIVE = (
    f"FiVE-Acc{part}" for part in (" yes/no", " multiple choice", " union", " intersection", "")
)
FRAMES = 4
"""Of a clip about which is asked, evenly spaced, as FiVE does."""
FORMULAS = {
    TIFA: f"share of right answers, mean over questions and {FRAMES} frames",
    YES_NO: f"share: the source's question answered no, the target's yes; {FRAMES} frames in turn",
    CHOICE: "share: the target's choice, b, answered",
    UNION: "share: either is right",
    BOTH: "share: both are right",
    FIVE: "mean of the four above",
}
MAX_BYTES, MAX_QUESTIONS, MAX_TEXT = 2**22, 10_000, 2000
TARGET, SOURCE, MULTIPLE = (
    "target_yes_no_question",
    "source_yes_no_question",
    "multiple_choice_question",
)
SHORT = "Answer with one word or one of the choices. "
Ask = Callable[[Tensor, str], str]
"""What is answered to a question about a frame (h, w, 3)."""


def measure(asked: Asked) -> Values:
    """NotMeasured without questions, and without a judge that answers them."""
    if not asked.questions:
        raise NotMeasured("no file of questions is given: see --questions")
    ask, frames = answering(asked), spread(asked.result, FRAMES)
    plain = [each for each in asked.questions if "question" in each]
    five = [each for each in asked.questions if TARGET in each]
    found: dict[str, float | str] = dict.fromkeys(FORMULAS, "no question of this kind is given")
    if plain:
        found[TIFA] = fmean(right(ask, frame, each) for each in plain for frame in frames)
    if five:
        found |= five_acc(ask, frames, five)
    return found


def right(ask: Ask, frame: Tensor, told: Mapping[str, Any]) -> bool:
    """Whether the answer to a question of TIFA's kind is the wanted one."""
    choices = told.get("choices", ())
    text = told["question"] + (f" Choices: {', '.join(choices)}." if choices else "")
    return _plain(ask(frame, text)) == _plain(told["answer"])


def five_acc(
    ask: Ask, frames: Iterable[Tensor], questions: Iterable[Mapping[str, Any]]
) -> dict[str, float]:
    """FiVE-Acc in its five forms."""
    pairs = [_five(ask, frame, each) for each in questions for frame in frames]
    by_form = {
        YES_NO: fmean(yes for yes, _ in pairs),
        CHOICE: fmean(choice for _, choice in pairs),
        UNION: fmean(max(pair) for pair in pairs),
        BOTH: fmean(min(pair) for pair in pairs),
    }
    return by_form | {FIVE: fmean(by_form.values())}


def _five(ask: Ask, frame: Tensor, told: Mapping[str, Any]) -> tuple[bool, bool]:
    yes = _first(ask(frame, f"{told[TARGET]} Answer yes or no.")) == "yes"
    if told.get(SOURCE):
        yes = yes and _first(ask(frame, f"{told[SOURCE]} Answer yes or no.")) == "no"
    return yes, _first(ask(frame, told[MULTIPLE])) == "b"


def _first(answer: str) -> str:
    """Its first word: "b" of "B) a blue car", and neither of "blue" nor of "both"."""
    return (re.findall(r"\w+", answer.lower()) or [""])[0]


def _plain(answer: str) -> str:
    return answer.lower().strip(" .\n'\"()")


def answering(asked: Asked) -> Ask:
    """The judge `vqa` as a function."""
    folder = judges.find(asked.judges, "vqa")
    blip = judges.kind(folder) == "blip"
    name = "BlipForQuestionAnswering" if blip else "AutoModelForImageTextToText"
    model, processor = judges.load("vqa", name, asked)

    @torch.no_grad()
    def ask(frame: Tensor, question: str) -> str:
        asked.on_pass()
        picture = to_image(frame)
        if blip:
            given = processor(picture, question, return_tensors="pt").to(asked.device)
            return processor.decode(model.generate(**given)[0], skip_special_tokens=True)
        parts = [{"type": "image"}, {"type": "text", "text": SHORT + question}]
        said = [{"role": "user", "content": parts}]
        text = processor.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        given = processor(text=[text], images=[picture], return_tensors="pt").to(asked.device)
        made = model.generate(**given, max_new_tokens=32, do_sample=False)
        new = made[0, given["input_ids"].shape[1] :]
        return processor.decode(new, skip_special_tokens=True)

    return ask


def read_questions(path: Path) -> tuple[Mapping[str, Any], ...]:
    """A file's questions. Raises EvenframeError for what are none."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES} bytes")
        told = untrusted_json.parse(path.read_bytes())
        if not isinstance(told, list) or not 0 < len(told) <= MAX_QUESTIONS:
            raise ValueError(f"it is no list of 1 to {MAX_QUESTIONS} questions")
        for number, each in enumerate(told, start=1):
            if problem := _problem(each):
                raise ValueError(f"entry {number} {problem}")
    except (OSError, ValueError) as error:
        raise EvenframeError(
            f"'{path}' holds no questions that can be read ({in_short(error)}): give a JSON list "
            f"of objects with question and answer, or with {TARGET} and {MULTIPLE}."
        ) from error
    return tuple(told)


def _problem(told: Any) -> str | None:
    if not isinstance(told, dict):
        return "is no object"
    need = ["question", "answer"] if "question" in told else []
    need += [TARGET, MULTIPLE] if TARGET in told or not need else []
    for name in (*need, *({SOURCE} & told.keys())):
        text = told.get(name)
        if not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT:
            return f"has no {name} of 1 to {MAX_TEXT} characters"
    choices = told.get("choices", [])
    if not isinstance(choices, list) or not all(isinstance(each, str) for each in choices):
        return "has choices that are no list of texts"
    if sum(map(len, choices)) > MAX_TEXT:
        return f"has choices of more than {MAX_TEXT} characters"
    return None
