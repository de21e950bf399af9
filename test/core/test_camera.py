"""`Camera`: equal by value, and the same rays after scaling, cropping and turning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fafnet_core.camera import Camera

CAMERA = Camera(fx=500.0, fy=480.0, cx=300.3, cy=233.7, width=640, height=480)
SIDES = st.integers(1, 2000)


def test_cameras_are_values() -> None:
    again = Camera.from_matrix(CAMERA.matrix, (480, 640))
    assert again == CAMERA
    assert hash(again) == hash(CAMERA)
    assert replace(CAMERA, cx=300.4) != CAMERA
    assert CAMERA.matrix.tolist() == [[500, 0, 300.3], [0, 480, 233.7], [0, 0, 1]]
    assert CAMERA.size == (480, 640)


def test_scaling_keeps_the_rays_through_pixel_centres() -> None:
    half = CAMERA.scaled((240, 320))
    # The centre of a pixel of half the size is the corner that four pixels share.
    u = np.arange(320)
    np.testing.assert_allclose(
        (u - half.cx) / half.fx, (2 * u + 0.5 - CAMERA.cx) / CAMERA.fx, rtol=1e-12
    )
    assert (half.cx, half.cy) == pytest.approx((149.9, 116.6))


@given(st.tuples(SIDES, SIDES))
def test_a_camera_goes_there_and_back(size: tuple[int, int]) -> None:
    there = CAMERA.scaled(size)
    back = there.scaled(CAMERA.size)
    assert (there.size, back.size) == (size, CAMERA.size)
    np.testing.assert_allclose(back.matrix, CAMERA.matrix, rtol=1e-9)
    assert there.sees_like(CAMERA, 1e-9)


def test_cropping_and_turning() -> None:
    part = CAMERA.cropped(40, 100, (120, 160))
    assert (part.cx, part.cy, part.size) == (CAMERA.cx - 100, CAMERA.cy - 40, (120, 160))
    assert not part.sees_like(CAMERA, 1e-3)
    turned = CAMERA.flipped()
    # Column 0 becomes column 639.
    assert turned.cx - 639 == pytest.approx(-CAMERA.cx)
    assert turned.flipped() == CAMERA


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"fx": 0.0}, "calibrated"),
        ({"fy": -480.0}, "calibrated"),
        ({"cx": float("nan")}, "finite"),
        ({"fx": float("inf")}, "finite"),
        ({"fx": 0.9, "fy": 0.9}, "168"),
        ({"width": 0}, "1x1"),
    ],
)
def test_what_is_no_camera_is_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        replace(CAMERA, **changes)


@pytest.mark.parametrize(
    ("matrix", "size", "word"),
    [
        (np.eye(4), (480, 640), "shape"),
        (CAMERA.matrix.T, (480, 640), "transpose"),
        (2 * CAMERA.matrix, (480, 640), "divide"),
        (CAMERA.matrix, (1, 480, 640), "height"),
    ],
)
def test_a_matrix_of_another_form_is_refused(matrix: Any, size: Any, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Camera.from_matrix(matrix, size)
