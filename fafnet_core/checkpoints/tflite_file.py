"""TensorFlow Lite files (flatbuffers): operators and constant tensors; nothing in them is run.

The library `tflite` knows the schema (tensorflow/lite/schema/schema.fbs) and reads whatever an
offset or a length leads to. So lists are cut here, and a constant needs exactly its own bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

IDENTIFIER = b"TFL3"
"""At bytes 4 to 8 of every file."""
LARGEST_FILE = 256 * 2**20
"""Bytes; MobileNetV2 in float32 has 14 MB."""

_MOST_OPERATORS = 4096
_MOST_NUMBERS = 16
"""Of a shape, or of the tensors that an operator takes: what follows is not read."""
_DTYPES = {0: "<f4", 2: "<i4", 3: "u1", 9: "i1"}
"""By the schema's TensorType, as stored: little endian on every machine."""
# What the library, struct and NumPy raise for an offset or a length that leads out of the file.
_OUT_OF_BOUNDS = (struct.error, TypeError, ValueError, IndexError, OverflowError)


class _RefusedError(ValueError):
    """The message says what came and what was wanted."""


@dataclass(frozen=True)
class Operator:
    """One operator of a graph.

    Attributes:
        place: its number in execution order, from 0.
        kind: the schema's name, such as CONV_2D.
        inputs: numbers of tensors; -1 stands for one that is left out.
        outputs: numbers of tensors.
    """

    place: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Convolution:
    """Options of a CONV_2D or DEPTHWISE_CONV_2D, in the schema's words.

    Attributes:
        stride: rows and columns.
        padding: SAME or VALID.
        activation: NONE, RELU, RELU6 or others.
    """

    stride: tuple[int, int]
    padding: str
    activation: str


