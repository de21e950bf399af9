"""Files that a stranger made to run something, to fill the machine or to leave their folder."""

from __future__ import annotations

import bz2
import copy
import json
import os
import pickle
import sqlite3
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bag_recordings as recordings
import cv2
import h5py
import lz4.frame
import numpy as np
import pytest
import torch
from door import MEMORY, SECONDS, Door, knock
from doors import DOORS
from originals import LABEL_FILE, write_nyuv2, write_sunrgbd

from fafnet_core.bags.decompression import MOST, decompress
from fafnet_core.checkpoints.checkpoint import load_checkpoint
from fafnet_core.checkpoints.pretrained import load_backbone
from fafnet_core.checkpoints.release_file import read_release_file
from fafnet_core.datasets.frames import read_depth, read_rgb
from fafnet_core.datasets.image_lists import read_image_list
from fafnet_core.datasets.images import image_size
from fafnet_core.datasets.matlab import read_matlab5
from fafnet_core.datasets.matlab5 import read_variables
from fafnet_core.datasets.nyuv2 import NYUv2
from fafnet_core.datasets.sunrgbd import SUNRGBD
from fafnet_core.image_files import MOST_SCANS
from fafnet_core.labels.files import load_label_set
from fafnet_core.labels.mappings import read_mapping
from fafnet_core.models import FAFNetConfig, build_model
from fafnet_core.runtimes.exported import read_exported
from fafnet_core.settings import read_settings
from fafnet_core.training.state import read_state

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Read = Callable[[Path], Any]


class Program:
    """Makes a folder where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


def _backbone(path: Path) -> None:
    load_backbone(build_model(FAFNetConfig(backbone="resnet18", modality="rgb")), path)


UNPICKLED: dict[str, tuple[str, Read]] = {
    "checkpoint": ("a.safetensors", load_checkpoint),
    "checkpoint of PyTorch": ("a.pth", load_checkpoint),
    "training state": ("a.safetensors", read_state),
    "authors' checkpoint": ("a.pth", read_release_file),
    "backbone": ("a.bin", _backbone),
    "exported": ("a.pt2", read_exported),
    "depth array": ("a.npy", read_depth),
    "size of an array": ("a.npy", image_size),
    "MATLAB 5": ("a.mat", lambda path: read_matlab5(path, ("a",))),
}


@pytest.mark.parametrize("door", list(UNPICKLED))
@pytest.mark.parametrize("form", ["pickle", "zip", "numpy", "torch"])
@pytest.mark.filterwarnings("ignore")
def test_nothing_is_unpickled(door: str, form: str, tmp_path: Path) -> None:
    name, read = UNPICKLED[door]
    marker, path = tmp_path / "marker", tmp_path / name
    program = Program(marker)
    if form == "pickle":
        path.write_bytes(pickle.dumps(program))
    elif form == "numpy":
        with path.open("wb") as file:
            np.save(file, np.array([program], object), allow_pickle=True)
    elif form == "torch":
        torch.save({"model_state": program}, path)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", pickle.dumps(program))
            archive.writestr("../escaped", b"")
    with pytest.raises(ValueError, match=str(tmp_path)):
        read(path)
    assert not marker.exists()
    assert not (tmp_path.parent / "escaped").exists()


@pytest.mark.parametrize("read", [read_settings, load_label_set, read_mapping])
def test_tags_of_yaml_make_no_objects(read: Read, tmp_path: Path) -> None:
    path, marker = tmp_path / "a.yaml", tmp_path / "marker"
    path.write_text(f"names: !!python/object/apply:os.mkdir ['{marker}']\n")
    with pytest.raises(ValueError, match="tag"):
        read(path)
    assert not marker.exists()


# Paths


def test_a_mapping_reads_no_file_outside_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mappings"
    folder.mkdir()
    (tmp_path / "secret.yaml").write_text("names: [secret]\n")
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    for name in ("../secret.yaml", str(tmp_path / "secret.yaml"), "link.yaml"):
        (folder / "a.yaml").write_text(f"from_set: {name}\nclasses: {{}}\n")
        with pytest.raises(ValueError, match="leaves the folder"):
            read_mapping(folder / "a.yaml")


def test_names_in_lists_are_names_and_no_paths(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("../../secret.png\n/etc/passwd\n..\\windows\n")
    assert [each.name for each in read_image_list(path)] == ["secret", "passwd", "windows"]


# Bombs


def _knocks(name: str, data: bytes, folder: Path) -> None:
    """A door refuses the data in time and memory."""
    door: Door = DOORS[name]
    folder.mkdir(exist_ok=True)
    list(door.seeds(folder))
    outcome = knock(door, data, folder)
    assert not outcome.find
    assert not outcome.accepted
    assert outcome.seconds < SECONDS
    assert outcome.memory < MEMORY


def _png(width: int, height: int, *chunks: tuple[bytes, bytes, int]) -> bytes:
    """A PNG file; a chunk's length may be a lie."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, data, length in ((b"IHDR", head, 13), *chunks, (b"IEND", b"", 0)):
        parts.append(struct.pack(">I", length) + name + data)
        parts.append(struct.pack(">I", zlib.crc32(name + data)))
    return b"".join(parts)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_png(100_000, 100_000, (b"IDAT", b"", 0)), id="pixels"),
        pytest.param(_png(32, 24, (b"IDAT", b"", 0xFF00006A)), id="chunk of 4 GB"),
        pytest.param(b"P5\n99999 99999\n255\n", id="PGM"),
        pytest.param(
            b"BM" + bytes(16) + struct.pack("<ii", 1 << 30, 1 << 30) + bytes(40), id="BMP"
        ),
    ],
)
def test_images_that_claim_much(data: bytes, tmp_path: Path) -> None:
    for name in ("colour image file", "depth image file"):
        _knocks(name, data, tmp_path)
    _knocks("compressed colour", b"\1" + data, tmp_path)


