"""The table and the plot of the adaptation benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from measuring import axes_of, markdown

from fafnet_core.files import written_beside

_HEAD = (
    "labelled frames", "chosen", "runs", "new scenes, mIoU", "pixels", "the rest, mIoU", "pixels",
    "minutes",
)  # fmt: skip
_ORDER = ("base", "picked", "random", "all")


@dataclass(frozen=True)
class Run:
    """What one network reached.

    Attributes:
        way: how its frames were chosen: "base" (none), "picked", "random", "all".
        frames: how many.
        seed: of the training, and of the draw.
        names: of the frames.
        seconds: of the training.
        scores: `mean_iou` and `pixel_accuracy` as fractions, on the "new" scenes and the "rest".
    """

    way: str
    frames: int
    seed: int
    names: list[str]
    seconds: float
    scores: dict[str, dict[str, float]]


def _groups(runs: Sequence[Run]) -> list[tuple[int, str, list[Run]]]:
    """Return the runs of each number of frames and way."""
    keys = sorted({(run.frames, _ORDER.index(run.way)) for run in runs})
    return [
        (
            frames,
            _ORDER[way],
            [run for run in runs if (run.frames, run.way) == (frames, _ORDER[way])],
        )
        for frames, way in keys
    ]


def _spread(values: Sequence[float]) -> str:
    """Return percent: the mean, and the standard deviation of several."""
    percent = [100 * value for value in values]
    if len(percent) < 2:
        return f"{percent[0]:.1f}"
    return f"{mean(percent):.1f} ± {stdev(percent):.1f}"


def table(runs: Sequence[Run]) -> str:
    """Return the runs in Markdown; mean and standard deviation over the seeds."""
    rows = []
    for frames, way, group in _groups(runs):
        figures = [
            _spread([run.scores[test][figure] for run in group])
            for test in ("new", "rest")
            for figure in ("mean_iou", "pixel_accuracy")
        ]
        minutes = mean(run.seconds for run in group) / 60
        rows.append([frames, way, len(group), *figures, f"{minutes:.1f}" if frames else ""])
    return markdown(_HEAD, rows)


def plot(runs: Sequence[Run], path: Path) -> None:
    """Draw mean IoU over the number of frames, on the new scenes and on the rest."""
    groups = _groups(runs)
    titles = {"new": "scenes of the new kind", "rest": "all other scenes"}
    with axes_of(path, 1, 2, (9.0, 3.6)) as grid:
        for axis, (test, title) in zip(grid.flat, titles.items(), strict=True):
            base = [run.scores[test]["mean_iou"] for run in runs if run.way == "base"]
            if base:
                axis.axhline(100 * base[0], color="0.6", linestyle=":", label="before")
            for way, colour in (("picked", "C0"), ("random", "C1"), ("all", "C2")):
                points = [
                    (frames, [100 * run.scores[test]["mean_iou"] for run in group])
                    for frames, kind, group in groups
                    if kind == way
                ]
                if not points:
                    continue
                axis.plot(
                    [frames for frames, _ in points],
                    [mean(values) for _, values in points],
                    marker="o",
                    color=colour,
                    label=way,
                )
                for frames, values in points:
                    axis.scatter([frames] * len(values), values, s=10, color=colour, alpha=0.5)
            axis.set_title(title, fontsize=10)
            axis.set_xticks(sorted({frames for frames, _, _ in groups if frames}))
            axis.set_xlabel("labelled frames")
            axis.set_ylabel("mean IoU, %")
        grid.flat[0].legend(fontsize=8, frameon=False)


def write_report(runs: Sequence[Run], out: Path) -> str:
    """Write adaptation.md and adaptation.png, and return the table."""
    text = table(runs)
    with written_beside(out / "adaptation.md") as beside:
        beside.write_text(f"{text}\n", encoding="utf-8")
    plot(runs, out / "adaptation.png")
    return text
