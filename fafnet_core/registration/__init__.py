"""Registering depth to colour, for cameras whose driver does not.

`DepthRegistration` keeps its tables for a stream; `register_depth` does one frame.
"""

from fafnet_core.registration.depth import DepthRegistration, register_depth
from fafnet_core.registration.extrinsics import Extrinsics

__all__ = ["DepthRegistration", "Extrinsics", "register_depth"]
