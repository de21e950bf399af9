"""What runs a network: colour and HHA as 8-bit images in, classes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Size
from fafnet_core.frame import Classes

Fusion = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From coarse logits (C, h, w), whose corners are those of the images, to others."""


class Runtime(Protocol):
    """Runs one network; one thread at a time calls it."""

    @property
    def name(self) -> str:
        """Return torch, openvino, onnxruntime or tensorrt."""
        ...

    @property
    def device(self) -> str:
        """Return where it runs, as `cpu` or `cuda:0`."""
        ...

    @property
    def precision(self) -> str:
        """Return the arithmetic in use: float32, bfloat16, float16 or int8."""
        ...

    def prepare(self, size: Size) -> None:
        """Make ready for images of a size, (height, width), as `predict` does when they come.

        Raises:
            RuntimeDiffersError: the labels of such images are not PyTorch's.
        """
        ...

    def predict(
        self,
        rgb: NDArray[np.uint8],
        hha: NDArray[np.uint8],
        size: Size,
        fuse: Fusion | None = None,
    ) -> Classes:
        """Return the classes of colour and HHA.

        Args:
            rgb: (h, w, 3) uint8.
            hha: (h, w, 3) uint8.
            size: (H, W), of the results.
            fuse: what the network's scores go through before the best is chosen.

        Raises:
            RuntimeDiffersError: as `prepare`.
            NotFiniteError: the network's values are not all numbers.
        """
        ...


class RuntimeUnavailableError(ValueError):
    """A runtime cannot be had here.

    Attributes:
        runtime: its name.
        reason: why, and what to do.
    """

    def __init__(self, runtime: str, reason: str) -> None:
        self.runtime, self.reason = runtime, reason
        super().__init__(f"runtime {runtime}: {reason}")


class RuntimeDiffersError(ValueError):
    """A runtime gives other labels than PyTorch in float32.

    Attributes:
        runtime, precision: of the runtime.
        share: of the pixels of a frame that have another label.
        allowed: the largest share that is taken for rounding.
    """

    def __init__(self, runtime: str, precision: str, share: float, allowed: float) -> None:
        self.runtime, self.precision = runtime, precision
        self.share, self.allowed = share, allowed
        super().__init__(
            f"runtime {runtime} in {precision} gives {100 * share:.2f} % of a frame's pixels other"
            f" labels than PyTorch in float32; at most {100 * allowed:g} % is rounding. Take"
            " precision float32, or runtime torch"
        )
