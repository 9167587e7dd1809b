"""Attention as terms: where it happens, which frames it sees, what is kept of it."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import tiny

from evenframe.benchmarks.models import full_size, with_part
from evenframe.pipelines.attention import keyframes
from evenframe.pipelines.attention.keyframes import KeyFrameTable
from evenframe.pipelines.attention.processor import ForwardPass, SiteProcessor
from evenframe.pipelines.attention.sites import Layout, Site, SiteKind, layout_of
from evenframe.pipelines.attention.terms import (
    Call,
    Term,
    Terms,
    attention_to,
    evaluate,
    extended,
    gather_keyframes,
)
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.schedule import Level
from evenframe.pipelines.source.inversion import Settings
from evenframe.pipelines.source.maps import mask_sites, word_maps
from evenframe.pipelines.source.store import (
    KeptAttention,
    Recorder,
    SourceAttention,
    choose_mode,
    keep,
    kept_sites,
)

BOTH: tuple[SiteKind, ...] = ("self", "cross")
SELF = Site("down.attn1", "self", 8, 0)
CROSS = Site("down.attn2", "cross", 8, 1)

LEVEL = Level(500, 0.5244, 0.85147)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def dense(q: torch.Tensor, k: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """The map itself, written out."""
    logits = torch.einsum("fhnd,fhmd->fhnm", q, k) / q.shape[-1] ** 0.5
    return torch.softmax(logits if bias is None else logits + bias, dim=-1)


# Key frames


@pytest.mark.parametrize(
    ("names", "frames", "expected"),
    [
        ("mid", 8, [[3]] * 8),
        ("mid", 9, [[4]] * 9),
        ("first", 3, [[0]] * 3),
        ("last", 3, [[2]] * 3),
        ("-1", 8, [[0], [0], [1], [2], [3], [4], [5], [6]]),
        ("+1", 3, [[1], [2], [2]]),
        ("-9", 2, [[0], [0]]),
        ("own, mid", 4, [[0, 1], [1, 1], [2, 1], [3, 1]]),
        ("-1; first", 3, [[0, 0], [0, 0], [1, 0]]),
        ([-1, "first"], 3, [[0, 0], [0, 0], [1, 0]]),
        ("all", 2, [[0, 1], [0, 1]]),
        (" OWN ,Last", 2, [[0, 1], [1, 1]]),
    ],
)
def test_key_frames_are_those_of_the_method(names, frames: int, expected: list[list[int]]):
    table = keyframes.resolve(keyframes.parse(names), frames)
    assert table is not None
    assert table.tolist() == expected


def test_only_its_own_frame_is_no_table():
    assert keyframes.resolve(("own",), 5) is None
    assert keyframes.resolve(("own", "mid"), 1) is None


@pytest.mark.parametrize("text", ["", " , ", "middle", "1.5", "+-3", "--1", "own, 99999", "²"])
def test_key_frames_that_do_not_exist_are_refused(text: str):
    with pytest.raises(EvenframeError, match="^key frame"):
        keyframes.parse(text)


some_names = st.lists(
    st.sampled_from(["own", "mid", "first", "last", "all", "-3", "-1", "+2", "7"]),
    min_size=1,
    max_size=4,
)


@given(some_names, st.integers(1, 12))
def test_key_frames_lie_in_the_clip(names: list[str], frames: int):
    table = keyframes.resolve(keyframes.parse(names), frames)
    if table is None:
        assert names == ["own"] or frames == 1
        return
    assert table.shape[0] == frames
    assert ((table >= 0) & (table < frames)).all()


@given(some_names, st.integers(2, 9), st.data())
def test_the_frames_that_one_frame_needs_need_no_others(names: list[str], frames: int, data):
    wanted = data.draw(st.integers(0, frames - 1))
    needed = keyframes.closure(keyframes.parse(names), frames, wanted)
    assert wanted in needed
    assert needed == sorted(set(needed))
    table = keyframes.resolve(keyframes.parse(names), frames)
    if table is not None:
        assert {other for frame in needed for other in table[frame].tolist()} <= set(needed)


def test_gathered_tokens_are_the_key_frames_in_order():
    tokens = torch.arange(3 * 2 * 2 * 1).reshape(3, 2, 2, 1)  # f heads m d
    table = torch.tensor([[0, 1], [1, 1], [2, 1]])
    gathered = gather_keyframes(tokens, table)
    assert gathered.shape == (3, 2, 4, 1)
    for frame, others in enumerate(table.tolist()):
        expected = torch.cat([tokens[other] for other in others], dim=1)
        assert torch.equal(gathered[frame], expected)
    assert gather_keyframes(tokens, None) is tokens


def test_threads_do_not_change_the_gradient_of_gathered_tokens():
    """RAD takes it: on the CPU, the same edit gives the same bytes."""
    torch.manual_seed(0)
    tokens, weights = torch.randn(8, 4, 256, 32, requires_grad=True), torch.randn(8, 4, 512, 32)
    table = torch.stack([torch.arange(8), torch.full((8,), 3)], dim=1)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first, *others = (
            torch.autograd.grad((gather_keyframes(tokens, table) * weights).sum(), tokens)[0]
            for _ in range(20)
        )
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(first, other) for other in others)


# Terms


def test_a_call_attends_to_its_key_frames():
    q, k, v = random(3, 2, 5, 4), random(3, 2, 5, 4, seed=1), random(3, 2, 5, 4, seed=2)
    call = Call(SELF, "target", (1, 5), q, k, v, torch.tensor([[0, 1], [1, 1], [2, 1]]))
    out = evaluate(call.plain())
    for frame in range(3):
        keys = torch.cat([k[frame], k[1]], dim=1)[None]
        values = torch.cat([v[frame], v[1]], dim=1)[None]
        expected = dense(q[frame : frame + 1], keys) @ values
        assert torch.allclose(out[frame : frame + 1], expected, atol=1e-12)


def test_terms_add_up_with_their_gates_and_biases():
    q, k, v = random(2, 2, 6, 4), random(2, 2, 5, 4, seed=1), random(2, 2, 5, 4, seed=2)
    gate, bias = random(2, 1, 6, 1, seed=3), random(2, 2, 6, 5, seed=4)
    out = evaluate((Term(q, k, v, gate=gate), Term(q, k, v, bias=bias)))
    expected = gate * (dense(q, k) @ v) + dense(q, k, bias) @ v
    assert torch.allclose(out, expected, atol=1e-12)


def test_as_many_values_as_keys_are_needed():
    """Attention on the CPU would read what lies behind the values."""
    with pytest.raises(ValueError, match="^10 keys cannot have 6 values$"):
        Term(random(1, 2, 4, 8), random(1, 2, 10, 8), random(1, 2, 6, 8))


@pytest.mark.parametrize("shape", [(3, 2, 6, 10), (1, 1, 6, 10), (3, 1, 1, 10), (6, 10), (1, 10)])
def test_frames_that_share_their_keys_are_one_row(monkeypatch, shape: tuple[int, ...]):
    """As a video transformer's clip is: gates, biases and more dimensions hold, nothing is copied
    for each frame."""
    q, k, v = random(3, 2, 6, 4), random(1, 2, 10, 4, seed=1), random(1, 2, 10, 4, seed=2)
    gate, bias = random(3, 1, 6, 1, seed=3), random(*shape, seed=4)
    rows, columns = random(3, 1, 6, 2, seed=5), random(1, 1, 10, 2, seed=6)
    shared = [part.expand(3, -1, -1, -1) for part in (k, v)]
    term = extended(Term(q, *shared, gate=gate, bias=bias), rows, columns)
    assert term.k.stride(0) == 0 and term.k.shape == (3, 2, 10, 6)
    alone = extended(Term(q, *map(torch.clone, shared), gate=gate, bias=bias), rows, columns)
    calls = []
    fused = torch.nn.functional.scaled_dot_product_attention

    def one(q, *args, **kwargs):
        calls.append(tuple(q.shape))
        return fused(q, *args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", one)
    assert torch.allclose(evaluate((term,)), evaluate((alone,)), atol=1e-12)
    assert calls == [(1, 2, 18, 6), (3, 2, 6, 6)]


def test_no_terms_is_a_programming_error():
    with pytest.raises(ValueError, match="at least one term"):
        evaluate(())


def test_word_maps_are_the_columns_of_the_attention():
    source = SourceAttention(
        {CROSS.name: random(2, 3, 8, 4), "b": random(2, 3, 8, 4, seed=5)},
        {CROSS.name: random(1, 3, 7, 4), "b": random(1, 3, 7, 4, seed=5)},
    )
    sites = [CROSS, Site("b", "cross", 8, 3)]
    maps = word_maps(source, sites, [2, 5], (16, 32))
    assert maps.shape == (6, 2, 2, 4)  # (layers heads) f h w
    for layer, site in enumerate(sites):
        keys = source.keys[site.name].expand(2, -1, -1, -1)
        full = dense(source.queries[site.name], keys)  # f heads n tokens
        columns = full[..., 2] + full[..., 5]
        for head in range(3):
            expected = columns[:, head].reshape(2, 2, 4)
            assert torch.allclose(maps[layer * 3 + head].double(), expected, atol=1e-6)


def test_how_words_are_looked_at_can_be_differentiated():
    q, k = random(3, 4, 8, 6).float().requires_grad_(), random(1, 4, 20, 6, seed=5).float()
    k = k.expand(3, -1, -1, -1)
    words = [(2, 5), (7,), (7, 7)]
    found = attention_to(q, k, words)
    full = torch.softmax(q @ k.transpose(-1, -2) / 6**0.5, -1)
    expected = torch.stack([full[..., list(tokens)].sum(-1) for tokens in words], -1)
    assert torch.allclose(found, expected, atol=1e-6)
    pull = random(3, 4, 8, 3, seed=6).float()
    one, other = (torch.autograd.grad((maps * pull).sum(), q)[0] for maps in (found, expected))
    assert torch.allclose(one, other, atol=1e-6)


# Sites


@pytest.mark.parametrize(
    ("native", "keyframe", "mask"),
    [(512, 16, 32), (768, 16, 32), (128, 8, 8), (256, 8, 16), (1024, 32, 64)],
)
def test_layers_are_chosen_by_their_stride(native: int, keyframe: int, mask: int):
    layout = layout_of(layers(8, 16, 32, 64), native)
    assert (layout.keyframe_stride, layout.mask_stride) == (keyframe, mask)
    assert layout.control_stride == keyframe


def layers(*strides: int) -> list[Site]:
    return [Site("layer", kind, s, order) for order, s in enumerate(strides) for kind in BOTH]


def test_only_layers_that_are_there_are_chosen():
    """Stable Diffusion XL attends at strides 16 and 32 only; masks lie where the words are."""
    assert layout_of(layers(16, 32), 1024) == Layout(32, 32, 32)
    assert layout_of(layers(64), 512) == Layout(64, 64, 64)
    apart = [Site("own", "self", 16, 0), Site("own", "self", 64, 1), Site("words", "cross", 32, 2)]
    assert layout_of(apart, 512) == Layout(16, 16, 32)
    assert layout_of(apart, 4096) == Layout(64, 64, 32)
    assert layout_of(apart, 128) == Layout(16, 16, 32)


def test_the_published_layers_of_stable_diffusion_are_found():
    model = full_size()
    assert len(model.denoiser.sites) == 32
    assert (model.denoiser.layout.keyframe_stride, model.denoiser.layout.mask_stride) == (16, 32)
    masks = mask_sites(model.denoiser.sites, model.denoiser.layout.mask_stride)
    assert [site.name.split(".")[0] for site in masks] == ["down_blocks"] * 2 + ["up_blocks"] * 3
    assert all(site.kind == "cross" for site in masks)
    kept = kept_sites(model.denoiser.sites, model.denoiser.layout)
    assert len(kept) == 22  # all but the ten at 64x64
    assert {site.stride for site in kept} == {16, 32, 64}
    last = max(kept, key=lambda site: site.order)
    assert last.name.startswith("up_blocks.2.attentions.2.") and last.kind == "cross"
    assert max(masks, key=lambda site: site.order).name.startswith("up_blocks.1.attentions.2.")


def test_sites_have_the_order_and_the_size_of_the_real_pass(model):
    seen: list[Call] = []

    def look(call: Call, terms):
        seen.append(call)
        return terms

    prompt = model.text.encode("a cat")
    latents = random(2, 4, 8, 24).float()  # 64x192 pixels
    model.denoiser.predict(latents, LEVEL, {"source": prompt}, None, look)
    assert [call.site for call in seen] == list(model.denoiser.sites)
    assert [call.site.order for call in seen] == list(range(len(seen)))
    for call in seen:
        rows, columns = call.grid
        assert call.q.shape[0] == 2 and call.q.shape[2] == rows * columns
        assert (rows, columns) == (64 // call.site.stride, 192 // call.site.stride)
        assert call.k.shape[2] == (77 if call.site.kind == "cross" else rows * columns)


def test_without_a_control_the_model_is_the_one_of_diffusers(model):
    """The processor of this package and diffusers' own give the same prediction."""
    from copy import deepcopy

    from diffusers.models.attention_processor import AttnProcessor2_0

    prompt = model.text.encode("a cat")
    states = prompt.states["tokens"]
    latents = random(2, 4, 8, 16).float()
    unet = deepcopy(model.denoiser.module)
    unet.set_attn_processor(AttnProcessor2_0())
    with torch.no_grad():
        ours = model.denoiser.predict(latents, LEVEL, {"source": prompt})["source"]
        theirs = unet(latents, 500, encoder_hidden_states=states.expand(2, -1, -1)).sample
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert ours.abs().max() > 0.1


