"""The fields of a settings dataclass: types and ranges, as its annotations state them."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

MISMATCH: Any = object()
"""What `typed` returns for a value of another type or out of range."""

_RANGE = re.compile(r"(?:(?P<least>\S+) (?P<above><=?) )?x(?: (?P<below><=?) (?P<most>\S+))?")
_SCALARS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
}


class FieldError(ValueError):
    """A field with a value that is not allowed.

    Attributes:
        field: its name; the message begins with it.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)
        self.field = field

    def __str__(self) -> str:
        return str(self.args[1])


def check_fields(settings: Any) -> None:
    """Check all fields of a dataclass; for its `__post_init__`.

    Values are converted to their types, so that equal settings are equal values: a list becomes a
    tuple, and 1 becomes 1.0 where a float is wanted.

    Raises:
        FieldError: a value has another type, or is out of range.
    """
    for name, wanted in field_types(type(settings)).items():
        given = getattr(settings, name)
        value = typed(wanted, given)
        if value is MISMATCH:
            raise FieldError(name, f"{name} is {given!r:.100}; wanted {described(wanted)}")
        object.__setattr__(settings, name, value)


def field_types(kind: type) -> Mapping[str, Any]:
    """The types of a dataclass's fields, by name; a field whose default is None may be null."""
    return _field_types(kind)


@cache  # a prepared folder has ten thousand records
def _field_types(kind: Any) -> Mapping[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {
        field.name: hints[field.name] | None if field.default is None else hints[field.name]
        for field in dataclasses.fields(kind)
        if field.init
    }


def typed(wanted: Any, value: Any) -> Any:
    """Return a Python value as a type has it, or MISMATCH."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return value
    if origin is Annotated:
        found = typed(arguments[0], value)
        return found if found is MISMATCH or _is_within(found, arguments[1]) else MISMATCH
    if is_union(wanted):
        tried = (typed(kind, value) for kind in arguments)
        return next((found for found in tried if found is not MISMATCH), MISMATCH)
    if origin is Literal:
        # True equals 1: compare the types too.
        same = (choice for choice in arguments if type(choice) is type(value) and choice == value)
        return next(same, MISMATCH)
    if origin is tuple:
        return _typed_items(arguments, value)
    if isinstance(value, bool) and wanted is not bool:
        return MISMATCH
    if wanted is float:
        is_finite = isinstance(value, (int, float)) and math.isfinite(value)
        return float(value) if is_finite else MISMATCH
    return value if isinstance(value, origin or wanted) else MISMATCH


def _typed_items(wanted: tuple[Any, ...], value: Any) -> Any:
    kinds = item_types(wanted, len(value)) if isinstance(value, (tuple, list)) else None
    if kinds is None:
        return MISMATCH
    items = tuple(typed(kind, item) for kind, item in zip(kinds, value, strict=True))
    return MISMATCH if any(item is MISMATCH for item in items) else items


def item_types(wanted: tuple[Any, ...], count: int) -> tuple[Any, ...] | None:
    """The type of each item of a tuple of `count`; None where it may not have so many."""
    if len(wanted) == 2 and wanted[1] is Ellipsis:
        return wanted[:1] * count
    return wanted if len(wanted) == count else None


def _is_within(value: float, bounds: str) -> bool:
    """Whether a number lies in a range such as "0 <= x < 1"; an end may be left out."""
    found = _RANGE.fullmatch(bounds)
    assert found is not None, f"'{bounds}' is no range"
    least, most = float(found["least"] or -math.inf), float(found["most"] or math.inf)
    above = value > least if found["above"] == "<" else value >= least
    below = value < most if found["below"] == "<" else value <= most
    return above and below


def is_union(wanted: Any) -> bool:
    """Whether a type is `A | B`."""
    return get_origin(wanted) in (typing.Union, types.UnionType)


def described(wanted: Any) -> str:
    """A type in words, such as "a whole number x with 1 <= x, or null"."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return f"{described(arguments[0])} x with {arguments[1]}"
    if is_union(wanted):
        return ", or ".join(described(choice) for choice in arguments)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is tuple:
        several = "a list" if arguments[-1] is Ellipsis else f"a list of {len(arguments)}"
        return f"{several}, each {described(arguments[0])}"
    return _SCALARS.get(wanted, "keys with values")


def plain_values(value: Any) -> Any:
    """A dataclass, mapping or tuple as what YAML and JSON hold; `read_section` reads it again."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: plain_values(getattr(value, name)) for name in field_types(type(value))}
    if isinstance(value, Mapping):
        return {str(key): plain_values(item) for key, item in value.items()}
    return [plain_values(item) for item in value] if isinstance(value, (tuple, list)) else value
