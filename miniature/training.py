"""What every training of the miniatures does: steps, averaged weights, a state to go on from."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..pipelines.common import whole_file
from ..pipelines.common.errors import EvenframeError
from .optimiser import MatrixOptimiser
from .tokenizer import WordEncoder


def autocast(device: torch.device) -> torch.autocast:
    """In bfloat16 where the device computes faster so."""
    faster = device.type == "cuda" or torch.cpu.get_capabilities().get("avx512_bf16", False)
    return torch.autocast(device.type, torch.bfloat16, enabled=faster)


class BaseTrainer:
    """Networks that are trained together, their optimiser, averaged weights and counters.

    modules: by the names that stand before those of their parameters. average: share of the old
        value that the average keeps in each step, less in the first ones.

    Attributes:
        leads: whether this process writes files and lines, of several that train together.
    """

    STATE, LOG = "state.pt", "log.jsonl"
    COUNTED: tuple[str, ...] = ("step", "averaged_steps", "seconds")
    leads = True

    def __init__(
        self, modules: Mapping[str, nn.Module], optimiser: MatrixOptimiser, average: float
    ) -> None:
        self.names = [
            f"{part}.{name}"
            for part, module in modules.items()
            for name, _ in module.named_parameters()
        ]
        self.parameters = [p for module in modules.values() for p in module.parameters()]
        self.optimiser, self.average = optimiser, average
        self.step, self.seconds = 0, 0.0
        self.average_anew()

    def average_anew(self) -> None:
        """Begin the average at the present weights: after a change of the recipe, or at the end of
        a falling learning rate, the old one lags behind."""
        self.averages = [p.detach().clone() for p in self.parameters]
        self.averaged_steps = 0

    def update(self, loss: Tensor, rate: float) -> None:
        """Move the weights against the gradient of a loss, and the average after them."""
        loss.backward()
        self.share_gradients()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step(rate)
        self.step += 1
        self.averaged_steps += 1
        decay = min(self.average, (1 + self.averaged_steps) / (10 + self.averaged_steps))
        with torch.no_grad():
            for average, now in zip(self.averages, self.parameters, strict=True):
                average.lerp_(now, 1 - decay)

    def share_gradients(self) -> None:
        """Where several processes train together: take the mean of their gradients."""

    def named_averages(self) -> dict[str, Tensor]:
        """Averaged weights by name, on the CPU."""
        return {
            name: average.cpu() for name, average in zip(self.names, self.averages, strict=True)
        }

    def with_averages(self, module: nn.Module) -> dict[str, Tensor]:
        """State dict of a whole module, of which parts are trained: these as averages."""
        whole = {name: value.cpu() for name, value in module.state_dict().items()}
        return whole | self.named_averages()

    def counters(self) -> dict[str, float]:
        """How far it is."""
        return {name: getattr(self, name) for name in self.COUNTED}

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs."""
        return {
            "parameters": [p.detach() for p in self.parameters],
            "averages": self.averages,
            "optimiser": self.optimiser.state_dict(),
            "counters": self.counters(),
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        with torch.no_grad():
            for name in ("parameters", "averages"):
                for own, stored in zip(getattr(self, name), state[name], strict=True):
                    own.copy_(stored)
        self.optimiser.load_state_dict(state["optimiser"])
        # States that were saved without a counter of the average have averaged from the start.
        counters = {"averaged_steps": state["counters"]["step"], **state["counters"]}
        for name in self.COUNTED:
            setattr(self, name, type(getattr(self, name))(counters[name]))

    def save(self, folder: Path) -> None:
        """Write the full state, and the averaged weights alone, each at once."""
        folder.mkdir(parents=True, exist_ok=True)
        save_at_once(self.state(), folder / self.STATE)
        self.save_averages(folder)

    def save_averages(self, folder: Path) -> None:
        """Write the averaged weights in the form that they are used in."""
        raise NotImplementedError

    def resume_from(self, folder: Path) -> bool:
        """Go on from a folder's state; returns whether there is one.

        Raises EvenframeError for one that holds its weights as earlier versions did.
        """
        path = folder / self.STATE
        if not path.exists():
            return False
        state = torch.load(path, map_location="cpu", weights_only=True)
        if "parameters" not in state:
            raise EvenframeError(
                f"'{path}' was saved by an earlier version, and this one cannot go on from it: "
                "export its weights with that version, or begin in another folder from exported "
                "weights, as --init-from miniature/weights does."
            )
        self.resume(state)
        return True


def save_at_once(value: Any, path: Path) -> None:
    """Write a file that is whole or not there."""
    whole_file.replace(path, partial(torch.save, value))


@dataclass(frozen=True)
class PromptRecipe:
    """What trainings with a text encoder have in common; stored with the averages.

    Attributes:
        warmup: steps of linear warm-up.
        average: see `Trainer`.
        meaning: weight of the loss on the text encoder's states.
        swap_padding: share of samples whose padding's states are the empty prompt's: else the
            padding carries the prompt, and draws the attention that its words should have.
        drop_prompt: share of empty prompts.
    """

    warmup: int = 200
    weight_decay: float = 1e-3
    average: float = 0.9995
    meaning: float = 1.0
    swap_padding: float = 0.5
    drop_prompt: float = 0.1
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Prompts:
    """What a text encoder says of prompts while it is trained.

    random: of the training, from which is drawn which prompts are dropped, and whose padding is
        swapped. keeps_end: the first end token, whose state sums up the prompt, is no padding.
    """

    text: Any
    encoder: WordEncoder
    recipe: PromptRecipe
    random: torch.Generator
    keeps_end: bool

    def __call__(self, ids: Tensor, slots: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(ids, slots, states (n, 77, c), swaps (n, 1)) of prompts, of which some are dropped.

        swaps: whose padding is the empty prompt's.
        """
        dropped = self._chosen(ids, self.recipe.drop_prompt)
        nothing = torch.tensor([self.encoder([])], device=ids.device)
        ids = torch.where(dropped, nothing, ids)
        swaps = self._chosen(ids, self.recipe.swap_padding)
        return ids, torch.where(dropped, -1, slots), self.states(ids, swaps), swaps

    def states(self, ids: Tensor, swaps: Tensor) -> Tensor:
        """(n, 77, c) of prompts (n, 77); swaps (n, 1): whose padding is the empty prompt's."""
        nothing = torch.tensor([self.encoder([])], device=ids.device)
        states = self.text(input_ids=ids).last_hidden_state
        empty = self.text(input_ids=nothing).last_hidden_state
        padding = ids == self.encoder.end
        if self.keeps_end:
            padding &= padding.cumsum(1) > 1
        return torch.where((padding & swaps)[..., None], empty, states)

    def _chosen(self, ids: Tensor, share: float) -> Tensor:
        """(n, 1): true for about a share of them."""
        return torch.rand(len(ids), 1, generator=self.random).to(ids.device) < share


class _Means:
    """Running means between two lines of the log."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def add(self, values: Iterable[tuple[str, float]]) -> None:
        for name, value in values:
            self._values.setdefault(name, []).append(value)

    def line(self) -> dict[str, float]:
        return {name: sum(values) / len(values) for name, values in sorted(self._values.items())}


def run(
    trainer: BaseTrainer,
    out: Path,
    step: Callable[[], Iterable[tuple[str, float]]],
    done: Callable[[float], bool],
    log_every: int = 100,
    save_every: float = 180.0,
) -> None:
    """Train until it is done; a line of the log and on the screen, and a state, now and then.

    step: takes one, and returns values whose means are logged. done: asked before each step, with
    the seconds since the start. log_every: steps. save_every: seconds.
    """
    out.mkdir(parents=True, exist_ok=True)
    began = saved = now = time.monotonic()
    before, means = trainer.seconds, _Means()
    while not done(now - began):
        means.add(step())
        now = time.monotonic()
        trainer.seconds = before + now - began
        if trainer.leads and trainer.step % log_every == 0:
            write_line(out / trainer.LOG, trainer.counters() | means.line())
            means = _Means()
        if trainer.leads and now - saved > save_every:
            trainer.save(out)
            saved = now
    if trainer.leads:
        trainer.save(out)


def write_line(path: Path, line: Mapping[str, Any]) -> None:
    """Add a line to a log, and print it."""
    text = json.dumps(
        {name: round(v, 7) if isinstance(v, float) else v for name, v in line.items()}
    )
    print(text, flush=True)
    with path.open("a", encoding="utf-8") as log:
        log.write(text + "\n")
