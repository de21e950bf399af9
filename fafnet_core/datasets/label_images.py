"""Label images as data sets store them, and the one form that the rest of the program uses.

Two conventions are in use: classes from 1 with 0 for unlabelled (`first_label` 1), and classes from
0 with 255 for unlabelled (`first_label` 0), or with the number that the label set has for it. The
wrong one shifts every class by one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fafnet_core.datasets.frames import read_stored
from fafnet_core.datasets.specification import FirstLabel
from fafnet_core.labels import UNLABELLED, LabelSet


def read_label_counts(path: Path) -> NDArray[np.uint8]:
    """Read a label image as (H, W) uint8 with the numbers on disk.

    A PNG with a palette has the numbers that its colours stand for.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or not one channel of 8 bits.
    """
    image = read_stored(path)
    if image.ndim == 3:
        image = _indices(path, image)
    if image.ndim != 2 or image.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"{path} is {image.dtype} with shape {image.shape}; a label image has one channel of"
            " class numbers. Coloured images are for display: take those that the labelling tool"
            " writes beside them, or `fafnet labels import` what CVAT exports"
        )
    if image.dtype == np.uint16:
        if image.max(initial=0) > UNLABELLED:
            raise ValueError(
                f"{path} has label {image.max()}; if these are NYUv2's 894 classes, map them to the"
                " 40 first, or take the original download"
            )
        return image.astype(np.uint8)
    return image


def _indices(path: Path, colours: NDArray[Any]) -> NDArray[Any]:
    """Return the indices of an image with a palette; of another one its colours."""
    try:
        with Image.open(path, formats=("PNG", "BMP", "TIFF")) as image:
            return np.asarray(image) if image.mode == "P" else colours
    except UnidentifiedImageError:  # of another format, which has no palette
        return colours
    # Pillow raises many types for what OpenCV has read.
    except Exception as error:
        raise ValueError(f"{path} has a palette that cannot be read: {error}") from error


def to_class_ids(
    stored: NDArray[np.uint8], label_set: LabelSet, first_label: FirstLabel, source: str | Path
) -> NDArray[np.uint8]:
    """Return labels (H, W) uint8 as 0..C-1 with 255 for unlabelled.

    Args:
        stored: (H, W) uint8 as on disk.
        label_set: the classes.
        first_label: see above.
        source: what an error names.

    Raises:
        ValueError: a value that is neither a class nor unlabelled; the message says where.
    """
    classes = len(label_set)
    table = np.full(256, UNLABELLED, np.uint8)
    table[first_label : first_label + classes] = np.arange(classes, dtype=np.uint8)
    wrong = np.bincount(stored.ravel(), minlength=256) > 0
    wrong[first_label : first_label + classes] = False
    wrong[0 if first_label else [UNLABELLED, label_set.ignore_index]] = False
    if wrong.any():
        value = int(wrong.argmax())
        row, column = np.argwhere(stored == value)[0]
        raise ValueError(
            f"{source} has label {value} (row {row}, column {column});"
            f" {_what_is_wrong(value, label_set, first_label)}"
        )
    return table[stored]


def _what_is_wrong(value: int, label_set: LabelSet, first_label: FirstLabel) -> str:
    classes = len(label_set)
    if first_label == 1:
        wanted = f"wanted 0 (unlabelled) and 1..{classes} ({label_set.name})"
        if value == UNLABELLED:
            return f"{wanted}. If its classes count from 0 with 255 = unlabelled: first_label: 0"
    else:
        unlabelled = " or ".join(map(str, sorted({label_set.ignore_index, UNLABELLED})))
        wanted = f"wanted 0..{classes - 1} ({label_set.name}) and {unlabelled} (unlabelled)"
        if value == classes:
            return f"{wanted}. If its classes count from 1 with 0 = unlabelled: first_label: 1"
    return f"{wanted}. Take the labels of this label set"
