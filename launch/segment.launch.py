"""`ros2 launch fafnet_ros segment.launch.py`: a camera's images in, labels out, seen in RViz."""

from __future__ import annotations

from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

SHARE = Path(get_package_share_directory("fafnet_ros"))
CAMERAS = yaml.safe_load((SHARE / "config" / "cameras.yaml").read_text(encoding="utf-8"))
# What the node subscribes to, and the argument that overrides the camera's topic for it.
INPUTS = {"rgb/image": "rgb", "rgb/camera_info": "rgb_info", "depth/image": "depth"}
OUTPUTS = ("overlay", "color", "confidence", "labels", "hha")


def arguments() -> list[DeclareLaunchArgument]:
    """Return what `--show-args` lists."""
    described = [
        DeclareLaunchArgument(
            "camera",
            default_value="realsense",
            choices=list(CAMERAS),
            description="Whose topics to read; 'synthetic' starts a camera in a synthetic room.",
        ),
        DeclareLaunchArgument(
            "checkpoint",
            default_value="",
            description="Network: a .safetensors file, 'default', or 'untrained:<preset>'."
            " Empty: as params_file says.",
        ),
        DeclareLaunchArgument(
            "device",
            default_value="",
            description="auto, cpu, cuda or cuda:1. Empty: as params_file says.",
        ),
        DeclareLaunchArgument(
            "rviz",
            default_value="true",
            choices=["true", "false"],
            description="Show overlay, labels and confidence in RViz.",
        ),
        DeclareLaunchArgument(
            "params_file",
            default_value=str(SHARE / "config" / "segment.yaml"),
            description="Parameters of segment_node.",
        ),
        DeclareLaunchArgument(
            "namespace",
            default_value="",
            description="Namespace of the node and of the camera's topics: one for each camera.",
        ),
    ]
    overrides = [
        DeclareLaunchArgument(
            name, default_value="", description=f"Topic for {topic}. Empty: the camera's own."
        )
        for topic, name in INPUTS.items()
    ]
    return described + overrides


def nodes(context: LaunchContext) -> list[Action]:
    """Return the nodes, once the arguments have their values."""
    value = {a.name: LaunchConfiguration(a.name).perform(context) for a in arguments()}
    namespace = value["namespace"].strip("/")
    topics = CAMERAS[value["camera"]]
    remappings = [(topic, value[name] or topics[name]) for topic, name in INPUTS.items()]
    if not Path(value["params_file"]).is_file():
        raise FileNotFoundError(f"params_file:={value['params_file']} is not a file")
    chosen = {
        # Typed, or launch would read a checkpoint named 7 as a number.
        name: ParameterValue(value[name], value_type=str)
        for name in ("checkpoint", "device")
        if value[name]
    }
    actions = [
        Node(
            package="fafnet_ros",
            executable="segment_node",
            name="fafnet",
            namespace=namespace,
            parameters=[value["params_file"], *([chosen] if chosen else [])],
            remappings=remappings,
            output="screen",
        ),
        Node(
            package="rviz2",
            executable="rviz2",
            name="fafnet_rviz",
            namespace=namespace,
            arguments=["-d", str(SHARE / "config" / "segment.rviz")],
            # The layout names the topics of a node without a namespace; these are relative.
            remappings=[(f"/fafnet/{topic}", f"fafnet/{topic}") for topic in OUTPUTS],
            condition=IfCondition(value["rviz"]),
        ),
    ]
    if value["camera"] == "synthetic":
        actions.append(
            Node(
                package="fafnet_ros",
                executable="synthetic_camera",
                name="synthetic_camera",
                namespace=namespace,
                output="screen",
            )
        )
    return actions


def generate_launch_description() -> LaunchDescription:
    """Return the description: arguments, then nodes. Each of our processes sets its own DDS."""
    return LaunchDescription([*arguments(), OpaqueFunction(function=nodes)])
