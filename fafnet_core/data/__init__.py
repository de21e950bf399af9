"""Label sets, frames from files, and labelled samples of data sets."""

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

__all__ = [
    "NYU40",
    "SUN37",
    "UNLABELLED",
    "CameraFile",
    "FrameFolder",
    "LabelSet",
    "Normalisation",
    "RgbdFrame",
    "RgbdSample",
    "RgbdSegmentationDataset",
    "find_camera_file",
    "read_camera_file",
    "read_depth",
    "read_frame",
    "read_rgb",
]