def test_a_jpeg_of_many_scans(tmp_path: Path) -> None:
    file = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    path = tmp_path / "a.jpg"
    path.write_bytes(
        file[:-2] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * MOST_SCANS + file[-2:]
    )
    with pytest.raises(ValueError, match="scans"):
        read_rgb(path)


def test_a_dense_depth_message_takes_the_memory_of_its_image(tmp_path: Path) -> None:
    """Every pixel is a run of its own: the most that a payload can ask for."""
    width, height = 1024, 1024
    nibbles = np.tile(np.array([0, 1, 0], np.uint8), width * height).reshape(-1, 4, 2)
    words = (nibbles[..., 0] << 4 | nibbles[..., 1])[:, ::-1].tobytes()
    outcome = knock(DOORS["RVL"], struct.pack("<II", width, height) + words, tmp_path)
    assert outcome.accepted
    assert outcome.memory < 32 * 2**20


@pytest.mark.parametrize(("kind", "packed"), [
    ("bz2", bz2.compress(bytes(MOST + 2))), ("lz4", lz4.frame.compress(bytes(MOST + 2))),
    ("zstd", zstd.compress(bytes(MOST + 2))),
])  # fmt: skip
def test_what_a_bag_packs_unpacks_to_a_limit(kind: str, packed: bytes) -> None:
    assert len(packed) < MOST / 100
    with pytest.raises(Exception, match="unpacks to more"):
        decompress(packed, kind)
    assert decompress(b"", kind) == b""


def test_a_view_is_no_table_of_a_bag(tmp_path: Path) -> None:
    path = recordings.write_ros2(
        tmp_path / "a.db3",
        [
            recordings.Message(
                "/a", recordings.STRING, 1, recordings.make(recordings.STRING, data="")
            )
        ],
    )
    with sqlite3.connect(path) as database:
        database.execute("ALTER TABLE messages RENAME TO kept")
        database.execute(
            "CREATE VIEW messages AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n)"
            " SELECT i AS id, 1 AS topic_id, i AS timestamp, x'00' AS data FROM n"
        )
    database.close()
    _knocks("bag, SQLite", path.read_bytes(), tmp_path / "work")


def test_laughs_of_yaml(tmp_path: Path) -> None:
    lines = ["a0: &a0 [ros__parameters]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40)]
    text = "\n".join(lines).encode()
    for name in ("settings", "label set file", "camera file"):
        _knocks(name, text, tmp_path)
    outcome = knock(DOORS["ROS parameters"], text, tmp_path)
    assert outcome.accepted
    assert outcome.memory < 2**26


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("fx: " + "1" * 200_000 + "x\n", id="digits"),
        pytest.param("names: [" + "a," * 5_000 + "]\n", id="names"),
        pytest.param("a: 1\n" * 400_000, id="size"),
        pytest.param("[" * 200_000, id="brackets"),
        pytest.param("- " * 100_000, id="dashes"),
    ],
)
def test_settings_that_are_long(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"a\.yaml"):
        load_label_set(path)


