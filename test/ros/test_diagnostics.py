"""What diagnostics say of faults that are planted beside a running node, sentence by sentence.

Planted elsewhere: depth that is not registered, and a transform that is missing (`test_robot`);
a camera_info of depth that is missing or wrong, and transitions that fail (`test_node`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros
from hand_camera import AT_REST, HandCamera
from onlooker import ERROR, OK, WARN, Diagnostics, set_parameters
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

PAIR = ("rgb/camera_info", "depth/camera_info", "rgb/image", "depth/image")


def test_inputs_that_bring_nothing(ros: Ros) -> None:
    participant = ros.participant("driver")
    said = Diagnostics(ros)
    shy = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    colour = participant.create_publisher(Image, "rgb/image", shy)
    depth = participant.create_publisher(CompressedImage, "depth/image", 5)
    node = ros.start("segment_node", reliability="reliable", gravity="tf", autostart=False)
    ros.collect(Image, "fafnet/labels")
    # Heard before it begins: what it says of the first seconds is said once or twice.
    said.wait_for("not segmenting until it is active")
    assert ros.change_state("configure")
    assert ros.change_state("activate")
    ros.wait_for(
        lambda: any("waiting for images" in text for text in said.messages), "the first seconds"
    )
    said.wait_for(
        "/rgb/image: /driver offers reliability best_effort, this node asks for reliable",
        "set reliability:=auto here",
        "/depth/image carries sensor_msgs/msg/CompressedImage, this node reads sensor_msgs/msg/Im",
        "set depth_transport:=compressedDepth",
        "/rgb/camera_info has no publisher, and nobody publishes another topic of sensor_msgs/",
    )
    assert said.level == ERROR
    ros.node.create_publisher(CameraInfo, "/front/depth/camera_info", 5)
    other = ros.node.create_publisher(CameraInfo, "/front/color/camera_info", 5)
    said.wait_for(
        "/rgb/camera_info has no publisher: start the camera, or remap it, e.g. -r"
        " rgb/camera_info:=/front/color/camera_info; topics of its type that are published:",
    )
    ros.node.destroy_publisher(other)
    for publisher in (colour, depth):
        participant.destroy_publisher(publisher)
    camera = HandCamera(ros, "rgb/image", "depth/image")
    said.wait_for("/rgb/image has a publisher but is silent: /onlooker", "ros2 topic hz /rgb/image")
    waited = "/rgb/image: waiting for the first message of /onlooker"
    assert any(waited in text for text in said.messages) or said.level == WARN

    def send(i: int) -> None:
        camera.send_colour(1 + i / 20)
        camera.send_depth(1 + i / 20)

    camera.run(
        send,
        lambda: said.has(
            "images come, but no camera_info on /rgb/camera_info", "set camera_matrix"
        ),
        "the missing camera_info",
    )
    info = HandCamera(ros, "rgb/camera_info")
    info.send_info("rgb/camera_info", 1.0)
    camera.run(
        send,
        lambda: said.has("gravity is 'tf', but", "until then gravity is estimated"),
        "what gravity lacks",
    )
    assert node.is_running


class Bench:
    """A node with a camera in the test's hands, both shared: each test plants its own fault.

    Stamps of each run begin a hundred seconds after those of the one before.
    """

    def __init__(self, ros: Ros) -> None:
        self.ros = ros
        self.said = Diagnostics(ros)
        self._labels = self._subscribe()
        shift = "[0.05, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]"
        self.node = ros.start("segment_node", gravity="imu", depth_to_color=shift)
        self.camera = HandCamera(ros, *PAIR)
        self.imu = HandCamera(ros, "imu")
        self.stamp_s = 1_700_000_000.0

    def _subscribe(self) -> Any:
        return self.ros.node.create_subscription(Image, "fafnet/labels", lambda image: None, 5)

    def watch(self, *, labels: bool) -> None:
        """Subscribe to labels, or no longer."""
        if labels:
            self._labels = self._subscribe()
        else:
            self.ros.node.destroy_subscription(self._labels)

    def healthy(self, stamp_s: float) -> None:
        """Send all of a frame."""
        self.steady(stamp_s)
        self.camera.send_colour(stamp_s)
        self.camera.send_depth(stamp_s)

    def steady(self, stamp_s: float) -> None:
        """Send what goes with images."""
        self.camera.send_info("rgb/camera_info", stamp_s)
        self.camera.send_info("depth/camera_info", stamp_s)
        self.imu.send_imu(stamp_s)

    def run(self, send: Any, *parts: str, rate_hz: float = 20.0) -> None:
        """Call `send(i, stamp_s)` until all this is said."""
        self.stamp_s += 100.0
        begin = self.stamp_s
        self.camera.run(
            lambda i: send(i, begin + i / rate_hz),
            lambda: self.said.has(*parts),
            f"'{' ... '.join(parts)}'",
            rate_hz,
        )

    def until_healthy(self) -> None:
        """Send healthy frames until nothing is wrong, and for long enough to compare the stamps.

        The network may be slower than the camera.
        """
        self.stamp_s += 100.0
        begin = self.stamp_s
        self.camera.run(
            lambda i: self.healthy(begin + i / 20),
            lambda: (
                self.said.message.startswith("segmenting")
                and "nearest stamps (ms)" in self.said.values
            ),
            "healthy frames",
        )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    domain = Ros(tmp_path_factory.mktemp("bench"))
    yield Bench(domain)
    domain.close()


def test_a_healthy_camera(bench: Bench) -> None:
    bench.until_healthy()
    assert bench.said.level == OK
    assert bench.said.values["input scale"] == "1"
    assert bench.said.values["state"] == "active"
    assert float(bench.said.values["nearest stamps (ms)"]) == 0
    assert float(bench.said.values["memory used (MiB)"]) > 50


def test_the_names_of_the_values_are_stable(bench: Bench) -> None:
    bench.until_healthy()
    flows = ("colour", "depth", "paired", "published")
    stages = ("receive", "decode", "hha", "network", "publish", "total", "stamp offset")
    others = (
        "state", "checkpoint", "label set", "pairing: pairs", "frames: published", "frames: imu",
        "invalid depth share (%)", "input scale", "nearest stamps (ms)", "depth clock offset (ms)",
        "max latency (s)", "memory used (MiB)", "memory free (MiB)", "memory total (MiB)",
    )  # fmt: skip
    wanted = [*others, *(f"{flow} {what}" for flow in flows for what in ("rate (Hz)", "age (s)"))]
    wanted += [f"{stage} {p} (ms)" for stage in stages for p in ("p50", "p95", "p99")]
    assert [name for name in wanted if name not in bench.said.values] == []
    assert "\n" not in "".join(bench.said.values.values())


def test_nobody_subscribes(bench: Bench) -> None:
    bench.watch(labels=False)
    bench.run(lambda i, stamp: bench.healthy(stamp), "nobody subscribes to an output")
    assert bench.said.level == OK
    bench.watch(labels=True)
    bench.until_healthy()


def test_two_publishers_on_a_topic(bench: Bench) -> None:
    """Both are heard; one that is only there, as DDS has it of a killed one, is no fault."""
    second = HandCamera(bench.ros, "rgb/image")
    bench.until_healthy()

    def both(i: int, stamp_s: float) -> None:
        bench.healthy(stamp_s)
        second.send_colour(stamp_s)

    bench.run(both, "/rgb/image has 2 publishers (/onlooker", "namespace")
    assert bench.said.level == WARN
    bench.until_healthy()
    second.close()


@pytest.mark.parametrize(
    ("depth_ahead_s", "rate_hz", "parts"),
    [
        pytest.param(
            -3.0, 20.0,
            ("do not pair: stamps of /depth/image are 3.0", "behind those of /rgb/image that come",
             "either depth comes so late, or the clocks differ", "for late images, queue_size:="),
            id="late",
        ),
        pytest.param(
            -1000.0, 20.0,
            ("do not pair: they are of different clocks, 1000 s apart", "/rgb/image says 2023-11-",
             "run chrony"),
            id="clocks",
        ),
        pytest.param(
            0.08, 5.0,
            ("do not pair: nearest stamps are 80 ms apart (median), slop is 0.04 s; slop:=0.09",
             "compare ros2 topic echo --field header.stamp /rgb/image with /depth/image"),
            id="between",
        ),
        pytest.param(
            -0.7, 20.0,
            ("do not pair", "these fit, but depth comes 0.", "s after its partner: queue_size:=2"),
            id="queue",
        ),
        pytest.param(
            0.5, 10.0,
            ("stamps of /rgb/image are 0.", "behind those of /depth/image that come",
             "if it is the clocks, pairs are of different moments"),
            id="apart",
        ),
    ],
)  # fmt: skip
def test_stamps(bench: Bench, depth_ahead_s: float, rate_hz: float, parts: tuple[str, ...]) -> None:
    def send(i: int, stamp_s: float) -> None:
        bench.steady(stamp_s)
        bench.camera.send_colour(stamp_s)
        bench.camera.send_depth(stamp_s + depth_ahead_s)

    bench.run(send, *parts, rate_hz=rate_hz)
    assert bench.said.level == WARN
    if depth_ahead_s != 0.5:  # nothing pairs: the log says so as well, every ten seconds at most
        assert int(bench.said.values["pairing: unmatched_colour"]) > 0
        logged = "[WARN]", "no colour image finds a depth image (", "their stamps do not pair"
        bench.ros.wait_for(lambda: all(part in bench.node.output for part in logged), "the log")


def test_stamps_of_zero(bench: Bench) -> None:
    def send(i: int, stamp_s: float) -> None:
        bench.steady(stamp_s)
        bench.camera.send_colour(stamp_s)
        bench.camera.send_depth(0.0)

    bench.run(send, "the stamps of /depth/image are 0: such images are paired by time of receipt")
    assert bench.said.level == WARN


def test_stamps_that_stand_still(bench: Bench) -> None:
    begin = bench.stamp_s + 100

    def send(i: int, stamp_s: float) -> None:
        bench.steady(stamp_s)
        bench.camera.send_colour(begin)
        bench.camera.send_depth(begin)

    bench.run(send, "the stamps of /rgb/image stand still at 17000", "use_sim_time")
    assert bench.said.level == ERROR
    assert "their stamps do not pair" not in bench.said.message  # it is said why


def test_too_few_stamps_to_say_why(bench: Bench) -> None:
    bench.stamp_s += 100
    begin = bench.stamp_s

    def send(i: int) -> None:
        if i < 4:
            bench.camera.send_colour(begin + i)
            bench.camera.send_depth(begin + i + 0.5)

    text = "do not pair with a slop of 0.04 s"
    bench.camera.run(send, lambda: bench.said.has(text), text, rate_hz=1.0)


def test_images_that_get_lost(bench: Bench) -> None:
    chance = random.Random(3)

    def send(i: int, sent_s: float) -> None:
        # Further apart than the slop, so that no image pairs with another frame's.
        stamp_s = bench.stamp_s + 0.05 * i
        bench.steady(stamp_s)
        if chance.random() < 0.3:
            bench.camera.send_colour(stamp_s)
        if chance.random() < 0.3:
            bench.camera.send_depth(stamp_s)

    bench.run(
        send,
        "images a second find a partner: nearest stamps are",
        "by the gaps of their stamps, images of /rgb/image and /depth/image get lost",
        "config/fastdds.xml",
        rate_hz=60.0,
    )
    assert bench.said.level == WARN


def test_frames_that_are_refused(bench: Bench) -> None:
    def send(i: int, stamp_s: float) -> None:
        bench.steady(stamp_s)
        bench.camera.send_info("rgb/camera_info", stamp_s, width=640)
        bench.camera.send_colour(stamp_s)
        bench.camera.send_depth(stamp_s)

    bench.run(send, "/rgb/image and /depth/image: camera_info describes 640x48 pixels, but the")
    assert bench.said.level == ERROR


def test_colour_in_place_of_depth(bench: Bench) -> None:
    def send(i: int, stamp_s: float) -> None:
        bench.steady(stamp_s)
        bench.camera.send_colour(stamp_s)
        bench.camera.send_colour(stamp_s, topic="depth/image")

    bench.run(send, "depth encoding 'rgb8' came", "remap depth/image to a depth topic")
    assert bench.said.level == ERROR


def test_depth_that_flickers(bench: Bench) -> None:
    def send(i: int, stamp_s: float) -> None:
        bench.steady(stamp_s)
        bench.camera.send_info("depth/camera_info", stamp_s, frame="depth")
        bench.camera.send_colour(stamp_s)
        bench.camera.send_depth(stamp_s, frame="colour" if i % 3 else "depth")

    bench.until_healthy()
    bench.run(send, "/depth/image flickers: ", "frames a second are not registered", rate_hz=10.0)
    assert bench.said.level == WARN


def test_depth_without_values(bench: Bench) -> None:
    def send(i: int, stamp_s: float) -> None:
        bench.steady(stamp_s)
        bench.camera.send_colour(stamp_s)
        bench.camera.send_depth(stamp_s, depth_mm=0)

    bench.run(send, "100 % of the pixels of /depth/image have no depth", "minimum range")
    assert bench.said.values["invalid depth share (%)"] == "100.0"


def test_pairs_that_are_too_old(bench: Bench) -> None:
    bench.until_healthy()
    assert set_parameters(bench.ros, max_latency=1e-6)[0].successful
    bench.run(lambda i, stamp: bench.healthy(stamp), "dropped, older than max_latency (1e-06 s)")
    assert bench.said.level == WARN
    assert set_parameters(bench.ros, max_latency=0.0)[0].successful


def test_an_imu_of_no_use(bench: Bench) -> None:
    def without_imu(i: int, stamp_s: float) -> None:
        bench.camera.send_colour(stamp_s)
        bench.camera.send_depth(stamp_s)

    bench.until_healthy()
    bench.run(without_imu, "gravity is 'imu', but /imu has a publisher but is silent")

    def send(force: tuple[float, float, float], **more: Any) -> Any:
        def each(i: int, stamp_s: float) -> None:
            without_imu(i, stamp_s)
            bench.imu.send_imu(stamp_s, force, **more)

        return each

    def back_and_forth(i: int, stamp_s: float) -> None:
        without_imu(i, stamp_s)
        bench.imu.send_imu(bench.stamp_s - (0.03 + 0.02 * (i % 2) if i else 0.0))

    for sending, text in (
        (send((0.0, 0.0, 0.0)), "/imu holds no acceleration, as a gyroscope's own topic does"),
        (send(AT_REST, covariance=-1.0), "/imu has no accelerometer"),
        (send((0.0, -1.0, 0.0)), "its driver reports g, where ROS wants m/s^2"),
        (send((0.1, 0.0, 0.0)), "its driver takes gravity out"),
        (send((0.0, -19.6, 0.0)), "19.6 m/s^2 where gravity alone is 9.8: the camera is shaken"),
        (send(AT_REST, frame="imu"), "the rotation from the IMU's frame 'imu' to the colour"),
        (back_and_forth, "/imu has stamps that go back and forth: let one publisher alone"),
    ):
        bench.run(sending, text)
        assert bench.said.level == WARN
    bench.until_healthy()
    bench.imu.close()
    bench.run(without_imu, "gravity is 'imu', but /imu has no publisher", "unite_imu_method:=2")
    bench.imu = HandCamera(bench.ros, "imu")
    bench.until_healthy()


NETWORK = """
import os, time
import fafnet_ros.diagnostics.rules as rules
from fafnet_core.inference import Segmenter
rules._SMALLEST_FREE_MEMORY = 1.0
rules._LONGEST_WORK = 3.0
real = Segmenter.predict
def predict(self, *images, **options):
    with open({mood!r}) as file:
        mood = file.read()
    if mood == "fails":
        raise RuntimeError("CUDA out of memory. Tried to allocate 1 GiB.\\nSee also")
    if mood == "slow":
        time.sleep(0.5)
    while mood == "hangs" and os.path.exists({mood!r}):
        time.sleep(0.1)
    return real(self, *images, **options)