def test_branches_do_not_see_each_other(model):
    states = {
        name: model.text.encode(text) for name, text in (("negative", ""), ("target", "a cat"))
    }
    latents = random(2, 4, 8, 16).float()
    with torch.no_grad():
        table = KeyFrameTable(torch.tensor([[0, 1], [1, 1]]))
        both = model.denoiser.predict(latents, LEVEL, states, table)
        for name, prompt in states.items():
            alone = model.denoiser.predict(latents, LEVEL, {name: prompt}, table)[name]
            assert torch.allclose(both[name], alone, atol=1e-5)
    assert not torch.allclose(both["negative"], both["target"], atol=1e-4)


def test_key_frames_reach_only_the_coarse_layers(model):
    """With a key-frame stride beyond every layer, a frame is predicted as if it were alone."""
    states = {"source": model.text.encode("a cat")}
    latents = random(2, 4, 8, 16).float()
    table = KeyFrameTable(torch.tensor([[0, 1], [0, 1]]))
    layout = replace(model.denoiser.layout, keyframe_stride=128)
    blind = with_part(model, "denoiser", layout=layout)
    with torch.no_grad():
        alone = model.denoiser.predict(latents[:1], LEVEL, states)["source"]
        seeing = model.denoiser.predict(latents, LEVEL, states, table)["source"]
        unseeing = blind.denoiser.predict(latents, LEVEL, states, table)["source"]
    assert torch.allclose(unseeing[:1], alone, atol=1e-5)
    assert not torch.allclose(seeing[:1], alone, atol=1e-3)


