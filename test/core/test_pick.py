"""`fafnet pick`: which frames it takes, and that a training and CVAT read what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.cli.main import main
from fafnet_core.datasets.catalogue import OwnData
from fafnet_core.datasets.cvat import CvatExport
from fafnet_core.datasets.folder import FolderLayout
from fafnet_core.datasets.frames import read_stored
from fafnet_core.files import write_png
from fafnet_core.labels import load_label_set
from fafnet_core.picking import FrameScore, choose_frames
from fafnet_core.picking.score import blur_of
from fafnet_core.rooms import Tour, pinhole, render

CAMERA = pinhole(96, 72)
NETWORK = ["--checkpoint", "untrained:fafnet-nano", "--runtime", "torch"]


def score(name: str, uncertainty: float, *descriptor: float) -> FrameScore:
    return FrameScore(name, uncertainty, 0.3, 1.0, np.array(descriptor, np.float32))


def test_of_equal_frames_one_is_picked_and_then_what_differs() -> None:
    scores = [score(f"a{i}", 0.5, 0, 0) for i in range(4)] + [score("b", 0.3, 1, 0)]
    assert [scores[i].name for i in choose_frames(scores, 2)] == ["a0", "b"]


def test_what_the_network_is_unsure_of_comes_before_what_it_knows() -> None:
    scores = [score("sure", 0.01, 0, 0), score("unsure", 0.6, 1, 0), score("other", 0.2, 0, 1)]
    assert [scores[i].name for i in choose_frames(scores, 3)] == ["unsure", "other", "sure"]


def test_order_does_not_count_and_few_are_the_first_of_many() -> None:
    random = np.random.default_rng(0)
    scores = [score(f"{i:02d}", random.random(), *random.random(5)) for i in range(30)]
    names = [scores[i].name for i in choose_frames(scores, 10)]
    turned = scores[::-1]
    assert [turned[i].name for i in choose_frames(turned, 10)] == names
    assert [scores[i].name for i in choose_frames(scores, 4)] == names[:4]
    assert len(choose_frames(scores, 99)) == 30


def test_motion_blurs_whatever_the_picture_shows() -> None:
    rgb = render(Tour.of(1).room.scene, pinhole(320, 240), Tour.of(1).pose(0)).rgb
    moved = np.full((1, 15), 1 / 15, np.float32)
    assert blur_of(rgb) + 0.1 < blur_of(cv2.filter2D(rgb, -1, moved).astype(np.uint8))
    assert blur_of(np.full((24, 32, 3), 7, np.uint8)) == 1


def write_camera(folder: Path, camera: Camera) -> None:
    values = {name: getattr(camera, name) for name in ("fx", "fy", "cx", "cy", "width", "height")}
    text = "".join(f"{name}: {value}\n" for name, value in values.items())
    (folder / "camera.yaml").write_text(f"{text}depth_unit_m: 0.0005\n", encoding="utf-8")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames of a room; "blurred" moves, "blind" has no depth."""
    root = tmp_path_factory.mktemp("recording")
    (root / "depth").mkdir()
    tour = Tour.of(1)
    for i, name in enumerate(["0", "1", "2", "3", "blind", "blurred"]):
        seen = render(tour.room.scene, CAMERA, tour.pose(i / 5))
        rgb: NDArray[np.uint8] = seen.rgb
        counts = np.round(seen.depth_m / 0.0005).astype(np.uint16)
        if name == "blurred":
            rgb = cv2.blur(rgb, (25, 25)).astype(np.uint8)
        if name == "blind":
            counts[:] = 0
        write_png(root / "color" / f"{name}.png", rgb)
        cv2.imwrite(str(root / "depth" / f"{name}.png"), counts)
    write_camera(root, CAMERA)
    return root


