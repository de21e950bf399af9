"""Registering depth to colour, for cameras whose driver does not.

`DepthRegistration` keeps its tables for a stream; `register_depth` does one frame.
"""

from fafnet_core.registration.depth import DepthRegistration, register_depth
from fafnet_core.registration.extrinsics import Extrinsics
from fafnet_core.registration.lens import Lens, UnknownLensError

__all__ = ["DepthRegistration", "Extrinsics", "Lens", "UnknownLensError", "register_depth"]
