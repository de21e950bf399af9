"""Doors of files: settings, labels, cameras, lists, images and MATLAB's."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.io
from door import Door
from PIL import Image

from fafnet_core.datasets.frames import read_camera_file, read_depth, read_rgb
from fafnet_core.datasets.image_lists import read_image_list
from fafnet_core.datasets.images import image_size
from fafnet_core.datasets.label_images import read_label_counts
from fafnet_core.datasets.matlab import read_matlab5
from fafnet_core.datasets.prepare.records import Manifest
from fafnet_core.labels import NYU40
from fafnet_core.labels.files import read_label_set
from fafnet_core.labels.mappings import read_mapping
from fafnet_core.training.config import read_config

_CONFIG = Path(__file__).resolve().parents[2] / "config"
_NAMED = (ValueError, FileNotFoundError)
"""Of files that name others, which may not be there."""


def _of_file(name: str, read: Callable[[Path], Any]) -> Callable[[bytes, Path], Any]:
    def call(data: bytes, folder: Path) -> Any:
        path = folder / name
        path.write_bytes(data)
        return read(path)

    return call


def _texts(*texts: str) -> Callable[[Path], list[bytes]]:
    return lambda folder: [text.encode() for text in texts]


def _settings_seeds(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(_CONFIG.glob("nyuv2*.yaml"))[:3]]


_LABEL_SETS = _texts(
    "name: kitchen\nnames: [floor, wall, cup]\ncolours:\n  floor: [201, 167, 124]\n"
    '  wall: "#a3b4c4"\n'
    "unlabelled: 255\ngroups: {traversable: [floor]}\nsource: someone\n",
    json.dumps(NYU40.to_dict()),
)
_MAPPINGS = _texts(
    "from_set: nyu40\nto_set: kitchen.yaml\nclasses:\n  wall: wall\n  floor: null\n",
    "from_set: nyu40\nclasses: {wall: wall, floor mat: floor, chair: null}\nsource: someone\n",
)
_CAMERAS = _texts(
    "fx: 525.0\nfy: 525.0\ncx: 319.5\ncy: 239.5\nwidth: 640\nheight: 480\ndepth_unit_m: 0.001\n"
)
_LISTS = _texts(
    "image/a.png\timage/a.jpg\nb\n\nc.png c.png\n", "\ufeff1.png\r\n2.png\r\n../3.png\r\n"
)


def _manifest_seeds(folder: Path) -> list[bytes]:
    frame = {
        "name": "kv1/0000", "split": "train", "sensor": "kv1", "scene": "a", "size": [48, 64],
        "camera_matrix": [[50, 0, 31], [0, 50, 23], [0, 0, 1]], "gravity": None,
        "files": {kind: {"size": 9} for kind in ("rgb", "depth", "hha", "labels")},
    }  # fmt: skip
    values = {
        "format": "fafnet prepared", "version": 1, "settings": {"a": 1},
        "label_set": NYU40.to_dict(), "made_by": {"numpy": "2"}, "frames": [frame],
    }  # fmt: skip
    from fafnet_core.datasets.prepare.layout import FORMAT, VERSION

    return [json.dumps(values | {"format": FORMAT, "version": VERSION}).encode()]


def _read_manifest(data: bytes, folder: Path) -> None:
    from fafnet_core.datasets.prepare.layout import MANIFEST_FILE

    (folder / MANIFEST_FILE).write_bytes(data)
    Manifest.read(folder)


def _preset_seeds(folder: Path) -> list[bytes]:
    return [(_CONFIG / "cameras.yaml").read_bytes()[:3000].rpartition(b"\n")[0] + b"\n"]


def _read_presets(path: Path) -> None:
    from fafnet_ros.cameras.presets import read_presets

    read_presets(path)


def _parameter_seeds(folder: Path) -> list[bytes]:
    return [b"/**:\n  ros__parameters:\n    rate: 1.5\n    day: 2001-02-03\n    names: [a, b]\n"]


def _check_parameters(path: Path) -> None:
    from fafnet_ros.cameras.presets import check_parameter_file

    check_parameter_file(path)


# Images


def _pictures(kind: type) -> np.ndarray[Any, Any]:
    rows, columns = np.indices((24, 32))
    return np.stack([rows * 5, columns * 4, rows + columns], axis=2).astype(kind)


def _encoded(suffix: str, image: Any, *options: int) -> bytes:
    return bytes(cv2.imencode(suffix, image, options)[1].tobytes())


def _colour_seeds(folder: Path) -> list[bytes]:
    image = _pictures(np.uint8)
    slow = _encoded(".jpg", image, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    suffixes = (".png", ".jpg", ".bmp", ".tiff", ".ppm")
    return [*(_encoded(suffix, image) for suffix in suffixes), slow]


def _depth_seeds(folder: Path) -> list[bytes]:
    counts = _pictures(np.uint16)[..., 0] + 700
    metres = counts.astype(np.float32) / 1000
    of_counts = [_encoded(suffix, counts) for suffix in (".png", ".tiff", ".pgm")]
    return [*of_counts, _encoded(".tiff", metres), _encoded(".pfm", metres)]


def _array_seeds(folder: Path) -> list[bytes]:
    arrays = (np.ones((24, 32), np.float32), np.ones((3, 4), np.float64, order="F"))
    seeds = []
    for array in arrays:
        file = io.BytesIO()
        np.lib.format.write_array(file, array, version=(1, 0))  # type: ignore[no-untyped-call]
        seeds.append(file.getvalue())
    archive = io.BytesIO()
    np.savez(archive, depth=arrays[0])
    return [*seeds, archive.getvalue()]


def _label_seeds(folder: Path) -> list[bytes]:
    labels = _pictures(np.uint8)[..., 0] % 40
    indexed = io.BytesIO()
    picture = Image.fromarray(labels, "L").convert("P")
    picture.save(indexed, "PNG")
    return [
        _encoded(".png", labels),
        _encoded(".png", labels.astype(np.uint16)),
        indexed.getvalue(),
    ]


def _read_labels(data: bytes, folder: Path) -> Any:
    path = folder / "labels.png"
    path.write_bytes(data)
    size = image_size(path)
    labels = read_label_counts(path)
    assert size == labels.shape
    return labels


def _read_array(data: bytes, folder: Path) -> Any:
    path = folder / "depth.npy"
    path.write_bytes(data)
    image_size(path)
    return read_depth(path)


# MATLAB


def _matlab_seeds(folder: Path) -> list[bytes]:
    seeds = []
    record = {"rgbpath": "SUNRGBD/a/image/a.jpg", "K": np.eye(3), "Rtilt": np.eye(3)}
    values: Any = {
        "trainNdxs": np.arange(1, 5), "testNdxs": np.arange(5, 9),
        "names": np.array(["a", "bc"], object), "record": record,
    }  # fmt: skip
    path = folder / "seed.mat"
    for compress in (False, True):
        scipy.io.savemat(path, values, do_compression=compress)
        seeds.append(path.read_bytes())
    return seeds


def _read_matlab5(path: Path) -> Any:
    values = read_matlab5(path, ("trainNdxs", "testNdxs"))
    read_matlab5(path, ("names", "record"))
    return list(values.values())


def _original_seeds(folder: Path) -> list[bytes]:
    from originals import write_nyuv2

    write_nyuv2(folder / "nyuv2")
    return [(folder / "nyuv2" / "nyu_depth_v2_labeled.mat").read_bytes()]


def _read_original(data: bytes, folder: Path) -> Any:
    from fafnet_core.datasets.nyuv2 import LABELED_FILE, NYUv2

    (folder / "nyuv2" / LABELED_FILE).write_bytes(data)
    NYUv2(folder / "nyuv2", "train", 0.0)


DOORS = (
    Door("settings", _settings_seeds, _of_file("train.yaml", read_config), _NAMED),
    Door("label set file", _LABEL_SETS, _of_file("set.yaml", read_label_set)),
    Door("mapping file", _MAPPINGS, _of_file("map.yaml", read_mapping), _NAMED, accepts=False),
    Door("camera file", _CAMERAS, _of_file("camera.yaml", read_camera_file)),
    Door("camera presets", _preset_seeds, _of_file("cameras.yaml", _read_presets)),
    Door("ROS parameters", _parameter_seeds, _of_file("params.yaml", _check_parameters)),
    Door("image list", _LISTS, _of_file("train.txt", read_image_list)),
    Door("manifest", _manifest_seeds, _read_manifest),
    Door("colour image file", _colour_seeds, _of_file("a.png", read_rgb)),
    Door("depth image file", _depth_seeds, _of_file("a.png", read_depth)),
    Door("depth array file", _array_seeds, _read_array, accepts=False),
    Door("label image file", _label_seeds, _read_labels),
    Door("MATLAB 5 file", _matlab_seeds, _of_file("a.mat", _read_matlab5)),
    Door("NYUv2 (MATLAB 7.3)", _original_seeds, _read_original, _NAMED, share=0.01),
)
