"""`FrameFolder`: RGB-D frames without labels in a folder, whatever tool wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.datasets.depth_files import IN_METRES, check_readable, read_any_depth
from fafnet_core.datasets.frame_cameras import Cameras
from fafnet_core.datasets.frame_layouts import AUTO, FrameLayout, find_layout
from fafnet_core.datasets.frame_pairs import DEFAULT_SLOP_S
from fafnet_core.datasets.frames import (
    CAMERA_FILE,
    CameraFile,
    by_number,
    find_camera_file,
    read_camera_file,
    read_rgb,
)
from fafnet_core.frame import RgbdFrame
from fafnet_core.messages.frames import registered_depth
from fafnet_core.registration import DepthRegistration, Extrinsics

_MIDDLE = 0.25
"""Of its sides: a camera whose centre is nearer to the image's edge is that of another size."""

_ONE_PLACE = (
    "how depth's camera stands to the colour camera is not known: they are taken to stand in one"
    " place; the transform between them settles it (fafnet segment --depth-to-color)"
)


class FrameFolder:
    """A folder of RGB-D frames, read one at a time, in the order of their names or stamps.

    Numbers within names compare as numbers: 2 comes before 10. Where depth has a camera of its own,
    it is registered to colour; its tables are kept, so read in one thread at a time.

    Args:
        folder: the folder.
        camera_file: of the colour camera; None: `camera.yaml` in the folder, else what the layout
            has, else `camera.yaml` one folder up.
        layout: a name of `layout_names()`.
        slop_s: how far stamps of a pair may lie apart, where the layout pairs by stamps.
        depth_unit_m: metres of one depth count, in place of what files or layout say.
        depth_to_colour: from the depth camera to the colour camera, in place of what files say.

    Attributes:
        layout: what it was read as.
        camera: the colour camera, and the depth unit.
        names: names of the frames.
        without_depth: names with colour only.
        without_colour: names with depth only.
        unpaired: both of these.
        partner: what makes a pair: "of the same name".
        found: one line about what was found.
        notes: what was assumed, each with what would settle it.

    Raises:
        FileNotFoundError: a colour folder, a depth folder or a camera file is not there.
        ValueError: nothing pairs, a file of the layout is wrong, an option does not fit it, or
            depth is of a kind that cannot be read here.
    """

    def __init__(
        self,
        folder: str | Path,
        camera_file: str | Path | None = None,
        *,
        layout: str = AUTO,
        slop_s: float | None = None,
        depth_unit_m: float | None = None,
        depth_to_colour: Extrinsics | None = None,
    ) -> None:
        root = Path(folder)
        self.layout = find_layout(layout, root)
        if slop_s is not None:
            self._refuse_unless(self.layout.by_stamp, "images that pair by name", "slop")
        pairs = self.layout.pairs(root, DEFAULT_SLOP_S if slop_s is None else slop_s)
        self._images = dict(pairs.images)
        self.names = list(self._images)
        self.partner = pairs.partner
        self.without_depth = list(pairs.without_depth)
        self.without_colour = list(pairs.without_colour)
        self.unpaired = sorted([*self.without_depth, *self.without_colour], key=by_number)
        cameras = self.layout.cameras(root)
        file = _camera_file(root, camera_file, self.layout, cameras)
        self.camera, source = _colour_camera(file, self.layout, cameras)
        if not self.names:
            counts = len(self.without_depth), len(self.without_colour)
            raise ValueError(_no_pairs(root, self.layout, self.partner, *counts))
        check_readable(self._images[self.names[0]][1])
        if depth_unit_m is not None:
            self._refuse_unless(self.depth_in_counts, "depth in metres", "depth unit")
            self.camera = replace(self.camera, depth_unit_m=depth_unit_m)
        if depth_to_colour is not None:
            told = "depth that is registered to colour, or says nothing of its camera"
            self._refuse_unless(cameras.depth is not None, told, "transform between the cameras")
        self._cameras = cameras
        self._by_layout = file is None
        known = depth_to_colour or cameras.depth_to_colour
        self._transform = known or Extrinsics.identity()
        self._tables: DepthRegistration | None = None
        unknown = cameras.depth is not None and known is None
        notes = (cameras.assumed if file is None else "", cameras.doubt, unknown * _ONE_PLACE)
        self.notes = tuple(filter(None, notes))
        self.found = self._describe(source)

    @property
    def depth_in_counts(self) -> bool:
        """Whether the depth files hold counts, not metres."""
        return self._images[self.names[0]][1].suffix.lower() not in IN_METRES

    def _refuse_unless(self, fits: bool, has: str, option: str) -> None:
        """Refuse an option that would change nothing."""
        if not fits:
            raise ValueError(f"the layout {self.layout.name} has {has}: leave the {option} out")

    def _describe(self, source: str) -> str:
        camera = self.camera
        unit = f"counts of {camera.depth_unit_m:g} m" if self.depth_in_counts else "in metres"
        return (
            f"layout {self.layout.name} ({self.layout.made_by}): {len(self)} frames, images"
            f" {self.partner}; depth {unit}; camera {camera.fx:g}, {camera.fy:g}, {camera.cx:g},"
            f" {camera.cy:g} of {source}"
        )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> RgbdFrame:
        name = self.names[index]
        rgb_path, depth_path = self._images[name]
        rgb = read_rgb(rgb_path)
        depth_m = read_any_depth(depth_path, self.camera.depth_unit_m, self._cameras.depth_size)
        camera = _camera_of(self.camera, rgb, rgb_path, check=self._by_layout)
        tables = self._registration(depth_m, depth_path, camera)
        if tables is not None:
            depth_m = registered_depth(tables, depth_m)
        return RgbdFrame(
            rgb=rgb,
            depth_m=depth_m,
            camera=camera,
            frame_id=name,
            was_registered=tables is not None,
        )

    def __iter__(self) -> Iterator[RgbdFrame]:
        return (self[index] for index in range(len(self)))

    def _registration(
        self, depth_m: NDArray[np.float32], path: Path, camera: Camera
    ) -> DepthRegistration | None:
        """Return what brings depth into the colour image; None where it is there."""
        if self._cameras.depth is not None:
            depth_camera = _camera_of(self._cameras.depth, depth_m, path, check=True)
        elif self.layout.one_view:
            depth_camera = camera.scaled((depth_m.shape[0], depth_m.shape[1]))
        else:
            depth_camera = self.camera.camera(depth_m, path)
        made_of = (depth_camera, camera, self._transform, None, None)
        if depth_camera == camera and self._transform == Extrinsics.identity():
            return None
        if self._tables is None or self._tables.made_of != made_of:
            self._tables = DepthRegistration(depth_camera, camera, self._transform)
        return self._tables


