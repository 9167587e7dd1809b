"""What is let have a case: each target reads it as the pack reads it from a user's hands."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from evenframe.pipelines.errors import EvenframeError


class Targets:
    """By name. folder: for what must be a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        _ = self.model  # loaded before the first case is measured

    @cached_property
    def model(self) -> Any:
        from evenframe.pipelines import backbone

        return backbone.load()

    def video(self, case: tuple[str, bytes, dict[str, Any]]) -> None:
        """A video file and the frames that are wanted of it."""
        from evenframe.pipelines.video import Choice, load

        ending, data, choice = case
        clip = load(self._written(f"case.{ending}", data), Choice(**choice))
        assert len(clip) <= choice["max_frames"], "more frames than were asked for"
        assert clip.describe()

    def regions(self, text: str) -> None:
        """Regions as text, on a clip of 8 frames."""
        from evenframe.pipelines.region_text import parse_regions

        regions = parse_regions(text, 8, (64, 96))
        assert regions.coverage((8, 12)).shape == (8, 8, 12)
        assert regions.cells((8, 12), warn=False).isfinite().all()

    def workflow(self, text: str) -> None:
        """A workflow in API format, checked as far as before its first node runs."""
        from evenframe.nodes import node_classes
        from evenframe.nodes.host import host, workflow
        from evenframe.nodes.host.executor import Executor

        # Half an emoji in JSON is written as an escape, so the file itself is UTF-8.
        read = workflow.read(self._written("case.json", text.encode("utf-8", "replace")))
        Executor(host, node_classes(), None).check(read)

    def prompt(self, case: tuple[str, str, str, str]) -> None:
        """Two prompts, a word of the second, and weights."""
        from evenframe.pipelines.alignment import align_tokens
        from evenframe.pipelines.prompt import find_tokens, parse_weights

        source, target, word, weights = case
        first, second = self.model.encode_prompt(source), self.model.encode_prompt(target)
        first.describe()
        align_tokens(first.ids, second.ids, len(second.embeddings))
        parse_weights(weights)
        assert find_tokens(second, word)

    def shares(self, text: str) -> None:
        """Shares of a batch."""
        from evenframe.pipelines.fairness.targets import parse_shares, plan

        assert plan(parse_shares(text), 5).log(0)

    def presets(self, text: str) -> None:
        """A user's file of attributes, beside the shipped ones: never a reason to fail."""
        from evenframe.pipelines.fairness.presets import with_own

        folder = self._folder / "presets"
        folder.mkdir(exist_ok=True)
        (folder / "own.toml").write_bytes(text.encode("utf-8", "replace"))
        presets, left_out = with_own(folder)
        assert len(presets) > 2
        if left_out:
            raise EvenframeError(left_out[0])

    def _written(self, name: str, data: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(data)
        return path
