"""What users, other programs and attackers type: strategies for every text that is read."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import strategies as st

from evenframe.pipelines.common.errors import EvenframeError

Result = TypeVar("Result")

SIGNS = [
    *("a", "cat", "red", " ", "  ", "\n", "\r\n", "\t", ",", ":", ";", ".", "'", '"', "\\", "-"),
    *("(", ")", "[", "]", "{", "}", "{}", "|", "<", ">", "_", "__", "#", "=", "\0", "\x1b[31m"),
    *("\ud83d", "\udc31", "\N{CAT FACE}", "\N{FAMILY}\u200d\ufe0f", "\u200b", "\ufeff", "\ufffd"),
    *("é", "e\u0301", "\u0301", "İ", "ß", "ﬁ", "\u1e9e", "\u0345", "\u0e33", "\u202e", "\u2028"),
    *("<|endoftext|>", "<|startoftext|>", "BREAK", "AND", "embedding:", "<lora:a:1>", "0.5", "9"),
    *("woman", "doctor", "her", "girl", "female", "a " * 40, "猫", "\U0010ffff", "\x85", "\u3000"),
]
"""Pieces that have a meaning to some reader, or none to any."""
NUMBERS = ["0", "1", "0.5", ".5", "-1", "1e308", "1e999", "1e-320", "nan", "inf", "9" * 5000]
NUMBERS += ["1_0", "0x1", "١", "", "1.", "+1", "--1", "1e", "2/3", "0,5", "1" + "0" * 400, "-0.0"]

texts = st.lists(st.sampled_from(SIGNS) | st.characters(exclude_categories=()), max_size=12).map(
    "".join
)
"""Prompts, words, attributes, names: half characters and all spellings among them."""
listed = st.lists(st.tuples(texts, st.sampled_from(NUMBERS)).map(": ".join), max_size=4).map(
    ", ".join
)
"""Words with numbers: weights, or shares."""

_names = st.sampled_from(
    [
        *("version", "unit", "regions", "name", "words", "box", "polygon", "keyframes", "frame"),
        *("grow", "soften", "points", "outside", "x"),
    ]
)
_odd = st.sampled_from([0, 1, 2, 8, 0.25, -1, 1e6, 1e308, 10**300, 64.5, "0.5"]) | st.floats()
_fractions = st.integers(0, 16).map(lambda sixteenths: sixteenths / 16)
_sides = st.lists(_fractions, min_size=2, max_size=2, unique=True).map(sorted)
_boxes = st.tuples(_sides, _sides).map(lambda s: [s[0][0], s[1][0], s[0][1], s[1][1]])
_points = st.lists(st.tuples(_fractions, _fractions), min_size=3, max_size=5, unique=True)
_numbers = _fractions | _odd
_lists = st.lists(st.lists(_numbers, min_size=2, max_size=2) | _numbers, max_size=5)
_values = st.recursive(
    st.none() | st.booleans() | _numbers | texts | _lists,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=12,
)
_shape = _boxes.map(lambda box: {"box": box}) | _points.map(lambda points: {"polygon": points})
_shape |= _lists.map(lambda points: {"polygon": points}) | _lists.map(lambda box: {"box": box})
_keys = st.lists(st.tuples(st.integers(0, 3), _shape), max_size=3).map(
    lambda keys: {"keyframes": [{"frame": frame} | shape for frame, shape in keys]}
)
_extra = st.dictionaries(_names, _values, max_size=1)
_none: dict[str, Any] = {}
_region = st.tuples(_shape | _keys, st.just(_none) | st.just(_none) | _extra).map(
    lambda parts: {"name": "it"} | parts[0] | parts[1]
)


@st.composite
def _json(draw: st.DrawFn, parts: st.SearchStrategy[dict[str, Any]]) -> str:
    """A text of the format with such parts, or something near to it."""
    data: Any = {"version": 1} | draw(parts)
    if draw(st.integers(0, 3)) == 3:
        data = draw(_extra.map(lambda extra: data | extra) | _values)
    text = json.dumps(data, ensure_ascii=draw(st.booleans()))
    if draw(st.integers(0, 3)) == 3:  # a piece put into it, in place of another
        at = draw(st.integers(0, len(text)))
        piece = draw(st.sampled_from([*SIGNS, *NUMBERS, "[" * 3000, '{"a":' * 3000]))
        text = text[:at] + piece + text[at + draw(st.integers(0, 8)) :]
    return text


regions = _json(st.lists(_region, min_size=1, max_size=3).map(lambda some: {"regions": some}))
"""Regions as JSON."""
drawings = _json(_boxes.map(lambda box: {"box": box}) | _points.map(lambda some: {"points": some}))
"""A box or points on one frame as JSON."""

_toml = [
    *('name = "a"\n', "[values.b]\n", "[values]\n", 'text = "c {}"\n', 'words = ["d"]\n', "[[a]]"),
    *('instead = ["e"]\n', "b = {text = 'c'}\n", "[[values.b]]\n", "x.y.z = 1979-05-27\n", "true"),
    *("[\n" * 3000, "{a=" * 300, "9" * 999, "'''", r"\ud800", "1e999", "[" + " " * 900, "\n"),
    *("values.'b c'.text = 'd'\n", "[values.female]\n", 'name = "age group"\n', "a." * 400),
]
_begin = st.sampled_from(["", 'name = "a"\n', 'name = "a"\n[values.b]\ntext = "c {}"\n'])
_pieces = st.lists(st.sampled_from(_toml) | st.sampled_from(SIGNS), max_size=12).map("".join)
presets = st.tuples(_begin, _pieces | st.sampled_from(_toml)).map("".join)
"""Files of attributes in TOML, or something near to it."""


def read_or_refused(read: Callable[[str], Result], text: str) -> Result | None:
    """What a reader makes of a text; None where it refuses it, in one line that can be shown."""
    try:
        return read(text)
    except EvenframeError as error:
        message = str(error)
        assert message.encode() and len(message.splitlines()) == 1 and len(message) < 2500
        return None
