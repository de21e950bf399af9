"""Folders of image files, own and others': detection, labels, HHA order, depth, lists."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from originals import NYU_CAMERA_MATRIX, NYU_SHAPE, room, rotate_bits

from fafnet_core.augmentation import DepthFaults, TransformConfig
from fafnet_core.camera import Camera
from fafnet_core.datasets.catalogue import NYUv2Data, SUNRGBDData
from fafnet_core.datasets.checks import hha_is_swapped, looks_decoded, looks_rotated
from fafnet_core.datasets.frames import read_depth
from fafnet_core.datasets.image_lists import read_image_list
from fafnet_core.datasets.nyuv2 import CAMERA as NYU_CAMERA
from fafnet_core.datasets.nyuv2 import OfficialCrop
from fafnet_core.files import write_png
from fafnet_core.hha import encode_hha
from fafnet_core.labels import NYU40, SUN37, LabelSet
from fafnet_core.samples import RgbdSegmentationDataset
from fafnet_core.training.config import read_config

TRAIN, TEST = (1, 2, 5), (3,)
"""Numbers of the frames; 1 and 2 follow one another."""


@dataclass
class Frame:
    rgb: NDArray[np.uint8]
    label: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    hha: NDArray[np.uint8]


@pytest.fixture(scope="module")
def frames() -> dict[int, Frame]:
    made = {}
    for number in (*TRAIN, *TEST):
        seen = room(NYU_SHAPE, NYU_CAMERA_MATRIX, seed=number, pitch=0.1 + 0.05 * number)
        hha = encode_hha(seen.depth_m, NYU_CAMERA_MATRIX)
        made[number] = Frame(seen.rgb, seen.label, seen.depth_m, hha)
    return made


@dataclass
class Folder:
    """A folder that a test writes; `name` and `lists` are how it writes a frame's number."""

    root: Path
    frames: dict[int, Frame]
    name: str = "{}"
    lists: str = "{}"

    def path(self, folder: str, number: int, suffix: str) -> Path:
        path = self.root / folder / f"{self.name.format(number)}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_lists(self) -> None:
        for name, numbers in (("train", TRAIN), ("test", TEST)):
            lines = [self.lists.format(self.name.format(number)) for number in numbers]
            (self.root / f"{name}.txt").write_text("\n".join(lines) + "\n")

    def labels(self, folder: str, *, first: int) -> None:
        for number, frame in self.frames.items():
            # Wraps round: 255 + 1 is 0.
            write_png(self.path(folder, number, ".png"), frame.label + np.uint8(first))

    def colours(self, folder: str, suffix: str) -> None:
        for number, frame in self.frames.items():
            cv2.imwrite(str(self.path(folder, number, suffix)), frame.rgb[..., ::-1])

    def hha(self, folder: str, suffix: str, *, swapped: bool = False) -> None:
        for number, frame in self.frames.items():
            stored = frame.hha if swapped else frame.hha[..., ::-1]
            cv2.imwrite(str(self.path(folder, number, suffix)), stored)

    def depth(self, counts: Callable[[NDArray[np.float32]], NDArray[Any]]) -> None:
        for number, frame in self.frames.items():
            write_png(self.path("Depth", number, ".png"), counts(frame.depth_m))

    def metres(self) -> None:
        for number, frame in self.frames.items():
            np.save(self.path("Depth", number, ".npy"), frame.depth_m)


@pytest.fixture
def sa_gate(frames: dict[int, Frame], tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "data", frames, lists="RGB/{0}.jpg\tLabel/{0}.png")
    folder.colours("RGB", ".jpg")
    folder.hha("HHA", ".jpg")
    folder.labels("Label", first=1)
    folder.write_lists()
    return folder


@pytest.fixture
def dformer(frames: dict[int, Frame], tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "data", frames, lists="RGB/{0}.jpg")
    folder.colours("RGB", ".jpg")
    folder.labels("Label", first=1)
    folder.depth(_stretched)
    folder.write_lists()
    return folder


