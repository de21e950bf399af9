"""Depth to HHA: horizontal disparity, height above ground, angle with gravity (see docs/hha.md)."""

from fafnet_core.hha.encoding import NO_DEPTH, HHAEncoder, encode_hha, estimate_gravity

__all__ = ["NO_DEPTH", "HHAEncoder", "encode_hha", "estimate_gravity"]
