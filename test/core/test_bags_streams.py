"""Which topics of a recording are the camera, and where its depth camera stands."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags", reason="bags are read with rosbags, which is not installed")

from bag_recordings import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    START,
    STRING,
    TF,
    Message,
    camera_info,
    compressed,
    image,
    make,
    static_transforms,
    transform,
    write_ros1,
    write_ros2,
)

from fafnet_core.bags import AskedWrongly, BagError
from fafnet_core.bags.reading import Bag
from fafnet_core.bags.streams import AskedTopics, Streams, find_streams
from fafnet_core.bags.transforms import BagExtrinsics
from fafnet_core.registration import Extrinsics
from fafnet_core.rooms import pinhole

CAMERA = pinhole(8, 6)
RGB = np.zeros((6, 8, 3), np.uint8)
GREY = np.zeros((6, 8), np.uint8)
DEPTH = np.full((6, 8), 1000, np.uint16)
HALF_TURN_ABOUT_Z = (0.0, 0.0, 1.0, 0.0)
QUARTER_TURN_ABOUT_Z = (0.0, 0.0, 0.5**0.5, 0.5**0.5)
TRANSFORM = "geometry_msgs/msg/Transform"


def colour(topic: str, frame: str = "color", encoding: str = "rgb8") -> Message:
    return Message(topic, IMAGE, START, image(RGB, encoding, frame_id=frame))


def depth(topic: str, frame: str = "depth", size: tuple[int, int] = (6, 8)) -> Message:
    counts = np.full(size, 1000, np.uint16)
    return Message(topic, IMAGE, START, image(counts, "16UC1", frame_id=frame))


def info(topic: str, frame: str = "color", width: int = 8) -> Message:
    camera = pinhole(width, 6)
    return Message(topic, CAMERA_INFO, START, camera_info(camera, frame_id=frame))


def streams(
    path: Path, messages: list[Message], asked: AskedTopics | None = None, **options: bool
) -> Streams:
    source = path / f"{len(list(path.iterdir()))}.mcap"
    with Bag(write_ros2(source, messages)) as bag:
        return find_streams(bag, asked or AskedTopics(), **options)


REALSENSE = [
    colour("/camera/camera/color/image_raw"),
    info("/camera/camera/color/camera_info"),
    depth("/camera/camera/depth/image_rect_raw"),
    info("/camera/camera/depth/camera_info", "depth"),
    depth("/camera/camera/aligned_depth_to_color/image_raw", "color"),
    info("/camera/camera/aligned_depth_to_color/camera_info"),
    Message("/camera/camera/infra1/image_rect_raw", IMAGE, START, image(GREY, "mono8")),
    Message("/camera/camera/infra2/image_rect_raw", IMAGE, START, image(GREY, "mono8")),
    info("/camera/camera/infra1/camera_info", "infra1"),
]
AZURE = [
    colour("/rgb/image_raw", "rgb_camera_link", "rgb8"),
    info("/rgb/camera_info", "rgb_camera_link"),
    depth("/depth/image_raw", "depth_camera_link", (5, 5)),
    info("/depth/camera_info", "depth_camera_link"),
    depth("/depth_to_rgb/image_raw", "rgb_camera_link"),
    Message("/ir/image_raw", IMAGE, START, image(DEPTH, "mono16", frame_id="depth_camera_link")),
]
KINECT2 = [
    colour("/kinect2/qhd/image_color_rect", "kinect2_rgb"),
    info("/kinect2/qhd/camera_info", "kinect2_rgb"),
    depth("/kinect2/qhd/image_depth_rect", "kinect2_rgb"),
    depth("/kinect2/sd/image_depth", "kinect2_ir", (5, 5)),
    Message("/kinect2/sd/image_ir", IMAGE, START, image(DEPTH, "mono16")),
]
OPENNI = [
    colour("/camera/rgb/image_raw", "rgb"),
    info("/camera/rgb/camera_info", "rgb"),
    depth("/camera/depth/image_raw"),
    info("/camera/depth/camera_info", "depth"),
    Message("/camera/depth_registered/image", IMAGE, START, image(GREY.astype("f4"), "32FC1")),
    depth("/camera/depth_registered/image_raw", "rgb"),
    info("/camera/depth_registered/camera_info", "rgb"),
]
LIBREALSENSE = [
    colour("/device_0/sensor_1/Color_0/image/data", "0"),
    info("/device_0/sensor_1/Color_0/info/camera_info", ""),
    Message("/device_0/sensor_0/Depth_0/image/data", IMAGE, START, image(DEPTH, "mono16")),
    info("/device_0/sensor_0/Depth_0/info/camera_info", ""),
]


@pytest.mark.parametrize(
    ("messages", "rgb", "depth_topic", "depth_info"),
    [
        (REALSENSE, "color/image_raw", "aligned_depth_to_color/image_raw", True),
        (REALSENSE[:4], "color/image_raw", "depth/image_rect_raw", True),
        (AZURE, "/rgb/image_raw", "/depth_to_rgb/image_raw", False),
        (AZURE[:4], "/rgb/image_raw", "/depth/image_raw", True),
        (KINECT2, "qhd/image_color_rect", "qhd/image_depth_rect", True),
        (OPENNI, "/camera/rgb/image_raw", "/camera/depth_registered/image_raw", True),
        (LIBREALSENSE, "Color_0/image/data", "Depth_0/image/data", True),
    ],
)
def test_every_drivers_topics_are_found(
    messages: list[Message], rgb: str, depth_topic: str, depth_info: bool, tmp_path: Path
) -> None:
    found = streams(tmp_path, messages)
    assert found.rgb.name.endswith(rgb)
    assert found.depth.name.endswith(depth_topic)
    assert found.rgb_info == messages[1].topic
    # Azure's aligned stream has none of its own; the colour camera's is not taken for it by name.
    assert (found.depth_info is not None) == (depth_info or "rgb" in depth_topic)


def test_an_encoding_counts_more_than_a_name(tmp_path: Path) -> None:
    messages = [colour("/left/depthy"), info("/left/camera_info"), depth("/left/colour")]
    found = streams(tmp_path, messages)
    assert (found.rgb.name, found.depth.name) == ("/left/depthy", "/left/colour")


def test_transports_are_found_and_what_is_raw_is_preferred(tmp_path: Path) -> None:
    jpeg = cv2.imencode(".jpg", RGB)[1].tobytes()
    small = [
        Message("/c/rgb/image_raw/compressed", COMPRESSED, START, compressed(jpeg, "rgb8; jpeg")),
        info("/c/rgb/camera_info"),
        Message(
            "/c/depth/image_raw/compressedDepth",
            COMPRESSED,
            START,
            compressed(b"", "16UC1; compressedDepth png"),
        ),
    ]
    found = streams(tmp_path, small)
    assert found.rgb.name == "/c/rgb/image_raw/compressed"
    assert found.rgb_info == "/c/rgb/camera_info"
    assert found.depth.name == "/c/depth/image_raw/compressedDepth"
    found = streams(tmp_path, [*small, colour("/c/rgb/image_raw"), depth("/c/depth/image_raw")])
    assert (found.rgb.name, found.depth.name) == ("/c/rgb/image_raw", "/c/depth/image_raw")
    asked = AskedTopics(depth="/c/depth/image_raw")
    assert streams(tmp_path, small, asked).depth.name == small[2].topic


TWO = [
    each
    for side in ("left", "right")
    for each in (
        colour(f"/{side}/color/image_raw", side),
        info(f"/{side}/color/camera_info", side),
        depth(f"/{side}/depth/image_raw", side),
    )
]


def test_of_two_cameras_the_user_names_one(tmp_path: Path) -> None:
    with pytest.raises(AskedWrongly, match="choose one with --rgb TOPIC") as wrong:
        streams(tmp_path, TWO)
    for side in ("left", "right"):
        assert f"/{side}/color/image_raw (rgb8, 8x6, frame '{side}', 1)" in str(wrong.value)
    for option, topic in (("rgb", "/right/color/image_raw"), ("depth", "/right/depth/image_raw")):
        found = streams(tmp_path, TWO, AskedTopics(**{option: topic}))
        assert found.rgb.name == "/right/color/image_raw"
        assert found.depth.name == "/right/depth/image_raw"
        assert found.rgb_info == "/right/color/camera_info"


@pytest.mark.parametrize(
    ("messages", "asked", "message"),
    [
        (REALSENSE[:2], AskedTopics(), "give --depth TOPIC\n  /c"),
        (REALSENSE[2:6], AskedTopics(), "give --rgb TOPIC\n"),
        (REALSENSE, AskedTopics(rgb="/camera/camera/colour/image_raw"), "did you mean '/camera/ca"),
        (REALSENSE, AskedTopics(rgb=REALSENSE[1].topic), "no image topic"),
        (
            REALSENSE,
            AskedTopics(rgb=REALSENSE[0].topic, depth=REALSENSE[0].topic),
            f"--rgb and --depth are both {REALSENSE[0].topic}",
        ),
        (REALSENSE, AskedTopics(rgb_info="/nothing"), "--rgb-info"),
        (
            [REALSENSE[0], REALSENSE[2], info("/elsewhere/camera_info", "robot")],
            AskedTopics(),
            "--rgb-info\n  /elsewhere/camera_info, or a camera file with --camera",
        ),
        ([Message("/talk", STRING, START, make(STRING, data="hello"))], AskedTopics(), "--rgb"),
    ],
)
def test_what_is_missing_is_named_with_the_option(
    messages: list[Message], asked: AskedTopics, message: str, tmp_path: Path
) -> None:
    with pytest.raises(AskedWrongly) as wrong:
        streams(tmp_path, messages, asked)
    assert message in str(wrong.value)


@pytest.mark.parametrize("spoilt", [REALSENSE[0].topic, REALSENSE[1].topic, REALSENSE[2].topic])
def test_a_topic_of_two_types_is_nobodys_image(spoilt: str, tmp_path: Path) -> None:
    other = Message(spoilt, STRING, START, make(STRING, data="hello"))
    for messages in ([other, *REALSENSE[:3]], [*REALSENSE[:3], other]):
        with pytest.raises(AskedWrongly, match=r"give (--rgb|--depth|its topic)"):
            streams(tmp_path, messages)


def test_a_camera_file_stands_for_camera_info(tmp_path: Path) -> None:
    found = streams(tmp_path, [REALSENSE[0], REALSENSE[2]], has_camera_file=True)
    assert found.rgb_info is None


def test_a_camera_info_of_another_habit_is_told_by_frame_and_size(tmp_path: Path) -> None:
    messages = [REALSENSE[0], REALSENSE[2], info("/calibration/a"), info("/b", "color", 16)]
    assert streams(tmp_path, messages).rgb_info == "/calibration/a"


def extrinsics(path: Path, extra: list[Message], *, ros1: bool = False) -> BagExtrinsics:
    write = write_ros1 if ros1 else write_ros2
    messages = [*LIBREALSENSE, *extra]
    with Bag(write(path / ("b.bag" if ros1 else "b.mcap"), messages)) as bag:
        return BagExtrinsics(bag, find_streams(bag, AskedTopics()))


def test_librealsense_states_the_reference_in_each_stream(tmp_path: Path) -> None:
    depth, colour = "/device_0/sensor_0/Depth_0/tf/0", "/device_0/sensor_1/Color_0/tf/0"
    aside = transform((0.5, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    turned = transform((0.0, 1.0, 0.0), QUARTER_TURN_ABOUT_Z)
    stated = [
        Message(depth, TRANSFORM, START, aside),
        Message(colour, TRANSFORM, START, turned),
    ]
    found = extrinsics(tmp_path, stated, ros1=True)("0", "0")
    assert found is not None
    # Depth's (1.5, 0, 2) is the reference's (1, 0, 2): turned (0, 1, 2), and moved (0, 2, 2).
    moved = found.rotation @ (1.5, 0, 2) + found.translation
    np.testing.assert_allclose(moved, (0, 2, 2), atol=1e-12)


HEAD = b"\x00\x01\x00\x00"


def drivers(raw: bytes) -> list[Message]:
    """What the RealSense driver says of its cameras, in its own type."""
    topic, kind = "/device_0/extrinsics/depth_to_color", "realsense2_camera_msgs/msg/Extrinsics"
    definition = "float64[9] rotation\nfloat64[3] translation\n"
    return [Message(topic, kind, START, raw, definition=definition)]


def test_the_drivers_extrinsics_are_column_by_column(tmp_path: Path) -> None:
    rotation = Extrinsics.from_quaternion((0, 0, 0), QUARTER_TURN_ABOUT_Z).rotation
    values = np.array([*rotation.T.ravel(), 0.015, 0.0, 0.001])
    found = extrinsics(tmp_path, drivers(HEAD + values.astype("<f8").tobytes()))("", "")
    assert found is not None
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-12)
    np.testing.assert_array_equal(found.translation, (0.015, 0.0, 0.001))


@pytest.mark.parametrize("raw", [b"", bytes(3), bytes(95)])
def test_extrinsics_that_are_cut_short_are_none(raw: bytes, tmp_path: Path) -> None:
    assert extrinsics(tmp_path, drivers(raw))("", "") is None


def test_extrinsics_that_are_no_rotation_name_their_topic(tmp_path: Path) -> None:
    with pytest.raises(BagError, match=r"extrinsics/depth_to_color.*give --depth-to-color"):
        extrinsics(tmp_path, drivers(bytes(100)))


def test_frames_are_joined_along_tf(tmp_path: Path) -> None:
    nowhere = transform((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0))
    tree = {
        ("base", "arm"): nowhere,
        ("camera", "depth"): transform((1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
        ("camera", "color"): transform((0.0, 2.0, 0.0), HALF_TURN_ABOUT_Z),
    }
    found = extrinsics(tmp_path, [Message("/tf_static", TF, START, static_transforms(tree))])
    joined = found("/depth", "color")
    assert joined is not None
    # Depth's origin stands at (1, 0, 0) of the camera; seen from colour: (1, -2, 0), half turned.
    np.testing.assert_allclose(joined.translation, (-1, 2, 0), atol=1e-12)
    assert found("depth", "elsewhere") is None
    assert found("nowhere", "nowhere") is None
    assert found("base", "arm") is None


def test_a_camera_transform_that_is_none_is_an_error(tmp_path: Path) -> None:
    none = transform((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0))
    with pytest.raises(BagError, match=r"quaternion.*--depth-to-color"):
        extrinsics(tmp_path, [Message("/device_0/sensor_0/Depth_0/tf/0", TRANSFORM, START, none)])
