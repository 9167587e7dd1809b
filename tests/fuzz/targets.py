"""What is let have a case: each target reads it as the pack reads it from a user's hands."""

from __future__ import annotations

import json
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

from fuzz.cases import Edit, Replacement, damaged, replaced

from evenframe.pipelines.common.errors import EvenframeError


class Targets:
    """By name. folder: for what must be a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        _ = self.model  # loaded before the first case is measured

    @cached_property
    def model(self) -> Any:
        from evenframe.pipelines.models import families

        return families.load("miniature")

    def video(self, case: tuple[str, bytes, dict[str, Any]]) -> None:
        """A video file and the frames that are wanted of it."""
        from evenframe.pipelines.video import Choice, load

        ending, data, choice = case
        clip = load(self._written(f"case.{ending}", data), Choice(**choice))
        assert len(clip) <= choice["max_frames"], "more frames than were asked for"
        assert clip.describe()

    def regions(self, text: str) -> None:
        """Regions as text, on a clip of 8 frames."""
        from evenframe.pipelines.regions.text import parse_regions

        regions = parse_regions(text, 8, (64, 96))
        assert regions.coverage((8, 12)).shape == (8, 8, 12)
        assert regions.cells((8, 12), warn=False).isfinite().all()

    def workflow(self, text: str) -> None:
        """A workflow in API format, checked as far as before its first node runs."""
        from evenframe.nodes import node_classes
        from evenframe.nodes.host import host, workflow
        from evenframe.nodes.host.executor import Executor
        from evenframe.nodes.host.standalone import StandaloneHost

        assert isinstance(host, StandaloneHost)
        # Half an emoji in JSON is written as an escape, so the file itself is UTF-8.
        read = workflow.read(self._written("case.json", text.encode("utf-8", "replace")))
        Executor(host, node_classes(), None).check(read)

    def prompt(self, case: tuple[str, str, str, str]) -> None:
        """Two prompts, a word of the second, and weights."""
        from evenframe.pipelines.text.alignment import align_tokens
        from evenframe.pipelines.text.prompt import find_tokens, parse_weights

        source, target, word, weights = case
        encode = self.model.text.encode
        first, second = encode(source).tokens, encode(target).tokens
        first.describe()
        align_tokens(first.ids, second.ids)
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

    def checkpoint(self, case: tuple[str, list[Edit], list[Replacement]]) -> None:
        """A checkpoint file whose header, or whose pickle, has come to harm."""
        from evenframe.pipelines.models.stable_diffusion.single_file import load_checkpoint

        kind, edits, changes = case
        path = self._folder / f"case{kind}"
        if kind == ".ckpt":
            path.write_bytes(damaged(self.pickle, edits))
        else:
            shutil.copyfile(self.hollow, path)
            header = self.hollow_header
            text = json.dumps(replaced(json.loads(header), changes)).encode() if changes else header
            text = damaged(text, edits)[: len(header)].ljust(len(header))
            with path.open("r+b") as file:
                file.seek(8)
                file.write(text)
        load_checkpoint(path)

    def folder(self, case: tuple[float, list[Edit], list[Replacement]]) -> None:
        """A model folder with one damaged file, as far as a pass through its denoiser."""
        import torch

        from evenframe.pipelines.models import families

        at, edits, changes = case
        files = sorted(path for path in self.diffusers.rglob("*") if path.is_file())
        chosen = files[min(int(at * len(files)), len(files) - 1)]
        whole = chosen.read_bytes()
        try:
            hurt = whole
            if changes and chosen.suffix == ".json":
                hurt = json.dumps(replaced(json.loads(whole), changes)).encode()
            chosen.write_bytes(damaged(hurt, edits))
            model = families.load(self.diffusers)
            prompt = model.text.encode("a red circle")
            latents = model.codec.encode(torch.full((1, 32, 32, 3), 0.5))
            model.denoiser.predict(latents, model.schedule.at(1), {"target": prompt})
            model.codec.decode(latents)
        finally:
            chosen.write_bytes(whole)

    def inversion(self, case: tuple[list[Edit], list[Replacement]]) -> None:
        """A saved inversion, damaged, or forged with another header; if it loads, edited."""
        from evenframe.pipelines.common import tensor_file
        from evenframe.pipelines.editing import edit
        from evenframe.pipelines.source import file as inversion_file

        edits, changes = case
        path = self._folder / "case.safetensors"
        if changes:
            header, tensors = tensor_file.read(self.saved, inversion_file.FORMAT)
            forged = json.dumps(replaced(json.loads(header), changes))
            tensor_file.write(path, inversion_file.FORMAT, forged, tensors, "inversion")
        else:
            path.write_bytes(damaged(self.saved.read_bytes(), edits))
        edit(self.model, inversion_file.load(path), "a blue circle", guidance_scale=1)

    @cached_property
    def pickle(self) -> bytes:
        """A small file of the kind of `.ckpt`."""
        import torch

        path = self._folder / "whole.ckpt"
        torch.save({"state_dict": {"a.weight": torch.ones(4, 4)}, "epoch": 3}, path)
        return path.read_bytes()

    @cached_property
    def hollow(self) -> Path:
        """A whole checkpoint of the layout of Stable Diffusion 1.x, very small, of zeros."""
        import ldm_layout

        return ldm_layout.save_hollow(self._folder / "whole.safetensors", ldm_layout.sd1_shapes())

    @cached_property
    def hollow_header(self) -> bytes:
        with self.hollow.open("rb") as file:
            return file.read(int.from_bytes(file.read(8), "little"))

    @cached_property
    def diffusers(self) -> Path:
        """A very small model as a folder."""
        from whole_edit import save_tiny_model

        save_tiny_model(self._folder / "model")
        return self._folder / "model"

    @cached_property
    def saved(self) -> Path:
        """A saved inversion of two frames and two steps."""
        import torch

        from evenframe.pipelines.source import file as inversion_file
        from evenframe.pipelines.source.inversion import invert

        frames = torch.full((2, 64, 64, 3), 0.5)
        inverted = invert(self.model, frames, "a red circle", steps=2, store="recompute")
        return inversion_file.save(inverted, self._folder / "inversion.safetensors")

    def _written(self, name: str, data: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(data)
        return path
