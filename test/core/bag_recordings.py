"""Recordings for the tests of bags: of a synthetic room, written with rosbags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Qos
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Ros2Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from fafnet_core.camera import Camera
from fafnet_core.rooms import Tour, pinhole, render
from fafnet_core.rooms.render import RoomView

TYPES = get_typestore(Stores.ROS2_JAZZY)
ROS1_TYPES = get_typestore(Stores.ROS1_NOETIC)

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
STRING = "std_msgs/msg/String"
TF = "tf2_msgs/msg/TFMessage"

MS = 1_000_000
START = 1_700_000_000_000 * MS
CAMERA = pinhole(96, 72)


@cache
def room() -> list[RoomView]:
    """What a moving camera saw, frame by frame."""
    tour = Tour.of(1)
    return [render(tour.room.scene, CAMERA, tour.pose(i / 30)) for i in range(3)]


def millimetres(depth_m: NDArray[np.float32]) -> NDArray[np.uint16]:
    return np.round(depth_m * 1000).astype(np.uint16)


@dataclass(frozen=True)
class Message:
    """What is to be written: a message, or raw bytes of a type with its definition."""

    topic: str
    kind: str
    time: int
    message: Any
    qos: Sequence[Qos] = ()
    definition: str | None = None


def make(kind: str, **fields: Any) -> Any:
    """Return a message of ROS 2 Jazzy."""
    return TYPES.types[kind](**fields)


def header(stamp_ns: int, frame_id: str = "camera") -> Any:
    sec, nanosec = divmod(stamp_ns, 1_000_000_000)
    stamp = make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
    return make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def image(array: NDArray[Any], encoding: str, stamp_ns: int = 0, frame_id: str = "camera") -> Any:
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return make(
        IMAGE,
        header=header(stamp_ns, frame_id),
        height=array.shape[0],
        width=array.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=flat.size // array.shape[0],
        data=flat,
    )


def compressed(data: bytes, format_: str, stamp_ns: int = 0, frame_id: str = "camera") -> Any:
    content = np.frombuffer(data, np.uint8)
    return make(COMPRESSED, header=header(stamp_ns, frame_id), format=format_, data=content)


def camera_info(camera: Camera, stamp_ns: int = 0, frame_id: str = "camera") -> Any:
    projection = np.hstack([camera.matrix, np.zeros((3, 1))])
    roi = make(
        "sensor_msgs/msg/RegionOfInterest",
        x_offset=0,
        y_offset=0,
        height=0,
        width=0,
        do_rectify=False,
    )
    return make(
        CAMERA_INFO,
        header=header(stamp_ns, frame_id),
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=camera.matrix.reshape(-1),
        r=np.eye(3).reshape(-1),
        p=projection.reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def transform(translation: Sequence[float], quaternion: Sequence[float]) -> Any:
    x, y, z = translation
    qx, qy, qz, qw = quaternion
    return make(
        "geometry_msgs/msg/Transform",
        translation=make("geometry_msgs/msg/Vector3", x=x, y=y, z=z),
        rotation=make("geometry_msgs/msg/Quaternion", x=qx, y=qy, z=qz, w=qw),
    )


def static_transforms(of: Mapping[tuple[str, str], Any]) -> Any:
    """Return a TFMessage of (parent, child): transform."""
    stamped = [
        make(
            "geometry_msgs/msg/TransformStamped",
            header=header(0, parent),
            child_frame_id=child,
            transform=each,
        )
        for (parent, child), each in of.items()
    ]
    return make(TF, transforms=stamped)


def write_ros2(
    path: Path,
    messages: Sequence[Message],
    compression: CompressionMode = CompressionMode.NONE,
) -> Path:
    """Write a folder (no suffix) or a single file (.mcap, .db3); return its path."""
    folder = path if not path.suffix else path.with_name(f"{path.name}-folder") / path.stem
    plugin = StoragePlugin.SQLITE3 if path.suffix == ".db3" else StoragePlugin.MCAP
    writer = Ros2Writer(folder, version=9, storage_plugin=plugin)
    writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections: dict[tuple[str, str], Any] = {}
        for each in messages:
            key = (each.topic, each.kind)
            if key not in connections:
                types = TYPES
                if each.definition is not None:
                    types = get_typestore(Stores.EMPTY)
                    types.register(get_types_from_msg(each.definition, each.kind))
                connections[key] = writer.add_connection(
                    each.topic, each.kind, offered_qos_profiles=each.qos, typestore=types
                )
            data = each.message
            if not isinstance(data, bytes):
                data = TYPES.serialize_cdr(data, each.kind, little_endian=True)
            writer.write(connections[key], each.time, data)
    if path.suffix:
        (folder / f"{path.stem}{path.suffix}").rename(path)
    return path


def write_ros1(
    path: Path,
    messages: Sequence[Message],
    compression: Ros1Writer.CompressionFormat | None = None,
) -> Path:
    """Write a ROS 1 bag of the same messages."""
    writer = Ros1Writer(path)
    if compression is not None:
        writer.set_compression(compression)
    with writer:
        connections: dict[str, Any] = {}
        for each in messages:
            if each.topic not in connections:
                given: dict[str, Any] = {"typestore": ROS1_TYPES}
                if each.definition is not None:
                    given = {"msgdef": each.definition, "md5sum": _md5(each)}
                connections[each.topic] = writer.add_connection(
                    each.topic, each.kind, callerid="/camera", latching=0, **given
                )
            data = each.message
            if not isinstance(data, bytes):
                cdr = TYPES.serialize_cdr(data, each.kind, little_endian=True)
                data = TYPES.cdr_to_ros1(cdr, each.kind)
            writer.write(connections[each.topic], each.time, data)
    return path


def _md5(message: Message) -> str:
    types = get_typestore(Stores.EMPTY)
    try:
        types.register(get_types_from_msg(message.definition or "", message.kind))
        return str(types.generate_msgdef(message.kind)[1])
    except TypesysError:  # a definition that is meant to be none
        return "1" * 32
