"""`fafnet segment` of a recording, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="bags are read with rosbags, which is not installed")

from bag_recordings import (
    CAMERA,
    CAMERA_INFO,
    IMAGE,
    MS,
    START,
    STRING,
    Message,
    camera_info,
    image,
    make,
    millimetres,
    room,
    write_ros2,
)
from rosbags.highlevel import AnyReader

from fafnet_core.cli.main import build_parser, main
from fafnet_core.labels import NYU13


def frames(offset_ms: int = 0, frame_id: str = "color") -> list[Message]:
    messages = [Message("/talk", STRING, START, make(STRING, data="hello"))]
    for i, seen in enumerate(room()[:2]):
        time = START + i * 500 * MS
        later = time + offset_ms * MS
        depth = image(millimetres(seen.depth_m), "16UC1", later, frame_id)
        messages += [
            Message("/rgb/camera_info", CAMERA_INFO, time, camera_info(CAMERA, time, "color")),
            Message("/rgb/image", IMAGE, time, image(seen.rgb, "rgb8", time, "color")),
            Message("/depth/image", IMAGE, later, depth),
        ]
    return messages


def topics(path: Path) -> set[str]:
    with AnyReader([path]) as reader:
        return {each.topic for each in reader.connections}


def test_a_recording_is_labelled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = write_ros2(tmp_path / "in.mcap", frames()), tmp_path / "new" / "out.mcap"
    options = ["--json", "--checkpoint", "untrained:fafnet-nano"]
    assert main(["segment", str(source), "--out", str(out), *options]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report["frames"] == report["pairs"] == 2
    assert report["failed"] == report["doubts"] == report["left_out"] == {}
    assert report["kept_messages"] == 7
    assert report["median_ms"] > 0
    assert report["topics"]["depth"] == "/depth/image"
    assert report["out"] == str(out)
    assert "random weights" in printed.err
    assert "/rgb/image with /depth/image" in printed.err
    ours = {"/fafnet/labels", "/fafnet/overlay", "/fafnet/color", "/fafnet/label_names"}
    assert topics(out) == {"/talk", "/rgb/camera_info", "/rgb/image", "/depth/image", *ours}


def test_frames_may_count_in_those_after_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_ros2(tmp_path / "in.mcap", frames())
    for temporal, stages in (
        ("none", {"decode", "hha", "network"}),
        ("camera", {"decode", "hha", "network", "odometry"}),
    ):
        options = ["--json", "--checkpoint", "untrained:fafnet-nano", "--temporal", temporal]
        assert main(["segment", str(source), "--out", str(tmp_path / temporal), *options]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["frames"] == 2
        assert set(report["median_ms_by_stage"]) - {"register"} == stages


def test_labels_may_be_of_other_classes(tmp_path: Path) -> None:
    source, out = write_ros2(tmp_path / "in.mcap", frames()), tmp_path / "out.mcap"
    options = ["--label-map", "nyu13", "--outputs", "labels"]
    network = ["--checkpoint", "untrained:fafnet-nano", "--runtime", "torch"]
    assert main(["segment", str(source), "--out", str(out), *options, *network]) == 0
    with AnyReader([out]) as reader:
        written = {c.topic: reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages()}
    assert json.loads(written["/fafnet/label_names"].data)["names"] == list(NYU13.names)
    assert set(np.unique(written["/fafnet/labels"].data).tolist()) <= {*range(13), 255}


def test_outputs_and_camera_are_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    messages = [each for each in frames() if each.kind != CAMERA_INFO]
    source = write_ros2(tmp_path / "in.mcap", messages)
    asked = ["segment", str(source), "--out", str(tmp_path / "out.db3")]
    with pytest.raises(SystemExit) as wrong:
        main(asked)
    assert wrong.value.code == 2
    assert "--rgb-info" in capsys.readouterr().err
    camera = tmp_path / "camera.yaml"
    camera.write_text("fx: 80\nfy: 80\ncx: 47.5\ncy: 35.5\n")
    assert main([*asked, "--camera", str(camera), "--outputs", "labels, hha"]) == 0
    assert "2 of 2 colour images labelled, " in capsys.readouterr().out
    with AnyReader([tmp_path / "out.db3"]) as reader:
        ours = {each.topic for each in reader.connections if each.topic.startswith("/fafnet")}
    assert ours == {"/fafnet/labels", "/fafnet/hha", "/fafnet/label_names"}


def test_a_frame_that_fails_is_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    messages = frames()
    messages[-1].message.encoding = "rgb8"
    source = write_ros2(tmp_path / "in.mcap", messages)
    assert main(["segment", str(source), "--out", str(tmp_path / "out.mcap")]) == 1
    printed = capsys.readouterr()
    assert "1 of 2 colour images labelled; 1 failed, " in printed.out
    assert printed.err.count("not labelled: ") == 1
    assert "name another topic with --rgb or --depth" in printed.err


def test_colour_without_depth_is_counted_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    messages = frames()
    alone = [START + ms * MS for ms in (100, 200, 300)]
    messages += [Message("/rgb/image", IMAGE, t, image(room()[0].rgb, "rgb8", t)) for t in alone]
    messages.sort(key=lambda each: each.time)
    source = write_ros2(tmp_path / "in.mcap", messages)
    asked = [
        "segment",
        str(source),
        "--checkpoint",
        "untrained:fafnet-nano",
        "--runtime",
        "torch",
        "--out",
    ]
    assert main([*asked, str(tmp_path / "a.mcap")]) == 0
    said = "2 of 5 colour images labelled; 3 have no depth within 0.04 s, "
    assert said in capsys.readouterr().out
    assert main([*asked, str(tmp_path / "b.mcap"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unmatched"] == {"rgb": 3, "depth": 0}


def test_frames_with_nearly_no_depth_are_counted_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    messages = frames()
    messages[-1].message.data[:] = 0
    source = write_ros2(tmp_path / "in.mcap", messages)
    asked = ["segment", str(source), "--checkpoint", "untrained:fafnet-nano", "--runtime", "torch"]
    assert main([*asked, "--json", "--out", str(tmp_path / "out.mcap")]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["without_depth"] == 1
    assert "1 of 2 frames have (nearly) no depth: labels lean on colour alone" in printed.err


def test_depth_of_another_frame_is_doubted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_ros2(tmp_path / "in.mcap", frames(frame_id="depth"))
    out = str(tmp_path / "out.mcap")
    assert main(["segment", str(source), "--out", out]) == 0
    told = capsys.readouterr().err
    assert "2 frames: depth is in frame 'depth', colour in 'color'" in told
    assert "--depth-to-color" in told


def test_a_transform_may_be_written_as_calibrations_are() -> None:
    numbers = ["0.0148", "-1.2e-04", "-3E+1", "-.5", "-1.", "0", "1"]
    asked = ["segment", "in.mcap", "--out", "out.mcap", "--depth-to-color", *numbers]
    parsed = build_parser().parse_args(asked)
    assert parsed.depth_to_color == [0.0148, -0.00012, -30.0, -0.5, -1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{in}", "--out", "{in}"], "the recording itself"),
        (["{in}", "--out", "{there}"], "is there already"),
        (["{in}", "--out", "{new}.zip"], "ends in .mcap, .db3 or .bag"),
        (["{in}", "--out", "{new}.bag"], "not converted back"),
        (["{in}", "--out", "{new}.mcap"], "--slop 0.11 would pair them"),
        (["{in}", "--out", "{new}.mcap", "--slop", "-1"], "--slop is -1"),
        (["{in}", "--out", "{new}.mcap", "--depth-scale", "0"], "--depth-scale is 0"),
        (["{in}", "--out", "{new}.mcap", "--rgb", "/rgb/imag"], "did you mean '/rgb/image'"),
        (["{in}", "--out", "{new}.mcap", "--outputs", "label"], "did you mean 'labels'"),
        (["{in}", "--out", "{new}.mcap", "--outputs", "hha,hha"], "each once"),
        (["{in}", "--out", "{new}.mcap", "--overlay"], "recordings take --outputs"),
        (
            ["{in}", "--out", "{new}.mcap", "--depth-to-color", *"0000000"],
            "--depth-to-color: the quaternion",
        ),
        (["{images}", "--out", "{new}", "--rgb", "/rgb/image"], "--rgb is for recordings"),
        (["{in}", "{in}", "--out", "{new}"], "one recording at a time"),
    ],
)
def test_what_is_asked_wrongly_ends_with_status_2(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_ros2(tmp_path / "in.mcap", frames(offset_ms=101))
    (tmp_path / "there.mcap").touch()
    for name in ("color", "depth"):
        (tmp_path / "images" / name).mkdir(parents=True)
    places = {"in": source, "there": tmp_path / "there.mcap", "new": tmp_path / "new"}
    places["images"] = tmp_path / "images"
    asked = [argument.format(**places) for argument in arguments]
    with pytest.raises(SystemExit) as wrong:
        main(["segment", *asked])
    assert wrong.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new.mcap").exists()


def test_a_damaged_recording_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.bag"
    source.write_bytes(b"#ROSBAG V2.0\n")
    assert main(["segment", str(source), "--out", str(tmp_path / "out.mcap")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"fafnet: {source} cannot be read (")
    assert line.endswith("`rosbag reindex` mends a ROS 1 bag whose recording was interrupted")


def test_without_rosbags_the_remedy_is_named(tmp_path: Path) -> None:
    source = tmp_path / "in.mcap"
    source.touch()
    code = (
        "import sys; sys.modules['rosbags'] = None\n"
        "from fafnet_core.cli.main import main\n"
        f"sys.exit(main(['segment', {str(source)!r}, '--out', {str(tmp_path / 'out.mcap')!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install 'rosbags" in done.stderr
