"""What comes in over DDS is paired by the clock that it has, and a new camera is noticed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros
from hand_camera import HandCamera
from sensor_msgs.msg import Image

from fafnet_core.messages.frames import FrameSettings
from fafnet_core.messages.synchronizer import Stream
from fafnet_ros.diagnostics.events import CALIBRATION_CHANGED
from fafnet_ros.diagnostics.statistics import Statistics
from fafnet_ros.inputs.inputs import Inputs, ReceivedPair
from fafnet_ros.inputs.parameters import InputParameters

C, D = Stream.COLOUR, Stream.DEPTH


class Camera:
    """Sends messages to `Inputs`, each when the one before has arrived, by a clock of its own.

    Depth comes a millisecond after what was before it, colour 99.
    """

    def __init__(self, ros: Ros) -> None:
        self._ros = ros
        self._statistics = Statistics()
        self.pairs: list[ReceivedPair] = []
        self.complaints: list[str] = []
        self._sent: Counter[str] = Counter()
        self._now = 100.0
        self.inputs = Inputs(
            ros.node,
            InputParameters(),
            FrameSettings(),
            self._statistics,
            self.pairs.append,
            self.complaints.append,
            lambda: self._now,
        )
        self._camera = HandCamera(
            ros, "rgb/camera_info", "depth/camera_info", "rgb/image", "depth/image"
        )

    @property
    def counts(self) -> dict[str, int]:
        return dict(self.inputs.synchronizer.counts)

    @property
    def changes(self) -> int:
        return self._statistics.event(CALIBRATION_CHANGED).count

    @property
    def stamps(self) -> list[tuple[int, int]]:
        """Those of the pairs, in milliseconds."""
        return [(_stamp_ms(pair.colour), _stamp_ms(pair.depth)) for pair in self.pairs]

    def images(self, *images: tuple[Stream, int]) -> None:
        """Send images with these stamps, in milliseconds."""
        for stream, stamp_ms in images:
            self._now += 0.099 if stream is C else 0.001
            send = self._camera.send_colour if stream is C else self._camera.send_depth
            send(stamp_ms / 1000)
            self._count(stream.value)

    def info(self, name: str, focal: float, width: int = 64) -> None:
        topic = "rgb/camera_info" if name == "camera_info" else "depth/camera_info"
        self._camera.send_info(topic, 0.0, focal=focal, width=width)
        self._count(name)

    def _count(self, name: str) -> None:
        """Wait until what was sent is counted."""
        self._sent[name] += 1
        self._ros.wait_for(lambda: self._statistics.event(name).count == self._sent[name], name)

    def pause(self, seconds: float) -> None:
        self._now += seconds

    def close(self) -> None:
        self.inputs.destroy()


def _stamp_ms(image: Image) -> int:
    return int(image.header.stamp.sec * 1000 + image.header.stamp.nanosec // 10**6)


@pytest.fixture
def uninformed(ros: Ros) -> Iterator[Camera]:
    """A camera whose camera_info has not come yet."""
    made = Camera(ros)
    yield made
    made.close()


@pytest.fixture
def camera(uninformed: Camera) -> Camera:
    uninformed.info("camera_info", 60.0)
    return uninformed


def test_camera_info_has_two_seconds_from_the_first_pair_on(uninformed: Camera) -> None:
    uninformed.pause(5.0)  # a camera that is started after the node
    uninformed.images((C, 1000), (D, 1000), (C, 1100), (D, 1100))
    assert not uninformed.complaints
    uninformed.pause(2.0)
    uninformed.images((C, 3200), (D, 3200))
    (said,) = uninformed.complaints
    assert "no camera_info on /rgb/camera_info" in said
    uninformed.info("camera_info", 60.0)
    assert uninformed.stamps == [(3200, 3200)]


def test_a_stream_without_stamps_is_no_jump_and_loses_no_image(camera: Camera) -> None:
    camera.images((C, 500_000), (D, 0), (C, 500_100), (D, 0), (C, 500_200))
    assert camera.inputs.is_by_receipt
    assert camera.stamps == [(500_000, 0), (500_100, 0)]
    assert camera.counts == {"pairs": 2}


def test_simulated_time_that_begins_at_zero_is_no_jump_and_loses_no_pair(camera: Camera) -> None:
    camera.images(*((stream, stamp) for stamp in (0, 33, 66) for stream in (C, D)))
    assert not camera.inputs.is_by_receipt
    assert camera.stamps == [(0, 0), (33, 33), (66, 66)]
    assert camera.counts == {"pairs": 3}


def test_a_driver_that_finds_its_clock_is_paired_by_stamps_from_then_on(camera: Camera) -> None:
    # A depth image of the time without stamps is left over: it has no place among stamps.
    camera.images((D, 0), (C, 0), (D, 0), (D, 0), (C, 7000), (D, 7000), (C, 7100), (D, 7100))
    assert camera.stamps[-1] == (7100, 7100)
    assert "jumps" not in camera.counts
    kept = camera.counts
    assert kept["pairs"] + kept["unmatched_depth"] == 5


def test_a_simulation_that_begins_again_at_zero_counts_as_one_jump(camera: Camera) -> None:
    camera.images(*((s, stamp) for stamp in (90_000, 90_033, 0, 33, 66) for s in (C, D)))
    assert camera.stamps == [(90_000, 90_000), (90_033, 90_033), (0, 0), (33, 33), (66, 66)]
    assert camera.counts == {"pairs": 5, "jumps": 1}


def test_a_camera_that_comes_back_with_another_calibration_is_counted(camera: Camera) -> None:
    camera.images((C, 1000), (D, 1000))
    camera.info("camera_info", 60.0)
    camera.images((C, 1100), (D, 1100))
    assert camera.changes == 0
    camera.info("camera_info", 70.0)
    assert camera.changes == 0  # not in use yet
    camera.images((C, 1200), (D, 1200), (C, 1300), (D, 1300))
    assert camera.changes == 1
    camera.info("camera_info", 70.0, width=80)
    camera.info("depth_info", 50.0)
    camera.images((C, 1400), (D, 1400))
    assert camera.changes == 2
    camera.info("depth_info", 55.0)
    camera.images((C, 1500), (D, 1500))
    assert camera.changes == 3
    assert len(camera.pairs) == 6
