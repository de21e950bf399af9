"""What the node publishes; each thing is computed only while somebody subscribes to it."""

from fafnet_ros.outputs.frame import Lens, OutputSettings, SegmentedFrame
from fafnet_ros.outputs.points import POINT, PointClouds
from fafnet_ros.outputs.publishers import TOPICS, Outputs
from fafnet_ros.outputs.qos import IMAGE_QOS, LATCHED_QOS
from fafnet_ros.outputs.rendering import FrameRendering

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