@pytest.fixture
def esanet(frames: dict[int, Frame], tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "data", frames, name="{:04d}")
    for part, numbers in (("train", TRAIN), ("test", TEST)):
        own = Folder(folder.root / part, {i: frames[i] for i in numbers}, name="{:04d}")
        own.colours("rgb", ".png")
        own.labels("labels_40", first=1)
        for number in numbers:
            counts = _millimetres(frames[number].depth_m)
            cv2.imwrite(str(own.path("depth", number, ".png")), counts)
            counts[10:20] = 0
            cv2.imwrite(str(own.path("depth_raw", number, ".png")), counts)
    folder.write_lists()
    return folder


@pytest.fixture
def release(frames: dict[int, Frame], tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "data", frames)
    folder.colours("rgb", ".png")
    folder.hha("hha", ".png")
    folder.labels("label", first=0)
    folder.write_lists()
    return folder


def _stretched(depth_m: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = depth_m.min(), depth_m.max()
    stretched: NDArray[np.uint8] = np.round(255 * (depth_m - low) / (high - low)).astype(np.uint8)
    return stretched


def _millimetres(depth_m: NDArray[np.float32]) -> NDArray[np.uint16]:
    return np.round(depth_m * 1000).astype(np.uint16)


def _open(folder: Folder, split: str = "train", **fields: object) -> RgbdSegmentationDataset:
    fields = {"validation": 0, **fields}
    return NYUv2Data(root=str(folder.root), **fields).open(split)  # type: ignore[arg-type]


def _refused(folder: Folder, message: str, split: str = "train", **fields: object) -> None:
    with pytest.raises((ValueError, OSError), match=message):
        _open(folder, split, **fields)


def test_sa_gate_and_cmx(sa_gate: Folder) -> None:
    dataset = _open(sa_gate)
    assert dataset.label_set is NYU40
    assert list(dataset.names) == ["1", "2", "5"]
    assert list(_open(sa_gate, "test").names) == ["3"]
    for sample, number in zip(dataset, TRAIN, strict=True):
        frame = sa_gate.frames[number]
        np.testing.assert_array_equal(sample.label, frame.label)
        assert sample.hha is not None
        assert np.abs(sample.hha.astype(int) - frame.hha).mean() < 2  # JPEG
        assert np.abs(sample.rgb.astype(int) - frame.rgb).mean() < 8
        assert (sample.depth_m, sample.camera, sample.sensor) == (None, None, "kv1")


def test_a_frame_has_the_folders_hha_or_its_depth_never_both(sa_gate: Folder) -> None:
    sa_gate.metres()
    ready = _open(sa_gate)[0]
    assert ready.hha is not None
    assert (ready.depth_m, ready.camera) == (None, None)
    sample = _open(sa_gate, hha="depth")[0]
    assert sample.hha is None
    np.testing.assert_array_equal(sample.depth_m, sa_gate.frames[1].depth_m)
    assert sample.camera == NYU_CAMERA


@pytest.mark.parametrize("hha", ["ready", "depth"])
def test_with_depth_faults_all_hha_is_of_one_encoder(sa_gate: Folder, hha: str) -> None:
    sa_gate.metres()
    shutil.rmtree(sa_gate.root / "HHA")
    theirs = np.array((77, 88, 99), np.uint8)  # a colour that our HHA does not have here
    for number in sa_gate.frames:
        write_png(sa_gate.path("HHA", number, ".png"), np.broadcast_to(theirs, (*NYU_SHAPE, 3)))
    faults = DepthFaults(TransformConfig(misalignment_px=8, fault_probability=0.5))
    dataset = _open(sa_gate, hha=hha)
    faulted = 0
    for seed in range(6):
        sample = dataset[seed % 3]
        changed = faults(sample, np.random.default_rng(seed))
        faulted += changed is not sample
        made = changed.with_hha().hha
        assert made is not None
        there = made[made.any(axis=2)]
        assert ((there == theirs).all(axis=1)).mean() == (1 if hha == "ready" else 0)
    assert 0 < faulted < 6


def test_faults_that_need_metres_are_an_error_at_the_first_sample(sa_gate: Folder) -> None:
    sa_gate.metres()
    faults = DepthFaults(TransformConfig(depth_noise=0.001, fault_probability=0.01))
    with pytest.raises(ValueError, match=r"data\.hha: depth"):
        faults(_open(sa_gate)[0], np.random.default_rng(0))
    assert faults(_open(sa_gate, hha="depth")[0], np.random.default_rng(0)).hha is None


def test_hha_from_depth_needs_metric_depth(sa_gate: Folder, release: Folder) -> None:
    _refused(sa_gate, "has no Depth/", hha="depth", layout="sa-gate")
    _refused(release, "no depth", hha="depth", layout="fafnet")
    sa_gate.depth(_stretched)
    _refused(sa_gate, r"Depth/1\.png has 8 bits", hha="depth", layout="sa-gate")


def test_the_release(release: Folder) -> None:
    for sample, number in zip(_open(release), TRAIN, strict=True):
        np.testing.assert_array_equal(sample.label, release.frames[number].label)
        np.testing.assert_array_equal(sample.hha, release.frames[number].hha)
        np.testing.assert_array_equal(sample.rgb, release.frames[number].rgb)
    cropped = _open(release, crop=True)[0]
    np.testing.assert_array_equal(cropped.hha, release.frames[1].hha[44:471, 40:601])
    assert cropped.size == (427, 561)


def test_esanet(esanet: Folder) -> None:
    dataset = pickle.loads(pickle.dumps(_open(esanet)))  # as it goes to a worker process
    assert list(dataset.names) == ["0001", "0002", "0005"]
    for sample, number in zip(dataset, TRAIN, strict=True):
        frame = esanet.frames[number]
        np.testing.assert_array_equal(sample.label, frame.label)
        np.testing.assert_allclose(sample.depth_m, frame.depth_m, atol=6e-4)
        assert (sample.missing == (np.arange(480) // 10 == 1)[:, None]).all()
        assert sample.camera == NYU_CAMERA
    (esanet.root / "train.txt").unlink()
    assert list(_open(esanet).names) == ["0001", "0002", "0005"]


def test_dformers_folder_needs_ready_hha(dformer: Folder) -> None:
    _refused(dformer, r"Depth/1\.png has 8 bits.* HHA/")
    dformer.hha("HHA", ".png")
    (dformer.root / "Label").rename(dformer.root / "labels")
    sample = _open(dformer)[0]
    np.testing.assert_array_equal(sample.hha, dformer.frames[1].hha)
    np.testing.assert_array_equal(sample.label, dformer.frames[1].label)
    assert sample.depth_m is None


def test_16_bit_depth_is_millimetres(dformer: Folder) -> None:
    dformer.depth(_millimetres)
    sample = _open(dformer)[0]
    assert sample.depth_m is not None
    np.testing.assert_allclose(sample.depth_m, dformer.frames[1].depth_m, atol=6e-4)
    dformer.depth(lambda depth_m: rotate_bits(_millimetres(depth_m)))
    _refused(dformer, r"Depth/1\.png .*rotated")


def test_depth_without_a_known_camera_asks_for_one(dformer: Folder) -> None:
    dformer.frames = {
        number: Frame(
            frame.rgb[::2, ::2], frame.label[::2, ::2], frame.depth_m[::2, ::2], frame.hha[::2, ::2]
        )
        for number, frame in dformer.frames.items()
    }
    dformer.colours("RGB", ".jpg")
    dformer.labels("Label", first=1)
    dformer.depth(_millimetres)
    _refused(dformer, r"320x240.*camera\.yaml")
    camera = "fx: 260\nfy: 261\ncx: 162.5\ncy: 126\ndepth_unit_m: 0.002\n"
    (dformer.root / "camera.yaml").write_text(camera)
    sample = _open(dformer)[0]
    assert sample.depth_m is not None
    np.testing.assert_allclose(sample.depth_m, 2 * dformer.frames[1].depth_m, atol=2e-3)
    assert sample.camera == Camera(fx=260, fy=261, cx=162.5, cy=126, width=320, height=240)


def test_sun_folders_have_37_classes(sa_gate: Folder) -> None:
    dataset = SUNRGBDData(root=str(sa_gate.root), validation=0).open("train")
    assert dataset.label_set is SUN37
    assert dataset[0].label[dataset[0].label != 255].max() < 37
    assert set(dataset.sensors) == {""}


def _set_label_41(path: Path) -> None:
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert stored is not None
    stored[100, 200] = 41
    cv2.imwrite(str(path), stored)


@pytest.mark.parametrize(("split", "number"), [("train", 1), ("test", 3)])
def test_a_label_beyond_the_classes_is_named(sa_gate: Folder, split: str, number: int) -> None:
    _set_label_41(sa_gate.root / "Label" / f"{number}.png")
    _refused(sa_gate, rf"{number}\.png has label 41 \(row 100, column 200\)", split)


def test_labels_from_zero_where_the_layout_counts_from_one(sa_gate: Folder) -> None:
    sa_gate.labels("Label", first=0)
    _refused(sa_gate, "label 255 .*first_label: 0")
    sample = _open(sa_gate, first_label=0)[0]
    np.testing.assert_array_equal(sample.label, sa_gate.frames[1].label)


def test_labels_from_one_where_the_layout_counts_from_zero(release: Folder) -> None:
    release.labels("label", first=1)
    _refused(release, "no pixel of 3 label images .*first_label: 1")
    sample = _open(release, first_label=1)[0]
    np.testing.assert_array_equal(sample.label, release.frames[1].label)
    # Class 40 shows the same.
    label = np.where(release.frames[1].label == 0, 39, release.frames[1].label)
    write_png(release.path("label", 1, ".png"), (label + 1).astype(np.uint8))
    _refused(release, r"1\.png has label 40 .*first_label: 1")


def test_labels_without_an_unlabelled_pixel_are_read_if_the_user_says_so(release: Folder) -> None:
    for number, frame in release.frames.items():
        full = np.where(frame.label == 255, 0, frame.label).astype(np.uint8)
        write_png(release.path("label", number, ".png"), full)
    _refused(release, "no pixel of 3 label images")
    assert _open(release, first_label=0)[0].label.max() < 40


def test_coloured_labels_are_refused(sa_gate: Folder) -> None:
    write_png(sa_gate.root / "Label" / "2.png", NYU40.colourise(sa_gate.frames[2].label))
    _refused(sa_gate, r"2\.png is uint8 with shape \(480, 640, 3\)")


def test_swapped_hha_is_found_and_can_be_read(release: Folder, sa_gate: Folder) -> None:
    for folder, kind, suffix, layout in (
        (release, "hha", ".png", "fafnet"),
        (sa_gate, "HHA", ".jpg", "sa-gate"),
    ):
        folder.hha(kind, suffix, swapped=True)
        _refused(folder, rf"{kind}/\d{suffix} .*hha_order: bgr", layout=layout)
    hha = release.frames[1].hha
    for order, wanted in (("bgr", hha), ("rgb", hha[..., ::-1])):
        found = _open(release, layout="fafnet", hha_order=order)[0].hha
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("quality", [None, 75])
def test_the_order_of_real_hha_is_told(shared_data: Path, quality: int | None) -> None:
    """HHA of the authors' MATLAB code, and ours of real frames with and without holes."""
    reference = shared_data / "hha-reference" / "matlab_hha.png"
    images = {"matlab": cv2.imread(str(reference))[..., ::-1]}  # type: ignore[index]
    for path in sorted((shared_data / "nyuv2" / "depth").iterdir()):
        images[path.name] = encode_hha(read_depth(path), NYU_CAMERA.matrix)
    holes = read_depth(shared_data / "kinect-v1-sequence" / "depth" / "0000.png")
    images["holes"] = encode_hha(holes, [[585, 0, 320], [0, 585, 240], [0, 0, 1]])
    for name, hha in images.items():
        stored = np.ascontiguousarray(hha)
        if quality is not None:
            content = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            stored = cv2.imdecode(content, cv2.IMREAD_COLOR)  # type: ignore[assignment]
        assert hha_is_swapped(stored) is False, name
        assert hha_is_swapped(np.ascontiguousarray(stored[..., ::-1])) is True, name


def test_a_bare_wall_does_not_tell_the_order() -> None:
    wall = encode_hha(np.full((120, 160), 2.2, np.float32), [[130, 0, 80], [0, 130, 60], [0, 0, 1]])
    assert hha_is_swapped(wall) is None
    assert hha_is_swapped(np.zeros((120, 160, 3), np.uint8)) is None


def test_rotated_bits_are_told_from_millimetres(shared_data: Path) -> None:
    folder = shared_data / "sunrgbd" / "SUNRGBD" / "kv2" / "sample" / "scene"
    for kind in ("depth", "depth_bfx"):
        counts: Any = cv2.imread(str(folder / kind / "0000144.png"), cv2.IMREAD_UNCHANGED)
        decoded = (counts >> np.uint16(3)) | (counts << np.uint16(13))
        assert (looks_rotated(counts), looks_decoded(counts)) == (True, False)
        assert (looks_rotated(decoded), looks_decoded(decoded)) == (False, True)
    for path in sorted((shared_data / "nyuv2" / "depth").iterdir()):
        millimetres: Any = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert not looks_rotated(millimetres)


def test_a_list_that_does_not_fit_the_folder(sa_gate: Folder) -> None:
    (sa_gate.root / "HHA" / "2.jpg").rename(sa_gate.root / "HHA" / "17.jpg")
    _refused(sa_gate, r"train\.txt line 2 names 2, .*HHA .*17")


def test_a_label_that_is_not_there_is_named(esanet: Folder) -> None:
    (esanet.root / "test" / "labels_40" / "0003.png").unlink()
    _refused(esanet, r"test\.txt line 1 names 0003, .*test/labels_40", "test")


def test_a_frame_in_both_lists(sa_gate: Folder) -> None:
    (sa_gate.root / "test.txt").write_text("RGB/3.jpg\nRGB/5.jpg\n")
    _refused(sa_gate, r"1 test frames .*: 5 is in .*test\.txt line 2")


def test_images_that_no_list_names_are_told(sa_gate: Folder) -> None:
    (few,) = _open(sa_gate).notices
    assert "3 frames to train and 1 to test" in few
    assert "795 and 654" in few
    (sa_gate.root / "train.txt").write_text("RGB/1.jpg\tLabel/1.png\n")
    for split in ("train", "test"):
        unlisted, _ = _open(sa_gate, split).notices
        assert unlisted.startswith(f"{sa_gate.root}/RGB has 2 images that no list names (2, 5)")


def test_the_folder_of_a_split_is_compared_with_its_own_list(esanet: Folder) -> None:
    assert not any("no list names" in notice for notice in _open(esanet).notices)
    (esanet.root / "train.txt").write_text("0001\n")
    dataset = _open(esanet)
    assert f"{esanet.root}/train/rgb has 2 images" in dataset.notices[0]
    assert list(OfficialCrop(dataset).notices) == list(dataset.notices)


def _many(folder: Folder, count: int) -> Folder:
    """Add equal frames from 100 on to train on; few of them are read when it is opened."""
    numbers = range(100, 100 + count)
    for kind in ("RGB", "HHA", "Label"):
        source = next((folder.root / kind).glob("1.*"))
        for number in numbers:
            shutil.copy(source, folder.path(kind, number, source.suffix))
    (folder.root / "train.txt").write_text("".join(f"{number}\n" for number in numbers))
    return folder


@pytest.mark.parametrize("kind", ["RGB", "HHA", "Label"])
def test_the_size_of_every_image_is_checked_at_first(sa_gate: Folder, kind: str) -> None:
    folder = _many(sa_gate, 60)
    (path,) = (folder.root / kind).glob("105.*")
    image: Any = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), image[:240])
    _refused(folder, r"/105\.\w+ is 640x\d+, but .*RGB/105\.jpg is 640x")
    path.write_bytes(b"")
    _refused(folder, f"{path} is not an image")


def test_a_label_that_is_no_class_is_found_by_the_full_check(sa_gate: Folder) -> None:
    folder = _many(sa_gate, 20)
    for number in (105, 107):
        _set_label_41(folder.root / "Label" / f"{number}.png")
    assert len(_open(folder)) == 20
    message = r"2 of 20 frames .*\n  105: .*105\.png has label 41.*\n  107: .*107\.png has label 41"
    _refused(folder, message, check="all")
    assert len(_open(folder, "test", check="all")) == 1


@pytest.mark.parametrize("kind", ["RGB/1.jpg", "HHA/5.jpg", "Label/1.png"])
def test_files_that_are_cut_short_are_named(sa_gate: Folder, kind: str) -> None:
    path = sa_gate.root / kind
    path.write_bytes(path.read_bytes()[:500])
    _refused(sa_gate, f"{path} .*cut short")


def test_every_frame_is_checked_when_it_is_read(release: Folder) -> None:
    dataset = _open(release)
    path = release.root / "label" / "2.png"
    write_png(path, np.full((480, 640), 77, np.uint8))
    with pytest.raises(ValueError, match=f"{path} has label 77"):
        dataset[1]
    path.unlink()
    with pytest.raises(FileNotFoundError, match="no image at"):
        dataset[1]


@pytest.mark.parametrize(
    "text",
    ["RGB/0.jpg\tLabel/0.png\nRGB/7.jpg\tLabel/7.png\n", "0\n7", "\ufeff0.jpg\r\n\r\n7.png\r\n"],
)
def test_lists_in_their_many_forms(tmp_path: Path, text: str) -> None:
    path = tmp_path / "train.txt"
    path.write_text(text, encoding="utf-8", newline="")
    assert [listed.name for listed in read_image_list(path)] == ["0", "7"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\xff\xfe\x00\x01", "not a list"),
        (b"1\n2\n1\n", r"line 3 names 1 again.* line 1"),
        (b"RGB/1.jpg\tLabel/2.png\n", "line 1 names 1 and 2"),
    ],
)
def test_lists_that_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_image_list(path)


