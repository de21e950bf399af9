"""MobileNets out of TensorFlow Lite files: an image classifier's, or that of a segmenter.

The operators are followed from the image on and compared with the networks' tables. What the file
has behind them (a classifier, DeepLab's or MOSAIC's head) is left out.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fafnet_core.checkpoints.folded_mobilenet import FoldedMobileNet
from fafnet_core.checkpoints.tflite_file import (
    Graph,
    Operator,
    Quantisation,
    errors_of,
    read_content,
    refuse,
    written,
)
from fafnet_core.models.mobilenet import ARCHITECTURES, Architecture


@dataclass(frozen=True)
class _Layer:
    """A convolution as the table wants it.

    Attributes:
        name: torchvision's.
        kernel: as the file has it, OHWI; of a depthwise one 1HWC.
        depthwise: one kernel for each channel.
        strides: those allowed.
        linear: no activation behind it: the last of a block.
        residual: a sum with the input of the block follows.
    """

    name: str
    kernel: tuple[int, int, int, int]
    depthwise: bool = False
    strides: tuple[int, ...] = (1,)
    linear: bool = False
    residual: bool = False

    @property
    def kind(self) -> str:
        return "DEPTHWISE_CONV_2D" if self.depthwise else "CONV_2D"

    @property
    def axis(self) -> int:
        """Of the kernel: its output channels."""
        return 3 if self.depthwise else 0


def _layers(network: Architecture) -> Iterator[_Layer]:
    yield _Layer("features.0.0", (network.stem, 3, 3, 3), strides=(2,))
    width = network.stem
    for number, block in enumerate(network.blocks, start=1):
        name, inner = f"features.{number}.conv", width * block.expansion
        part = 0
        if block.expansion > 1:
            yield _Layer(f"{name}.0.0", (inner, 1, 1, width))
            part = 1
        # A network for labelling dilates instead of the last strides.
        strides = (1,) if block.stride == 1 else (1, block.stride)
        kernel = (1, block.kernel, block.kernel, inner)
        yield _Layer(f"{name}.{part}.0", kernel, depthwise=True, strides=strides)
        yield _Layer(
            f"{name}.{part + 1}",
            (block.channels, 1, 1, inner),
            linear=True,
            residual=block.stride == 1 and block.channels == width,
        )
        width = block.channels
    if network.last is not None:
        yield _Layer(f"features.{len(network.blocks) + 1}.0", (network.last, 1, 1, width))


def read_folded_mobilenet(path: str | Path) -> FoldedMobileNet:
    """Take a MobileNet out of a TensorFlow Lite file, with weights in int8, uint8 or float32.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file, a damaged one, another network, or a value that is not
            finite; or the library that reads such files is not installed.
    """
    content = read_content(path)
    with errors_of(path):
        graph = Graph(content)
        size = graph.shape(graph.input)
        if len(size) != 4 or size[3] != 3:
            raise refuse(f"its input is {written(size)}", "an image, 1xHxWx3")
        name = _name(graph)
        network = ARCHITECTURES[name]
        tensors: dict[str, NDArray[np.float32]] = {}
        stored_as, output_stride = "", 1
        for layer, operator in _walk(graph, network):
            output_stride *= _check_options(graph, network, layer, operator)
            weight, bias = _values(graph, layer, operator)
            # OHWI -> OIHW; 1HWC -> C1HW.
            axes = (3, 0, 1, 2) if layer.depthwise else (0, 3, 1, 2)
            tensors[f"{layer.name}.weight"] = np.ascontiguousarray(weight.transpose(axes))
            tensors[f"{layer.name}.bias"] = bias
            stored_as = stored_as or graph.dtype(operator.inputs[1]).name
        return FoldedMobileNet(
            backbone=name,
            tensors=tensors,
            stored_as=stored_as,
            input_range=_input_range(graph),
            # A size that is not fixed is stored as 1.
            input_size=(size[1], size[2]) if min(size[1:3]) > 1 else None,
            output_stride=output_stride,
            sha256=hashlib.sha256(content).hexdigest(),
        )


def _name(graph: Graph) -> str:
    """Which of the networks can be followed furthest: the one it is, or is meant to be."""
    reached = {}
    for name, network in ARCHITECTURES.items():
        reached[name] = 0
        with contextlib.suppress(ValueError):
            for _ in _walk(graph, network):
                reached[name] += 1
    return max(reached, key=reached.__getitem__)


def _walk(graph: Graph, network: Architecture) -> Iterator[tuple[_Layer, Operator]]:
    """Follow the image through the table's convolutions; a branch off the way does not matter."""
    current, last = graph.input, -1
    first = next((found for found in graph.operators if current in found.inputs), None)
    if first is not None and first.kind == "QUANTIZE":
        current, last = first.outputs[0], first.place
    block_input = current
    for layer in _layers(network):
        operator = _convolution(graph, network, layer, current, last)
        yield layer, operator
        current, last = operator.outputs[0], operator.place
        if layer.residual:
            operator = _sum(graph, network, layer, {current, block_input}, last)
            current, last = operator.outputs[0], operator.place
        if layer.linear:
            block_input = current


