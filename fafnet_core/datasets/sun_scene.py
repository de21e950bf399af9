"""One scene folder of SUN RGB-D: its rotated depth bits, its camera, and which way is down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.datasets.frames import read_stored
from fafnet_core.datasets.images import check_one_size

FARTHEST_M = 8.0
"""Larger depths become this one, as in the toolbox."""

_ROTATION_TOLERANCE = 0.01


@dataclass(frozen=True)
class SunScene:
    """A scene as SUNRGBDMeta.mat describes it.

    Attributes:
        name: the folder relative to `SUNRGBD/`.
        rgb_name: file in `image/`.
        depth_name: file in `depth_bfx/`, and usually in `depth/`.
        camera_matrix: (3, 3) float64, counted from 0; None: the folder has it.
        gravity: (3,) float64, the downward direction; None: the folder may have it.
    """

    name: str
    rgb_name: str
    depth_name: str
    camera_matrix: NDArray[np.float64] | None
    gravity: NDArray[np.float64] | None

    @property
    def sensor(self) -> str:
        """What recorded it: kv1, kv2, realsense or xtion."""
        return self.name.partition("/")[0]

    def files(self, folder: Path) -> tuple[Path, Path]:
        """Return the colour image and the in-painted depth image."""
        return folder / "image" / self.rgb_name, folder / "depth_bfx" / self.depth_name

    def read_depth(
        self, folder: Path
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None, Path]:
        """Return in-painted depth (H, W) in metres, the in-painted pixels, and the depth's file.

        The second is None if the scene has no depth from before in-painting.
        """
        path = self.files(folder)[1]
        depth_m = decode_depth(read_counts(path))
        raw_path = folder / "depth" / self.depth_name
        if not raw_path.is_file():
            return depth_m, None, path
        missing: NDArray[np.bool_] = read_counts(raw_path) == 0
        check_one_size([(path, depth_m), (raw_path, missing)])
        return depth_m, missing, path


def read_counts(path: Path) -> NDArray[np.uint16]:
    """Read a 16-bit depth image (H, W) as it is on disk, bits still rotated.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or not one channel of 16 bits.
    """
    counts = read_stored(path)
    if counts.dtype != np.uint16 or counts.ndim != 2:
        raise ValueError(
            f"{path} is {counts.dtype} with shape {counts.shape}; SUN RGB-D's depth has one channel"
            " of 16 bits. Take the original download"
        )
    return counts


def decode_depth(counts: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return metres, at most 8, of counts whose bits are rotated left by three; 0 stays 0."""
    millimetres = (counts >> np.uint16(3)) | (counts << np.uint16(13))
    depth_m = millimetres.astype(np.float32) * np.float32(0.001)
    cut: NDArray[np.float32] = np.minimum(depth_m, np.float32(FARTHEST_M))
    return cut


def camera_from_one(matrix: Any) -> NDArray[np.float64]:
    """Return a camera matrix for pixels counted from 0, given one for pixels counted from 1."""
    from_zero = np.array(matrix, np.float64)
    from_zero[:2, 2] -= 1
    return from_zero


def is_camera(values: Any) -> bool:
    """Tell whether this is a 3x3 camera matrix; some entries of the file are empty or zero."""
    return _is_3x3(values) and bool(values[0, 0] > 0 and values[1, 1] > 0)


def is_rotation(values: Any) -> bool:
    """Tell whether this is a 3x3 rotation, with the few digits of the data set's files."""
    if not _is_3x3(values):
        return False
    return bool(np.allclose(values @ values.T, np.eye(3), atol=_ROTATION_TOLERANCE))


def _is_3x3(values: Any) -> bool:
    array = np.asarray(values)
    return array.shape == (3, 3) and array.dtype.kind in "fiu" and bool(np.isfinite(array).all())


def gravity_from_rtilt(rtilt: Any) -> NDArray[np.float64]:
    """Return the downward direction (3,) in the optical frame from the toolbox's Rtilt.

    The toolbox makes points p' = (X, Z, -Y) (right, ahead, up) of optical ones (X, Y, Z) (right,
    down, ahead) and levels them as Rtilt p'. Down is (0, 0, -1) there, so before levelling it is
    d' = Rtilt^T (0, 0, -1), minus the last row of Rtilt; and as an optical direction
    (d'_0, -d'_2, d'_1).
    """
    right, ahead, up = -np.asarray(rtilt, np.float64)[2]
    return np.array([right, -up, ahead])


def gravity_from_extrinsics(extrinsics: Any) -> NDArray[np.float64]:
    """Return the downward direction (3,) in the optical frame from a scene's `extrinsics/`.

    Rtilt is A E A^T, where E is the left 3x3 of that file and A takes (X, Y, Z) to (X, Z, -Y). So
    E levels optical points in optical axes, and down is E^T (0, 1, 0), the second row of E.
    """
    down: NDArray[np.float64] = np.asarray(extrinsics, np.float64)[1, :3].copy()
    return down


def scene_camera(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Read a scene's own `intrinsics.txt` and the newest file of its `extrinsics/`.

    Returns:
        The camera matrix (3, 3) float64, counted from 0; and the downward direction (3,) float64,
        None if there are no extrinsics.

    Raises:
        FileNotFoundError: no `intrinsics.txt`.
        ValueError: a file does not hold a matrix.
    """
    path = folder / "intrinsics.txt"
    if not path.is_file():
        raise FileNotFoundError(f"no camera for {folder}: it has no intrinsics.txt")
    matrix = camera_from_one(_read_numbers(path, 9).reshape(3, 3))
    # Named by the time of the annotation: the last one is valid.
    newest = max((folder / "extrinsics").glob("*.txt"), default=None)
    if newest is None:
        return matrix, None
    extrinsics = _read_numbers(newest, 12).reshape(3, 4)
    if not is_rotation(extrinsics[:, :3]):
        raise ValueError(f"{newest} holds no rotation in its first three columns")
    return matrix, gravity_from_extrinsics(extrinsics)


def _read_numbers(path: Path, count: int) -> NDArray[np.float64]:
    try:
        numbers = np.array(path.read_text(encoding="utf-8").split(), np.float64)
    except ValueError as error:
        raise ValueError(f"{path} does not hold numbers: {error}") from error
    if numbers.size != count or not np.isfinite(numbers).all():
        raise ValueError(f"{path} holds {numbers.size} numbers; wanted {count} finite ones")
    return numbers