Segmenter.predict = predict
"""
"""Python runs this before the node: memory is never enough, work soon counts as stuck, and the
network has moods."""


def test_a_network_that_fails_is_slow_or_hangs(ros: Ros, tmp_path: Path) -> None:
    mood = tmp_path / "mood"
    mood.write_text("fails")
    said = Diagnostics(ros)
    ros.collect(Image, "fafnet/labels")
    node = ros.start("segment_node", before=NETWORK.format(mood=str(mood)))
    camera = HandCamera(ros, "rgb/camera_info", "rgb/image", "depth/image")
    begin = 0.0

    def run(*parts: str) -> None:
        nonlocal begin
        begin += 100.0

        def send(i: int) -> None:
            camera.send_info("rgb/camera_info", begin + i / 10)
            camera.send_colour(begin + i / 10)
            camera.send_depth(begin + i / 10)

        camera.run(send, lambda: said.has(*parts), f"'{' ... '.join(parts)}'", 10.0)

    line = "a frame failed: RuntimeError: CUDA out of memory. Tried to allocate 1 GiB; the GPU's"
    run(line, "see the log for the traceback", "MiB of memory of cpu are free, this node uses")
    assert said.level == ERROR
    assert "\n" not in said.message
    assert int(said.values["frames: failed"]) > 0
    assert node.output.count("Traceback") == 1
    assert line in node.output
    mood.write_text("slow")
    run("the network is slower than the camera", "give way to newer ones")
    mood.write_text("hangs")
    run("no labels for ", "though 10.0 pairs a second come")
    assert said.level == ERROR
    mood.unlink()
