"""Prompts as tokens and words."""

import unicodedata

import pytest
import torch
import typed
from hypothesis import given, settings
from hypothesis import strategies as st

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.typed_text import quoted
from evenframe.pipelines.text.prompt import (
    find_tokens,
    parse_phrases,
    parse_weights,
    unknown_words,
)
from evenframe.pipelines.text.syntax import syntax_notes
from evenframe.pipelines.text.tokens import split_words

JEEP = "a silver jeep, driving down a Curvy road"


def test_words_know_their_tokens(model):
    prompt = model.text.encode("a Shiba-Inu sleeps").tokens
    assert [(word.text, word.tokens) for word in prompt.words] == [
        ("a", (1,)),
        ("Shiba-Inu", (2, 3, 4, 5, 6)),
        ("sleeps", (7,)),
    ]
    assert prompt.describe() == "a[1] Shiba-Inu[2-6] sleeps[7]"
    assert len(prompt.ids) == 9


def test_a_prompt_is_encoded_to_the_full_length(model):
    prompt = model.text.encode("a cat")
    assert prompt.states["tokens"].shape == (77, 32)
    assert prompt.states["tokens"].dtype == torch.float32
    assert prompt.model == model.fingerprint
    again = model.text.encode("a cat")
    assert torch.equal(prompt.states["tokens"], again.states["tokens"])
    other = model.text.encode("a dog")
    assert not torch.allclose(prompt.states["tokens"][2], other.states["tokens"][2])


def test_a_tokenizer_of_another_model_is_told(model, monkeypatch):
    words = r"writes '<\|endoftext\|>' as token \d+, but the model's text encoder has tokens 0 to 9"
    monkeypatch.setattr(
        model.text.module, "get_input_embeddings", lambda: torch.nn.Embedding(10, 4)
    )
    with pytest.raises(EvenframeError, match=words):
        model.text.encode("a cat")


def test_an_empty_prompt_has_no_words(model):
    prompt = model.text.encode("").tokens
    assert prompt.words == ()
    assert len(prompt.ids) == 2


def test_words_are_found_whatever_their_case_and_punctuation(model):
    prompt = model.text.encode(JEEP).tokens
    assert find_tokens(prompt, "JEEP") == (3,)
    assert find_tokens(prompt, "'jeep'.") == (3,)
    assert find_tokens(prompt, "curvy") == (8,)
    assert find_tokens(prompt, "Silver jeep") == (2, 3)
    assert find_tokens(prompt, "a") == (1, 7)
    assert prompt.words[2].tokens == (3, 4)  # the comma belongs to the word, but is not looked for


def test_typographic_quotes_are_punctuation_and_symbols_are_words(model):
    prompt = model.text.encode("a “jeep” \N{BEAR FACE} - drives").tokens
    (jeep,) = find_tokens(prompt, "jeep")
    assert model.text.tokenizer.decode([prompt.ids[jeep]]).strip() == "jeep"
    bear = find_tokens(prompt, "\N{BEAR FACE}")
    assert bear == prompt.words[2].tokens
    assert find_tokens(prompt, "-") == (bear[-1] + 1,)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_word_is_found_however_its_accents_are_spelled(model, form):
    prompt = model.text.encode(unicodedata.normalize(form, "une jeep argentée, İzmir")).tokens
    for other in ("NFC", "NFD"):
        assert find_tokens(prompt, unicodedata.normalize(other, "Argentée")) == prompt.words[2].core
        assert find_tokens(prompt, unicodedata.normalize(other, "İzmir")) == prompt.words[3].tokens
    assert unknown_words(unicodedata.normalize(form, "Argentée"), {"une"}).keys() == {"argentée"}


def test_a_word_of_several_tokens_is_found_whole(model):
    prompt = model.text.encode("a Shiba-Inu sleeps").tokens
    assert find_tokens(prompt, "shiba-inu") == (2, 3, 4, 5, 6)


@pytest.mark.parametrize("word", ["car", "jee", "silver road", "jeep silver", "!"])
def test_a_word_that_is_not_there_is_named_with_its_prompt(model, word: str):
    prompt = model.text.encode(JEEP).tokens
    with pytest.raises(EvenframeError) as caught:
        find_tokens(prompt, word)
    first_line = str(caught.value).splitlines()[0]
    assert first_line.startswith(f"The word '{word}' is not in the prompt '{JEEP}': choose")


def test_no_word_at_all_is_refused(model):
    with pytest.raises(EvenframeError, match="^'  ' names no word"):
        find_tokens(model.text.encode("a cat").tokens, "  ")


def test_a_long_prompt_says_by_how_much(model):
    assert len(model.text.encode(" ".join(["cat"] * 75)).tokens.ids) == 77
    with pytest.raises(EvenframeError, match="^The prompt has 80 tokens: shorten it by 3 "):
        model.text.encode(" ".join(["cat"] * 78))


