"""`ros2 launch fafnet_ros two_cameras.launch.py`: a node for each camera, in namespaces.

An example: every argument of segment.launch.py holds for both, the topics of each camera lie below
its namespace. For different cameras, copy this file and include segment.launch.py with their own.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

ONE_CAMERA = Path(__file__).with_name("segment.launch.py")


def nodes(context: LaunchContext) -> list[Action]:
    """Return one segment.launch.py for each namespace."""
    text = LaunchConfiguration("namespaces").perform(context)
    namespaces = [name.strip(" /") for name in text.split(",") if name.strip(" /")]
    if len(set(namespaces)) != len(namespaces) or not namespaces:
        raise ValueError(f"namespaces:={text}: wanted different names, as in left,right")
    if LaunchConfiguration("bag", default="").perform(context):
        raise ValueError(
            "bag:= would be played for each camera: play it by itself with `ros2 bag play --clock`,"
            " and give use_sim_time:=true"
        )
    record = LaunchConfiguration("record", default="").perform(context).removesuffix(".mcap")
    return [
        # A group of its own: what is set for one camera must not reach the next.
        GroupAction(
            [
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(str(ONE_CAMERA)),
                    launch_arguments={
                        "namespace": namespace,
                        "record": f"{record}_{namespace}" if record else "",
                        "rviz": LaunchConfiguration("rviz"),
                    }.items(),
                )
            ]
        )
        for namespace in namespaces
    ]


def generate_launch_description() -> LaunchDescription:
    """Return the description."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "namespaces", default_value="left,right", description="One for each camera."
            ),
            DeclareLaunchArgument(
                "rviz", default_value="false", description="As in segment.launch.py, one each."
            ),
            OpaqueFunction(function=nodes),
        ]
    )
