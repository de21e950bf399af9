"""`fafnet evaluate`: how well a network labels a data set."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fafnet_core.checkpoints.location import is_exported
from fafnet_core.cli.options import add_input_size, add_overrides
from fafnet_core.files import write_png, written_beside
from fafnet_core.input_size import CHECKPOINT
from fafnet_core.nearest import unknown_name

if TYPE_CHECKING:
    from fafnet_core.evaluation.evaluate import EvaluateConfig, Evaluation
    from fafnet_core.evaluation.report import EvaluationReport
    from fafnet_core.inference import Segmenter
    from fafnet_core.labels import LabelSet

_PROTOCOLS = ("single", "single-flip", "multi", "multi-flip")
_FRAMES_OF_A_SHEET = 4

_EXAMPLES = """\
examples:
  fafnet evaluate config/nyuv2.yaml --checkpoint runs/nyu/best.safetensors
  fafnet evaluate config/nyuv2.yaml --checkpoint best.safetensors --split test \\
      --set 'evaluate.scales=[0.75,1,1.25]' --protocols single,single-flip,multi,multi-flip
  fafnet evaluate config/sunrgbd.yaml --checkpoint best.safetensors --set evaluate.blank=hha
  fafnet evaluate config/nyuv2.yaml --checkpoint best.safetensors --input-size image
  fafnet evaluate config/nyuv2.yaml --checkpoint best.safetensors --confusion confusion.png \\
      --csv classes.csv --sheet figure7.png --frames 0,5,9

Prints percent; --json and --csv hold fractions. Choose (scales, checkpoints, anything) by --split
val, which is carved from the training frames; run --split test once, for the figures to report.
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to `fafnet`."""
    parser = verbs.add_parser(
        "evaluate",
        help="score a network on a data set",
        description="Score a network: mean IoU, accuracies, classes, sensors, confusion.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", type=Path, help="YAML file; its data and evaluate sections count")
    parser.add_argument(
        "--checkpoint",
        required=True,
        help="safetensors file, folder, hf://owner/name or name; or a .onnx or .xml file of"
        " fafnet export, at one scale",
    )
    add_overrides(parser, "evaluate.flip=true")
    parser.add_argument("--split", choices=("val", "test"), help="short for --set evaluate.split=")
    add_input_size(parser)
    parser.add_argument(
        "--protocols",
        metavar="LIST",
        help=f"one result for each of these, with commas: {', '.join(_PROTOCOLS)}; multi takes"
        " evaluate.scales (default: single, and what the file's scales and flip ask for)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write figures of every class")
    parser.add_argument(
        "--confusion", type=Path, metavar="FILE.png", help="draw the confusion matrix"
    )
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE.png", help="draw frames, truth and predictions"
    )
    parser.add_argument(
        "--frames", metavar="LIST", help="frames of the sheet, counted from 0, as in 0,5,9"
    )
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Score the network; --confusion and --sheet show the first protocol."""
    protocols, frames = _check(arguments)
    # Imports PyTorch: only once the question makes sense.
    from fafnet_core.evaluation.confusion_picture import require_matplotlib
    from fafnet_core.evaluation.evaluate import evaluate, evaluate_runtime
    from fafnet_core.evaluation.report import EvaluationReport, describe_data
    from fafnet_core.runtimes.devices import choose_device
    from fafnet_core.training.config import read_config

    overrides = list(arguments.overrides)
    if arguments.split:
        overrides.append(f"evaluate.split={arguments.split}")
    config = read_config(arguments.config, overrides)
    _evaluations(config.evaluate, protocols)  # before anything is read
    device = choose_device(arguments.device)
    if arguments.confusion:
        require_matplotlib()  # now, not when everything is computed
    segmenter = _load(arguments, config.evaluate)
    dataset = config.data.open(config.evaluate.split)
    for notice in dataset.notices:
        print(f"fafnet: {notice}", file=sys.stderr)
    _check_labels(segmenter.label_set, dataset.label_set)
    keep = _frames_to_keep(frames, len(dataset)) if arguments.sheet else []
    settings = dataclasses.replace(config.evaluate, input_size=segmenter.input_size)

    def score(asked: EvaluateConfig, keep: Sequence[int]) -> Evaluation:
        if is_exported(arguments.checkpoint):
            return evaluate_runtime(
                segmenter.runtime, segmenter.label_set, dataset, config=asked, keep=keep
            )
        return evaluate(
            segmenter.torch.model,
            dataset,
            normalisation=segmenter.torch.normalisation,
            config=asked,
            device=device,
            keep=keep,
        )

    results = [
        (asked, score(asked, () if number else keep))
        for number, asked in enumerate(_evaluations(settings, protocols))
    ]
    report = EvaluationReport(
        arguments.checkpoint,
        config.data_name,
        dataset.label_set,
        segmenter.device if is_exported(arguments.checkpoint) else str(device),
        results,
        describe_data(config.data_name, config.data, dataset),
    )
    # Before any file: a full disk loses no figures.
    print(json.dumps(report.to_json()) if arguments.json else report.to_text(), flush=True)
    _write(arguments, report, keep)
    return 0


