"""`ros2 launch fafnet_ros segment.launch.py`: a camera's images in, labels out, seen in RViz.

Mistakes in the arguments are reported before anything starts.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    PopLaunchConfigurations,
    PushLaunchConfigurations,
    ResetLaunchConfigurations,
    SetEnvironmentVariable,
)
from launch.launch_description_sources import AnyLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node, PushRosNamespace
from launch_ros.parameter_descriptions import Parameter, ParameterValue

from fafnet_core.nearest import unknown_name
from fafnet_ros.cameras.presets import CameraPreset, check_parameter_file, read_presets
from fafnet_ros.outputs.consumers import Consumer, read_consumers

SHARE = Path(get_package_share_directory("fafnet_ros"))
CONFIG = SHARE / "config"
NODE = "fafnet"
LAYOUTS = {"true": "segment.rviz", "images": "segment.rviz", "cloud": "cloud.rviz"}

INPUTS = {
    "rgb": "rgb/image",
    "rgb_info": "rgb/camera_info",
    "depth": "depth/image",
    "depth_info": "depth/camera_info",
    "imu": "imu",
    "depth_to_color": "depth_to_color",
}
"""The arguments that override a camera's topic, and what the node calls that topic."""

COMPRESSED = {"rgb": "compressed", "depth": "compressedDepth"}
"""The subtopic that image_transport adds: a remapping does not carry over to it."""

TOPIC = re.compile(r"(~?/)?[a-z_{][\w{}]*(/[a-z_{][\w{}]*)*", re.ASCII | re.IGNORECASE)

RECORDED = ("labels", "overlay", "confidence", "camera_info", "label_names", "label_info")
"""The outputs that `record` writes; a recorder subscribes, so each one here is computed."""

# Fast DDS of Jazzy and older reads the first, of Kilted and newer the second.
PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


ARGUMENTS = {
    "camera": ("realsense", "Whose topics to read: a name in cameras_file, see docs/cameras/."),
    "cameras_file": (str(CONFIG / "cameras.yaml"), "Presets of cameras."),
    "driver": ("false", "Start the camera's own driver as well."),
    "bag": ("", "Play this recording instead, with its clock; needs ros2bag."),
    "namespace": ("", "Namespace of the node and of the camera's topics: one for each camera."),
    "checkpoint": ("", "Network: a .safetensors file, 'default', or 'untrained:<preset>'."),
    "device": ("", "auto, cpu, cuda or cuda:1."),
    "label_map": ("", "Other classes: file of a mapping (full path), or a set such as nyu13."),
    "runtime": ("", "auto, torch, openvino, onnxruntime or tensorrt."),
    "precision": ("", "auto, float32, bfloat16 or float16."),
    "transport": ("", "raw or compressed images."),
    "gravity": ("", "Where down is: estimate, imu, tf or fixed."),
    "use_sim_time": ("", "Take the time from /clock."),
    "for": ("", "Who takes the outputs: nav2, hydra, nvblox, rtabmap or foxglove: docs/robots.md."),
    "params_file": (str(CONFIG / "segment.yaml"), "Parameters of segment_node."),
    "respawn": ("true", "Start the node again when its process ends, 2 s later."),
    "rviz": ("true", "What to show in RViz: images (or true), cloud; false: nothing."),
    "fixed_frame": ("", "Frame that RViz shows the cloud in. Empty: the camera's own."),
    "record": ("", "Write labels, overlay and confidence to this new bag; needs ros2bag."),
}
CHOICES = {
    "driver": ["true", "false"],
    "transport": ["", "raw", "compressed"],
    "gravity": ["", "estimate", "imu", "tf", "fixed"],
    "use_sim_time": ["", "true", "false"],
    "respawn": ["true", "false"],
    "rviz": ["false", *LAYOUTS],
}
_RESPAWN_DELAY_S = 2.0
TEXT_PARAMETERS = (
    *("checkpoint", "device", "label_map", "runtime", "precision", "transport", "gravity"),
)


def arguments() -> list[DeclareLaunchArgument]:
    """Return what `--show-args` lists. Empty stands for: as params_file and the camera say."""
    described = [
        DeclareLaunchArgument(
            name, default_value=default, description=text, choices=CHOICES.get(name)
        )
        for name, (default, text) in ARGUMENTS.items()
    ]
    overrides = [
        DeclareLaunchArgument(
            name, default_value="", description=f"Topic for {topic}. Empty: the camera's own."
        )
        for name, topic in INPUTS.items()
    ]
    return described + overrides


