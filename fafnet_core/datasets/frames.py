"""RGB-D frames in files: images, and camera files.

A `camera.yaml` has `fx fy cx cy` (pixels, counted from 0), `width height`, and `depth_unit_m`, the
metres of one depth count.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.frame import RgbdFrame
from fafnet_core.image_files import check_image_file
from fafnet_core.settings import check_fields, read_section, read_settings

Positive = Annotated[float, "0 < x"]
Pixels = Annotated[int, "1 <= x"]

COLOUR_FOLDERS = ("color", "colour", "rgb", "image")
DEPTH_FOLDERS = ("depth",)
"""Names of folders, any of which will do."""
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
SUFFIXES = (*IMAGE_SUFFIXES, ".npy", ".pgm", ".pfm", ".exr")
"""Of images, and of depth."""
CAMERA_FILE = "camera.yaml"

_EXR = "OPENCV_IO_ENABLE_OPENEXR"
_SATURATED = np.iinfo(np.uint16).max
"""Count of a 16-bit depth image that means no depth, not 65.535 m."""


@dataclass(frozen=True)
class CameraFile:
    """A pinhole camera as a `camera.yaml` states it; sizes are None where it has none.

    Raises:
        FieldError: a value is not a number, or is out of range.
    """

    fx: Positive
    fy: Positive
    cx: float
    cy: float
    width: Pixels | None = None
    height: Pixels | None = None
    depth_unit_m: Positive = 0.001

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def camera_matrix(self) -> NDArray[np.float64]:
        """The (3, 3) float64 matrix, pixel centres at whole numbers."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    def camera(self, image: NDArray[Any], path: Path) -> Camera:
        """Return the camera of an image.

        Raises:
            ValueError: the image does not have the size that the file states.
        """
        height, width = image.shape[:2]
        if (self.width or width, self.height or height) != (width, height):
            raise ValueError(
                f"{path} is {width}x{height}, but its camera file says {self.width}x{self.height};"
                " use the camera file of this camera and resolution"
            )
        return Camera.from_matrix(self.camera_matrix, (height, width))


def read_camera_file(path: str | Path, depth_unit_m: float = 0.001) -> CameraFile:
    """Read a `camera.yaml`.

    Args:
        path: the file.
        depth_unit_m: metres of one depth count, where the file does not say.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a key is missing, unknown, not a number or out of range.
    """
    settings = read_settings(path)
    camera = read_section(CameraFile, settings, "")
    says = "depth_unit_m" in settings.keys("")
    return camera if says else replace(camera, depth_unit_m=depth_unit_m)


def read_stored(path: Path, flags: int = cv2.IMREAD_UNCHANGED) -> NDArray[Any]:
    """Read an image as it is on disk: its own type and channels, colours as blue, green, red.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, no image of a format that is read here, or one of more pixels than
            `image_files.MOST_PIXELS`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no image at {path}")
    check_exr_allowed(path)
    content = path.read_bytes()
    check_image_file(content, str(path))
    # imdecode, not imread: imread prints its own warnings and follows EXIF rotation by default.
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(f"{path} is not an image that OpenCV can read, or it is cut short")
    return image


def check_exr_allowed(path: Path) -> None:
    """Refuse an EXR image where OpenCV will not read it (ValueError)."""
    if path.suffix.lower() != ".exr":
        return
    if not os.environ.get(_EXR):
        raise ValueError(
            f"{path} is an EXR image, which OpenCV reads only where {_EXR}=1 is set, because its"
            " decoder has had security faults: set it for files that you trust, or convert them to"
            " float TIFF"
        )
    if not _has_exr():
        raise ValueError(
            f"{path} is an EXR image, which this OpenCV ({cv2.__version__}) cannot read: it was"
            " built without OpenEXR. Take OpenCV 4, or convert it to float TIFF"
        )


def _has_exr() -> bool:
    try:
        return cv2.haveImageWriter(".exr")
    except cv2.error:  # the variable was not set when this process first asked
        return False


def read_rgb(path: str | Path) -> NDArray[np.uint8]:
    """Read a colour image as (H, W, 3) uint8 RGB; a grey one is repeated in each channel."""
    bgr = read_stored(Path(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    rgb: NDArray[np.uint8] = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)  # type: ignore[assignment]
    return rgb


def read_depth(path: str | Path, depth_unit_m: float = 0.001) -> NDArray[np.float32]:
    """Read depth as (H, W) float32 metres.

    A 16-bit image (PNG, TIFF, PGM) holds counts of `depth_unit_m`; one in floating point (TIFF,
    PFM, EXR, `.npy`) is already in metres, in one channel or in several equal ones. Saturated
    counts (65535) come back as 0, which means "no depth" as 0 itself does.

    Raises:
        FileNotFoundError: no such file.
        ValueError: neither one channel of 16 bits nor floats.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        # Not np.load, which takes archives and pickles for arrays too.
        values = _read_array(path)
        if values.ndim != 2 or not np.issubdtype(values.dtype, np.floating):
            raise ValueError(
                f"{path} holds {values.dtype} {values.shape}; a depth .npy is (height, width) of"
                " floats in metres"
            )
        return np.ascontiguousarray(values, np.float32)
    counts = read_stored(path)
    if np.issubdtype(counts.dtype, np.floating):
        first = counts if counts.ndim == 2 else counts[..., 0]
        if counts.ndim == 2 or np.array_equal(counts[..., :3], np.stack([first] * 3, 2), True):
            return np.ascontiguousarray(first, np.float32)
    if counts.dtype != np.uint16 or counts.ndim != 2:
        raise ValueError(
            f"{path} is {counts.dtype} with shape {counts.shape}; a depth image has one channel"
            " of 16 bits, or of floats in metres. 8-bit and coloured images are for display: take"
            " the original"
        )
    return metres_of_counts(counts, depth_unit_m)


