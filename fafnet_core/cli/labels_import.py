"""`fafnet labels import`: what an annotation tool exports, as the labels of a folder of frames."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fafnet_core.datasets.checks import name_some
from fafnet_core.datasets.cvat import CvatExport, check_partners
from fafnet_core.datasets.frames import COLOUR_FOLDERS, IMAGE_SUFFIXES, images_of
from fafnet_core.datasets.images import image_size
from fafnet_core.files import write_png
from fafnet_core.labels import UNLABELLED, load_label_set

_CLASSES = "classes.yaml"
_LABELS, _UNCHECKED = "labels", "labels-unchecked"

_EXAMPLES = """\
example:
  fafnet labels import annotations.zip --into picked

Reads CVAT's "Segmentation mask 1.1", the zip or its unpacked folder, checks all of it, and then
writes DIR/labels/NAME.png: class ids, 255 = unlabelled (CVAT's background).
"""


def add_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `fafnet labels`."""
    parser = actions.add_parser(
        "import",
        help="take over what CVAT exported",
        description="Take over labels that were corrected in CVAT.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("export", type=Path, metavar="EXPORT", help="a zip, or its unpacked folder")
    parser.add_argument(
        "--into", type=Path, required=True, metavar="DIR", help="the folder that `pick` wrote"
    )
    parser.add_argument(
        "--labels", metavar="SET", help=f"the classes: a name or a file (default: DIR/{_CLASSES})"
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help=f"frames without annotation are left out: their labels move to DIR/{_UNCHECKED}/",
    )
    parser.add_argument("--json", action="store_true", help="print what was taken as JSON")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Check an export, then write its labels."""
    into: Path = arguments.into
    if not into.is_dir():
        arguments.parser.error(f"there is no folder {into}")
    classes = arguments.labels or into / _CLASSES
    if arguments.labels is None and not (into / _CLASSES).is_file():
        arguments.parser.error(f"{into} has no {_CLASSES}: name the classes with --labels")
    label_set = load_label_set(classes)
    images = _colour_images(into)
    export = CvatExport(arguments.export, label_set)
    absent = check_partners(export, arguments.export, list(images))
    if absent and not arguments.partial:
        raise ValueError(
            f"{arguments.export} has no labels of {len(absent)} of {len(images)} frames in {into}:"
            f" {name_some(absent)}; --partial trains without them"
        )
    sizes = {name: image_size(images[name]) for name in export.names}
    known = {name: size for name, size in sizes.items() if size is not None}
    # All are read before one is written: a faulty export changes nothing.
    labels = dict(export.labels(known))
    for name in absent:
        _set_aside(into, name)
    for name, ids in labels.items():
        write_png(into / _LABELS / f"{name}.png", ids)
    _print(arguments, labels, absent, str(classes))
    return 0


def _colour_images(into: Path) -> dict[str, Path]:
    for name in COLOUR_FOLDERS:
        if (into / name).is_dir():
            return images_of(into / name, IMAGE_SUFFIXES)
    wanted = " or ".join(f"{name}/" for name in COLOUR_FOLDERS)
    raise FileNotFoundError(f"{into} has no colour folder: it should hold {wanted}")


def _set_aside(into: Path, name: str) -> None:
    path = into / _LABELS / f"{name}.png"
    if path.is_file():
        (into / _UNCHECKED).mkdir(exist_ok=True)
        path.replace(into / _UNCHECKED / path.name)


def _print(
    arguments: argparse.Namespace,
    labels: dict[str, NDArray[np.uint8]],
    absent: list[str],
    classes: str,
) -> None:
    empty = [name for name, ids in labels.items() if (ids == UNLABELLED).all()]
    if empty:
        told = f"no pixel of {len(empty)} frames is labelled: {name_some(empty)}"
        print(f"fafnet: {told}; are they annotated?", file=sys.stderr)
    shares = [float((ids != UNLABELLED).mean()) for ids in labels.values()]
    if arguments.json:
        report = {
            "frames": len(labels),
            "without_annotation": absent,
            "empty": empty,
            "labelled_share": float(np.mean(shares)),
        }
        print(json.dumps(report))
        return
    print(
        f"{len(labels)} frames, {100 * np.mean(shares):.0f} % of their pixels labelled:"
        f" {arguments.into / _LABELS}\n"
        f"  fafnet train config/finetune.yaml --set data.root={arguments.into} --set"
        f" data.labels={classes} --set data.first_label=0"
    )
