"""The methods that are compared, an entry each.

A new one is a function of a `Task` that returns controls, and a line in `METHODS`. What it needs
beside controls it says in its entry: another way to invert, another prompt, a model that is changed
for the clip first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..attention.keyframes import parse
from ..common.errors import EvenframeError
from ..controls.fame.cross_reweighter import CrossReweighter
from ..controls.fame.self_modulator import SelfModulator
from ..controls.fatezero.fusion import Fusion
from ..controls.fatezero.presets import PRESETS, Preset
from ..controls.published import METHODS as PUBLISHED
from ..controls.reatco.joint_sampling import JointSampling
from ..controls.reatco.refocus import Refocus
from ..controls.streamedit.presets import PRESETS as STREAMEDIT
from ..controls.token_flow.token_flow import TokenFlow
from ..fairness.encoder import Wish, encode_fair
from ..regions.region import mask_region
from ..regions.regions import Regions
from ..text.prompt import find_places
from ..text.tokens import words_alone
from ..tuning.one_shot import tune
from ..tuning.settings import SPARSE, Tuning

if TYPE_CHECKING:
    from torch import Tensor

    from ..controls.base import Control
    from ..models.model import Model
    from ..text.conditioning import Conditioning

ADDED = "attribute, added words"
KINDS: Mapping[str, str] = MappingProxyType(
    {
        "style": "style",
        "attribute": "attribute, one word for one",
        "shape": "shape, rigid",
        "person": "person, loose",
    }
)
"""FateZero's published preset for a kind of edit; its shapes and persons were of tuned models."""


@dataclass(frozen=True, eq=False)
class Task:
    """An edit that every method is asked for.

    words: of the source prompt, what is edited; new_words: of the target prompt, what it becomes.
    mask: (f, h, w) of 0 and 1, where; None where nobody says. attribute: FAME's. kind: one of
    `KINDS`.
    """

    source: str
    target: str
    words: tuple[str, ...] = ()
    new_words: tuple[str, ...] = ()
    mask: Tensor | None = None
    attribute: str = ""
    kind: str = "attribute"

    def regions(self, words: tuple[str, ...]) -> Regions | None:
        """The mask as a region with these words of the edit's prompt."""
        if self.mask is None:
            return None
        count, size = len(self.mask), (self.mask.shape[1], self.mask.shape[2])
        region = mask_region(self.mask, count, size, name="mask", words=", ".join(words))
        return Regions((region,), count, size)


def _unchanged(model: Model, frames: Tensor, task: Task) -> Model:
    return model


def _usual(task: Task) -> Mapping[str, Any]:
    return {}


def _target(model: Model, task: Task) -> str | Conditioning:
    return task.target


@dataclass(frozen=True, eq=False)
class Method:
    """How one method edits; docs/methods.md says what its paper has beside this.

    controls: of a task. needs: fields of a task without which it has nothing to do. walk: settings
    of the inversion that are its own. prompt: of the edit. prepare: the model that edits this clip
    (f, h, w, 3), such as one tuned on it; it inverts the clip, too. reads_source: whether its
    controls read the source's attention, which an inversion keeps for them.
    """

    controls: Callable[[Task], tuple[Control, ...]]
    needs: tuple[str, ...] = ()
    walk: Callable[[Task], Mapping[str, Any]] = _usual
    prompt: Callable[[Model, Task], str | Conditioning] = _target
    prepare: Callable[[Model, Tensor, Task], Model] = _unchanged
    reads_source: bool = False

    def lacks(self, task: Any) -> str:
        """What of its needs a task, or a row of a table, has not; "" where it has all: fields, and
        in the prompts the words that two of them name."""
        empty = [name for name in self.needs if getattr(task, name) in (None, "", ())]
        prompts = {"words": ("source", task.source), "new_words": ("target", task.target)}
        absent = [
            f"{words} in the {which} prompt"
            for name, (which, prompt) in prompts.items()
            if name in self.needs
            for words in _absent(prompt, getattr(task, name))
        ]
        return " and ".join(empty + absent)


