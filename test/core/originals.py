"""Writes small data sets in exactly the formats of the original downloads, for tests.

NYU-Depth V2: `nyu_depth_v2_labeled.mat` (MATLAB 7.3, which is HDF5 with the axes reversed),
`splits.mat` and `classMapping40.mat` (MATLAB 5). SUN RGB-D: the folder tree with rotated depth
bits, `SUNRGBDMeta.mat` and `allsplit.mat` (MATLAB 5), `SUNRGBD2Dseg.mat` (MATLAB 7.3, a struct
array of references). What was written comes back, so that a test can compare exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import scipy.io
from numpy.typing import NDArray

MATLAB_73 = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan 01 00:00:00 2024 HDF5"

NYU_SHAPE = (480, 640)
NYU_CAMERA_MATRIX = np.array(
    [[518.85790117450188, 0, 324.58244941119034], [0, 519.46961112127485, 252.73616633400465],
     [0, 0, 1]]
)  # fmt: skip
"""Of NYU-Depth V2, counted from 0."""

WALL, FLOOR, CEILING, CHAIR, OTHERPROP = 0, 1, 21, 4, 39


@dataclass
class Room:
    """A frame of an empty box of a room with a chair-sized block in its middle."""

    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    label: NDArray[np.uint8]
    """0-based class ids, 255 = unlabelled (a border of 1/48 of the height, as NYUv2 has)."""
    gravity: NDArray[np.float64]


def room(
    shape: tuple[int, int],
    camera_matrix: NDArray[np.float64],
    *,
    seed: int = 0,
    pitch: float = 0.2,
) -> Room:
    """A room seen from 1.4 m above its floor, the camera turned downwards by `pitch` radians."""
    height, width = shape
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[:height, :width].astype(np.float64)
    rays = np.stack(
        [
            (u - camera_matrix[0, 2]) / camera_matrix[0, 0],
            (v - camera_matrix[1, 2]) / camera_matrix[1, 1],
            np.ones_like(u),
        ],
        axis=-1,
    )
    # Level axes: right, down, ahead. The third row of the picture's rays points `pitch` down.
    cosine, sine = np.cos(pitch), np.sin(pitch)
    level = rays @ np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]]).T
    distances = []
    for axis, bounds in enumerate(((-1.7, 1.9), (-1.1, 1.4), (-1.0, 3.0 + 0.2 * (seed % 5)))):
        along = level[..., axis]
        bound = np.where(along > 0, bounds[1], -bounds[0])
        distances.append(bound / np.maximum(np.abs(along), 1e-9))
    stacked = np.stack(distances)
    nearest = stacked.argmin(axis=0)
    depth = stacked.min(axis=0)  # rays have z = 1, so the distance along them is the depth
    label = np.where(nearest == 1, np.where(level[..., 1] > 0, FLOOR, CEILING), WALL)
    middle = (abs(u - width / 2) < width / 10) & (abs(v - height * 0.6) < height / 8)
    depth = np.where(middle, 1.6, depth)
    label = np.where(middle, CHAIR if seed % 2 == 0 else OTHERPROP - 3, label)
    border = height // 48
    label[:border] = label[-border:] = 255
    label[:, :border] = label[:, -border:] = 255
    shade = rng.integers(0, 40, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    shade = shade.repeat(4, 0).repeat(4, 1)[:height, :width]
    base = np.array([[210, 60, 30]]) * (1 + nearest[..., None]) // 3
    return Room(
        (base + shade).astype(np.uint8),
        depth.astype(np.float32),
        label.astype(np.uint8),
        np.array([0.0, cosine, sine]),
    )


@dataclass
class WrittenNYUv2:
    """What `write_nyuv2` wrote; lists are in the order of the file."""

    root: Path
    train: list[int]
    test: list[int]
    """Frames of the official splits, counted from 1."""
    scenes: list[str]
    rgb: list[NDArray[np.uint8]] = field(default_factory=list)
    depth_m: list[NDArray[np.float32]] = field(default_factory=list)
    missing: list[NDArray[np.bool_]] = field(default_factory=list)
    label: list[NDArray[np.uint8]] = field(default_factory=list)
    """0-based, 255 = unlabelled: what a loader should give."""
    gravity: list[NDArray[np.float64]] = field(default_factory=list)


def _matlab_text(file: h5py.File, text: str) -> h5py.Reference:
    stored = file.require_group("#refs#")
    values = np.array([[ord(letter)] for letter in text], np.uint16)
    dataset = stored.create_dataset(f"r{len(stored)}", data=values)
    dataset.attrs["MATLAB_class"] = np.bytes_("char")
    return dataset.ref


def _write_hdf5_header(path: Path) -> None:
    """Write MATLAB's own 512 bytes into the user block that the file was made with."""
    with path.open("r+b") as file:
        file.write(MATLAB_73.ljust(116) + b"\0" * 8 + b"\x00\x02IM")


