"""VideoGrain: its published numbers, and the control against whole maps in double precision."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from two_layers import CROSS, SELF, two_layers

from evenframe.pipelines.attention import terms as attention
from evenframe.pipelines.attention.keyframes import parse, resolve
from evenframe.pipelines.attention.relative import pulled_together, row_range
from evenframe.pipelines.attention.terms import Call, Term, evaluate, logits_of
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.base import ControlRun, Edit, Step, attending
from evenframe.pipelines.controls.fame.self_modulator import SelfModulator
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.videograin.videograin import (
    VideoGrain,
    VideoGrainRun,
    falling,
    sizes,
)
from evenframe.pipelines.editing import edit
from evenframe.pipelines.fairness.encoder import encode_fair, parse_wishes
from evenframe.pipelines.models.schedule import Level
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.inversion import Inversion, invert
from evenframe.pipelines.source.store import NOTHING

FRAMES, HEADS, WIDTH, ROWS, COLUMNS = 3, 2, 4, 4, 8
TOKENS, SIZE = ROWS * COLUMNS, (ROWS * 8, COLUMNS * 8)
SOURCE = "a man and a dog on a road"
TARGET = "a doctor and a cat on a road"
LEFT = box_region([(0, 0, 24, 24)] * FRAMES, SIZE, name="left", words="doctor")
RIGHT = box_region([(32, 8, 64, 32)] * FRAMES, SIZE, name="right", words="cat")
REGIONS = Regions((LEFT, RIGHT), FRAMES, SIZE)


def wave(*shape: int, a: float = 0.7) -> Tensor:
    count = int(torch.tensor(shape).prod())
    return torch.sin(a * torch.arange(count, dtype=torch.float64) + 0.3).reshape(shape)


def modulated(
    logits: Tensor, share: Tensor, rows: Tensor, columns: Tensor
) -> tuple[Tensor, Tensor]:
    """(logits, attention) of a term whose logits are these, (n, m)."""
    eye = torch.eye(logits.shape[-1], dtype=torch.float64)[None, None]
    term = Term(logits[None, None], eye, eye, scale=1.0)
    given = share[None, None, :, None], rows[None, None].double(), columns.double()
    changed = pulled_together(term, *given)
    # What is the same for all of a row is left out: c min.
    low = logits.amin(-1, keepdim=True) * share[:, None]
    return logits_of(changed)[0, 0] + low, evaluate((changed,))[0, 0]


def near(values: Tensor, expected: list[float]) -> bool:
    return torch.allclose(values, torch.tensor(expected, dtype=torch.float64), atol=1e-6)


def one_hot(*regions: list[int], of: int) -> Tensor:
    """(of, regions) of 0 and 1."""
    found = torch.zeros(of, len(regions))
    for region, places in enumerate(regions):
        found[places, region] = 1
    return found


def test_how_strong_it_is_at_a_level():
    assert [round(falling(t), 6) for t in (981, 841, 701)] == [0.903921, 0.418212, 0.168070]
    steps = VideoGrain(REGIONS).steps.steps(50)
    assert (steps.start, steps.stop) == (0, 15)


def test_cross_attention_has_the_published_numbers():
    rows, columns = one_hot([0, 1], [3], of=4), one_hot([1, 2], [3], of=5)
    size = sizes(rows[None, None], 1)[0, 0, :, 0].double()
    assert size.tolist() == [0.5, 0.5, 1.0, 0.75]
    logits, weights = modulated(wave(4, 5), falling(981) * size, rows, columns)
    assert near(logits[0], [0.180750, 0.909353, 0.991665, 0.388973, 0.041581])
    assert near(weights[0], [0.134703, 0.279130, 0.303078, 0.165886, 0.117203])
    assert near(logits[3], [-0.980936, -0.946964, -0.780388, 0.687927, -0.388315])
    logits, _ = modulated(wave(4, 5), falling(501) * size, rows, columns)
    assert near(logits[1], [-0.617572, -0.957388, -0.864783, -0.383309, 0.291400])


def test_self_attention_has_the_published_numbers():
    """Two frames of four places: a region's share counts in the row's own frame."""
    members = torch.stack([one_hot([0, 1], [3], of=4), one_hot([1, 2], [3], of=4)])[:, None]
    size = sizes(members, 2).flatten().double()
    assert size.tolist() == [0.75, 0.75, 1.0, 0.875, 1.0, 0.75, 0.75, 0.875]
    rows = members.flatten(0, 2)
    logits, _ = modulated(wave(8, 8, a=0.9), 0.3 * falling(981) * size, rows, rows)
    expected = {
        2: [0.347215, -0.190652, -0.787952, -0.992659, -0.649857, -0.018970, 0.422559, 0.340589],
        5: [-0.588887, -0.185279, 0.110477, 0.567384, 0.443254, 0.228436, -0.407326, -0.982899],
    }
    for row, values in expected.items():
        assert near(logits[row], values)


def test_the_range_of_rows_is_that_of_the_map(monkeypatch):
    q, k = wave(3, 2, 5, 4), wave(3, 2, 7, 4, a=1.1)
    bias = wave(2, 5, 7, a=0.4)
    for term in (
        Term(q, k, k),
        Term(q, k, k, bias=bias, scale=2.0),
        Term(q, k[:1].expand(3, -1, -1, -1), k[:1].expand(3, -1, -1, -1)),
    ):
        whole = logits_of(term)
        for elements in (2**22, 2 * 7 * 2):
            monkeypatch.setitem(attention.ROWS_ELEMENTS, "cpu", elements)
            low, high = row_range(term)
            assert torch.allclose(low, whole.amin(-1, keepdim=True), atol=1e-14)
            assert torch.allclose(high, whole.amax(-1, keepdim=True), atol=1e-14)


# The control


@pytest.fixture(scope="module")
def plan(model) -> Callable[..., Edit]:
    prompts = [model.text.encode(text) for text in (SOURCE, TARGET)]

    def made(keyframes: str = "all", steps: int = 4) -> Edit:
        times = tuple(range(981, 981 - 100 * (steps + 1), -100))
        trajectory = wave(steps + 1, FRAMES, 4, ROWS, COLUMNS)
        inversion = Inversion(trajectory, prompts[0], times, parse(keyframes), "two layers")
        return Edit(two_layers(), inversion, prompts[1])

    return made


def started(control: VideoGrain | SelfModulator, plan: Edit, index: int = 0) -> ControlRun:
    run = control.begin(plan)
    here, there = (Level(time, 1.0, 0.0) for time in plan.inversion.times[index : index + 2])
    run.prepare(Step(index, here, there, NOTHING, plan.inversion.trajectory[0]))
    return run


def a_call(kind: str, table: Tensor | None = None, branch: str = "target") -> Call:
    site, tokens = (CROSS, 77) if kind == "cross" else (SELF, TOKENS)
    q, k, v = (
        wave(FRAMES, HEADS, n, WIDTH, a=a) for n, a in ((TOKENS, 2), (tokens, 3), (tokens, 5))
    )
    if kind == "cross":
        k, v = (tensor[:1].expand(FRAMES, -1, -1, -1) for tensor in (k, v))
    return Call(site, branch, (ROWS, COLUMNS), 3 * q, k, v, table)


def ids() -> Tensor:
    """(n,) the region of each place, by hand; the same in all frames."""
    cells = torch.zeros(ROWS, COLUMNS, dtype=torch.long)
    cells[:3, :3] = 1
    cells[1:, 4:] = 2
    return cells.flatten()


def dense(call: Call, meets: Tensor, amount: float, frames: int) -> Tensor:
    """The attention as the paper has it, every map written out. meets: (n, m)."""
    logits = call.q @ call.gather(call.k).transpose(-1, -2) / WIDTH**0.5
    size = torch.stack(
        [
            1 - (ids() == one).sum() / (frames * TOKENS) if one else torch.tensor(1.0)
            for one in ids()
        ]
    )
    c = (amount * size.double())[:, None]
    high, low = logits.amax(-1, keepdim=True), logits.amin(-1, keepdim=True)
    changed = torch.where(meets, logits + c * (high - logits), logits - c * (logits - low))
    return torch.softmax(changed, -1) @ call.gather(call.v)


@pytest.mark.parametrize("keyframes", ["all", "own", "own, mid"])
def test_self_attention_is_that_of_the_maps(plan, keyframes: str):
    table = resolve(parse(keyframes), FRAMES)
    call, count = a_call("self", table), 1 if table is None else table.shape[1]
    meets = (ids()[:, None] == ids()[None]) & (ids()[:, None] > 0)
    expected = dense(call, meets.repeat(1, count), 0.3 * falling(981), count)
    run = started(VideoGrain(REGIONS), plan(keyframes))
    assert torch.allclose(evaluate(run.attend(call, call.plain())), expected, atol=1e-12)
    if keyframes == "all" and table is not None:
        shared = replace(call, keyframes=table[:1])
        assert torch.allclose(evaluate(run.attend(shared, shared.plain())), expected, atol=1e-12)


def test_cross_attention_is_that_of_the_maps(plan):
    call, meets = a_call("cross"), torch.zeros(TOKENS, 77, dtype=torch.bool)
    meets[ids() == 1, 2] = True  # a[1] doctor[2] and[3] a[4] cat[5]
    meets[ids() == 2, 5] = True
    expected = dense(call, meets, falling(981), 1)
    run = started(VideoGrain(REGIONS), plan())
    assert torch.allclose(evaluate(run.attend(call, call.plain())), expected, atol=1e-12)


def test_other_branches_finer_layers_and_later_steps_are_left_alone(plan):
    for kind in ("self", "cross"):
        call = a_call(kind)
        terms, fine = call.plain(), replace(call, site=replace(call.site, stride=4))
        run = started(VideoGrain(REGIONS), plan())
        for other in (replace(call, branch="negative"), replace(call, branch="source"), fine):
            assert run.attend(other, terms) is terms
        assert started(VideoGrain(REGIONS), plan(), 1).attend(call, terms) is terms
        off = VideoGrain(REGIONS, cross=0, own=0)
        assert started(off, plan()).attend(call, terms) is terms


def test_what_another_control_has_rewritten_is_modulated(plan):
    """FAME's forms with a similarity rewrite logits; so does this, then."""
    call = a_call("self", resolve(("all",), FRAMES))
    for tau in (0.1, 0):
        earlier = SelfModulator(tau=tau, regions=REGIONS)
        first, grain = started(earlier, plan()), started(VideoGrain(REGIONS), plan())
        [term] = first.attend(call, call.plain())
        rewrite = term.rewrite
        assert rewrite is not None
        logits = logits_of(replace(term, rewrite=None))
        changed = torch.stack([rewrite(each, f, slice(0, TOKENS)) for f, each in enumerate(logits)])
        eye = torch.eye(changed.shape[-1], dtype=torch.float64).expand(FRAMES, HEADS, -1, -1)
        plain = Term(changed, eye, call.values, scale=1.0)
        expected = evaluate(grain.attend(call, (plain,)))
        out = evaluate(grain.attend(call, (term,)))
        assert torch.allclose(out, expected, atol=1e-12)