def _absent(prompt: str, phrases: Iterable[str]) -> Iterator[str]:
    """Those of some phrases that a prompt has not, as far as that is known without a tokenizer."""
    if (known := words_alone(prompt)) is not None:
        for phrase in phrases:
            try:
                find_places(known, phrase)
            except EvenframeError:
                yield f"'{phrase}'"


def _plain(task: Task) -> tuple[Control, ...]:
    return ()


def _published(task: Task) -> Preset:
    """FateZero's preset; one word for one needs prompts of equally many."""
    alike = len(task.source.split()) == len(task.target.split())
    preset = PRESETS[KINDS[task.kind]]
    return preset if alike or preset.fusion.method != "replace" else PRESETS[ADDED]


def _fatezero(task: Task) -> tuple[Control, ...]:
    preset = _published(task)
    return (preset.settings(task.new_words, task.words if preset.needs_blend_words else ()),)


def _fatezero_walk(task: Task) -> Mapping[str, Any]:
    preset = _published(task)
    return {"keyframes": parse(preset.keyframes), "layers": preset.layers}


def _placed(task: Task) -> Regions:
    regions = task.regions(task.new_words)
    assert regions is not None  # it is among the needs
    return regions


def _reatco(task: Task) -> tuple[Control, ...]:
    regions = _placed(task)
    return Refocus(regions), JointSampling(regions)


def _bridge(task: Task) -> tuple[Control, ...]:
    return STREAMEDIT["colour"].controls(task.words, task.new_words, None)


def _fame(task: Task) -> tuple[Control, ...]:
    regions = task.regions(task.words)
    subject: dict[str, Any] = {"regions": regions, "subject": task.words}
    fusion = Fusion("refine", 1.0, 0.5)
    chain = fusion, SelfModulator(**subject), CrossReweighter(**subject)
    return chain if regions is None else (*chain, JointSampling(regions))


def tuned(model: Model, frames: Tensor, task: Task, tuning: Tuning = Tuning()) -> Model:  # noqa: B008
    """The model after a one-shot tuning on the clip (f, h, w, 3)."""
    return model.with_delta(tune(model, frames, task.source, tuning))


def _videograin(task: Task) -> tuple[Control, ...]:
    return PUBLISHED["VideoGrain, background kept"].chain(_placed(task))


def _token_flow(task: Task) -> tuple[Control, ...]:
    return (TokenFlow(),)


def _sparse(task: Task) -> Mapping[str, Any]:
    return {"keyframes": SPARSE, "layers": "all"}


def _all_frames(task: Task) -> Mapping[str, Any]:
    return {"keyframes": ("all",)}


def _fair(model: Model, task: Task) -> Conditioning:
    words = ", ".join(task.words)
    wish = Wish(task.attribute, words)
    return encode_fair(model, task.source, [wish], strength=1.0, eos_scope="first+padding").prompt


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "plain": Method(_plain),
        "fatezero": Method(_fatezero, walk=_fatezero_walk, reads_source=True),
        "reatco": Method(_reatco, needs=("mask", "new_words")),
        "tune-a-video": Method(_plain, walk=_sparse, prepare=tuned),
        "videograin": Method(_videograin, needs=("mask", "new_words"), walk=_all_frames),
        "tokenflow": Method(_token_flow, walk=lambda task: {"keyframes": ("own",)}),
        "bridge": Method(_bridge, needs=("words", "new_words"), reads_source=True),
        "fame": Method(
            _fame, needs=("attribute", "words"), walk=_all_frames, prompt=_fair, reads_source=True
        ),
    }
)
"""By the names that a command takes."""


def chosen(names: str) -> dict[str, Method]:
    """The methods of a text with commas. Raises EvenframeError for one that there is not."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in METHODS]
    if unknown or not wanted:
        raise EvenframeError(
            f"There is no method '{', '.join(unknown)}': there are {', '.join(METHODS)}."
        )
    return {name: METHODS[name] for name in wanted}


def require_kind(kind: str, where: str) -> None:
    """Raise EvenframeError for a kind of edit that there is not."""
    if kind not in KINDS:
        raise EvenframeError(f"{where}: kind is '{kind}': use {', '.join(KINDS)}.")
