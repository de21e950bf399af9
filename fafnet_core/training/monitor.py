"""What a training shows: a bar, `log.jsonl`, TensorBoard where it is installed, and pictures."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fafnet_core.files import write_png, written_beside

LOG = "log.jsonl"
PICTURES = "pictures"
_TENSORBOARD = "tensorboard"


class Monitor:
    """Shows nothing: for all processes but the first."""

    def step(self) -> None:
        """An iteration is done."""

    def figures(self, iteration: int, kind: str, figures: Mapping[str, float | None]) -> None:
        """Take figures.

        Args:
            iteration: how many are done.
            kind: "train" or "val".
            figures: by name; None or not finite: unknown.
        """

    def picture(self, iteration: int, sheet: NDArray[np.uint8]) -> None:
        """Take a sheet of predictions, (H, W, 3) uint8 RGB."""

    def close(self) -> None:
        """End what is shown."""


class FolderMonitor(Monitor):
    """Shows the bar, and writes into a training's folder.

    Args:
        out: the folder.
        start: iterations that are done; later lines of the log are of a run that was killed, and
            are removed.
        validated: the iteration of the last validation; 0: none.
        iterations: of the whole training.
        progress: show the bar, where standard error is a terminal.
    """

    def __init__(
        self, out: Path, *, start: int, validated: int, iterations: int, progress: bool = True
    ) -> None:
        self._out = out
        self._forget_beyond({"train": start, "val": validated})
        self._board = _board(out / _TENSORBOARD, start)
        self._bar = tqdm(
            initial=start,
            total=iterations,
            unit="it",
            disable=None if progress else True,
            dynamic_ncols=True,
        )

    def step(self) -> None:
        """Move the bar by one iteration."""
        self._bar.update()

    def figures(self, iteration: int, kind: str, figures: Mapping[str, float | None]) -> None:
        """Write one line to the log, the figures to TensorBoard, and some to the terminal."""
        finite = {
            name: value if value is not None and math.isfinite(value) else None
            for name, value in figures.items()
        }
        line = {"iteration": iteration, "kind": kind, **finite}
        try:
            with (self._out / LOG).open("a", encoding="utf-8") as log:
                log.write(json.dumps(line, allow_nan=False) + "\n")
        except OSError as error:
            error.filename = str(self._out / LOG)  # of a full disk Python gives no name
            raise
        if self._board is not None:
            for name, value in finite.items():
                if value is not None:
                    self._board.add_scalar(f"{kind}/{name}", value, iteration)
        if kind == "train":
            shown = {"loss": finite.get("loss"), "rate": finite.get("learning_rate")}
            self._bar.set_postfix(
                {name: f"{value:.3g}" for name, value in shown.items() if value is not None},
                refresh=False,
            )
        else:
            percent = {name: _percent(finite.get(name)) for name in ("mean_iou", "pixel_accuracy")}
            say(
                f"iteration {iteration}: validation mIoU {percent['mean_iou']}, pixel accuracy"
                f" {percent['pixel_accuracy']}"
            )

    def picture(self, iteration: int, sheet: NDArray[np.uint8]) -> None:
        """Write a sheet of predictions."""
        write_png(self._out / PICTURES / f"{iteration:08d}.png", sheet)
        if self._board is not None:
            self._board.add_image("val/predictions", sheet, iteration, dataformats="HWC")

    def close(self) -> None:
        """Close the bar and TensorBoard's file."""
        self._bar.close()
        if self._board is not None:
            self._board.close()

    def _forget_beyond(self, last: Mapping[str, int]) -> None:
        path = self._out / LOG
        if not path.is_file():
            return
        kept = [line for line in path.read_text("utf-8").splitlines() if _is_within(line, last)]
        with written_beside(path) as beside:
            beside.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


class LogWindow:
    """Means over the iterations since the last line of the log.

    Args:
        batch_size: frames of an iteration.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._losses: list[float] = []
        self._norm = 0.0
        self._seconds = 0.0
        self._since = time.perf_counter()

    def add(self, loss: float, gradient_norm: float) -> None:
        """Take in an iteration, which began when `resume` was called last."""
        self._seconds += time.perf_counter() - self._since
        self._losses.append(loss)
        self._norm = gradient_norm

    def resume(self) -> None:
        """Let the time of an iteration begin: what was before, such as saving, does not count."""
        self._since = time.perf_counter()

    def take(self) -> dict[str, float]:
        """Return the figures, and begin again: mean loss, last gradient norm, frames a second."""
        count, seconds = len(self._losses), self._seconds
        figures = {
            "loss": sum(self._losses) / count,
            "gradient_norm": self._norm,
            "frames_per_second": count * self._batch_size / seconds,
        }
        self._losses, self._seconds = [], 0.0
        return figures


def say(message: str) -> None:
    """Print a line for the user, above any bar."""
    tqdm.write(f"fafnet: {message}", file=sys.stderr)


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{100 * value:.2f} %"


def _is_within(line: str, last: Mapping[str, int]) -> bool:
    """Whether a line of the log is whole, and of an iteration up to the last of its kind."""
    try:
        found = json.loads(line)
        return int(found["iteration"]) <= last[found["kind"]]
    except (ValueError, TypeError, KeyError):
        return False  # cut short by a kill


def _board(folder: Path, start: int) -> Any:
    """TensorBoard's writer; None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        say("no TensorBoard here, so log.jsonl only: pip install tensorboard brings it")
        return None
    # What a killed run wrote beyond the start is hidden.
    return SummaryWriter(str(folder), purge_step=start + 1)
