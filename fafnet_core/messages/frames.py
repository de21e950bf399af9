"""A colour and a depth message, as they come, to one RGB-D frame.

Every frame is looked at by itself: a driver that aligns depth to colour may, now and then, send a
frame that it has not aligned. Depth counts as registered to colour where it has colour's size
and frame id, and its own camera_info, if there is one, the same matrix. A camera_info of another
frame is not depth's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fafnet_core.input_size import scaled_camera
from fafnet_core.messages.camera_info import camera_matrix
from fafnet_core.messages.compressed import compressed_to_depth_m, compressed_to_rgb
from fafnet_core.messages.depth_camera import DepthCamera, depth_camera
from fafnet_core.messages.images import image_to_depth_m, image_to_rgb
from fafnet_core.messages.protocols import CameraInfoFields, CompressedImageFields, ImageFields
from fafnet_core.registration import DepthRegistration, Extrinsics

Registration = Literal["auto", "always", "never"]
FindExtrinsics = Callable[[str, str], Extrinsics | None]
"""From the frame ids of depth and of colour to the transform between them, where it is known."""

_SAME_CAMERA = 0.01
"""Matrices that differ by less, over the focal length, are of one camera: drivers round them."""

_REMEDY = (
    "Have the driver register it (RealSense: align_depth.enable:=true, Orbbec:"
    " depth_registration:=true), or let it be done here, which takes the camera_info of depth and"
    " the transform between the cameras (parameter depth_to_color, its topic, or TF)"
)


@dataclass(frozen=True, kw_only=True)
class FrameSettings:
    """How messages become frames.

    Attributes:
        rectified: the images are rectified: matrices come from P, not from K.
        camera_matrix: fx, fy, cx, cy of the colour image in place of its camera_info, or empty.
        depth_scale: metres of one count of depth; None: as its encoding says.
        registration: "auto" registers the frames that are not; "always" all; "never" none.

    Raises:
        ValueError: a camera_matrix that is none.
    """

    rectified: bool = False
    camera_matrix: tuple[float, ...] = ()
    depth_scale: float | None = None
    registration: Registration = "auto"

    def __post_init__(self) -> None:
        if not self.camera_matrix:
            return
        matrix = np.array(self.camera_matrix)
        if not (np.isfinite(matrix).all() and (matrix[:2] > 0).all()):
            raise ValueError(
                f"camera_matrix is {list(self.camera_matrix)}; wanted fx, fy, cx, cy in pixels,"
                " with focal lengths above zero"
            )


@dataclass(frozen=True)
class Frame:
    """One RGB-D frame.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth_m: (H, W) float32 metres, registered to colour; 0, NaN or infinite where none.
        camera_matrix: (3, 3) float64 of the colour image.
        registered_here: depth came in the depth camera's own image.
        doubt: why depth may not be registered, with the remedy; None where nothing speaks for it.
        seconds: how long each stage took: `decode`, and `register` where it was done.
    """

    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    camera_matrix: NDArray[np.float64]
    registered_here: bool
    doubt: str | None
    seconds: dict[str, float]


class FrameBuilder:
    """Decodes, and registers depth where it has to; keeps the tables of the cameras it saw last.

    Args:
        settings: see `FrameSettings`.
        to_rgb: decodes an uncompressed colour image; raises ValueError.
        depth_info_topic: where depth's camera_info comes from, for messages; empty: not known.

    Attributes:
        depth_info_missed_at: monotonic seconds when depth last had to be registered, and no
            camera_info of depth had come; minus infinity: never.
    """

    def __init__(
        self,
        settings: FrameSettings,
        to_rgb: Callable[[ImageFields], NDArray[np.uint8]] = image_to_rgb,
        depth_info_topic: str = "",
    ) -> None:
        self._settings = settings
        self._to_rgb = to_rgb
        self._depth_info_topic = depth_info_topic
        self.depth_info_missed_at = float("-inf")
        self._tables: DepthRegistration | None = None
        self._tables_of: tuple[Any, ...] = ()

    def build(
        self,
        colour: ImageFields | CompressedImageFields,
        depth: ImageFields | CompressedImageFields,
        colour_info: CameraInfoFields | None,
        depth_info: CameraInfoFields | None = None,
        find_extrinsics: FindExtrinsics = lambda depth_frame, colour_frame: None,
    ) -> Frame:
        """Return the frame of these two images.

        Args:
            colour: an image or a compressed image, as `depth` (compressedDepth).
            depth: see `colour`.
            colour_info: of the colour image; not needed where the settings have its matrix.
            depth_info: of the depth image, where there is one.
            find_extrinsics: asked only for depth that has to be registered.

        Raises:
            ValueError: what came cannot be decoded, does not fit together, or depth has to be
                registered and cannot be; the message says what to do.
        """
        begun = time.perf_counter()
        rgb = self._decode_colour(colour)
        depth_m = self._decode_depth(depth)
        matrix = self._colour_matrix(colour_info, rgb)
        camera = self._depth_camera(depth_info, depth.header.frame_id, depth_m)
        decoded = time.perf_counter()
        frames = (depth.header.frame_id, colour.header.frame_id)
        tables, doubt = self._registration(
            (depth_m.shape, rgb.shape[:2]), camera, matrix, frames, find_extrinsics
        )
        seconds = {"decode": decoded - begun}
        if tables is not None:
            depth_m = tables(depth_m)
            seconds["register"] = time.perf_counter() - decoded
        return Frame(rgb, depth_m, matrix, tables is not None, doubt, seconds)

    def _decode_colour(self, message: Any) -> NDArray[np.uint8]:
        return compressed_to_rgb(message) if _is_compressed(message) else self._to_rgb(message)

    def _decode_depth(self, message: Any) -> NDArray[np.float32]:
        decode = compressed_to_depth_m if _is_compressed(message) else image_to_depth_m
        return decode(message, depth_scale=self._settings.depth_scale)

    def _colour_matrix(
        self, info: CameraInfoFields | None, rgb: NDArray[np.uint8]
    ) -> NDArray[np.float64]:
        if self._settings.camera_matrix:
            fx, fy, cx, cy = self._settings.camera_matrix
            return np.array(((fx, 0, cx), (0, fy, cy), (0, 0, 1)), np.float64)
        if info is None:
            raise ValueError(
                "no camera_info of the colour image came: remap rgb/camera_info to it, or set"
                " camera_matrix to [fx, fy, cx, cy]"
            )
        height, width = rgb.shape[:2]
        return camera_matrix(info, width, height, rectified=self._settings.rectified)

    def _depth_camera(
        self, info: CameraInfoFields | None, frame: str, depth_m: NDArray[np.float32]
    ) -> DepthCamera:
        if self._settings.registration == "never":
            return DepthCamera()
        return depth_camera(
            info,
            frame,
            depth_m.shape,
            rectified=self._settings.rectified,
            topic=self._depth_info_topic,
        )

    def _registration(
        self,
        shapes: tuple[tuple[int, ...], tuple[int, ...]],
        camera: DepthCamera,
        matrix: NDArray[np.float64],
        frames: tuple[str, str],
        find_extrinsics: FindExtrinsics,
    ) -> tuple[DepthRegistration | None, str | None]:
        """Return what registers this frame's depth, if it needs that, and a doubt, if there is one.

        Pairs are of depth and colour; `matrix` is colour's.
        """
        mode = self._settings.registration
        same_size = shapes[0] == shapes[1]
        if mode == "never":
            if not same_size:
                raise ValueError(f"{_sizes(shapes)}, and registration is 'never'. {_REMEDY}")
            return None, None
        same_frame = frames[0] == frames[1] and frames[0] != ""
        if same_frame and _one_camera(camera.others, matrix, shapes):
            camera = DepthCamera(camera.others)  # another name for colour's frame: simulators do so
        same_camera = camera.matrix is None or _one_camera(camera.matrix, matrix, shapes)
        is_colours = mode == "auto" and same_frame and same_camera  # colour's own image
        if is_colours and same_size:
            return None, None if camera.others is None else _in_colours_frame(camera, frames[0])
        # Asked even for one frame id: some recordings give all their streams the same.
        known = None if is_colours else find_extrinsics(*frames)
        extrinsics = known or (Extrinsics.identity() if same_frame else None)
        if extrinsics is not None and camera.matrix is not None:
            if mode == "auto" and same_size and same_camera and _is_one_place(extrinsics):
                return None, None
            doubt = None if known or same_camera else _one_frame_two_cameras(frames[0])
            return self._tables_for(camera.matrix, matrix, extrinsics, shapes), doubt
        if camera.has_not_come:
            self.depth_info_missed_at = time.monotonic()
        missing = _missing(camera, extrinsics, frames)
        if mode == "always" or not same_size:
            raise ValueError(f"depth cannot be registered: {missing}; {_sizes(shapes)}. {_REMEDY}")
        return None, (
            f"{_frames(frames)}: labels are right only if depth is registered to colour, and here"
            f" that cannot be done: {missing}. {_REMEDY}"
        )

    def _tables_for(
        self,
        depth_matrix: NDArray[np.float64],
        matrix: NDArray[np.float64],
        extrinsics: Extrinsics,
        shapes: tuple[tuple[int, ...], tuple[int, ...]],
    ) -> DepthRegistration:
        of = (
            depth_matrix.tobytes(),
            matrix.tobytes(),
            extrinsics.rotation.tobytes(),
            extrinsics.translation.tobytes(),
            shapes,
        )
        if self._tables is None or of != self._tables_of:
            (rows, columns), (height, width) = shapes
            self._tables = DepthRegistration(
                depth_matrix, matrix, extrinsics, (rows, columns), (height, width)
            )
            self._tables_of = of
        return self._tables


def _is_compressed(message: object) -> bool:
    return hasattr(message, "format")


def _one_camera(
    depth_matrix: NDArray[np.float64] | None,
    matrix: NDArray[np.float64],
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
) -> bool:
    """Whether depth's matrix is colour's, at depth's size."""
    if depth_matrix is None:
        return False
    scaled = scaled_camera(matrix, shapes[1], shapes[0])
    return bool((np.abs(depth_matrix - scaled) <= _SAME_CAMERA * scaled[0, 0]).all())


