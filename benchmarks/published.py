"""The checkpoint that ships beside published networks, as a table and a picture.

python benchmarks/shipped.py --nyuv2 data/nyuv2 --peer ... --json output/shipped.json
python benchmarks/published.py output/shipped.json --esanet FOLDER --plot docs/images/accuracy.png

Our figures and the peers' are those that `shipped.py` measured, times included. ESANet's time is
measured here, on one thread too, with a checkout of its repository and random weights. Its accuracy
and the others' are from their papers; they were not measured here.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import peers
import torch
from measuring import axes_of, command_line, markdown

from fafnet_core.benchmark.timing import median_ms
from fafnet_core.runtimes.devices import use_threads

_ESANET = "ESANet R34-NBt1D"
_OURS, _THEIRS = "#D9772B", "#34506E"


@dataclass(frozen=True)
class Published:
    """A network's figure in its paper, on NYU-Depth V2's 654 test frames and 40 classes.

    Attributes:
        name: of the network.
        mean_iou: percent.
        protocol: of the test.
        trained_on: beside NYU-Depth V2's 795 frames.
    """

    name: str
    mean_iou: float
    protocol: str
    trained_on: str


PUBLISHED = (
    Published(_ESANET, 50.3, "single scale", "ImageNet"),
    Published("EMSAFormer", 51.1, "single scale", "ImageNet"),
    Published("SA-Gate R101", 52.4, "multi-scale, flip", "ImageNet"),
    Published("FAFNet R101 (the paper)", 54.0, "multi-scale", "ImageNet"),
    Published("CMX MiT-B5", 56.9, "its authors' best", "ImageNet"),
    Published("DFormer-L", 57.2, "its authors' best", "ImageNet, with estimated depth"),
    Published("DFormerv2-L", 58.4, "its authors' best", "ImageNet, with estimated depth"),
    Published("GeminiFusion Swin-L", 60.2, "its authors' best", "ImageNet-22k"),
)


@torch.inference_mode()
def esanet_milliseconds(checkout: Path) -> float:
    """Median processor time of ESANet's network alone, one image of 480x640, one thread."""
    use_threads(1)
    rgb, depth = torch.randn(1, 3, 480, 640), torch.randn(1, 1, 480, 640)
    return median_ms(partial(peers.esanet(checkout), rgb, depth), 7)


def table(report: dict[str, Any]) -> str:
    """Return the table for docs, ours first."""
    whole = next(iter(report["nyuv2"].values()))
    ours = (
        f"**`default`** ({report['notes']['preset']})",
        f"**{100 * whole['mean_iou']:.1f}**",
        "single scale, frames seen at the checkpoint's input size",
        "ADE20K, colour (backbone); synthetic rooms",
    )
    head = ("network", "mIoU, %", "protocol", "beside NYUv2 trained on")
    return markdown(head, [ours, *(astuple(one) for one in PUBLISHED)])


def plot(report: dict[str, Any], esanet_ms: float | None, path: Path) -> None:
    """Draw accuracy over time: 40 classes on the left, the 16 shared with ADE20K on the right."""
    whole = next(iter(report["nyuv2"].values()))
    all_classes = [("default", whole["milliseconds"], 100 * whole["mean_iou"])]
    if esanet_ms is not None:
        all_classes.append((f"{_ESANET}\n(published)", esanet_ms, PUBLISHED[0].mean_iou))
    names = ["default", *list(report["shared"])[1:]]
    shared = [
        (name, one["milliseconds"], 100 * one["mean_iou"])
        for name, one in zip(names, report["shared"].values(), strict=True)
    ]
    panels = (("40 classes of NYUv2", all_classes), ("16 classes that ADE20K has too", shared))
    with axes_of(path, 1, 2, (9, 3.6)) as grid:
        for axis, (title, points) in zip(grid.flat, panels, strict=True):
            for name, milliseconds, mean_iou in points:
                colour = _OURS if name == "default" else _THEIRS
                axis.scatter([milliseconds], [mean_iou], color=colour, zorder=3)
                axis.annotate(
                    name, (milliseconds, mean_iou), xytext=(6, 4), textcoords="offset points",
                    fontsize=8, color=colour,
                )  # fmt: skip
            axis.set_title(title, fontsize=10)
            axis.set_xlabel("ms a frame, one thread of a CPU")
            axis.set_ylabel("mIoU, %")
            axis.set_xlim(0, 1.5 * max(point[1] for point in points))
            axis.set_ylim(0, 65)
            axis.grid(alpha=0.3)


def main() -> None:
    """Print the table, draw the picture."""
    parser = command_line(__doc__)
    parser.add_argument("report", type=Path, help="what benchmarks/shipped.py --json wrote")
    parser.add_argument("--esanet", type=Path, metavar="FOLDER", help="a checkout of ESANet")
    parser.add_argument("--plot", type=Path, help="picture to draw")
    options = parser.parse_args()
    try:
        report = json.loads(options.report.read_text(encoding="utf-8"))
        text = table(report)
    except (OSError, ValueError, KeyError) as error:
        parser.error(f"{options.report} is no report of benchmarks/shipped.py: {error}")
    print(text)
    esanet_ms = None if options.esanet is None else esanet_milliseconds(options.esanet)
    if esanet_ms is not None:
        print(f"\n{_ESANET}: {esanet_ms:.0f} ms a frame, one thread, the network alone")
    if options.plot is not None:
        plot(report, esanet_ms, options.plot)


if __name__ == "__main__":
    main()
