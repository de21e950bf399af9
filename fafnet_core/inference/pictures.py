"""Pictures of results: overlays, legends, strips. Everything is (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.labels import LabelSet

Picture = NDArray[np.uint8]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK = (40, 40, 40)
_PAPER = 255
_LEGEND_WIDTH = 216
_LEGEND_ROW = 22
_TEXT = 0.45


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


def overlay(
    rgb: Picture, labels: NDArray[np.uint8], label_set: LabelSet, opacity: float = 0.5
) -> Picture:
    """Lay the labels' colours over an image; unlabelled pixels stay as they are.

    Args:
        rgb: (H, W, 3) uint8.
        labels: (H, W) uint8 class ids.
        label_set: their colours.
        opacity: 0 leaves the image as it is, 1 shows the colours only.
    """
    unlabelled = labels == label_set.ignore_index
    return blend(rgb, label_set.colourise(labels), opacity, keep=unlabelled)


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
        percent = 100 * counts[index] / labels.size
        share = f"{percent:.0f} %" if percent >= 0.5 else "< 1 %"
        name, colour = _entry(label_set, index)
        _write_entry(picture, f"{name}  {share}", colour, (8, top))
    if len(shown) < len(present):
        text = f"and {len(present) - len(shown)} more"
        write(picture, text, (32, 8 + len(shown) * _LEGEND_ROW + 12))
    return picture


def class_key(label_set: LabelSet, rows: int = 21) -> Picture:
    """Draw colour, id and name of every class and of unlabelled pixels, by id.

    Args:
        label_set: whose classes.
        rows: of one column; as many columns are drawn as it takes.
    """
    entries = []
    for index in (*range(len(label_set)), label_set.ignore_index):
        name, colour = _entry(label_set, index)
        entries.append((f"{index}  {name}", colour))
    widest = max(cv2.getTextSize(text, _FONT, _TEXT, 1)[0][0] for text, _ in entries)
    width, columns = widest + 48, -(-len(entries) // rows)
    height = 8 + min(rows, len(entries)) * _LEGEND_ROW
    picture = np.full((height, columns * width, 3), _PAPER, np.uint8)
    for place, (text, colour) in enumerate(entries):
        column, row = divmod(place, rows)
        _write_entry(picture, text, colour, (8 + column * width, 8 + row * _LEGEND_ROW))
    return picture


def _entry(label_set: LabelSet, index: int) -> tuple[str, tuple[int, int, int]]:
    """Return name and colour of a class id."""
    if index < len(label_set):
        return label_set.names[index], label_set.palette[index]
    return "unlabelled", (0, 0, 0)


def _write_entry(
    picture: Picture, text: str, colour: tuple[int, int, int], corner: tuple[int, int]
) -> None:
    """Write a text after a box of this colour; `corner` is the box's, left and top."""
    left, top = corner
    cv2.rectangle(picture, corner, (left + 16, top + 14), colour, cv2.FILLED)
    cv2.rectangle(picture, corner, (left + 16, top + 14), _INK, 1)
    write(picture, text, (left + 24, top + 12))


def write(
    picture: Picture, text: str, origin: tuple[int, int], scale: float = _TEXT, font: int = _FONT
) -> None:
    """Write one line of text in dark grey; `origin` is where it begins, x and y of its foot."""
    cv2.putText(picture, text, origin, font, scale, _INK, 1, cv2.LINE_AA)


def strip(panels: Sequence[tuple[str, Picture]]) -> Picture:
    """Put pictures of one height side by side, each under its title."""
    columns = []
    for title, picture in panels:
        head = np.full((28, picture.shape[1], 3), _PAPER, np.uint8)
        write(head, title, (8, 19), scale=0.55)
        gap = np.full((28 + picture.shape[0], 4, 3), _PAPER, np.uint8)
        columns += [np.vstack([head, picture]), gap]
    return np.hstack(columns[:-1])
