"""JsonReader validates untrusted JSON."""

import json
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainnet.errors import ModelFileError
from plainnet.storage.json_reader import JsonReader, shortened

FIELDS = JsonReader(
    {"t": "x", "n": 3, "f": 0.5, "ts": ["a", "b"], "ns": [1, 2.5], "os": [{"k": 1}, {"k": 2}]},
    "the part",
)
START = "The model file is damaged or was edited: "


def test_valid_fields() -> None:
    assert FIELDS.text("t") == FIELDS.text("t", ("x", "y")) == "x"
    assert FIELDS.whole("n") == FIELDS.whole("n", 3, 3) == 3
    assert FIELDS.number("n") == 3.0
    assert FIELDS.number("f", positive=True) == 0.5
    assert FIELDS.texts("ts") == ("a", "b")
    assert FIELDS.numbers("ns") == (1.0, 2.5)
    assert [f.whole("k") for f in FIELDS.objects("os", "piece")] == [1, 2]
    assert FIELDS.objects("os", "piece")[1].where == "piece 2"
    FIELDS.only("t", "n", "f", "ts", "ns", "os", "more")


@pytest.mark.parametrize("value", [[], None, 3, "x", {1: 2}])
def test_non_objects_raise(value: object) -> None:
    with pytest.raises(ModelFileError) as caught:
        JsonReader(value, "the part")
    assert str(caught.value) == f"{START}the part should be an object, but is {value!r}."


@pytest.mark.parametrize("value", [None, 1, True, ["x"], {}, "\ud800"])
def test_invalid_text_raises(value: object) -> None:
    with pytest.raises(ModelFileError, match="field 'v' of the part should be text, but is"):
        JsonReader({"v": value}, "the part").text("v")


@pytest.mark.parametrize("value", ["3", None, True, 3.0, -1, 11, 10**400, []])
def test_invalid_integers_raise(value: object) -> None:
    with pytest.raises(ModelFileError, match="should be a whole number from 0 to 10, but is"):
        JsonReader({"v": value}, "the part").whole("v", 0, 10)


@pytest.mark.parametrize(
    "value", ["3", None, True, float("nan"), float("inf"), -float("inf"), 10**400, [], {}]
)
def test_invalid_numbers_raise(value: object) -> None:
    fields = JsonReader({"v": value, "vs": [1.0, value]}, "the part")
    with pytest.raises(ModelFileError, match="field 'v' of the part should be a finite number,"):
        fields.number("v")
    with pytest.raises(ModelFileError, match="field 'vs' of the part should be a finite number,"):
        fields.numbers("vs")


@pytest.mark.parametrize("value", [0, 0.0, -1.5])
def test_positive_numbers(value: float) -> None:
    assert JsonReader({"v": value}, "").number("v") == value
    with pytest.raises(ModelFileError, match="a finite number above zero, but is"):
        JsonReader({"v": value}, "").number("v", positive=True)


@pytest.mark.parametrize("value", ["ab", None, {"a": 1}, [1], ["a", "a"], ["a", None], ["\udfff"]])
def test_invalid_text_lists_raise(value: object) -> None:
    with pytest.raises(ModelFileError, match="should be a list"):
        JsonReader({"v": value}, "").texts("v")


def test_messages() -> None:
    with pytest.raises(ModelFileError) as caught:
        FIELDS.text("t", ("y", "z"))
    assert (
        str(caught.value) == f"{START}field 't' of the part should be one of 'y', 'z', but is 'x'."
    )
    with pytest.raises(ModelFileError) as caught:
        FIELDS.text("no")
    assert str(caught.value) == f"{START}field 'no' of the part is absent."
    with pytest.raises(ModelFileError) as caught:
        FIELDS.only("t", "n", "f", "ts", "ns")
    assert str(caught.value) == f"{START}the part has the unknown field 'os'."


@given(st.one_of(st.text(), st.integers(), st.lists(st.text()), st.floats()), st.integers(5, 80))
def test_shortened_fits_on_a_line(value: object, width: int) -> None:
    text = shortened(value, width)
    assert len(text) <= width
    assert text.isprintable()


def test_shortened_handles_deep_nesting() -> None:
    deep = json.loads("[" * 500 + "]" * 500)
    assert len(shortened(deep)) <= 60


class Pair(NamedTuple):
    x: float
    y: float


@dataclass(frozen=True)
class Part:
    level: Literal["note", "warning"]
    n: int
    flag: bool
    pairs: tuple[Pair, ...]
    ends: tuple[float | None, int]
    share: Pair | None = None
    name: str | None = None


PART = {"level": "note", "n": 3, "flag": True, "pairs": [[1, 2.5]], "ends": [None, 4]}


def test_record_follows_the_type_hints() -> None:
    expected = Part("note", 3, True, (Pair(1.0, 2.5),), (None, 4))
    assert JsonReader(PART, "the part").record(Part) == expected
    more = {**PART, "share": {"x": 0, "y": 1}, "name": None}
    assert JsonReader(more, "the part").record(Part) == replace(expected, share=Pair(0.0, 1.0))
    assert JsonReader({"parts": [PART]}, "it").typed("parts", list[Part]) == [expected]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"level": "error"},
            "'level' of the part should be one of 'note', 'warning', but is 'error'",
        ),
        ({"level": []}, "'level' of the part should be one of"),
        ({"n": True}, "'n' of the part should be a whole number from 0"),
        ({"n": -1}, "'n' of the part should be a whole number from 0"),
        ({"n": 2**60}, "'n' of the part should be a whole number from 0"),
        ({"flag": 1}, "'flag' of the part should be true or false"),
        ({"pairs": [[1]]}, "'pairs' of the part should be a list of 2 values"),
        ({"pairs": [["a", 1]]}, "'pairs' of the part should be a finite number"),
        ({"pairs": None}, "'pairs' of the part should be a list"),
        ({"ends": [1.0, 4, 5]}, "'ends' of the part should be a list of 2 values"),
        ({"share": {"x": 1}}, "'y' of 'share' of the part is absent"),
        ({"share": {"x": 1, "y": 2, "z": 3}}, "'share' of the part has the unknown field 'z'"),
        ({"name": "\ud800"}, "'name' of the part should be text"),
    ],
)
def test_record_refuses_other_types(change: dict[str, object], message: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        JsonReader({**PART, **change}, "the part").record(Part)
    assert message in str(caught.value)


def test_record_refuses_absent_fields() -> None:
    with pytest.raises(ModelFileError, match="field 'level' of the part is absent"):
        JsonReader({}, "the part").record(Part)
