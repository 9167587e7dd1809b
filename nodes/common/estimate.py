"""What an edit will take, told from its workflow alone: nothing is loaded, and nothing has run.

How many passes it makes follows from the settings of the nodes around it. What only a model can
tell, such as memory and the time of a pass, is what it was when the same model last edited the same
clip in this process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...pipelines.common.errors import EvenframeError
from ...pipelines.controls.reatco.joint_sampling import JointSampling
from ...pipelines.controls.reatco.refocus import Refocus
from ...pipelines.controls.span import Span
from ...pipelines.editing import Settings
from ...pipelines.models.guidance import UNUSED
from ...pipelines.models.schedule import MAX_STEPS
from ...pipelines.passes import Passes
from ..host import host
from ..host.submitted import Submitted
from .cost import line
from .early import EDITOR, INVERTER, Place

if TYPE_CHECKING:
    from .cost import Seen

JOINT, REFOCUS = "EvenframeJointSampling", "EvenframeRefocus"
LARGEST = 2**65
"""Above all that a widget holds."""
UNREAD = "How many passes this edit makes is known when the nodes before it have run."
UNSEEN = "Memory and time are known after the first run with this model and clip."


def edits_estimate(node: str, prompt: Mapping[str, Any]) -> dict[str, str]:
    """{"said": the passes of an editor, and memory and time as far as they are known}; "" of one
    that is not linked yet.

    node: its id. prompt: in API format, with all nodes that lead to it. Raises EvenframeError for
    another node.
    """
    if any(not isinstance(one, Mapping) for one in prompt.values()):
        raise EvenframeError("The workflow is not in API format: export it as that.")
    edit = Place(Submitted(prompt, node), node)
    if node not in prompt or edit.kind != EDITOR:
        raise EvenframeError(f"'{node:.80}' is no {EDITOR} of the workflow: ask for one.")
    if not edit.links("inversion") or not edit.links("model"):
        return {"said": ""}
    seen = host.costs.get(upstream(edit))
    passes = _passes(edit, seen)
    if passes is None:
        return {"said": UNREAD}
    if seen is not None:
        return {"said": line(passes, seen.memory, seen.pace)}
    inverter = edit.behind("inversion")
    parts = ["In each window: "] if inverter and inverter.links("windows") else []
    # Whether a control takes a gradient, or the source is asked again, is the model's to say.
    parts += ["at least "] if edit.links("controls") else []
    said = "".join([*parts, passes.describe()])
    return {"said": f"{said[0].upper()}{said[1:]}. {UNSEEN}"}


def submitted_upstream(prompt: Any, node: str | None) -> str:
    """`upstream` of an editor that runs; "" where its workflow is not known."""
    if node is None or not isinstance(prompt, Mapping) or node not in prompt:
        return ""
    return upstream(Place(Submitted(prompt, node), node))


def upstream(edit: Place) -> str:
    """What decides on model and clip of an edit: the nodes behind them, and their values."""
    inverter, workflow = edit.behind("inversion"), edit.workflow
    clip = {"inversion": edit.inputs.get("inversion")}
    if inverter is not None and inverter.kind == INVERTER:
        clip = {name: inverter.inputs.get(name) for name in ("frames", "windows", "store")}
    order, found = dict[str, int](), list[Any]()
    waiting: list[Mapping[str, Any]] = [{"model": edit.inputs.get("model"), **clip}]
    for inputs in waiting:  # which grows by every node that is met for the first time
        for name, value in sorted(inputs.items()):
            match value:
                case [str() as node, int() as output] if node in workflow.prompt:
                    if node not in order:
                        order[node] = len(order)
                        kind = Place(workflow, node).kind
                        waiting.append({"class_type": kind, **workflow.inputs(node)})
                    value = (order[node], output)
                case int() | float():  # ComfyUI makes 8.0 of 8 where it is a float's
                    value = f"{value:.12g}" if abs(value) < LARGEST else ""
            found.append((name, value))
    return repr(found)


def _passes(edit: Place, seen: Seen | None) -> Passes | None:
    """As the editor counts them; None where a number is not typed in. Of a clip that was not seen,
    those of one window, and of the edit alone."""
    inverter = edit.behind("inversion")
    steps = None if inverter is None else _number(inverter, "steps")
    if inverter is None or inverter.kind != INVERTER:
        steps = seen.steps if seen else None
    start = _number(edit, "start_step", Settings.start_step)
    scale = _number(edit, "guidance_scale", Settings.guidance_scale)
    if steps is None or start is None or scale is None or not 0 <= start < steps <= MAX_STEPS:
        return None
    turns, gradients = _asked_by_controls(edit, int(steps), seen)
    taken = range(int(start), int(steps))
    windows, branches = seen.passes.windows if seen else 1, 1 if scale in UNUSED else 2
    edits = windows * sum(turns.get(step, 1) for step in taken)
    gradient = windows * sum(turns.get(step, 1) for step in taken if step in gradients)
    source = round(edits * seen.passes.source / seen.passes.edit) if seen else 0
    return Passes(len(taken), windows, branches, edits, source, gradient)


def _asked_by_controls(
    edit: Place, steps: int, seen: Seen | None
) -> tuple[dict[int, int], set[int]]:
    """The steps that controls take more than once, and how often; those through which one takes a
    gradient. A span that comes by a link counts with its default, and repeats as none: that is the
    least."""
    turns, gradients = dict[int, int](), set[int]()
    for control in _controls(edit):
        if control.kind == JOINT:
            repeats = int(_number(control, "repeats", JointSampling.repeats) or 1)
            share = _number(control, "repeat_steps", JointSampling.repeat_steps) or 0.0
            for step in Span(0, share).steps(steps):
                turns[step] = max(turns.get(step, 1), repeats)
        if control.kind == REFOCUS and _takes_gradient(control, seen):
            whole = Refocus.steps
            start, end = _number(control, "start", whole.start), _number(control, "end", whole.end)
            gradients |= set(Span(start or 0.0, whole.end if end is None else end).steps(steps))
    return turns, gradients


def _takes_gradient(refocus: Place, seen: Seen | None) -> bool:
    """With guide_by auto the model decides: as it did."""
    by = refocus.text("guide_by") or Refocus.guide_by
    return by == "gradient" or (by == "auto" and seen is not None and seen.passes.gradient > 0)


def _controls(edit: Place) -> Iterator[Place]:
    """The chain of an editor's controls, the last one first."""
    met, control = set[str](), edit.behind("controls")
    while control is not None and control.id not in met:
        met.add(control.id)
        yield control
        control = control.behind("controls")


def _number(place: Place, name: str, default: float | None = None) -> float | None:
    """What is typed in, or where nothing is, the default; None for a link."""
    value = place.inputs.get(name, default)
    return value if isinstance(value, int | float) and abs(value) < LARGEST else None
