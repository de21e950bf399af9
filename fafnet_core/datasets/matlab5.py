"""MATLAB 5 files: numbers, text, cells and structs.

"MAT-File Format" (MathWorks), chapter 1. SciPy reads these files too, but a damaged one ends its
process: here every length is compared with what there is.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEAD = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
"""Of the types that numbers are stored as, whatever their class is."""
_CLASSES = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip
_CELL, _STRUCT, _CHARACTERS = 1, 2, 4
_COMPLEX = 0x800
_DEEPEST = 16
_UNPACKED_MOST, _UNPACKED_TIMES = 1 << 26, 50
"""A variable unpacks to so many bytes, or to so many times its size."""

Element = tuple[int, memoryview]
"""Type and data."""


class _Elements:
    """The elements of a part of a file, one after another."""

    def __init__(self, data: memoryview, order: str) -> None:
        self._data, self._order, self._at = data, order, 0

    @property
    def is_left(self) -> bool:
        return self._at < len(self._data)

    def next(self) -> Element:
        """Return an element; one of at most 4 bytes has them in its own tag."""
        if len(self._data) - self._at < 8:
            raise ValueError("it is cut short within an element")
        kind, size = struct.unpack_from(f"{self._order}II", self._data, self._at)
        begin = self._at + 8
        if kind >> 16:
            kind, size, begin = kind & 0xFFFF, kind >> 16, self._at + 4
            if size > 4:
                raise ValueError("a short element has more than 4 bytes")
        if size > len(self._data) - begin:
            raise ValueError(f"an element of {size} bytes has {len(self._data) - begin}")
        is_short = begin == self._at + 4
        padded = size if kind == _COMPRESSED else size + -size % 8
        self._at = self._at + 8 if is_short else begin + padded
        return kind, self._data[begin : begin + size]

    def numbers(self, dtype: str | None = None) -> NDArray[Any]:
        """Return an element of numbers, of any type or of this one."""
        kind, data = self.next()
        if kind not in _NUMBERS or dtype not in (None, _NUMBERS[kind]):
            raise ValueError(f"an element is of type {kind}; wanted {dtype or 'numbers'}")
        stored = np.dtype(self._order + _NUMBERS[kind])
        if len(data) % stored.itemsize:
            raise ValueError("an element ends within a number")
        return np.frombuffer(data, stored)


def read_variables(content: bytes, names: Iterable[str]) -> dict[str, Any]:
    """Return some variables, those that are there; dimensions of 1 are dropped.

    Numbers come as arrays, text as str, cells as arrays of these, structs as objects with
    attributes.

    Raises:
        ValueError: no such file, or a damaged one.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[126:_HEAD])
    if order is None or len(content) < _HEAD:
        raise ValueError("it is no MATLAB 5 file")
    wanted, found = set(names), {}
    for data in _variables(memoryview(content)[_HEAD:], order):
        parts = _Elements(data, order)
        _, _, name = _description(parts)
        if name in wanted:
            found[name] = _value(data, order, 0)
    return found


def _variables(data: memoryview, order: str) -> Iterator[memoryview]:
    """Yield the matrices of a file."""
    elements = _Elements(data, order)
    while elements.is_left:
        kind, part = elements.next()
        if kind == _COMPRESSED:
            most = max(_UNPACKED_MOST, _UNPACKED_TIMES * len(part))
            unpacker = zlib.decompressobj()
            try:
                unpacked = unpacker.decompress(part, most)
            except zlib.error as error:
                raise ValueError(f"a variable is damaged: {error}") from error
            if unpacker.unconsumed_tail:
                raise ValueError(f"a variable unpacks to more than {most} bytes")
            kind, part = _Elements(memoryview(unpacked), order).next()
        if kind == _MATRIX:
            yield part


def _description(parts: _Elements) -> tuple[int, tuple[int, ...], str]:
    """Return flags with the class, the shape and the name of a matrix."""
    flags = parts.numbers("u4")
    shape = tuple(parts.numbers("i4").tolist())
    name = parts.numbers("i1").tobytes().decode("latin-1")
    if flags.size != 2 or not 2 <= len(shape) <= 8 or min(shape) < 0:
        raise ValueError(f"a variable has the shape {shape}")
    return int(flags[0]), shape, name


def _value(data: memoryview, order: str, depth: int) -> Any:
    """Return the value of a matrix."""
    if depth > _DEEPEST:
        raise ValueError(f"cells and structs are nested more than {_DEEPEST} deep")
    if not data:
        return np.empty(0)  # MATLAB writes an empty matrix so
    parts = _Elements(data, order)
    flags, shape, _ = _description(parts)
    kind, count = flags & 0xFF, math.prod(shape)
    if count > len(data):
        raise ValueError(f"a variable of {len(data)} bytes has {count} values")
    if kind == _CELL:
        return _squeezed([_nested(parts, order, depth) for _ in range(count)], shape)
    if kind == _STRUCT:
        names = _field_names(parts)
        return _squeezed(
            [
                SimpleNamespace(**{name: _nested(parts, order, depth) for name in names})
                for _ in range(count)
            ],
            shape,
        )
    if kind == _CHARACTERS:
        return _text(parts, shape, order)
    if kind not in _CLASSES or flags & _COMPLEX:
        raise ValueError(f"a variable is of class {kind}, which is not read here")
    numbers = parts.numbers()
    if numbers.size != count:
        raise ValueError(f"a variable of shape {shape} has {numbers.size} values")
    return numbers.astype(_CLASSES[kind]).reshape(shape, order="F").squeeze()[()]


def _nested(parts: _Elements, order: str, depth: int) -> Any:
    kind, data = parts.next()
    if kind != _MATRIX:
        raise ValueError(f"an element is of type {kind}; wanted a matrix")
    return _value(data, order, depth + 1)


def _field_names(parts: _Elements) -> list[str]:
    (length,) = parts.numbers("i4").tolist() or [0]
    text = parts.numbers("i1").tobytes()
    if length < 1 or len(text) % length:
        raise ValueError("the names of a struct's fields are damaged")
    pieces = [text[i : i + length] for i in range(0, len(text), length)]
    return [piece.partition(b"\0")[0].decode("latin-1") for piece in pieces]


def _text(parts: _Elements, shape: tuple[int, ...], order: str) -> Any:
    """Return text; of several rows an array of them."""
    kind, data = parts.next()
    if kind == 16:
        text = bytes(data).decode("utf-8", errors="replace")
    elif kind in (4, 17):
        codec = "utf-16-le" if order == "<" else "utf-16-be"
        text = bytes(data).decode(codec, errors="replace")
    else:
        text = bytes(data).decode("latin-1")
    rows = shape[0]
    if rows <= 1 or not text:
        return text
    if len(text) % rows:
        raise ValueError(f"a text of shape {shape} has {len(text)} letters")
    return np.array([text[row::rows].rstrip() for row in range(rows)])


def _squeezed(items: list[Any], shape: tuple[int, ...]) -> Any:
    values = np.empty(len(items), object)
    for place, item in enumerate(items):
        values[place] = item
    return values.reshape(shape, order="F").squeeze()[()]
