"""The sizes of images: those of one frame have to be the same."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from fafnet_core.camera import Size
from fafnet_core.datasets.checks import name_some
from fafnet_core.datasets.frames import array_shape, read_stored
from fafnet_core.input_size import size_text

_ONE_SIZE = "the images of a frame have the same size: one was resized, or is of another frame"
_THREADS = 16
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "PPM")
_QUICK_SECONDS = 2.0


def image_size(path: Path) -> Size | None:
    """Return (height, width) of an image or array, mostly without decoding it; None: no file.

    Raises:
        ValueError: damaged, or no image.
    """
    if not path.is_file():
        return None
    if path.suffix.lower() == ".npy":
        shape = array_shape(path)
        if len(shape) != 2:
            raise ValueError(f"{path} holds an array of shape {shape}; wanted (height, width)")
        return shape[0], shape[1]
    try:
        with Image.open(path, formats=_FORMATS) as image:
            width, height = image.size
    # Pillow raises many types for a damaged header, and one of its own for many pixels.
    except Exception:
        # Decoding gives the size too, or the error.
        height, width = read_stored(path).shape[:2]
    return height, width


def check_images(frames: Sequence[Sequence[Path]], *, remedy: str) -> None:
    """Refuse frames whose images are not all there, or differ in size; shows a bar if it is slow.

    Args:
        frames: the images of each frame; the others are compared with the first.
        remedy: what to do where images are not there.

    Raises:
        FileNotFoundError: images are not there; the message names some, and the remedy.
        ValueError: an image is damaged or has another size; the message names it, and says how
            many frames have such images.
    """
    paths = list(chain.from_iterable(frames))
    # Threads are not for the processor: over a network each file is a wait.
    with ThreadPoolExecutor(_THREADS) as pool:
        sizes = list(tqdm(
            pool.map(image_size, paths), total=len(paths), unit="image", desc="checking sizes",
            delay=_QUICK_SECONDS, leave=False, disable=None,
        ))  # fmt: skip
    if absent := [path for path, size in zip(paths, sizes, strict=True) if size is None]:
        raise FileNotFoundError(
            f"{len(absent)} of {len(paths)} images are not there: {name_some(absent)}; {remedy}"
        )
    size_of = dict(zip(paths, sizes, strict=True))
    wrong = [
        (path, images[0])
        for images in frames
        for path in images
        if size_of[path] != size_of[images[0]]
    ]
    if wrong:
        (path, first), count = wrong[0], len({first for _, first in wrong})
        raise ValueError(
            f"{path} is {size_text(size_of[path])}, but {first} is {size_text(size_of[first])};"
            f" {_ONE_SIZE} ({count} of {len(frames)} frames have such images)"
        )


def check_one_size(sources: Sequence[tuple[str | Path | None, NDArray[Any] | None]]) -> None:
    """Refuse images of one frame that differ in size; None is an image that there is not.

    Raises:
        ValueError: the message names the first image and the one that differs.
    """
    (first, image), *others = sources
    assert image is not None
    for source, other in others:
        if other is not None and other.shape[:2] != image.shape[:2]:
            raise ValueError(
                f"{source} is {describe(other)}, but {first} is {describe(image)}; {_ONE_SIZE}"
            )


def describe(image: NDArray[Any]) -> str:
    """Return an image's size as width x height."""
    return size_text((image.shape[0], image.shape[1]))
