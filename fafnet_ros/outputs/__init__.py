"""What the node publishes; each thing is computed only while somebody subscribes to it."""

from fafnet_ros.outputs.frame import Lens, SegmentedFrame
from fafnet_ros.outputs.parameters import OutputSettings
from fafnet_ros.outputs.points import POINT, PointClouds
from fafnet_ros.outputs.publishers import TOPICS, Outputs
from fafnet_ros.outputs.rendering import FrameRendering
from fafnet_ros.qos import IMAGE_QOS, LATCHED_QOS

__all__ = [
    "IMAGE_QOS",
    "LATCHED_QOS",
    "POINT",
    "TOPICS",
    "FrameRendering",
    "Lens",
    "OutputSettings",
    "Outputs",
    "PointClouds",
    "SegmentedFrame",
]
