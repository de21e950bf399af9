"""How nearly two networks with the same weights give the same result.

Nobody promises them the same bits. Where weights lie in memory, their memory format, the number of
threads and the processor choose the kernel, and each kernel adds up in its own order: weights that
were read from a file, for one, lie at multiples of 8 bytes, new ones at multiples of 64.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

SUMS = 1e-5
"""Of the largest value of a map, in float32.

Measured for networks that were built twice, or saved and loaded: up to 5e-7, a few roundings. The
rest is room for deeper ones and other processors; a wrong weight or input moves hundredths.
"""

LABELS = 0.999
"""Share of pixels that keep their label; at the others two classes may be closer than `SUMS`."""


def assert_same_maps(found: Tensor, wanted: Tensor) -> None:
    """Fail where maps of equal weights and images differ by more than the order of sums can do."""
    largest = float(wanted.detach().abs().max())
    assert largest > 0, "maps of zeros show nothing"
    torch.testing.assert_close(found, wanted, rtol=0, atol=SUMS * largest)


def assert_same_labels(found: NDArray[Any], wanted: NDArray[Any]) -> None:
    """Fail where more labels differ than the order of sums can change."""
    assert found.shape == wanted.shape
    share = (found == wanted).mean()
    assert share > LABELS, f"{share:.4%} of the labels are the same"
