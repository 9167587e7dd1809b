"""The words of controls against the prompts, before anything runs.

An edit finds them when it begins, which is after the inversion. What will surely be missing then
is told in `validate_inputs`. Nothing is said where a text comes by a link, where a tokenizer would
have to read it, or where it is not sure that an edit runs at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from ...pipelines.common.errors import EvenframeError, one_line
from ...pipelines.common.json_text import read_json
from ...pipelines.common.typed_text import quoted
from ...pipelines.text.prompt import find_places, parse_phrases
from ...pipelines.text.tokens import Tokens, words_alone
from ..host import host
from ..host.submitted import Submitted
from .verdict import verdict

Prompt = Literal["source", "target"]
Named = tuple[str, Prompt, Iterable[str]]
"""An input, the prompt whose words it holds, and these words."""
EDITOR, INVERTER, PROMPT = "EvenframeEdit", "EvenframeInvert", "EvenframePrompt"
SAMPLED, SOURCE = "EvenframeApplyControls", "EvenframeSourceForControls"
PASSED_ON = {"EvenframeFairnessPrompt": "target_prompt"}
"""Nodes that give a prompt's words as they are, and where they take them; see `ADDING`."""
ADDING = "explicit"
"""The switch of theirs with which there may be more words."""
REGIONS = {
    "EvenframeDrawRegions": "text",
    "EvenframeMaskRegion": "words",
    "EvenframeTrackRegion": "words",
}
"""Nodes that make regions, and the input that says which words belong there."""
MAX_TITLE = 80


@dataclass(frozen=True)
class Place:
    """A node of a workflow."""

    workflow: Submitted
    id: str

    @property
    def kind(self) -> str:
        """Its class."""
        return str(self.workflow.prompt[self.id].get("class_type"))

    @property
    def title(self) -> str:
        """As the user sees it."""
        given = self.workflow.prompt[self.id].get("_meta")
        title = given.get("title") if isinstance(given, Mapping) else None
        return one_line(str(title or self.kind)[:MAX_TITLE]).removesuffix(" (Evenframe)")

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Values, and links as lists."""
        return self.workflow.inputs(self.id)

    def text(self, name: str) -> str:
        """What was typed into an input; nothing where it comes by a link."""
        value = self.inputs.get(name)
        return value if isinstance(value, str) else ""

    def exceeds(self, name: str, number: float) -> bool:
        """Whether an input is a larger number; not where it comes by a link."""
        value = self.inputs.get(name)
        return isinstance(value, int | float) and value > number

    def links(self, name: str) -> bool:
        """Whether an input comes from another node."""
        return isinstance(self.inputs.get(name), list)

    def behind(self, name: str) -> Place | None:
        """The node that an input comes from."""
        match self.inputs.get(name):
            case [str() as node, int()] if node in self.workflow.prompt:
                return Place(self.workflow, node)
        return None

    def readers(self) -> list[Place]:
        """The nodes that take something from it."""
        return [Place(self.workflow, node) for node in self.workflow.readers.get(self.id, ())]


def words_verdict(
    named: Callable[[Place], Iterable[Named]], regions: Callable[[Place], bool] = lambda _: False
) -> bool | str:
    """What the `validate_inputs` of a control answers: True, or which words no edit will find.

    named: of the control's node, the words that an edit looks up in any case. regions: whether it
    looks up all of its regions'.
    """
    workflow = host.submitted()
    if workflow is None:
        return True
    node = Place(workflow, workflow.node)
    answers = [
        verdict(lambda edit=edit: _find(node, edit, named(node), regions(node)))
        for edit in _edits(node)
    ]
    wrong = [answer for answer in answers if answer is not True]
    return wrong[0] if wrong and len(wrong) == len(answers) else True


def _find(node: Place, edit: Place, named: Iterable[Named], regions: bool) -> None:
    prompts = _sampled(edit) if edit.kind == SAMPLED else _edited(edit)
    for field, which, words in named:
        with _told(node, field):
            _require(prompts.get(which), words)
    if regions:
        for place, field, name, words in _regions(node.behind("regions")):
            with _told(place, f"{field}, region {quoted(name)}"):
                _require(prompts["target"], parse_phrases(words))


def _edited(edit: Place) -> dict[str, Tokens | None]:
    """The words of an editor's prompts."""
    prompts, inverter = {"target": _words(edit.behind("target_prompt"))}, edit.behind("inversion")
    if inverter is not None and inverter.kind == INVERTER:
        prompts["source"] = _words(inverter.behind("source_prompt"))
    return prompts


def _sampled(applied: Place) -> dict[str, Tokens | None]:
    """Those of a source for a sampler, which are typed into it."""
    source = applied.behind("model")
    if source is None or source.kind != SOURCE:
        return {"target": None}
    typed = {name: f"{name}_prompt" for name in ("source", "target")}
    return {
        name: None if source.links(field) else words_alone(source.text(field))
        for name, field in typed.items()
    }


def _require(prompt: Tokens | None, words: Iterable[str]) -> None:
    if prompt is not None:
        for word in words:
            find_places(prompt, word)


@contextmanager
def _told(node: Place, field: str) -> Iterator[None]:
    """Name the node and the input of what is wrong."""
    try:
        yield
    except EvenframeError as error:
        raise EvenframeError(f"In {node.title}, {field}: {error}") from error


def _words(node: Place | None) -> Tokens | None:
    """The words of a prompt that was typed in plain text."""
    while node is not None and node.kind in PASSED_ON:
        if node.inputs.get(ADDING):
            return None
        node = node.behind(PASSED_ON[node.kind])
    if node is None or node.kind != PROMPT or "text" not in node.inputs or node.links("text"):
        return None
    return words_alone(node.text("text"))


def _regions(node: Place | None) -> list[tuple[Place, str, str, str]]:
    """What the nodes below a link call their regions, each with its node and input."""
    found, seen = list[tuple[Place, str, str, str]](), set[str]()
    while node is not None and node.id not in seen and node.kind in REGIONS:
        seen.add(node.id)
        if REGIONS[node.kind] == "text":
            found += [(node, "text", *label) for label in _labels(node.text("text"))]
        else:
            found.append((node, "words", node.text("name"), node.text("words")))
        node = node.behind("regions")
    return found


def _labels(text: str) -> list[tuple[str, str]]:
    """Names and words of regions in a text; none of one that cannot be read, which is told when
    its node reads it."""
    try:
        regions = read_json(text, "regions", "")["regions"]
        labels = [(entry["name"], entry.get("words", "")) for entry in regions]
    except (EvenframeError, LookupError, TypeError, AttributeError):
        return []
    return [label for label in labels if all(isinstance(part, str) for part in label)]


def _edits(control: Place) -> Sequence[Place]:
    """The editors that a control's chain ends at; none where one of them may not run."""
    edits, chain, seen = list[Place](), [control], set[str]()
    while chain:
        for reader in chain.pop().readers():
            if reader.id in seen:
                continue
            seen.add(reader.id)
            if not reader.kind.startswith("Evenframe"):
                return []
            (edits if reader.kind in (EDITOR, SAMPLED) else chain).append(reader)
    return [] if any(_may_not_run(edit) for edit in edits) else edits


def _may_not_run(edit: Place) -> bool:
    chain, seen = [edit], set[str]()
    while chain:
        for reader in chain.pop().readers():
            if edit.workflow.may_skip(reader.kind):
                return True
            if reader.id not in seen:
                seen.add(reader.id)
                chain.append(reader)
    return False