def nodes(context: LaunchContext) -> list[Action]:
    """Return what to start, once the arguments have their values."""
    value = {a.name: LaunchConfiguration(a.name).perform(context) for a in arguments()}
    presets = read_presets(Path(value["cameras_file"]))
    if value["camera"] not in presets:
        raise ValueError(unknown_name("camera", value["camera"], presets))
    preset = presets[value["camera"]]
    consumers = {"": Consumer()} | read_consumers(CONFIG / "consumers.yaml")
    if value["for"] not in consumers:
        raise ValueError(unknown_name("consumer", value["for"], consumers))
    consumer = consumers[value["for"]]
    check_parameter_file(Path(value["params_file"]))
    namespace = value["namespace"].strip("/")
    # A launch file around this one may have pushed a namespace of its own.
    outer = context.launch_configurations.get("ros_namespace", "")
    full_namespace = f"{outer.rstrip('/')}/{namespace}".rstrip("/")
    topics = {name: value[name] or getattr(preset, name) for name in INPUTS}
    for name, topic in topics.items():
        if topic and not TOPIC.fullmatch(topic):
            raise ValueError(f"{name}:={topic} is no name that a topic can have")
    return [
        *_large_images(context),
        *_camera(value, preset, namespace),
        *_driver(value, preset, full_namespace),
        _segment_node(value, preset, consumer, namespace, topics),
        *_rviz(value, preset, consumer, namespace),
        *_recorder(value, consumer, topics, full_namespace),
    ]


def _segment_node(
    value: dict[str, str],
    preset: CameraPreset,
    consumer: Consumer,
    namespace: str,
    topics: dict[str, str],
) -> Node:
    remappings = [(INPUTS[name], topic) for name, topic in topics.items() if topic]
    remappings += [(f"~/{topic}", name) for topic, name in consumer.topics.items()]
    remappings += [
        (f"{INPUTS[name]}/{subtopic}", f"{topics[name]}/{subtopic}")
        for name, subtopic in COMPRESSED.items()
    ]
    # Typed, or launch would read a checkpoint named 7 as a number.
    chosen: dict[str, Any] = {
        name: ParameterValue(value[name], value_type=str) for name in TEXT_PARAMETERS if value[name]
    }
    chosen |= _sim_time(value)
    # A later one wins. Single parameters go for any node, as the file's `/**` does, and a
    # dictionary for this node by name: no key in the file comes before the command line.
    parameters: list[Any] = [Parameter(name, given) for name, given in preset.parameters.items()]
    parameters.append(value["params_file"])
    if chosen := consumer.parameters | chosen:
        parameters.append(chosen)
    return Node(
        package="fafnet_ros",
        executable="segment_node",
        name=NODE,
        namespace=namespace,
        parameters=parameters,
        remappings=remappings,
        # The frame in hand is finished first, which can take a while without a GPU.
        sigterm_timeout="15",
        respawn=value["respawn"] == "true",
        respawn_delay=_RESPAWN_DELAY_S,
        output="screen",
    )


def _camera(value: dict[str, str], preset: CameraPreset, namespace: str) -> Iterable[Action]:
    """Return what publishes the images, where that is not the camera's own driver."""
    if value["bag"]:
        return [_player(value["bag"])]
    if not preset.starts:
        return []
    return [
        Node(
            package="fafnet_ros",
            executable=preset.starts,
            name=preset.starts,
            namespace=namespace,
            output="screen",
        )
    ]


def _driver(value: dict[str, str], preset: CameraPreset, namespace: str) -> Iterable[Action]:
    """Return the driver's own launch file, or a line that says how to start it."""
    camera, line = value["camera"], preset.driver
    if value["driver"] == "false":
        said = LogInfo(msg=f"camera '{camera}': start its driver with: {line} (or driver:=true)")
        return [said] if line and not value["bag"] else []
    if value["bag"]:
        raise ValueError("bag:= and driver:=true both publish the camera's topics; choose one")
    words = shlex.split(line)
    if words[:2] != ["ros2", "launch"] or len(words) < 4:
        raise ValueError(
            f"driver:=true: camera '{camera}' has no line `ros2 launch <package> <file>` in"
            " cameras_file"
        )
    package, name, *given = words[2:]
    share = _share_of(package, f"driver:=true of camera '{camera}'")
    found = [path for path in sorted(share.rglob("*")) if path.name == name]
    if len(found) != 1:
        raise ValueError(f"driver:=true: {len(found)} files named {name} in {share}, wanted one")
    included = IncludeLaunchDescription(
        AnyLaunchDescriptionSource(str(found[0])),
        launch_arguments=[tuple(pair.split(":=", 1)) for pair in given],
    )
    # Our arguments must not become its own: many drivers have a `namespace` and a `device`, too.
    return [
        PushLaunchConfigurations(),
        ResetLaunchConfigurations(),
        *([PushRosNamespace(namespace)] if namespace else []),
        included,
        PopLaunchConfigurations(),
    ]


