"""Which camera matrix belongs to an image."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sensor_msgs", reason="sensor_msgs is not installed")

from sensor_msgs.msg import CameraInfo

from fafnet_core.messages.camera_info import camera_of


def info(**fields: int) -> CameraInfo:
    message = CameraInfo(width=640, height=480, **fields)
    message.k = [600.0, 0.0, 319.5, 0.0, 602.0, 239.5, 0.0, 0.0, 1.0]
    message.p = [500.0, 0.0, 310.0, 0.0, 0.0, 501.0, 230.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def test_raw_images_take_k_and_rectified_ones_p() -> None:
    raw = camera_of(info(), (480, 640)).matrix
    np.testing.assert_array_equal(raw, [[600, 0, 319.5], [0, 602, 239.5], [0, 0, 1]])
    rectified = camera_of(info(), (480, 640), rectified=True).matrix
    np.testing.assert_array_equal(rectified, [[500, 0, 310], [0, 501, 230], [0, 0, 1]])


def test_an_empty_p_falls_back_to_k() -> None:
    message = info()
    message.p = [0.0] * 12
    assert camera_of(message, (480, 640), rectified=True).matrix[0, 0] == 600


def test_binning_keeps_the_middle_of_the_image_in_the_middle() -> None:
    matrix = camera_of(info(binning_x=2, binning_y=2), (240, 320)).matrix
    np.testing.assert_allclose(matrix, [[300.0, 0, 159.5], [0, 301.0, 119.5], [0, 0, 1.0]])


def test_region_of_interest_shifts_the_principal_point() -> None:
    message = info()
    message.roi.x_offset, message.roi.y_offset = 100, 40
    message.roi.width, message.roi.height = 320, 240
    matrix = camera_of(message, (240, 320)).matrix
    np.testing.assert_allclose(matrix[:2, 2], [219.5, 199.5])
    assert matrix[0, 0] == 600


def test_region_and_binning_together() -> None:
    message = info(binning_x=2, binning_y=4)
    message.roi.x_offset, message.roi.y_offset = 100, 40
    message.roi.width, message.roi.height = 320, 240
    matrix = camera_of(message, (60, 160)).matrix
    # The region is taken off first: (319.5 - 100 + 0.5) / 2 - 0.5, (239.5 - 40 + 0.5) / 4 - 0.5.
    np.testing.assert_allclose(matrix, [[300.0, 0, 109.5], [0, 150.5, 49.5], [0, 0, 1.0]])


def test_an_uncalibrated_camera_is_refused() -> None:
    with pytest.raises(ValueError, match="not calibrated"):
        camera_of(CameraInfo(width=640, height=480), (480, 640))


def test_a_matrix_that_holds_no_numbers_is_refused() -> None:
    message = info()
    message.k[2] = float("nan")
    with pytest.raises(ValueError, match="not calibrated"):
        camera_of(message, (480, 640))


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"describes 640x480 pixels.*320x240"):
        camera_of(info(), (240, 320))
