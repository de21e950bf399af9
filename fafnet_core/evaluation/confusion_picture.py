"""A confusion matrix as a picture, readable with the 40 classes of NYUv2."""

from __future__ import annotations

import io
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.evaluation.metrics import ConfusionMatrix
from fafnet_core.inference.pictures import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_CELL = 0.3  # inches
_LEAST_SIDE = 3.4  # inches; as wide as the line above it
_DOTS_PER_INCH = 120
_COLOURS = "Blues"
_NO_TARGET = "#e4e4e4"
_INK = "#303030"
_FAINT = "#c8ccd2"


def confusion_picture(confusion: ConfusionMatrix, names: Sequence[str], title: str = "") -> Picture:
    """Draw what each class was taken for, in percent of the class's own pixels.

    Rows are targets and add up to 100; columns are predictions. Only classes that occur as either
    are drawn. A class that is only predicted has a grey row.

    Args:
        confusion: the counts.
        names: C class names.
        title: above the picture.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: matplotlib is not installed, nothing was counted, or another number of names.
    """
    matrix = confusion.matrix
    if len(names) != confusion.num_classes:
        raise ValueError(f"{len(names)} names for {confusion.num_classes} classes")
    occurs = np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1))
    if not occurs.size:
        raise ValueError("a confusion matrix without a single pixel cannot be drawn")
    figures = require_matplotlib()
    shown = matrix[np.ix_(occurs, occurs)]
    pixels = shown.sum(axis=1)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: a class that is only predicted
        percent = 100 * shown / pixels[:, None]
    side = max(_CELL * len(occurs), _LEAST_SIDE)
    figure = figures.Figure(figsize=(side, side), dpi=_DOTS_PER_INCH)
    axes = figure.add_axes((0, 0, 1, 1))
    image = _draw_cells(axes, percent)
    _label(axes, [names[index] for index in occurs])
    _explain(axes, title)
    bar = figure.colorbar(image, cax=figure.add_axes((1 + 0.2 / side, 0, 0.16 / side, 1)))
    bar.set_ticks([0, 1, 5, 10, 25, 50, 75, 100] if len(occurs) > 8 else [0, 10, 50, 100])
    bar.ax.tick_params(labelsize=8, color=_FAINT, labelcolor=_INK)
    bar.ax.set_frame_on(False)
    return _rendered(figure)


def _draw_cells(axes: Axes, percent: NDArray[np.float64]) -> AxesImage:
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    colours = colormaps[_COLOURS].copy()
    colours.set_bad(_NO_TARGET)
    # The square root: one pixel in a hundred is a confusion worth seeing.
    image = axes.imshow(percent, cmap=colours, norm=PowerNorm(0.5, 0, 100), interpolation="none")
    for (row, column), value in np.ndenumerate(percent):
        if value >= 0.5:
            axes.text(
                column, row, f"{value:.0f}", ha="center", va="center", fontsize=6.5,
                color="white" if value > 35 else _INK,
                fontweight="bold" if row == column else "normal",
            )  # fmt: skip
    return image


def _label(axes: Axes, names: Sequence[str]) -> None:
    places = range(len(names))
    axes.set_xticks(places, names, rotation=90, fontsize=8)
    axes.set_yticks(places, names, fontsize=8)
    axes.set_xlabel("prediction", color=_INK)
    axes.set_ylabel("target", color=_INK)
    axes.tick_params(length=0, labelcolor=_INK)
    edges = np.arange(len(names) + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color="white", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_color(_FAINT)


def _explain(axes: Axes, title: str) -> None:
    for text, rise, size in (
        (title or "Confusion matrix", 44, 11),
        ("row: target, in % of its pixels; column: prediction\nno number: below 0.5 %", 9, 8),
    ):
        axes.annotate(
            text, (0, 1), (0, rise), "axes fraction", "offset points", fontsize=size, color=_INK
        )


def _rendered(figure: Figure) -> Picture:
    # Cut around what was drawn: names may be of any length.
    file = io.BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight", pad_inches=0.2)
    bgr = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    picture: Picture = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)  # type: ignore[arg-type, assignment]
    return picture


def require_matplotlib() -> ModuleType:
    """Return `matplotlib.figure`; ValueError that says what to install where it is absent."""
    # The figure itself, not pyplot: no window, and no state that a caller's own plots share.
    try:
        from matplotlib import figure
    except ImportError as error:
        raise ValueError("drawing this needs matplotlib: pip install matplotlib") from error
    return figure
