"""Whether a runtime gives the labels of PyTorch: tried on a frame before it is let loose."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Size
from fafnet_core.hha import encode_hha
from fafnet_core.rooms import Tour, pinhole, render
from fafnet_core.runtimes import Runtime, RuntimeDiffersError

ALLOWED: Mapping[str, float] = MappingProxyType(
    {"float32": 0.005, "bfloat16": 0.02, "float16": 0.02, "int8": 0.03}
)
"""Share of a frame's pixels that may have another label than in PyTorch's float32, by precision."""


def refuse_other_labels(runtime: Runtime, reference: Runtime, size: Size) -> None:
    """Compare a runtime with PyTorch on a synthetic room.

    Args:
        runtime: ready for images of that size.
        reference: PyTorch in float32.
        size: (height, width) of the frame.

    Raises:
        RuntimeDiffersError: the labels are not those of PyTorch.
    """
    rgb, hha = proof_frame(size)
    labels = runtime.predict(rgb, hha, size).labels
    share = float((labels != reference.predict(rgb, hha, size).labels).mean())
    allowed = ALLOWED[runtime.precision]
    if share > allowed:
        raise RuntimeDiffersError(runtime.name, runtime.precision, share, allowed)


def proof_frame(size: Size) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return colour and HHA of a synthetic room, (height, width, 3) uint8 each."""
    tour = Tour.of(1)
    camera = pinhole(size[1], size[0])
    view = render(tour.room.scene, camera, tour.pose(0.2))
    return view.rgb, encode_hha(view.depth_m, camera.matrix)
