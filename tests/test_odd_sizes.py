"""Frames whose sides are multiples of 8 and of nothing more, from the inversion to the decoder."""

from collections.abc import Callable, Sequence

import pytest
import torch
from tiny_model import tiny
from torch import Tensor

from evenframe.benchmarks import counting
from evenframe.pipelines.attention.terms import Call, Terms
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.pictures import heat
from evenframe.pipelines.controls.base import Control
from evenframe.pipelines.controls.fame.cross_reweighter import CrossReweighter
from evenframe.pipelines.controls.fame.self_modulator import SelfModulator
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.controls.span import Span
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.regions.region import box_region, mask_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.inspection import look
from evenframe.pipelines.source.inversion import Inversion, invert

WIDTH, HEIGHT, FRAMES = 104, 72, 2  # 13x9 latents; 7x5, 4x3 and 2x2 tokens
SOURCE, TARGET = "a man and a dog", "a woman and a cat"


@pytest.fixture(scope="module")
def model() -> Model:
    """With the layers of a 512 px model: masks at stride 32, key frames from 16 on."""
    return tiny(native=512)


@pytest.fixture(scope="module")
def frames() -> Tensor:
    rows = torch.linspace(0, 1, HEIGHT)[:, None, None]
    columns = torch.linspace(0, 1, WIDTH)[None, :, None]
    moving = torch.arange(FRAMES)[:, None, None, None] / 8
    return (rows * columns / 2 + moving + torch.tensor([0.1, 0.2, 0.3])).contiguous()


@pytest.fixture(scope="module")
def inverted(model: Model, frames: Tensor) -> Inversion:
    return invert(model, frames, SOURCE, steps=4)


def regions() -> Regions:
    """A box at the right edge, and a mask at the lower one: both in cells that are cut off."""
    mask = torch.zeros(HEIGHT, WIDTH)
    mask[66:, 8:40] = 1
    size = (HEIGHT, WIDTH)
    items = (
        box_region([(60, 8, WIDTH, 60)] * FRAMES, size, name="right", words="woman"),
        mask_region(mask, FRAMES, size, name="low", words="cat"),
    )
    return Regions(items, FRAMES, size)


CONTROLS: dict[str, Callable[[], Sequence[Control]]] = {
    "fusion": lambda: [
        Fusion(
            "replace", 0.8, 0.8, blend_words=("man",), latent_blend=True, blend_window=Span(0, 1)
        )
    ],
    "RAD": lambda: [Refocus(regions(), scale=1.0, checkpointing="on")],
    "IRJS": lambda: [JointSampling(regions(), noise="fresh", repeats=2)],
    "FAME in regions": lambda: [
        SelfModulator(regions=regions()),
        CrossReweighter(regions=regions()),
    ],
    "FAME at a word": lambda: [
        SelfModulator(subject=("man",)),
        CrossReweighter(("woman",), subject=("man",), eos=True),
    ],
    "all": lambda: [
        Fusion("replace", 0.8, 0.8, blend_words=("dog",)),
        Refocus(regions(), scale=1.0),
        CrossReweighter(regions=regions()),
        JointSampling(regions()),
    ],
}


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_works(name: str, model: Model, inverted: Inversion) -> None:
    latents = edit(model, inverted, TARGET, controls=CONTROLS[name]())
    plain = edit(model, inverted, TARGET)
    assert latents.shape == (FRAMES, 4, 9, 13) and bool(latents.isfinite().all())
    assert not torch.equal(latents, plain)
    if "IRJS" in name:  # outside of the regions, the source to the bit
        assert torch.equal(latents[:, :, :8, :7], inverted.trajectory[0][:, :, :8, :7])
    assert model.codec.decode(latents).shape == (FRAMES, HEIGHT, WIDTH, 3)


def test_the_grids_are_those_of_the_layers(model: Model, inverted: Inversion) -> None:
    seen: dict[int, tuple[int, int]] = {}

    def attend(call: Call, terms: Terms) -> Terms:
        assert call.grid[0] * call.grid[1] == call.q.shape[2]
        seen[call.site.stride] = call.grid
        return terms

    branches = {"source": inverted.prompt}
    model.denoiser.predict(inverted.trajectory[0], model.schedule.at(1), branches, attend=attend)
    assert seen == {8: (9, 13), 16: (5, 7), 32: (3, 4), 64: (2, 2)}


def test_attention_can_be_looked_at(model: Model, inverted: Inversion, frames: Tensor) -> None:
    view = look(model, inverted, ["man"])
    assert view.maps.shape == (FRAMES, 3, 4) and view.mask.shape == (FRAMES, HEIGHT, WIDTH)
    picture = heat(view.maps, frames, opacity=1)
    # Each cell is 32 pixels, the last ones less.
    cells = picture[:, ::32, ::32].repeat_interleave(32, 1).repeat_interleave(32, 2)
    assert torch.equal(picture, cells[:, :HEIGHT, :WIDTH])


def test_a_full_size_model_takes_them() -> None:
    model = counting.meta_model()
    inversion = counting.meta_inversion(model, frames=1)
    branches = {"source": inversion.prompt}
    for width, height in [(832, 480), (768, 432), (776, 440)]:
        latents = torch.empty(1, 4, height // 8, width // 8, device="meta")
        [output] = model.denoiser.predict(latents, model.schedule.at(1), branches).values()
        assert output.shape == latents.shape


def test_sizes_that_the_model_does_not_take(model: Model, frames: Tensor) -> None:
    with pytest.raises(EvenframeError) as refused:
        invert(model, frames[:, :, :100], SOURCE, steps=1)
    assert str(refused.value) == (
        "frames are 100x72 pixels, but 'tiny-0-512' takes multiples of 8: load the clip with "
        "multiple 8, or one that is itself a multiple of it."
    )
