"""Inputs over real DDS: a camera in a participant of its own, and what our side says of it."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from conftest import Ros
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from fafnet_ros.inputs.subscription import MatchingSubscription


@pytest.fixture
def camera(ros: Ros) -> Node:
    """A driver in a process of its own, as far as DDS knows."""
    node: Node = ros.participant("driver", namespace="/front")
    return node


def qos(reliability: str, durability: str = "volatile") -> QoSProfile:
    return QoSProfile(
        depth=5,
        reliability=ReliabilityPolicy[reliability.upper()],
        durability=DurabilityPolicy[durability.upper()],
    )


def subscribe(ros: Ros, topic: str = "rgb/image") -> tuple[MatchingSubscription, list[Any]]:
    heard: list[Any] = []
    return MatchingSubscription(ros.node, Image, topic, heard.append, "auto", "colour"), heard


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
    assert (state.event, state.name, state.topic) == ("colour", "rgb/image", "/rgb/image")
    assert (state.reliability, state.is_deaf) == (reliability, False)

    def comes() -> bool:
        publisher.publish(Image(height=3))
        return bool(heard)

    ros.wait_for(comes, "an image")
    assert heard[0].height == 3
    (seen,) = subscription.state().publishers
    assert seen.reliability == reliability
    # The node's name is discovered by itself.
    ros.wait_for(lambda: subscription.state().publishers[0].node == "/front/driver", "its name")


@pytest.mark.parametrize("durability", ["volatile", "transient_local"])
def test_what_was_published_once_is_heard_where_it_is_kept(
    ros: Ros, camera: Node, durability: str
) -> None:
    publisher = camera.create_publisher(Image, "/rgb/image", qos("reliable", durability))
    publisher.publish(Image(height=3))
    heard: list[Any] = []
    subscription = MatchingSubscription(
        ros.node, Image, "rgb/image", heard.append, "auto", wants_last=True
    )
    ros.wait_for(lambda: subscription.state().publishers, "discovery")
    subscription.refresh()
    if durability == "transient_local":
        ros.wait_for(lambda: bool(heard), "what the camera has said before")
    # A second driver that keeps nothing is heard as well.
    other = ros.participant("other")
    second = other.create_publisher(Image, "/rgb/image", qos("reliable"))
    ros.wait_for(lambda: len(subscription.state().publishers) == 2, "discovery")
    subscription.refresh()

    def comes() -> bool:
        second.publish(Image(height=4))
        return heard[-1:] == [Image(height=4)]

    ros.wait_for(comes, "an image")


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
    remapping = ["--ros-args", "-r", "rgb/image:=/front/color/image_raw"]
    node = ros.participant("eyes", cli_args=remapping)
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