def test_every_layout_is_named_with_what_it_lacks(sa_gate: Folder) -> None:
    shutil.rmtree(sa_gate.root / "HHA")
    with pytest.raises(FileNotFoundError, match="tried 6") as refused:
        _open(sa_gate)
    for layout, lacks in (
        ("prepared", "manifest.json;"),
        ("original", "nyu_depth_v2_labeled.mat"),
        ("sa-gate", "HHA/;"),
        ("dformer", "Depth/;"),
        ("esanet", "train/rgb/, train/depth/, train/labels_40/"),
        ("fafnet", "rgb/, hha/, label/"),
    ):
        said = str(refused.value).partition(f"'{layout}'")[2]
        assert said.partition(" lacks ")[2].startswith(lacks)


def test_a_layout_that_is_named_is_the_only_one_tried(sa_gate: Folder) -> None:
    _refused(sa_gate, "tried 1: 'esanet'", layout="esanet")
    assert list(_open(sa_gate, layout="sa-gate").names) == ["1", "2", "5"]


def test_a_folder_of_your_own_as_a_configuration_states_it(
    frames: dict[int, Frame], tmp_path: Path
) -> None:
    folder = Folder(tmp_path / "mine", frames)
    folder.colours("color", ".png")
    for number, frame in frames.items():
        write_png(folder.path("classes", number, ".png"), frame.label % 3 + np.uint8(1))
        counts = np.round(frame.depth_m * 5000).astype(np.uint16)
        cv2.imwrite(str(folder.path("depth", number, ".png")), counts)
    folder.write_lists()
    mine = LabelSet("mine", ("floor", "wall", "rest"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))
    (tmp_path / "mine.json").write_text(mine.to_json())
    (tmp_path / "own.yaml").write_text(
        f"""data:
  name: folder
  root: {folder.root}
  labels: {tmp_path / "mine.json"}
  validation: 0
  layout: {{rgb: color, label: classes, first_label: 1, depth_unit_m: 0.0002}}
"""
    )
    data = read_config(tmp_path / "own.yaml").data
    with pytest.raises(ValueError, match=r"camera\.yaml"):
        data.open("train")
    (folder.root / "camera.yaml").write_text("fx: 518\nfy: 519\ncx: 324\ncy: 252\n")
    dataset = data.open("train")
    assert (dataset.label_set, dataset.layout, list(dataset.notices)) == (mine, "own", [])
    for sample, number in zip(dataset, TRAIN, strict=True):
        np.testing.assert_array_equal(sample.label, frames[number].label % 3)
        assert sample.depth_m is not None
        np.testing.assert_allclose(sample.depth_m, frames[number].depth_m, atol=2e-4)
        assert sample.camera is not None
        assert sample.camera.matrix[1, 2] == 252
    override = [f"data.labels={tmp_path / 'no.json'}"]
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_config(tmp_path / "own.yaml", override).data.open("train")