def test_what_is_picked_is_a_data_set_and_what_cvat_imports(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = tmp_path / "mine.yaml"
    classes.write_text("names: [Floor, cable, wall]\n", encoding="utf-8")
    for out in (tmp_path / "one", tmp_path / "two"):
        asked = ["--frames", "3", "--out", str(out), "--labels", str(classes), "--json"]
        assert main(["pick", str(recording), *asked, *NETWORK]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["seen"], report["blurred"], report["without_depth"]) == (6, 1, 1)
    names = [frame["name"] for frame in report["frames"]]
    assert len(names) == 3
    assert not {"blind", "blurred"} & set(names)

    out = tmp_path / "one"
    labels = load_label_set(out / "classes.yaml")
    assert labels == load_label_set(classes)
    layout = FolderLayout(train="", test="")
    classes = out / "classes.yaml"
    data = OwnData(root=str(out), labels=str(classes), layout=layout, first_label=0, validation=0)
    frames = {frame.name: frame for frame in data.open("train")}
    assert sorted(frames) == sorted(names)
    for name, frame in frames.items():
        assert frame.camera == CAMERA
        np.testing.assert_array_equal(frame.rgb, read_rgb(recording / "color" / f"{name}.png"))
        counts = read_stored(recording / "depth" / f"{name}.png")
        assert frame.depth_m is not None
        np.testing.assert_allclose(frame.depth_m, counts * 0.0005, atol=0.0006)
    export = CvatExport(out / "cvat" / "annotations.zip", labels)
    for name, ids in export.labels(dict.fromkeys(names, CAMERA.size)):
        np.testing.assert_array_equal(ids, frames[name].label)

    files = [path.relative_to(out) for path in sorted(out.rglob("*")) if path.is_file()]
    assert Path("picked.png") in files
    for file in files:
        assert (tmp_path / "two" / file).read_bytes() == (out / file).read_bytes()


def read_rgb(path: Path) -> NDArray[np.uint8]:
    return read_stored(path)[..., ::-1]


def test_a_folder_that_may_hold_corrected_labels_is_not_overwritten(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels").mkdir()
    with pytest.raises(SystemExit) as stop:
        main(["pick", str(recording), "--out", str(tmp_path)])
    assert stop.value.code == 2
    assert "--out is a new folder" in capsys.readouterr().err


def test_a_mapping_says_which_class_becomes_which(recording: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("names: [thing]\n", encoding="utf-8")
    every = "".join(f"  {name}: thing\n" for name in load_label_set("nyu40").names)
    (tmp_path / "map.yaml").write_text(f"to_set: mine.yaml\nclasses:\n{every}", encoding="utf-8")
    asked = ["--frames", "1", "--out", str(tmp_path / "out"), "--labels", str(mine)]
    mapping = ["--mapping", str(tmp_path / "map.yaml")]
    assert main(["pick", str(recording), *asked, *mapping, *NETWORK]) == 0
    (labels,) = (tmp_path / "out" / "labels").iterdir()
    assert (read_stored(labels) == 0).all()


def test_a_recording_is_read_at_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rosbags", reason="bags are read with rosbags, which is not installed")
    import bag_recordings as bags

    messages = []
    for i in range(6):
        seen, time = bags.room()[i % 3], bags.START + i * 250 * bags.MS
        depth = bags.image(bags.millimetres(seen.depth_m), "16UC1", time, "color")
        messages += [
            bags.Message(
                "/rgb/camera_info",
                bags.CAMERA_INFO,
                time,
                bags.camera_info(bags.CAMERA, time, "color"),
            ),
            bags.Message(
                "/rgb/image", bags.IMAGE, time, bags.image(seen.rgb, "rgb8", time, "color")
            ),
            bags.Message("/depth/image", bags.IMAGE, time, depth),
        ]
    source = bags.write_ros2(tmp_path / "my lab.mcap", messages)
    asked = ["--frames", "2", "--out", str(tmp_path / "out"), "--json"]
    assert main(["pick", str(source), *asked, *NETWORK]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["seen"] == 3
    stamps = [bags.START + i * 500 * bags.MS for i in range(3)]
    assert {frame["name"] for frame in report["frames"]} < {f"my-lab_{stamp}" for stamp in stamps}
    assert (tmp_path / "out" / "depth" / f"{report['frames'][0]['name']}.png").is_file()
