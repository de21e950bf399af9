"""Packs the checkpoint that ships and measures it, in real rooms and in synthetic ones.

python benchmarks/shipped.py runs/mobile/last.safetensors --nyuv2 data/nyuv2 \\
    --peer "DeepLabv3 MobileNetV2=deeplabv3_mnv2_ade20k_int8.tflite" --json output/shipped.json
python benchmarks/shipped.py --nyuv2 data/nyuv2     # the one that ships, not packed again
python benchmarks/shipped.py --nyuv2 data/nyuv2 --stride 20 --rooms 20   # a quick look

Weights are stored in half precision; every figure is of the stored file, on one thread, on
NYU-Depth V2's test split and on rooms of a seed that nothing was trained or chosen with. Writes the
checkpoint, its card beside it, and a sheet of rooms with their labels.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import cv2
from ade_peers import AdePeer, measure_peer
from frame_faults import FAULTS, NO_COLOUR, NO_DEPTH, WHOLE, Fault
from frame_scores import FrameScores, measure
from measuring import at_least, command_line
from shipped_report import Report

from fafnet_core.checkpoints.checkpoint import (
    CheckpointMetadata,
    load_checkpoint,
    read_metadata,
    save_checkpoint,
)
from fafnet_core.checkpoints.shipped import DEFAULT_CHECKPOINT, checkpoint_file
from fafnet_core.datasets.catalogue import NYUv2Data
from fafnet_core.evaluation.sheets import prediction_sheet
from fafnet_core.files import write_png, written_beside
from fafnet_core.inference import Segmenter
from fafnet_core.labels import NYU40
from fafnet_core.rooms.dataset import SyntheticData
from fafnet_core.rooms.sensor import SensorConfig
from fafnet_core.runtimes.devices import use_threads
from fafnet_core.samples import RgbdSegmentationDataset

MOST_BYTES = 16_000_000
"""A package that people clone and install should not carry more."""

_FRESH_SEED = 20_000
_ROOMS = 300
_SHOWN = 4
_TYPICAL = SensorConfig(calibration_error_px=(0.0, 4.0))


@dataclass(frozen=True)
class Trial:
    """Synthetic rooms to test on.

    Attributes:
        name: of the trial.
        faults: what is planted.
        most: at most so many rooms.
        changes: fields of `SyntheticData` that differ.
    """

    name: str
    faults: tuple[Fault, ...] = (WHOLE,)
    most: int = sys.maxsize
    changes: dict[str, Any] = field(default_factory=dict)


_TRIALS = (
    Trial("320x240", (WHOLE, NO_DEPTH, NO_COLOUR)),
    Trial("640x480", most=60, changes={"width": 640, "height": 480}),
    Trial("320x240, perfect sensor", changes={"sensor": SensorConfig.perfect()}),
)


def measure_rooms(segmenter: Segmenter, rooms: int) -> list[FrameScores]:
    """Score synthetic rooms in every trial; the first result keeps some for the sheet."""
    found: list[FrameScores] = []
    base = SyntheticData(seed=_FRESH_SEED, frames=rooms, held_out=rooms, sensor=_TYPICAL)
    for trial in _TRIALS:
        dataset = replace(base, **trial.changes).open("test")
        found += measure(
            segmenter,
            dataset,
            range(min(rooms, trial.most)),
            trial.faults,
            name=trial.name,
            keep=0 if found else _SHOWN,
        )
    return found


def pack(source: Path, out: Path) -> None:
    """Store a trained network in half precision, with notes on its training.

    Raises:
        ValueError: not a network of `fafnet train`, other classes than NYU's 40, or a file that is
            too large; `out` is left as it was.
    """
    metadata = _metadata(source)
    notes = metadata.notes
    if "training" not in notes:
        raise ValueError(
            f"{source} does not say what it was trained on: take last.safetensors or"
            " best.safetensors of a training by `fafnet train`"
        )
    config = _without_folders(notes["training"])
    model = load_checkpoint(source)
    kept = {
        "preset": config["model"]["preset"],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "iterations": notes["iterations"],
        "training": config,
        "versions": notes.get("versions", {}),
    }
    # What else the file says of how the network is used is kept.
    use = {
        part.name: getattr(metadata, part.name)
        for part in fields(metadata)
        if part.name not in ("config", "notes")
    }
    with written_beside(out) as beside:
        save_checkpoint(beside, model, notes=kept, half=True, **use)
        size = beside.stat().st_size
        if size > MOST_BYTES:
            raise ValueError(
                f"{source} takes {size / 1e6:.1f} MB in half precision; what ships has at most"
                f" {MOST_BYTES / 1e6:g} MB: train a smaller preset"
            )


def _metadata(path: Path) -> CheckpointMetadata:
    """Read what a checkpoint of NYU's 40 classes says about itself."""
    metadata = read_metadata(path)
    if metadata.label_set.names != NYU40.names:
        raise ValueError(
            f"{path} has the classes of '{metadata.label_set.name}'; wanted NYU-Depth V2's 40"
        )
    return metadata


