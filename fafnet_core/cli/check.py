"""`fafnet check`: whether an exported file gives the labels of its checkpoint."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from fafnet_core.camera import Size
from fafnet_core.checkpoints.location import is_exported
from fafnet_core.cli.deployment import frames_by_name
from fafnet_core.cli.options import RUNTIMES
from fafnet_core.frame import RgbdFrame
from fafnet_core.input_size import CHECKPOINT

if TYPE_CHECKING:
    from fafnet_core.inference import Segmenter
    from fafnet_core.runtimes.comparison import Difference
    from fafnet_core.runtimes.exported import ExportedRuntime

_ROOMS = 8
_CAMERA: Size = (480, 640)

_EXAMPLES = """\
examples:
  fafnet check nyu.onnx --checkpoint nyu.safetensors
  fafnet check nyu.xml --checkpoint nyu.safetensors --frames recordings/kitchen
  fafnet check nyu.onnx --checkpoint nyu.safetensors --runtime tensorrt --precision float16

The reference is PyTorch in float32, on the CPU. Labels are compared at the size that the network
sees. Exit status 1: on average over the frames more labels differ than rounding explains (float32:
0.5 %, bfloat16 and float16: 2 %, int8: 3 %).
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to `fafnet`."""
    parser = verbs.add_parser(
        "check",
        help="compare an exported file with its checkpoint in PyTorch",
        description="Compare an exported file with the checkpoint that it was made of.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help="a .onnx file, or a .xml file with its .bin")
    parser.add_argument(
        "--checkpoint", required=True, help="safetensors file, folder, hf://owner/name or name"
    )
    parser.add_argument(
        "--frames",
        type=Path,
        metavar="FOLDER",
        help=f"color/, depth/, camera.yaml (default: {_ROOMS} synthetic rooms)",
    )
    parser.add_argument(
        "--runtime", default="auto", choices=RUNTIMES, help="what runs the file (default: auto)"
    )
    parser.add_argument(
        "--precision", default="auto", choices=("auto", "float32", "bfloat16", "float16")
    )
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare; 1 where more labels differ than rounding explains."""
    if not arguments.file.is_file():
        arguments.parser.error(f"there is no file {arguments.file}")
    if not is_exported(arguments.file):
        arguments.parser.error(f"{arguments.file} is no file of fafnet export: .onnx or .xml")
    # Imports PyTorch: only once the file is there.
    from fafnet_core.inference import Segmenter
    from fafnet_core.runtimes.exported import read_exported
    from fafnet_core.runtimes.proof import ALLOWED

    file = read_exported(arguments.file, precision=arguments.precision, runtime=arguments.runtime)
    reference = Segmenter.from_checkpoint(
        arguments.checkpoint,
        "cpu",
        "float32",
        "torch",
        input_size=file.size or file.metadata.checkpoint.input_size or CHECKPOINT,
    )
    _check_classes(file, reference)
    folders = [] if arguments.frames is None else [arguments.frames]
    frames = frames_by_name(folders, _ROOMS, file.size or _CAMERA)
    found = _compare(file, reference, frames)
    values = _values(arguments, file, found, ALLOWED[file.precision])
    print(json.dumps(values) if arguments.json else _text(values))
    return 0 if values["agrees"] else 1


def _check_classes(file: ExportedRuntime, reference: Segmenter) -> None:
    """Refuse another checkpoint than the one that was exported, as far as its classes tell."""
    has, wanted = file.metadata.checkpoint.label_set, reference.label_set
    if has.names != wanted.names:
        raise ValueError(
            f"the file has label set '{has.name}' with {len(has)} classes, the checkpoint"
            f" '{wanted.name}' with {len(wanted)}; give the checkpoint that was exported"
        )


def _compare(
    file: ExportedRuntime, reference: Segmenter, frames: dict[str, Callable[[], RgbdFrame]]
) -> dict[str, Difference]:
    from fafnet_core.runtimes.comparison import compare, network_for
    from fafnet_core.runtimes.deployed import DeployedNetwork

    torch = reference.torch
    network = network_for(DeployedNetwork(torch.model, torch.normalisation), file.metadata.outputs)
    found = {}
    for name, read in tqdm(frames.items(), unit="frame", disable=None):
        try:
            seen = reference.encode(read())
            found[name] = compare(file.outputs, network, seen.rgb, seen.hha)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return found


def _values(
    arguments: argparse.Namespace,
    file: ExportedRuntime,
    found: dict[str, Difference],
    allowed: float,
) -> dict[str, Any]:
    other = [difference.labels for difference in found.values()]
    mean, worst = sum(other) / len(other), max(found, key=lambda name: found[name].labels)
    return {
        "file": str(arguments.file),
        "checkpoint": arguments.checkpoint,
        "runtime": file.name,
        "device": file.device,
        "precision": file.precision,
        "outputs": file.metadata.outputs,
        "frames": len(found),
        "equal_labels": 1 - mean,
        "worst_frame": worst,
        "worst_equal_labels": 1 - found[worst].labels,
        "largest_difference": max(difference.values for difference in found.values()),
        "allowed_other_labels": allowed,
        "agrees": mean <= allowed,
    }


def _text(values: dict[str, Any]) -> str:
    what = "confidence" if values["outputs"] == "labels" else "logit"
    rows = (
        ("file", "{file}, on {device} in {precision} ({runtime})"),
        ("reference", "{checkpoint}, on cpu in float32 (torch)"),
        ("frames", "{frames}"),
        ("equal labels, mean", "{equal_labels:.3%}"),
        ("equal labels, worst frame", "{worst_equal_labels:.3%} ({worst_frame})"),
        (f"largest difference of a {what}", "{largest_difference:.2e}"),
        ("agrees", "yes" if values["agrees"] else "NO"),
    )
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:{width}}  {text.format(**values)}" for name, text in rows]
    lines[-1] += " (up to {allowed_other_labels:.1%} of other labels are rounding)".format(**values)
    return "\n".join(lines)