LIMITS = {"all": 8, "half": 16, "quarter": 32}


@pytest.mark.parametrize("layers", LIMITS)
@pytest.mark.parametrize("stride", [8, 16, 32, 64])
def test_a_layer_looks_at_key_frames_from_its_limit_on(layers: str, stride: int):
    """Against attention in double precision by loops over frames."""
    names, frames, heads, width = ("-1", "first"), 4, 2, 3
    limit = keyframes.table(names, frames, layers)
    assert limit is not None
    site, size = Site("s.attn1", "self", stride, 0), (64, 128)
    tokens = (size[0] // stride) * (size[1] // stride)
    q, k, v = (random(frames, heads, tokens, width, seed=seed) for seed in range(3))
    finest = 8 * (limit.width or 0)
    forward = ForwardPass(("target",), size, limit.frames, finest, lambda call, terms: terms)
    found = SiteProcessor(site)._attend(forward, q, k, v)
    expected = torch.zeros_like(found)
    for frame in range(frames):
        seen = [max(frame - 1, 0), 0] if stride >= LIMITS[layers] else [frame]
        for head in range(heads):
            keys = torch.cat([k[other, head] for other in seen])
            values = torch.cat([v[other, head] for other in seen])
            weights = torch.softmax(q[frame, head] @ keys.T / width**0.5, dim=-1)
            expected[frame, head] = weights @ values
    assert torch.allclose(found, expected, atol=1e-12)


def test_the_limits_of_key_frames_and_of_control_are_two():
    """All layers of a 512 px model may look at key frames; the finest are never the source's."""
    model = tiny(native=512)
    finest = {site.name for site in model.denoiser.sites if site.stride == 8}
    for layout in (model.denoiser.layout, replace(model.denoiser.layout, keyframe_stride=8)):
        assert finest and not finest & {
            site.name for site in kept_sites(model.denoiser.sites, layout)
        }
    states = {"source": model.text.encode("a cat")}
    latents, seen = random(2, 4, 8, 16).float(), {}

    def look(call: Call, terms: Terms) -> Terms:
        if call.site.kind == "self":
            seen.setdefault(call.site.stride, set()).add(call.keyframes is not None)
        return terms

    for layers, coarse in {**LIMITS, "auto": 16}.items():
        seen.clear()
        with torch.no_grad():
            model.denoiser.predict(
                latents, LEVEL, states, keyframes.table(("mid",), 2, layers), look
            )
        assert seen == {stride: {stride >= coarse} for stride in seen} and len(seen) == 4


# The store


def record_of(value: float) -> SourceAttention:
    return SourceAttention(
        {SELF.name: torch.full((2, 1, 4, 3), value), CROSS.name: torch.full((2, 1, 4, 3), value)},
        {SELF.name: torch.full((2, 1, 4, 3), value), CROSS.name: torch.full((1, 1, 7, 3), value)},
    )


def test_an_edit_step_gets_what_was_recorded_at_its_timestep():
    """Denoising step k reads inversion record N-1-k."""
    records = [record_of(float(index)) for index in range(4)]
    kept = KeptAttention(records, torch.device("cpu"), torch.float32)
    for step in range(4):
        source = kept.at(step, [SELF])
        assert source.queries[SELF.name].unique().item() == 3 - step
        assert set(source.queries) == set(source.keys) == {SELF.name}


def test_what_is_recorded_keeps_nothing_larger_alive():
    """The prompt's keys are the same in every frame: one frame's are kept, and only they."""
    recorder = Recorder((CROSS,))
    q, k = torch.zeros(4, 2, 8, 4).half(), torch.zeros(4, 2, 77, 4).half()
    recorder.attend(Call(CROSS, "source", (2, 4), q, k, k), ())
    keys = keep(recorder.record(), "resident").keys[CROSS.name]
    assert keys.shape == (1, 2, 77, 4)
    assert keys.untyped_storage().nbytes() == 2 * keys.numel()


@pytest.mark.parametrize("mode", ["resident", "offload"])
def test_records_are_kept_in_half_precision(mode: str):
    kept = keep(record_of(1.0), mode)
    assert {tensor.dtype for tensor in kept.queries.values()} == {torch.float16}
    assert kept.nbytes() == 2 * (3 * 2 * 4 * 3 + 7 * 3)


@pytest.mark.parametrize(
    ("needed", "device", "host", "expected"),
    [
        (100, 200, 0, "resident"),
        (101, 200, 202, "offload"),
        (101, 200, 201, "recompute"),
    ],
)
def test_auto_takes_the_fastest_mode_that_fits_half_of_the_memory(needed, device, host, expected):
    assert choose_mode(needed, device, host) == expected


def test_an_unknown_mode_is_refused():
    with pytest.raises(EvenframeError, match="^attention store mode 'maps' is unknown: use auto,"):
        Settings(store="maps")