def _without_folders(value: Any) -> Any:
    """Return a configuration without the paths of files and folders: their names say enough."""
    if isinstance(value, dict):
        return {name: _without_folders(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_folders(part) for part in value]
    if isinstance(value, str) and "/" in value and not value.startswith("hf://"):
        return Path(value).name
    return value


def _is_jpeg(root: Path) -> bool:
    return any(path.suffix.lower() in (".jpg", ".jpeg") for path in root.glob("test/rgb/*"))


def _measured(
    path: Path,
    dataset: RgbdSegmentationDataset,
    peers: Sequence[AdePeer],
    options: argparse.Namespace,
) -> Report:
    metadata = _metadata(path)
    if "preset" not in metadata.notes:
        raise ValueError(
            f"{path} was not packed by this command: give it as SOURCE, and another file as --out"
        )
    indices = range(0, len(dataset), options.stride)[: options.frames]
    # As the peers do: times compare.
    use_threads(1)
    cv2.setNumThreads(1)
    segmenter = Segmenter.from_checkpoint(path, device="cpu", precision="float32")
    return Report(
        path=path,
        metadata=metadata,
        nyuv2=measure(segmenter, dataset, indices, FAULTS),
        peers=[measure_peer(peer, dataset, indices) for peer in peers],
        rooms=measure_rooms(segmenter, options.rooms),
        is_jpeg=_is_jpeg(options.nyuv2.expanduser()),
    )


def _peer(text: str) -> tuple[str, Path]:
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise argparse.ArgumentTypeError(f"'{text}' is no peer; wanted NAME=FILE.tflite")
    return name, Path(file)


def _parser() -> argparse.ArgumentParser:
    parser = command_line(__doc__)
    add = parser.add_argument
    add(
        "source", nargs="?", type=Path, help="network of `fafnet train`; without, --out is measured"
    )
    add("--nyuv2", type=Path, required=True, metavar="FOLDER", help="NYU-Depth V2 with depth")
    add("--peer", type=_peer, action="append", default=[], metavar="NAME=FILE.tflite",
        help="a network of ADE20K's 31 classes to compare with; may be repeated")  # fmt: skip
    add("--stride", type=at_least(1), default=1, help="take every n-th frame of NYU-Depth V2")
    add("--frames", type=at_least(1), help="take at most so many frames of NYU-Depth V2")
    add("--rooms", type=at_least(1), default=_ROOMS, help="synthetic rooms (%(default)s)")
    add("--out", type=Path, default=checkpoint_file(DEFAULT_CHECKPOINT), help="the checkpoint; its"
        " card is written beside it")  # fmt: skip
    add("--sheet", type=Path, default=Path("docs/images/rooms.png"), help="picture of rooms"
        " (%(default)s)")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="also write every figure, with the protocol")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Pack a checkpoint, or measure the one that ships."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        # Whatever may be asked wrongly is read before the first file is written.
        peers = [AdePeer(name, path) for name, path in options.peer]
        dataset = NYUv2Data(root=str(options.nyuv2), hha="depth").open("test")
        if options.source is not None:
            pack(options.source, options.out)
        report = _measured(options.out, dataset, peers, options)
    except (ModuleNotFoundError, ValueError, OSError) as error:
        parser.error(str(error))
    card = report.to_card()
    with written_beside(options.out.with_suffix(".md")) as beside:
        beside.write_text(card, encoding="utf-8")
    if options.json is not None:
        with written_beside(options.json) as beside:
            beside.write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
    write_png(options.sheet, prediction_sheet(report.rooms[0].kept, NYU40))
    print(card)
    return 0


if __name__ == "__main__":
    sys.exit(main())