def _convolution(
    graph: Graph, network: Architecture, layer: _Layer, tensor: int, last: int
) -> Operator:
    """The one behind operator `last` that takes the tensor and has the layer's kernel."""
    others = []
    for operator in graph.operators[last + 1 :]:
        if tensor not in operator.inputs:
            continue
        came = operator.kind
        is_convolution = came in ("CONV_2D", "DEPTHWISE_CONV_2D")
        if is_convolution and len(operator.inputs) == 3 and operator.inputs[0] == tensor:
            kernel = graph.shape(operator.inputs[1])
            if operator.kind == layer.kind and kernel == layer.kernel:
                return operator
            came = f"{came} {written(kernel)}"
        others.append(f"{came} (operator {operator.place})")
    raise refuse(
        f"it is not {network.title} of width 1: at {layer.name} it has"
        f" {' and '.join(others[:3]) or 'nothing'}",
        f"{layer.kind} {written(layer.kernel)} and a bias",
    )


def _sum(
    graph: Graph, network: Architecture, layer: _Layer, tensors: set[int], last: int
) -> Operator:
    for operator in graph.operators[last + 1 :]:
        if operator.kind == "ADD" and set(operator.inputs) == tensors:
            return operator
    raise refuse(
        f"it is not {network.title}: no ADD follows {layer.name}", "the sum with the block's input"
    )


def _check_options(graph: Graph, network: Architecture, layer: _Layer, operator: Operator) -> int:
    """The convolution's stride, where that, padding and activation are as they should be."""
    found = graph.convolution(operator)
    if found.stride not in [(stride, stride) for stride in layer.strides]:
        raise refuse(
            f"{layer.name} has stride {written(found.stride)}",
            " or ".join(map(str, layer.strides)),
        )
    if layer.kernel[1] > 1 and found.padding != "SAME":
        raise refuse(f"{layer.name} has padding {found.padding}", "SAME")
    wanted = "NONE" if layer.linear else network.activation.upper()
    if found.activation != wanted:
        raise refuse(f"{layer.name} has activation {found.activation}", wanted)
    return found.stride[0]


def _values(
    graph: Graph, layer: _Layer, operator: Operator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel, as the file has it, and bias, in real numbers."""
    image, kernel, bias = operator.inputs
    channels = layer.kernel[layer.axis]
    weight, shift = graph.stored(kernel, layer.kernel), graph.stored(bias, (channels,))
    if weight.dtype != np.float32:
        weight = graph.quantisation(kernel, channels, layer.axis).real(weight)
    if shift.dtype != np.float32:
        # TensorFlow Lite's definition: input scale x weight scale, and no zero point.
        scale = graph.quantisation(kernel, channels, layer.axis).scale
        with np.errstate(over="ignore", under="ignore"):
            scale = graph.quantisation(image).scale * scale
        shift = Quantisation(scale, np.zeros(scale.shape, np.int64), axis=0).real(shift)
    if not (np.isfinite(weight).all() and np.isfinite(shift).all()):
        raise refuse(f"{layer.name} has values that are not finite", "finite ones")
    return weight, shift


def _input_range(graph: Graph) -> tuple[float, float] | None:
    dtype = graph.dtype(graph.input)
    if dtype == np.float32:
        return None
    limits = np.iinfo(dtype)
    low, high = graph.quantisation(graph.input).real(np.array([limits.min, limits.max]))
    return float(low), float(high)