def test_the_words_of_the_source_are_left_alone(plan):
    """What fusion has put in the place of the edit's words has the source prompt's columns."""
    call = a_call("cross")
    term = replace(call.plain()[0], source=True)
    assert started(VideoGrain(REGIONS), plan()).attend(call, (term,)) == (term,)


def test_an_edit_reads_each_regions_words_alone(model, clip):
    """CLIP's later words have read the earlier ones; those of a region have not, here."""
    frames = clip[:FRAMES]
    size = (frames.shape[1], frames.shape[2])
    halves = [(0, 0, size[1] // 2, size[0]), (size[1] // 2, 0, size[1], size[0])]
    left, right = (
        box_region([box] * FRAMES, size, name=words, words=words)
        for box, words in zip(halves, ("doctor", "cat"), strict=True)
    )
    regions = Regions((left, right), FRAMES, size)
    prompt = model.text.encode("a doctor and a cat, running")
    changed = VideoGrain(regions).prompted(model, prompt).states["tokens"]
    alone = {word: model.text.encode(word).states["tokens"][1] for word in ("doctor", "cat")}
    assert torch.equal(changed[2], alone["doctor"]) and torch.equal(changed[5], alone["cat"])
    others = [at for at in range(77) if at not in (2, 5)]
    assert torch.equal(changed[others], prompt.states["tokens"][others])
    assert not torch.equal(changed[5], prompt.states["tokens"][5])
    assert VideoGrain(regions, local_words=False).prompted(model, prompt) is prompt
    inversion = invert(model, frames, "a man and a dog", steps=4, keyframes="all")
    plain, controlled, whole = (
        edit(model, inversion, prompt, controls=controls)
        for controls in (
            (),
            (VideoGrain(regions, cross=0, own=0),),
            (VideoGrain(regions), Fusion(self_steps=0.5)),
        )
    )
    assert torch.equal(plain, controlled)
    assert whole.isfinite().all() and not torch.allclose(plain, whole, atol=1e-3)


def test_an_attribute_that_was_blended_into_a_regions_words_stays(model):
    plain, [wish] = model.text.encode(TARGET), parse_wishes("female", "doctor")
    fair = encode_fair(model, plain, [wish], strength=0.5).prompt
    grain = VideoGrain(REGIONS)
    [alone, changed] = (grain.prompted(model, each).states["tokens"] for each in (plain, fair))
    own = fair.states["tokens"] - plain.states["tokens"]
    assert own[2].abs().max() > 0.01, "the doctor's"
    assert torch.allclose(changed - alone, own, atol=1e-5)


def test_what_is_wrong_is_said_before_the_work(plan):
    with pytest.raises(EvenframeError, match=r"cross is 2.*0.*1"):
        VideoGrain(REGIONS, cross=2)
    with pytest.raises(EvenframeError, match="Region 'x' has no words"):
        VideoGrain(Regions((replace(LEFT, name="x", words=""),), FRAMES, SIZE))
    stranger = Regions((replace(LEFT, words="lorry"),), FRAMES, SIZE)
    with pytest.raises(EvenframeError, match="'lorry' is not in the prompt"):
        VideoGrain(stranger).begin(plan())
    with pytest.raises(EvenframeError, match="The regions are for 3 frames"):
        VideoGrain(REGIONS).begin(replace(plan(), inversion=plan().inversion.part(range(2))))


def test_it_is_a_run_of_its_own(plan):
    assert isinstance(VideoGrain(REGIONS).begin(plan()), VideoGrainRun)
    with pytest.raises(EvenframeError, match="two VideoGrains"):
        replace(plan(), controls=(VideoGrain(REGIONS), VideoGrain(REGIONS)))
    call = a_call("self")
    attend = attending([started(VideoGrain(REGIONS), plan())])
    assert not torch.equal(evaluate(attend(call, call.plain())), evaluate(call.plain()))
