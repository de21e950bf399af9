"""Writes TensorFlow Lite files, whole or wrong on purpose, with the library's own builder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite
from numpy.typing import NDArray

from fafnet_core.models.mobilenet import ARCHITECTURES, Block

CONV, DEPTHWISE, ADD, QUANTIZE, SOFTMAX = 3, 4, 0, 114, 25
SAME, VALID = 0, 1
NONE, RELU, RELU6 = 0, 1, 3
FLOAT32, FLOAT16, INT32, UINT8, INT8 = 0, 1, 2, 3, 9
_OPTIONS = {CONV: (1, "Conv2DOptions"), DEPTHWISE: (2, "DepthwiseConv2DOptions")}


@dataclass
class Values:
    """A tensor of a file: a constant where it has data."""

    shape: tuple[int, ...]
    dtype: int
    data: bytes | None = None
    scale: list[float] | None = None
    zero: list[int] | None = None
    axis: int = 0


@dataclass
class Operation:
    """An operator of a file, of the kind that `code` is; convolutions have options."""

    code: int
    inputs: list[int]
    outputs: list[int]
    stride: int = 1
    padding: int = SAME
    activation: int = NONE
    options: bool = True


@dataclass
class Network:
    """What is written, and under `wanted` the real numbers of every convolution in float64."""

    tensors: list[Values] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    inputs: list[int] = field(default_factory=lambda: [0])
    wanted: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def add(self, values: Values) -> int:
        self.tensors.append(values)
        return len(self.tensors) - 1


class _Convolutions:
    """Adds random convolutions to a network, one behind the other."""

    def __init__(self, network: Network, dtype: int, seed: int) -> None:
        self.network, self.dtype = network, dtype
        self.random = np.random.default_rng(seed)
        self.last = 0

    def image(self, shape: tuple[int, ...], scale: float, zero: int) -> int:
        if self.dtype == FLOAT32:
            return self.network.add(Values(shape, FLOAT32))
        return self.network.add(Values(shape, self.dtype, scale=[scale], zero=[zero]))

    def convolution(
        self, name: str, channels: int, inner: int, size: int, stride: int, activation: int
    ) -> None:
        """Kernels are made as PyTorch has them, (O, I, H, W), and stored as they are in files."""
        depthwise = inner == 1
        shape = (channels, inner, size, size)
        scales = 1 if self.dtype == UINT8 else channels
        if self.dtype == FLOAT32:
            scale: NDArray[np.float32] = np.ones(1, np.float32)
            zero = 0
            stored: NDArray[Any] = self.random.standard_normal(shape).astype(np.float32)
            shift: NDArray[Any] = self.random.standard_normal(channels).astype(np.float32)
        else:
            scale = self.random.uniform(0.001, 0.01, scales).astype(np.float32)
            zero = 120 if self.dtype == UINT8 else 0
            low, high = (0, 256) if self.dtype == UINT8 else (-128, 128)
            stored = self.random.integers(low, high, shape)
            shift = self.random.integers(-30000, 30000, channels).astype("<i4")
        before = self.network.tensors[self.last].scale or [1.0]
        bias_scale = np.float32(before[0]) * scale
        real = (stored.astype(np.float64) - zero) * scale.reshape(-1, 1, 1, 1).astype(np.float64)
        self.network.wanted[f"{name}.weight"] = real
        self.network.wanted[f"{name}.bias"] = shift * bias_scale.astype(np.float64)

        dtype = {FLOAT32: "<f4", UINT8: "u1", INT8: "i1"}[self.dtype]
        turned = stored.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1)).astype(dtype)
        kernel = Values(turned.shape, self.dtype, turned.tobytes())
        bias = Values((channels,), FLOAT32 if self.dtype == FLOAT32 else INT32, shift.tobytes())
        if self.dtype != FLOAT32:
            kernel.scale, kernel.zero = scale.tolist(), [zero] * scales
            kernel.axis = 3 if depthwise else 0
            bias.scale, bias.zero = bias_scale.tolist(), [0] * scales
        inputs = [self.last, self.network.add(kernel), self.network.add(bias)]
        self.last = self.image((1, 8, 8, channels), float(self.random.uniform(0.02, 0.05)), 3)
        code = DEPTHWISE if depthwise else CONV
        self.network.operations.append(
            Operation(code, inputs, [self.last], stride=stride, activation=activation)
        )

    def block(self, number: int, width: int, block: Block, relu: int) -> None:
        name, begin, part = f"features.{number}.conv", self.last, 0
        inner = block.expansion * width
        if block.expansion > 1:
            self.convolution(f"{name}.0.0", inner, width, 1, 1, relu)
            part = 1
        self.convolution(f"{name}.{part}.0", inner, 1, block.kernel, block.stride, relu)
        self.convolution(f"{name}.{part + 1}", block.channels, inner, 1, 1, NONE)
        if block.stride == 1 and width == block.channels:
            pair = [begin, self.last] if number % 2 else [self.last, begin]
            self.last = self.image((1, 8, 8, width), 0.03, 3)
            self.network.operations.append(Operation(ADD, pair, [self.last]))


def mobilenet(dtype: int = INT8, seed: int = 0, name: str = "mobilenet_v2") -> Network:
    """A MobileNet of width 1 with random weights, an image in front and a classifier behind it.

    INT8 has one scale for each channel and a QUANTIZE in front, UINT8 one scale for all.
    """
    network = Network()
    convolutions = _Convolutions(network, dtype, seed)
    size = (1, 224, 192, 3)
    if dtype == INT8:
        network.add(Values(size, UINT8, scale=[2 / 255], zero=[127]))
        convolutions.last = convolutions.image(size, 2 / 255, -1)
        network.operations.append(Operation(QUANTIZE, [0], [1]))
    else:
        convolutions.image(size, 1 / 128, 128)
    table = ARCHITECTURES[name]
    relu = RELU6 if table.activation == "ReLU6" else RELU
    convolutions.convolution("features.0.0", 32, 3, 3, 2, relu)
    width = 32
    for number, block in enumerate(table.blocks, start=1):
        convolutions.block(number, width, block, relu)
        width = block.channels
    if table.last is not None:
        name = f"features.{len(table.blocks) + 1}.0"
        convolutions.convolution(name, table.last, width, 1, 1, relu)
        width = table.last
    convolutions.convolution("classifier", 5, width, 1, 1, NONE)
    for part in ("weight", "bias"):
        del network.wanted[f"classifier.{part}"]
    last = network.add(Values((1, 8, 8, 5), FLOAT32))
    network.operations.append(Operation(SOFTMAX, [convolutions.last], [last]))
    return network


def write(network: Network) -> bytes:
    """The bytes of the file. Constants come last in it: what is in front leads to them."""
    builder = flatbuffers.Builder(1 << 21)
    data = [builder.CreateByteVector(b"")]
    places = []
    for values in network.tensors:
        places.append(len(data) if values.data is not None else 0)
        if values.data is not None:
            data.append(builder.CreateByteVector(values.data))
    buffers = _list(builder, [_table(builder, "Buffer", Data=place) for place in data])
    pairs = zip(network.tensors, places, strict=True)
    tensors = _list(builder, [_tensor(builder, values, place) for values, place in pairs])
    codes = sorted({operation.code for operation in network.operations})
    operators = _list(builder, [_operator(builder, one, codes) for one in network.operations])
    inputs = _numbers(builder, network.inputs, np.int32)
    graph = _table(builder, "SubGraph", Tensors=tensors, Inputs=inputs, Operators=operators)
    graphs = _list(builder, [graph])
    # Files of before 2020 have the deprecated field alone.
    both = [(code, code if code > 4 else None) for code in codes]
    kinds = _list(
        builder,
        [_table(builder, "OperatorCode", DeprecatedBuiltinCode=a, BuiltinCode=b) for a, b in both],
    )
    model = _table(
        builder, "Model", Version=3, OperatorCodes=kinds, Subgraphs=graphs, Buffers=buffers
    )
    builder.Finish(model, file_identifier=b"TFL3")
    return bytes(builder.Output())


def _table(builder: Any, kind: str, **fields: int | None) -> int:
    """Write a table of the schema; a field that is None is left out."""
    getattr(tflite, f"{kind}Start")(builder)
    for name, value in fields.items():
        if value is not None:
            getattr(tflite, f"{kind}Add{name}")(builder, value)
    return int(getattr(tflite, f"{kind}End")(builder))


def _list(builder: Any, places: list[int]) -> int:
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())


def _numbers(builder: Any, values: Sequence[float], dtype: type) -> int:
    return int(builder.CreateNumpyVector(np.array(values, dtype)))


def _tensor(builder: Any, values: Values, place: int) -> int:
    quantisation = None
    if values.scale is not None:
        assert values.zero is not None
        quantisation = _table(
            builder,
            "QuantizationParameters",
            Scale=_numbers(builder, values.scale, np.float32),
            ZeroPoint=_numbers(builder, values.zero, np.int64),
            QuantizedDimension=values.axis,
        )
    shape = _numbers(builder, values.shape, np.int32)
    return _table(
        builder,
        "Tensor",
        Shape=shape,
        Type=values.dtype,
        Buffer=place,
        Quantization=quantisation,
    )


def _operator(builder: Any, operation: Operation, codes: list[int]) -> int:
    kind, options = None, None
    if operation.code in _OPTIONS and operation.options:
        kind, name = _OPTIONS[operation.code]
        options = _table(
            builder,
            name,
            Padding=operation.padding,
            StrideW=operation.stride,
            StrideH=operation.stride,
            FusedActivationFunction=operation.activation,
        )
    return _table(
        builder,
        "Operator",
        Inputs=_numbers(builder, operation.inputs, np.int32),
        Outputs=_numbers(builder, operation.outputs, np.int32),
        OpcodeIndex=codes.index(operation.code),
        BuiltinOptionsType=kind,
        BuiltinOptions=options,
    )
