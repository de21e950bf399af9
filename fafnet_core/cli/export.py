"""`fafnet export`: a checkpoint as a file for ONNX Runtime, OpenVINO, TensorRT or PyTorch."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fafnet_core.camera import Size
from fafnet_core.checkpoints.location import EXPORTED, is_exported
from fafnet_core.cli.deployment import load_network
from fafnet_core.cli.options import input_size
from fafnet_core.input_size import CHECKPOINT, size_text

if TYPE_CHECKING:
    from fafnet_core.runtimes.export import ExportReport

_EXAMPLES = """\
examples:
  fafnet export default mobile.onnx
  fafnet export nyu.safetensors nyu.xml --input-size 320x240
  fafnet export nyu.safetensors nyu.onnx --dynamic --outputs logits
  fafnet segment recordings/kitchen --out labelled --checkpoint nyu.onnx

Inputs: rgb and hha, (1, H, W, 3) uint8; normalisation is in the file. Outputs: labels (1, H, W)
uint8 and confidence (1, H, W) float32; or coarse logits (1, C, h, w) float32. The file gets its
name once it has given the labels of PyTorch on a synthetic room. .onnx and .xml are checkpoints
for segment, evaluate and the node; .pt2 is for PyTorch alone.
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to `fafnet`."""
    parser = verbs.add_parser(
        "export",
        help="write a checkpoint for ONNX Runtime, OpenVINO, TensorRT or PyTorch",
        description="Write a network for other programs: ONNX, OpenVINO or PyTorch's .pt2.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", help="safetensors file, folder, hf://owner/name or name")
    parser.add_argument(
        "output", type=Path, metavar="OUT", help=f"file to write: {', '.join(EXPORTED)}"
    )
    parser.add_argument(
        "--outputs",
        choices=("labels", "logits"),
        default="labels",
        help="labels with their confidence (default), or coarse logits",
    )
    parser.add_argument(
        "--input-size",
        type=input_size,
        default=CHECKPOINT,
        metavar="WIDTHxHEIGHT",
        help="size of the images, as 320x240 (default: that of the checkpoint's training)",
    )
    parser.add_argument(
        "--dynamic", action="store_true", help="the file takes images of any size when it runs"
    )
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Export; nothing is written unless it gives the network's labels."""
    out: Path = arguments.output
    error = arguments.parser.error
    if not is_exported(out):
        error(f"OUT is {out}; wanted a name that ends with {', '.join(EXPORTED)}")
    if out.is_dir():
        error(f"OUT is a folder, {out}; wanted a file")
    asked = arguments.input_size
    if asked is None:
        error("--input-size image: a file has one size, WIDTHxHEIGHT, or is --dynamic")
    # Imports PyTorch: only once the question makes sense.
    from fafnet_core.runtimes.export import export_network

    segmenter, metadata = load_network(arguments.checkpoint)
    size: Size | None = None if asked == CHECKPOINT else asked
    print("fafnet: exporting, and trying what was written: up to a minute", file=sys.stderr)
    report = export_network(
        segmenter.torch.model,
        metadata,
        out,
        outputs=arguments.outputs,
        input_size=size,
        any_size=arguments.dynamic,
    )
    values = _values(report)
    print(json.dumps(values) if arguments.json else _text(report))
    return 0


def _values(report: ExportReport) -> dict[str, object]:
    metadata = report.metadata
    return {
        "files": [str(path) for path in report.files],
        "bytes": sum(path.stat().st_size for path in report.files),
        "outputs": metadata.outputs,
        "label_set": metadata.checkpoint.label_set.name,
        "input_size": report.size,
        "dynamic": report.size is None,
        "tried_in": report.runtime,
        "tried": [
            {"size": size, "other_labels": tried.labels, "largest_difference": tried.values}
            for size, tried in report.differences.items()
        ],
    }


def _text(report: ExportReport) -> str:
    what = "labels and confidence" if report.metadata.outputs == "labels" else "coarse logits"
    takes = "images of any size" if report.size is None else f"images of {size_text(report.size)}"
    megabytes = sum(path.stat().st_size for path in report.files) / 1e6
    lines = [f"takes {takes}, gives {what}"]
    lines += [
        f"tried in {report.runtime} at {size_text(size)}: {100 * tried.labels:.2f} % of the labels"
        f" are not PyTorch's; largest difference {tried.values:.1e}"
        for size, tried in report.differences.items()
    ]
    files = " and ".join(str(path) for path in report.files)
    return "\n".join((*lines, f"written: {files} ({megabytes:.1f} MB)"))
