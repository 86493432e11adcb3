"""Data classes from JSON, whose fields are of the types that the class declares: files may say anything."""

import types
import typing
from typing import Any, TypeVar

Fields = TypeVar("Fields")


def from_json(kind: type[Fields], content: Any) -> Fields:
    """Makes an instance of a data class of the content of a JSON file.

    Raises:
        TypeError: when a field is missing, unknown, or of another type.

    Example:
        >>> from keras_noisy_student.promotion import Promotion
        >>> from_json(Promotion, {"promote": "always", "stop_after": 3}).stop_after
        3
    """
    if not isinstance(content, dict):
        raise TypeError(f"expected an object, received {type(content).__name__}")
    declared = typing.get_type_hints(kind)
    for name, value in content.items():
        if name not in declared or not _is_of(value, declared[name]):
            raise TypeError(f"field {name!r} is unknown or of another type")
    return kind(**content)


def _is_of(value: Any, declared: Any) -> bool:
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if declared is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_is_of(value, argument) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin is list:
        return isinstance(value, list) and all(_is_of(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_is_of(item, arguments[1]) for item in value.values())
    if declared is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, declared) and not (declared is int and isinstance(value, bool))
