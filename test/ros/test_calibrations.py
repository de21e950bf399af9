"""When a camera counts as another one than before."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("sensor_msgs", reason="sensor_msgs is not installed")

from sensor_msgs.msg import CameraInfo, RegionOfInterest

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


def test_each_stream_and_frame_has_its_own_and_the_same_again_is_no_change() -> None:
    calibrations = Calibrations(rectified=False)
    assert calibrations.change(C, None) is None
    for _ in range(3):  # depth that flickers between aligned and not
        assert calibrations.change(C, info()) is None
        assert calibrations.change(C, info(binning_x=1, binning_y=1)) is None  # 0 means 1
        assert calibrations.change(D, info(focal=40.0)) is None
        assert calibrations.change(D, info(frame="depth", focal=50.0)) is None
        broken = info(frame="broken", focal=float("nan"))
        assert calibrations.change(D, broken) is None
    assert calibrations.change(D, info(frame="depth", focal=55.0)) is not None


def region(**fields: int) -> RegionOfInterest:
    return RegionOfInterest(width=32, height=48, **fields)


@pytest.mark.parametrize(
    ("changes", "new"),
    [
        ({"focal": 61.25}, "64x48, fx 61.25, fy 61.25, cx 31.5, cy 23.5"),
        ({"width": 80}, "80x48, fx 60, fy 60, cx 31.5, cy 23.5"),
        ({"p": 50.0}, None),  # P is not in use
        ({"binning_x": 2, "binning_y": 2}, "64x48, fx 60, fy 60, cx 31.5, cy 23.5, binning 2x2"),
        (
            {"roi": region(x_offset=8)},
            "64x48, fx 60, fy 60, cx 31.5, cy 23.5, region 32x48 at 8, 0",
        ),
    ],
)
def test_all_that_decides_the_camera_matrix_is_told(changes: dict[str, Any], new: str) -> None:
    calibrations = Calibrations(rectified=False)
    assert calibrations.change(C, info()) is None
    told = calibrations.change(C, info(**changes))
    assert told == (new and f"{new} (was 64x48, fx 60, fy 60, cx 31.5, cy 23.5)")


def test_rectified_images_go_by_p_or_else_by_k() -> None:
    calibrations = Calibrations(rectified=True)
    assert calibrations.change(C, info(p=50.0)) is None
    assert calibrations.change(C, info(focal=70.0, p=50.0)) is None
    assert calibrations.change(C, info(p=55.0)) == (
        "64x48, fx 55, fy 55, cx 30, cy 22 (was 64x48, fx 50, fy 50, cx 30, cy 22)"
    )
    assert calibrations.change(D, CameraInfo(width=64, height=48)) is None  # not calibrated
    assert "(was 64x48, fx 0, fy 0" in (calibrations.change(D, info(frame="")) or "")
