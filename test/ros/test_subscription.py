"""Inputs over real DDS: a camera in a participant of its own, and what our side says of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Imu  # noqa: E402

from fafnet_ros.inputs.subscription import MatchingSubscription, type_name  # noqa: E402

IMAGE = "sensor_msgs/msg/Image"


@pytest.fixture
def camera(ros: Ros) -> Iterator[Node]:
    """A node in a participant of its own: one participant cannot give a topic two types."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros.domain)
    node = Node("driver", namespace="/front", context=context)
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def qos(reliability: str, durability: str = "volatile") -> QoSProfile:
    return QoSProfile(
        depth=5,
        reliability=ReliabilityPolicy[reliability.upper()],
        durability=DurabilityPolicy[durability.upper()],
    )


def subscribe(
    ros: Ros, kind: type = Image, topic: str = "rgb/image", reliability: str = "auto"
) -> tuple[MatchingSubscription, list[Any]]:
    heard: list[Any] = []
    event = "colour"
    return MatchingSubscription(ros.node, kind, topic, heard.append, reliability, event), heard


def test_type_names_are_those_of_ros_tools() -> None:
    names = [type_name(kind) for kind in (Image, CompressedImage, CameraInfo, Imu)]
    assert names == [
        f"sensor_msgs/msg/{n}" for n in ("Image", "CompressedImage", "CameraInfo", "Imu")
    ]


def test_a_best_effort_publisher_and_a_reliable_subscription(ros: Ros, camera: Node) -> None:
    subscription, heard = subscribe(ros, reliability="reliable")
    publisher = camera.create_publisher(Image, "/rgb/image", qos("best_effort"))
    ros.wait_for(lambda: subscription.state().publishers, "discovery")
    publisher.publish(Image())
    ros.spin(0.3)
    assert heard == []
    state = subscription.state()
    (seen,) = state.publishers
    assert (seen.node, seen.reliability, seen.type_name) == ("/front/driver", "best_effort", IMAGE)
    assert (state.event, state.name, state.topic) == ("colour", "rgb/image", "/rgb/image")
    assert (state.reliability, state.is_deaf) == ("reliable", True)


@pytest.mark.parametrize("durability", ["volatile", "transient_local"])
@pytest.mark.parametrize("reliability", ["reliable", "best_effort"])
def test_auto_hears_whatever_is_offered(
    ros: Ros, camera: Node, reliability: str, durability: str
) -> None:
    subscription, heard = subscribe(ros)
    publisher = camera.create_publisher(Image, "/rgb/image", qos(reliability, durability))
    ros.wait_for(lambda: subscription.state().publishers, "discovery")
    subscription.refresh()
    state = subscription.state()
    assert (state.reliability, state.is_deaf) == (reliability, False)

    def comes() -> bool:
        publisher.publish(Image(height=3))
        return bool(heard)

    ros.wait_for(comes, "an image")
    assert heard[0].height == 3


def test_a_publisher_that_auto_is_about_to_follow_is_no_fault(ros: Ros, camera: Node) -> None:
    subscription, _ = subscribe(ros)
    assert subscription.state().published_s == 0
    publisher = camera.create_publisher(Image, "/rgb/image", qos("best_effort"))
    ros.wait_for(lambda: subscription.state().publishers, "discovery")
    assert (subscription.state().reliability, subscription.state().is_deaf) == ("reliable", False)
    ros.spin(0.4)
    before = subscription.state().published_s
    assert before >= 0.4
    subscription.refresh()  # heard from now on
    assert subscription.state().published_s < before
    camera.destroy_publisher(publisher)
    ros.wait_for(lambda: not subscription.state().publishers, "its end")
    assert subscription.state().published_s == 0


def test_a_publisher_of_another_type(ros: Ros, camera: Node) -> None:
    subscription, _ = subscribe(ros)
    camera.create_publisher(CompressedImage, "/rgb/image", qos("best_effort"))
    ros.wait_for(lambda: subscription.state().publishers, "discovery")
    subscription.refresh()
    state = subscription.state()
    # What cannot be heard anyway does not change how we listen, nor is it a matter of QoS.
    assert (state.reliability, state.is_deaf) == ("reliable", False)
    assert state.publishers[0].type_name == "sensor_msgs/msg/CompressedImage"


def test_topics_of_the_same_type_that_somebody_else_publishes(ros: Ros, camera: Node) -> None:
    subscription, _ = subscribe(ros)
    subscribe(ros, topic="rgb/wanted_only")
    ros.node.create_publisher(Image, "~/labels", 5)  # our own output is no camera
    camera.create_subscription(Image, "/viewed", lambda image: None, 5)
    camera.create_publisher(CompressedImage, "/front/color/image_raw/compressed", 5)
    camera.create_publisher(Image, "/front/depth/image_raw", 5)
    camera.create_publisher(Image, "/front/color/image_raw", 5)
    wanted = ("/front/color/image_raw", "/front/depth/image_raw")
    ros.wait_for(lambda: subscription.state().same_type_topics == wanted, "discovery")
    ros.wait_for(
        lambda: "/viewed" in dict(ros.node.get_topic_names_and_types()), "discovery of a viewer"
    )
    assert subscription.state().same_type_topics == wanted
    assert subscription.state(is_silent=False).same_type_topics == ()


def test_remapped_and_destroyed(ros: Ros, camera: Node) -> None:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros.domain)
    node = Node(
        "eyes", context=context, cli_args=["--ros-args", "-r", "rgb/image:=/front/color/image_raw"]
    )
    try:
        heard: list[Any] = []
        subscription = MatchingSubscription(node, Image, "rgb/image", heard.append, "auto")
        camera.create_publisher(Image, "/front/color/image_raw", qos("best_effort"))
        ros.wait_for(lambda: subscription.state().publishers, "discovery")
        state = subscription.state()
        assert (state.event, state.name) == ("rgb/image", "rgb/image")
        assert state.topic == "/front/color/image_raw"
        subscription.refresh()
        assert subscription.state().reliability == "best_effort"
        subscription.destroy()
        assert list(node.subscriptions) == []
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)
