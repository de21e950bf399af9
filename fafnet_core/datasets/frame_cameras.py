"""What recordings in folders say of their cameras, as the tools that wrote them have it."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fafnet_core.camera import Size
from fafnet_core.datasets.frames import CameraFile, by_number, read_camera_file
from fafnet_core.registration import Extrinsics

SCANNET_CAMERAS = (
    ("intrinsic/intrinsic_color.txt", "intrinsics_color.txt"),
    ("intrinsic/intrinsic_depth.txt", "intrinsics_depth.txt"),
)
"""As SensReader writes them, and as the frames of its benchmark, `scannet_frames_25k`, are."""
RECORD3D_METADATA = ("metadata", "metadata.json")
OPEN3D_CAMERAS = ("camera_intrinsic.json", "intrinsic.json")

DEPTH_CAMERA_FILE = "depth_camera.yaml"
"""The depth camera of a RealSense, where its images are not registered."""

_TUM_NAME = re.compile(r"(?:freiburg|(?<![a-z])fr)([123])", re.IGNORECASE)
_TUM_CAMERAS = {
    "1": (517.3, 516.5, 318.6, 255.3),
    "2": (520.9, 521.0, 325.1, 249.7),
    "3": (535.4, 539.2, 320.1, 247.6),
    "": (525.0, 525.0, 319.5, 239.5),
}


@dataclass(frozen=True, kw_only=True)
class Cameras:
    """What a layout's own files say of the cameras.

    Attributes:
        colour: the colour camera and the depth unit; None: they say nothing of it.
        source: where `colour` is from.
        depth: the depth camera; None: depth is registered to colour.
        depth_to_colour: the transform between them; None: they do not say.
        depth_size: (height, width) of depth in files that do not say theirs.
        assumed: what was assumed of `colour`, and what would settle it.
        doubt: the same of depth.
    """

    colour: CameraFile | None = None
    source: str = ""
    depth: CameraFile | None = None
    depth_to_colour: Extrinsics | None = None
    depth_size: Size | None = None
    assumed: str = ""
    doubt: str = ""


def nothing_known(root: Path) -> Cameras:
    """Return no camera: it takes a `camera.yaml`."""
    return Cameras()


def tum_cameras(root: Path) -> Cameras:
    """Return TUM's published camera, by the name that its downloads have."""
    named = _TUM_NAME.search(root.resolve().name)
    number = "" if named is None else named[1]
    camera = CameraFile(*_TUM_CAMERAS[number], width=640, height=480, depth_unit_m=1 / 5000)
    if number:
        return Cameras(colour=camera, source=f"TUM's freiburg{number}, by the folder's name")
    return Cameras(
        colour=camera,
        source="a Kinect's default",
        assumed=(
            f"{root} has no camera.yaml and no name with freiburg1, 2 or 3: takes ROS's default for"
            " a Kinect (525, 525, 319.5, 239.5); write a camera.yaml with the right one"
        ),
    )


def scannet_cameras(root: Path) -> Cameras:
    """Return both cameras; depth has its own matrix and, as a rule, colour's place.

    Raises:
        FileNotFoundError: the file of one is not there.
        ValueError: it holds no matrix.
    """
    colour_path, depth_path = (_first(root, *names) for names in SCANNET_CAMERAS)
    if colour_path is None or depth_path is None:
        wanted = " and ".join(names[0] for names in SCANNET_CAMERAS)
        raise FileNotFoundError(f"{root} has no {wanted}; export them with --export_intrinsics")
    # Sensors whose streams were not calibrated have transforms to a common frame.
    to_common = [
        _transform(path.with_name(path.name.replace("intrinsic", "extrinsic")))
        for path in (colour_path, depth_path)
    ]
    return Cameras(
        colour=_text_camera(colour_path),
        source=colour_path.name,
        depth=_text_camera(depth_path),
        depth_to_colour=to_common[0].inverse() @ to_common[1],
    )


def record3d_cameras(root: Path) -> Cameras:
    """Return the camera of the first frame; the focus of later ones differs by little.

    `K` has its nine numbers column by column.
    """
    path = _first(root, *RECORD3D_METADATA)
    if path is None:
        raise FileNotFoundError(f"{root} has no {' or '.join(RECORD3D_METADATA)}")
    values = _json(path)
    matrix = _matrix(path, values.get("K"), "K").T
    camera = _camera(path, matrix, (values.get("w"), values.get("h")))
    height, width = values.get("dh"), values.get("dw")
    size = None
    if isinstance(height, int) and isinstance(width, int):
        size = height, width
    return Cameras(colour=camera, source=path.name, depth_size=size)