def write_nyuv2(
    root: Path,
    *,
    frames: int = 6,
    train: Sequence[int] | None = None,
    test: Sequence[int] | None = None,
    scenes: Sequence[str] | None = None,
) -> WrittenNYUv2:
    """Write the three files of NYU-Depth V2 into `root`, with frames of its real size.

    Args:
        root: folder, made if need be.
        frames: their number.
        train: frames of the training split, counted from 1; by default every one that `test` has
            not.
        test: frames of the test split, by default every third.
        scenes: a scene's name for each frame, by default two frames a scene.
    """
    root.mkdir(parents=True, exist_ok=True)
    test = list(test or range(3, frames + 1, 3))
    train = list(train or [i for i in range(1, frames + 1) if i not in test])
    scenes = list(scenes or [f"kitchen_{i // 2:04d}" for i in range(frames)])
    written = WrittenNYUv2(root, train, test, scenes)
    # The 894 classes' places among the 40.
    mapping = (1 + (np.arange(1, 895) * 7) % 40).astype(np.uint8)
    first_of = {int(to): i + 1 for i, to in reversed(list(enumerate(mapping)))}
    back = np.zeros(256, np.uint16)
    for place in range(40):
        back[place] = first_of[place + 1]
    path = root / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        height, width = NYU_SHAPE
        kinds: dict[str, tuple[tuple[int, ...], Any]] = {
            "images": ((3, width, height), np.uint8),
            "depths": ((width, height), np.float32),
            "rawDepths": ((width, height), np.float32),
            "labels": ((width, height), np.uint16),
        }
        for name, (shape, kind) in kinds.items():
            file.create_dataset(
                name, (frames, *shape), kind, chunks=(1, *shape), compression="gzip",
                compression_opts=1,
            )  # fmt: skip
        for i in range(frames):
            seen = room(NYU_SHAPE, NYU_CAMERA_MATRIX, seed=i, pitch=0.1 + 0.03 * i)
            missing = np.zeros(NYU_SHAPE, bool)
            missing[40 + 10 * i : 90 + 10 * i, 500:560] = True
            raw = np.where(missing, np.float32(0), seen.depth_m)
            file["images"][i] = seen.rgb.transpose(2, 1, 0)
            file["depths"][i] = seen.depth_m.T
            file["rawDepths"][i] = raw.T
            file["labels"][i] = back[seen.label].T
            written.rgb.append(seen.rgb)
            written.depth_m.append(seen.depth_m)
            written.missing.append(missing)
            written.label.append(seen.label)
            written.gravity.append(seen.gravity)
        references = np.empty((1, frames), h5py.ref_dtype)
        for i, scene in enumerate(scenes):
            references[0, i] = _matlab_text(file, scene)
        file.create_dataset("scenes", data=references, dtype=h5py.ref_dtype)
    _write_hdf5_header(path)
    columns: dict[str, Any] = {
        "trainNdxs": np.array([[i] for i in train], np.uint16),
        "testNdxs": np.array([[i] for i in test], np.uint16),
    }
    scipy.io.savemat(root / "splits.mat", columns)
    scipy.io.savemat(root / "classMapping40.mat", {"mapClass": mapping.reshape(1, -1)})
    return written


