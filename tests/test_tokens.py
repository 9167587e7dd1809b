"""Where the special tokens are, of text encoders other than CLIP's too."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from evenframe.pipelines.attention.terms import Call, Terms, probabilities
from evenframe.pipelines.common import tensor_file
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.base import Edit
from evenframe.pipelines.controls.fame.cross_reweighter import CrossReweighter, CrossReweighterRun
from evenframe.pipelines.controls.fatezero.token_mix import token_mix
from evenframe.pipelines.controls.reatco.losses import condition_maps, region_losses
from evenframe.pipelines.controls.reatco.refocus import Refocus, RefocusRun
from evenframe.pipelines.controls.region_words import region_places
from evenframe.pipelines.fairness.encoder import Wish, encode_fair
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source import file as inversion_file
from evenframe.pipelines.source.inversion import Inversion, invert
from evenframe.pipelines.source.maps import mask_sites
from evenframe.pipelines.text.alignment import align, align_tokens, replace_matrix
from evenframe.pipelines.text.conditioning import Conditioning
from evenframe.pipelines.text.prompt import find_tokens
from evenframe.pipelines.text.tokens import Tokens, tokenize

CLIP_END = 49407
LENGTH = 77
SOURCE, TARGET = "cat on a red sofa", "dog on a big red sofa"


class Pieces:
    """A tokenizer that works as T5's: no start, pieces of three letters, an end unless left out.

    "red" is the piece that CLIP ends with.
    """

    model_max_length = LENGTH

    def __init__(self, *end: int):
        self._end, self._ids = list(end), {"red": CLIP_END}

    def __call__(self, text: str, **_: object) -> SimpleNamespace:
        words = text.replace("</s>", chr(1)).split()
        pieces = [word[at : at + 3] for word in words for at in range(0, len(word), 3)]
        ids = [self._id(piece) for piece in pieces]
        return SimpleNamespace(input_ids=[*ids, *self._end])

    def _id(self, piece: str) -> int:
        return 1 if piece == chr(1) else self._ids.setdefault(piece, 100 + len(self._ids))

    def convert_ids_to_tokens(self, index: int) -> str:
        return {1: "</s>"}[index]


TOKENIZER = Pieces(1)


def read(text: str, tokenizer: Pieces = TOKENIZER) -> Tokens:
    return tokenize(text, tokenizer, end_sums_up=False)


def encoded(text: str, width: int = 32) -> Conditioning:
    """Every state depends on every token, as in an encoder that reads both ways."""
    tokens = read(text)
    padded = [*tokens.ids, *[0] * (LENGTH - len(tokens.ids))]
    table = torch.randn(CLIP_END + 1, width, generator=torch.Generator().manual_seed(0))
    states = table[padded]
    return Conditioning(tokens, {"tokens": states + states.mean(0)}, "reads both ways")


def test_a_tokenizer_tells_where_its_special_tokens_are(model):
    clip = model.text.encode("a cat, here").tokens
    assert (clip.first, clip.last, clip.summary) == (1, 4, 5)
    umt5 = read("a cat, here")
    assert (umt5.first, umt5.last, umt5.summary, len(umt5.ids)) == (0, 4, None, 6)
    assert umt5.describe() == "a[0] cat,[1-2] here[3-4]"
    assert umt5.words[1].core == (1,)
    bare = read("a cat, here", Pieces())
    assert (bare.first, bare.last, len(bare.ids)) == (0, 4, 5)
    assert (read("").first, read("").last) == (0, -1)


def test_a_mark_that_somebody_typed_is_refused():
    with pytest.raises(EvenframeError, match="^The prompt 'a </s> cat' has '</s>', by which the"):
        read("a </s> cat")


def test_clips_end_is_a_piece_like_any_other():
    source, target = read(SOURCE), read(TARGET)
    assert CLIP_END in source.ids[:-1]
    mapper, alphas = align(source, target, LENGTH)
    assert mapper[:9].tolist() == [-1, 1, 2, -1, 3, 4, 5, 6, 8]
    assert alphas[:9].tolist() == [0, 1, 1, 0, 1, 1, 1, 1, 1]
    assert torch.equal(align_tokens(source.ids, target.ids)[0], mapper)


def test_words_that_begin_at_the_first_token_are_replaced():
    words = [[word.tokens for word in read(text).words] for text in (SOURCE, "big on a red dog")]
    matrix = replace_matrix(*words, length=LENGTH)
    expected = torch.eye(LENGTH)
    assert torch.equal(matrix[:4], expected[:4])
    assert matrix[4, 4] == matrix[5, 4] == 1 and matrix[6, 5] == 1  # "sofa" of two, the end
    assert torch.equal(matrix.sum(1), torch.ones(LENGTH))
    assert torch.equal(replace_matrix([], [], LENGTH), expected)


@pytest.mark.parametrize("method", ["refine", "replace", "reweight"])
def test_fusion_weighs_the_first_token(method: str):
    source, target = read("cat on a sofa"), read("dog on a sofa")
    factors = {"refine": (0.0, 3.0), "replace": (3.0, 0.0), "reweight": (0.0, 3.0)}[method]
    mix = token_mix(method, source, target, LENGTH, [("dog", 3.0)])
    assert (float(mix.from_source[0, 0]), float(mix.own[0])) == factors
    assert find_tokens(target, "dog") == (0,)


def test_a_region_may_have_the_first_word():
    prompt = read("cat, on a red cat")
    [[first], [second]] = region_places(prompt, [*box("cat").items, *box("red cat").items])
    assert (prompt.at(first), prompt.at(second)) == ((0,), (4, 5))


# Controls


@pytest.fixture(scope="module")
def inversion(model, clip) -> Inversion:
    made = invert(model, clip, SOURCE, steps=2)
    return replace(made, prompt=encoded(SOURCE))


def box(words: str) -> Regions:
    size = (64, 128)
    return Regions((box_region([(0, 0, 64, 64)] * 3, size, name="one", words=words),), 3, size)


def test_refocus_reads_the_column_of_the_first_word(model, inversion: Inversion):
    prompt = encoded(TARGET)
    sites = mask_sites(model.denoiser.sites, model.denoiser.layout.mask_stride)
    maps: list[Tensor] = []

    def attend(call: Call, terms: Terms) -> Terms:
        if call.site in sites:
            maps.append(probabilities(call.q, call.k).mean(1).unflatten(1, call.grid))
        return terms

    latents, level = inversion.trajectory[-1], inversion.levels(model.schedule)[0]
    table = inversion.keyframe_table()
    with torch.no_grad():
        model.denoiser.predict(latents, level, {"target": prompt}, table, attend)
        run = RefocusRun(Refocus(box("dog, sofa")), Edit(model, inversion, prompt))
        inner, outer = run.losses(latents, level)
    conditioned = condition_maps(torch.stack(maps).mean(0), left_out=(0, 1))
    assert conditioned.shape[-1] == LENGTH - 1
    for index, columns in enumerate(([0], [5, 6])):
        mask = run._words[index][1]
        expected = region_losses(conditioned[..., columns].mean(-1), mask)
        assert torch.allclose(torch.stack(expected), torch.stack((inner[index], outer[index])))


def test_words_in_every_column_lose_none(model, inversion: Inversion):
    tokens = read("a " * LENGTH, Pieces())
    prompt = replace(encoded(TARGET), tokens=tokens)
    run = RefocusRun(Refocus(box("a")), Edit(model, inversion, prompt))
    assert len(run._words[0][0]) == 1
    run._words[0] = ((LENGTH - 1,), run._words[0][1])
    with torch.no_grad():
        run.losses(inversion.trajectory[-1], inversion.levels(model.schedule)[0])


def test_the_reweighter_has_no_end_to_raise_where_nothing_sums_up(model, inversion: Inversion):
    edit = Edit(model, inversion, encoded(TARGET))
    run = CrossReweighter(("dog", "sofa")).begin(edit)
    assert isinstance(run, CrossReweighterRun)
    [who] = run._people
    assert (who.target, who.source) == ((0, 5, 6), (4, 5))
    told = "^eos needs a token that sums the prompt up, and this model's text encoder has none: set"
    with pytest.raises(EvenframeError, match=told):
        CrossReweighter(("dog",), eos=True).begin(edit)


# The fairness prompt


MODEL = SimpleNamespace(
    name="both ways", text=SimpleNamespace(fingerprint="reads both ways", encode=encoded)
)


def test_a_fairness_prompt_without_an_end_that_sums_up():
    wishes = [Wish("old", "dog")]
    with pytest.raises(EvenframeError, match="^eos_scope needs a token that sums .*it to none"):
        encode_fair(MODEL, "dog on a sofa", wishes)  # type: ignore[arg-type]
    made = encode_fair(MODEL, "dog on a sofa", wishes, strength=1, eos_scope="none")  # type: ignore[arg-type]
    before, fair = encoded("dog on a sofa"), encoded("old dog on a sofa")
    states = before.states["tokens"].clone()
    states[0] = fair.states["tokens"][1]
    assert torch.equal(made.prompt.states["tokens"], states)
    assert [(row.token, row.word, row.fair_token) for row in made.record.blended] == [(0, "dog", 1)]
    soft = encode_fair(MODEL, "a dog on a sofa", wishes, mask="soft", eos_scope="none")  # type: ignore[arg-type]
    rows = {row.token: row.word for row in soft.record.blended}
    # What stands before the change has read it, too, but not what stands behind the words.
    assert rows == {0: "a", 1: "dog", 2: "on", 3: "a", 4: "sofa", 5: "sofa"}


def test_words_are_added_without_a_start_or_an_end_that_sums_up():
    given = {"strength": 1, "eos_scope": "none", "explicit": True}
    made = encode_fair(MODEL, "dog on a sofa", [Wish("quite old", "dog")], **given)  # type: ignore[arg-type]
    before, fair = (encoded(text) for text in ("dog on a sofa", "quite old dog on a sofa"))
    own, theirs = before.states["tokens"], fair.states["tokens"]
    assert made.prompt.tokens == fair.tokens
    # quite is of two pieces, sofa too; behind it the end
    expected = torch.cat([theirs[:4], own[1:6], own[9:]])
    assert torch.equal(made.prompt.states["tokens"], expected)


def test_what_is_ranked_is_pooled_over_all_tokens():
    prompt = encoded("dog on a sofa")
    assert torch.equal(prompt.pooled(), prompt.states["tokens"][:6].mean(0))


# Files


def test_special_tokens_survive_the_way_to_disk(inversion: Inversion, tmp_path: Path):
    path = inversion_file.save(inversion, tmp_path / "a.safetensors")
    assert inversion_file.load(path).prompt.tokens == inversion.prompt.tokens


def test_files_that_tell_nothing_of_special_tokens_are_of_clip(model, clip, tmp_path: Path):
    made = invert(model, clip, SOURCE, steps=1)
    path = inversion_file.save(made, tmp_path / "a.safetensors")
    text, tensors = tensor_file.read(path, inversion_file.FORMAT)
    header = json.loads(text)
    assert header.pop("special") == {"before": 1, "behind": 1, "summary": 6}
    tensor_file.write(path, inversion_file.FORMAT, json.dumps(header), tensors, "inversion")
    assert inversion_file.load(path).prompt.tokens == made.prompt.tokens


@pytest.mark.parametrize(
    "special",
    [
        {"before": 5, "behind": 5, "summary": 6},
        {"before": 1, "behind": -1, "summary": 6},
        {"before": 1, "behind": 1, "summary": 7},
        {"before": 2, "behind": 1, "summary": 6},
        {"before": 1, "behind": 1},
        [],
    ],
)
def test_special_tokens_outside_the_prompt_are_refused(model, clip, tmp_path: Path, special):
    path = inversion_file.save(invert(model, clip, SOURCE, steps=1), tmp_path / "a.safetensors")
    text, tensors = tensor_file.read(path, inversion_file.FORMAT)
    header = json.loads(text) | {"special": special}
    tensor_file.write(path, inversion_file.FORMAT, json.dumps(header), tensors, "inversion")
    with pytest.raises(EvenframeError, match="is not a usable inversion"):
        inversion_file.load(path)
