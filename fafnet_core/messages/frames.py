"""A colour and a depth message, as they come, to one RGB-D frame.

Every frame is looked at by itself: a driver that aligns depth to colour may, now and then, send a
frame that it has not aligned. Depth counts as registered to colour where it has colour's size
and frame id, and its own camera_info, if there is one, the same matrix. Where frame id and matrix
contradict each other, a name that says "registered" decides, and the doubt is told. A camera_info
of another frame is not depth's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera, Size
from fafnet_core.frame import RgbdFrame, depth_share
from fafnet_core.messages.camera_info import camera_of, lens_of
from fafnet_core.messages.compressed import compressed_to_depth_m, compressed_to_rgb
from fafnet_core.messages.depth_camera import DepthCamera, depth_camera
from fafnet_core.messages.errors import (
    ColoursMatrix,
    DepthDoubt,
    DepthLostError,
    DepthNotRegisteredError,
    ForeignCameraInfo,
    MaybeUnregistered,
    NoCameraInfoError,
    SaidRegistered,
    TwoCamerasInOneFrame,
    UnmodelledLens,
)
from fafnet_core.messages.image_pair import ImagePair
from fafnet_core.messages.images import image_to_depth_m, image_to_rgb
from fafnet_core.messages.protocols import (
    CameraInfoFields,
    ImageFields,
    stamp_ns,
)
from fafnet_core.registration import DepthRegistration, Extrinsics, Lens, UnknownLensError

Registration = Literal["auto", "always", "never"]
FindExtrinsics = Callable[[str, str], Extrinsics | None]
"""From the frame ids of depth and of colour to the transform between them, where it is known."""

_HAD_DEPTH, _KEPT = 0.01, 0.02
"""Of depth in at least this share of the pixels, registering has to leave this part."""


@dataclass(frozen=True, kw_only=True)
class FrameSettings:
    """How messages become frames.

    Attributes:
        rectified: the images are rectified: matrices come from P, not from K, and no lens distorts.
        depth_rectified: that of depth, where it differs; None: as `rectified`.
        camera_matrix: fx, fy, cx, cy of the colour image in place of its camera_info, or empty.
        depth_scale: metres of one count of depth; None: as its encoding says.
        registration: "auto" registers the frames that are not; "always" all; "never" none.
        says_registered: the name of the depth stream says that it is registered; see
            `image_pair.name_says_registered`.

    Raises:
        ValueError: a camera_matrix that no camera has.
    """

    rectified: bool = False
    depth_rectified: bool | None = None
    camera_matrix: tuple[float, ...] = ()
    depth_scale: float | None = None
    registration: Registration = "auto"
    says_registered: bool = False

    @property
    def is_depth_rectified(self) -> bool:
        """Whether depth is rectified."""
        return self.rectified if self.depth_rectified is None else self.depth_rectified

    def __post_init__(self) -> None:
        if not self.camera_matrix:
            return
        matrix = np.array(self.camera_matrix)
        if not (np.isfinite(matrix).all() and (matrix[:2] > 0).all()):
            raise ValueError(
                f"camera_matrix is {list(self.camera_matrix)}; wanted fx, fy, cx, cy in pixels,"
                " with focal lengths above zero"
            )


class FrameBuilder:
    """Decodes, and registers depth where needed; keeps the tables of the last cameras.

    Args:
        settings: see `FrameSettings`.
        to_rgb: decodes an uncompressed colour image; raises ValueError.

    Attributes:
        depth_info_missed_at: monotonic seconds when depth last had to be registered, and no
            camera_info of depth had come; minus infinity: never.
    """

    def __init__(
        self,
        settings: FrameSettings,
        to_rgb: Callable[[ImageFields], NDArray[np.uint8]] = image_to_rgb,
    ) -> None:
        self._settings = settings
        self._to_rgb = to_rgb
        self.depth_info_missed_at = float("-inf")
        self._tables: DepthRegistration | None = None

    def build(
        self,
        colour: Any,
        depth: Any,
        colour_info: CameraInfoFields | None,
        depth_info: CameraInfoFields | None = None,
        find_extrinsics: FindExtrinsics = lambda depth_frame, colour_frame: None,
    ) -> RgbdFrame:
        """Return the frame of these two images.

        Args:
            colour: an image (`ImageFields`) or a compressed one (`CompressedImageFields`).
            depth: the same, compressed as compressedDepth.
            colour_info: of the colour image; not needed where the settings have its matrix.
            depth_info: of the depth image, where there is one.
            find_extrinsics: asked only for depth that has to be registered.

        Raises:
            NoCameraInfoError: it is needed.
            DepthNotRegisteredError: depth has to be registered and cannot be.
            DepthLostError: registering it leaves none.
            ValueError: what came cannot be decoded, or does not fit together.
        """
        begun = time.perf_counter()
        to_rgb = compressed_to_rgb if _is_compressed(colour) else self._to_rgb
        to_depth_m = compressed_to_depth_m if _is_compressed(depth) else image_to_depth_m
        rgb = to_rgb(colour)
        depth_m = to_depth_m(depth, depth_scale=self._settings.depth_scale)
        camera = self._colour_camera(colour_info, rgb)
        depth_size = depth_m.shape[0], depth_m.shape[1]
        pair = ImagePair(
            depth=self._depth_camera(depth_info, depth.header.frame_id, depth_size),
            depth_size=depth_size,
            depth_frame=depth.header.frame_id,
            camera=camera,
            colour_frame=colour.header.frame_id,
            infos=(colour_info, depth_info),
        )
        decoded = time.perf_counter()
        tables, doubt = self._registration(pair, find_extrinsics)
        seconds = {"decode": decoded - begun}
        if tables is not None:
            depth_m = registered_depth(tables, depth_m)
            seconds["register"] = time.perf_counter() - decoded
        return RgbdFrame(
            rgb=rgb,
            depth_m=depth_m,
            camera=camera,
            stamp_ns=stamp_ns(colour.header),
            frame_id=colour.header.frame_id,
            was_registered=tables is not None,
            doubt=doubt,
            seconds=seconds,
        )

    def _colour_camera(self, info: CameraInfoFields | None, rgb: NDArray[np.uint8]) -> Camera:
        height, width = rgb.shape[:2]
        if self._settings.camera_matrix:
            fx, fy, cx, cy = self._settings.camera_matrix
            return Camera(fx=fx, fy=fy, cx=cx, cy=cy, width=width, height=height)
        if info is None:
            raise NoCameraInfoError
        return camera_of(info, (height, width), rectified=self._settings.rectified)

    def _depth_camera(self, info: CameraInfoFields | None, frame: str, size: Size) -> DepthCamera:
        if self._settings.registration == "never":
            return DepthCamera()
        return depth_camera(info, frame, size, rectified=self._settings.is_depth_rectified)

    def _registration(
        self, pair: ImagePair, find_extrinsics: FindExtrinsics
    ) -> tuple[DepthRegistration | None, DepthDoubt | None]:
        """Return what registers this frame's depth, if it needs that, and a doubt, if there is one.

        Raises:
            DepthNotRegisteredError: it needs that, and it cannot be.
        """
        mode, depth = self._settings.registration, pair.depth
        if mode == "never":
            if not pair.one_size:
                raise DepthNotRegisteredError(pair.unregistered(is_wanted=False))
            return None, None
        if pair.one_frame and pair.is_colours(depth.others):
            # Another name for colour's frame: simulators do so.
            depth = DepthCamera(depth.others)
        one_camera = depth.camera is None or pair.is_colours(depth.camera)
        is_colours = mode == "auto" and pair.one_frame and one_camera  # colour's own image
        if is_colours and pair.one_size:
            if depth.others is None or depth.problem is None:
                return None, None
            return None, ForeignCameraInfo(pair.colour_frame, depth.problem)
        is_said = pair.is_said(name_says=self._settings.says_registered)
        if mode == "auto" and pair.one_size and is_said:
            if pair.one_frame:
                return None, SaidRegistered(pair.matrices)
            if pair.is_colours(depth.camera) or pair.is_colours(depth.others):
                is_named = pair.depth_frame and pair.colour_frame
                return None, SaidRegistered(pair.unregistered().frames) if is_named else None
        # Asked even for one frame id: some recordings give all their streams the same.
        known = None if is_colours else find_extrinsics(pair.depth_frame, pair.colour_frame)
        extrinsics = known or (Extrinsics.identity() if pair.one_frame else None)
        if extrinsics is not None and depth.camera is not None:
            if mode == "auto" and pair.one_size and one_camera and _is_one_place(extrinsics):
                return None, None
            doubt: DepthDoubt | None = None
            if known is None and not one_camera:
                doubt = TwoCamerasInOneFrame(pair.colour_frame)
            elif mode == "auto" and one_camera and not pair.one_frame:
                doubt = ColoursMatrix(pair.unregistered())
            try:
                lenses = self._lenses(*pair.infos)
            except UnknownLensError as error:
                lenses, doubt = (None, None), doubt or UnmodelledLens(str(error))
            return self._tables_for(depth.camera, pair.camera, extrinsics, *lenses), doubt
        if not depth.has_come:
            self.depth_info_missed_at = time.monotonic()
        facts = pair.unregistered(has_transform=extrinsics is not None)
        if mode == "always" or not pair.one_size:
            raise DepthNotRegisteredError(facts)
        return None, MaybeUnregistered(facts)

    def _lenses(
        self, colour: CameraInfoFields | None, depth: CameraInfoFields | None
    ) -> tuple[Lens | None, Lens | None]:
        """Return those of the depth and of the colour camera.

        Raises:
            UnknownLensError: a model that is not known here.
        """
        settings = self._settings
        rectified = settings.rectified or bool(settings.camera_matrix)
        return (
            lens_of(depth, rectified=settings.is_depth_rectified) if depth else None,
            lens_of(colour, rectified=rectified) if colour else None,
        )

    def _tables_for(
        self,
        depth_camera: Camera,
        camera: Camera,
        extrinsics: Extrinsics,
        depth_lens: Lens | None,
        lens: Lens | None,
    ) -> DepthRegistration:
        made_of = (depth_camera, camera, extrinsics, depth_lens, lens)
        if self._tables is None or self._tables.made_of != made_of:
            self._tables = DepthRegistration(
                depth_camera, camera, extrinsics, depth_lens=depth_lens, lens=lens
            )
        return self._tables


def registered_depth(
    tables: DepthRegistration, depth_m: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Register depth, and see that some is left.

    Raises:
        DepthLostError: nearly none is left.
    """
    registered = tables(depth_m)
    # One pixel of sixteen tells.
    before, after = (depth_share(each[::4, ::4]) for each in (depth_m, registered))
    if before >= _HAD_DEPTH and after < _KEPT * before:
        raise DepthLostError(before, after)
    return registered


def _is_compressed(message: object) -> bool:
    return hasattr(message, "format")


def _is_one_place(extrinsics: Extrinsics) -> bool:
    """Whether two cameras cannot be told apart: within a millimetre and a pixel or so."""
    turned = np.abs(extrinsics.rotation - np.eye(3)).max()
    return bool(turned < 1e-3 and np.abs(extrinsics.translation).max() < 1e-3)