def metres_of_counts(counts: NDArray[np.uint16], depth_unit_m: float) -> NDArray[np.float32]:
    """Return 16-bit counts as float32 metres; saturated ones (65535) as 0, no depth."""
    depth_m = counts.astype(np.float32)
    depth_m *= np.float32(depth_unit_m)
    depth_m[counts == _SATURATED] = 0
    return depth_m


def _read_array(path: Path) -> NDArray[Any]:
    shape, dtype, is_transposed, begin = _array_header(path)
    # Never more than the file has: a header may say anything.
    values = np.fromfile(path, dtype, math.prod(shape), offset=begin)
    return values.reshape(shape[::-1]).T if is_transposed else values.reshape(shape)


def array_shape(path: Path) -> tuple[int, ...]:
    """Return the shape of a `.npy` file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, cut short, or no array of numbers.
    """
    return _array_header(path)[0]


def _array_header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any], bool, int]:
    """Return shape, type, whether columns come first, and where the numbers begin.

    NumPy reads archives and pickles where it expects an array; of these only the header is read.
    """
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
            known = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }
            shape, is_transposed, dtype = known[version](file)  # type: ignore[no-untyped-call]
            begin = file.tell()
        # NumPy's parser of headers raises many types, those of Python's tokenizer among them.
        except Exception as error:
            raise ValueError(f"{path} is not a .npy array, or it is cut short: {error}") from error
    if dtype.kind not in "biuf" or any(not isinstance(side, int) or side < 0 for side in shape):
        raise ValueError(f"{path} holds {dtype} {shape}; a .npy file holds numbers, no objects")
    size, needed = path.stat().st_size - begin, math.prod(shape) * dtype.itemsize
    if size < needed:
        raise ValueError(
            f"{path} is cut short: {size} bytes follow its header, and {dtype} {shape} takes"
            f" {needed}"
        )
    return shape, dtype, is_transposed, begin


def by_number(name: str) -> tuple[list[str | int], str]:
    """Return what sorts names so that the numbers in them compare as numbers.

    Every second part is a number; names of equal parts (1, 01) go by their letters.
    """
    parts = re.split(r"(\d+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def images_of(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> dict[str, Path]:
    """Return the images in a folder by their names without suffix; hidden files are none.

    Hidden are, among others, what macOS writes beside each file on foreign disks: ._NAME.png.

    Raises:
        ValueError: two files have one name.
    """
    images: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        is_image = path.suffix.lower() in suffixes and not path.name.startswith(".")
        if not is_image or not path.is_file():
            continue
        if path.stem in images:
            raise ValueError(
                f"{images[path.stem]} and {path.name} have the same name; a frame has one image of"
                " each kind: remove one of them"
            )
        images[path.stem] = path
    return images


def find_camera_file(path: Path) -> Path:
    """Return the `camera.yaml` in this folder (or beside this file), or one folder up."""
    folder = (path if path.is_dir() else path.parent).absolute()
    for candidate in (folder / CAMERA_FILE, folder.parent / CAMERA_FILE):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"no {CAMERA_FILE} in {folder} or above it; write one with fx, fy, cx, cy (pixels) and"
        " depth_unit_m, or name one"
    )


def read_frame(
    rgb_path: Path, depth_path: Path, camera: CameraFile, *, frame_id: str = ""
) -> RgbdFrame:
    """Read one pair of images; both need the size of the camera file, if it states one."""
    rgb = read_rgb(rgb_path)
    depth_m = read_depth(depth_path, camera.depth_unit_m)
    camera.camera(depth_m, depth_path)
    seen_by = camera.camera(rgb, rgb_path)
    return RgbdFrame(rgb=rgb, depth_m=depth_m, camera=seen_by, frame_id=frame_id or rgb_path.stem)
