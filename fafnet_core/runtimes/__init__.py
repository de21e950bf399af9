"""What runs a network: colour and HHA as 8-bit images in, logits out."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class Runtime(Protocol):
    """Runs one network; one thread at a time calls it.

    Attributes:
        device: where it runs, as `cpu` or `cuda:0`.
        precision: the arithmetic in use: float32, bfloat16 or float16.
    """

    device: str
    precision: str

    def logits(self, rgb: NDArray[np.uint8], hha: NDArray[np.uint8]) -> Tensor:
        """Return the logits (C, h, w) of colour and HHA.

        Args:
            rgb: (H, W, 3) uint8.
            hha: (H, W, 3) uint8.

        Returns:
            Any floating type, coarser than the images; the corners of both are those of the
            images (`align_corners`).
        """
        ...
