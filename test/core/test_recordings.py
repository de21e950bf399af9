"""Recordings as drivers and recorders really make them: each kind is read, counted or named."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from collections import Counter
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rosbags", reason="bags are read with rosbags, which is not installed")

from bag_recordings import (
    CAMERA,
    CAMERA_INFO,
    IMAGE,
    MS,
    START,
    STRING,
    TF,
    TYPES,
    Message,
    camera_info,
    image,
    make,
    millimetres,
    room,
    static_transforms,
    transform,
    write_ros1,
    write_ros2,
)
from rosbags.rosbag1 import Reader as Ros1Reader

from fafnet_core.bags import AskedWrongly, BagError
from fafnet_core.bags.job import BagJob, BagReport, label_bag
from fafnet_core.bags.reading import Bag
from fafnet_core.inference import Segmenter

COLOUR, ALIGNED = "/camera/color/", "/camera/aligned_depth_to_color/"
PERIOD = 33 * MS
DEPTHS_CAMERA = replace(CAMERA, fx=0.6 * CAMERA.fx, fy=0.6 * CAMERA.fy)


@cache
def network() -> Segmenter:
    return Segmenter.from_checkpoint(
        "untrained:fafnet-nano", device="cpu", precision="float32", runtime="torch"
    )


def recording(depth_topic: str = ALIGNED, depth_info: Any = None) -> list[Message]:
    """Two frames of a camera whose driver aligns depth, and a topic that is none of ours."""
    messages = [Message("/talk", STRING, START, make(STRING, data="hello"))]
    for i, seen in enumerate(room()[:2]):
        time = START + i * PERIOD
        depth = image(millimetres(seen.depth_m), "16UC1", time, "camera")
        of_depth = depth_info or camera_info(CAMERA, time)
        messages += [
            Message(f"{COLOUR}camera_info", CAMERA_INFO, time, camera_info(CAMERA, time)),
            Message(f"{COLOUR}image_raw", IMAGE, time, image(seen.rgb, "rgb8", time)),
            Message(f"{depth_topic}camera_info", CAMERA_INFO, time, of_depth),
            Message(f"{depth_topic}image_raw", IMAGE, time, depth),
        ]
    return messages


def label(source: Path, **options: Any) -> BagReport:
    given: dict[str, Any] = {"out": source.with_name("out.mcap"), "overwrite": True, **options}
    return label_bag(BagJob(source=source, **given), network)


# Registration


@pytest.mark.parametrize(("depth_topic", "registered"), [(ALIGNED, 0), ("/camera/depth/", 2)])
def test_aligned_depth_with_depths_own_matrix_is_taken_as_its_topic_says(
    depth_topic: str, registered: int, tmp_path: Path
) -> None:
    tf = {("base", "camera"): transform((1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))}
    messages = recording(depth_topic, camera_info(DEPTHS_CAMERA, START))
    messages.append(Message("/tf_static", TF, START, static_transforms(tf)))
    report = label(write_ros2(tmp_path / "in.mcap", messages))
    assert report.tally.registered == registered
    [(doubt, count)] = report.tally.doubts.items()
    assert "matri" in doubt
    assert "--registration never" in doubt
    assert count == 2
    settled = label(tmp_path / "in.mcap", registration="never")
    assert (settled.tally.registered, settled.tally.doubts) == (0, {})


def test_a_transform_that_loses_all_depth_is_an_error(tmp_path: Path) -> None:
    tf = {("camera", "depth"): transform((15.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))}
    messages = recording("/camera/depth/", camera_info(DEPTHS_CAMERA, START, "depth"))
    for each in messages:
        if each.topic == "/camera/depth/image_raw":
            each.message.header.frame_id = "depth"
    messages.append(Message("/tf_static", TF, START, static_transforms(tf)))
    source = write_ros2(tmp_path / "in.mcap", messages)
    with pytest.raises(BagError, match=r"left depth in 0\.0 %.*--depth-to-color in metres"):
        label(source)
    assert label(source, registration="never").tally.labelled == 2


# Clocks


def test_two_clocks_are_paired_by_the_times_of_recording(tmp_path: Path) -> None:
    messages = recording()
    for each in messages:
        if each.topic == f"{ALIGNED}image_raw":
            each.message.header.stamp.sec -= 1000
    source = write_ros2(tmp_path / "in.mcap", messages)
    with pytest.raises(AskedWrongly, match=r"different clocks.*--pair-by record"):
        label(source)
    report = label(source, pair_by="record")
    assert (report.tally.labelled, report.pairs.unmatched_depth) == (2, 0)
    assert report.pairs.offsets_ns == (0, 0)
    with Bag(tmp_path / "out.mcap") as bag:
        labels = bag.first("/fafnet/labels")
    assert labels.header == messages[2].message.header  # colour's own


# Files


def test_a_database_with_a_log_beside_it_is_not_read_in_part(tmp_path: Path) -> None:
    source = write_ros2(tmp_path / "in.db3", recording())
    whole = label(source).tally.kept
    with closing(sqlite3.connect(source)) as recorder:
        recorder.execute("PRAGMA journal_mode = WAL")
        recorder.execute(
            "INSERT INTO messages SELECT id + 100, topic_id, timestamp, data FROM messages"
        )
        recorder.commit()
        killed = tmp_path / "killed"
        shutil.copytree(tmp_path, killed)
    with pytest.raises(BagError, match=r"in\.db3-wal holds \d+ bytes .*wal_checkpoint"):
        label(killed / "in.db3")
    with closing(sqlite3.connect(killed / "in.db3")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert label(killed / "in.db3").tally.kept == 2 * whole


@pytest.mark.parametrize("suffix", [".db3", ".mcap", ""])
def test_every_name_of_a_folder_will_do(suffix: str, tmp_path: Path) -> None:
    odd = tmp_path / "run #3? 50%20 (ä)"
    odd.mkdir()
    source = odd / f"in #1{suffix}"
    write_ros2(tmp_path / f"plain{suffix}", recording()).rename(source)
    out = odd / f"out #1{suffix}"
    report = label_bag(BagJob(source=source, out=out), network)
    assert report.tally.labelled == 2
    with Bag(out) as bag:
        assert bag.counts()["/fafnet/labels"] == 2
    assert {each.name for each in odd.iterdir()} == {source.name, out.name}
    assert {each.name for each in tmp_path.iterdir()} <= {odd.name, f"plain{suffix}-folder"}


@pytest.mark.parametrize(("really", "named"), [(".mcap", ".db3"), (".db3", ".mcap")])
def test_a_file_is_what_its_first_bytes_say(really: str, named: str, tmp_path: Path) -> None:
    source = write_ros2(tmp_path / f"in{really}", recording())
    assert label(source.rename(source.with_suffix(named))).tally.labelled == 2


def test_a_topic_whose_quality_of_service_is_told_differently_is_kept(tmp_path: Path) -> None:
    source = write_ros2(tmp_path / "in", recording())
    metadata = source / "metadata.yaml"
    text = metadata.read_text()
    assert text.count("offered_qos_profiles: []") == 5
    never = "{sec: 0, nsec: 0}"
    profile = (
        "{history: 1, depth: 7, reliability: 1, durability: 2, liveliness: 1,"
        f" deadline: {never}, lifespan: {never}, liveliness_lease_duration: {never},"
        " avoid_ros_namespace_conventions: false}"
    )
    metadata.write_text(text.replace("profiles: []", f"profiles: [{profile}]"))
    report = label(source, out=tmp_path / "out.mcap")
    assert (report.tally.labelled, report.tally.kept) == (2, 9)
    assert report.tally.missing == {}


def test_what_metadata_says_and_the_file_has_not_is_counted(tmp_path: Path) -> None:
    source = write_ros2(tmp_path / "in", recording())
    metadata = source / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("message_count: 1\n", "message_count: 4\n"))
    report = label(source)
    assert report.tally.missing == {"/talk": 3}


# MCAP


def record(kind: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack("<BQ", kind, len(content)) + content


def text(value: str) -> bytes:
    return block(value.encode())


def block(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value


def write_mcap(
    path: Path,
    messages: list[Message],
    *,
    profile: str = "ros2",
    encoding: str = "cdr",
    in_chunks: bool = True,
    indexed: bool = True,
    summary: bool = True,
    foreign: bool = False,
) -> Path:
    """Write an MCAP as recorders other than rosbag2 do, two messages a chunk."""
    magic = b"\x89MCAP0\r\n"
    kinds = sorted({(each.topic, each.kind) for each in messages})
    schemas, channels = b"", b""
    for key, (topic, kind) in enumerate(kinds, 1):
        definition = TYPES.generate_msgdef(kind, ros_version=2)[0]
        number = struct.pack("<H", key)
        schemas += record(3, number, text(kind), text("ros2msg"), text(definition))
        channels += record(4, number, number, text(topic), text(encoding), block(b""))
    stored = [
        (kinds.index((each.topic, each.kind)) + 1, each.time, serialised(each)) for each in messages
    ]
    if foreign:
        schemas += record(
            3, struct.pack("<H", 99), text("a.B"), text("protobuf"), block(b"\xff\x80")
        )
        number = struct.pack("<HH", 99, 99)
        channels += record(4, number, text("/foreign"), text("protobuf"), block(b""))
        stored.append((99, START + 1, b"\x08\x07"))
    records = [record(5, struct.pack("<HIQQ", c, 0, t, t), data) for c, t, data in stored]
    out = magic + record(1, text(profile), text("a test")) + schemas + channels
    indexes = b""
    for first in range(0, len(records) if in_chunks else 0, 2):
        content, of = b"".join(records[first : first + 2]), stored[first : first + 2]
        times = [time for _, time, _ in of]
        span = struct.pack("<QQ", min(times), max(times))
        at = len(out)
        head = span + struct.pack("<QI", len(content), 0) + text("")
        chunk = record(6, head, struct.pack("<Q", len(content)), content)
        out += chunk
        offsets = b""
        for channel in {channel for channel, *_ in of} if indexed else ():
            offsets += struct.pack("<HQ", channel, len(out))
            entries = b"".join(struct.pack("<QQ", t, 0) for c, t, _ in of if c == channel)
            out += record(7, struct.pack("<H", channel), block(entries))
        place = struct.pack("<QQ", at, len(chunk))
        length = struct.pack("<Q", len(out) - at - len(chunk))
        sizes = struct.pack("<QQ", len(content), len(content))
        indexes += record(8, span, place, block(offsets), length, text(""), sizes)
    out += b"" if in_chunks else b"".join(records)
    out += record(15, bytes(4))
    start = len(out) if summary else 0
    if summary:
        counts = Counter(channel for channel, *_ in stored)
        times = [time for _, time, _ in stored]
        chunks = len(range(0, len(records), 2)) if in_chunks else 0
        figures = struct.pack(
            "<QHIIIIQQ", len(stored), len(kinds), len(kinds), 0, 0, chunks, min(times), max(times)
        )
        per = b"".join(struct.pack("<HQ", *each) for each in counts.items())
        out += schemas + channels + indexes + record(11, figures, block(per))
    path.write_bytes(out + record(2, struct.pack("<QQI", start, 0, 0)) + magic)
    return path


def serialised(message: Message) -> bytes:
    return bytes(TYPES.serialize_cdr(message.message, message.kind, little_endian=True))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"profile": ""},
        {"profile": "a robot's own"},
        {"indexed": False},
        {"summary": False},
        {"in_chunks": False},
        {"in_chunks": False, "summary": False, "profile": ""},
        {"foreign": True},
        {"foreign": True, "summary": False},
    ],
    ids=str,
)
def test_every_whole_mcap_is_read(options: dict[str, Any], tmp_path: Path) -> None:
    messages = recording()
    messages[1], messages[-1] = messages[-1], messages[1]  # not in order of time
    report = label(write_mcap(tmp_path / "in.mcap", messages, **options))
    assert (report.tally.labelled, report.tally.kept) == (2, 9)
    assert report.tally.missing == {}
    reasons = {"/foreign": "its messages are in 'protobuf', not in ROS 2's cdr"}
    assert report.tally.reasons == (reasons if options.get("foreign") else {})
    with Bag(tmp_path / "out.mcap") as bag:
        times = [each.time for each in bag.messages()]
    assert times == sorted(times)


@pytest.mark.parametrize("options", [{"profile": "ros1"}, {"profile": "", "encoding": "ros1"}])
def test_ros_1_in_mcap_is_named(options: dict[str, Any], tmp_path: Path) -> None:
    source = write_mcap(tmp_path / "in.mcap", recording(), **options)
    with pytest.raises(BagError, match=r"a ROS 1 recording in MCAP: give the \.bag"):
        label(source)


def test_messages_that_a_summary_promises_are_missed(tmp_path: Path) -> None:
    source = write_mcap(tmp_path / "in.mcap", recording())
    content = source.read_bytes()
    talk = content.index(b"hello") - 8 - 22
    assert content[talk - 9] == 5  # its message: of a kind now that readers skip
    source.write_bytes(content[: talk - 9] + b"\x80" + content[talk - 8 :])
    assert label(source).tally.missing == {"/talk": 1}


# ROS 1


def test_messages_without_definitions_are_those_of_noetic(tmp_path: Path) -> None:
    messages = recording()
    odd = Message("/odd", "odd_msgs/msg/Odd", START, b"\7", definition="uint8 seven\n")
    source = write_ros1(tmp_path / "in.bag", [odd, *messages])
    content = source.read_bytes()
    with Ros1Reader(source) as reader:
        definitions = {each.msgdef.data for each in reader.connections}
    for each in definitions:  # of the same length, so that the index stays right
        empty = b" " * len(each)
        content = content.replace(each.encode(), empty)
    source.write_bytes(content)
    report = label(source)
    assert (report.tally.labelled, report.tally.kept) == (2, 9)
    [(topic, reason)] = report.tally.reasons.items()
    assert topic == "/odd"
    assert "its recorder stored no definition" in reason
    with Bag(tmp_path / "out.mcap") as bag:
        assert bag.first(f"{COLOUR}image_raw").data.tobytes() == messages[2].message.data.tobytes()


# The reports' own inputs, where they are


@pytest.mark.parametrize(
    ("name", "labelled", "said"),
    [
        ("01-aligned-depth-with-depths-camera-info/good.mcap", 2, ""),
        ("01-aligned-depth-with-depths-camera-info/bad_tf.mcap", 2, "--registration never"),
        ("01-aligned-depth-with-depths-camera-info/bad_extrinsics.mcap", 2, "--registration never"),
        ("05-mcap-of-other-profiles/no_profile.mcap", 1, ""),
        ("05-mcap-of-other-profiles/with_protobuf.mcap", 1, "in 'protobuf'"),
        ("05-mcap-of-other-profiles/no_message_index.mcap", 1, ""),
        ("05-mcap-of-other-profiles/unchunked_out_of_order.mcap", 1, ""),
        ("06-jpeg-compressed-rgb8-swaps-red-and-blue/pil.mcap", 2, ""),
        ("09-no-depth-is-not-said/zero.mcap", 2, "2 without depth"),
        ("10-colour-without-depth-not-counted/c30_d15.mcap", 10, "10 have no depth within 0.04 s"),
        ("11-camera-info-without-size/k_filled_size_0.mcap", 2, ""),
        ("13-camera-info-with-P-only/k_zero.mcap", 2, ""),
        ("13-camera-info-with-P-only/k_identity.mcap", 2, ""),
        ("13-camera-info-with-P-only/depth_k_identity.mcap", 2, "--registration never"),
        ("14-hash-in-the-path-of-a-db3/in.mcap", 2, ""),
        ("14-hash-in-the-path-of-a-db3/in.db3", 1, ""),
        ("17-compressedDepth-without-its-format/png_format.mcap", 2, ""),
        ("17-compressedDepth-without-its-format/empty_format.mcap", 2, ""),
        ("19-ros1-bag-with-empty-definitions/empty_definitions.bag", 2, ""),
    ],
)
def test_a_reports_recording(
    name: str, labelled: int, said: str, shared_data: Path, tmp_path: Path
) -> None:
    report = label(copied(shared_data / "reports" / name, tmp_path))
    assert report.tally.labelled == labelled
    assert report.tally.missing == {}
    lines = [*report.tally.doubts, *report.tally.reasons.values()]
    lines += [report.counted()] if report.pairs.unmatched_colour else []
    lines += [f"{report.tally.without_depth} without depth"] if report.tally.without_depth else []
    assert [said in line for line in lines] == ([True] if said else [])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("03-db3-with-wal-loses-messages/rec_0.db3", "wal_checkpoint"),
        ("05-mcap-of-other-profiles/ros1.mcap", "a ROS 1 recording in MCAP"),
    ],
)
def test_a_reports_recording_that_is_refused(
    name: str, said: str, shared_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(BagError, match=said):
        label(copied(shared_data / "reports" / name, tmp_path))


def copied(path: Path, folder: Path) -> Path:
    """Return a copy of a report's recording, with all that lies beside it, in an odd folder."""
    if not path.is_file():
        pytest.skip(f"no recordings of reports in {path.parents[1]}")
    here = folder / "run #3"
    here.mkdir()
    for each in path.parent.iterdir():
        if each.is_file():
            shutil.copyfile(each, here / each.name)
    return here / path.name
