"""`fafnet convert`: a stranger's file becomes one of this project.

A checkpoint of the authors' training script becomes a checkpoint; a MobileNet of a TensorFlow Lite
file becomes weights that a backbone starts from. The content of the file tells which it is.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fafnet_core.labels import NYU40, SUN37

_LABEL_SETS = {labels.name: labels for labels in (NYU40, SUN37)}

_EXAMPLES = """\
examples:
  fafnet convert best_faf_d_nyuv2.pth nyu.safetensors
  fafnet convert best_faf_d_sunrgbd.pth sun.safetensors --labels sun37
  fafnet convert mobile_segmenter_r4_quant_argmax_uint8.tflite multiavg.safetensors

Of a checkpoint of the authors, the result computes what their code computes (variant: release);
`fafnet segment --checkpoint nyu.safetensors` uses it. Of TensorFlow Lite (pip install tflite), the
result is the MobileNetV2 or MobileNet Multi-AVG in it, without classifier or head: convolutions
with their norms folded in, torchvision's names, float16. Nothing in IN is run: only tensors are
taken from it.
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to `fafnet`."""
    parser = verbs.add_parser(
        "convert",
        help="convert a checkpoint of the authors' code, or a MobileNet of TensorFlow Lite",
        description="Convert a checkpoint that the authors' training script wrote, or take"
        " a MobileNet's weights out of a TensorFlow Lite file.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "input",
        type=Path,
        metavar="IN",
        help="file of their script, or the network's state alone, also as safetensors; or a"
        " .tflite file",
    )
    parser.add_argument("output", type=Path, metavar="OUT", help="safetensors file to write")
    parser.add_argument(
        "--labels",
        choices=list(_LABEL_SETS),
        help="what the classes are, of a checkpoint (default: by their number)",
    )
    parser.add_argument("--json", action="store_true", help="print what was taken as JSON")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Convert; nothing is written unless all of it fits."""
    source: Path = arguments.input
    out: Path = arguments.output
    if not source.is_file():
        arguments.parser.error(f"there is no file {source}")
    if out.is_dir():
        arguments.parser.error(f"OUT is a folder, {out}; wanted a file")
    if out.exists() and out.samefile(source):
        arguments.parser.error(f"OUT is IN itself, {source}")
    # Imports PyTorch: only once the input is there.
    from fafnet_core.checkpoints.tflite_file import is_tflite

    convert = _convert_tflite if is_tflite(source) else _convert_release
    convert(arguments)
    return 0


def _convert_release(arguments: argparse.Namespace) -> None:
    from fafnet_core import save_checkpoint
    from fafnet_core.checkpoints.release import NORMALISATION, convert_release
    from fafnet_core.checkpoints.release_file import read_release_file

    source: Path = arguments.input
    out: Path = arguments.output
    file = read_release_file(source)
    try:
        converted = convert_release(file.state, _LABEL_SETS.get(arguments.labels))
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    model, label_set = converted.model, converted.label_set
    notes = {"source": "checkpoint of the authors' code", "iterations": file.iterations}
    save_checkpoint(out, model, label_set=label_set, normalisation=NORMALISATION, notes=notes)
    report = {
        "tensors": converted.taken,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "backbone": model.config.backbone,
        "classes": len(label_set),
        "label_set": label_set.name,
        "iterations": file.iterations,
        "ignored": list(converted.ignored),
        "out": str(out),
    }
    text = (
        "taken: {tensors} tensors ({backbone}, {parameters:,} parameters, {classes} classes:"
        " {label_set})"
    )
    if converted.ignored:
        unused = ", ".join(converted.ignored)
        text += f"\nignored, as the authors' network never uses them: {unused}"
    _print(arguments, report, text)


def _convert_tflite(arguments: argparse.Namespace) -> None:
    from fafnet_core.checkpoints.folded_mobilenet import save_folded_mobilenet
    from fafnet_core.checkpoints.tflite_mobilenet import read_folded_mobilenet

    source: Path = arguments.input
    out: Path = arguments.output
    if arguments.labels is not None:
        arguments.parser.error(
            f"{source} is TensorFlow Lite: its classes are not taken, so no --labels"
        )
    network = read_folded_mobilenet(source)
    save_folded_mobilenet(out, network, source)
    report = {
        "tensors": len(network.tensors),
        "parameters": sum(values.size for values in network.tensors.values()),
        "backbone": network.backbone,
        "stored_as": network.stored_as,
        "input": network.input,
        "output_stride": network.output_stride,
        "sha256": network.sha256,
        "out": str(out),
    }
    _print(
        arguments,
        report,
        "taken: {tensors} tensors ({backbone}, {parameters:,} parameters, {stored_as}, output"
        " stride {output_stride}, {input})\nof the file with SHA-256 {sha256}",
    )


def _print(arguments: argparse.Namespace, report: dict[str, object], text: str) -> None:
    """Print a report as JSON, or as `text` with its values."""
    print(json.dumps(report) if arguments.json else f"{text}\nwritten: {{out}}".format(**report))
