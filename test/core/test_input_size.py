"""The size at which a network sees a frame: what it is, and that nothing moves on the way to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fafnet_core.camera import Camera, Size
from fafnet_core.evaluation.prediction import Prepared
from fafnet_core.frame import RgbdFrame
from fafnet_core.hha import encode_hha
from fafnet_core.input_size import (
    check_input_size,
    check_size,
    fitted_size,
    parse_input_size,
    size_text,
)
from fafnet_core.models import FAFNetConfig
from fafnet_core.resampling import resized_image
from fafnet_core.samples import RgbdSample

QVGA = (240, 320)
CAMERA = Camera(fx=500.0, fy=480.0, cx=300.3, cy=233.7, width=640, height=480)


def frame(rgb: NDArray[np.uint8], depth_m: NDArray[np.float32]) -> RgbdFrame:
    size = depth_m.shape[1], depth_m.shape[0]
    camera = replace(CAMERA, width=size[0], height=size[1])
    return RgbdFrame(rgb=rgb, depth_m=depth_m, camera=camera)


@pytest.mark.parametrize(
    ("size", "input_size", "wanted"),
    [
        ((480, 640), QVGA, (240, 320)),
        ((240, 320), QVGA, (240, 320)),
        ((120, 160), QVGA, (240, 320)),  # enlarged
        ((480, 848), QVGA, (208, 368)),
        ((720, 1280), QVGA, (208, 368)),
        ((427, 561), QVGA, (240, 320)),
        ((640, 480), QVGA, (320, 240)),
        ((1, 1), QVGA, (272, 272)),
        ((720, 1280), (480, 640), (416, 736)),  # multiples of 32
        ((720, 1280), (128, 160), (96, 192)),  # of 32
        ((720, 1280), (241, 317), (207, 369)),  # of 1
        ((427, 561), None, (427, 561)),
    ],
)
def test_a_frame_keeps_its_aspect_ratio_and_gets_as_many_pixels(
    size: Size, input_size: Size | None, wanted: Size
) -> None:
    assert fitted_size(size, input_size) == wanted


SIDES = st.integers(1, 3000)


@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES))
def test_fitting_is_exact_to_half_a_step(size: Size, input_size: Size) -> None:
    fitted = fitted_size(size, input_size)
    step = np.gcd.reduce((*input_size, 32))
    exact = np.sqrt(input_size[0] * input_size[1] / (size[0] * size[1])) * np.array(size)
    assert min(fitted) >= step
    if size[0] * input_size[1] == size[1] * input_size[0]:
        assert fitted == input_size
        return
    assert all(side % step == 0 for side in fitted)
    off = np.abs(np.array(fitted) - exact)
    assert (off[exact >= step] <= step / 2 + 1e-6).all()


@pytest.mark.parametrize("shape", [(480, 640), (481, 643), (97, 131), (70, 300)])
@pytest.mark.parametrize("size", [(240, 320), (101, 67), (480, 641), (600, 700)])
def test_a_resized_frame_shows_the_same_rays(shape: Size, size: Size) -> None:
    rows, columns = np.indices(shape, dtype=np.float32)
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    for axis, position in ((0, columns), (1, rows)):
        seen = frame(rgb, position).scaled(size)
        small, depth_m, matrix = seen.rgb, seen.depth_m, seen.camera.matrix
        assert small.shape == (*size, 3)
        assert depth_m.shape == size
        here = np.indices(size)[1 - axis]
        there = (here - matrix[axis, 2]) / matrix[axis, axis] * CAMERA.matrix[axis, axis]
        there += CAMERA.matrix[axis, 2]
        there = there.clip(0, shape[1 - axis] - 1)
        assert np.abs(depth_m - there).max() <= 0.5 + 1e-3  # the nearest pixel
        # Colour is a mean around the ray: of the mirror image, the mirror image.
        mirrored = frame(np.flip(rgb, 1 - axis), position).scaled(size).rgb
        apart = np.abs(np.flip(mirrored, 1 - axis).astype(int) - small)
        assert apart.max() <= 1


@pytest.mark.parametrize("size", [(30, 40), (45, 60), (96, 128), (150, 200), (61, 83)])
def test_a_ramp_is_not_shifted(size: Size) -> None:
    # Grey is the place: of each pixel, smaller or larger, that under its centre.
    ramp = np.broadcast_to(np.arange(0, 240, 2, dtype=np.uint8)[:, None, None], (120, 160, 3))
    grey = resized_image(ramp, size)[:, 0, 0].astype(float)
    centres = (np.arange(size[0]) + 0.5) * 120 / size[0] - 0.5
    inner = slice(1, -1)
    assert np.abs(grey - 2 * centres.clip(0, 119))[inner].max() <= 1.0
    assert abs((grey - 2 * centres)[inner].mean()) < 0.4  # half a pixel would be 1


def test_depth_and_hha_are_never_mixed() -> None:
    depth_m = np.where(np.arange(160) < 77, 1.0, 4.0).astype(np.float32)[None].repeat(120, 0)
    rgb = np.zeros((120, 160, 3), np.uint8)
    for size in ((60, 80), (90, 120), (77, 101), (240, 320)):
        assert set(np.unique(frame(rgb, depth_m).scaled(size).depth_m)) == {1.0, 4.0}


# Samples


def sample(shape: Size = (96, 128), **changes: Any) -> RgbdSample:
    rng = np.random.default_rng(5)
    rows = np.indices(shape, dtype=np.float32)[0]
    values: dict[str, Any] = {
        "rgb": rng.integers(0, 256, (*shape, 3), np.uint8),
        "label": np.zeros(shape, np.uint8),
        "depth_m": (2 + 0.01 * rows + rng.normal(0, 0.002, shape)).astype(np.float32),
        "missing": rng.random(shape) < 0.1,
        "camera": Camera(fx=110.0, fy=110.0, cx=60.0, cy=50.0, width=shape[1], height=shape[0]),
        "gravity": np.array([0.0, 1.0, 0.1]),
    }
    return RgbdSample(**(values | changes))


def test_hha_is_made_at_the_size_of_the_input() -> None:
    whole = sample()
    assert whole.depth_m is not None
    assert whole.missing is not None
    assert whole.camera is not None
    rows, columns = 2 * np.arange(48)[:, None] + 1, 2 * np.arange(64) + 1
    matrix = whole.camera.matrix / 2
    matrix[:2, 2] = (whole.camera.matrix[:2, 2] + 0.5) / 2 - 0.5
    matrix[2, 2] = 1
    wanted = encode_hha(
        whole.depth_m[rows, columns],
        matrix,
        missing=whole.missing[rows, columns],
        gravity=whole.gravity,
    )
    for given_hha in (None, np.full((96, 128, 3), 7, np.uint8)):  # ready HHA is of another size
        prepared = Prepared.of(replace(whole, hha=given_hha), (48, 64))
        rgb, hha = prepared.rgb, prepared.hha
        np.testing.assert_array_equal(hha, wanted)
        blocks = whole.rgb.reshape(48, 2, 64, 2, 3).astype(float).mean((1, 3))
        assert np.abs(rgb - blocks).max() <= 0.5


def test_a_sample_with_ready_hha_only_has_it_averaged() -> None:
    ready = np.random.default_rng(6).integers(0, 256, (96, 128, 3), np.uint8)
    for lacking in (sample(hha=ready, depth_m=None), sample(hha=ready, camera=None)):
        hha = Prepared.of(lacking, (48, 64)).hha
        blocks = ready.reshape(48, 2, 64, 2, 3).astype(float).mean((1, 3))
        assert np.abs(hha - blocks).max() <= 0.5


@pytest.mark.parametrize("input_size", [None, (96, 128), (480, 640)])
def test_ready_hha_counts_where_the_size_is_its_own(input_size: Size | None) -> None:
    ready: NDArray[np.uint8] = np.full((96, 128, 3), 7, np.uint8)
    whole = sample(hha=ready)
    seen = Prepared.of(whole, input_size)
    assert (seen.hha is ready) == (seen.rgb is whole.rgb) == (input_size != (480, 640))


# What may be asked for


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("320x240", (240, 320)),
        (" 848X480 ", (480, 848)),
        ("image", None),
        ("checkpoint", "checkpoint"),
        ("", "checkpoint"),
    ],
)
def test_sizes_are_written_width_first(text: str, wanted: object) -> None:
    assert parse_input_size(text) == wanted
    if wanted != "checkpoint":
        assert size_text(parse_input_size(text)) == text.strip().lower()  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["320", "320x", "320x240x3", "-3x4", "1.5x2", "[240, 320]", "own"])
def test_what_is_no_size_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no input size; wanted WIDTHxHEIGHT .*as 320x240, or"):
        parse_input_size(text)


@pytest.mark.parametrize(
    "value", [240, "320x240", (240,), (240, 320, 3), (240.0, 320), (True, 320), (0, 3), (9, 16385)]
)
def test_a_size_is_two_whole_numbers(value: object) -> None:
    with pytest.raises(ValueError, match=r"^input_size is .*; wanted a height and a width"):
        check_size(value)


def test_lists_and_numpys_numbers_are_sizes() -> None:
    for value in ([240, 320], (np.int64(240), np.int64(320))):
        assert check_size(value) == (240, 320)
        assert [type(side) for side in check_size(value) or ()] == [int, int]
    assert check_size(None) is None


def test_a_network_says_what_it_takes() -> None:
    config = FAFNetConfig(output_stride=32)
    assert check_input_size(config, (33, 40)) == (33, 40)
    with pytest.raises(ValueError, match=r"40x32 \(width x height\), too small .* at least 33 pix"):
        check_input_size(config, (32, 40))
    even = FAFNetConfig(backbone="timm/swin_tiny", output_stride=32)
    assert check_input_size(even, (480, 640), divisor=32) == (480, 640)
    with pytest.raises(ValueError, match=r"timm/swin_tiny takes sides divisible by 32 .*320x256"):
        check_input_size(even, (250, 320), divisor=32)
    with pytest.raises(ValueError, match="at least 64"):
        check_input_size(even, (32, 320))
