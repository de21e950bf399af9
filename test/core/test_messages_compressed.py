"""Compressed colour and depth: what image_transport's plugins send, and what should not be sent."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
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
        # But a JPEG file says itself which colours it has, and image viewers show them.
        ("rgb8; jpeg compressed rgb8", file(BGR, ".jpg")),
        ("rgb8; jpeg", file(BGR, ".jpg")),
        ("", file(BGR) + bytes(40)),
        ("", file(BGR, ".jpg") + bytes(40)),
        encode_compressed_rgb(RGB, "png"),
        encode_compressed_rgb(RGB, "jpeg"),
    ],
)
def test_colour_in_every_format_that_is_sent(format_: str, data: bytes) -> None:
    rgb = compressed_to_rgb(Message(format_, data))
    assert rgb.shape == RGB.shape
    assert rgb.dtype == np.uint8
    assert np.abs(rgb.astype(int) - RGB).max() <= (0 if b"PNG" in data[:8] else 6)


@pytest.mark.parametrize(("letters", "begin"), [("jpeg", b"\xff\xd8\xff"), ("png", b"\x89PNG")])
def test_colour_is_packed_as_its_format_says(letters: str, begin: bytes) -> None:
    method = "".join(list(letters))  # another object than a literal, as text that was read
    format_, data = encode_compressed_rgb(RGB, method)
    assert format_ == f"rgb8; {letters} compressed bgr8"
    assert data.startswith(begin)


def test_grey_and_sixteen_bit_files() -> None:
    grey = RGB[..., 0]
    for image in (grey, grey.astype(np.uint16) << 8):
        rgb = compressed_to_rgb(Message("mono8; png compressed ", file(image)))
        np.testing.assert_array_equal(rgb, np.repeat(grey[..., None], 3, 2))


def test_a_compressed_mosaic_gives_the_colours_behind_it() -> None:
    mosaic = np.tile(np.array([[120, 40], [200, 120]], np.uint8), (4, 4))
    rgb = compressed_to_rgb(Message("bayer_gbrg8; png compressed ", file(mosaic)))
    np.testing.assert_array_equal(rgb, np.broadcast_to([200, 120, 40], (8, 8, 3)))


def unpacked(format_: str, data: bytes, **options: float) -> NDArray[np.float32]:
    return compressed_to_depth_m(Message(format_, data), **options)


COUNTS_PNG = file(COUNTS)
# The plugin leaves the two numbers of its 12 bytes as they happen to be.
HEAD = b"\0\0\0\0\xff\xff\xff\xff\x12\x34\x56\x78"


def disparities(a: float, b: float, *counts: int) -> bytes:
    return struct.pack("<iff", 0, a, b) + file(np.array([counts], np.uint16))


@pytest.mark.parametrize(
    ("format_", "data", "metres"),
    [
        ("16UC1; compressedDepth png", HEAD + COUNTS_PNG, METRES),
        ("16UC1; compressedDepth", HEAD + COUNTS_PNG, METRES),
        ("mono16; compressedDepth png", HEAD + COUNTS_PNG, METRES),
        # Depth that went through the plugin for colour.
        ("16UC1; png compressed ", COUNTS_PNG, METRES),
        ("png", COUNTS_PNG, METRES),
        # 4x2: 2 zeros, 3 values 5 7 6, 3 zeros; see the tests of RVL.
        (
            "16UC1; compressedDepth rvl",
            bytes(12) + b"\x04\0\0\0\x02\0\0\0\x30\x41\xa1\x23",
            [[0, 0, 0.005, 0.007], [0.006, 0, 0, 0]],
        ),
        # A / (q - B); at its pole and behind it there is none.
        (
            "32FC1; compressedDepth png",
            disparities(10100, -1009, 0, 1, 1011, 9092, 65535),
            [[0, 10.0, 5.0, 10100 / 10101, 10100 / 66544]],
        ),
        ("32FC1; compressedDepth", disparities(50, 100, 0, 99, 100, 101), [[0, 0, 0, 50]]),
        # What cv_bridge and others write there; the 12 bytes tell.
        ("", HEAD + COUNTS_PNG, METRES),
        ("png", bytes(12) + COUNTS_PNG, METRES),
        ("16UC1", HEAD + COUNTS_PNG, METRES),
        ("compressedDepth", bytes(12) + COUNTS_PNG, METRES),
        ("png", disparities(10100, -1009, 1, 1011), [[10.0, 5.0]]),
        # A / (1 - B) is the farthest depth, in metres: half a metre may be meant, 5 km not.
        ("png", disparities(10100, 1 - 10100 / 0.5, 1), [[0.5]]),
        ("png", disparities(10100, 1 - 10100 / 5000, 1500), [[1.5]]),
        ("png", disparities(10100, 1 - 10100 / 999, 1), [[999]]),
        ("png", disparities(10100, 1 - 10100 / 1001, 1500), [[1.5]]),
        ("png", disparities(10100, 1 - 10100 / 0.11, 1), [[0.11]]),
        ("png", disparities(10100, 1 - 10100 / 0.09, 1500), [[1.5]]),
        # Nor is A below 1 or above 1e9, or B 1 and above.
        ("png", disparities(1, 0.5, 1), [[2.0]]),
        ("png", disparities(0.9, 0.5, 1500), [[1.5]]),
        ("png", disparities(1e9, 1 - 1e7, 1), [[100.0]]),
        ("png", disparities(2e9, 1 - 2e7, 1500), [[1.5]]),
        ("png", disparities(100, 1, 1500), [[1.5]]),
        ("png", disparities(100, 2, 1500), [[1.5]]),
        ("png", disparities(float("nan"), 0, 1500), [[1.5]]),
    ],
)
def test_depth_in_every_format_that_is_sent(
    format_: str, data: bytes, metres: list[list[float]]
) -> None:
    depth_m = unpacked(format_, data)
    assert depth_m.dtype == np.float32
    np.testing.assert_allclose(depth_m, metres, rtol=1e-6)


def test_quality_is_that_of_jpeg() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    sizes = [len(encode_compressed_rgb(noise, quality=quality)[1]) for quality in (10, 50, 95)]
    assert sizes == sorted(sizes)
    assert sizes[2] > 2 * sizes[0]
    assert len(encode_compressed_rgb(noise)[1]) == sizes[2]
    png = [encode_compressed_rgb(noise, "png", quality=quality) for quality in (10, 95)]
    assert png[0] == png[1]


@pytest.mark.parametrize("method", ["png", "rvl"])
def test_float_depth_comes_back_within_half_a_step(method: str) -> None:
    rng = np.random.default_rng(0)
    sent = rng.uniform(0.2, 9.9, (40, 50)).astype(np.float32)
    sent[0, :7] = [0, np.nan, np.inf, -np.inf, -1, 0.1, 10]
    sent[0, 7] = 10100 / 66544  # the nearest that there is
    format_, data = encode_compressed_depth(sent, method)
    assert format_ == f"32FC1; compressedDepth {method}"
    kind, a, b = struct.unpack("<iff", data[:12])
    assert (kind, a, b) == (0, 10100, -1009)
    depth_m = unpacked(format_, data)
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
    assert data[:12] == bytes(12)
    depth_m = unpacked(format_, data)
    np.testing.assert_array_equal(np.rint(depth_m * 1000), counts)


@pytest.mark.parametrize("method", ["png", "rvl"])
def test_depth_scale_replaces_the_unit(method: str) -> None:
    depth_m = unpacked(*encode_compressed_depth(COUNTS, method), depth_scale=0.0001)
    np.testing.assert_allclose(depth_m, np.array(METRES) / 10, rtol=1e-6)
    floats = encode_compressed_depth(np.array([[2.0]], np.float32), method)
    assert unpacked(*floats, depth_scale=0.5)[0, 0] == pytest.approx(1, abs=1e-3)
    with pytest.raises(ValueError, match="depth_scale"):
        unpacked(*floats, depth_scale=0)


# Damage


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_every_cut_of_a_colour_file_is_noticed(suffix: str) -> None:
    data = file(BGR, suffix)
    for length in range(len(data)):
        with pytest.raises(ValueError, match=r"cut short|wanted JPEG or"):
            compressed_to_rgb(Message("bgr8; jpeg compressed bgr8", data[:length]))


def test_what_is_no_colour_is_refused() -> None:
    jpeg = bytearray(file(BGR, ".jpg"))
    place = jpeg.index(b"\xff\xc0")
    jpeg[place + 5 : place + 9] = struct.pack(">HH", 65535, 65535)
    with pytest.raises(ValueError, match="65535x65535"):
        compressed_to_rgb(Message("jpeg", bytes(jpeg)))
    with pytest.raises(ValueError, match="'h264'"):
        compressed_to_rgb(Message("h264", b"\0\0\0\1" + bytes(56)))


def test_what_cannot_be_compressed_is_refused() -> None:
    with pytest.raises(ValueError, match="'zip'"):
        encode_compressed_depth(COUNTS, "zip")
    with pytest.raises(ValueError, match="uint8"):
        encode_compressed_depth(RGB)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="uint8"):
        encode_compressed_depth(RGB[..., 0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\(1, 2, 4\)"):
        encode_compressed_depth(COUNTS[None])
    with pytest.raises(ValueError, match="'rvl'"):
        encode_compressed_rgb(RGB, "rvl")


@given(st.sampled_from(["16UC1; compressedDepth png", "32FC1; compressedDepth rvl"]), st.binary())
@settings(deadline=None, max_examples=100)
def test_any_bytes_are_refused_as_depth(format_: str, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"came|RVL|says that it is|damaged|cut short"):
        unpacked(format_, data)


def flipped(png: bytes) -> bytes:
    place = png.index(b"IDAT") + 6
    return png[:place] + bytes([png[place] ^ 16]) + png[place + 1 :]


def claiming(png: bytes) -> bytes:
    """A file that says that it is of gigabytes."""
    return png[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + png[24:]


@pytest.mark.parametrize(
    ("format_", "data", "error"),
    [
        ("rgb8; jpeg compressed bgr8", file(BGR, ".jpg"), "JPEG"),
        ("16UC1; compressedDepth png", b"", "of 0 bytes"),
        ("16UC1; compressedDepth png", bytes(12) + b"what", "no PNG"),
        ("16UC1; compressedDepth rvl", bytes(11), "of 11 bytes came"),
        ("16UC1; compressedDepth rvl", bytes(12), "RVL data of 0 bytes is cut short"),
        ("16UC1; compressedDepth png", bytes(12) + file(RGB), "holds uint8"),
        ("16UC1; compressedDepth png", bytes(12) + file(RGB[..., 0]), "holds uint8"),
        ("16UC1; compressedDepth png", bytes(12) + file(COUNTS)[:-20], "cut short"),
        ("rgb8; compressedDepth png", bytes(12) + file(COUNTS), "'rgb8'"),
        ("32FC1; compressedDepth png", disparities(0, 0, 9), "A = 0"),
        ("32FC1; compressedDepth png", disparities(-5, 1, 9), "A = -5"),
        ("32FC1; compressedDepth png", disparities(float("nan"), 1, 9), "A = nan"),
        ("16UC1; compressedDepth png", bytes(12) + flipped(COUNTS_PNG), "damaged"),
        ("16UC1; compressedDepth png", bytes(12) + claiming(COUNTS_PNG), "2147483647x2147483647"),
        ("16UC1; compressedDepth rvl", bytes(12) + b"\xff" * 8 + bytes(16), "4294967295x42949"),
    ],
)
def test_what_is_no_depth_is_refused(format_: str, data: bytes, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        unpacked(format_, data)
