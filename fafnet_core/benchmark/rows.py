"""One row of a benchmark, and its form in tables and JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Size
from fafnet_core.input_size import size_text

Way: TypeAlias = Callable[[], "NDArray[np.uint8] | None"]
"""What is timed. It returns labels where they are to be compared with eager PyTorch's."""

NETWORK = "network"
"""What a row times by default: a network at its input size, 8-bit images to labels."""


@dataclass(frozen=True)
class Opened:
    """A contender that is ready.

    Attributes:
        way: what is timed.
        runtime, precision: that it got; nothing where no network runs.
    """

    way: Way
    runtime: str = ""
    precision: str = ""


@dataclass(frozen=True)
class Contender:
    """What will be a row.

    Attributes:
        network: its name.
        runtime, precision, device: as of `open_runtime`.
        threads: of the processor.
        size: (height, width) of the images.
        open: makes this contender ready, in the process of the row; it is pickled.
        what: `NETWORK`, or the stage of a frame.
    """

    network: str
    runtime: str
    precision: str
    device: str
    threads: int
    size: Size
    open: Callable[[Contender], Opened]
    what: str = NETWORK


@dataclass(frozen=True)
class Row:
    """What was measured of a contender.

    Attributes:
        what, network, device, threads, size: as of `Contender`.
        runtime, precision: as of `Opened`.
        ms, p95_ms: median and 95th percentile of the wall clock time.
        frames: how many times that is of.
        of_first: the median of the ratios to the first row of the group, round by round.
        labels_equal: share of a frame's pixels with the label of eager PyTorch in float32; None:
            not compared.
        peak_mb: the most resident memory of the row's process from its start, in 1,000,000 bytes.
        busy_ms, busy_p95_ms: as `ms` and `p95_ms` beside a process that keeps a core busy.
    """

    what: str
    network: str
    runtime: str
    precision: str
    device: str
    threads: int
    size: Size
    ms: float
    p95_ms: float
    frames: int
    of_first: float
    labels_equal: float | None
    peak_mb: float
    busy_ms: float | None = None
    busy_p95_ms: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON has it, with `width` and `height`."""
        values = dataclasses.asdict(self)
        height, width = values.pop("size")
        return {**values, "width": width, "height": height}


@dataclass(frozen=True)
class LeftOut:
    """A contender that could not be had here.

    Attributes:
        contender: which.
        reason: why, and what to do.
    """

    contender: Contender
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        kept = ("what", "network", "runtime", "precision", "device", "threads")
        values = {name: getattr(self.contender, name) for name in kept}
        height, width = self.contender.size
        return {**values, "width": width, "height": height, "reason": self.reason}


def table(rows: list[Row]) -> list[list[str]]:
    """Return rows as cells, the head first."""
    busy = any(row.busy_ms is not None for row in rows)
    stages = any(row.what != NETWORK for row in rows)
    head = ["stage" if stages else "network", "runtime", "precision", "size", "threads"]
    head += ["ms", "95 %", *(["busy ms", "busy 95 %"] if busy else [])]
    head += ["of the first", *([] if stages else ["labels equal"]), "MB"]
    cells = [head]
    for row in rows:
        # A stage before the network has no runtime.
        line = [row.what if stages else row.network, row.runtime or "-", row.precision or "-"]
        line += [size_text(row.size), str(row.threads), _ms(row.ms), _ms(row.p95_ms)]
        line += [_ms(row.busy_ms), _ms(row.busy_p95_ms)] if busy else []
        line.append(f"{row.of_first:.2f}")
        if not stages:
            line.append("-" if row.labels_equal is None else f"{100 * row.labels_equal:.1f} %")
        cells.append([*line, f"{row.peak_mb:.0f}"])
    return cells


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"