def test_a_checkpoint_whose_members_are_one_place_of_the_file(tmp_path: Path) -> None:
    honest, path = tmp_path / "honest.pth", tmp_path / "a.pth"
    torch.save({f"w{i}": torch.full((10_000,), float(i)) for i in range(50)}, honest)
    with zipfile.ZipFile(honest) as source, zipfile.ZipFile(path, "w") as archive:
        first = next(each for each in source.namelist() if each.endswith("/data/0"))
        for name in source.namelist():
            if "/data/" not in name or name == first:
                archive.writestr(name, source.read(name))
        for number in range(1, 50):
            again = copy.copy(archive.getinfo(first))
            again.filename = f"{first[:-1]}{number}"
            archive.filelist.append(again)
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match=r"a\.pth cannot be read") as refusal:
        _backbone(path)
    assert "overlap" in str(refusal.value.__cause__)


def test_a_tensor_that_repeats_one_number(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"w": torch.zeros(1).expand(1 << 16, 1 << 16)}, path)
    with pytest.raises(ValueError, match=r"a\.pth cannot be read") as refusal:
        _backbone(path)
    assert "more values than are stored" in str(refusal.value.__cause__)


@pytest.mark.parametrize("kind", ["external", "virtual"])
def test_an_array_of_hdf5_that_lies_in_another_file(kind: str, tmp_path: Path) -> None:
    root = tmp_path / "nyu"
    path = write_nyuv2(root, frames=3).root / "nyu_depth_v2_labeled.mat"
    secret = tmp_path / "secret"
    with h5py.File(path, "r+") as file:
        shape = file["images"].shape
        del file["images"]
        if kind == "external":
            secret.write_bytes(bytes(int(np.prod(shape))))
            file.create_dataset("images", shape, np.uint8, external=[(str(secret), 0, 2**31)])
        else:
            with h5py.File(secret, "w") as other:
                other.create_dataset("images", data=np.zeros(shape, np.uint8))
            layout = h5py.VirtualLayout(shape, np.uint8)
            layout[...] = h5py.VirtualSource(secret, "images", shape)
            file.create_virtual_dataset("images", layout)
    with pytest.raises(ValueError, match="images is in another file, which is not opened"):
        NYUv2(root, "train")


@pytest.mark.parametrize("kind", ["external", "pixels"])
def test_labels_of_sun_rgbd_that_lie_elsewhere_or_have_no_end(kind: str, tmp_path: Path) -> None:
    written = write_sunrgbd(tmp_path / "sun")
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(640 * 480))
    with h5py.File(written.root / LABEL_FILE, "r+") as file:
        references = file["SUNRGBD2Dseg/seglabel"]
        for place in range(len(references)):
            name = f"#refs#/other{place}"
            array = (
                file.create_dataset(name, (640, 480), "u1", external=[(str(secret), 0, 640 * 480)])
                if kind == "external"
                else file.create_dataset(name, (1 << 18, 1 << 18), "u1", chunks=(1024, 1024))
            )
            references[place, 0] = array.ref
    with pytest.raises(ValueError, match=r"in another file|wanted that of an image"):
        SUNRGBD(written.root, "train")


def test_a_header_of_numbers_that_says_more_than_there_is(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        head = {"descr": "<f8", "fortran_order": False, "shape": (1 << 20, 1 << 20)}
        np.lib.format.write_array_header_1_0(file, head)  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match="cut short"):
        read_depth(path)
    length = struct.pack("<Q", 90_000_000)
    (tmp_path / "a.safetensors").write_bytes(length + b"{" + b" " * 100)
    with pytest.raises(ValueError, match="at most"):
        load_checkpoint(tmp_path / "a.safetensors")


def test_cells_in_cells_have_an_end() -> None:
    def element(kind: int, data: bytes) -> bytes:
        return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)

    shape = element(5, struct.pack("<ii", 1, 1))
    inner = b""
    for _ in range(40):
        inner = element(14, element(6, struct.pack("<II", 1, 0)) + shape + element(1, b"a") + inner)
    with pytest.raises(ValueError, match="nested"):
        read_variables(b"MATLAB 5.0".ljust(124) + b"\0\1IM" + inner, ["a"])


def test_metadata_that_is_nested_deeply(tmp_path: Path) -> None:
    from fafnet_core.checkpoints.checkpoint import CheckpointMetadata

    for text in ("[" * 100_000, json.dumps({"config": {"num_classes": 10**400}})):
        with pytest.raises(ValueError, match="metadata"):
            CheckpointMetadata.from_json(text)
