"""Writes TensorFlow Lite files, whole or wrong on purpose, with the library's own builder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite
from numpy.typing import NDArray

CONV, DEPTHWISE, ADD, QUANTIZE, SOFTMAX = 3, 4, 0, 114, 25
SAME, VALID = 0, 1
NONE, RELU, RELU6 = 0, 1, 3
FLOAT32, FLOAT16, INT32, UINT8, INT8 = 0, 1, 2, 3, 9

# The networks, block by block; written out here once more, and not taken from what is tested.
# Expansion, kernel, channels, stride of every block, and what is behind them.
_V2 = [(1, 3, 16, 1), (6, 3, 24, 2), (6, 3, 24, 1), (6, 3, 32, 2), *[(6, 3, 32, 1)] * 2]
_V2 += [(6, 3, 64, 2), *[(6, 3, 64, 1)] * 3, *[(6, 3, 96, 1)] * 3]
_V2 += [(6, 3, 160, 2), *[(6, 3, 160, 1)] * 2, (6, 3, 320, 1)]
_MULTI_AVG = [(3, 3, 32, 2), (2, 3, 32, 1)]
_MULTI_AVG += [(5, 5, 64, 2), (3, 3, 64, 1), (2, 3, 64, 1), (3, 3, 64, 1)]
_MULTI_AVG += [(6, 5, 128, 2), *[(3, 3, 128, 1)] * 3, (6, 3, 160, 1), (4, 3, 160, 1)]
_MULTI_AVG += [(6, 3, 192, 2), (2, 5, 96, 1), *[(4, 5, 96, 1)] * 2]
_TABLES: dict[str, tuple[list[tuple[int, int, int, int]], int, int | None]] = {
    "mobilenet_v2": (_V2, RELU6, None),
    "mobilenet_multi_avg": (_MULTI_AVG, RELU, 448),
}


@dataclass
class Values:
    """A tensor of a file: a constant where it has data."""

    shape: tuple[int, ...]
    dtype: int
    data: bytes | None = None
    scale: list[float] | None = None
    zero: list[int] | None = None
    axis: int = 0
    buffer: int | None = None
    sparse: bool = False


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

    def block(self, number: int, width: int, row: tuple[int, int, int, int], relu: int) -> None:
        expansion, kernel, channels, stride = row
        name, begin, part = f"features.{number}.conv", self.last, 0
        inner = expansion * width
        if expansion > 1:
            self.convolution(f"{name}.0.0", inner, width, 1, 1, relu)
            part = 1
        self.convolution(f"{name}.{part}.0", inner, 1, kernel, stride, relu)
        self.convolution(f"{name}.{part + 1}", channels, inner, 1, 1, NONE)
        if stride == 1 and width == channels:
            pair = [begin, self.last] if number % 2 else [self.last, begin]
            self.last = self.image((1, 8, 8, channels), 0.03, 3)
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
    rows, relu, end = _TABLES[name]
    convolutions.convolution("features.0.0", 32, 3, 3, 2, relu)
    width = 32
    for number, row in enumerate(rows, start=1):
        convolutions.block(number, width, row, relu)
        width = row[2]
    if end is not None:
        convolutions.convolution(f"features.{len(rows) + 1}.0", end, width, 1, 1, relu)
        width = end
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
    buffers = _list(builder, [_buffer(builder, place) for place in data])
    tensors = _list(
        builder,
        [
            _tensor(builder, values, place)
            for values, place in zip(network.tensors, places, strict=True)
        ],
    )
    codes = sorted({operation.code for operation in network.operations})
    operators = _list(
        builder,
        [
            _operator(builder, operation, codes.index(operation.code))
            for operation in network.operations
        ],
    )
    inputs = builder.CreateNumpyVector(np.array(network.inputs, np.int32))
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tensors)
    tflite.SubGraphAddInputs(builder, inputs)
    tflite.SubGraphAddOperators(builder, operators)
    graphs = _list(builder, [tflite.SubGraphEnd(builder)])
    kinds = _list(builder, list(_codes(builder, codes)))
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, kinds)
    tflite.ModelAddSubgraphs(builder, graphs)
    tflite.ModelAddBuffers(builder, buffers)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _list(builder: Any, places: list[int]) -> int:
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())


def _codes(builder: Any, codes: list[int]) -> Iterator[int]:
    for code in codes:
        tflite.OperatorCodeStart(builder)
        # Both ways that files of today and of before 2020 have.
        tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, code)
        if code > 4:
            tflite.OperatorCodeAddBuiltinCode(builder, code)
        yield int(tflite.OperatorCodeEnd(builder))


def _buffer(builder: Any, data: int) -> int:
    tflite.BufferStart(builder)
    tflite.BufferAddData(builder, data)
    return int(tflite.BufferEnd(builder))


def _tensor(builder: Any, values: Values, place: int) -> int:
    shape = builder.CreateNumpyVector(np.array(values.shape, np.int32))
    quantisation = sparsity = None
    if values.scale is not None:
        scale = builder.CreateNumpyVector(np.array(values.scale, np.float32))
        zero = builder.CreateNumpyVector(np.array(values.zero, np.int64))
        tflite.QuantizationParametersStart(builder)
        tflite.QuantizationParametersAddScale(builder, scale)
        tflite.QuantizationParametersAddZeroPoint(builder, zero)
        tflite.QuantizationParametersAddQuantizedDimension(builder, values.axis)
        quantisation = tflite.QuantizationParametersEnd(builder)
    if values.sparse:
        tflite.SparsityParametersStart(builder)
        sparsity = tflite.SparsityParametersEnd(builder)
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, shape)
    tflite.TensorAddType(builder, values.dtype)
    tflite.TensorAddBuffer(builder, place if values.buffer is None else values.buffer)
    if quantisation is not None:
        tflite.TensorAddQuantization(builder, quantisation)
    if sparsity is not None:
        tflite.TensorAddSparsity(builder, sparsity)
    return int(tflite.TensorEnd(builder))


def _operator(builder: Any, operation: Operation, code: int) -> int:
    inputs = builder.CreateNumpyVector(np.array(operation.inputs, np.int32))
    outputs = builder.CreateNumpyVector(np.array(operation.outputs, np.int32))
    options = None
    kinds = {CONV: (1, "Conv2DOptions"), DEPTHWISE: (2, "DepthwiseConv2DOptions")}
    if operation.code in kinds and operation.options:
        name = kinds[operation.code][1]
        getattr(tflite, f"{name}Start")(builder)
        for key, value in {
            "Padding": operation.padding,
            "StrideW": operation.stride,
            "StrideH": operation.stride,
            "FusedActivationFunction": operation.activation,
        }.items():
            getattr(tflite, f"{name}Add{key}")(builder, value)
        options = getattr(tflite, f"{name}End")(builder)
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, code)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    if options is not None:
        tflite.OperatorAddBuiltinOptionsType(builder, kinds[operation.code][0])
        tflite.OperatorAddBuiltinOptions(builder, options)
    return int(tflite.OperatorEnd(builder))
