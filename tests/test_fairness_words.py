"""How FAME reads a prompt: who is a person, who is a child, and what only looks like one."""

import pytest

from evenframe.benchmarks.fairness_words import FLOORS, HALVES, phrases, run
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.fairness.attributes import DATA
from evenframe.pipelines.fairness.gate import require_adult, require_adult_at
from evenframe.pipelines.fairness.grammar import PEOPLE
from evenframe.pipelines.fairness.people import people_in
from evenframe.pipelines.fairness.reading import lexicon, matches, read


def describes_child(text: str) -> bool:
    try:
        require_adult(text)
    except EvenframeError:
        return True
    return False


def is_child(prompt: str, person: str) -> bool:
    words = prompt.split()
    at = [word.strip(",.()") for word in words].index(person)
    try:
        require_adult_at(words, (at, at + 1))
    except EvenframeError:
        return True
    return False


def people(prompt: str) -> list[str]:
    words = prompt.split()
    return [" ".join(words[start:end]) for start, end in people_in(words)]


def test_a_table_of_phrases_is_read_as_well_as_measured():
    told = [phrase for half in HALVES for phrase in phrases(half)]
    assert len(told) >= 300 and sum(phrase.trap for phrase in told) >= len(told) / 2
    assert len({phrase.text for phrase in told}) == len(told)
    figures = run()
    assert not {key: figures[key] for key, least in FLOORS.items() if figures[key] < least}


@pytest.mark.parametrize(
    "text",
    [
        "a 17-year-old",
        "a 17\N{NON-BREAKING HYPHEN}year\N{EN DASH}old",
        "\N{FULLWIDTH DIGIT ONE}\N{FULLWIDTH DIGIT SEVEN} years old",
        "seventeen",
        "12",
        "a 5yo",
        "8 y/o",
        "1.5 years old",
        "17,5 years old",
        "18 months old",
        "an eight-and-a-half-year-old",
        "16 to 18 years old",
        "aged between 12 and 16",
        "under the age of 18",
        "not yet 18",
        "in his early teens",
        "like a ten year old",
        "in a girl's dress",
        "in boys' shoes",
        "a girl bikini",
        "a child model",
        "a 12 year old cat owner",
        "GIRLS",
        "a teenage daughter",
        "a pupil with blue eyes",
        "a kid rock climbing",
        "a 12 year old stands",
        "the baby bears a resemblance",
        "father and sons",
        "a child faced the camera",
        "a girl bearing gifts",
        "a kid free of worries",
        "a child safe in bed",
        "a baby flat on its back",
    ],
)
def test_a_childs_description_is_refused_as_an_attribute(text: str):
    assert describes_child(text)


@pytest.mark.parametrize(
    "text",
    [
        "18 years old",
        "a 21-year-old",
        "101 years old",
        "1,000 years old",
        "over 60",
        "in her twenties",
        "size 16",
        "wearing number 17",
        "with 12 rings",
        "with a minor scar",
        "with dilated pupils",
        "with a three-day-old beard",
        "playing a sonata in A minor",
        "with a yo-yo",
        "in baby blue",
        "in a kid leather jacket",
        "in a boy band",
        "in a girl group",
        "a girl boss",
        "of the old boy network",
        "pushing a baby stroller",
        "with a child seat",
        "boyish",
        "without children",
        "an adult daughter",
        "a 45-year-old son",
        "child-friendly",
        "child-bearing hips",
        "a child-free couple",
        "a baby faced doctor",
    ],
)
def test_a_harmless_attribute_is_not(text: str):
    assert not describes_child(text)