def _player(bag: str) -> Action:
    if not Path(bag).exists():
        raise ValueError(f"bag:={bag} does not exist")
    _share_of("ros2bag", f"bag:={bag}")
    return ExecuteProcess(cmd=["ros2", "bag", "play", bag, "--clock"], output="screen")


def _recorder(
    value: dict[str, str], consumer: Consumer, topics: dict[str, str], namespace: str
) -> Iterable[Action]:
    if not value["record"]:
        return []
    # `ros2 bag` writes a folder: kitchen.mcap becomes kitchen/kitchen_0.mcap.
    folder = Path(value["record"].removesuffix(".mcap"))
    taken = next((p for p in (folder, Path(value["record"])) if p.exists()), None)
    if taken is not None:
        raise ValueError(f"record:={value['record']}: {taken} exists; choose another name")
    if not folder.absolute().parent.is_dir():
        raise ValueError(f"record:={value['record']}: there is no folder {folder.parent}")
    _share_of("ros2bag", f"record:={folder}")
    wanted = [_output(topic, consumer) for topic in RECORDED]
    wanted += [topics[name] for name in ("rgb_info", "depth_info") if topics[name]]
    names = [topic if topic.startswith("/") else f"{namespace}/{topic}" for topic in wanted]
    command = ["ros2", "bag", "record", "-s", "mcap", "-o", str(folder)]
    return [
        ExecuteProcess(
            cmd=[*command, *dict.fromkeys(names), "/tf", "/tf_static", "/diagnostics"],
            output="screen",
        )
    ]


def _rviz(
    value: dict[str, str], preset: CameraPreset, consumer: Consumer, namespace: str
) -> Iterable[Action]:
    if value["rviz"] == "false":
        return []
    try:
        get_package_share_directory("rviz2")
    except PackageNotFoundError:  # on a robot that is as it should be
        return [
            LogInfo(msg="rviz2 is not installed: nothing is shown (rviz:=false leaves this out)")
        ]
    layout = CONFIG / LAYOUTS[value["rviz"]]
    frame = value["fixed_frame"] or preset.fixed_frame
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            name="fafnet_rviz",
            namespace=namespace,
            parameters=[_sim_time(value)] if _sim_time(value) else [],
            arguments=["-d", str(layout), *(["-f", frame] if frame else [])],
            # The layout names the topics of a node without a namespace; these are relative.
            remappings=[
                (f"/{NODE}/{topic}", _output(topic, consumer)) for topic in _topics_of(layout)
            ],
        )
    ]


def _sim_time(value: dict[str, str]) -> dict[str, Any]:
    """Return the parameter, where it was asked for; a recording is played with its clock."""
    if not (value["use_sim_time"] or value["bag"]):
        return {}
    return {"use_sim_time": value["use_sim_time"] != "false"}


def _topics_of(layout: Path) -> list[str]:
    """Return the topics below the node that a layout of RViz shows."""
    manager = yaml.safe_load(layout.read_text(encoding="utf-8"))["Visualization Manager"]
    topics = [display.get("Topic", {}).get("Value", "") for display in manager["Displays"]]
    below = f"/{NODE}/"
    return [topic.removeprefix(below) for topic in topics if topic.startswith(below)]


def _output(topic: str, consumer: Consumer) -> str:
    """Return what an output is called, relative to the node's namespace."""
    return consumer.topics.get(topic, f"{NODE}/{topic}")


def _large_images(context: LaunchContext) -> Iterable[Action]:
    """Give Fast DDS its profile for large images in all that starts here, drivers too."""
    if any(context.environment.get(name) for name in PROFILES):
        return []
    return [SetEnvironmentVariable(name, str(CONFIG / "fastdds.xml")) for name in PROFILES]


def _share_of(package: str, reason: str) -> Path:
    try:
        return Path(get_package_share_directory(package))
    except PackageNotFoundError:
        binary = f"ros-{os.environ.get('ROS_DISTRO', '<distro>')}-{package.replace('_', '-')}"
        raise ValueError(
            f"{reason}: package '{package}' is not installed (apt: {binary}, if there is one)"
        ) from None


def generate_launch_description() -> LaunchDescription:
    """Return the description: arguments, then what they ask for."""
    return LaunchDescription([*arguments(), OpaqueFunction(function=nodes)])