def test_half_a_character_is_refused_wherever_it_enters(model):
    prompt = model.text.encode("a cat").tokens
    for read in (model.text.encode, lambda text: find_tokens(prompt, text), parse_weights):
        with pytest.raises(EvenframeError, match="has half a character after 'a cat ', such as an"):
            read("a cat \ud83d")
    with pytest.raises(EvenframeError, match="^The prompt has half a character at its beginning"):
        model.text.encode("\udc31")


@pytest.mark.parametrize("mark", ["<|endoftext|>", "<|startoftext|>"])
def test_the_tokenizers_own_marks_are_refused(model, mark: str):
    with pytest.raises(EvenframeError, match=r"^The prompt 'a <\|.*' has '<\|.*leave it out"):
        model.text.encode(f"a {mark} cat")


def test_a_text_of_any_length_is_refused_at_once(model):
    for read in (model.text.encode, parse_phrases, parse_weights):
        with pytest.raises(
            EvenframeError, match=" has 250000 characters: shorten it to at most 10"
        ):
            read("cat, " * 50_000)


def test_a_message_shows_a_text_on_one_line_and_cut_short(model):
    with pytest.raises(EvenframeError) as caught:
        find_tokens(model.text.encode("a cat\n in \x1b[31mred").tokens, "dog")
    assert str(caught.value) == (
        "The word 'dog' is not in the prompt 'a cat\\n in \\x1b[31mred': choose one of its words, "
        "written as there."
    )
    assert quoted("ab" * 1000) == f"'{'ab' * 120} ... {'ab' * 30}'"


def test_weights_are_read():
    assert parse_weights("watercolor: 10,\n a jeep: .5") == (("watercolor", 10), ("a jeep", 0.5))
    wrong = ["jeep", "jeep: much", ": 2", "jeep: nan", "jeep: 1e999", "jeep: 1_0", "jeep: ١"]
    for text in [*wrong, "jeep: " + "9" * 5000, "(red:1.3)", "jeep: 0,5"]:
        with pytest.raises(
            EvenframeError, match="^The weight '.*' cannot be read: write 'word: fa"
        ):
            parse_weights(text)


@pytest.mark.parametrize(
    ("text", "sign", "instead"),
    [
        ("a (red:1.3) car", "(red:1.3)", "weights of Attention Fusion, as in 'red: 1.3'"),
        ("a ((red)) car", "(red)", "weights of Attention Fusion"),
        ("a [red] car", "[red]", "weights of Attention Fusion"),
        ("a [cat:dog:0.5]", "[cat:dog:0.5]", "cross_steps of Attention Fusion says when"),
        ("a [cat|dog]", "[cat|dog]", "write the word that you want"),
        ("a {cat|dog}", "{cat|dog}", "write the word that you want"),
        ("a __animal/big__ sleeps", "__animal/big__", "write the word that you want"),
        ("a cat <lora:fluffy:0.8>", "<lora:fluffy:0.8>", "link the model to Adopt Model"),
        ("a cat, embedding:fluffy, red", "embedding:fluffy", "describe in words"),
        (r"a car \(red\)", r"\(", "write brackets without it"),
        ("a cat BREAK a dog", "BREAK", "give the words to regions (Draw Regions)"),
        ("a cat AND a dog", "AND", "give the words to regions (Draw Regions)"),
    ],
)
def test_what_other_programs_would_read_is_said_once(model, text: str, sign: str, instead: str):
    [note] = model.text.encode(f"{text}, {text}").notes
    assert note.startswith(f"'{sign}' is read as plain text, ") and instead in note


def test_plain_words_are_no_syntax():
    ordinary = [
        *("a cat and a dog, 16:9", "TWO CATS AND A BREAK", "rock & roll: live", "R&D, <3 ;-)"),
        *("AC/DC on stage", "snake_case and __", "it's 5:30 (", "breakfast embedding a jewel", ""),
    ]
    assert [syntax_notes(text) for text in ordinary] == [()] * len(ordinary)
    assert len(syntax_notes("(a:2) [b:c:.5] {d|e} <lora:f> embedding:g BREAK")) == 6


printable = st.characters(codec="utf-8", exclude_categories=("C",))


@settings(max_examples=30)
@given(typed.texts)
def test_any_text_is_encoded_or_said_to_be_wrong(model, text: str):
    prompt = model.text.encode("a cat").tokens
    for read in (model.text.encode, lambda text: find_tokens(prompt, text)):
        typed.read_or_refused(read, text)


@given(typed.texts | typed.listed)
def test_any_list_of_words_is_read_or_said_to_be_wrong(text: str):
    for read in (parse_phrases, parse_weights):
        typed.read_or_refused(read, text)


@given(st.text(printable, max_size=40))
def test_any_text_either_splits_exactly_or_is_refused(model, text: str):
    ids = model.text.tokenizer(text).input_ids
    try:
        words = split_words(text, ids, model.text.tokenizer)
    except EvenframeError:
        return
    assert [token for word in words for token in word.tokens] == list(range(1, len(ids) - 1))
    for word in words:
        inside = ids[word.tokens[0] : word.tokens[-1] + 1]
        assert model.text.tokenizer(word.text).input_ids[1:-1] == inside
