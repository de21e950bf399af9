"""What the benchmarks share: command lines, times taken in turn, tables and plots."""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fafnet_core.files import written_beside

Clock = Callable[[], float]
T = TypeVar("T")

PROJECT = Path(__file__).resolve().parents[1]


def command_line(description: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help shows a benchmark's docstring as it is."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def at_least(least: int) -> Callable[[str], int]:
    """Return a type for argparse: whole numbers from `least`."""

    def whole_number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"wanted a whole number, at least {least}; got '{text}'"
            )
        return int(text)

    return whole_number


def timed(way: Callable[[], T], clock: Clock = time.process_time) -> tuple[T, float]:
    """Return what `way` returns, and the seconds that it took.

    Processor time, the default, is the time that one thread takes, and other programs on the
    machine hardly change it. What runs on several threads or on a GPU needs `time.perf_counter`.
    """
    begun = clock()
    result = way()
    return result, clock() - begun


@dataclass(frozen=True)
class Times:
    """Seconds of each round, by the name of what ran."""

    seconds: Mapping[str, Sequence[float]]

    def ms(self, name: str) -> float:
        """Return the median in milliseconds."""
        return 1e3 * statistics.median(self.seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """Return the median of the ratios of all rounds.

        Round by round: a shared machine is slower in one minute than in the next.
        """
        rounds = zip(self.seconds[name], self.seconds[other], strict=True)
        return statistics.median(own / others for own, others in rounds)


def in_turn(
    ways: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Clock = time.process_time,
    warming: int = 2,
) -> Times:
    """Time several ways to do the same, in turn; the first, warming, rounds do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for index in range(warming + rounds):
        for name, way in ways.items():
            _, took = timed(way, clock)
            if index >= warming:
                seconds[name].append(took)
    return Times(seconds)


def median_ms(
    way: Callable[[], object], rounds: int = 21, clock: Clock = time.process_time
) -> float:
    """Return the median time of one way in milliseconds; see `in_turn`."""
    return in_turn({"": way}, rounds, clock).ms("")


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    lines = [" | ".join(map(str, cells)) for cells in (head, *rows)]
    rule = "|---" * len(head) + "|"
    return "\n".join([f"| {lines[0]} |", rule, *(f"| {line} |" for line in lines[1:])])


@contextmanager
def axes_of(path: Path, rows: int, columns: int, size: tuple[float, float]) -> Iterator[Any]:
    """Give the axes of a figure, (rows, columns); write it as a PNG when the block ends.

    Args:
        path: the PNG.
        rows: of axes.
        columns: of axes.
        size: of the figure, width and height in units of 110 pixels.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, grid = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    try:
        yield grid
        for axis in grid.flat:
            axis.spines[["top", "right"]].set_visible(False)
        with written_beside(path) as beside:
            figure.savefig(beside, dpi=110, format="png")
    finally:
        plt.close(figure)


def from_tests(name: str) -> Any:
    """Import a file of `test/core` that benchmarks use too."""
    folder = str(PROJECT / "test" / "core")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)
