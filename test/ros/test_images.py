"""Image messages to arrays and back: encodings, padding, byte order, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sensor_msgs", reason="sensor_msgs is not installed")

from sensor_msgs.msg import Image
from std_msgs.msg import Header

from fafnet_core.messages.images import image_to_depth_m
from fafnet_ros.images import array_to_image, image_to_rgb

RGB = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
ALPHA = np.full((5, 7, 1), 9, np.uint8)


def message(pixels: NDArray[Any], encoding: str, *, padding: int = 0, big: bool = False) -> Image:
    stored = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<"))
    rows = np.frombuffer(stored.tobytes(), np.uint8).reshape(pixels.shape[0], -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xEE)
    image = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    image.step = padded.shape[1]
    image.is_bigendian = int(big)
    image.data.frombytes(padded.tobytes())
    return image


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("rgba8", np.concatenate([RGB, ALPHA], 2)),
        ("bgra8", np.concatenate([RGB[..., ::-1], ALPHA], 2)),
        ("mono8", RGB[..., 0]),  # repeated in each channel
    ],
)
def test_colour_encodings_give_rgb(encoding: str, pixels: NDArray[np.uint8], padding: int) -> None:
    rgb = image_to_rgb(message(pixels, encoding, padding=padding))
    np.testing.assert_array_equal(rgb, RGB if pixels.ndim == 3 else pixels[..., None].repeat(3, 2))


def test_rgb8_is_not_copied() -> None:
    image = message(RGB, "rgb8")
    rgb = image_to_rgb(image)
    image.data[0] = 77
    assert rgb[0, 0, 0] == 77


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("encoding", ["16UC1", "mono16"])
def test_sixteen_bit_depth_is_millimetres(encoding: str, big: bool) -> None:
    counts = np.array([[0, 1, 1234], [500, 65535, 2000]], np.uint16)
    depth_m = image_to_depth_m(message(counts, encoding, padding=2, big=big))
    assert depth_m.dtype == np.float32
    expected = [[0, 0.001, 1.234], [0.5, 0, 2.0]]  # 65535 is where the sensor gave up
    np.testing.assert_allclose(depth_m, expected, rtol=1e-6)


@pytest.mark.parametrize("big", [False, True])
def test_float_depth_is_metres_and_keeps_invalid(big: bool) -> None:
    metres = np.array([[np.nan, 1.5], [np.inf, 0.25]], np.float32)
    depth_m = image_to_depth_m(message(metres, "32FC1", padding=4, big=big))
    np.testing.assert_array_equal(depth_m, metres)


def test_unknown_encodings_are_refused_with_the_known_ones_and_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"'h264' came; wanted rgb8.*cv_bridge"):
        image_to_rgb(message(RGB[..., 0], "h264"))


def test_sizes_that_do_not_add_up_are_refused() -> None:
    short = message(RGB, "rgb8")
    short.data.pop()
    with pytest.raises(ValueError, match="data holds 104 bytes"):
        image_to_rgb(short)
    narrow = message(RGB, "rgb8")
    narrow.step = 20
    with pytest.raises(ValueError, match="step is 20 bytes"):
        image_to_rgb(narrow)
    with pytest.raises(ValueError, match="0x0 pixels"):
        image_to_rgb(Image(encoding="rgb8"))


@pytest.mark.parametrize(
    ("array", "encoding"),
    [
        (RGB, "rgb8"),
        (RGB[..., 0], "mono8"),
        (np.full((3, 4), 0.5, np.float32), "32FC1"),
        (np.full((3, 4), 700, np.uint16), "16UC1"),
    ],
)
def test_arrays_come_back_as_they_went_out(array: NDArray[Any], encoding: str) -> None:
    header = Header(frame_id="camera")
    header.stamp.sec = 7
    image = array_to_image(array, encoding, header)
    assert (image.height, image.width, image.header) == (*array.shape[:2], header)
    assert image.step * image.height == len(image.data) == array.nbytes
    back = np.frombuffer(image.data, array.dtype).reshape(array.shape)
    np.testing.assert_array_equal(back, array)


def test_an_array_of_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match="rgb8 image takes uint8 with 3"):
        array_to_image(RGB[..., 0], "rgb8", Header())
