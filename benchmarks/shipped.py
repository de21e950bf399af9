"""Makes the checkpoint that ships from a training on synthetic rooms, and measures it.

fafnet train config/synthetic.yaml --out runs/rooms
python benchmarks/shipped.py runs/rooms/last.safetensors

Weights are stored in half precision; every figure is of the stored file, on rooms of a seed that
nothing was trained or chosen with. Writes the checkpoint, its card and a sheet of predictions.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fafnet_core.data import NYU40
from fafnet_core.data.synthetic.dataset import SyntheticData
from fafnet_core.data.synthetic.sensor import SensorConfig
from fafnet_core.files import write_png, written_beside
from fafnet_core.models.shipped import DEFAULT_CHECKPOINT, checkpoint_file
from fafnet_core.models.weights import load_checkpoint, read_metadata, save_checkpoint
from fafnet_core.training.evaluation import Blank, EvaluateConfig, Evaluation, evaluate
from fafnet_core.training.sheets import prediction_sheet

NOTICE = (
    "trained on synthetic rooms only: labels of real scenes are not to be relied on; train on"
    " NYUv2 or SUN RGB-D for those"
)
_FRESH_SEED = 20_000
_FRAMES = 300
_CALIBRATION_PX = (0.0, 4.0)
_SHOWN = 4
_COMMON = 0.001
"""Share of the pixels from which a class counts as one of the common ones."""


@dataclass(frozen=True)
class Trial:
    """One way of testing: a name, changes of the data, and the input that is blanked."""

    name: str
    changes: dict[str, Any]
    blank: Blank = "none"


_TRIALS = (
    Trial("320x240, both inputs", {}),
    Trial("320x240, HHA blanked", {}, "hha"),
    Trial("320x240, colour blanked", {}, "rgb"),
    Trial("640x480, both inputs", {"width": 640, "height": 480, "frames": 60}),
    Trial("320x240, perfect sensor", {"sensor": SensorConfig.perfect()}),
)


def measure(path: Path, frames: int) -> dict[str, Evaluation]:
    """Evaluate a checkpoint in every way."""
    model, normalisation = load_checkpoint(path), read_metadata(path).normalisation
    found = {}
    with tempfile.TemporaryDirectory() as cache:  # three trials see the same frames
        base = SyntheticData(
            seed=_FRESH_SEED,
            frames=frames,
            held_out=frames,
            sensor=SensorConfig(calibration_error_px=_CALIBRATION_PX),
            cache=cache,
        )
        for trial in _TRIALS:
            data = replace(base, **trial.changes)
            found[trial.name] = evaluate(
                model,
                replace(data, frames=min(data.frames, frames)).open("test"),
                normalisation=normalisation,
                config=EvaluateConfig(split="test", blank=trial.blank, workers=2),
                keep=range(_SHOWN) if trial is _TRIALS[0] else (),
            )
    return found


def common_classes(evaluation: Evaluation) -> list[int]:
    """Return the classes that have at least a thousandth of the pixels each."""
    pixels = evaluation.scores.pixels
    return [i for i in range(len(pixels)) if pixels[i] >= _COMMON * pixels.sum()]


def card(path: Path, found: dict[str, Evaluation]) -> str:
    """Return the text that goes with the file."""
    metadata = read_metadata(path)
    first = found[_TRIALS[0].name]
    common = common_classes(first)
    rows = [
        f"| {name} | {100 * one.scores.mean_iou:.1f} | {100 * one.scores.pixel_accuracy:.1f} |"
        f" {one.frames} |"
        for name, one in found.items()
    ]
    total = first.scores.pixels.sum()
    classes = [
        f"| {NYU40.names[i]} | {100 * first.scores.iou[i]:.1f} |"
        f" {100 * first.scores.pixels[i] / total:.2f} |"
        for i in sorted(common, key=lambda i: -first.scores.iou[i])
    ]
    notes = metadata.notes
    return "\n".join(
        [
            f"# {path.stem}",
            "",
            "The network that `default` stands for: "
            f"{notes['preset']}, {notes['parameters']:,} parameters, 40 classes of NYUv2,"
            f" {path.stat().st_size / 1e6:.1f} MB (weights in half precision).",
            "",
            "**What it is for.** To see the whole package work, labels included, without a data"
            " set: in `make demo`, with `fafnet segment` on synthetic frames, in the launch file.",
            "",
            f"**What it is not.** It is {NOTICE}. It has never seen a photograph.",
            "",
            f"**Training.** `fafnet train config/synthetic.yaml`: {notes['training_frames']:,}"
            f" rooms, {notes['iterations']:,} iterations of {notes['batch_size']} crops, seed"
            f" {notes['seed']}, from random weights.",
            "",
            f"**Figures**, on rooms of seed {_FRESH_SEED}, split test, which nothing was trained or"
            f" chosen with (`python benchmarks/shipped.py`); {len(common)} classes have at least"
            " 0.1 % of the pixels.",
            "",
            "| test | mIoU, % | pixel accuracy, % | frames |",
            "|---|---|---|---|",
            *rows,
            "",
            "mIoU is the mean over all classes that occur. Blanked: the normalised input is 0"
            " everywhere, which a network that was trained with both has never seen; what depth is"
            " worth to one that was trained without is in docs/results.md.",
            "",
            "| class | IoU, % | pixels, % |",
            "|---|---|---|",
            *classes,
            "",
        ]
    )


def pack(source: Path, out: Path) -> None:
    """Store a trained network in half precision with what users have to know.

    Raises:
        ValueError: the file does not say that it was trained on synthetic rooms.
    """
    metadata = read_metadata(source)
    training = metadata.notes
    if training.get("data") != "synthetic":
        raise ValueError(
            f"{source} was not trained on synthetic rooms by `fafnet train`: take last.safetensors"
            " of such a training"
        )
    config = training["training"]
    model = load_checkpoint(source)
    notes = {
        "notice": NOTICE,
        "preset": config["model"]["preset"],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "training_frames": config["data"]["frames"],
        "batch_size": config["train"]["batch_size"],
        "iterations": training["iterations"],
        "seed": config["train"]["seed"],
        "versions": training.get("versions", {}),
    }
    save_checkpoint(
        out,
        model,
        label_set=metadata.label_set,
        normalisation=metadata.normalisation,
        notes=notes,
        half=True,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Pack a checkpoint, or measure the one that ships."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", nargs="?", type=Path, help="network of the training; without, the"
                        " checkpoint that ships is measured")  # fmt: skip
    parser.add_argument("--out", type=Path, default=checkpoint_file(DEFAULT_CHECKPOINT))
    parser.add_argument("--sheet", type=Path, default=Path("docs/images/rooms.png"))
    parser.add_argument("--frames", type=int, default=_FRAMES)
    options = parser.parse_args(arguments)
    if options.frames < 1:
        parser.error(f"--frames is {options.frames}; wanted at least 1")
    if options.source is not None:
        try:
            pack(options.source, options.out)
        except (ValueError, OSError) as error:
            parser.error(str(error))
    found = measure(options.out, options.frames)
    text = card(options.out, found)
    with written_beside(options.out.with_suffix(".md")) as beside:
        beside.write_text(text, encoding="utf-8")
    kept = found[_TRIALS[0].name].kept
    write_png(options.sheet, prediction_sheet([kept[i] for i in sorted(kept)], NYU40))
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
