"""What the node publishes: each image is computed only when somebody subscribes to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String

from fafnet_core.data import LabelSet
from fafnet_core.inference import Segmentation, blend
from fafnet_ros.images import array_to_image

# Reliable, because RViz's displays subscribe reliably and would show nothing otherwise.
IMAGE_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.RELIABLE
)
LATCHED_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


@dataclass(frozen=True)
class Result:
    """One segmented frame, and the pictures of it, each made at most once."""

    rgb: NDArray[np.uint8]
    segmentation: Segmentation
    label_set: LabelSet
    overlay_opacity: float

    @cached_property
    def colour(self) -> NDArray[np.uint8]:
        """The labels in the label set's colours."""
        return self.label_set.colourise(self.segmentation.labels)

    @cached_property
    def overlay(self) -> NDArray[np.uint8]:
        """The labels' colours over the colour image; unlabelled pixels stay as they are."""
        unlabelled = self.segmentation.labels == self.label_set.ignore_index
        return blend(self.rgb, self.colour, self.overlay_opacity, keep=unlabelled)


# topic: encoding, and what goes out
_IMAGES: dict[str, tuple[str, Callable[[Result], NDArray[Any]]]] = {
    "labels": ("mono8", lambda result: result.segmentation.labels),
    "overlay": ("rgb8", lambda result: result.overlay),
    "color": ("rgb8", lambda result: result.colour),
    "confidence": ("32FC1", lambda result: result.segmentation.confidence),
    "hha": ("rgb8", lambda result: result.segmentation.hha),
}


TOPICS = tuple(_IMAGES)
"""The image topics, below the node's own name."""


class Outputs:
    """The node's publishers of images and of the label set."""

    def __init__(self, node: LifecycleNode, label_set: LabelSet) -> None:
        self._node = node
        self._label_set = label_set
        self._images = {
            topic: node.create_lifecycle_publisher(Image, f"~/{topic}", IMAGE_QOS)
            for topic in _IMAGES
        }
        self._names = node.create_lifecycle_publisher(String, "~/label_names", LATCHED_QOS)
        self._info = _label_info_publisher(node)

    def destroy(self) -> None:
        """Take the topics away."""
        latched = [self._names] if self._info is None else [self._names, self._info]
        for publisher in [*self._images.values(), *latched]:
            self._node.destroy_lifecycle_publisher(publisher)

    @property
    def wanted(self) -> bool:
        """Tell whether anybody subscribes to an image."""
        return any(publisher.get_subscription_count() for publisher in self._images.values())

    def publish_label_set(self) -> None:
        """Publish the class names, for those who come now and later."""
        self._names.publish(String(data=self._label_set.to_json()))
        if self._info is not None:
            self._info.publish(_label_info(self._label_set))

    def publish(self, result: Result, header: Header) -> None:
        """Publish each image that somebody subscribes to, under the colour image's own header."""
        for topic, (encoding, picture) in _IMAGES.items():
            publisher = self._images[topic]
            if publisher.get_subscription_count():
                publisher.publish(array_to_image(picture(result), encoding, header))


def _label_info_publisher(node: LifecycleNode) -> Any:
    try:
        from vision_msgs.msg import LabelInfo
    except ImportError:  # not on PyPI; `~/label_names` says the same
        return None
    return node.create_lifecycle_publisher(LabelInfo, "~/label_info", LATCHED_QOS)


def _label_info(label_set: LabelSet) -> Any:
    from vision_msgs.msg import LabelInfo, VisionClass

    entries = [*enumerate(label_set.names), (label_set.ignore_index, "unlabelled")]
    classes = [VisionClass(class_id=index, class_name=name) for index, name in entries]
    return LabelInfo(class_map=classes, threshold=0.0)
