"""A MobileNet's convolutions with their norms folded in, as a file: what a backbone starts from.

The networks are those of `mobilenet.ARCHITECTURES` at width 1, under torchvision's names; of
MobileNetV2, whose 1x1 convolution to 1280 channels is left out, 51 convolutions.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from fafnet_core.files import written_beside
from fafnet_core.models.mobilenet import ARCHITECTURES

_SAME_RANGE = 0.02
"""256 levels cannot meet -1, 0 and 1 all at once: files have -0.996 to 1.004, or -1 to 0.992."""


@dataclass(frozen=True)
class FoldedMobileNet:
    """A MobileNet's weights, and what their user has to know.

    Attributes:
        backbone: which one, by its name in `ARCHITECTURES`.
        tensors: float32; weights (O, I, H, W), of depthwise ones (C, 1, H, W), and biases (O,),
            in the network's order.
        stored_as: type of the weights in the source, such as int8.
        input_range: what black and white are as the network's input; None where it takes floats,
            since then the file does not say.
        input_size: height and width in the source; None where it takes any.
        output_stride: of the last map in the source; 32, or less where it dilates.
        sha256: of the source.
    """

    backbone: str
    tensors: dict[str, NDArray[np.float32]]
    stored_as: str
    input_range: tuple[float, float] | None
    input_size: tuple[int, int] | None
    output_stride: int
    sha256: str

    @property
    def input(self) -> str:
        """The network's input in words."""
        if self.input_range is None:
            return "RGB, range not stated by the source (TensorFlow's MobileNets: [-1, 1])"
        low, high = self.input_range
        if max(abs(low + 1), abs(high - 1)) < _SAME_RANGE:
            return "RGB in [-1, 1]"
        return f"RGB in [{low:.4g}, {high:.4g}]"


def save_folded_mobilenet(path: str | Path, network: FoldedMobileNet, source: str | Path) -> None:
    """Write a safetensors file in float16, with what its user has to know as metadata.

    Args:
        path: the file; written beside its place and renamed.
        network: what to write.
        source: where it is from; its last part goes into the metadata.

    Raises:
        ValueError: a weight is too large for float16.
    """
    tensors: dict[str, NDArray[np.float16]] = {}
    for name, values in network.tensors.items():
        with np.errstate(over="ignore"):
            tensors[name] = values.astype(np.float16)
        if not np.isfinite(tensors[name]).all():
            raise ValueError(f"{source}: {name} has a value that float16 cannot hold")
    note = "float16; norms folded into the convolutions (weight and bias)"
    if network.stored_as != "float32":
        note += f"; dequantised from {network.stored_as}"
    activation = ARCHITECTURES[network.backbone].activation
    metadata = {
        # The name of a file may be anything; this text has to be UTF-8.
        "source": os.fsencode(Path(source).name).decode("utf-8", "replace"),
        "sha256": network.sha256,
        "note": note,
        "input": network.input,
        "output_stride": f"{network.output_stride} in the source",
        "backbone": network.backbone,
        "activation": f"{activation} behind every convolution but the last of a block",
        "padding": "TensorFlow SAME; with stride 2, an even size: one row below and one column"
        " right only, an odd size: one on every side",
    }
    if network.input_size is not None:
        metadata["input_size"] = "{} x {} in the source".format(*network.input_size)
    content = save(tensors, metadata)
    with written_beside(path) as beside:
        beside.write_bytes(content)
