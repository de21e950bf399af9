"""Pictures of results: overlays, legends, strips. Everything is (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.data.labels import LabelSet

Picture = NDArray[np.uint8]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK = (40, 40, 40)
_PAPER = 255
_LEGEND_WIDTH = 216
_LEGEND_ROW = 22


def blend(
    rgb: Picture, colours: Picture, opacity: float, keep: NDArray[np.bool_] | None = None
) -> Picture:
    """Lay colours over an image.

    Args:
        rgb: (H, W, 3) uint8.
        colours: (H, W, 3) uint8.
        opacity: 0 leaves the image as it is, 1 shows the colours only.
        keep: (H, W), True where the image stays as it is.
    """
    mixed: Picture = cv2.addWeighted(rgb, 1 - opacity, colours, opacity, 0)  # type: ignore[assignment]
    if keep is not None and keep.any():
        mixed[keep] = rgb[keep]
    return mixed


def legend(label_set: LabelSet, labels: NDArray[np.uint8], height: int) -> Picture:
    """Draw colour, name and share of the classes in these labels, the commonest first.

    As many as fit into the height are drawn; the last row counts the rest.
    """
    picture = np.full((height, _LEGEND_WIDTH, 3), _PAPER, np.uint8)
    counts = np.bincount(labels.ravel(), minlength=256)
    present = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
    fitting = max((height - 8) // _LEGEND_ROW, 1)
    shown = present if len(present) <= fitting else present[: fitting - 1]
    for row, index in enumerate(shown):
        top = 8 + row * _LEGEND_ROW
        named = index < len(label_set)
        name = label_set.names[index] if named else "unlabelled"
        colour = label_set.palette[index] if named else (0, 0, 0)
        cv2.rectangle(picture, (8, top), (24, top + 14), colour, cv2.FILLED)
        cv2.rectangle(picture, (8, top), (24, top + 14), _INK, 1)
        percent = 100 * counts[index] / labels.size
        share = f"{percent:.0f} %" if percent >= 0.5 else "< 1 %"
        _write(picture, f"{name}  {share}", (32, top + 12))
    if len(shown) < len(present):
        text = f"and {len(present) - len(shown)} more"
        _write(picture, text, (32, 8 + len(shown) * _LEGEND_ROW + 12))
    return picture


def strip(panels: Sequence[tuple[str, Picture]]) -> Picture:
    """Put pictures of one height side by side, each under its title."""
    columns = []
    for title, picture in panels:
        head = np.full((28, picture.shape[1], 3), _PAPER, np.uint8)
        _write(head, title, (8, 19), scale=0.55)
        gap = np.full((28 + picture.shape[0], 4, 3), _PAPER, np.uint8)
        columns += [np.vstack([head, picture]), gap]
    return np.hstack(columns[:-1])


def _write(picture: Picture, text: str, origin: tuple[int, int], scale: float = 0.45) -> None:
    cv2.putText(picture, text, origin, _FONT, scale, _INK, 1, cv2.LINE_AA)
