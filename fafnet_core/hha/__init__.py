"""Depth to HHA: horizontal disparity, height above ground, angle with gravity (see docs/hha.md)."""

from fafnet_core.hha.encoding import NO_DEPTH, HHAEncoder, encode_hha, estimate_gravity
from fafnet_core.hha.holes import fill_holes
from fafnet_core.hha.stream import HHAFrame, HHAStream, HHAStreamConfig

__all__ = [
    "NO_DEPTH",
    "HHAEncoder",
    "HHAFrame",
    "HHAStream",
    "HHAStreamConfig",
    "encode_hha",
    "estimate_gravity",
    "fill_holes",
]
