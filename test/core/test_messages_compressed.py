"""Compressed colour and depth: what image_transport's plugins send, and what should not be sent."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fafnet_core.messages.compressed import (
    compressed_to_depth_m,
    compressed_to_rgb,
    encode_compressed_depth,
    encode_compressed_rgb,
)
from fafnet_core.messages.images import image_to_depth_m

COUNTS = np.array([[0, 1, 1234, 65535], [500, 2000, 0, 9000]], np.uint16)
METRES = [[0, 0.001, 1.234, 0], [0.5, 2.0, 0, 9.0]]


@dataclass
class Message:
    """The fields of a compressed image, and nothing of ROS."""

    format: str
    data: Any
    header: Any = field(default_factory=SimpleNamespace)


def file(image: NDArray[Any], suffix: str = ".png") -> bytes:
    _, data = cv2.imencode(suffix, image)
    return data.tobytes()


def gradient() -> NDArray[np.uint8]:
    """Smooth, so that JPEG changes little, and with red, green and blue told apart."""
    x = np.linspace(20, 230, 64, dtype=np.float32)
    rgb = np.stack([np.tile(x, (48, 1)), np.full((48, 64), 90), np.tile(x[::-1], (48, 1))], 2)
    return rgb.astype(np.uint8)


RGB = gradient()
BGR = np.ascontiguousarray(RGB[..., ::-1])


@pytest.mark.parametrize(
    ("format_", "data"),
    [
        ("rgb8; jpeg compressed bgr8", file(BGR, ".jpg")),
        ("bgr8; jpeg compressed bgr8", file(BGR, ".jpg")),
        ("bgr8; png compressed bgr8", file(BGR)),
        ("yuv422; jpeg compressed bgr8", file(BGR, ".jpg")),
        ("bayer_rggb8; jpeg compressed bgr8", file(BGR, ".jpg")),
        ("jpeg", file(BGR, ".jpg")),
        ("png", file(BGR)),
        ("", file(BGR)),
        # The sender has handed RGB to an encoder that takes BGR.
        ("rgb8; png compressed rgb8", file(RGB)),
    ],
)
def test_colour_in_every_format_that_is_sent(format_: str, data: bytes) -> None:
    rgb = compressed_to_rgb(Message(format_, data))
    assert rgb.shape == RGB.shape
    assert rgb.dtype == np.uint8
    assert np.abs(rgb.astype(int) - RGB).max() <= (0 if b"PNG" in data[:8] else 6)


def test_grey_and_sixteen_bit_files() -> None:
    grey = RGB[..., 0]
    for image in (grey, grey.astype(np.uint16) << 8):
        rgb = compressed_to_rgb(Message("mono8; png compressed ", file(image)))
        np.testing.assert_array_equal(rgb, np.repeat(grey[..., None], 3, 2))


def test_a_compressed_mosaic_gives_the_colours_behind_it() -> None:
    mosaic = np.tile(np.array([[120, 40], [200, 120]], np.uint8), (4, 4))
    rgb = compressed_to_rgb(Message("bayer_gbrg8; png compressed ", file(mosaic)))
    np.testing.assert_array_equal(rgb, np.broadcast_to([200, 120, 40], (8, 8, 3)))


@pytest.mark.parametrize("method", ["jpeg", "png"])
def test_colour_comes_back(method: str) -> None:
    format_, data = encode_compressed_rgb(RGB, method)
    assert format_ == f"rgb8; {method} compressed bgr8"
    difference = np.abs(compressed_to_rgb(Message(format_, data)).astype(int) - RGB).max()
    assert difference <= (3 if method == "jpeg" else 0)


@pytest.mark.parametrize("encoding", ["16UC1", "mono16"])
@pytest.mark.parametrize("suffix", ["", " png"])
def test_depth_of_sixteen_bits_as_png(encoding: str, suffix: str) -> None:
    # The plugin leaves the two numbers of its 12 bytes as they happen to be.
    data = b"\0\0\0\0\xff\xff\xff\xff\x12\x34\x56\x78" + file(COUNTS)
    depth_m = compressed_to_depth_m(Message(f"{encoding}; compressedDepth{suffix}", data))
    assert depth_m.dtype == np.float32
    np.testing.assert_allclose(depth_m, METRES, rtol=1e-6)


def test_depth_of_sixteen_bits_as_rvl() -> None:
    # 4x2: 2 zeros, 3 values 5 7 6, 3 zeros; see the tests of RVL.
    data = bytes(12) + b"\x04\0\0\0\x02\0\0\0\x30\x41\xa1\x23"
    depth_m = compressed_to_depth_m(Message("16UC1; compressedDepth rvl", data))
    np.testing.assert_allclose(depth_m, [[0, 0, 0.005, 0.007], [0.006, 0, 0, 0]], rtol=1e-6)


def test_depth_in_a_png_alone_is_taken_too() -> None:
    for format_ in ("16UC1; png compressed ", "png"):
        depth_m = compressed_to_depth_m(Message(format_, file(COUNTS)))
        np.testing.assert_allclose(depth_m, METRES, rtol=1e-6)


def test_float_depth_is_a_over_q_minus_b() -> None:
    disparities = np.array([[0, 1, 1011, 9092, 65535]], np.uint16)
    data = struct.pack("<iff", 0, 10100.0, -1009.0) + file(disparities)
    depth_m = compressed_to_depth_m(Message("32FC1; compressedDepth png", data))
    expected = [[0, 10.0, 5.0, 10100 / 10101, 10100 / 66544]]
    np.testing.assert_allclose(depth_m, expected, rtol=1e-6)


def test_float_depth_at_or_behind_the_pole_is_none() -> None:
    disparities = np.array([[99, 100, 101]], np.uint16)
    data = struct.pack("<iff", 0, 50.0, 100.0) + file(disparities)
    depth_m = compressed_to_depth_m(Message("32FC1; compressedDepth", data))
    np.testing.assert_array_equal(depth_m, [[0, 0, 50]])


@pytest.mark.parametrize("method", ["png", "rvl"])
def test_float_depth_comes_back_within_half_a_step(method: str) -> None:
    rng = np.random.default_rng(0)
    sent = rng.uniform(0.2, 9.9, (40, 50)).astype(np.float32)
    sent[0, :7] = [0, np.nan, np.inf, -np.inf, -1, 0.1, 10]
    format_, data = encode_compressed_depth(sent, method)
    assert format_ == f"32FC1; compressedDepth {method}"
    kind, a, b = struct.unpack("<iff", data[:12])
    assert (kind, a, b) == (0, 10100, -1009)
    depth_m = compressed_to_depth_m(Message(format_, data))
    assert (depth_m[0, :7] == 0).all()
    left, got = sent.reshape(-1)[7:], depth_m.reshape(-1)[7:]
    assert (np.abs(got - left) < 0.51 * left**2 / 10100 + 1e-5).all()


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from(["png", "rvl"]), st.randoms())
@settings(deadline=None, max_examples=60)
def test_sixteen_bits_come_back_exactly(height: int, width: int, method: str, random: Any) -> None:
    rng = np.random.default_rng(random.getrandbits(32))
    counts = rng.integers(0, 65535, (height, width)).astype(np.uint16)
    counts[rng.random(counts.shape) < 0.4] = 0
    format_, data = encode_compressed_depth(counts, method)
    assert format_ == f"16UC1; compressedDepth {method}"
    depth_m = compressed_to_depth_m(Message(format_, data))
    np.testing.assert_array_equal(np.rint(depth_m * 1000), counts)


@pytest.mark.parametrize("method", ["png", "rvl"])
def test_real_frames_equal_the_raw_ones(shared_data: Path, method: str) -> None:
    for path in sorted((shared_data / "kinect-v1-sequence" / "depth").iterdir())[:4]:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert image is not None
        counts = image.astype(np.uint16, copy=False)
        height, width = counts.shape
        raw = SimpleNamespace(
            height=height, width=width, encoding="16UC1", is_bigendian=0, step=2 * width,
            data=counts.astype("<u2").tobytes(), header=None,
        )  # fmt: skip
        compressed = compressed_to_depth_m(Message(*encode_compressed_depth(counts, method)))
        np.testing.assert_array_equal(compressed, image_to_depth_m(raw))


def test_depth_scale_replaces_the_unit() -> None:
    for method in ("png", "rvl"):
        depth_m = compressed_to_depth_m(
            Message(*encode_compressed_depth(COUNTS, method)), depth_scale=0.0001
        )
        np.testing.assert_allclose(depth_m, np.array(METRES) / 10, rtol=1e-6)
    halves = np.array([[2.0]], np.float32)
    message = Message(*encode_compressed_depth(halves))
    assert compressed_to_depth_m(message, depth_scale=0.5)[0, 0] == pytest.approx(1, abs=1e-3)
    with pytest.raises(ValueError, match="depth_scale is 0"):
        compressed_to_depth_m(message, depth_scale=0)


# Damage


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_every_cut_of_a_colour_file_is_noticed(suffix: str) -> None:
    data = file(BGR, suffix)
    for length in range(len(data)):
        with pytest.raises(ValueError, match=r"cut short|wanted JPEG or"):
            compressed_to_rgb(Message("bgr8; jpeg compressed bgr8", data[:length]))


def test_padding_behind_a_file_does_no_harm() -> None:
    for suffix in (".jpg", ".png"):
        data = file(BGR, suffix)
        np.testing.assert_array_equal(
            compressed_to_rgb(Message("", data + bytes(40))), compressed_to_rgb(Message("", data))
        )


def test_a_png_with_a_flipped_bit_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(file(COUNTS))
    data[data.index(b"IDAT") + 6] ^= 16
    with pytest.raises(ValueError, match="is damaged"):
        compressed_to_depth_m(Message("16UC1; compressedDepth png", bytes(12) + data))


def test_files_that_claim_gigabytes_are_not_unpacked() -> None:
    png = bytearray(file(COUNTS))
    png[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    with pytest.raises(ValueError, match="says that it is 2147483647x2147483647"):
        compressed_to_depth_m(Message("16UC1; compressedDepth png", bytes(12) + png))
    jpeg = bytearray(file(BGR, ".jpg"))
    place = jpeg.index(b"\xff\xc0")
    jpeg[place + 5 : place + 9] = struct.pack(">HH", 65535, 65535)
    with pytest.raises(ValueError, match="says that it is 65535x65535"):
        compressed_to_rgb(Message("jpeg", bytes(jpeg)))
    rvl = bytes(12) + b"\xff" * 8 + bytes(16)
    with pytest.raises(ValueError, match="says that it is 4294967295x4294967295"):
        compressed_to_depth_m(Message("16UC1; compressedDepth rvl", rvl))


@given(st.sampled_from(["16UC1; compressedDepth png", "32FC1; compressedDepth rvl"]), st.binary())
@settings(deadline=None, max_examples=100)
def test_any_bytes_are_refused_as_depth(format_: str, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"came|RVL|says that it is|damaged|cut short"):
        compressed_to_depth_m(Message(format_, data))


@pytest.mark.parametrize(
    ("format_", "data", "error"),
    [
        ("rgb8; jpeg compressed bgr8", file(BGR, ".jpg"), "JPEG would change the metres"),
        ("16UC1; compressedDepth png", b"", "of 0 bytes came; wanted 'compressedDepth'"),
        ("16UC1; compressedDepth png", bytes(12) + b"what", "its data is no PNG image"),
        ("16UC1; compressedDepth png", bytes(12) + file(RGB), "holds uint8 .48, 64, 3.; it has to"),
        ("16UC1; compressedDepth png", bytes(12) + file(COUNTS)[:-20], "was cut short after"),
        ("rgb8; compressedDepth png", bytes(12) + file(COUNTS), "depth of encoding 'rgb8' came"),
        ("32FC1; compressedDepth png", bytes(12) + file(COUNTS), "A = 0, B = 0; A has to be above"),
        (
            "32FC1; compressedDepth png",
            struct.pack("<iff", 0, float("nan"), 1) + file(COUNTS),
            "A = nan",
        ),
    ],
)
def test_what_is_no_depth_is_refused(format_: str, data: bytes, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        compressed_to_depth_m(Message(format_, data))


def test_video_is_refused_as_colour() -> None:
    with pytest.raises(ValueError, match="format 'h264' and 60 bytes came; wanted JPEG or PNG"):
        compressed_to_rgb(Message("h264", b"\0\0\0\1" + bytes(56)))


def test_what_cannot_be_compressed_is_refused() -> None:
    with pytest.raises(ValueError, match="compression 'zip' is not known; it is one of png, rvl"):
        encode_compressed_depth(COUNTS, "zip")
    with pytest.raises(ValueError, match="not uint8"):
        encode_compressed_depth(RGB)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="compression 'rvl' is not known"):
        encode_compressed_rgb(RGB, "rvl")
