"""What the benchmarks share: command lines, tables, plots; `fafnet_core.benchmark` has the loop."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fafnet_core.files import written_beside

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
