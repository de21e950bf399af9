"""A network in int8, as a file for OpenVINO: for processors that have no native bfloat16.

By NNCF, after training: it looks at the values that a few hundred frames give, and chooses the
scales of 8-bit numbers by them. The flow alignment stays as it is: its coordinates do not bear
rounding to 256 steps.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fafnet_core.camera import Size
from fafnet_core.checkpoints.checkpoint import CheckpointMetadata
from fafnet_core.input_size import check_input_size, size_text
from fafnet_core.models import FAFNet
from fafnet_core.models.fam import FlowAlignment
from fafnet_core.runtimes import RuntimeUnavailableError
from fafnet_core.runtimes.comparison import compare, network_for
from fafnet_core.runtimes.deployed import DeployedNetwork
from fafnet_core.runtimes.export import move_into_place, plain_network, save_openvino
from fafnet_core.runtimes.exported import ExportedMetadata, Outputs, read_exported
from fafnet_core.runtimes.onnx_graph import INPUTS, OUTPUTS
from fafnet_core.runtimes.openvino import import_openvino, traced_model
from fafnet_core.runtimes.proof import ALLOWED

Images = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Colour and HHA of a frame as the network sees them, (H, W, 3) uint8 each."""


@dataclass(frozen=True)
class QuantisationReport:
    """What was written.

    Attributes:
        files: .bin and .xml.
        metadata: what it says of itself.
        size: (height, width) of the images that it takes.
        convolutions: how many of its convolutions are in int8, and how many it has.
        frames: how many it was calibrated on, and compared on.
        other_labels: share of their pixels that has another label than in PyTorch's float32.
        worst_other_labels: that of the worst frame.
    """

    files: tuple[Path, ...]
    metadata: ExportedMetadata
    size: Size
    convolutions: tuple[int, int]
    frames: int
    other_labels: float
    worst_other_labels: float


def quantise_network(
    model: FAFNet,
    metadata: CheckpointMetadata,
    out: str | Path,
    images: Sequence[Images],
    *,
    outputs: Outputs = "logits",
) -> QuantisationReport:
    """Write a network in int8; inputs and outputs are those of `export_network`.

    Args:
        model: the network.
        metadata: what belongs to it; it goes into the file.
        out: a name that ends with .xml.
        images: of typical frames, all of the size that the file is to take.
        outputs: "logits" or "labels".

    Raises:
        ValueError: another suffix, no images or of several sizes, a size that the network does not
            take, or more other labels than `ALLOWED`; nothing is then written.
        RuntimeUnavailableError: NNCF or OpenVINO is not installed.
        OSError: it cannot be written.
    """
    out = Path(out)
    if out.suffix.lower() != ".xml":
        raise ValueError(f"{out} does not end with .xml: in int8 there are files for OpenVINO only")
    size = _size_of(images)
    check_input_size(model.config, size, divisor=model.input_divisor)
    openvino, nncf = import_openvino(), import_nncf()
    metadata = dataclasses.replace(metadata, input_size=size)
    deployed = DeployedNetwork(plain_network(model), metadata.normalisation)
    network = network_for(deployed, outputs)
    said = ExportedMetadata(metadata, outputs, model.input_divisor, precision="int8")
    quantised = _quantised(nncf, _fixed_model(openvino, network, size), network, images)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        staged = Path(folder) / out.name
        save_openvino(openvino, quantised, said, staged)
        # What is not int8 in float32, as on the processors that such a file is for.
        run = read_exported(staged, device="cpu", precision="float32").outputs
        other = [compare(run, network, *pair).labels for pair in images]
        _check_labels(float(np.mean(other)), len(other), out)
        files = move_into_place(Path(folder), out)
    return QuantisationReport(
        files=files,
        metadata=said,
        size=size,
        convolutions=_convolutions(quantised),
        frames=len(other),
        other_labels=float(np.mean(other)),
        worst_other_labels=max(other),
    )


def import_nncf() -> ModuleType:
    """Import NNCF without what it sends home.

    Raises:
        RuntimeUnavailableError: it is not installed, or OpenVINO is not.
    """
    import_openvino()  # takes away the package by which NNCF reports too
    # Where OpenVINO was imported before us that package is there: NNCF reads this variable too.
    os.environ.setdefault("NNCF_CI", "1")
    try:
        nncf = importlib.import_module("nncf")
    except ImportError as error:
        raise RuntimeUnavailableError(
            "nncf", f"it cannot be imported ({error}): pip install 'fafnet_ros[quantize]'"
        ) from error
    logging.getLogger("nncf").setLevel(logging.WARNING)  # else it names each operation
    return nncf


def _size_of(images: Sequence[Images]) -> Size:
    sizes = {(image.shape[0], image.shape[1]) for pair in images for image in pair}
    if not sizes:
        raise ValueError("there are no frames to calibrate on; give some of the camera's")
    if len(sizes) > 1:
        raise ValueError(
            f"the network would see frames of {' and '.join(map(size_text, sorted(sizes)))} (width"
            " x height), and a file takes one size: give frames of one aspect ratio"
        )
    return sizes.pop()


def _fixed_model(openvino: ModuleType, network: torch.nn.Module, size: Size) -> Any:
    """The `openvino.Model` of a network, with the names and sizes of an exported file."""
    model = traced_model(openvino, network, size)
    for port, name in zip(model.inputs, INPUTS, strict=True):
        port.get_tensor().set_names({name})
    for port, name in zip(model.outputs, OUTPUTS[type(network)], strict=True):
        port.get_tensor().set_names({name})
    model.reshape({name: [1, *size, 3] for name in INPUTS})
    return model


def _quantised(
    nncf: ModuleType, model: Any, network: torch.nn.Module, images: Sequence[Images]
) -> Any:
    def batched(pair: Images) -> dict[str, NDArray[np.uint8]]:
        return {name: image[None] for name, image in zip(INPUTS, pair, strict=True)}

    return nncf.quantize(
        model,
        nncf.Dataset(images, batched),
        subset_size=len(images),
        ignored_scope=nncf.IgnoredScope(
            patterns=_exact_parts(network),
            types=["GridSample"],
            validate=False,  # a network without flow alignment has nothing of it
        ),
    )


def _exact_parts(network: torch.nn.Module) -> list[str]:
    """Names of operations that stay in floating point, as regular expressions of their beginning.

    OpenVINO names an operation after the module that has it: `__module.decoder.align.0/aten::...`.
    """
    flows = [name for name, module in network.named_modules() if isinstance(module, FlowAlignment)]
    # Of no module of its own: what `LabellingNetwork` does behind the network.
    return [*(rf"__module\.{re.escape(name)}[./]" for name in flows), "aten::"]


def _convolutions(model: Any) -> tuple[int, int]:
    """How many convolutions have weights in int8, and how many there are."""
    stored = []
    for operation in model.get_ops():
        if operation.get_type_name() in ("Convolution", "GroupConvolution"):
            node = operation.input_value(1).get_node()
            while node.get_input_size():  # what makes floats of stored weights
                node = node.input_value(0).get_node()
            stored.append(node.get_element_type().get_type_name())
    return stored.count("i8"), len(stored)


def _check_labels(share: float, frames: int, out: Path) -> None:
    if not share <= ALLOWED["int8"]:
        raise ValueError(
            f"{out} would give {100 * share:.2f} % of the pixels of {frames} frames other labels"
            f" than PyTorch in float32; at most {100 * ALLOWED['int8']:g} % are allowed. Nothing"
            " was written. Calibrate on more frames, or on more typical ones; or take bfloat16 or"
            " float32, with fafnet export"
        )
