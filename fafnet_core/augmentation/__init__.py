"""Joint transforms: what happens to colour, HHA, labels and camera of a sample, together."""

from fafnet_core.augmentation.config import ColourJitter, TransformConfig
from fafnet_core.augmentation.depth_faults import (
    DepthFaults,
    add_depth_noise,
    drop_all_depth,
    drop_depth,
    drop_depth_edges,
    limit_depth,
    misalign_depth,
)
from fafnet_core.augmentation.geometry import (
    CropWindow,
    crop_sample,
    flip_sample,
    scale_and_crop,
    scale_sample,
)
from fafnet_core.augmentation.photometry import change_colour, jitter_colour
from fafnet_core.augmentation.pipelines import EvalTransform, TrainTransform
from fafnet_core.augmentation.tensors import Batch, ToTensors

__all__ = [
    "Batch",
    "ColourJitter",
    "CropWindow",
    "DepthFaults",
    "EvalTransform",
    "ToTensors",
    "TrainTransform",
    "TransformConfig",
    "add_depth_noise",
    "change_colour",
    "crop_sample",
    "drop_all_depth",
    "drop_depth",
    "drop_depth_edges",
    "flip_sample",
    "jitter_colour",
    "limit_depth",
    "misalign_depth",
    "scale_and_crop",
    "scale_sample",
]
