"""The ablation's report: tables of scores, and of their differences paired by seed.

Where the error of the registration is known, there is a table for each measure, and a column for
each error. Where there is one test, there is one table, and a column for each measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablation_plot import COLOURS, plot_against_errors, plot_arms
from ablation_table import CONTROL, NONE, WHOLE, Interval, Result, Table
from measuring import markdown

from fafnet_core.files import written_beside

_MEASURES = {"mean_iou": "mIoU", "boundary_iou": "mIoU within 5 px of class boundaries"}
_ALL_MEASURES = {**_MEASURES, "pixel_accuracy": "pixel accuracy"}


@dataclass(frozen=True)
class _Columns:
    """The figures that a table shows.

    Attributes:
        title: of their first column.
        heads: of the others.
        cells: measure and index of the test, for each head.
    """

    title: str
    heads: Sequence[str]
    cells: Sequence[tuple[str, int]]


def write_report(results: Sequence[Result], out: Path, protocol: str = "") -> str:
    """Write `ablation.md` and `ablation.png` into a folder; return the text.

    Args:
        results: of the runs, at least one.
        out: the folder.
        protocol: what the text begins with: how the figures were made.
    """
    table = Table(results)
    if table.errors:
        heads = [f"{px:g} px" for px in table.errors]
        shown = [
            _Columns(title, heads, [(measure, test) for test in range(len(heads))])
            for measure, title in _MEASURES.items()
        ]
        pairs = [(WHOLE, CONTROL), (WHOLE, NONE), (CONTROL, NONE)]
        pairs += [(WHOLE, arm) for arm in table.arms if arm not in COLOURS]
    else:
        cells = [(measure, 0) for measure in _ALL_MEASURES]
        shown = [_Columns("", list(_ALL_MEASURES.values()), cells)]
        pairs = [(arm, other) for other in (NONE, CONTROL) for arm in table.arms if arm != other]
    pairs = [pair for pair in pairs if table.seeds(*pair)]
    parts = [protocol] if protocol else []
    parts += [_scores(table, columns) for columns in shown]
    parts += [_gains(table, columns, pairs) for columns in shown if pairs]
    parts += _flows(table)
    text = "\n\n".join(parts)
    with written_beside(out / "ablation.md") as beside:
        beside.write_text(text + "\n", encoding="utf-8")
    picture = out / "ablation.png"
    if table.errors:
        ours = [pair for pair in pairs if {*pair} <= {*COLOURS}]
        plot_against_errors(table, _MEASURES, ours, picture)
    else:
        plot_arms(table, _MEASURES, (NONE, CONTROL), picture)
    return text


def _scores(table: Table, columns: _Columns) -> str:
    rows = []
    for arm in table.arms:
        seeds = table.seeds(arm)
        means = [table.scores(arm, name, seeds)[:, test].mean() for name, test in columns.cells]
        size, seconds = f"{table.parameters(arm):,}", f"{table.seconds(arm):.0f}"
        rows.append([arm, size, len(seeds), seconds, *(f"{mean:.2f}" for mean in means)])
    title = f"{columns.title}, %" if columns.title else "arm, %"
    return markdown([title, "parameters", "seeds", "s a run", *columns.heads], rows)


def _gains(table: Table, columns: _Columns, pairs: Sequence[tuple[str, str]]) -> str:
    rows = []
    for arm, other in pairs:
        gains = [table.difference(arm, other, name)[:, test] for name, test in columns.cells]
        cells = [Interval.of(gain).text(2) for gain in gains]
        if table.errors:
            cells.append(table.slope(arm, other, columns.cells[0][0]).text(3))
        else:
            cells.insert(0, str(len(table.seeds(arm, other))))
        rows.append([f"{arm} minus {other}", *cells])
    title = "paired difference in points [95 %]"
    if table.errors:
        return markdown([f"{columns.title}: {title}", *columns.heads, "points per px, 0-8"], rows)
    return markdown([title, "seeds", *columns.heads], rows)


def _flows(table: Table) -> list[str]:
    flow = table.flow(WHOLE) if WHOLE in table.arms else {}
    head = ("FAM of all-fams that moves depth to colour", "slope", "correlation")
    rows = [
        (name, f"{fit['slope']:.3f}", f"{fit['correlation']:.3f}") for name, fit in flow.items()
    ]
    return [markdown(head, rows)] if rows else []
