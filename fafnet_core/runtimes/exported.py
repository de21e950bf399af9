"""Files of `fafnet export`: a network that is ready to run, and what belongs to it.

Nothing of a file is run but its graph. Files of PyTorch (.pt2) are written, and not read: PyTorch
unpickles them and evaluates texts of theirs, so that a stranger's file could run anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from fafnet_core.camera import Size
from fafnet_core.checkpoints.checkpoint import FORMAT, CheckpointMetadata
from fafnet_core.frame import Classes
from fafnet_core.input_size import check_input_size, size_text
from fafnet_core.resampling import sampled
from fafnet_core.runtimes import Fusion, Runtime, RuntimeUnavailableError
from fafnet_core.runtimes.choice import FirstThatAgrees
from fafnet_core.runtimes.classify import classify
from fafnet_core.runtimes.graphs import OpenedGraph, open_onnx, open_openvino
from fafnet_core.runtimes.onnx_graph import INPUTS
from fafnet_core.runtimes.onnxruntime import OnnxEngine
from fafnet_core.runtimes.proof import refuse_other_labels
from fafnet_core.version import __version__

Outputs = Literal["labels", "logits"]
StoredPrecision = Literal["float32", "int8"]

RUNTIMES_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {".onnx": ("onnxruntime", "tensorrt"), ".xml": ("openvino",), ".pt2": ()}
)
"""What runs a file, by its suffix; the first is what "auto" takes."""

_LICENCES = ("license", "licence")


@dataclass(frozen=True)
class ExportedMetadata:
    """What a file of `fafnet export` says of itself.

    Attributes:
        checkpoint: what was exported.
        outputs: "labels" and their confidence, or coarse "logits".
        divisor: `FAFNet.input_divisor`.
        version: of the package that wrote it.
        precision: of its weights: "float32", or "int8" where `fafnet quantize` wrote it.
    """

    checkpoint: CheckpointMetadata
    outputs: Outputs
    divisor: int = 1
    version: str = __version__
    precision: StoredPrecision = "float32"

    def entries(self) -> dict[str, str]:
        """Return what goes into the file: texts by name."""
        notes = self.checkpoint.notes
        licence = next((str(notes[name]) for name in _LICENCES if name in notes), None)
        return {
            "fafnet_format": FORMAT,
            "fafnet": self.checkpoint.to_json(),
            "fafnet_outputs": self.outputs,
            "fafnet_divisor": str(self.divisor),
            "fafnet_version": self.version,
            "fafnet_precision": self.precision,
            **({} if licence is None else {"license": licence}),
        }

    @classmethod
    def from_entries(cls, entries: Mapping[str, str]) -> ExportedMetadata:
        """Read what `entries` gave.

        Raises:
            ValueError: it is not there, or does not fit.
        """
        if "fafnet_format" not in entries:
            raise ValueError("it is no file of fafnet export: its metadata has no fafnet_format")
        if entries["fafnet_format"] != FORMAT:
            raise ValueError(
                f"it is of format {entries['fafnet_format']!r:.20}, this version reads {FORMAT};"
                " export the checkpoint anew"
            )
        outputs: Any = entries.get("fafnet_outputs")
        divisor = entries.get("fafnet_divisor", "")
        if outputs not in get_args(Outputs) or not divisor.isdecimal() or int(divisor) < 1:
            raise ValueError(
                f"its outputs are {outputs!r:.40}, its divisor is {divisor!r:.40}; wanted labels or"
                " logits, and a whole number"
            )
        precision: Any = entries.get("fafnet_precision", "float32")  # older files have none
        if precision not in get_args(StoredPrecision):
            raise ValueError(
                f"its precision is {precision!r:.40}; this version reads float32 and int8"
            )
        return cls(
            CheckpointMetadata.from_json(entries.get("fafnet", "")),
            outputs,
            int(divisor),
            entries.get("fafnet_version", "unknown"),
            precision,
        )


class ExportedRuntime:
    """Runs a file of `fafnet export`.

    Args:
        path: the file.
        graph: what it holds.
        exact: gives the same file in float32, where this is less: what runs is compared with it on
            a frame of each size; or None.

    Attributes:
        name, device, precision: as of `Runtime`; int8 of a file of `fafnet quantize`, whatever the
            rest of it runs in.
        exact: as it was given.
        metadata: what the file says.
        size: (height, width) of the images that it takes; None: any.

    Raises:
        ValueError: no file of ours, or one whose parts do not fit each other.
    """

    def __init__(
        self, path: Path, graph: OpenedGraph, exact: Callable[[], Runtime] | None = None
    ) -> None:
        self.name, self.device = graph.name, graph.device
        self.exact = exact
        self._path, self._graph = path, graph
        try:
            self.metadata = ExportedMetadata.from_entries(graph.entries)
            self.size = self._size_of(graph)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        self.precision = "int8" if self.metadata.precision == "int8" else graph.precision
        self._ready: set[Size] = set()

    def _size_of(self, graph: OpenedGraph) -> Size | None:
        """The size that the graph takes, once its inputs and outputs are what they should be."""
        shapes = {graph.inputs.get(name) for name in INPUTS}
        shape = shapes.pop()
        if shapes or shape is None or len(shape) != 4 or (shape[0], shape[3]) != (1, 3):
            raise ValueError(
                f"its inputs are {dict(graph.inputs)}; wanted rgb and hha, (1, height, width, 3)"
            )
        wanted = ("logits",) if self.metadata.outputs == "logits" else ("labels", "confidence")
        if tuple(graph.outputs) != wanted:
            raise ValueError(
                f"its outputs are {', '.join(graph.outputs)}; wanted {', '.join(wanted)}"
            )
        classes = len(self.metadata.checkpoint.label_set)
        if wanted == ("logits",) and graph.outputs["logits"][1] != classes:
            raise ValueError(
                f"its logits are of {graph.outputs['logits'][1]} classes, and its label set"
                f" '{self.metadata.checkpoint.label_set.name}' has {classes}"
            )
        height, width = shape[1:3]
        return None if height is None or width is None else (height, width)

    def prepare(self, size: Size) -> None:
        """See `Runtime.prepare`.

        Raises:
            ValueError: the file takes images of another size.
        """
        if size in self._ready:
            return
        if self.size not in (None, size):
            raise ValueError(
                f"{self._path} takes images of {size_text(self.size)} (width x height), and these"
                f" are {size_text(size)}: export with --input-size {size_text(size)}, or with"
                " --dynamic for frames of any size and aspect ratio"
            )
        check_input_size(self.metadata.checkpoint.config, size, divisor=self.metadata.divisor)
        if self.exact is not None:
            self._ready.add(size)
            try:
                refuse_other_labels(self, self.exact(), size)
            except ValueError:
                self._ready.discard(size)
                raise
        self._ready.add(size)

    def check_fusion(self) -> None:
        """Refuse to average over frames what cannot be averaged.

        Raises:
            ValueError: the file gives labels.
        """
        if self.metadata.outputs != "logits":
            raise ValueError(
                f"{self._path} gives labels, and frames are averaged before there are any: export"
                " it with --outputs logits, or set temporal to none"
            )

    def outputs(self, rgb: NDArray[np.uint8], hha: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """Return what the graph gives, without its batch of one."""
        self.prepare((rgb.shape[0], rgb.shape[1]))
        return [output[0] for output in self._graph.run(rgb, hha)]

    def predict(
        self,
        rgb: NDArray[np.uint8],
        hha: NDArray[np.uint8],
        size: Size,
        fuse: Fusion | None = None,
    ) -> Classes:
        """See `Runtime.predict`; labels of another size are those under each pixel's centre."""
        outputs = self.outputs(rgb, hha)
        if self.metadata.outputs == "logits":
            seen = rgb.shape[0], rgb.shape[1]
            return classify(torch.from_numpy(outputs[0]), size, seen, fuse)
        if fuse is not None:
            self.check_fusion()
        labels, confidence = outputs
        return Classes(sampled(labels, size), lambda: sampled(confidence, size))