@dataclass(frozen=True)
class Quantisation:
    """real = scale (stored - zero), with one scale for all or one for each index of an axis.

    Attributes:
        scale: float32 (1,) or (C,), finite and above 0.
        zero: int64, as many.
        axis: which one has C indices.
    """

    scale: NDArray[np.float32]
    zero: NDArray[np.int64]
    axis: int

    def real(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """The values of a stored tensor; infinite where float32 cannot hold them."""
        shape = [1] * stored.ndim
        shape[self.axis] = -1
        scale, zero = self.scale.reshape(shape), self.zero.astype(np.float32).reshape(shape)
        with np.errstate(over="ignore"):
            return np.asarray((stored.astype(np.float32) - zero) * scale, np.float32)


def is_tflite(path: str | Path) -> bool:
    """Tell by the content whether a file calls itself TensorFlow Lite."""
    with Path(path).open("rb") as file:
        return file.read(8)[4:] == IDENTIFIER


def read_content(path: str | Path) -> bytes:
    """The bytes of a TensorFlow Lite file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file, or one too large to be a network of this project.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    if not is_tflite(path):
        raise ValueError(f"{path} is no TensorFlow Lite file: it has no {IDENTIFIER.decode()}")
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{path} has more than {LARGEST_FILE >> 20} MiB, the most that is read")
    return path.read_bytes()


@contextmanager
def errors_of(path: str | Path) -> Iterator[None]:
    """Turn what goes wrong while reading into a ValueError that names the file."""
    try:
        yield
    except _RefusedError as error:
        raise ValueError(f"{path}: {error}") from error
    except _OUT_OF_BOUNDS as error:
        raise ValueError(
            f"{path} is damaged or cut short: it points to where it has no data ({error})"
        ) from error


def refuse(came: str, wanted: str) -> _RefusedError:
    """The error to raise inside `errors_of`: what came, and what was wanted."""
    return _RefusedError(f"{came}; wanted {wanted}")


class Graph:
    """The main graph of a file. All of it raises what `errors_of` turns into a ValueError.

    Args:
        content: the whole file.

    Attributes:
        input: number of the one input tensor.
        operators: in execution order.
    """

    def __init__(self, content: bytes) -> None:
        self._schema = schema = _library()
        self._model = schema.Model.GetRootAs(content, 0)
        if self._model.SubgraphsLength() < 1:
            raise refuse("it has no graph", "a network")
        self._graph = self._model.Subgraphs(0)
        inputs = _numbers(self._graph.InputsAsNumpy())
        if len(inputs) != 1:
            raise refuse(f"its graph has {len(inputs)} inputs", "one image")
        self.input = inputs[0]
        self._kinds = _names(schema.BuiltinOperator)
        count = min(self._graph.OperatorsLength(), _MOST_OPERATORS)
        self.operators = [self._operator(place) for place in range(count)]

    def _operator(self, place: int) -> Operator:
        operator = self._graph.Operators(place)
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        # Kinds above 127 have a field of their own, which old files lack.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind = self._kinds.get(number, f"kind {number}")
        inputs, outputs = operator.InputsAsNumpy(), operator.OutputsAsNumpy()
        return Operator(place, kind, _numbers(inputs), _numbers(outputs))

    def convolution(self, operator: Operator) -> Convolution:
        """The options of a CONV_2D or DEPTHWISE_CONV_2D."""
        table = self._graph.Operators(operator.place).BuiltinOptions()
        if table is None:
            raise refuse(f"operator {operator.place} has no options", "those of a convolution")
        schema = self._schema
        is_plain = operator.kind == "CONV_2D"
        options = schema.Conv2DOptions() if is_plain else schema.DepthwiseConv2DOptions()
        options.Init(table.Bytes, table.Pos)
        padding, activation = options.Padding(), options.FusedActivationFunction()
        return Convolution(
            (options.StrideH(), options.StrideW()),
            _names(schema.Padding).get(padding, str(padding)),
            _names(schema.ActivationFunctionType).get(activation, str(activation)),
        )

    def _tensor(self, number: int) -> Any:
        count = self._graph.TensorsLength()
        if not 0 <= number < count:
            raise refuse(f"an operator names tensor {number}", f"one of 0 to {count - 1}")
        return self._graph.Tensors(number)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """The shape that a tensor says it has; its numbers may be anything."""
        return _numbers(self._tensor(tensor).ShapeAsNumpy())

    def dtype(self, tensor: int) -> np.dtype[Any]:
        """float32, int32, uint8 or int8."""
        number = self._tensor(tensor).Type()
        if number not in _DTYPES:
            name = _names(self._schema.TensorType).get(number, f"type {number}")
            raise refuse(f"tensor {tensor} is {name}", "float32, int32, uint8 or int8")
        return np.dtype(_DTYPES[number])

    def stored(self, tensor: int, shape: tuple[int, ...]) -> NDArray[Any]:
        """A constant tensor as it is stored; it must have this shape and all of its bytes."""
        came, dtype = self.shape(tensor), self.dtype(tensor)
        if came != shape:
            raise refuse(f"tensor {tensor} is {written(came)}", written(shape))
        data = self._model.Buffers(self._tensor(tensor).Buffer()).DataAsNumpy()
        size, needed = (0 if isinstance(data, int) else data.size), math.prod(shape)
        if size != needed * dtype.itemsize:
            raise refuse(
                f"tensor {tensor} has {size} bytes in the file",
                f"{needed * dtype.itemsize} ({written(shape)}, {dtype.name})",
            )
        return np.frombuffer(data, dtype).reshape(shape)

    def quantisation(self, tensor: int, channels: int = 1, axis: int = 0) -> Quantisation:
        """How a tensor is quantised: with one scale, or one for each channel along an axis."""
        found, came = self._tensor(tensor).Quantization(), f"tensor {tensor}"
        scales, zeros = (found.ScaleLength(), found.ZeroPointLength()) if found else (0, 0)
        if scales not in (1, channels) or zeros != scales:
            wanted = " or ".join(map(str, sorted({1, channels})))
            raise refuse(f"{came} has {scales} scales and {zeros} zero points", f"{wanted} of each")
        if scales > 1 and found.QuantizedDimension() != axis:
            raise refuse(f"{came} has its scales on axis {found.QuantizedDimension()}", f"{axis}")
        scale = found.ScaleAsNumpy().astype(np.float32)
        if not (np.isfinite(scale) & (scale > 0)).all():
            raise refuse(f"{came} has a scale that is not finite or not above 0", "positive ones")
        return Quantisation(scale, found.ZeroPointAsNumpy().astype(np.int64), axis)


def written(shape: tuple[int, ...]) -> str:
    """A shape for people: 32x3x3x3."""
    return "x".join(map(str, shape)) or "a single number"


def _numbers(vector: Any) -> tuple[int, ...]:
    """The first numbers of a vector; the library has 0 for one that is not there."""
    return () if isinstance(vector, int) else tuple(map(int, vector[:_MOST_NUMBERS]))


def _names(enumeration: type) -> dict[int, str]:
    return {
        value: name
        for name, value in vars(enumeration).items()
        if isinstance(value, int) and not name.startswith("_")
    }


def _library() -> Any:
    try:
        import tflite
    except ImportError as error:
        raise _RefusedError(
            f"reading TensorFlow Lite needs the library tflite ({error}): pip install tflite, which"
            " is what this package's extra 'tflite' brings"
        ) from error
    return tflite
