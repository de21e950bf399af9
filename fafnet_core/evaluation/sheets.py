"""Figure 7 of the paper: frames beside their truth and what networks made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.inference.pictures import Picture, strip
from fafnet_core.labels import LabelSet
from fafnet_core.samples import RgbdSample

_ROW_HEIGHT = 240
_GAP = 4
_PAPER = 255
_INK = (40, 40, 40)
_NO_HHA = (226, 230, 236)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.45
_KEY_ROW = 24
_UNLABELLED = "unlabelled"

Prediction = NDArray[np.uint8]


def prediction_sheet(
    rows: Sequence[tuple[RgbdSample, Prediction]],
    label_set: LabelSet,
    *,
    others: Mapping[str, Sequence[Prediction]] | None = None,
    title: str = "prediction",
    row_height: int = _ROW_HEIGHT,
) -> Picture:
    """Draw colour, HHA, ground truth and prediction side by side, one row a frame.

    Below is a legend of the classes that occur in truth or predictions, the commonest first. All
    frames are drawn at one height; to the right of narrower ones it is white.

    Args:
        rows: each frame with its predicted labels, (H, W) uint8 of the frame's own size.
        label_set: the classes.
        others: further networks' predictions of the same frames, a column each, by its title.
        title: of the column of the predictions in `rows`.
        row_height: pixels.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: no rows, a column without a prediction for each, or labels of another size.
    """
    if not rows:
        raise ValueError("a sheet needs at least one frame")
    columns = {title: [prediction for _, prediction in rows], **(others or {})}
    if len(columns) != 1 + len(others or {}):
        raise ValueError(f"two columns are called '{title}'; give each network its own title")
    samples = [sample for sample, _ in rows]
    for name, predictions in columns.items():
        _check_column(name, predictions, samples)
    truth = [sample.label for sample in samples]
    pictures = {
        "colour": [sample.rgb for sample in samples],
        "HHA": [_hha(sample) for sample in samples],
        "ground truth": [label_set.colourise(label) for label in truth],
        **{name: [label_set.colourise(p) for p in found] for name, found in columns.items()},
    }
    panels = [(name, _column(column, row_height)) for name, column in pictures.items()]
    sheet = strip(panels)
    labels = [*truth, *(p for predictions in columns.values() for p in predictions)]
    return np.vstack([sheet, _key(label_set, labels, sheet.shape[1])])


def _check_column(
    name: str, predictions: Sequence[Prediction], samples: Sequence[RgbdSample]
) -> None:
    if len(predictions) != len(samples):
        raise ValueError(
            f"column '{name}' has {len(predictions)} predictions for {len(samples)} frames"
        )
    for sample, labels in zip(samples, predictions, strict=True):
        if labels.dtype != np.uint8 or labels.shape != sample.label.shape:
            raise ValueError(
                f"{name} of {sample.name or 'a frame'} is {labels.dtype} {labels.shape}; wanted"
                f" uint8 {sample.label.shape}, the size of its truth"
            )


def _hha(sample: RgbdSample) -> Picture:
    if sample.hha is None and (sample.depth_m is None or sample.camera is None):
        return np.full((*sample.size, 3), _NO_HHA, np.uint8)
    hha = sample.with_hha().hha
    assert hha is not None
    return hha


def _column(pictures: Sequence[Picture], height: int) -> Picture:
    """Pictures one below the other, at one height each, the narrower ones at the left."""
    resized = []
    for picture in pictures:
        width = max(round(picture.shape[1] * height / picture.shape[0]), 1)
        # Averaged, class colours too: taking single pixels would tear thin things.
        method = cv2.INTER_AREA if height < picture.shape[0] else cv2.INTER_NEAREST
        resized.append(cv2.resize(picture, (width, height), interpolation=method))
    widest = max(panel.shape[1] for panel in resized)
    column = np.full((len(resized) * (height + _GAP) - _GAP, widest, 3), _PAPER, np.uint8)
    for row, panel in enumerate(resized):
        top = row * (height + _GAP)
        column[top : top + height, : panel.shape[1]] = panel
    return column


def _key(label_set: LabelSet, labels: Sequence[NDArray[np.uint8]], width: int) -> Picture:
    """Colour and name of every class that occurs, in columns as wide as the longest name."""
    counts = np.zeros(256, np.int64)
    for image in labels:
        counts += np.bincount(image.ravel(), minlength=256)
    known = len(label_set)
    entries = [
        (label_set.names[index], label_set.palette[index])
        for index in np.argsort(-counts[:known], kind="stable")
        if counts[index]
    ]
    if counts[known:].any():
        entries.append((_UNLABELLED, (0, 0, 0)))
    longest = max(cv2.getTextSize(name, _FONT, _FONT_SCALE, 1)[0][0] for name, _ in entries)
    step = longest + 48
    across = max((width - 16) // step, 1)
    down = -(-len(entries) // across)
    key = np.full((down * _KEY_ROW + 16, width, 3), _PAPER, np.uint8)
    for place, (name, colour) in enumerate(entries):
        left, top = 8 + (place % across) * step, 10 + (place // across) * _KEY_ROW
        cv2.rectangle(key, (left, top), (left + 22, top + 14), colour, cv2.FILLED)
        cv2.rectangle(key, (left, top), (left + 22, top + 14), _INK, 1)
        origin = (left + 30, top + 12)
        cv2.putText(key, name, origin, _FONT, _FONT_SCALE, _INK, 1, cv2.LINE_AA)
    return key
