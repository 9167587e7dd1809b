"""The workflow that is about to run, for checks that look beyond one node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any


def _never(_: str) -> bool:
    return False


@dataclass(frozen=True)
class Submitted:
    """A workflow before its run, as one of its nodes sees it.

    prompt: in API format. node: the id of the node that is checked. may_skip: whether nodes of a
        class may leave what is linked to them unevaluated.
    """

    prompt: Mapping[str, Any]
    node: str
    may_skip: Callable[[str], bool] = _never

    def inputs(self, node: str) -> Mapping[str, Any]:
        """A node's values, and links as lists [node, output]."""
        inputs = self.prompt[node].get("inputs")
        return inputs if isinstance(inputs, Mapping) else {}

    @cached_property
    def readers(self) -> Mapping[str, list[str]]:
        """By a node's id, the nodes that take something from it."""
        found: dict[str, list[str]] = {}
        for node in self.prompt:
            for link in self.inputs(node).values():
                if isinstance(link, list) and len(link) == 2:
                    found.setdefault(str(link[0]), []).append(node)
        return found
