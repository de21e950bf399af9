"""The parameters of `segment_node` by group; each part of the node gets only its own.

Those that are `live` change while the node is active; a change takes effect with the next frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fafnet_core.hha.stream import HHAStreamConfig
from fafnet_core.input_size import CHECKPOINT, parse_input_size
from fafnet_core.messages.frames import FrameSettings
from fafnet_ros.inputs.parameters import ExtrinsicsParameters, GravityParameters, InputParameters
from fafnet_ros.outputs import OutputSettings
from fafnet_ros.parameters import Parameters, parameter


@dataclass(frozen=True)
class StartParameters(Parameters):
    """How the node begins."""

    autostart: bool = parameter(
        True, "Configure and activate by itself; false leaves that to a lifecycle manager."
    )


@dataclass(frozen=True)
class NetworkParameters(Parameters):
    """Which network, and how it is run."""

    checkpoint: str = parameter(
        "default",
        "A safetensors checkpoint, a file of `fafnet export` (.onnx, .xml), 'default' for the one"
        " that ships, or 'untrained:<preset>'.",
    )
    device: str = parameter("auto", "auto (CUDA where there is one), cpu, cuda or cuda:<number>.")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = parameter(
        "auto", "Arithmetic of the network; auto is the fastest that the device has natively."
    )
    runtime: Literal["auto", "torch", "openvino", "onnxruntime", "tensorrt"] = parameter(
        "auto", "What runs it; auto: on a CPU OpenVINO where it is installed, else PyTorch."
    )
    input_size: str = parameter(
        CHECKPOINT,
        "Size at which the network sees the images, WIDTHxHEIGHT as in 320x240, in each image's own"
        " aspect ratio; 'image': their own size; 'checkpoint' or empty: what the checkpoint says.",
    )
    threads: Annotated[int, "0 <= x <= 1024"] = parameter(
        0,
        "Processor threads of the network; 0: all cores but one, or both of two (not in PyTorch).",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_input_size(self.input_size)


@dataclass(frozen=True)
class FrameParameters(Parameters):
    """How messages become frames."""

    rectified: bool = parameter(
        False, "The images are rectified: take camera matrices from P, not from K."
    )
    camera_matrix: tuple[float, ...] = parameter(
        (),
        "fx, fy, cx, cy of the colour image in pixels, in place of rgb/camera_info; pixel centres"
        " at whole numbers. Empty: from camera_info.",
        counts=(0, 4),
    )
    depth_scale: Annotated[float, "0 <= x <= 100"] = parameter(
        0.0, "Metres per unit of depth; 0: as the encoding says (16 bits: 0.001)."
    )
    registration: Literal["auto", "always", "never"] = parameter(
        "auto",
        "Register depth to colour here: auto, the frames whose camera_info or frame id says that"
        " they are not registered; always, every frame; never, none.",
    )

    @property
    def settings(self) -> FrameSettings:
        """The core's settings."""
        return FrameSettings(
            rectified=self.rectified,
            camera_matrix=self.camera_matrix,
            depth_scale=self.depth_scale or None,
            registration=self.registration,
        )


@dataclass(frozen=True)
class HHAParameters(Parameters):
    """How depth becomes HHA."""

    gravity_smoothing: Annotated[float, "0 <= x <= 60"] = parameter(
        0.5,
        "Time constant in seconds with which gravity and the ground are smoothed; 0: not at all.",
    )
    fill_holes: bool = parameter(
        False,
        "Fill holes of the depth image before HHA: for a network trained on filled depth, which the"
        " default one was not.",
    )

    @property
    def settings(self) -> HHAStreamConfig:
        """The core's settings."""
        return HHAStreamConfig(smoothing_s=self.gravity_smoothing, fill_holes=self.fill_holes)


@dataclass(frozen=True)
class TemporalParameters(Parameters):
    """What the frames before count."""

    temporal: Literal["none", "fixed", "camera"] = parameter(
        "none",
        "Steady labels: what was seen of a place in the last frames counts in this one. none;"
        " fixed, of a camera that stands still; camera, of one that moves, by its own images.",
    )


@dataclass(frozen=True)
class LoadParameters(Parameters):
    """Which frames are taken, and how long one may take."""

    max_rate: Annotated[float, "0 <= x <= 1000"] = parameter(
        0.0, "Most frames a second that are segmented; 0: all.", live=True
    )
    max_latency: Annotated[float, "0 <= x <= 60"] = parameter(
        0.0,
        "Frames that have waited longer, in seconds since they were received, are dropped before"
        " any work; 0: none.",
        live=True,
    )
    watchdog: Annotated[float, "0 <= x <= 3600"] = parameter(
        60.0,
        "Seconds after which a frame that does not end, or a node that no longer answers, ends the"
        " process, for the launch file to start it again; ten times as long for the first frame of"
        " a size; 0: never.",
        live=True,
    )


GROUPS = (
    StartParameters,
    NetworkParameters,
    InputParameters,
    FrameParameters,
    ExtrinsicsParameters,
    GravityParameters,
    HHAParameters,
    TemporalParameters,
    OutputSettings,
    LoadParameters,
)
"""All parameters of the node."""
