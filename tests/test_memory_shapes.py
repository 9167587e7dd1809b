"""No self-attention map is ever built: not while inverting, not while editing, in no mode."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from evenframe.pipelines.controls.fame.cross_reweighter import CrossReweighter
from evenframe.pipelines.controls.fame.self_modulator import SelfModulator
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.controls.span import WHOLE
from evenframe.pipelines.editing import edit
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.inversion import invert

SOURCE, TARGET = "a silver jeep driving down a road", "a red jeep driving down a road"
# 3 frames of 320x128 pixels: the latents, and the grids of the four levels below them. No query's
# width, padded or not, and no filter's window is as large as one of these grids.
HEIGHT, WIDTH, FRAMES = 128, 320, 3
TWO = Regions(
    tuple(
        box_region([(left, 0, left + 64, 64)] * FRAMES, (HEIGHT, WIDTH), name=word, words=word)
        for left, word in ((0, "red"), (96, "jeep"))
    ),
    FRAMES,
    (HEIGHT, WIDTH),
)
CONTROLS = {
    "refine": Fusion("refine", 1.0, 1.0),
    "replace": Fusion("replace", 1.0, 1.0),
    "everything": Fusion(
        "refine", 1.0, 1.0, ("jeep",), 0.5, (("red", 10.0),), latent_blend=True, blend_window=WHOLE
    ),
    "self modulator": SelfModulator(subject=("jeep",)),
    "self modulator, additive": SelfModulator(form="additive", tau=0, regions=TWO),
    "cross reweighter": CrossReweighter(("red",), subject=("jeep",), spread=True),
    "refocus": Refocus(TWO, steps=WHOLE, checkpointing="off"),
    "refocus, checkpointed": Refocus(TWO, steps=WHOLE, checkpointing="on"),
    "joint sampling": JointSampling(TWO, noise="fresh", repeats=2),
}
TOKENS = [(HEIGHT // stride) * (WIDTH // stride) for stride in (8, 16, 32, 64)]
SEEN = (1, 2, FRAMES)  # frames that a frame may attend to


class Watch(TorchDispatchMode):
    """Looks at every tensor that any operation makes, and remembers what looks like a map."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_at = 0
        self.maps: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self.looked_at += 1
                if is_map(tensor):
                    self.maps.append(f"{func}: {tuple(tensor.shape)}")
        return out


def is_map(tensor: Tensor) -> bool:
    """Whether its last two sides are the queries and keys of some self-attention."""
    if tensor.ndim < 2:
        return False
    rows, columns = tensor.shape[-2:]
    return any(
        rows in (tokens, tokens * FRAMES) and columns == tokens * seen
        for tokens in TOKENS
        for seen in SEEN
    )


def clip() -> Tensor:
    return torch.rand(FRAMES, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("store", ["recompute", "resident", "offload"])
@pytest.mark.parametrize("keyframes", ["own, mid", "all"])
def test_inverting_builds_no_map(model, store: str, keyframes: str):
    # Outside the watch: the autoencoder's one attention layer is its own.
    frames, prompt = clip(), model.text.encode(SOURCE)
    latents = model.codec.encode(frames)
    known: Any = Encoded(model, latents)
    with Watch() as watch:
        inversion = invert(known, frames, prompt, steps=2, store=store, keyframes=keyframes)
    assert watch.looked_at > 1000
    assert watch.maps == []
    assert inversion.trajectory.shape[1:] == (FRAMES, 4, HEIGHT // 8, WIDTH // 8)


@pytest.mark.parametrize("store", ["recompute", "resident", "offload"])
@pytest.mark.parametrize("name", CONTROLS)
def test_editing_with_every_control_builds_no_map(model, store: str, name: str):
    inversion = invert(model, clip(), SOURCE, steps=2, store=store)
    with Watch() as watch:
        edit(model, inversion, TARGET, guidance_scale=2, controls=[CONTROLS[name]])
    assert watch.looked_at > 1000
    assert watch.maps == []


def test_the_watch_sees_a_map_when_there_is_one():
    q, k = torch.zeros(1, 2, TOKENS[1], 8), torch.zeros(1, 2, TOKENS[1] * 2, 8)
    with Watch() as watch:
        torch.softmax(q @ k.transpose(-1, -2), dim=-1)
    assert len(watch.maps) >= 2
    with Watch() as watch:
        bias = torch.zeros(TOKENS[1], TOKENS[1] * 2)
        # A dense bias sends attention to the path that writes its map down, or is one itself.
        torch.nn.functional.scaled_dot_product_attention(q, k, k, attn_mask=bias)
    assert watch.maps


class Encoded:
    """A model whose clip is encoded already."""

    def __init__(self, model: Any, latents: Tensor):
        self._model, self._latents = model, latents

    def encode(self, *args: Any) -> Tensor:
        return self._latents

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)
