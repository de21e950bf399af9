"""A network as an ONNX graph.

By a trace (PyTorch's first exporter): one to three seconds, for any size of image, from PyTorch 2.5
on. The exporter that is to replace it took ten times as long, and its graph for any size 72 ms in
ONNX Runtime where the traced one took 39 (`fafnet-nano`, 320x240, one thread).
"""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Mapping
from types import MappingProxyType, ModuleType

import torch

from fafnet_core.camera import Size
from fafnet_core.runtimes import RuntimeUnavailableError
from fafnet_core.runtimes.deployed import DeployedNetwork, LabellingNetwork, example_images

INPUTS = ("rgb", "hha")

OUTPUTS: Mapping[type, tuple[str, ...]] = MappingProxyType(
    {DeployedNetwork: ("logits",), LabellingNetwork: ("labels", "confidence")}
)
"""Names of the results, by what is exported."""

# GridSample is there from 16 on, and from 20 on under other names, which fewer runtimes know.
_OPSET = 18


def onnx_graph(
    network: DeployedNetwork | LabellingNetwork,
    size: Size,
    *,
    any_size: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the graph of a network, opset 18, with its weights inside.

    Inputs `rgb` and `hha` are (1, H, W, 3) uint8; the outputs are those of the network.

    Args:
        network: in evaluation mode, float32, on the CPU.
        size: (H, W).
        any_size: H and W may be others when it runs.
        metadata: entries of its `metadata_props`.

    Raises:
        RuntimeUnavailableError: the package onnx is not installed.
    """
    onnx = _import_onnx()
    outputs = OUTPUTS[type(network)]
    axes = {name: {1: "height", 2: "width"} for name in (*INPUTS, "labels", "confidence")}
    axes["logits"] = {2: "rows", 3: "columns"}
    written = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # That numbers of Python become constants, and that this exporter is the older one.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            example_images(size),
            written,  # type: ignore[arg-type]  # its documentation has files in memory too
            dynamo=False,
            opset_version=_OPSET,
            input_names=list(INPUTS),
            output_names=list(outputs),
            dynamic_axes={name: axes[name] for name in (*INPUTS, *outputs)} if any_size else None,
        )
    model = onnx.load_from_string(written.getvalue())
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[0].dim_value = 1  # which shape inference loses
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    graph: bytes = model.SerializeToString()
    return graph


def _import_onnx() -> ModuleType:
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise RuntimeUnavailableError(
            "onnx", f"it cannot be imported ({error}): pip install 'fafnet_ros[onnx]'"
        ) from error
