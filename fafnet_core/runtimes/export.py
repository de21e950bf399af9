"""Networks as files for other programs: ONNX, OpenVINO's .xml with .bin, and PyTorch's .pt2.

What goes in is two 8-bit images, so that whoever runs the file normalises nothing. A file gets its
name only after it was run and gave PyTorch's labels.
"""

from __future__ import annotations

import copy
import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import torch

from fafnet_core.camera import Size
from fafnet_core.checkpoints.checkpoint import CheckpointMetadata
from fafnet_core.checkpoints.location import EXPORTED, is_exported
from fafnet_core.input_size import check_input_size
from fafnet_core.models import FAFNet
from fafnet_core.runtimes import RuntimeUnavailableError
from fafnet_core.runtimes.comparison import Difference, Run, compare, network_for, run_eagerly
from fafnet_core.runtimes.deployed import DeployedNetwork, LabellingNetwork, example_images
from fafnet_core.runtimes.exported import (
    ExportedMetadata,
    Outputs,
    read_exported,
)
from fafnet_core.runtimes.graphs import ENTRIES
from fafnet_core.runtimes.onnx_graph import onnx_graph
from fafnet_core.runtimes.onnxruntime import import_onnxruntime
from fafnet_core.runtimes.openvino import OpenVinoEngine
from fafnet_core.runtimes.proof import ALLOWED, proof_frame

_TRACED_AT: Size = (240, 320)
"""Size of the trace of a graph for any size, where nothing says one."""

_OTHER = (21, 37)
"""So much larger is the second size at which a graph for any size is tried; in divisors."""


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    Attributes:
        files: it, behind its weights where they are a file of their own.
        metadata: what it says of itself.
        size: (height, width) of the images that it takes; None: any.
        runtime: what ran it.
        differences: from PyTorch in float32 on a synthetic room, by the size of the images.
    """

    files: tuple[Path, ...]
    metadata: ExportedMetadata
    size: Size | None
    runtime: str
    differences: Mapping[Size, Difference]


def export_network(
    model: FAFNet,
    metadata: CheckpointMetadata,
    out: str | Path,
    *,
    outputs: Outputs = "labels",
    input_size: Size | None = None,
    any_size: bool = False,
) -> ExportReport:
    """Write a network for other programs.

    Inputs `rgb` and `hha` are (1, H, W, 3) uint8. The outputs are `labels` (1, H, W) uint8 and
    `confidence` (1, H, W) float32, or `logits` (1, C, h, w) float32, about a quarter of H and W.

    Args:
        model: the network.
        metadata: what belongs to it; it goes into the file.
        out: a name that ends with .onnx, .xml or .pt2.
        outputs: "labels" or "logits".
        input_size: (H, W) of the images; None: what the metadata says.
        any_size: H and W may be others when it runs; `input_size` is then what frames are brought
            to, and may be missing.

    Raises:
        ValueError: another suffix, no size, one that the network does not take, or a file that does
            not give the network's labels; nothing is then written.
        RuntimeUnavailableError: what writes or runs such a file is not installed.
        OSError: it cannot be written.
    """
    out = Path(out)
    if not is_exported(out):
        raise ValueError(f"{out} has none of the suffixes {', '.join(EXPORTED)}")
    size = check_input_size(
        model.config, input_size or metadata.input_size, divisor=model.input_divisor
    )
    if size is None and not any_size:
        raise ValueError(
            "the checkpoint says no input size: give --input-size WIDTHxHEIGHT, as 320x240, or"
            " --dynamic"
        )
    metadata = dataclasses.replace(metadata, input_size=size)
    deployed = DeployedNetwork(plain_network(model), metadata.normalisation)
    job = _Job(
        network=network_for(deployed, outputs),
        metadata=ExportedMetadata(metadata, outputs, model.input_divisor),
        size=size or _TRACED_AT,
        any_size=any_size,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        staged = Path(folder) / out.name
        run, runtime = _WRITERS[out.suffix.lower()](job, staged)
        differences = {each: _proven(job, run, each, out) for each in job.sizes()}
        files = move_into_place(Path(folder), out)
    return ExportReport(files, job.metadata, None if any_size else size, runtime, differences)


@dataclass(frozen=True, eq=False)
class _Job:
    network: DeployedNetwork | LabellingNetwork
    metadata: ExportedMetadata
    size: Size
    any_size: bool

    def sizes(self) -> list[Size]:
        """At which the file is tried."""
        height, width = self.size
        more = (side * self.metadata.divisor for side in _OTHER)
        return [self.size, *([(height + next(more), width + next(more))] if self.any_size else [])]

    def onnx(self) -> bytes:
        return onnx_graph(
            self.network, self.size, any_size=self.any_size, metadata=self.metadata.entries()
        )


def plain_network(model: FAFNet) -> FAFNet:
    """Return the network as it is exported: a copy in evaluation mode, float32, on the CPU."""
    return copy.deepcopy(model).eval().float().cpu()


def move_into_place(folder: Path, out: Path) -> tuple[Path, ...]:
    """Give a finished file its name: all that is in `folder`, weights first, goes beside `out`."""
    # Without the old .xml no reader takes it with the new .bin.
    out.unlink(missing_ok=True)
    written = sorted(folder.iterdir())  # .bin, then .xml
    return tuple(path.replace(out.parent / path.name) for path in written)


def save_openvino(module: ModuleType, model: Any, metadata: ExportedMetadata, path: Path) -> None:
    """Write an `openvino.Model` with what it says of itself, as .xml and .bin."""
    for key, value in metadata.entries().items():
        model.set_rt_info(value, [ENTRIES, key])
    # By default it would halve the weights.
    module.save_model(model, path, compress_to_fp16=False)


def _proven(job: _Job, run: Run, size: Size, out: Path) -> Difference:
    difference = compare(run, job.network, *proof_frame(size))
    if not difference.labels <= ALLOWED["float32"]:
        raise ValueError(
            f"{out} would give {100 * difference.labels:.2f} % of a frame's pixels other labels"
            f" than PyTorch in float32; at most {100 * ALLOWED['float32']:g} % is rounding. Nothing"
            " was written"
        )
    return difference


def _write_onnx(job: _Job, path: Path) -> tuple[Run, str]:
    import_onnxruntime()  # before the work, not after it
    path.write_bytes(job.onnx())
    file = read_exported(path, device="cpu")
    return file.outputs, file.name


def _write_openvino(job: _Job, path: Path) -> tuple[Run, str]:
    engine = OpenVinoEngine("float32")
    model = engine.core.read_model(job.onnx())
    save_openvino(engine.module, model, job.metadata, path)
    file = read_exported(path, device="cpu", precision="float32")
    return file.outputs, file.name


def _write_torch(job: _Job, path: Path) -> tuple[Run, str]:
    sides = None
    if job.any_size:
        free = getattr(torch.export.Dim, "DYNAMIC", None)
        if free is None:
            raise RuntimeUnavailableError(
                "torch", f"PyTorch {torch.__version__} has no Dim.DYNAMIC; --dynamic needs 2.6"
            )
        sides = ({1: free, 2: free},) * 2
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # PyTorch's own, of its own functions
        program = torch.export.export(
            job.network, example_images(job.size), dynamic_shapes=sides, strict=False
        )
        torch.export.save(program, path, extra_files=job.metadata.entries())
        module = program.module()
    return partial(run_eagerly, module), "torch"


_WRITERS = {".onnx": _write_onnx, ".xml": _write_openvino, ".pt2": _write_torch}