@pytest.mark.parametrize(
    "prompt",
    [
        "a surfer aged 12 rides",
        "a surfer, only 12 years old, rides",
        "a surfer (aged 12) rides",
        "the surfer is just 12",
        "the surfer smiles, he is 12 years old",
        "a surfer on a board, 12 years old",
        "a surfer in her early teens",
        "a surfer of just 12 years",
        "an underage, tall surfer",
        "a girl as a surfer",
        "the surfer is a little girl",
        "a surfer girl",
        "a girl surfer",
        "a surfer turning 12",
        "a surfer who looks like a child",
    ],
)
def test_a_person_said_to_be_a_child_is_not_edited(prompt: str):
    assert is_child(prompt, "surfer")


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ("a girl with long hair", "hair"),
        ("a boy's face", "face"),
        ("the face of a child", "face"),
    ],
)
def test_nor_is_what_shows_a_child(prompt: str, shown: str):
    assert is_child(prompt, shown)


@pytest.mark.parametrize(
    ("prompt", "person"),
    [
        ("a girl beside a woman with long hair", "hair"),
        ("a mother of three", "mother"),
        ("a girl and a doctor", "doctor"),
        ("a boy watches two doctors", "doctors"),
        ("a doctor examines a 5 year old", "doctor"),
        ("a doctor treats 12-year-olds", "doctor"),
        ("a nurse, a baby and a cat", "nurse"),
        ("a boy's mother smiles", "mother"),
        ("a kindergarten teacher", "teacher"),
        ("a woman with a dog aged 12", "woman"),
        ("a woman drinks 12-year-old whisky", "woman"),
        ("a man near a girl who is 12 years old", "man"),
    ],
)
def test_a_person_beside_a_child_may_be_edited(prompt: str, person: str):
    assert not is_child(prompt, person)


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("a bear cooks fish", []),
        ("she guards the door", []),
        ("a coach of a train", []),
        ("a guard dog in a model car", []),
        ("a chef's knife", []),
        ("a chef's hands", ["chef's"]),
        ("a man eating a glazed donut", ["man"]),
        ("two runners crossing the line", ["runners"]),
        ("world's best brother t-shirt", []),
        ("a women\N{RIGHT SINGLE QUOTATION MARK}s race", []),
        ("Baker Street, a baker", ["baker"]),
        ("the police guard the door", ["police"]),
        ("the doctor fishes in a lake", ["doctor"]),
        ("soldier ants in a row", []),
        ("First-person view of a road", []),
        ("a doctor who plays tennis", ["doctor"]),
        ("two men at work", ["men"]),
        ("a black widow lights a candle", ["widow"]),
        ("two white trainers at the gym", ["trainers"]),
        ("white trainers on the floor", []),
    ],
)
def test_people_are_told_from_verbs_and_things(prompt: str, found: list[str]):
    assert people(prompt) == found


@pytest.mark.parametrize(
    "text",
    [
        "9" * 100_000 + " years old",
        "a doctor, " * 100_000,
        "son,12yo," * 100_000,
        "in A minor " * 9999,
    ],
)
def test_texts_of_any_length_are_read_at_once(text: str):
    people(text)
    describes_child(text)


def test_the_lists_are_tidy():
    listed = {
        path.name: path.read_text(encoding="utf-8").splitlines() for path in DATA.glob("*.txt")
    }
    for name, lines in listed.items():
        entries = [line for line in lines if not line.startswith("#")]
        assert entries == sorted(set(entries)) and "" not in entries, name
        assert entries == [entry.lower().strip() for entry in entries], name
    nouns = [*PEOPLE, "animals.txt", "things.txt", "clothes.txt"]
    for verb in lexicon("verbs.txt"):
        assert verb in lexicon(*nouns), f"{verb} is a verb of no noun"
    assert not lexicon("things.txt") & lexicon("clothes.txt", "animals.txt")
    assert not lexicon("not_people.txt") & lexicon(*PEOPLE)
    for name, words in (
        ("not_people.txt", (*PEOPLE, "offspring.txt")),
        ("not_children.txt", ("children.txt", "offspring.txt")),
    ):
        for phrase in lexicon(name):
            assert matches(read(phrase), lexicon(*words)), f"{' '.join(phrase)} needs no entry"
    assert not lexicon("children.txt") & lexicon(*PEOPLE, "offspring.txt", "not_children.txt")