@dataclass
class WrittenScene:
    """One scene folder of `write_sunrgbd`, and what a loader should give for it."""

    folder: str
    """As in the official lists, without the prefix: "SUNRGBD/kv2/..."."""
    image: str
    """The colour image's file name."""
    sensor: str
    rgb: NDArray[np.uint8]
    """As it was given to the JPEG encoder: compare with a tolerance."""
    depth_m: NDArray[np.float32]
    """In-painted, at most 8 m, as whole millimetres leave it."""
    missing: NDArray[np.bool_]
    label: NDArray[np.uint8]
    camera_matrix: NDArray[np.float64]
    """Counted from 0; the files count from 1."""
    gravity: NDArray[np.float64]


@dataclass
class WrittenSUNRGBD:
    """What `write_sunrgbd` wrote; scenes are in the order of SUNRGBDMeta.mat."""

    root: Path
    scenes: list[WrittenScene]
    train: list[int]
    test: list[int]
    """Places in `scenes`."""


SUN_PREFIX = "/n/fs/sun3d/data/"

_TOOLBOX = Path("SUNRGBDtoolbox")
META_FILE = _TOOLBOX / "Metadata" / "SUNRGBDMeta.mat"
LABEL_FILE = _TOOLBOX / "Metadata" / "SUNRGBD2Dseg.mat"
SPLIT_FILE = _TOOLBOX / "traintestSUNRGBD" / "allsplit.mat"

_SCENES = (
    ("kv1/NYUdata/NYU{:04d}", (56, 72), 62.0),
    ("kv2/kinect2data/{:06d}_2014-05-26_14-23-37_260595134347_rgbf000103-resize", (66, 91), 66.0),
    ("realsense/sa/2014_10_23-15_35_{:02d}-1311000073", (66, 85), 65.0),
    ("xtion/sun3ddata/hotel_m/scan2/{:07d}-000893953979", (55, 74), 57.0),
)


def rotate_bits(counts: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Store millimetres as SUN RGB-D does: bits rotated left by three."""
    return (counts << np.uint16(3)) | (counts >> np.uint16(13))


def write_gray16(path: Path, counts: NDArray[np.uint16]) -> None:
    """Write a 16-bit PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), counts)


