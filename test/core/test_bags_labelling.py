"""Labelling recordings: what is read, what is kept, what is added."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rosbags", reason="bags are read with rosbags, which is not installed")

from bag_recordings import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    MS,
    START,
    STRING,
    TYPES,
    Message,
    camera_info,
    compressed,
    image,
    make,
    write_ros1,
    write_ros2,
)
from rosbags.highlevel import AnyReader
from rosbags.interfaces import (
    Connection,
    MessageDefinitionFormat,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag1 import Reader as Ros1Reader
from rosbags.rosbag2 import Reader as Ros2Reader
from rosbags.rosbag2.enums import CompressionMode

from fafnet_core.bags import AskedWrongly, BagError, Watch, is_bag
from fafnet_core.bags.job import BagJob, BagReport, label_bag
from fafnet_core.camera import Camera
from fafnet_core.datasets.frames import CameraFile
from fafnet_core.frame import RgbdFrame
from fafnet_core.hha.stream import HHAStream
from fafnet_core.inference import Segmenter
from fafnet_core.labels import NYU40
from fafnet_core.registration import Extrinsics
from fafnet_core.rooms import Tour, pinhole, render

CAMERA = pinhole(96, 72)
VIEW = Camera.from_matrix(CAMERA.matrix, (72, 96))
FRAMES = 3
PERIOD = 33 * MS
RGB, RGB_INFO, DEPTH = "/camera/color/image_raw", "/camera/color/camera_info", "/camera/depth/image"

_TIME = QosTime(1, 2)
SENSOR_QOS = Qos(
    QosHistory.KEEP_LAST,
    7,
    QosReliability.BEST_EFFORT,
    QosDurability.VOLATILE,
    _TIME,
    _TIME,
    QosLiveliness.AUTOMATIC,
    _TIME,
    avoid_ros_namespace_conventions=False,
)


@dataclass(frozen=True)
class Room:
    """What a camera saw, frame by frame."""

    rgb: list[NDArray[np.uint8]]
    depth_m: list[NDArray[np.float32]]


@pytest.fixture(scope="module")
def room() -> Room:
    tour = Tour.of(1)
    seen = [render(tour.room.scene, CAMERA, tour.pose(i / 30)) for i in range(FRAMES)]
    return Room([each.rgb for each in seen], [each.depth_m for each in seen])


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.from_checkpoint("untrained:fafnet-nano", device="cpu", precision="float32")


def millimetres(depth_m: NDArray[np.float32]) -> NDArray[np.uint16]:
    return np.round(depth_m * 1000).astype(np.uint16)


def recording(
    room: Room, *, late_ns: int = 5 * MS, stamps: bool = True, period: int = PERIOD
) -> list[Message]:
    """A camera whose depth is recorded after colour, among other topics."""
    messages = [
        Message("/talk", STRING, START - 1, make(STRING, data="before"), [SENSOR_QOS]),
        Message("/odd", "odd_msgs/msg/Odd", START, b"\x00\x01\x00\x00\x07", (), "uint8 seven\n"),
    ]
    for i in range(FRAMES):
        taken = START + i * period
        stamp = taken - 1000 * MS if stamps else 0
        info = camera_info(CAMERA, 0, "color")
        rgb = image(room.rgb[i], "rgb8", stamp, "color")
        depth = image(millimetres(room.depth_m[i]), "16UC1", stamp, "color")
        messages += [
            Message(RGB_INFO, CAMERA_INFO, taken, info),
            Message(RGB, IMAGE, taken, rgb),
            Message("/talk", STRING, taken + late_ns // 2, make(STRING, data=f"{i}")),
            Message(DEPTH, IMAGE, taken + late_ns, depth),
        ]
    return messages


def label(
    source: Path, out: Path, segmenter: Segmenter, watch: Watch | None = None, **options: Any
) -> BagReport:
    return label_bag(BagJob(source=source, out=out, **options), lambda: segmenter, watch)


def read(path: Path) -> tuple[list[Connection], list[tuple[str, int, bytes]], dict[str, list[Any]]]:
    """Return the connections, all messages raw, and those of /fafnet decoded, by topic."""
    with AnyReader([path]) as reader:
        raw = [(each.topic, time, bytes(data)) for each, time, data in reader.messages()]
        ours: dict[str, list[Any]] = {}
        wanted = [each for each in reader.connections if each.topic.startswith("/fafnet/")]
        for each, time, data in reader.messages(connections=wanted):
            message = reader.deserialize(data, each.msgtype)
            ours.setdefault(each.topic, []).append((time, message))
        return list(reader.connections), raw, ours


def pixels(message: Any) -> NDArray[np.uint8]:
    array: NDArray[np.uint8] = message.data.reshape(message.height, message.width, -1)
    return array


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("in.mcap", "out.mcap"),
        ("in.db3", "out.mcap"),
        ("in", "out.mcap"),
        ("in.mcap", "out.db3"),
        ("in.mcap", "out"),
    ],
)
def test_all_is_kept_and_labels_stand_beside(
    name: str, new: str, room: Room, segmenter: Segmenter, tmp_path: Path
) -> None:
    source = write_ros2(tmp_path / name, recording(room))
    report = label(source, tmp_path / new, segmenter)
    assert report.tally.labelled == FRAMES
    assert report.tally.kept == 2 + 4 * FRAMES

    with Ros2Reader(source) as reader:
        before = [(each.topic, time, bytes(data)) for each, time, data in reader.messages()]
        meant = {each.topic: each for each in reader.connections}
    with Ros2Reader(tmp_path / new) as reader:
        after = [(each.topic, time, bytes(data)) for each, time, data in reader.messages()]
        found = {each.topic: each for each in reader.connections}
    assert [each for each in after if not each[0].startswith("/fafnet/")] == before
    assert [time for _, time, _ in after] == sorted(time for _, time, _ in after)
    for topic, connection in meant.items():
        kept = found[topic]
        assert (kept.msgtype, kept.msgdef, kept.ext) == (
            connection.msgtype,
            connection.msgdef,
            connection.ext,
        )
    assert found["/talk"].ext.offered_qos_profiles == [SENSOR_QOS]
    assert not list(tmp_path.glob(".*partial"))
    assert (tmp_path / new).is_dir() == (new == "out")


def test_labels_are_those_of_the_segmenter_under_colours_header(
    room: Room, segmenter: Segmenter, tmp_path: Path
) -> None:
    source = write_ros2(tmp_path / "in.mcap", recording(room))
    outputs = ("labels", "overlay", "color", "confidence", "hha")
    label(source, tmp_path / "out.mcap", segmenter, outputs=outputs)
    connections, _, ours = read(tmp_path / "out.mcap")
    assert sorted(ours) == sorted(f"/fafnet/{name}" for name in (*outputs, "label_names"))
    stream = HHAStream()
    for i in range(FRAMES):
        counts = millimetres(room.depth_m[i])
        depth_m = np.multiply(counts, np.float32(0.001), dtype=np.float32)
        stamp = START + i * PERIOD - 1000 * MS
        hha = stream.encode(depth_m, VIEW, stamp_s=stamp / 1e9).hha
        labels, confidence = segmenter.predict(room.rgb[i], hha)
        for name in outputs:
            time, message = ours[f"/fafnet/{name}"][i]
            assert time == START + i * PERIOD
            assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == stamp
            assert message.header.frame_id == "color"
            assert (message.height, message.width) == (72, 96)
            assert len(message.data) == message.step * message.height
        shown = {name: ours[f"/fafnet/{name}"][i][1] for name in outputs}
        assert {name: each.encoding for name, each in shown.items()} == {
            "labels": "mono8",
            "overlay": "rgb8",
            "color": "rgb8",
            "confidence": "32FC1",
            "hha": "rgb8",
        }
        np.testing.assert_array_equal(pixels(shown["labels"])[..., 0], labels)
        np.testing.assert_array_equal(pixels(shown["hha"]), hha)
        np.testing.assert_array_equal(pixels(shown["color"]), NYU40.colourise(labels))
        stored = shown["confidence"].data.view("<f4").reshape(72, 96)
        np.testing.assert_array_equal(stored, confidence)
        mixed = (room.rgb[i].astype(float) + NYU40.colourise(labels)) / 2
        assert np.abs(pixels(shown["overlay"]) - mixed).max() <= 0.5

    [(time, names)] = ours["/fafnet/label_names"]
    assert time == START - 1
    assert json.loads(names.data)["names"] == list(NYU40.names)
    of = {each.topic: each for each in connections}
    [latched] = of["/fafnet/label_names"].ext.offered_qos_profiles
    assert (latched.durability, latched.depth) == (QosDurability.TRANSIENT_LOCAL, 1)
    [sent] = of["/fafnet/labels"].ext.offered_qos_profiles
    assert (sent.reliability, sent.depth) == (QosReliability.RELIABLE, 5)
    # What Foxglove and RViz read messages with stands in the file.
    assert of["/fafnet/labels"].msgdef.format is MessageDefinitionFormat.MSG
    assert "std_msgs/Header header" in of["/fafnet/labels"].msgdef.data
    assert "MSG: builtin_interfaces/Time" in of["/fafnet/labels"].msgdef.data


def test_the_network_sees_its_input_size_and_all_images_keep_the_cameras(
    room: Room, tmp_path: Path
) -> None:
    source = write_ros2(tmp_path / "in.mcap", recording(room))
    size = (54, 72)  # three quarters: half a pixel aside would show
    sized = Segmenter.from_checkpoint("default", "cpu", "float32", input_size=size)
    report = label(source, tmp_path / "out.mcap", sized, outputs=("labels", "confidence", "hha"))
    assert report.to_dict()["input_size"] == size
    _, _, ours = read(tmp_path / "out.mcap")
    stream = HHAStream()
    for i in range(FRAMES):
        counts = millimetres(room.depth_m[i])
        depth_m = np.multiply(counts, np.float32(0.001), dtype=np.float32)
        seen = RgbdFrame(rgb=room.rgb[i], depth_m=depth_m, camera=VIEW).scaled(size)
        stamp = START + i * PERIOD - 1000 * MS
        hha = stream.encode(seen.depth_m, seen.camera, stamp_s=stamp / 1e9).hha
        labels, _ = sized.predict(seen.rgb, hha, size=(72, 96))
        shown = {name: ours[f"/fafnet/{name}"][i][1] for name in ("labels", "confidence", "hha")}
        assert {(each.height, each.width) for each in shown.values()} == {(72, 96)}
        assert (pixels(shown["labels"])[..., 0] == labels).mean() > 0.999
        rows = ((np.arange(72) + 0.5) * 54 / 72).astype(int)[:, None]
        columns = ((np.arange(96) + 0.5) * 72 / 96).astype(int)
        np.testing.assert_array_equal(pixels(shown["hha"]), hha[rows, columns])


def test_record_times_stand_in_for_stamps_of_zero(
    room: Room, segmenter: Segmenter, tmp_path: Path
) -> None:
    # After more than a minute a camera is taken anew: nothing of the last frame is in the next.
    messages = recording(room, stamps=False, period=70_000 * MS)
    source = write_ros2(tmp_path / "in.mcap", messages)
    label(source, tmp_path / "out.mcap", segmenter, outputs=("hha",))
    _, _, ours = read(tmp_path / "out.mcap")
    assert len(ours["/fafnet/hha"]) == FRAMES
    together = HHAStream()
    for i, (_, message) in enumerate(ours["/fafnet/hha"]):
        depth_m = np.multiply(millimetres(room.depth_m[i]), np.float32(0.001), dtype=np.float32)
        alone = HHAStream().encode(depth_m, VIEW, stamp_s=0.0).hha.astype(int)
        assert np.abs(pixels(message) - alone).max() <= 1
        smoothed = together.encode(depth_m, VIEW, stamp_s=0.0).hha
    assert np.abs(smoothed - alone).max() > 1  # the last of a stream at the usual rate is another


def test_ros_1_becomes_ros_2(room: Room, segmenter: Segmenter, tmp_path: Path) -> None:
    messages = [
        *recording(room),
        Message("/bad", "bad_msgs/msg/Bad", START, b"\x01", (), "missing_msgs/Part part\n"),
        Message("/cut", STRING, START, b"\x09\x00\x00\x00short"),
    ]
    messages[1] = replace(messages[1], message=b"\x07")
    report = label(write_ros1(tmp_path / "in.bag", messages), tmp_path / "out.mcap", segmenter)
    assert report.tally.labelled == FRAMES
    assert report.tally.left_out == {"/bad": 1, "/cut": 1}
    assert report.tally.kept == len(messages) - 2
    left_out = report.to_dict()["left_out"]
    assert "bad_msgs/msg/Bad cannot be converted" in left_out["/bad"]["reason"]
    assert "damaged messages: " in left_out["/cut"]["reason"]
    with AnyReader([tmp_path / "out.mcap"]) as reader:
        assert reader.is2
        for connection, time, data in reader.messages():
            message: Any = reader.deserialize(data, connection.msgtype)
            if connection.topic == RGB and time == START:
                np.testing.assert_array_equal(pixels(message), room.rgb[0])
                assert message.header.frame_id == "color"
            if connection.topic == RGB_INFO:
                assert message.k[0] == CAMERA.fx
            if connection.topic == "/odd":
                assert message.seven == 7
        assert {each.topic for each in reader.connections} >= {"/odd", "/talk", "/fafnet/labels"}


def test_ros_1_stays_ros_1_byte_for_byte(room: Room, segmenter: Segmenter, tmp_path: Path) -> None:
    source = write_ros1(tmp_path / "in.bag", recording(room))
    label(source, tmp_path / "out.bag", segmenter)

    def content(path: Path) -> tuple[list[Any], list[Any]]:
        with Ros1Reader(path) as reader:
            found = [(each.topic, time, bytes(data)) for each, time, data in reader.messages()]
            kinds = [(*each[1:5], each.ext) for each in reader.connections]
            return (
                [each for each in found if not each[0].startswith("/fafnet/")],
                [each for each in kinds if not each[0].startswith("/fafnet/")],
            )

    assert content(tmp_path / "out.bag") == content(source)
    _, _, ours = read(tmp_path / "out.bag")
    assert [time for time, _ in ours["/fafnet/labels"]] == [START + i * PERIOD for i in range(3)]
    assert ours["/fafnet/labels"][1][1].header.frame_id == "color"


def test_librealsenses_images_are_longer_than_their_definition(
    room: Room, segmenter: Segmenter, tmp_path: Path
) -> None:
    messages = []
    for each in recording(room):
        if each.kind == IMAGE:
            each.message.header.frame_id = "1"
            cdr = TYPES.serialize_cdr(each.message, IMAGE, little_endian=True)
            raw = bytes(TYPES.cdr_to_ros1(cdr, IMAGE)) + np.float32(0.001).tobytes()
            each = replace(each, message=raw)
        messages.append(replace(each, message=b"\x07") if each.topic == "/odd" else each)
    report = label(write_ros1(tmp_path / "in.bag", messages), tmp_path / "out.mcap", segmenter)
    assert report.tally.labelled == FRAMES
    assert not report.tally.left_out
    with AnyReader([tmp_path / "out.mcap"]) as reader:
        [rgb] = [each for each in reader.connections if each.topic == RGB]
        kept = [reader.deserialize(each[2], IMAGE) for each in reader.messages(connections=[rgb])]
    np.testing.assert_array_equal(pixels(kept[-1]), room.rgb[-1])


def test_without_stamps_record_times_pair(room: Room, segmenter: Segmenter, tmp_path: Path) -> None:
    source = write_ros2(tmp_path / "in.mcap", recording(room, stamps=False))
    report = label(source, tmp_path / "out.mcap", segmenter)
    assert report.tally.labelled == FRAMES
    assert set(report.pairs.offsets_ns) == {5 * MS}
    _, _, ours = read(tmp_path / "out.mcap")
    assert ours["/fafnet/labels"][0][1].header.stamp.sec == 0  # colour's own header, as it is


def test_depth_that_is_recorded_frames_later(
    room: Room, segmenter: Segmenter, tmp_path: Path
) -> None:
    source = write_ros2(tmp_path / "in.mcap", recording(room, late_ns=80 * MS))
    report = label(source, tmp_path / "out.mcap", segmenter)
    assert report.tally.labelled == FRAMES
    _, raw, _ = read(tmp_path / "out.mcap")
    assert [time for _, time, _ in raw] == sorted(time for _, time, _ in raw)
    assert len(raw) == 2 + 4 * FRAMES + 3 * FRAMES + 1


def test_compressed_streams_give_the_labels_of_raw_ones(
    room: Room, segmenter: Segmenter, tmp_path: Path
) -> None:
    messages: list[Message] = []
    for each in recording(room):
        if each.topic == RGB:
            png = cv2.imencode(".png", pixels(each.message)[..., ::-1])[1].tobytes()
            message = compressed(png, "rgb8; png compressed bgr8")
        elif each.topic == DEPTH:
            counts = each.message.data.view("<u2").reshape(72, 96)
            png = bytes(12) + cv2.imencode(".png", counts)[1].tobytes()
            message = compressed(png, "16UC1; compressedDepth png")
        else:
            messages.append(each)
            continue
        suffix = "/compressed" if each.topic == RGB else "/compressedDepth"
        message.header = each.message.header
        messages.append(replace(each, topic=each.topic + suffix, kind=COMPRESSED, message=message))
    label(write_ros2(tmp_path / "raw.mcap", recording(room)), tmp_path / "a.mcap", segmenter)
    report = label(write_ros2(tmp_path / "png.mcap", messages), tmp_path / "b.mcap", segmenter)
    assert report.streams.depth.name == f"{DEPTH}/compressedDepth"
    plain, packed = (read(tmp_path / name)[2]["/fafnet/labels"] for name in ("a.mcap", "b.mcap"))
    for i in range(FRAMES):
        np.testing.assert_array_equal(pixels(plain[i][1]), pixels(packed[i][1]))


def test_a_frame_that_fails_is_counted_and_the_others_labelled(
    room: Room, segmenter: Segmenter, tmp_path: Path
) -> None:
    messages = recording(room)
    broken = [i for i, each in enumerate(messages) if each.topic == DEPTH][1]
    messages[broken].message.step = 3
    told: list[str | None] = []

    class Told(Watch):
        def frame(self, failure: str | None) -> None:
            told.append(failure)

    source = write_ros2(tmp_path / "in.mcap", messages)
    report = label(source, tmp_path / "out.mcap", segmenter, Told())
    assert report.tally.labelled == FRAMES - 1
    assert sum(report.tally.failed.values()) == 1
    assert "step is 3 bytes" in next(iter(report.tally.failed))
    assert told[0] is None
    assert told[1] is not None
    assert len(read(tmp_path / "out.mcap")[2]["/fafnet/labels"]) == FRAMES - 1


def unregistered(room_seed: int) -> tuple[list[Message], NDArray[np.float32], Extrinsics]:
    """One frame of a depth camera 5 cm beside the colour camera, and the depth colour sees."""
    tour = Tour.of(room_seed)
    pose = tour.pose(0.0)
    colour = render(tour.room.scene, CAMERA, pose)
    camera = pinhole(96, 72, 70.0)
    depth = render(tour.room.scene, camera, pose.moved(right=-0.05))
    # A point of the depth camera lies 5 cm further left for the colour camera.
    extrinsics = Extrinsics(np.eye(3), np.array([-0.05, 0.0, 0.0]))
    messages = [
        Message(RGB_INFO, CAMERA_INFO, START, camera_info(CAMERA, 0, "color")),
        Message(RGB, IMAGE, START, image(colour.rgb, "rgb8", START, "color")),
        Message("/camera/depth/camera_info", CAMERA_INFO, START, camera_info(camera, 0, "depth")),
        Message(DEPTH, IMAGE, START, image(millimetres(depth.depth_m), "16UC1", START, "depth")),
    ]
    return messages, colour.depth_m, extrinsics


def test_depth_is_registered_here(segmenter: Segmenter, tmp_path: Path) -> None:
    messages, depth_m, extrinsics = unregistered(2)
    source = write_ros2(tmp_path / "in.mcap", messages)
    report = label(
        source, tmp_path / "a.mcap", segmenter, depth_to_color=extrinsics, outputs=("hha",)
    )
    assert report.tally.registered == 1
    assert not report.tally.doubts
    label(source, tmp_path / "b.mcap", segmenter, registration="never", outputs=("hha",))
    wanted = HHAStream().encode(depth_m, VIEW, stamp_s=0).hha.astype(int)
    errors = []
    for name in ("a.mcap", "b.mcap"):
        [(_, message)] = read(tmp_path / name)[2]["/fafnet/hha"]
        known = (pixels(message) > 0).any(axis=-1)
        errors.append(np.abs(pixels(message)[known] - wanted[known])[..., 0].mean())
    assert errors[0] < 0.5 * errors[1]


def test_unregistered_depth_without_a_transform_is_named(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    messages, _, _ = unregistered(2)
    source = write_ros2(tmp_path / "in.mcap", messages)
    report = label(source, tmp_path / "a.mcap", segmenter)
    [doubt] = report.tally.doubts
    assert "the transform from 'depth' to 'color' is not known" in doubt
    with pytest.raises(BagError, match="no frame could be labelled, 1 of them because: depth can"):
        label(source, tmp_path / "b.mcap", segmenter, registration="always")
    assert not (tmp_path / "b.mcap").exists()


def test_a_camera_file_and_a_scale_take_the_bags_place(
    room: Room, segmenter: Segmenter, tmp_path: Path
) -> None:
    matrix = CAMERA.matrix
    camera = CameraFile(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2], 96, 72)
    messages = [each for each in recording(room) if each.topic != RGB_INFO]
    for each in messages:
        if each.topic == DEPTH:
            each.message.data = (each.message.data.view("<u2") // 2).view(np.uint8)
    source = write_ros2(tmp_path / "in.mcap", messages)
    report = label(
        source, tmp_path / "a.mcap", segmenter, camera=camera, depth_scale=0.002, outputs=("hha",)
    )
    assert report.tally.labelled == FRAMES
    whole = write_ros2(tmp_path / "whole.mcap", recording(room))
    label(whole, tmp_path / "b.mcap", segmenter, outputs=("hha",))
    disparity, wanted = (
        pixels(read(tmp_path / name)[2]["/fafnet/hha"][0][1])[..., 0].astype(int)
        for name in ("a.mcap", "b.mcap")
    )
    assert np.abs(disparity - wanted).max() <= 1
    with pytest.raises(BagError, match="but its camera file says 640x480"):
        label(source, tmp_path / "c.mcap", segmenter, camera=replace(camera, width=640, height=480))


def test_recordings_without_definitions_get_those_of_common_types(
    room: Room, segmenter: Segmenter, tmp_path: Path
) -> None:
    source = write_ros2(tmp_path / "in.db3", recording(room))
    with sqlite3.connect(source) as database:  # as Humble writes it
        database.execute("DROP TABLE message_definitions")
        database.execute("UPDATE schema SET schema_version = 3")
        database.execute("ALTER TABLE topics DROP COLUMN type_description_hash")
    database.close()
    label(source, tmp_path / "out.mcap", segmenter)
    connections, raw, ours = read(tmp_path / "out.mcap")
    assert len(ours["/fafnet/labels"]) == FRAMES
    of = {each.topic: each.msgdef.data for each in connections}
    assert "string data" in of["/talk"]
    assert of["/odd"] == ""
    assert ("/odd", START, b"\x00\x01\x00\x00\x07") in raw


def test_an_interrupted_run_leaves_no_half_bag(
    room: Room, segmenter: Segmenter, tmp_path: Path
) -> None:
    class Interrupt(Watch):
        def frame(self, failure: str | None) -> None:
            raise KeyboardInterrupt

    source = write_ros2(tmp_path / "in.mcap", recording(room))
    there = set(tmp_path.iterdir())
    for name in ("a.mcap", "a.db3", "a"):
        with pytest.raises(KeyboardInterrupt):
            label(source, tmp_path / name, segmenter, Interrupt())
        assert set(tmp_path.iterdir()) == there


def test_what_is_there_is_replaced_only_when_asked(
    room: Room, segmenter: Segmenter, tmp_path: Path
) -> None:
    source = write_ros2(tmp_path / "in.mcap", recording(room))
    for name in ("a.mcap", "a"):
        label(source, tmp_path / name, segmenter, outputs=("color",))
        with pytest.raises(AskedWrongly, match="is there already; take another --out, or --overwr"):
            label(source, tmp_path / name, segmenter)
        label(source, tmp_path / name, segmenter, overwrite=True)
        assert "/fafnet/labels" in read(tmp_path / name)[2]
    (tmp_path / "precious").mkdir()
    with pytest.raises(AskedWrongly, match="a folder that is no bag"):
        label(source, tmp_path / "precious", segmenter, overwrite=True)
    with pytest.raises(AskedWrongly, match="it is a labelled bag"):
        label(tmp_path / "a.mcap", tmp_path / "b.mcap", segmenter)
    with pytest.raises(AskedWrongly, match="the recording itself"):
        label(source, source, segmenter, overwrite=True)
    with pytest.raises(AskedWrongly, match="the recording itself"):
        label(tmp_path / "a", tmp_path / "a" / "b.mcap", segmenter)
    with pytest.raises(AskedWrongly, match=r"ends in \.mcap, \.db3 or \.bag"):
        label(source, tmp_path / "a.mcpa", segmenter)
    with pytest.raises(AskedWrongly, match="are not converted back"):
        label(source, tmp_path / "a.bag", segmenter)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garble(path: Path) -> None:
    path.write_bytes(b"This is no bag. " * 100)


def nameless(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(topics)")]
        chosen = ", ".join("NULL AS name" if name == "name" else name for name in columns)
        database.execute("ALTER TABLE topics RENAME TO named")
        database.execute(f"CREATE TABLE topics AS SELECT {chosen} FROM named")
        database.commit()


def not_indexed(path: Path) -> None:
    content = path.read_bytes()
    place = content.index(b"index_pos=") + len(b"index_pos=")
    path.write_bytes(content[:place] + bytes(8) + content[place + 8 :])


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("in.mcap", cut, "end magic is invalid.*mcap recover"),
        ("in.mcap", empty, "seems to be empty.*mcap recover"),
        ("in.mcap", garble, "magic is invalid"),
        ("in.db3", cut, "recover"),
        ("in.db3", empty, "missing tables"),
        ("in.db3", garble, "not a database"),
        ("in.db3", nameless, "a topic has no name.*recover"),
        ("in.bag", cut, "rosbag reindex"),
        ("in.bag", empty, "seems to be empty"),
        ("in.bag", garble, "magic is invalid"),
        ("in.bag", not_indexed, "not indexed.*rosbag reindex"),
    ],
)
def test_a_damaged_recording_is_one_line_and_a_remedy(
    name: str,
    spoil: Callable[[Path], None],
    message: str,
    room: Room,
    segmenter: Segmenter,
    tmp_path: Path,
) -> None:
    write = write_ros1 if name.endswith(".bag") else write_ros2
    source = write(tmp_path / name, recording(room))
    spoil(source)
    with pytest.raises(BagError, match=message) as wrong:
        label(source, tmp_path / "out.mcap", segmenter)
    assert "\n" not in str(wrong.value)
    assert str(source) in str(wrong.value)
    assert not (tmp_path / "out.mcap").exists()


def test_an_empty_recording_and_a_folder_without_metadata(
    room: Room, segmenter: Segmenter, tmp_path: Path
) -> None:
    for name in ("none.mcap", "none.db3"):
        with pytest.raises(BagError, match="a bag without messages"):
            label(write_ros2(tmp_path / name, []), tmp_path / "out.mcap", segmenter)
    folder = write_ros2(tmp_path / "folder", recording(room))
    (folder / "metadata.yaml").unlink()
    assert is_bag(folder)
    with pytest.raises(BagError, match="ros2 bag reindex"):
        label(folder, tmp_path / "out.mcap", segmenter)


@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
def test_a_compressed_recording_is_read_by_its_folder(
    mode: CompressionMode, room: Room, segmenter: Segmenter, tmp_path: Path
) -> None:
    source = write_ros2(tmp_path / "in", recording(room), mode)
    assert label(source, tmp_path / "out.mcap", segmenter).tally.labelled == FRAMES
    _, raw, _ = read(tmp_path / "out.mcap")
    assert ("/odd", START, b"\x00\x01\x00\x00\x07") in raw
    [part] = [each for each in source.iterdir() if each.suffix != ".yaml"]
    assert is_bag(part)
    with pytest.raises(BagError, match=r"compressed.*give (its|the bag's) folder"):
        label(part, tmp_path / "new.mcap", segmenter)


def test_folders_of_images_are_no_bags(tmp_path: Path) -> None:
    (tmp_path / "color").mkdir()
    (tmp_path / "metadata.yaml").touch()
    assert not is_bag(tmp_path)
    assert not is_bag(tmp_path / "color")
    assert is_bag(tmp_path / "a.db3")
    assert not is_bag(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slop_s": -0.1}, "--slop is -0.1"),
        ({"depth_scale": 0.0}, "--depth-scale is 0.0"),
        ({"outputs": ("label",)}, "unknown output 'label': did you mean 'labels'"),
        ({"outputs": ("hha", "hha")}, "each once"),
    ],
)
def test_a_job_that_is_none(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AskedWrongly, match=message):
        BagJob(source=Path("a.mcap"), out=Path("b.mcap"), **options)


def test_a_real_d435(segmenter: Segmenter, shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "realsense-d435-bag" / "single_depth_color_640x480.bag"
    with pytest.raises(AskedWrongly, match=r"0\.102 s from.*--slop 0\.11 would pair them"):
        label(source, tmp_path / "out.mcap", segmenter)
    report = label(source, tmp_path / "out.mcap", segmenter, slop_s=0.4)
    assert report.pairs.offsets_ns == (101_566_000,)  # the first of two depth images
    assert report.tally.labelled == report.tally.registered == 1
    assert report.tally.kept == 135
    assert not report.tally.left_out
    assert not report.tally.doubts
    _, raw, ours = read(tmp_path / "out.mcap")
    assert len(raw) == 135 + 4
    [(time, labels)] = ours["/fafnet/labels"]
    assert time == 54_424_400
    assert (labels.header.stamp.sec, labels.header.stamp.nanosec) == (360, 713_523_000)
    assert (labels.height, labels.width, labels.encoding) == (480, 640, "mono8")
