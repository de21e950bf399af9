"""Graphs in files, opened in a runtime: what they take and give, and what is written in them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.runtimes import RuntimeUnavailableError
from fafnet_core.runtimes.onnxruntime import OnnxEngine, run_session
from fafnet_core.runtimes.openvino import OpenVinoEngine, run_request

ENTRIES = "fafnet"
"""In OpenVINO's rt_info all entries are below this key."""


@dataclass(frozen=True, eq=False)
class OpenedGraph:
    """A graph in a runtime, with what can be read of it.

    Attributes:
        name, device, precision: as of `Runtime`.
        entries: of its metadata.
        inputs, outputs: shapes by name; None for a side that may be any.
        run: from colour and HHA, (H, W, 3) uint8 each, to the outputs in their order.
    """

    name: str
    device: str
    precision: str
    entries: Mapping[str, str]
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: Mapping[str, tuple[int | None, ...]]
    run: Callable[[NDArray[np.uint8], NDArray[np.uint8]], Sequence[NDArray[Any]]]


def open_onnx(path: Path, engine: OnnxEngine) -> OpenedGraph:
    """Open a .onnx file.

    Raises:
        ValueError: as `OnnxEngine.open`.
    """
    session = engine.open(path)

    def shapes(nodes: Any) -> dict[str, tuple[int | None, ...]]:
        # A side that may be any has a name.
        return {
            node.name: tuple(side if isinstance(side, int) else None for side in node.shape)
            for node in nodes
        }

    return OpenedGraph(
        name=engine.name,
        device=engine.device,
        precision=engine.precision,
        entries=session.get_modelmeta().custom_metadata_map,
        inputs=shapes(session.get_inputs()),
        outputs=shapes(session.get_outputs()),
        run=lambda rgb, hha: run_session(session, rgb, hha),
    )


def open_openvino(path: Path, device: str, precision: str) -> OpenedGraph:
    """Open a .xml file, with the .bin beside it, on the CPU.

    Raises:
        FileNotFoundError: there is no .bin.
        ValueError: a file of something else, or a damaged one.
        RuntimeUnavailableError: as `OpenVinoEngine`, or another device.
    """
    engine = OpenVinoEngine(precision)
    if device not in ("auto", engine.device):
        raise RuntimeUnavailableError(engine.name, f"it runs on the CPU, not on {device}")
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise FileNotFoundError(f"no {weights.name} beside {path}, where its weights are")
    try:
        model = engine.core.read_model(path, weights)
    except (RuntimeError, UnicodeDecodeError) as error:  # the second: it quotes the file
        said = " ".join(str(error).split())
        raise ValueError(
            f"{path} with {weights.name} cannot be opened in OpenVINO: it is no file of OpenVINO,"
            f" it is cut short, or it is of a newer version ({said:.300})"
        ) from error
    found = model.get_rt_info([ENTRIES]).value if model.has_rt_info([ENTRIES]) else {}
    entries = found if isinstance(found, Mapping) else {}

    def shapes(ports: Any) -> dict[str, tuple[int | None, ...]]:
        return {
            port.any_name if port.names else f"unnamed {place}": tuple(
                side.get_length() if side.is_static else None for side in port.partial_shape
            )
            for place, port in enumerate(ports)
        }

    digest = hashlib.sha256(path.read_bytes())
    digest.update(weights.read_bytes())
    try:
        request = engine.request(lambda: model, digest.hexdigest())
    except RuntimeError as error:  # a graph that can be read and not compiled
        said = " ".join(str(error).split())
        raise ValueError(f"{path} cannot be compiled in OpenVINO ({said:.300})") from error
    return OpenedGraph(
        name=engine.name,
        device=engine.device,
        precision=engine.precision,
        entries={key: str(value) for key, value in entries.items()},
        inputs=shapes(model.inputs),
        outputs=shapes(model.outputs),
        run=lambda rgb, hha: run_request(request, rgb, hha),
    )