def _write_scene(root: Path, number: int) -> WrittenScene:
    pattern, shape, focal = _SCENES[number % len(_SCENES)]
    folder = "SUNRGBD/" + pattern.format(number + 1)
    matrix = np.array([[focal, 0, shape[1] / 2], [0, focal, shape[0] / 2], [0, 0, 1]])
    pitch = 0.15 + 0.02 * number
    seen = room(shape, matrix, seed=number, pitch=pitch)
    counts = np.round(seen.depth_m * 1000).astype(np.uint16)
    counts[2:4, 2:9] = 9500  # beyond the 8 m at which the toolbox cuts
    missing = np.zeros(shape, bool)
    missing[20:30, 10 + number : 30] = True
    image = f"{number:07d}"
    place = root / folder
    write_gray16(place / "depth" / f"{image}.png", rotate_bits(np.where(missing, 0, counts)))
    write_gray16(place / "depth_bfx" / f"{image}.png", rotate_bits(counts))
    (place / "image").mkdir(exist_ok=True)
    assert cv2.imwrite(str(place / "image" / f"{image}.jpg"), seen.rgb[..., ::-1])
    from_one = matrix + np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]])
    np.savetxt(place / "intrinsics.txt", from_one, "%.6f")
    # Optical coordinates (x right, y down, z ahead) times this are level ones.
    extrinsics = np.array(
        [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
    )
    (place / "extrinsics").mkdir(exist_ok=True)
    np.savetxt(place / "extrinsics" / "20140101000000.txt", np.c_[extrinsics, np.zeros(3)], "%.6f")
    label = seen.label.copy()
    return WrittenScene(
        folder, f"{image}.jpg", pattern.split("/")[0], seen.rgb,
        np.minimum(counts / 1000, 8).astype(np.float32), missing, label, matrix, seen.gravity,
    )  # fmt: skip


def write_sunrgbd(
    root: Path,
    *,
    frames: int = 8,
    test: Sequence[int] | None = None,
) -> WrittenSUNRGBD:
    """Write the folder tree and the toolbox's files of SUN RGB-D into `root`.

    Args:
        root: folder, made if need be.
        frames: number of scene folders; the four sensors take turns. Images are small.
        test: places (from 0) of the test split's scenes, by default every third.
    """
    scenes = [_write_scene(root, number) for number in range(frames)]
    test = list(range(2, frames, 3)) if test is None else list(test)
    train = [i for i in range(frames) if i not in test]
    _write_sun_meta(root, scenes)
    write_sun_labels(root, [scene.label for scene in scenes])
    write_sun_splits(root, [scenes[i].folder for i in train], [scenes[i].folder for i in test])
    return WrittenSUNRGBD(root, scenes, train, test)


def _write_sun_meta(root: Path, scenes: Sequence[WrittenScene]) -> None:
    """Write SUNRGBDMeta.mat: a struct array with the paths, K and Rtilt of each scene."""
    kinds = [(name, object) for name in (
        "sequenceName", "rgbpath", "rgbname", "depthpath", "depthname", "sensorType", "K", "Rtilt",
        "valid",
    )]  # fmt: skip
    records = np.empty((1, len(scenes)), kinds)
    # The toolbox's axes: right, ahead, up.
    axes = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    for i, scene in enumerate(scenes):
        _, down, ahead = scene.gravity
        extrinsics = np.array([[1, 0, 0], [0, down, ahead], [0, -ahead, down]])
        prefix = SUN_PREFIX + scene.folder
        depth_name = scene.image.replace(".jpg", ".png")
        matrix = scene.camera_matrix + np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]])
        records[0, i] = (
            scene.folder, f"{prefix}/image/{scene.image}", scene.image,
            f"{prefix}/depth_bfx/{depth_name}", depth_name, scene.sensor, matrix,
            axes @ extrinsics @ axes.T, 1.0,
        )  # fmt: skip
    (root / META_FILE).parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(root / META_FILE, {"SUNRGBDMeta": records})


def write_sun_labels(root: Path, labels: Sequence[NDArray[np.uint8]]) -> None:
    """Write SUNRGBD2Dseg.mat from 0-based labels (255: none); classes over the 37 become void."""
    path = root / LABEL_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        stored = file.create_group("#refs#")
        references = np.empty((len(labels), 1), h5py.ref_dtype)
        for i, label in enumerate(labels):
            from_one = np.where(label >= 37, 0, label + 1).astype(np.uint8)
            references[i, 0] = stored.create_dataset(f"s{i}", data=from_one.T).ref
        group = file.create_group("SUNRGBD2Dseg")
        group.create_dataset("seglabel", data=references, dtype=h5py.ref_dtype)
    _write_hdf5_header(path)


def write_sun_splits(root: Path, train: Sequence[str], test: Sequence[str]) -> None:
    """Write allsplit.mat; folders get the prefix, and every other one a slash, as the real has."""
    (root / SPLIT_FILE).parent.mkdir(parents=True, exist_ok=True)
    cells = {}
    for name, folders in (("alltrain", train), ("alltest", test)):
        cell = np.empty((1, len(folders)), object)
        for i, folder in enumerate(folders):
            cell[0, i] = f"{SUN_PREFIX}{folder}{'/' * (i % 2)}"
        cells[name] = cell
    scipy.io.savemat(root / SPLIT_FILE, cells)
