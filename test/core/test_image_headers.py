"""Sizes of images from their first bytes: the same as a decoder's, for every kind of file."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.datasets.image_headers import image_size, image_sizes

HEIGHT, WIDTH = 37, 301
GREY: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
COLOUR = np.dstack([GREY, GREY[::-1], GREY])


def _stored(suffix: str, image: NDArray[Any], *options: int) -> bytes:
    return cv2.imencode(suffix, image, list(options))[1].tobytes()


@pytest.mark.parametrize(
    "content",
    [
        _stored(".png", GREY),
        _stored(".png", COLOUR),
        _stored(".png", GREY.astype(np.uint16) * 200),
        _stored(".jpg", GREY),
        _stored(".jpg", COLOUR),
        _stored(".jpg", COLOUR, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        _stored(".jpg", COLOUR, cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
        _stored(".bmp", GREY),
        _stored(".bmp", COLOUR),
    ],
)
def test_sizes_are_a_decoders_whatever_the_file_is_called(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(content)
    assert image_size(path) == (HEIGHT, WIDTH)


def test_a_jpeg_with_much_before_its_size(tmp_path: Path) -> None:
    """A camera's notes with a small picture inside, padding, and an image's size after all that."""
    content = _stored(".jpg", COLOUR)
    small = _stored(".jpg", GREY[:8, :8].copy())
    notes = b"".join(
        b"\xff\xff\xff\xe1" + struct.pack(">H", 2 + 60000) + small.ljust(60000, b"\xff")
        for _ in range(3)
    )
    path = tmp_path / "image.jpg"
    path.write_bytes(content[:2] + notes + content[2:])
    decoded = cv2.imread(str(path))
    assert decoded is not None
    assert image_size(path) == decoded.shape[:2] == (HEIGHT, WIDTH)


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_arrays(tmp_path: Path, version: tuple[int, int]) -> None:
    path = tmp_path / "depth.npy"
    with path.open("wb") as file:
        np.lib.format.write_array(file, GREY.astype(np.float32), version)  # type: ignore[no-untyped-call]
    assert image_size(path) == (HEIGHT, WIDTH)


def test_what_is_not_known_is_left_to_a_decoder(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    path.write_bytes(_stored(".tiff", GREY))
    assert image_size(path) is None


@pytest.mark.parametrize("content", [_stored(".png", GREY), _stored(".jpg", GREY)])
def test_a_file_cut_short_within_its_header_has_no_size(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image"
    for cut in range(1, 20):
        path.write_bytes(content[:cut])
        assert image_size(path) is None


def test_an_empty_file_and_one_that_is_gone_are_named(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    with pytest.raises(FileNotFoundError, match=r"no image at .*image\.png"):
        image_sizes([path])
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"image\.png is not an image .* cut short: it is empty"):
        image_sizes([path])


def test_many_are_in_the_order_that_was_asked(tmp_path: Path) -> None:
    paths = []
    for number in range(300):
        path = tmp_path / f"{number}.png"
        path.write_bytes(_stored(".png", GREY[:, : number + 1]))
        paths.append(path)
    assert image_sizes(paths) == [(HEIGHT, number + 1) for number in range(300)]
