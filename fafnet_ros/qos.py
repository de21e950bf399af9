"""The quality of service of what the node publishes, and of what is published once for all."""

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# Reliable, because RViz's displays subscribe reliably and would show nothing otherwise.
IMAGE_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_QOS = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
