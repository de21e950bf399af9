"""`fafnet quantize`: a checkpoint in int8, as a file for OpenVINO."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from fafnet_core.camera import Size
from fafnet_core.cli.deployment import frames_by_name, load_network
from fafnet_core.cli.options import input_size
from fafnet_core.input_size import CHECKPOINT, size_text

if TYPE_CHECKING:
    from fafnet_core.inference import Segmenter
    from fafnet_core.runtimes.quantisation import Images, QuantisationReport

_ROOMS = 32
_MOST = 200

_EXAMPLES = """\
examples:
  fafnet quantize default mobile-int8.xml --frames recordings/kitchen --frames recordings/office
  fafnet quantize nyu.safetensors nyu-int8.xml --frames recordings/kitchen --input-size 368x208
  fafnet check nyu-int8.xml --checkpoint nyu.safetensors --frames recordings/hall
  fafnet segment recordings/hall --out labelled --checkpoint nyu-int8.xml

For processors without native bfloat16; the others take bfloat16 by themselves, which is nearer to
float32. The scales of the 8-bit numbers come from the frames: give some of the places where it will
run, with labels or without. The file gets its name once its labels on these frames are those of
PyTorch in float32, up to 3 % of the pixels. Inputs and outputs are those of fafnet export. Needs
the extra `quantize`.
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to `fafnet`."""
    parser = verbs.add_parser(
        "quantize",
        help="write a checkpoint in int8 for OpenVINO",
        description="Write a network in int8, for a CPU that has no native bfloat16.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", help="safetensors file, folder, hf://owner/name or name")
    parser.add_argument("output", type=Path, metavar="OUT.xml", help="file to write, with a .bin")
    parser.add_argument(
        "--frames",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="color/, depth/, camera.yaml; as often as needed"
        f" (default: {_ROOMS} synthetic rooms; real frames are better)",
    )
    parser.add_argument(
        "--most",
        type=int,
        default=_MOST,
        metavar="N",
        help=f"take at most N of the frames, evenly from all of them (default: {_MOST})",
    )
    parser.add_argument(
        "--outputs",
        choices=("logits", "labels"),
        default="logits",
        help="coarse logits (default), or labels with their confidence",
    )
    parser.add_argument(
        "--input-size",
        type=input_size,
        default=CHECKPOINT,
        metavar="WIDTHxHEIGHT",
        help="size of the images, as 320x240 (default: that of the checkpoint's training)",
    )
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Quantise; nothing is written unless it gives the network's labels."""
    out: Path = arguments.output
    error = arguments.parser.error
    if out.suffix.lower() != ".xml" or out.is_dir():
        error(f"OUT is {out}; wanted a file whose name ends with .xml")
    if arguments.most < 1:
        error(f"--most is {arguments.most}; wanted 1 or more")
    asked = arguments.input_size
    if asked is None:
        error("--input-size image: a file has one size, WIDTHxHEIGHT")
    # Imports PyTorch: only once the question makes sense.
    from fafnet_core.runtimes.quantisation import import_nncf, quantise_network

    # NNCF shows on standard output what it does; there --json has its place.
    with redirect_stdout(sys.stderr):
        import_nncf()  # before the work, not after it
        segmenter, metadata = load_network(arguments.checkpoint)
        size: Size | None = metadata.input_size if asked == CHECKPOINT else asked
        if size is None:
            raise ValueError(
                "the checkpoint says no input size: give --input-size WIDTHxHEIGHT, as 320x240"
            )
        if not arguments.frames:
            print(
                f"fafnet: no --frames: calibrating on {_ROOMS} synthetic rooms; frames of the"
                " camera, where it will run, are better",
                file=sys.stderr,
            )
        images = _images(arguments, segmenter, size)
        print("fafnet: quantising, and trying what was written: minutes", file=sys.stderr)
        report = quantise_network(
            segmenter.torch.model, metadata, out, images, outputs=arguments.outputs
        )
    print(json.dumps(_values(report)) if arguments.json else _text(report))
    return 0


def _images(arguments: argparse.Namespace, segmenter: Segmenter, size: Size) -> list[Images]:
    """Frames as the network sees them; all are kept, 0.5 MB each at 320x240."""
    from fafnet_core.inference import Segmenter

    encoder = Segmenter(segmenter.runtime, segmenter.label_set, input_size=size)
    frames = frames_by_name(arguments.frames, _ROOMS, size)
    names = list(frames)
    count = min(arguments.most, len(names))
    images = []
    for name in tqdm(
        [names[at * len(names) // count] for at in range(count)], unit="frame", disable=None
    ):
        try:
            seen = encoder.encode(frames[name]())
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        images.append((seen.rgb, seen.hha))
    return images


def _values(report: QuantisationReport) -> dict[str, object]:
    return {
        "files": [str(path) for path in report.files],
        "bytes": sum(path.stat().st_size for path in report.files),
        "outputs": report.metadata.outputs,
        "label_set": report.metadata.checkpoint.label_set.name,
        "input_size": report.size,
        "precision": report.metadata.precision,
        "int8_convolutions": report.convolutions[0],
        "convolutions": report.convolutions[1],
        "frames": report.frames,
        "equal_labels": 1 - report.other_labels,
        "worst_equal_labels": 1 - report.worst_other_labels,
    }


def _text(report: QuantisationReport) -> str:
    what = "labels and confidence" if report.metadata.outputs == "labels" else "coarse logits"
    megabytes = sum(path.stat().st_size for path in report.files) / 1e6
    files = " and ".join(str(path) for path in report.files)
    return (
        f"takes images of {size_text(report.size)}, gives {what}; in int8:"
        f" {report.convolutions[0]} of {report.convolutions[1]} convolutions\n"
        f"{report.frames} frames: {1 - report.other_labels:.2%} of the labels are those of PyTorch"
        f" in float32; in the worst frame {1 - report.worst_other_labels:.2%}\n"
        f"written: {files} ({megabytes:.1f} MB)"
    )
