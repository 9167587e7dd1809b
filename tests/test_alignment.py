"""Which source token a target token comes from, with CLIP's own tokenizer and with made-up ids."""

from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.stable_diffusion import shipped
from evenframe.pipelines.text.alignment import align_tokens, replace_matrix
from evenframe.pipelines.text.tokens import split_words

BOS, EOS, LENGTH = 49406, 49407, 77
JEEP = "a silver jeep driving down a curvy road in the countryside"


@cache
def clip_tokenizer():
    return shipped.tokenizer("sd15")


def ids_of(text: str) -> list[int]:
    return clip_tokenizer()(text).input_ids


def words_of(text: str) -> list[tuple[int, ...]]:
    return [word.tokens for word in split_words(text, ids_of(text), clip_tokenizer())]


def mapper_of(source: str, target: str) -> list[int]:
    return align_tokens(ids_of(source), ids_of(target))[0].tolist()


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (JEEP, f"watercolor painting of {JEEP}", [0, -1, -1, -1, *range(1, 13)]),
        (
            "A rabbit is eating strawberries",
            "A white rabbit is eating leaves",
            [0, 1, -1, 2, 3, 4, -1, 6],
        ),
        (
            "a yellow sunflower",
            "van gogh style painting of a yellow sunflower",
            [0, -1, -1, -1, -1, -1, 1, 2, 3, 4],
        ),
        ("a a", "a a a", [0, 1, 2, -1, 3]),
        ("a a a", "a a", [0, 1, 2, 4]),
        (JEEP, JEEP, list(range(13))),
    ],
)
def test_refine_maps_the_published_prompts(source: str, target: str, expected: list[int]):
    mapper = mapper_of(source, target)
    assert mapper[: len(expected)] == expected
    assert mapper[len(expected) :] == list(range(len(expected), LENGTH))


def test_inserted_tokens_take_nothing_from_the_source():
    mapper, alphas = align_tokens(ids_of("a cat"), ids_of("a fat cat"))
    assert mapper.shape == alphas.shape == (LENGTH,)
    assert mapper.dtype == torch.long
    assert alphas.tolist() == [1.0, 1.0, 0.0] + [1.0] * (LENGTH - 3)


@pytest.mark.parametrize("padding", [EOS, 0])  # of Stable Diffusion 1 and 2
@pytest.mark.parametrize("ending", ["", "!"])  # "!" has the id 0
def test_padding_does_not_change_the_alignment(padding: int, ending: str):
    source, target = ids_of(f"a rabbit{ending}"), ids_of(f"a white rabbit{ending}")
    plain = align_tokens(source, target)
    padded = align_tokens(
        torch.tensor(source + [padding] * (LENGTH - len(source))),
        torch.tensor(target + [padding] * (LENGTH - len(target))),
    )
    assert torch.equal(plain[0], padded[0])
    assert torch.equal(plain[1], padded[1])


def test_one_padding_token_is_padding_too():
    source, target = [BOS, 1, EOS, 0], [BOS, 2, 1, EOS]
    assert align_tokens(source, target)[0][:5].tolist() == [0, -1, 1, 2, 4]
    assert align_tokens(target, source)[0][:5].tolist() == [0, 2, 3, 3, 4]


def test_an_eos_of_another_tokenizer_is_the_first_of_what_pads():
    assert align_tokens([8, 1, 2, 9], [8, 1, 3, 2, 9, 9, 9])[0][:6].tolist() == [0, 1, -1, 2, 3, 5]
    assert align_tokens([0, 7, 6, 1], [0, 7, 5, 1])[0][:4].tolist() == [0, 1, -1, 3]


def test_a_prompt_of_too_many_tokens_is_refused_with_how_many():
    long = [BOS, *range(80), EOS]
    with pytest.raises(EvenframeError, match="^The target prompt has 82 tokens: shorten it by 5"):
        align_tokens([BOS, 1, EOS], long)
    with pytest.raises(EvenframeError, match="^The source prompt has 82 tokens"):
        align_tokens(long, [BOS, 1, EOS])
    assert align_tokens(long, [BOS, 1, EOS], LENGTH, 82)[0].shape == (LENGTH,)
    with pytest.raises(EvenframeError, match="^The source prompt has 82 tokens: shorten it by 2"):
        align_tokens(long, [BOS, 1, EOS], LENGTH, 80)


def longest_common_subsequence(first: list[int], second: list[int]) -> int:
    @cache
    def best(i: int, j: int) -> int:
        if i == len(first) or j == len(second):
            return 0
        if first[i] == second[j]:
            return 1 + best(i + 1, j + 1)
        return max(best(i + 1, j), best(i, j + 1))

    return best(0, 0)


few_ids = st.lists(st.integers(1, 4), max_size=12).map(lambda ids: [BOS, *ids, EOS])


