"""The parameters of what comes in; those that are `live` may change while the node is active."""

from __future__ import annotations

from dataclasses import dataclass

from fafnet_ros.parameters import parameter


@dataclass(frozen=True)
class InputParameters:
    """How images are subscribed to and paired."""

    reliability: str = parameter(
        "auto",
        "Reliability of the image subscriptions; auto is reliable where every publisher offers it.",
        choices=("auto", "reliable", "best_effort"),
    )
    transport: str = parameter(
        "raw",
        "How the images come; compressed reads rgb/image/compressed and"
        " depth/image/compressedDepth.",
        choices=("raw", "compressed"),
    )
    depth_transport: str = parameter(
        "auto",
        "How depth comes, where that is not how colour does; auto follows transport.",
        choices=("auto", "raw", "compressedDepth"),
    )
    slop: float = parameter(
        0.04,
        "Largest difference in seconds of a pair's stamps.",
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    queue_size: int = parameter(
        10, "Images that each stream may keep waiting for a partner.", minimum=1, maximum=1000
    )

    @property
    def reads_compressed_depth(self) -> bool:
        """Whether depth comes as compressedDepth."""
        if self.depth_transport == "auto":
            return self.transport == "compressed"
        return self.depth_transport == "compressedDepth"


@dataclass(frozen=True)
class ExtrinsicsParameters:
    """Where the depth camera stands."""

    depth_to_color: tuple[float, ...] = parameter(
        (),
        "Pose of the depth camera in the colour camera's optical frame: x, y, z in metres and the"
        " quaternion x, y, z, w. Empty: from the topic depth_to_color, or TF.",
        items=float,
        counts=(0, 7),
    )


@dataclass(frozen=True)
class GravityParameters:
    """Where down is."""

    gravity: str = parameter(
        "estimate",
        "Where the direction of gravity comes from: the depth itself, the topic imu, TF, or"
        " fixed_gravity.",
        choices=("estimate", "imu", "tf", "fixed"),
    )
    fixed_gravity: tuple[float, ...] = parameter(
        (0.0, 1.0, 0.0),
        "Down in the colour camera's optical frame (x right, y down, z ahead), any length.",
        items=float,
        counts=(3,),
    )
    gravity_frame: str = parameter(
        "base_link", "The frame whose z axis points up, for gravity:=tf."
    )
    imu_to_color: tuple[float, ...] = parameter(
        (),
        "Rotation from the IMU's frame to the colour camera's optical frame, quaternion x, y, z, w."
        " Empty: one frame, or TF.",
        items=float,
        counts=(0, 4),
    )