def _camera_file(
    root: Path, given: str | Path | None, layout: FrameLayout, cameras: Cameras
) -> Path | None:
    """Return the colour camera's file; None where the layout's own files take its place."""
    if given is not None:
        return Path(given)
    if (root / CAMERA_FILE).is_file():
        return root / CAMERA_FILE
    if cameras.colour is not None:
        return None
    try:
        return find_camera_file(root)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}{layout.no_camera}") from error


def _colour_camera(
    file: Path | None, layout: FrameLayout, cameras: Cameras
) -> tuple[CameraFile, str]:
    """Return the colour camera, and where it is from."""
    if file is None:
        assert cameras.colour is not None
        return cameras.colour, cameras.source
    unit = layout.depth_unit_m if cameras.colour is None else cameras.colour.depth_unit_m
    return read_camera_file(file, unit), str(file)


def _camera_of(file: CameraFile, image: NDArray[Any], path: Path, *, check: bool) -> Camera:
    """Return the camera of an image; where it has no size, its centre may tell another size."""
    camera = file.camera(image, path)
    across, down = camera.cx / camera.width, camera.cy / camera.height
    if check and not (
        file.width or (_MIDDLE < across < 1 - _MIDDLE and _MIDDLE < down < 1 - _MIDDLE)
    ):
        raise ValueError(
            f"{path} is {camera.width}x{camera.height}, but its camera has its centre at"
            f" ({camera.cx:g}, {camera.cy:g}): it is that of another size. Images that were resized"
            f" need a {CAMERA_FILE} with fx, fy, cx, cy of this size"
        )
    return camera


def _no_pairs(root: Path, layout: FrameLayout, partner: str, colour: int, depth: int) -> str:
    if layout.by_stamp and partner.startswith("within"):
        return (
            f"none of {colour} colour and {depth} depth images in {root} lie {partner} of each"
            " other; give a larger slop, if nothing moves much in that time"
        )
    return (
        f"{colour} colour and {depth} depth images in {root} share no name (without suffix); the"
        " two images of a frame have the same name"
    )