def _one_frame_two_cameras(frame: str) -> str:
    return (
        f"depth and colour are both in frame '{frame}', but their camera matrices differ: taken for"
        " two cameras in one place; if they are apart, set depth_to_color"
    )


def _in_colours_frame(camera: DepthCamera, frame: str) -> str:
    return (
        f"depth is in colour's frame '{frame}', but {camera.problem}: taken for registered; if it"
        f" is not, labels are wrong. {_REMEDY}"
    )


def _is_one_place(extrinsics: Extrinsics) -> bool:
    """Whether two cameras cannot be told apart: within a millimetre and a pixel or so."""
    turned = np.abs(extrinsics.rotation - np.eye(3)).max()
    return bool(turned < 1e-3 and np.abs(extrinsics.translation).max() < 1e-3)


def _sizes(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> str:
    (rows, columns), (height, width) = shapes
    return f"depth is {columns}x{rows}, colour {width}x{height}"


def _frames(frames: tuple[str, str]) -> str:
    if frames == ("", ""):
        return "neither depth nor colour has a frame id"
    return f"depth is in frame '{frames[0]}', colour in '{frames[1]}'"


def _missing(camera: DepthCamera, extrinsics: Extrinsics | None, frames: tuple[str, str]) -> str:
    missing = [camera.problem] if camera.problem else []
    if extrinsics is None:
        between = f"from '{frames[0]}' to '{frames[1]}'" if any(frames) else "between the cameras"
        missing.append(f"the transform {between} is not known")
    return " and ".join(missing)
