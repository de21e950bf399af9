"""The parameters of `segment_node`, and what of them goes where.

Those that are `live` change while the node is active; a change takes effect with the next frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from fafnet_core.hha.stream import HHAStreamConfig
from fafnet_core.input_size import CHECKPOINT, parse_input_size
from fafnet_core.messages.frames import FrameSettings, Registration
from fafnet_ros.outputs import OutputSettings
from fafnet_ros.parameters import parameter


@dataclass(frozen=True)
class SegmentParameters:
    """Every parameter with its default, range and description."""

    # The network
    autostart: bool = parameter(
        True, "Configure and activate by itself; false leaves that to a lifecycle manager."
    )
    checkpoint: str = parameter(
        "default",
        "A safetensors checkpoint, 'default' for the one that ships, or 'untrained:<preset>'.",
    )
    device: str = parameter("auto", "auto (CUDA where there is one), cpu, cuda or cuda:<number>.")
    precision: str = parameter(
        "auto",
        "Arithmetic of the network; auto is the fastest that the device has natively.",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    input_size: str = parameter(
        CHECKPOINT,
        "Size at which the network sees the images, WIDTHxHEIGHT as in 320x240, in each image's own"
        " aspect ratio; 'image': their own size; 'checkpoint' or empty: what the checkpoint says.",
        check=parse_input_size,
    )
    threads: int = parameter(
        0,
        "Processor threads of the network; 0 leaves one core to the camera and to receiving.",
        minimum=0,
        maximum=1024,
    )

    # The topics
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

    # The cameras
    rectified: bool = parameter(
        False, "The images are rectified: take camera matrices from P, not from K."
    )
    camera_matrix: tuple[float, ...] = parameter(
        (),
        "fx, fy, cx, cy of the colour image in pixels, in place of rgb/camera_info; pixel centres"
        " at whole numbers. Empty: from camera_info.",
        items=float,
        counts=(0, 4),
    )
    depth_scale: float = parameter(
        0.0,
        "Metres of one count of depth; 0: as the encoding says (16 bits: 0.001).",
        minimum=0.0,
        maximum=100.0,
    )
    registration: str = parameter(
        "auto",
        "Register depth to colour here: auto does it for frames whose camera_info or frame id says"
        " that it has not been done; always does it, never takes depth as it comes.",
        choices=("auto", "always", "never"),
    )
    depth_to_color: tuple[float, ...] = parameter(
        (),
        "Pose of the depth camera in the colour camera's optical frame: x, y, z in metres and the"
        " quaternion x, y, z, w. Empty: from the topic depth_to_color, or TF.",
        items=float,
        counts=(0, 7),
    )

    # HHA
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
    gravity_smoothing: float = parameter(
        0.5,
        "Time constant in seconds with which gravity and the ground are smoothed; 0: not at all.",
        minimum=0.0,
        maximum=60.0,
    )
    fill_holes: bool = parameter(
        False,
        "Fill holes of the depth image before HHA: for a network trained on filled depth, which the"
        " default one was not.",
    )

    # The outputs
    overlay_opacity: float = parameter(
        0.5, "Opacity of the labels in ~/overlay.", minimum=0.0, maximum=1.0, live=True
    )
    confidence_threshold: float = parameter(
        0.0,
        "Pixels whose confidence is lower become unlabelled (255).",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    output_scale: float = parameter(
        1.0,
        "Size of all images over that of the colour image.",
        minimum=0.05,
        maximum=1.0,
        live=True,
    )
    mask_classes: tuple[str, ...] = parameter(
        (), "Classes with a mask of their own on ~/mask/<name>.", items=str, live=True
    )
    points_stride: int = parameter(
        1, "~/points has every n-th row and column.", minimum=1, maximum=64, live=True
    )
    points_classes: tuple[str, ...] = parameter(
        (), "Classes that ~/points has; empty: all.", items=str, live=True
    )
    points_color: str = parameter(
        "image",
        "What the rgb field of ~/points shows: the colour image, or the labels' colours.",
        choices=("image", "label"),
        live=True,
    )
    points_organized: bool = parameter(
        False,
        "~/points keeps the rows of the image, with NaN where there is no point.",
        live=True,
    )

    # The load
    max_rate: float = parameter(
        0.0,
        "Most frames a second that are segmented; 0: all.",
        minimum=0.0,
        maximum=1000.0,
        live=True,
    )
    max_latency: float = parameter(
        0.0,
        "Frames that have waited longer, in seconds since they were received, are dropped before"
        " any work; 0: none.",
        minimum=0.0,
        maximum=60.0,
        live=True,
    )

    @property
    def reads_compressed_depth(self) -> bool:
        """Whether depth comes as compressedDepth."""
        if self.depth_transport == "auto":
            return self.transport == "compressed"
        return self.depth_transport == "compressedDepth"

    @property
    def frames(self) -> FrameSettings:
        """How messages become frames."""
        return FrameSettings(
            rectified=self.rectified,
            camera_matrix=self.camera_matrix,
            depth_scale=self.depth_scale or None,
            registration=cast(Registration, self.registration),
        )

    @property
    def hha(self) -> HHAStreamConfig:
        """How depth becomes HHA."""
        return HHAStreamConfig(smoothing_s=self.gravity_smoothing, fill_holes=self.fill_holes)

    @property
    def outputs(self) -> OutputSettings:
        """What goes out."""
        return OutputSettings(
            overlay_opacity=self.overlay_opacity,
            confidence_threshold=self.confidence_threshold,
            output_scale=self.output_scale,
            mask_classes=self.mask_classes,
            points_stride=self.points_stride,
            points_classes=self.points_classes,
            points_color=cast(Literal["image", "label"], self.points_color),
            points_organized=self.points_organized,
        )
