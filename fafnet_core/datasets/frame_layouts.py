"""How recordings lie in folders, as other tools write them.

Each layout is a description: what marks it, where images are, what is known of their cameras.
`frame_folder.FrameFolder` reads them all. What the tools write was read in their own sources:
ScanNet's SensReader, Open3D's recorders and `RGBDVideoReader`, librealsense's viewer and
`rs-convert`, readers of Record3D's exports, TUM's page of file formats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fafnet_core.datasets.frame_cameras import (
    OPEN3D_CAMERAS,
    RECORD3D_METADATA,
    SCANNET_CAMERAS,
    Cameras,
    nothing_known,
    open3d_cameras,
    realsense_cameras,
    record3d_cameras,
    scannet_cameras,
    tum_cameras,
)
from fafnet_core.datasets.frame_pairs import (
    Pairs,
    realsense_pairs,
    record3d_pairs,
    stamped_lists,
    two_folders,
)
from fafnet_core.datasets.frames import DEPTH_FOLDERS
from fafnet_core.nearest import unknown_name

AUTO = "auto"
"""The name that stands for the first layout that has all its marks, else for `PLAIN`."""


@dataclass(frozen=True, kw_only=True)
class FrameLayout:
    """One way in which frames lie in a folder.

    Attributes:
        name: what `--layout` calls it.
        made_by: whose it is.
        marks: patterns of files; of each group at least one has to be there.
        pairs: finds the images of a folder and pairs them, by stamps within the seconds given.
        cameras: reads what is known of the cameras.
        depth_unit_m: metres of one depth count, where no file says.
        by_stamp: it may pair by stamps.
        one_view: depth has colour's view, in however many pixels.
        no_camera: what to do where nothing says what the colour camera is.
    """

    name: str
    made_by: str
    marks: tuple[tuple[str, ...], ...]
    pairs: Callable[[Path, float], Pairs]
    cameras: Callable[[Path], Cameras]
    depth_unit_m: float = 0.001
    by_stamp: bool = False
    one_view: bool = False
    no_camera: str = ""

    def is_of(self, root: Path) -> bool:
        """Whether a folder has all the marks."""
        return all(any(_any_of(root, mark) for mark in group) for group in self.marks)


def find_layout(name: str, root: Path) -> FrameLayout:
    """Return the layout of this name, or for `AUTO` that of a folder.

    Raises:
        ValueError: no layout has that name.
    """
    if name == AUTO:
        return next((layout for layout in LAYOUTS if layout.is_of(root)), PLAIN)
    for layout in (PLAIN, *LAYOUTS):
        if layout.name == name:
            return layout
    raise ValueError(unknown_name("layout", name, layout_names()))


def layout_names() -> tuple[str, ...]:
    """Return what `--layout` takes."""
    return AUTO, PLAIN.name, *(layout.name for layout in LAYOUTS)


def _any_of(root: Path, pattern: str) -> bool:
    return any(not path.name.startswith(".") for path in root.glob(pattern))


PLAIN = FrameLayout(
    name="plain",
    made_by="color/, depth/ and camera.yaml",
    marks=(),
    pairs=two_folders,
    cameras=nothing_known,
)
LAYOUTS = (
    FrameLayout(
        name="tum",
        made_by="TUM RGB-D",
        marks=(("rgb.txt",), ("depth.txt",)),
        pairs=stamped_lists,
        cameras=tum_cameras,
        depth_unit_m=1 / 5000,
        by_stamp=True,
    ),
    FrameLayout(
        name="scannet",
        made_by="ScanNet's SensReader",
        marks=SCANNET_CAMERAS,
        pairs=two_folders,
        cameras=scannet_cameras,
    ),
    FrameLayout(
        name="record3d",
        made_by="Record3D",
        marks=(RECORD3D_METADATA, ("rgbd/*.depth", "depth/*.exr")),
        pairs=record3d_pairs,
        cameras=record3d_cameras,
        one_view=True,
    ),
    FrameLayout(
        name="open3d",
        made_by="Open3D's recorders",
        marks=(OPEN3D_CAMERAS, DEPTH_FOLDERS),
        pairs=two_folders,
        cameras=open3d_cameras,
    ),
    FrameLayout(
        name="realsense",
        made_by="rs-convert or realsense-viewer",
        marks=(("*_Color*.png",), ("*_Depth*.csv", "*_Depth*.raw", "*_Depth*.png")),
        pairs=realsense_pairs,
        cameras=realsense_cameras,
        by_stamp=True,
        no_camera=(
            "; these tools write nothing of the colour camera: rs-enumerate-devices -c prints it,"
            " and the recording itself has it (fafnet segment FILE.bag)"
        ),
    ),
)
"""In the order in which `AUTO` tries them."""
