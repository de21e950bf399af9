"""Labelling recordings: what is read, what is kept, what is added."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rosbags", reason="bags are read with rosbags, which is not installed")

from bag_recordings import (
    CAMERA,
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
    millimetres,
    room,
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
from rosbags.rosbag2.enums import CompressionMode

from fafnet_core.bags import AskedWrongly, BagError, Watch, is_bag
from fafnet_core.bags.job import BagJob, BagReport, label_bag
from fafnet_core.datasets.frames import CameraFile
from fafnet_core.frame import RgbdFrame
from fafnet_core.hha.stream import HHAStream
from fafnet_core.inference import Segmenter
from fafnet_core.labels import NYU40
from fafnet_core.registration import Extrinsics
from fafnet_core.rooms import Tour, pinhole, render

FRAMES = 3
PERIOD = 33 * MS
STAMPED_BEFORE = 1000 * MS
RGB, RGB_INFO, DEPTH = "/camera/color/image_raw", "/camera/color/camera_info", "/camera/depth/image"
ODD = b"\x00\x01\x00\x00\x07"

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


@cache
def network() -> Segmenter:
    return Segmenter.from_checkpoint("untrained:fafnet-nano", device="cpu", precision="float32")


def depth_of(frame: int) -> NDArray[np.float32]:
    """Depth in metres as the recording holds it, in whole millimetres."""
    counts = millimetres(room()[frame].depth_m)
    return np.multiply(counts, np.float32(0.001), dtype=np.float32)


def recording(*, late_ns: int = 5 * MS, stamps: bool = True, period: int = PERIOD) -> list[Message]:
    """A camera whose depth is recorded after colour, among other topics."""
    messages = [
        Message("/talk", STRING, START - 1, make(STRING, data="before"), [SENSOR_QOS]),
        Message("/odd", "odd_msgs/msg/Odd", START, ODD, (), "uint8 seven\n"),
    ]
    for i, seen in enumerate(room()):
        taken = START + i * period
        stamp = taken - STAMPED_BEFORE if stamps else 0
        depth = image(millimetres(seen.depth_m), "16UC1", stamp, "color")
        messages += [
            Message(RGB_INFO, CAMERA_INFO, taken, camera_info(CAMERA, 0, "color")),
            Message(RGB, IMAGE, taken, image(seen.rgb, "rgb8", stamp, "color")),
            Message("/talk", STRING, taken + late_ns // 2, make(STRING, data=f"{i}")),
            Message(DEPTH, IMAGE, taken + late_ns, depth),
        ]
    return messages


def label(
    source: Path,
    out: Path,
    watch: Watch | None = None,
    segmenter: Callable[[], Segmenter] = network,
    **options: Any,
) -> BagReport:
    return label_bag(BagJob(source=source, out=out, **options), segmenter, watch)


def read(path: Path) -> tuple[list[Connection], list[tuple[str, int, bytes]], dict[str, list[Any]]]:
    """The connections, what was recorded (topic, time, bytes), and our messages by topic."""
    with AnyReader([path]) as reader:
        kept: list[tuple[str, int, bytes]] = []
        ours: dict[str, list[Any]] = {}
        for each, time, data in reader.messages():
            if each.topic.startswith("/fafnet/"):
                message = reader.deserialize(data, each.msgtype)
                ours.setdefault(each.topic.removeprefix("/fafnet/"), []).append((time, message))
            else:
                kept.append((each.topic, time, bytes(data)))
        return list(reader.connections), kept, ours


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
        ("in.bag", "out.bag"),
    ],
)
def test_all_is_kept_byte_for_byte_and_labels_stand_beside(
    name: str, new: str, tmp_path: Path
) -> None:
    write = write_ros1 if name.endswith(".bag") else write_ros2
    source = write(tmp_path / name, recording())
    report = label(source, tmp_path / new)
    assert report.tally.labelled == FRAMES
    assert report.tally.kept == 2 + 4 * FRAMES

    meant, before, _ = read(source)
    found, after, ours = read(tmp_path / new)
    assert after == before
    assert [time for time, _ in ours["labels"]] == [START + i * PERIOD for i in range(FRAMES)]
    of = {each.topic: each for each in found}
    for one in meant:
        kept = of[one.topic]
        assert (kept.msgtype, kept.msgdef, kept.ext) == (one.msgtype, one.msgdef, one.ext)
    assert not list(tmp_path.glob(".*partial"))
    assert (tmp_path / new).is_dir() == (new == "out")


def test_labels_are_those_of_the_segmenter_under_colours_header(tmp_path: Path) -> None:
    source = write_ros2(tmp_path / "in.mcap", recording())
    encodings = {
        "labels": "mono8",
        "overlay": "rgb8",
        "color": "rgb8",
        "confidence": "32FC1",
        "hha": "rgb8",
    }
    label(source, tmp_path / "out.mcap", outputs=tuple(encodings))
    connections, _, ours = read(tmp_path / "out.mcap")
    assert set(ours) == {*encodings, "label_names"}
    stream = HHAStream()
    for i, seen in enumerate(room()):
        stamp = START + i * PERIOD - STAMPED_BEFORE
        hha = stream.encode(depth_of(i), CAMERA, stamp_s=stamp / 1e9).hha
        found = network().predict(seen.rgb, hha)
        shown = {}
        for name, encoding in encodings.items():
            time, message = ours[name][i]
            assert time == START + i * PERIOD
            assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == stamp
            assert message.header.frame_id == "color"
            assert (message.height, message.width, message.encoding) == (72, 96, encoding)
            assert len(message.data) == message.step * message.height
            shown[name] = pixels(message)
        np.testing.assert_array_equal(shown["labels"][..., 0], found.labels)
        np.testing.assert_array_equal(shown["hha"], hha)
        np.testing.assert_array_equal(shown["color"], NYU40.colourise(found.labels))
        np.testing.assert_array_equal(shown["confidence"].view("<f4")[..., 0], found.confidence)
        mixed = (seen.rgb.astype(float) + NYU40.colourise(found.labels)) / 2
        assert np.abs(shown["overlay"] - mixed).max() <= 0.5

    [(time, names)] = ours["label_names"]
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


def test_the_network_sees_its_input_size_and_all_images_keep_the_cameras(tmp_path: Path) -> None:
    source = write_ros2(tmp_path / "in.mcap", recording())
    size = (54, 72)  # three quarters: half a pixel aside would show
    sized = Segmenter.from_checkpoint("default", "cpu", "float32", input_size=size)
    outputs = ("labels", "confidence", "hha")
    report = label(source, tmp_path / "out.mcap", segmenter=lambda: sized, outputs=outputs)
    assert report.to_dict()["input_size"] == size
    _, _, ours = read(tmp_path / "out.mcap")
    shown = {name: ours[name][0][1] for name in outputs}
    assert {(each.height, each.width) for each in shown.values()} == {(72, 96)}
    seen = RgbdFrame(rgb=room()[0].rgb, depth_m=depth_of(0), camera=CAMERA).scaled(size)
    hha = HHAStream().encode(seen.depth_m, seen.camera, stamp_s=0.0).hha
    labels = sized.predict(seen.rgb, hha, size=(72, 96)).labels
    assert (pixels(shown["labels"])[..., 0] == labels).mean() > 0.999
    rows = ((np.arange(72) + 0.5) * 54 / 72).astype(int)[:, None]
    columns = ((np.arange(96) + 0.5) * 72 / 96).astype(int)
    np.testing.assert_array_equal(pixels(shown["hha"]), hha[rows, columns])


def test_record_times_stand_in_for_stamps_of_zero(tmp_path: Path) -> None:
    # After more than a minute a camera is taken anew: nothing of the last frame is in the next.
    messages = recording(stamps=False, period=70_000 * MS)
    source = write_ros2(tmp_path / "in.mcap", messages)
    report = label(source, tmp_path / "out.mcap", outputs=("hha",))
    assert set(report.pairs.offsets_ns) == {5 * MS}
    _, _, ours = read(tmp_path / "out.mcap")
    assert len(ours["hha"]) == FRAMES
    together = HHAStream()
    for i, (_, message) in enumerate(ours["hha"]):
        assert message.header.stamp.sec == 0  # colour's own header, as it is
        alone = HHAStream().encode(depth_of(i), CAMERA, stamp_s=0.0).hha.astype(int)
        assert np.abs(pixels(message) - alone).max() <= 1
        smoothed = together.encode(depth_of(i), CAMERA, stamp_s=0.0).hha
    assert np.abs(smoothed - alone).max() > 1  # the last of a stream at the usual rate is another


def test_ros_1_becomes_ros_2(tmp_path: Path) -> None:
    messages = [
        *recording(),
        Message("/bad", "bad_msgs/msg/Bad", START, b"\x01", (), "missing_msgs/Part part\n"),
        Message("/half", STRING, START, b"\x01", (), "missing_msgs/Part part\n"),
        Message("/cut", STRING, START, b"\x09\x00\x00\x00short"),
    ]
    messages[1] = replace(messages[1], message=b"\x07")
    report = label(write_ros1(tmp_path / "in.bag", messages), tmp_path / "out.mcap")
    assert report.tally.labelled == FRAMES
    assert report.tally.left_out == {"/bad": 1, "/half": 1, "/cut": 1}
    assert report.tally.kept == len(messages) - 3
    left_out = report.to_dict()["left_out"]
    assert "bad_msgs/msg/Bad cannot be converted" in left_out["/bad"]["reason"]
    assert "std_msgs/msg/String cannot be converted" in left_out["/half"]["reason"]
    assert "std_msgs/msg/String is damaged: " in left_out["/cut"]["reason"]
    with AnyReader([tmp_path / "out.mcap"]) as reader:
        assert reader.is2
        first: dict[str, Any] = {}
        for connection, _, data in reader.messages():
            first.setdefault(connection.topic, reader.deserialize(data, connection.msgtype))
    np.testing.assert_array_equal(pixels(first[RGB]), room()[0].rgb)
    assert first[RGB].header.frame_id == "color"
    assert first[RGB_INFO].k[0] == CAMERA.fx
    assert first["/odd"].seven == 7
    assert first["/talk"].data == "before"


def test_librealsenses_images_are_longer_than_their_definition(tmp_path: Path) -> None:
    messages = []
    for each in recording():
        if each.kind == IMAGE:
            each.message.header.frame_id = "1"
            cdr = TYPES.serialize_cdr(each.message, IMAGE, little_endian=True)
            raw = bytes(TYPES.cdr_to_ros1(cdr, IMAGE)) + np.float32(0.001).tobytes()
            each = replace(each, message=raw)
        messages.append(replace(each, message=b"\x07") if each.topic == "/odd" else each)
    report = label(write_ros1(tmp_path / "in.bag", messages), tmp_path / "out.mcap")
    assert report.tally.labelled == FRAMES
    assert not report.tally.left_out
    _, kept, _ = read(tmp_path / "out.mcap")
    last = [data for topic, _, data in kept if topic == RGB][-1]
    np.testing.assert_array_equal(pixels(TYPES.deserialize_cdr(last, IMAGE)), room()[-1].rgb)


def test_depth_that_is_recorded_frames_later(tmp_path: Path) -> None:
    source = write_ros2(tmp_path / "in.mcap", recording(late_ns=80 * MS))
    assert label(source, tmp_path / "out.mcap").tally.labelled == FRAMES
    with AnyReader([tmp_path / "out.mcap"]) as reader:
        times = [time for _, time, _ in reader.messages()]
    assert times == sorted(times)
    assert len(times) == 2 + 4 * FRAMES + 3 * FRAMES + 1


def test_compressed_streams_give_the_labels_of_raw_ones(tmp_path: Path) -> None:
    def packed(each: Message) -> Message:
        if each.topic not in (RGB, DEPTH):
            return each
        if each.topic == RGB:
            png = cv2.imencode(".png", pixels(each.message)[..., ::-1])[1].tobytes()
            message = compressed(png, "rgb8; png compressed bgr8")
        else:
            counts = each.message.data.view("<u2").reshape(72, 96)
            png = bytes(12) + cv2.imencode(".png", counts)[1].tobytes()
            message = compressed(png, "16UC1; compressedDepth png")
        message.header = each.message.header
        suffix = "/compressed" if each.topic == RGB else "/compressedDepth"
        return replace(each, topic=each.topic + suffix, kind=COMPRESSED, message=message)

    label(write_ros2(tmp_path / "raw.mcap", recording()), tmp_path / "a.mcap")
    source = write_ros2(tmp_path / "png.mcap", [packed(each) for each in recording()])
    report = label(source, tmp_path / "b.mcap")
    assert report.streams.depth.name == f"{DEPTH}/compressedDepth"
    raw, png = (read(tmp_path / name)[2]["labels"] for name in ("a.mcap", "b.mcap"))
    for (_, one), (_, other) in zip(raw, png, strict=True):
        np.testing.assert_array_equal(pixels(one), pixels(other))


def test_a_frame_that_fails_is_counted_and_the_others_labelled(tmp_path: Path) -> None:
    messages = recording()
    broken = [each for each in messages if each.topic == DEPTH][1]
    broken.message.step = 3
    told: list[str | None] = []

    class Told(Watch):
        def frame(self, failure: str | None) -> None:
            told.append(failure)

    report = label(write_ros2(tmp_path / "in.mcap", messages), tmp_path / "out.mcap", Told())
    [(failure, count)] = report.tally.failed.items()
    assert "step is 3 bytes" in failure
    assert count == 1
    assert told == [None, failure, None]
    assert len(read(tmp_path / "out.mcap")[2]["labels"]) == report.tally.labelled == FRAMES - 1


def unregistered() -> tuple[list[Message], NDArray[np.float32], Extrinsics]:
    """One frame of a depth camera 5 cm beside the colour camera, and the depth colour sees."""
    tour = Tour.of(2)
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


def test_depth_is_registered_here(tmp_path: Path) -> None:
    messages, depth_m, extrinsics = unregistered()
    source = write_ros2(tmp_path / "in.mcap", messages)
    report = label(source, tmp_path / "a.mcap", depth_to_color=extrinsics, outputs=("hha",))
    assert report.tally.registered == 1
    assert not report.tally.doubts
    label(source, tmp_path / "b.mcap", registration="never", outputs=("hha",))
    wanted = HHAStream().encode(depth_m, CAMERA, stamp_s=0).hha.astype(int)
    errors = []
    for name in ("a.mcap", "b.mcap"):
        [(_, message)] = read(tmp_path / name)[2]["hha"]
        known = (pixels(message) > 0).any(axis=-1)
        errors.append(np.abs(pixels(message)[known] - wanted[known])[..., 0].mean())
    assert errors[0] < 0.5 * errors[1]


def test_unregistered_depth_without_a_transform_is_named(tmp_path: Path) -> None:
    messages, _, _ = unregistered()
    source = write_ros2(tmp_path / "in.mcap", messages)
    [doubt] = label(source, tmp_path / "a.mcap").tally.doubts
    assert "the transform from 'depth' to 'color' is not known" in doubt
    with pytest.raises(BagError, match=r"no frame could be labelled.*--depth-to-color"):
        label(source, tmp_path / "b.mcap", registration="always")
    assert not (tmp_path / "b.mcap").exists()


def test_a_camera_file_and_a_scale_take_the_bags_place(tmp_path: Path) -> None:
    camera = CameraFile(CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy, 96, 72)
    messages = [each for each in recording() if each.topic != RGB_INFO]
    for each in messages:
        if each.topic == DEPTH:
            each.message.data = (each.message.data.view("<u2") // 2).view(np.uint8)
    source = write_ros2(tmp_path / "in.mcap", messages)
    label(source, tmp_path / "a.mcap", camera=camera, depth_scale=0.002, outputs=("hha",))
    whole = write_ros2(tmp_path / "whole.mcap", recording())
    label(whole, tmp_path / "b.mcap", outputs=("hha",))
    disparity, wanted = (
        pixels(read(tmp_path / name)[2]["hha"][0][1])[..., 0].astype(int)
        for name in ("a.mcap", "b.mcap")
    )
    assert np.abs(disparity - wanted).max() <= 1
    with pytest.raises(BagError, match="640x480"):
        label(source, tmp_path / "c.mcap", camera=replace(camera, width=640, height=480))


def test_recordings_without_definitions_get_those_of_common_types(tmp_path: Path) -> None:
    source = write_ros2(tmp_path / "in.db3", recording())
    with closing(sqlite3.connect(source)) as database, database:  # as Humble writes it
        database.execute("DROP TABLE message_definitions")
        database.execute("UPDATE schema SET schema_version = 3")
        database.execute("ALTER TABLE topics DROP COLUMN type_description_hash")
    label(source, tmp_path / "out.mcap")
    connections, kept, ours = read(tmp_path / "out.mcap")
    assert len(ours["labels"]) == FRAMES
    of = {each.topic: each.msgdef.data for each in connections}
    assert "string data" in of["/talk"]
    assert of["/odd"] == ""
    assert ("/odd", START, ODD) in kept


def test_an_interrupted_run_leaves_no_half_bag(tmp_path: Path) -> None:
    class Interrupt(Watch):
        def frame(self, failure: str | None) -> None:
            raise KeyboardInterrupt

    source = write_ros2(tmp_path / "in.mcap", recording())
    there = set(tmp_path.iterdir())
    for name in ("a.mcap", "a.db3", "a"):
        with pytest.raises(KeyboardInterrupt):
            label(source, tmp_path / name, Interrupt())
        assert set(tmp_path.iterdir()) == there


def test_what_is_there_is_replaced_only_when_asked(tmp_path: Path) -> None:
    source = write_ros2(tmp_path / "in.mcap", recording())
    for name in ("a.mcap", "a"):
        label(source, tmp_path / name, outputs=("color",))
        with pytest.raises(AskedWrongly, match="--overwrite"):
            label(source, tmp_path / name)
        label(source, tmp_path / name, overwrite=True)
        assert "labels" in read(tmp_path / name)[2]
    (tmp_path / "precious").mkdir()
    with pytest.raises(AskedWrongly, match="a folder that is no bag"):
        label(source, tmp_path / "precious", overwrite=True)
    with pytest.raises(AskedWrongly, match="it is a labelled bag"):
        label(tmp_path / "a.mcap", tmp_path / "b.mcap")
    with pytest.raises(AskedWrongly, match="the recording itself"):
        label(tmp_path / "a", tmp_path / "a" / "b.mcap")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garble(path: Path) -> None:
    path.write_bytes(b"This is no bag. " * 100)


def nameless(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(topics)")]
        chosen = ", ".join("NULL AS name" if name == "name" else name for name in columns)
        database.execute("ALTER TABLE topics RENAME TO named")
        database.execute(f"CREATE TABLE topics AS SELECT {chosen} FROM named")


def not_indexed(path: Path) -> None:
    content = path.read_bytes()
    place = content.index(b"index_pos=") + len(b"index_pos=")
    path.write_bytes(content[:place] + bytes(8) + content[place + 8 :])


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("in.mcap", cut, "mcap recover"),
        ("in.mcap", empty, "empty.*mcap recover"),
        ("in.mcap", garble, "magic"),
        ("in.db3", cut, "recover"),
        ("in.db3", empty, "tables"),
        ("in.db3", garble, "not a database"),
        ("in.db3", nameless, "a topic has no name.*recover"),
        ("in.bag", cut, "rosbag reindex"),
        ("in.bag", empty, "empty"),
        ("in.bag", garble, "magic"),
        ("in.bag", not_indexed, "not indexed.*rosbag reindex"),
    ],
)
def test_a_damaged_recording_is_one_line_and_a_remedy(
    name: str, spoil: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    write = write_ros1 if name.endswith(".bag") else write_ros2
    source = write(tmp_path / name, recording())
    spoil(source)
    with pytest.raises(BagError, match=message) as wrong:
        label(source, tmp_path / "out.mcap")
    assert "\n" not in str(wrong.value)
    assert str(source) in str(wrong.value)
    assert not (tmp_path / "out.mcap").exists()


def test_an_empty_recording_and_a_folder_without_metadata(tmp_path: Path) -> None:
    for name in ("none.mcap", "none.db3"):
        with pytest.raises(BagError, match="without messages"):
            label(write_ros2(tmp_path / name, []), tmp_path / "out.mcap")
    folder = write_ros2(tmp_path / "folder", recording())
    (folder / "metadata.yaml").unlink()
    assert is_bag(folder)
    with pytest.raises(BagError, match="ros2 bag reindex"):
        label(folder, tmp_path / "out.mcap")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("message_count: 1\n", "message_count: many\n"),
        ("message_count: 1\n", "message_count: 1.5\n"),
        ("nanoseconds_since_epoch: ", "nanoseconds_since_epoch: about "),
    ],
)
def test_a_folder_whose_numbers_are_none(number: str, text: str, tmp_path: Path) -> None:
    folder = write_ros2(tmp_path / "folder", recording())
    metadata = (folder / "metadata.yaml").read_text()
    assert number in metadata
    (folder / "metadata.yaml").write_text(metadata.replace(number, text))
    with pytest.raises(BagError, match="ros2 bag reindex"):
        label(folder, tmp_path / "out.mcap")


@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
def test_a_compressed_recording_is_read_by_its_folder(
    mode: CompressionMode, tmp_path: Path
) -> None:
    source = write_ros2(tmp_path / "in", recording(), mode)
    assert label(source, tmp_path / "out.mcap").tally.labelled == FRAMES
    assert ("/odd", START, ODD) in read(tmp_path / "out.mcap")[1]
    [part] = [each for each in source.iterdir() if each.suffix != ".yaml"]
    assert is_bag(part)
    with pytest.raises(BagError, match=r"compressed.*folder"):
        label(part, tmp_path / "new.mcap")


def test_folders_of_images_are_no_bags(tmp_path: Path) -> None:
    (tmp_path / "color").mkdir()
    (tmp_path / "metadata.yaml").touch()
    assert not is_bag(tmp_path)
    assert not is_bag(tmp_path / "color")


def test_a_real_d435(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "realsense-d435-bag" / "single_depth_color_640x480.bag"
    with pytest.raises(AskedWrongly, match=r"0\.102 s from.*--slop 0\.11 would pair them"):
        label(source, tmp_path / "out.mcap")
    report = label(source, tmp_path / "out.mcap", slop_s=0.4)
    assert report.pairs.offsets_ns == (101_566_000,)  # the first of two depth images
    assert report.tally.labelled == report.tally.registered == 1
    assert not report.tally.left_out
    assert not report.tally.doubts
    _, kept, ours = read(tmp_path / "out.mcap")
    assert len(kept) == report.tally.kept == 135
    [(time, labels)] = ours["labels"]
    assert time == 54_424_400
    assert (labels.header.stamp.sec, labels.header.stamp.nanosec) == (360, 713_523_000)
    assert (labels.height, labels.width, labels.encoding) == (480, 640, "mono8")
