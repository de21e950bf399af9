"""The parameters of what comes in; those that are `live` may change while the node is active."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fafnet_ros.parameters import Parameters, parameter


@dataclass(frozen=True)
class InputParameters(Parameters):
    """How images are subscribed to and paired."""

    reliability: Literal["auto", "reliable", "best_effort"] = parameter(
        "auto",
        "Reliability of the image subscriptions; auto is reliable where every publisher offers it.",
    )
    transport: Literal["raw", "compressed"] = parameter(
        "raw",
        "How the images come; compressed reads rgb/image/compressed and"
        " depth/image/compressedDepth.",
    )
    depth_transport: Literal["auto", "raw", "compressedDepth"] = parameter(
        "auto", "How depth comes, where that is not how colour does; auto follows transport."
    )
    slop: Annotated[float, "0 <= x <= 10"] = parameter(
        0.04, "Largest difference in seconds of a pair's stamps.", live=True
    )
    queue_size: Annotated[int, "1 <= x <= 1000"] = parameter(
        10, "Images that each stream may keep waiting for a partner."
    )

    @property
    def reads_compressed_depth(self) -> bool:
        """Whether depth comes as compressedDepth."""
        if self.depth_transport == "auto":
            return self.transport == "compressed"
        return self.depth_transport == "compressedDepth"


@dataclass(frozen=True)
class ExtrinsicsParameters(Parameters):
    """Where the depth camera stands."""

    depth_to_color: tuple[float, ...] = parameter(
        (),
        "Pose of the depth camera in the colour camera's optical frame: x, y, z in metres and the"
        " quaternion x, y, z, w. Empty: from the topic depth_to_color, or TF.",
        counts=(0, 7),
    )


@dataclass(frozen=True)
class GravityParameters(Parameters):
    """Where down is."""

    gravity: Literal["estimate", "imu", "tf", "fixed"] = parameter(
        "estimate",
        "Where the direction of gravity comes from: the depth image, the topic imu, TF, or"
        " fixed_gravity.",
    )
    fixed_gravity: tuple[float, ...] = parameter(
        (0.0, 1.0, 0.0),
        "Down in the colour camera's optical frame (x right, y down, z ahead), any length.",
        counts=(3,),
    )
    gravity_frame: str = parameter(
        "base_link", "The frame whose z axis points up, for gravity:=tf."
    )
    imu_to_color: tuple[float, ...] = parameter(
        (),
        "Rotation from the IMU's frame to the colour camera's optical frame, quaternion x, y, z, w."
        " Empty: both are one frame, or TF.",
        counts=(0, 4),
    )
