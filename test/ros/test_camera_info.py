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


def test_raw_images_take_k_and_rectified_ones_p_if_there_is_one() -> None:
    raw = camera_of(info(), (480, 640)).matrix
    np.testing.assert_array_equal(raw, [[600, 0, 319.5], [0, 602, 239.5], [0, 0, 1]])
    rectified = camera_of(info(), (480, 640), rectified=True).matrix
    np.testing.assert_array_equal(rectified, [[500, 0, 310], [0, 501, 230], [0, 0, 1]])
    message = info()
    message.p = [0.0] * 12
    assert camera_of(message, (480, 640), rectified=True).matrix[0, 0] == 600


@pytest.mark.parametrize("matrix", [[0.0] * 9, np.eye(3).ravel().tolist()])
def test_an_empty_k_leaves_it_to_p(matrix: list[float]) -> None:
    message = info()
    message.k = matrix
    assert camera_of(message, (480, 640)).matrix[0, 0] == 500
    message.p = np.eye(3, 4).ravel().tolist()
    with pytest.raises(ValueError, match="not calibrated"):
        camera_of(message, (480, 640))


@pytest.mark.parametrize("binning", [0, 2])
def test_a_size_of_zero_is_one_that_is_not_stated(binning: int) -> None:
    message = info(binning_x=binning, binning_y=binning)
    message.width = message.height = 0
    size = (240, 320) if binning else (480, 640)
    assert camera_of(message, size).matrix[0, 0] == (300 if binning else 600)
    with pytest.raises(ValueError, match=r"states no size.*not that of the image of 1280x960"):
        camera_of(message, (960, 1280))


@pytest.mark.parametrize(
    ("binning", "has_region", "size", "matrix"),
    [
        # The middle of the image stays in the middle.
        ((2, 2), False, (240, 320), [[300, 0, 159.5], [0, 301, 119.5], [0, 0, 1]]),
        ((0, 0), True, (240, 320), [[600, 0, 219.5], [0, 602, 199.5], [0, 0, 1]]),
        # The region first: (319.5 - 100 + 0.5) / 2 - 0.5, (239.5 - 40 + 0.5) / 4 - 0.5.
        ((2, 4), True, (60, 160), [[300, 0, 109.5], [0, 150.5, 49.5], [0, 0, 1]]),
    ],
)
def test_region_of_interest_and_binning_are_taken_off(
    binning: tuple[int, int], has_region: bool, size: tuple[int, int], matrix: list[list[float]]
) -> None:
    message = info(binning_x=binning[0], binning_y=binning[1])
    if has_region:
        message.roi.x_offset, message.roi.y_offset = 100, 40
        message.roi.width, message.roi.height = 320, 240
    np.testing.assert_allclose(camera_of(message, size).matrix, matrix)


@pytest.mark.parametrize("centre", [0.0, float("nan")])
def test_an_uncalibrated_camera_is_refused(centre: float) -> None:
    message = info() if centre else CameraInfo(width=640, height=480)
    message.k[2] = centre
    with pytest.raises(ValueError, match="not calibrated"):
        camera_of(message, (480, 640))


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"describes 640x480 pixels.*320x240"):
        camera_of(info(), (240, 320))
