import dataclasses
from typing import Any, Literal

import pytest

from keras_noisy_student.storage.typed_fields import from_json


@dataclasses.dataclass(frozen=True)
class Example:
    number: int
    share: float
    names: list[str]
    logs: dict[str, list[float]]
    choice: Literal["a", "b"] = "a"
    maybe: int | None = None
    anything: Any = None


CONTENT = {"number": 1, "share": 2, "names": ["a"], "logs": {"loss": [1.0, 2]}}


@pytest.mark.parametrize(
    "change", [{}, {"maybe": 3}, {"maybe": None}, {"choice": "b"}, {"anything": [{}]}, {"names": []}]
)
def test_fields_of_the_declared_types_are_taken(change):
    content = CONTENT | change
    assert from_json(Example, content) == Example(**content)


@pytest.mark.parametrize(
    "change",
    [
        {"number": "1"},
        {"number": 1.5},
        {"number": True},
        {"share": "x"},
        {"share": False},
        {"names": "abc"},
        {"names": [1]},
        {"logs": {"loss": 3}},
        {"logs": [["loss", [1]]]},
        {"choice": "c"},
        {"maybe": "x"},
        {"__class__": "os.system"},
        {"unknown": 1},
    ],
)
def test_fields_of_other_types_and_unknown_ones_are_refused(change):
    with pytest.raises(TypeError, match=rf"field '{next(iter(change))}' is unknown or of another type"):
        from_json(Example, CONTENT | change)


@pytest.mark.parametrize("content", [None, [], "x", 3])
def test_what_is_no_object_is_refused(content):
    with pytest.raises(TypeError, match="expected an object, received"):
        from_json(Example, content)


def test_a_missing_field_is_refused():
    with pytest.raises(TypeError, match="missing"):
        from_json(Example, {"number": 1})