@settings(max_examples=150)
@given(few_ids, few_ids)
def test_an_alignment_keeps_as_many_tokens_as_possible_in_order(source, target):
    mapper, alphas = align_tokens(source, target)
    inside = mapper[: len(target)].tolist()
    kept = [(n, m) for n, m in enumerate(inside) if m >= 0]
    assert all(source[m] == target[n] for n, m in kept)
    assert [m for _, m in kept] == sorted({m for _, m in kept})
    assert len(kept) == longest_common_subsequence(source, target)
    assert alphas.tolist() == [float(m >= 0) for m in mapper.tolist()]
    assert mapper[len(target) :].tolist() == list(range(len(target), LENGTH))


@given(few_ids)
def test_a_prompt_is_aligned_with_itself_one_to_one(ids):
    mapper, alphas = align_tokens(ids, ids)
    assert mapper.tolist() == list(range(LENGTH))
    assert alphas.all()


def test_replacing_words_of_equally_many_tokens_is_the_identity():
    source, target = "a brown bear walking on the rocks", "a red tiger walking on the rocks"
    assert torch.equal(replace_matrix(words_of(source), words_of(target)), torch.eye(LENGTH))


def test_a_word_is_spread_evenly_over_the_tokens_of_its_partner():
    source, target = words_of("a cat"), words_of("a Shiba-Inu")
    assert target == [(1,), (2, 3, 4, 5, 6)]
    matrix = replace_matrix(source, target)
    assert matrix[2].tolist() == pytest.approx([0.0] * 2 + [0.2] * 5 + [0.0] * 70)
    assert matrix[3, 7] == 1.0  # EOS follows the words


def test_replacing_different_numbers_of_words_is_refused():
    message = "^Replace needs prompts of equally many words, but the source has 2 and the target 3"
    with pytest.raises(EvenframeError, match=message):
        replace_matrix(words_of("a cat"), words_of("a fat cat"))


def positions(lengths: list[int]) -> list[tuple[int, ...]]:
    words, start = [], 1
    for length in lengths:
        words.append(tuple(range(start, start + length)))
        start += length
    return words


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=12))
def test_replaced_attention_keeps_its_mass_and_its_order(lengths):
    source = positions([length for length, _ in lengths])
    target = positions([length for _, length in lengths])
    matrix = replace_matrix(source, target)
    assert torch.allclose(matrix.sum(1), torch.ones(LENGTH))
    for theirs, ours in zip(source, target, strict=True):
        block = matrix[list(theirs)][:, list(ours)]
        assert torch.allclose(block.sum(1), torch.ones(len(theirs)))
    if [len(word) for word in source] == [len(word) for word in target]:
        assert torch.equal(matrix, torch.eye(LENGTH))


# Encodings of different lengths


def test_a_longer_target_maps_to_nothing_beyond_the_source():
    mapper, alphas = align_tokens([BOS, 1, EOS], [BOS, 2, 1, EOS], 10, 6)
    assert mapper.tolist() == [0, -1, 1, 2, 4, 5, -1, -1, -1, -1]
    assert alphas.tolist() == [1, 0, 1, 1, 1, 1, 0, 0, 0, 0]


def test_a_longer_source_gives_a_short_target_words_from_beyond_its_end():
    mapper, alphas = align_tokens([BOS, 2, 3, 4, 5, 6, 7, 1, EOS], [BOS, 1, EOS], 6, 10)
    assert mapper.tolist() == [0, 7, 8, 3, 4, 5] and alphas.all()


@pytest.mark.parametrize(
    ("lengths", "words", "rows"),
    [
        (  # (target, source), words of the source and of the target, where each row goes
            (10, 6),
            ([(1,), (2,)], [(1,), (2, 3)]),
            [{0: 1}, {1: 1}, {2: 0.5, 3: 0.5}, {4: 1}, {5: 1}, {6: 1}],
        ),
        (
            (10, 4),
            ([(1,), (2,)], [(1,), (5, 6, 7)]),
            [{0: 1}, {1: 1}, {5: 1 / 3, 6: 1 / 3, 7: 1 / 3}, {8: 1}],
        ),
        (
            (6, 10),
            ([(1,), (5, 6, 7)], [(1,), (2,)]),
            [{0: 1}, {1: 1}, {3: 1}, {3: 1}, {0: 1}, {2: 1}, {2: 1}, {2: 1}, {3: 1}, {4: 1}],
        ),
        (  # both are encoded in two pieces
            (9, 8),
            ([(1,), (4,)], [(1,), (4, 5)]),
            [{0: 1}, {1: 1}, {2: 1}, {3: 1}, {4: 0.5, 5: 0.5}, {6: 1}, {7: 1}, {8: 1}],
        ),
        (
            (4, 8),
            ([(1,)], [(1,)]),
            [{0: 1}, {1: 1}, {2: 1}, {3: 1}, {3: 1}, {3: 1}, {3: 1}, {3: 1}],
        ),
    ],
)
def test_words_are_replaced_across_lengths(lengths, words, rows):
    matrix = replace_matrix(*words, *lengths)
    assert matrix.shape == (lengths[1], lengths[0])
    for row, columns in zip(matrix, rows, strict=True):
        assert row.tolist() == pytest.approx([columns.get(n, 0.0) for n in range(lengths[0])])