def _check(arguments: argparse.Namespace) -> tuple[list[str], list[int] | None]:
    """Protocols and frames; ends with exit status 2 where the question makes no sense."""
    error = arguments.parser.error
    if not arguments.config.is_file():
        error(f"there is no file {arguments.config}")
    protocols = arguments.protocols.split(",") if arguments.protocols else []
    for name in protocols:
        if name not in _PROTOCOLS:
            error(f"--protocols: {unknown_name('protocol', name, _PROTOCOLS)}")
    if is_exported(arguments.checkpoint):
        protocols = protocols or ["single"]
        if protocols != ["single"]:
            error("--protocols: an exported file takes single only; or give the checkpoint itself")
    for option in ("csv", "confusion", "sheet"):
        path = getattr(arguments, option)
        if path is not None and path.is_dir():
            error(f"--{option} is a folder, {path}; wanted a file")
    if arguments.frames is None:
        return protocols, None
    if not arguments.sheet:
        error("--frames are those of a sheet: give --sheet FILE.png")
    parts = arguments.frames.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        error(f"--frames is '{arguments.frames}'; wanted whole numbers with commas, as in 0,5,9")
    return protocols, list(dict.fromkeys(int(part) for part in parts))


def _evaluations(config: EvaluateConfig, protocols: Sequence[str]) -> list[EvaluateConfig]:
    """The evaluations that were asked for; by default single scale, then the file's own."""
    if not protocols:
        single = dataclasses.replace(config, scales=(1.0,), flip=False)
        return [single] if config == single else [single, config]
    if len(config.scales) < 2 and any(name.startswith("multi") for name in protocols):
        raise ValueError(
            f"multi needs several scales, but evaluate.scales is {list(config.scales)}; set them,"
            " as in --set 'evaluate.scales=[0.75,1,1.25]'"
        )
    return [
        dataclasses.replace(
            config,
            scales=config.scales if name.startswith("multi") else (1.0,),
            flip=name.endswith("flip"),
        )
        for name in protocols
    ]


def _load(arguments: argparse.Namespace, config: EvaluateConfig) -> Segmenter:
    """The network at the input size of --input-size, the configuration or the checkpoint."""
    from fafnet_core.inference import Segmenter

    input_size = arguments.input_size
    if input_size == CHECKPOINT and config.input_size is not None:
        input_size = config.input_size
    # A network goes to its device later; an exported file has a runtime of its own.
    runtime = "auto" if is_exported(arguments.checkpoint) else "torch"
    segmenter = Segmenter.from_checkpoint(
        arguments.checkpoint, "cpu", "float32", runtime, input_size=input_size
    )
    if segmenter.notice:
        print(f"fafnet: {segmenter.notice}", file=sys.stderr)
    return segmenter


def _check_labels(network: LabelSet, data: LabelSet) -> None:
    """Refuse a network with other classes than the data set: its figures would mean nothing."""
    if network.names == data.names:
        return
    if len(network) != len(data):
        difference = f"{len(network)} classes against {len(data)}"
    else:
        index = [a == b for a, b in zip(network.names, data.names, strict=True)].index(False)
        difference = f"class {index} is '{network.names[index]}' against '{data.names[index]}'"
    raise ValueError(
        f"the network was trained for label set '{network.name}', the data set has '{data.name}':"
        f" {difference}; take a checkpoint or a data set with the same classes"
    )


def _frames_to_keep(frames: list[int] | None, count: int) -> list[int]:
    """The frames of the sheet; by default a few, evenly spread."""
    if frames is None:
        rows = min(_FRAMES_OF_A_SHEET, count)
        return [index * count // rows for index in range(rows)]
    if beyond := [index for index in frames if index >= count]:
        raise ValueError(f"--frames: there is no frame {beyond[0]}, the split has {count}, from 0")
    return frames


def _write(arguments: argparse.Namespace, report: EvaluationReport, keep: Sequence[int]) -> None:
    config, evaluation = report.results[0]
    if arguments.csv:
        with written_beside(arguments.csv) as beside:
            beside.write_text(report.to_csv(), encoding="utf-8")
    if arguments.confusion:
        from fafnet_core.evaluation.confusion_picture import confusion_picture

        title = (
            f"{report.data} {config.split}, {Path(report.checkpoint).name}, {config.protocol}:"
            f" mean IoU {100 * evaluation.scores.mean_iou:.1f} %"
        )
        picture = confusion_picture(evaluation.confusion, report.label_set.names, title)
        write_png(arguments.confusion, picture)
    if arguments.sheet:
        from fafnet_core.evaluation.sheets import prediction_sheet

        rows = [evaluation.kept[index] for index in keep]
        write_png(arguments.sheet, prediction_sheet(rows, report.label_set))
