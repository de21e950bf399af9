"""RVL: exact bytes, nothing lost, and nothing believed of a damaged payload."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fafnet_core.messages.rvl import LARGEST, decode_rvl, encode_rvl

Depth = NDArray[np.uint16]


def depth(*rows: list[int]) -> Depth:
    return np.array(rows, np.uint16)


def sized(width: int, height: int, words: str) -> bytes:
    """A payload of this size whose words are written as numbers, highest nibble first."""
    sizes = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    return sizes + b"".join(int(word, 16).to_bytes(4, "little") for word in words.split())


# Worked out by hand: zeros, values, folded differences (2 d, or -2 d - 1), in groups of three bits
# from the lowest on, each with 8 added where another follows.
BY_HAND = [
    # 2 zeros, 3 values: 5 -> 10 = 0b001_010 -> A 1, +2 -> 4, -1 -> 1; 3 zeros, 0 values.
    (depth([0, 0, 5, 7], [6, 0, 0, 0]), sized(4, 2, "23A14130")),
    # 0 zeros, 1 value: 65535 -> 131070 = 0o377776 -> E F F F F 3.
    (depth([65535]), sized(1, 1, "01EFFFF3")),
    # 0 zeros, 1 value: 5 -> A 1; 1 zero, 1 value: no difference across the zero; filled up.
    (depth([5, 0, 5]), sized(3, 1, "01A11100")),
    # 9 zeros -> 9 1, no values; filled up.
    (depth([0] * 9), sized(9, 1, "91000000")),
    # 10 values: 0, then A -> 2 + 8, 1; each 1 more than the last -> 2, in two words.
    (depth(list(range(1, 11))), sized(10, 1, "0A122222 22222000")),
]


@pytest.mark.parametrize(("image", "payload"), BY_HAND)
def test_payloads_worked_out_by_hand(image: Depth, payload: bytes) -> None:
    assert encode_rvl(image) == payload
    np.testing.assert_array_equal(decode_rvl(payload), image)


@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 16), st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
@example(1, 1, 16, 0.0, 0)
@settings(deadline=None, max_examples=100)
def test_nothing_is_lost(height: int, width: int, bits: int, holes: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 2**bits, (height, width)).astype(np.uint16)
    image[rng.random(image.shape) < holes] = 0
    decoded = decode_rvl(encode_rvl(image))
    assert decoded.dtype == np.uint16
    np.testing.assert_array_equal(decoded, image)


@given(st.binary(max_size=200), st.integers(1, 40), st.integers(1, 40))
@settings(deadline=None, max_examples=150)
def test_any_bytes_give_an_image_or_an_error(data: bytes, width: int, height: int) -> None:
    try:
        image = decode_rvl(sized(width, height, "") + data)
    except ValueError:
        return
    assert image.shape == (height, width)
    assert image.dtype == np.uint16


def test_every_cut_is_noticed() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 4000, (12, 16)).astype(np.uint16)
    image[rng.random(image.shape) < 0.3] = 0
    image[-1, -1] = 1234  # else the last word may hold nothing but filling
    payload = encode_rvl(image)
    for length in range(len(payload)):
        with pytest.raises(ValueError, match="cut short"):
            decode_rvl(payload[:length])


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (sized(2**32 - 1, 2**32 - 1, "00000000"), "4294967295x4294967295"),
        (sized(LARGEST + 1, 1, "00000000"), "says that it is"),
        (sized(0, 480, "00000000"), "0x480"),
        (sized(480, 0, "00000000"), "480x0"),
        (sized(640, 480, ""), "ends before"),
        (sized(640, 480, "00000000 00000000"), "ends before"),
        # 7 zeros and 7 values in an image of 8 pixels.
        (sized(4, 2, "77222222 20000000"), "runs past"),
        (sized(4, 2, "FFFFFFFF 70000000"), "more than 8 nibbles"),
        # 16777215 values announced, none there.
        (sized(4097, 4095, "0FFFFFFF 70000000"), "ends before"),
    ],
)
def test_payloads_that_lie_are_refused(payload: bytes, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        decode_rvl(payload)


def test_what_is_no_depth_image_is_not_packed() -> None:
    with pytest.raises(ValueError, match="uint8"):
        encode_rvl(np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="0x3"):
        encode_rvl(np.zeros((3, 0), np.uint16))


def test_frames_of_many_runs_and_any_layout_come_back_as_they_were() -> None:
    rows, columns = np.indices((480, 640))
    checkerboard = ((rows + columns) % 2 * 1000).astype(np.uint16)
    rng = np.random.default_rng(2)
    speckled = rng.normal(2000, 10, (480, 640)).astype(np.uint16)
    speckled[rng.random((480, 640)) < 0.07] = 0
    for image in (checkerboard, speckled, speckled[::2, 1::3]):
        np.testing.assert_array_equal(decode_rvl(encode_rvl(image)), image)


@pytest.mark.parametrize("lead", range(3))
def test_a_run_may_be_cut_anywhere(lead: int) -> None:
    # Decoding goes by parts of the payload; each run here is three nibbles: 1 zero, 1 value, its
    # difference, so that parts end after each of them in turn.
    image = np.zeros((720, 1280), np.uint16)
    image[:, 1::2] = 5
    image[0, : 2 * lead : 2] = 5
    np.testing.assert_array_equal(decode_rvl(encode_rvl(image)), image)


@pytest.mark.parametrize("lead", range(6))
def test_a_number_may_be_cut_anywhere(lead: int) -> None:
    # Each difference takes six nibbles, but those of the first pixels, which take one.
    image = np.full((300, 400), 1, np.uint16)
    image.reshape(-1)[lead + 1 :: 2] = 65535
    np.testing.assert_array_equal(decode_rvl(encode_rvl(image)), image)


def test_real_frames_come_back_as_they_were(shared_data: Path) -> None:
    for file in sorted((shared_data / "kinect-v1-sequence" / "depth").iterdir())[:2]:
        image = np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), np.uint16)
        packed = encode_rvl(image)
        np.testing.assert_array_equal(decode_rvl(packed), image)
        assert len(packed) < image.nbytes / 2
