"""Label sets, frames from files, data sets, and their labelled samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fafnet_core.data.frames import (
    CameraFile,
    FrameFolder,
    RgbdFrame,
    find_camera_file,
    read_camera_file,
    read_depth,
    read_frame,
    read_rgb,
)
from fafnet_core.data.labels import NYU40, SUN37, UNLABELLED, LabelSet
from fafnet_core.data.normalisation import Normalisation
from fafnet_core.data.samples import RgbdSample, RgbdSegmentationDataset

if TYPE_CHECKING:
    from fafnet_core.data.catalogue import DATA_SETS, NYUv2Data, SUNRGBDData
    from fafnet_core.data.folder import PreparedFolder
    from fafnet_core.data.synthetic.dataset import SyntheticData

__all__ = [
    "DATA_SETS",
    "NYU40",
    "SUN37",
    "UNLABELLED",
    "CameraFile",
    "FrameFolder",
    "LabelSet",
    "NYUv2Data",
    "Normalisation",
    "PreparedFolder",
    "RgbdFrame",
    "RgbdSample",
    "RgbdSegmentationDataset",
    "SUNRGBDData",
    "SyntheticData",
    "find_camera_file",
    "read_camera_file",
    "read_depth",
    "read_frame",
    "read_rgb",
]


def __getattr__(name: str) -> Any:
    # Data sets take longer to import than all else here, and a node needs none.
    if name == "PreparedFolder":
        from fafnet_core.data.folder import PreparedFolder

        return PreparedFolder
    if name in __all__:
        from fafnet_core.data import catalogue

        return getattr(catalogue, name)
    raise AttributeError(f"module 'fafnet_core.data' has no attribute '{name}'")