def open_exported(
    path: str | Path, *, device: str = "auto", precision: str = "auto", runtime: str = "auto"
) -> tuple[ExportedRuntime, Runtime]:
    """Open a file of `fafnet export`.

    Args:
        path: a .onnx file, or a .xml file with its .bin.
        device, precision: as of `open_runtime`.
        runtime: "auto", or one that runs such a file.

    Returns:
        The file, and what is to run it: itself, or with precision "auto" where that is less than
        float32, the first of it and float32 that gives the labels of float32.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not one of ours, a damaged one, or no such runtime, device or precision for it.
    """
    file = read_exported(path, device=device, precision=precision, runtime=runtime)
    if precision != "auto" or file.exact is None:
        return file, file
    return file, FirstThatAgrees([lambda: file, file.exact])


def read_exported(
    path: str | Path, *, device: str = "auto", precision: str = "auto", runtime: str = "auto"
) -> ExportedRuntime:
    """Open a file of `fafnet export` in one precision; as `open_exported`."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no exported file at {path}")
    runtimes = RUNTIMES_OF[path.suffix.lower()]
    if not runtimes:
        raise ValueError(
            f"{path} is written for other programs: to read it, PyTorch unpickles, which can run"
            " code. Export to .onnx or .xml, or give the checkpoint itself"
        )
    if runtime not in ("auto", *runtimes):
        raise RuntimeUnavailableError(
            runtime,
            f"it does not run {path}; take auto or {' or '.join(runtimes)}, or the checkpoint that"
            " was exported",
        )
    name = runtimes[0] if runtime == "auto" else runtime
    if name == "openvino":
        graph = open_openvino(path, device, precision)
    else:
        graph = open_onnx(path, OnnxEngine(name, device=device, precision=precision))
    if graph.precision == "float32":
        return ExportedRuntime(path, graph)
    exact = partial(read_exported, path, device=device, precision="float32", runtime=runtime)
    return ExportedRuntime(path, graph, exact)