def open3d_cameras(root: Path) -> Cameras:
    """Return the one camera; the recorders register depth to colour."""
    path = _first(root, *OPEN3D_CAMERAS)
    return Cameras(colour=read_open3d_camera(root), source=path.name if path else "")


def realsense_cameras(root: Path) -> Cameras:
    """Return the depth camera; of the colour camera these tools write nothing."""
    if (file := root / DEPTH_CAMERA_FILE).is_file():
        return Cameras(depth=read_camera_file(file))
    if metadata := sorted(root.glob("*_Depth_metadata.csv"), key=lambda path: by_number(path.name)):
        camera = _viewer_camera(metadata[0])
        assert camera.height is not None
        assert camera.width is not None
        return Cameras(depth=camera, depth_size=(camera.height, camera.width))
    doubt = (
        f"nothing in {root} says how depth's camera stands: depth is taken as registered to colour,"
        f" which rs-convert does not do; put its fx, fy, cx, cy into {DEPTH_CAMERA_FILE} and give"
        " the transform between the cameras, or label the recording itself (fafnet segment"
        " FILE.bag)"
    )
    return Cameras(doubt=doubt)


def read_open3d_camera(root: Path) -> CameraFile | None:
    """Return the camera that Open3D's recorders leave in a folder; None where there is none.

    `intrinsic_matrix` has its nine numbers column by column; `depth_scale` is the counts of a
    metre, and not every recorder writes it.

    Raises:
        ValueError: another form.
    """
    path = _first(root, *OPEN3D_CAMERAS)
    if path is None:
        return None
    values = _json(path)
    scale = values.get("depth_scale", 1000)
    if not isinstance(scale, int | float) or scale <= 0:
        raise ValueError(f"{path}: depth_scale is {scale!r}; wanted the counts of a metre, above 0")
    matrix = _matrix(path, values.get("intrinsic_matrix"), "intrinsic_matrix").T
    size = values.get("width"), values.get("height")
    return _camera(path, matrix, size, 1 / scale)


def _viewer_camera(path: Path) -> CameraFile:
    """Read the camera of a `..._Depth_metadata.csv` of realsense-viewer."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        values = {row[0].strip(): row[1].strip() for row in csv.reader(file) if len(row) > 1}
    wanted = ("Fx", "Fy", "PPx", "PPy", "Resolution x", "Resolution y")
    try:
        fx, fy, cx, cy, width, height = (float(values[name]) for name in wanted)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} has no numbers {', '.join(wanted)}, as the viewer has") from error
    return CameraFile(fx, fy, cx, cy, int(width), int(height))


def _text_camera(path: Path) -> CameraFile:
    """Read the matrix of a camera as ScanNet has it, (4, 4) or (3, 3); it has no size."""
    return _camera(path, _table(path)[:3, :3])


def _transform(path: Path) -> Extrinsics:
    """Read a rigid transform (4, 4); the identity where there is no such file."""
    if not path.is_file():
        return Extrinsics.identity()
    values = _table(path)
    if values.shape != (4, 4):
        raise ValueError(f"{path} holds a matrix {values.shape}; wanted a transform (4, 4)")
    return Extrinsics(values[:3, :3], values[:3, 3])


def _table(path: Path) -> NDArray[np.float64]:
    try:
        values = np.loadtxt(path, np.float64, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path} holds no matrix: {error}") from error
    if values.shape not in {(4, 4), (3, 3)}:
        raise ValueError(f"{path} holds {values.shape} numbers; wanted a matrix (4, 4) or (3, 3)")
    return values


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds {type(values).__name__}; wanted keys with values")
    return values


def _matrix(path: Path, values: ArrayLike | None, key: str) -> NDArray[np.float64]:
    """Return nine numbers as (3, 3), row by row."""
    try:
        return np.array(values, np.float64).reshape(3, 3)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {key} is {values!r}; wanted nine numbers") from error


def _camera(
    path: Path,
    matrix: NDArray[np.float64],
    size: tuple[Any, Any] = (None, None),
    depth_unit_m: float = 0.001,
) -> CameraFile:
    (fx, _, cx), (_, fy, cy), last = matrix.tolist()
    if last != [0, 0, 1]:
        raise ValueError(
            f"{path} has the camera matrix {matrix.tolist()}; its last row is not 0, 0, 1: it lies"
            " the other way around, or is of something else"
        )
    try:
        return CameraFile(fx, fy, cx, cy, *size, depth_unit_m)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _first(root: Path, *names: str) -> Path | None:
    return next((root / name for name in names if (root / name).is_file()), None)
