"""Sizes of images without decoding them: the same as a decoder's, and every file looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.datasets.images import check_images, image_size

HEIGHT, WIDTH = 37, 301
GREY: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
COLOUR = np.dstack([GREY, GREY[::-1], GREY])


def _stored(suffix: str, image: NDArray[Any]) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff"])
@pytest.mark.parametrize("image", [GREY, COLOUR, GREY.astype(np.uint16) * 200])
def test_sizes_are_a_decoders_whatever_the_file_is_called(
    tmp_path: Path, suffix: str, image: NDArray[Any]
) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(_stored(suffix, image))
    assert image_size(path) == (HEIGHT, WIDTH)


def test_arrays_and_what_pillow_does_not_know(tmp_path: Path) -> None:
    np.save(tmp_path / "depth.npy", GREY.astype(np.float32))
    assert image_size(tmp_path / "depth.npy") == (HEIGHT, WIDTH)
    (tmp_path / "deep.tif").write_bytes(_stored(".tiff", COLOUR.astype(np.uint16) * 200))
    assert image_size(tmp_path / "deep.tif") == (HEIGHT, WIDTH)


@pytest.mark.parametrize("name", ["image.png", "depth.npy"])
def test_files_without_a_size_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert image_size(path) is None
    for content in (b"", b"\x89PNG\r\n\x1a\n", b"\x93NUMPY"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{path} .*cut short"):
            image_size(path)


def test_all_that_is_not_there_is_named_and_all_that_differ_are_counted(tmp_path: Path) -> None:
    frames = []
    for number in range(40):
        frames.append([tmp_path / f"{kind}-{number}.png" for kind in "abc"])
        for path in frames[-1]:
            path.write_bytes(_stored(".png", GREY[:, : number + 1]))
    check_images(frames, remedy="look for them")
    for number in (7, 9):
        frames[number][1].write_bytes(_stored(".png", GREY[:10, : number + 1]))
    with pytest.raises(ValueError, match=r"b-7\.png is 8x10, but .*a-7\.png is 8x37.*2 of 40"):
        check_images(frames, remedy="look for them")
    frames[3][0].unlink()
    frames[5][2].unlink()
    with pytest.raises(FileNotFoundError, match=r"2 of 120 .*a-3\.png, .*c-5\.png; look for them"):
        check_images(frames, remedy="look for them")
