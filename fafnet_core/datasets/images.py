"""Images of data sets as they are stored, and whether those of a frame have one size."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from fafnet_core.datasets.checks import name_some
from fafnet_core.datasets.frames import IMAGE_SUFFIXES, read_depth

SUFFIXES = (*IMAGE_SUFFIXES, ".npy")
"""Of images, and of depth in metres."""

Size = tuple[int, int]
"""(height, width)."""

_ONE_SIZE = "all images of a frame have one size, so one of them was resized or is of another frame"
_THREADS = 16
_QUICK_SECONDS = 2.0


def read_stored(path: Path) -> NDArray[Any]:
    """Read an image as it is on disk: its own type and channels, colours as blue, green, red.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or no image.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no image at {path}")
    try:
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # an empty file
        image = None
    if image is None:
        raise ValueError(f"{path} is not an image that OpenCV can read, or it is cut short")
    return image


def image_size(path: Path) -> Size | None:
    """Return (height, width) of an image or array, mostly without decoding it; None: no file.

    Raises:
        ValueError: damaged, or no image.
    """
    array = path.suffix.lower() == ".npy"
    try:
        if array:
            height, width = np.load(path, mmap_mode="r").shape
        else:
            with Image.open(path) as image:
                width, height = image.size
    except FileNotFoundError:
        return None
    except (EOFError, OSError, ValueError):
        # Reading it tells, or says what is wrong.
        height, width = (read_depth(path) if array else read_stored(path)).shape[:2]
    return height, width


def check_images(frames: Sequence[Sequence[Path]], *, remedy: str) -> None:
    """Refuse frames whose images are not all there, or differ in size; a bar where it takes long.

    Args:
        frames: the images of each frame; the others are compared with the first.
        remedy: what to do where images are not there.

    Raises:
        FileNotFoundError: images are not there; the message names some, and the remedy.
        ValueError: an image is damaged or differs; the message names it, and how many frames have
            such.
    """
    paths = list(chain.from_iterable(frames))
    # Threads are not for the processor: over a network each file is a wait.
    with ThreadPoolExecutor(_THREADS) as pool:
        sizes = list(tqdm(
            pool.map(image_size, paths), total=len(paths), unit="image", desc="looking at sizes",
            delay=_QUICK_SECONDS, leave=False, disable=None,
        ))  # fmt: skip
    if absent := [path for path, size in zip(paths, sizes, strict=True) if size is None]:
        raise FileNotFoundError(
            f"{len(absent)} of {len(paths)} images are not there: {name_some(absent)}; {remedy}"
        )
    of_path = dict(zip(paths, sizes, strict=True))
    wrong = [
        (path, images[0])
        for images in frames
        for path in images
        if of_path[path] != of_path[images[0]]
    ]
    if wrong:
        (path, first), count = wrong[0], len({first for _, first in wrong})
        raise ValueError(
            f"{path} is {_text(of_path[path])}, but {first} is {_text(of_path[first])};"
            f" {_ONE_SIZE} ({count} of {len(frames)} frames have such images)"
        )


def check_one_size(sources: Sequence[tuple[str | Path, NDArray[Any] | None]]) -> None:
    """Refuse images of one frame that differ in size.

    Raises:
        ValueError: the message names the first and the one that differs.
    """
    (first, image), *others = sources
    assert image is not None
    for source, other in others:
        if other is not None and other.shape[:2] != image.shape[:2]:
            raise ValueError(
                f"{source} is {describe(other)}, but {first} is {describe(image)}; {_ONE_SIZE}"
            )


def describe(image: NDArray[Any]) -> str:
    """Return an image's size as width x height, as errors say it."""
    return _text((image.shape[0], image.shape[1]))


def _text(size: Size | None) -> str:
    assert size is not None
    return f"{size[1]}x{size[0]}"
