"""Raw images and camera_info from messages of any make: the fields alone count."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.messages.camera_info import camera_of
from fafnet_core.messages.images import UnknownEncodingError, image_to_depth_m, image_to_rgb
from fafnet_core.messages.protocols import stamp_ns

RED, GREEN, BLUE = 200, 120, 40
PLAIN = np.full((6, 8, 3), (RED, GREEN, BLUE), np.uint8)


@dataclass
class Message:
    """The fields of an image, and nothing of ROS."""

    height: int
    width: int
    encoding: str
    step: int
    data: Any
    is_bigendian: int = 0
    header: Any = field(default_factory=SimpleNamespace)


def message(values: NDArray[Any], encoding: str, *, padding: int = 0, big: bool = False) -> Message:
    stored = values.astype(values.dtype.newbyteorder(">" if big else "<"))
    rows = np.frombuffer(stored.tobytes(), np.uint8).reshape(values.shape[0], -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xEE)
    data = padded.tobytes()
    height, width = values.shape[:2]
    return Message(height, width, encoding, padded.shape[1], data, int(big))


def mosaic(pattern: str) -> NDArray[np.uint8]:
    """A plain picture behind a filter whose first two rows read as the pattern does."""
    value = {"r": RED, "g": GREEN, "b": BLUE}
    cell = np.array([value[letter] for letter in pattern], np.uint8).reshape(2, 2)
    return np.tile(cell, (3, 4))


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_bayer_mosaic_gives_the_colours_behind_it(pattern: str) -> None:
    rgb = image_to_rgb(message(mosaic(pattern), f"bayer_{pattern}8", padding=2))
    np.testing.assert_array_equal(rgb, PLAIN)


@pytest.mark.parametrize("big", [False, True])
def test_sixteen_bits_of_colour_give_their_high_byte(big: bool) -> None:
    def wide(values: NDArray[np.uint8]) -> NDArray[np.uint16]:
        return values.astype(np.uint16) * np.uint16(256) + np.uint16(77)

    for encoding, values, expected in (
        ("mono16", PLAIN[..., 0], np.full_like(PLAIN, RED)),
        ("rgb16", PLAIN, PLAIN),
        ("bgr16", PLAIN[..., ::-1], PLAIN),
        ("rgba16", np.dstack([PLAIN, PLAIN[..., :1]]), PLAIN),
        ("bgra16", np.dstack([PLAIN[..., ::-1], PLAIN[..., :1]]), PLAIN),
        ("bayer_grbg16", mosaic("grbg"), PLAIN),
    ):
        image = message(wide(values), encoding, padding=3, big=big)
        np.testing.assert_array_equal(image_to_rgb(image), expected, encoding)


@pytest.mark.parametrize(
    ("encoding", "pair"),
    [
        ("yuv422", "uyvy"),
        ("uyvy", "uyvy"),
        ("yuv422_yuy2", "yuyv"),
        ("yuyv", "yuyv"),
        ("yuy2", "yuyv"),
    ],
)
def test_two_pixels_of_yuv_share_their_colour(encoding: str, pair: str) -> None:
    # The red of BT.601, and below it a grey ramp's two ends.
    values = np.zeros((2, 2, 2), np.uint8)
    for row, (first, second, u, v) in enumerate([(81, 81, 90, 240), (16, 235, 128, 128)]):
        flat = (u, first, v, second) if pair == "uyvy" else (first, u, second, v)
        values[row] = np.array(flat, np.uint8).reshape(2, 2)
    expected = np.array([[[255, 0, 0], [255, 0, 0]], [[0, 0, 0], [255, 255, 255]]])
    for pairs in (1, 3):
        wide = message(np.tile(values, (1, pairs, 1)), encoding, padding=4)
        rgb = image_to_rgb(wide).astype(int)
        assert np.abs(rgb - np.tile(expected, (1, pairs, 1))).max() <= 2


@pytest.mark.parametrize("encoding", ["nv12", "nv21", "NV12"])
def test_four_pixels_of_nv12_share_their_colour(encoding: str) -> None:
    # Brightness first; then u and v, or v and u, of each two by two: red, and white.
    colours = [90, 240, 128, 128] if encoding.lower() == "nv12" else [240, 90, 128, 128]
    rows = np.array([[81, 81, 235, 235]] * 2 + [colours], np.uint8)
    image = message(rows, encoding, padding=4)
    image.height = 2
    rgb = image_to_rgb(image).astype(int)
    assert rgb.shape == (2, 4, 3)
    assert np.abs(rgb - [[[255, 0, 0]] * 2 + [[255] * 3] * 2] * 2).max() <= 2
    image.data = image.data[:-8]
    with pytest.raises(ValueError, match="cut short"):
        image_to_rgb(image)
    image.height = 3
    with pytest.raises(ValueError, match="both sides have to be even"):
        image_to_rgb(image)


@pytest.mark.parametrize(
    ("encoding", "values"),
    [
        ("8UC3", PLAIN[..., ::-1]),
        ("TYPE_8UC3", PLAIN[..., ::-1]),
        ("8UC4", np.dstack([PLAIN[..., ::-1], PLAIN[..., :1]])),
        ("RGB8", PLAIN),
    ],
)
def test_opencvs_names_are_taken_as_opencv_has_them(encoding: str, values: NDArray[Any]) -> None:
    np.testing.assert_array_equal(image_to_rgb(message(values, encoding, padding=1)), PLAIN)


def test_depth_under_other_names() -> None:
    metres = np.array([[0, 1.5, np.inf]])
    depth_m = image_to_depth_m(message(metres, "64FC1"))
    assert depth_m.dtype == np.float32
    np.testing.assert_array_equal(depth_m, metres)
    counts = message(np.array([[0, 1500, 65535]], np.uint16), "TYPE_16UC1")
    np.testing.assert_allclose(image_to_depth_m(counts), [[0, 1.5, 0]], rtol=1e-6)


def test_yuv_of_odd_width_is_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        image_to_rgb(message(np.zeros((2, 3, 2), np.uint8), "yuv422"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"width": 0}, "of 0x6 pixels"),
        ({"height": 0}, "of 8x0 pixels"),
        ({"step": 23}, "step is 23 bytes, but a row of 8 rgb8 pixels takes 24;"),
        ({"data": bytes(143)}, "holds 143 bytes, but 8x6 rgb8 with step 24 takes 144;"),
        ({"step": 25}, "holds 144 bytes, but 8x6 rgb8 with step 25 takes 149;"),
    ],
)
def test_sizes_that_do_not_add_up_are_told(changes: dict[str, Any], error: str) -> None:
    image = message(PLAIN, "rgb8")
    for name, value in changes.items():
        setattr(image, name, value)
    with pytest.raises(ValueError, match=error):
        image_to_rgb(image)


def test_an_unknown_encoding_is_named() -> None:
    for convert, kind in ((image_to_rgb, "colour"), (image_to_depth_m, "depth")):
        with pytest.raises(UnknownEncodingError, match=f"{kind}.*h264") as caught:
            convert(message(PLAIN, "h264"))
        assert caught.value.encoding == "h264"


@pytest.mark.parametrize(
    "wrap",
    [
        bytes,
        bytearray,
        memoryview,
        lambda data: array("B", data),
        lambda data: np.frombuffer(data, np.uint8),
    ],
)
def test_data_may_be_bytes_of_any_kind(wrap: Callable[[bytes], Any]) -> None:
    colour = message(PLAIN, "rgb8")
    colour.data = wrap(colour.data)
    np.testing.assert_array_equal(image_to_rgb(colour), PLAIN)
    depth = message(np.array([[1500]], np.uint16), "16UC1")
    depth.data = wrap(depth.data)
    assert image_to_depth_m(depth)[0, 0] == pytest.approx(1.5)


def test_depth_scale_replaces_the_unit_of_the_encoding() -> None:
    counts = np.array([[0, 1, 5000, 65535]], np.uint16)
    depth_m = image_to_depth_m(message(counts, "16UC1"), depth_scale=0.0002)
    np.testing.assert_allclose(depth_m, [[0, 0.0002, 1.0, 0]], rtol=1e-6)
    millimetres = np.array([[0, 1200, np.nan]], np.float32)
    depth_m = image_to_depth_m(message(millimetres, "32FC1"), depth_scale=0.001)
    np.testing.assert_allclose(depth_m, [[0, 1.2, np.nan]], rtol=1e-6)
    assert depth_m.dtype == np.float32


@pytest.mark.parametrize("scale", [0.0, -0.001, float("nan"), float("inf")])
@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_a_depth_scale_that_is_none_is_refused(encoding: str, scale: float) -> None:
    dtype = np.uint16 if encoding == "16UC1" else np.float32
    with pytest.raises(ValueError, match="depth_scale is"):
        image_to_depth_m(message(np.ones((1, 1), dtype), encoding), depth_scale=scale)


def test_messages_of_rosbags_are_taken_as_they_are() -> None:
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    import bag_recordings

    camera = Camera(fx=9.0, fy=9.0, cx=3.5, cy=2.5, width=8, height=6)
    image = bag_recordings.image(PLAIN, "rgb8", 3_000_000_007)
    np.testing.assert_array_equal(image_to_rgb(image), PLAIN)
    assert camera_of(bag_recordings.camera_info(camera), (6, 8)) == camera
    assert stamp_ns(image.header) == 3_000_000_007
