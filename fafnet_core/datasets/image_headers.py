"""Sizes of images from their first bytes, so that all images of a data set can be looked at up
front: it takes some 20 microseconds a file, where decoding one takes milliseconds.

PNG (its first chunk), JPEG (its frame header, ITU-T T.81, B.2.2), BMP and `.npy`; told by their
content, as decoders do, and not by their names.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from itertools import chain
from pathlib import Path

import numpy as np
from tqdm import tqdm

Size = tuple[int, int]
"""(height, width)."""

_BEGIN = 32
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_NPY = b"\x93NUMPY"
_FRAME_HEADERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers whose segment holds the size: every coding process has its own."""
_ALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a segment."""

_THREADS = 16
_AT_ONCE = 128
_QUICK_SECONDS = 2.0


def image_size(path: Path) -> Size | None:
    """Return (height, width) of an image; None where its first bytes do not tell.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is empty.
    """
    try:
        with FileIO(str(path)) as file:
            begin = file.read(_BEGIN)
            if not begin:
                raise ValueError(
                    f"{path} is not an image that OpenCV can read, or it is cut short: it is empty"
                )
            if begin.startswith(_PNG) and len(begin) >= 24:
                width, height = struct.unpack(">II", begin[16:24])
                return height, width
            if begin.startswith(_JPEG):
                return _jpeg_size(file)
            if begin.startswith(b"BM") and len(begin) >= 26:
                width, height = struct.unpack("<ii", begin[18:26])
                return abs(height), width  # below 0 where the first row is the top one
            if begin.startswith(_NPY):
                return _array_size(file)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no image at {path}") from error
    return None


def _jpeg_size(file: FileIO) -> Size | None:
    place = len(_JPEG)
    while True:
        file.seek(place)
        segment = file.read(9)
        if len(segment) < 9 or segment[0] != 0xFF:
            return None
        marker = segment[1]
        if marker == 0xFF:  # padding
            place += 1
        elif marker in _ALONE:
            place += 2
        elif marker in _FRAME_HEADERS:
            height, width = struct.unpack(">HH", segment[5:9])
            return height, width
        else:
            place += 2 + int.from_bytes(segment[2:4], "big")


def _array_size(file: FileIO) -> Size | None:
    file.seek(0)
    try:
        version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
        read = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        shape = read(file)[0]  # type: ignore[no-untyped-call]
    except ValueError:
        return None
    return (shape[0], shape[1]) if len(shape) == 2 else None


def image_sizes(paths: Sequence[Path]) -> list[Size | None]:
    """Return the size of each image, see `image_size`; a bar on a terminal where it takes long.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is empty.
    """
    # Not for the processor: over a network each file is a wait, and they are waited for together.
    pieces = [paths[begin : begin + _AT_ONCE] for begin in range(0, len(paths), _AT_ONCE)]
    with (
        ThreadPoolExecutor(_THREADS) as pool,
        tqdm(
            total=len(paths), unit="image", desc="looking at sizes",
            delay=_QUICK_SECONDS, leave=False, disable=None,
        ) as bar,
    ):  # fmt: skip
        sizes = []
        for found in pool.map(lambda piece: [image_size(path) for path in piece], pieces):
            sizes.append(found)
            bar.update(len(found))
    return list(chain.from_iterable(sizes))


def check_frame_sizes(frames: Sequence[Sequence[Path]]) -> None:
    """Refuse frames whose images differ in size, as far as their first bytes tell.

    Args:
        frames: the images of each frame; the others are compared with the first.

    Raises:
        FileNotFoundError: an image is not there.
        ValueError: the message names the first that differs, and how many frames have such.
    """
    sizes = iter(image_sizes(list(chain.from_iterable(frames))))
    wrong: list[tuple[Path, Size, Path, Size]] = []
    for paths in frames:
        known = [(path, size) for path in paths if (size := next(sizes)) is not None]
        differing = [(path, size) for path, size in known if size != known[0][1]]
        if differing:
            wrong.append((*differing[0], *known[0]))
    if wrong:
        path, size, first, wanted = wrong[0]
        raise ValueError(
            f"{path} is {size[1]}x{size[0]}, but {first} is {wanted[1]}x{wanted[0]}; all images of"
            f" a frame have one size, so one of them was resized or is of another frame"
            f" ({len(wrong)} of {len(frames)} frames have such images)"
        )
