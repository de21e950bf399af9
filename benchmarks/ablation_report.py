"""The ablation's report: tables of scores, and of their differences paired by seed.

Where the error of the registration is known, it stands in the tables' heads; where there is but one
test, measures do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ablation_plot import COLOURS, plot_against_errors, plot_arms
from ablation_table import CONTROL, NONE, WHOLE, Interval, Result, Table

from fafnet_core.files import written_beside

_MEASURES = {"mean_iou": "mIoU", "boundary_iou": "mIoU within 5 px of class boundaries"}
_ALL_MEASURES = {**_MEASURES, "pixel_accuracy": "pixel accuracy"}


def write_report(results: Sequence[Result], out: Path, protocol: str = "") -> str:
    """Write `ablation.md` and `ablation.png` into a folder; return the text.

    Args:
        results: of the runs, at least one.
        out: the folder.
        protocol: what the text begins with: how the figures were made.
    """
    table = Table(results)
    if table.errors:
        parts = [*_scores(table), *_gains(table), *_flows(table)]
    else:
        parts = [_scores_of_one_test(table), *_gains_of_one_test(table)]
    text = "\n\n".join([protocol, *parts] if protocol else parts)
    with written_beside(out / "ablation.md") as beside:
        beside.write_text(text + "\n", encoding="utf-8")
    with written_beside(out / "ablation.png") as beside:
        if table.errors:
            plot_against_errors(table, _MEASURES, _pairs(table), beside)
        else:
            plot_arms(table, _MEASURES, (NONE, CONTROL), beside)
    return text


def _pairs(table: Table) -> list[tuple[str, str]]:
    """Return the differences that answer the question."""
    wanted = ((WHOLE, CONTROL), (WHOLE, NONE), (CONTROL, NONE))
    return [pair for pair in wanted if table.seeds(*pair)]


def _others(table: Table) -> list[tuple[str, str]]:
    """Return what the whole network has over each of the remaining arms."""
    arms = [arm for arm in table.arms if arm not in COLOURS]
    return [(WHOLE, arm) for arm in arms if table.seeds(WHOLE, arm)]


def _scores(table: Table) -> list[str]:
    parts = []
    for measure, title in _MEASURES.items():
        head = " | ".join(f"{px:g} px" for px in table.errors)
        rows = [
            f"| {title}, % | parameters | seeds | s a run | {head} |",
            "|---|---|---|---|" + "---|" * len(table.errors),
        ]
        for arm in table.arms:
            seeds = table.seeds(arm)
            means = table.scores(arm, measure, seeds).mean(axis=0)
            cells = " | ".join(f"{value:.2f}" for value in means)
            rows.append(
                f"| {arm} | {table.parameters(arm):,} | {len(seeds)} |"
                f" {table.seconds(arm):.0f} | {cells} |"
            )
        parts.append("\n".join(rows))
    return parts


def _gains(table: Table) -> list[str]:
    parts = []
    for measure, title in _MEASURES.items():
        head = " | ".join(f"{px:g} px" for px in table.errors)
        rows = [
            f"| {title}: paired difference in points [95 %] | {head} | points per px, 0-8 |",
            "|---|" + "---|" * (len(table.errors) + 1),
        ]
        for arm, other in [*_pairs(table), *_others(table)]:
            gains = table.difference(arm, other, measure)
            cells = " | ".join(Interval.of(column).text(2) for column in gains.T)
            rate = table.slope(arm, other, measure).text(3)
            rows.append(f"| {arm} minus {other} | {cells} | {rate} |")
        parts.append("\n".join(rows))
    return parts


def _flows(table: Table) -> list[str]:
    flow = table.flow(WHOLE) if WHOLE in table.arms else {}
    if not flow:
        return []
    rows = ["| FAM of all-fams that moves depth to colour | slope | correlation |", "|---|---|---|"]
    rows += [
        f"| {name} | {fit['slope']:.3f} | {fit['correlation']:.3f} |" for name, fit in flow.items()
    ]
    return ["\n".join(rows)]


def _scores_of_one_test(table: Table) -> str:
    head = " | ".join(f"{title}, %" for title in _ALL_MEASURES.values())
    rows = [
        f"| arm | parameters | seeds | s a run | {head} |",
        "|---|---|---|---|" + "---|" * len(_ALL_MEASURES),
    ]
    for arm in table.arms:
        seeds = table.seeds(arm)
        means = [table.scores(arm, measure, seeds).mean() for measure in _ALL_MEASURES]
        cells = " | ".join(f"{value:.2f}" for value in means)
        rows.append(
            f"| {arm} | {table.parameters(arm):,} | {len(seeds)} | {table.seconds(arm):.0f} |"
            f" {cells} |"
        )
    return "\n".join(rows)


def _gains_of_one_test(table: Table) -> list[str]:
    """Return what each arm has over the network without FAMs, and over flows that are zero."""
    parts = []
    for other in (NONE, CONTROL):
        head = " | ".join(_ALL_MEASURES.values())
        rows = [
            f"| minus {other}: paired difference in points [95 %] | seeds | {head} |",
            "|---|---|" + "---|" * len(_ALL_MEASURES),
        ]
        for arm in table.arms:
            seeds = table.seeds(arm, other)
            if arm == other or not seeds:
                continue
            gains = [table.difference(arm, other, measure) for measure in _ALL_MEASURES]
            cells = " | ".join(Interval.of(gain[:, 0]).text(2) for gain in gains)
            rows.append(f"| {arm} | {len(seeds)} | {cells} |")
        if len(rows) > 2:
            parts.append("\n".join(rows))
    return parts
