"""When a camera counts as another one than before."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("sensor_msgs", reason="sensor_msgs is not installed")

from sensor_msgs.msg import CameraInfo

from fafnet_core.messages.synchronizer import Stream
from fafnet_ros.inputs.calibrations import Calibrations

C, D = Stream.COLOUR, Stream.DEPTH


def info(
    *, frame: str = "camera", focal: float = 60.0, p: float = 0.0, **fields: Any
) -> CameraInfo:
    message = CameraInfo(**{"width": 64, "height": 48, **fields})
    message.header.frame_id = frame
    message.k = [focal, 0.0, 31.5, 0.0, focal, 23.5, 0.0, 0.0, 1.0]
    message.p = [p, 0.0, 30.0, 0.0, 0.0, p, 22.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def test_another_matrix_or_size_is_a_change_and_the_same_again_is_none() -> None:
    calibrations = Calibrations(rectified=False)
    assert calibrations.change(C, None) is None
    assert calibrations.change(C, info()) is None
    assert calibrations.change(C, info()) is None
    assert calibrations.change(C, info(focal=61.25)) == (
        "64x48, fx 61.25, fy 61.25, cx 31.5, cy 23.5 (was 64x48, fx 60, fy 60, cx 31.5, cy 23.5)"
    )
    assert calibrations.change(C, info(focal=61.25, p=50.0)) is None  # P is not in use
    wider = calibrations.change(C, info(focal=61.25, width=80))
    assert wider is not None
    assert wider.startswith("80x48, ")
    assert calibrations.change(C, info(focal=61.25, width=80)) is None


def test_each_stream_and_frame_has_its_own() -> None:
    calibrations = Calibrations(rectified=False)
    for _ in range(3):  # depth that flickers between aligned and not
        assert calibrations.change(C, info()) is None
        assert calibrations.change(D, info(focal=40.0)) is None
        assert calibrations.change(D, info(frame="depth", focal=50.0)) is None
    assert calibrations.change(D, info(frame="depth", focal=55.0)) is not None


def test_rectified_images_go_by_p_or_else_by_k() -> None:
    calibrations = Calibrations(rectified=True)
    assert calibrations.change(C, info(p=50.0)) is None
    assert calibrations.change(C, info(focal=70.0, p=50.0)) is None
    assert calibrations.change(C, info(p=55.0)) == (
        "64x48, fx 55, fy 55, cx 30, cy 22 (was 64x48, fx 50, fy 50, cx 30, cy 22)"
    )
    assert calibrations.change(D, info(focal=60.0)) is None
    assert calibrations.change(D, info(focal=70.0)) is not None


def test_binning_and_region_of_interest_are_part_of_it() -> None:
    calibrations = Calibrations(rectified=False)
    assert calibrations.change(C, info()) is None
    assert calibrations.change(C, info(binning_x=1, binning_y=1)) is None  # 0 means 1
    binned = calibrations.change(C, info(binning_x=2, binning_y=2))
    assert binned is not None
    assert "binning 2x2 (was" in binned
    message = info(binning_x=2, binning_y=2)
    message.roi.x_offset, message.roi.width, message.roi.height = 8, 32, 48
    cropped = calibrations.change(C, message)
    assert cropped is not None
    assert "region 32x48 at 8, 0 (was" in cropped


def test_a_camera_that_is_not_calibrated_is_told_without_failing() -> None:
    calibrations = Calibrations(rectified=True)
    assert calibrations.change(C, CameraInfo(width=64, height=48)) is None
    found = calibrations.change(C, info(frame=""))
    assert found is not None
    assert "(was 64x48, fx 0, fy 0" in found
    broken = info(focal=float("nan"))
    assert calibrations.change(D, broken) is None
    assert calibrations.change(D, broken) is None
