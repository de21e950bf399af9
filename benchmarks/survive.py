"""Kills a small training at random moments and breaks what it depends on; each time it goes on.

python benchmarks/survive.py --out output/trust/training.md             # 50 kills, and all faults
python benchmarks/survive.py --kills 3 --faults dead-worker    # fewer; printed

The training is `fafnet train` in a process of its own. After each SIGKILL its files are compared
with those of the same training undisturbed, bit for bit; after every fifth it goes on to the end,
which has to be the same too. The exit status is 1 where something was lost, broken or different.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from broken_training import (
    Outcome,
    corrupt_frame,
    dead_worker,
    full_disk,
    lost_process,
    train_together,
)
from killed_training import AIMS, Kill, Uninterrupted, finish
from measuring import at_least, command_line, markdown
from tqdm import tqdm

from fafnet_core.files import written_beside

_KILLS_OF_A_TRAINING = 5

FAULTS: dict[str, Callable[[Uninterrupted, Path], Outcome]] = {
    "full-disk": full_disk,
    "corrupt-frame": corrupt_frame,
    "corrupt-frame-of-worker": partial(corrupt_frame, workers=1),
    "dead-worker": dead_worker,
    "dead-server": partial(dead_worker, victim="server"),
    "lost-first": partial(lost_process, rank=0),
    "lost-second": partial(lost_process, rank=1),
}


@dataclass(frozen=True)
class Rehearsed:
    """A training that was killed some times and then went on to the end.

    Attributes:
        kills: in their order.
        differs: how its end differs from the uninterrupted training's; None: it does not.
    """

    kills: list[Kill]
    differs: str | None


def rehearse(whole: Uninterrupted, folder: Path, kills: int, seed: int) -> list[Rehearsed]:
    """Kill trainings `kills` times together, and let each go on to the end."""
    rng = random.Random(seed)
    rehearsed: list[Rehearsed] = []
    with tqdm(total=kills, unit="kill", disable=None) as bar:
        while (left := kills - sum(len(one.kills) for one in rehearsed)) > 0:
            out = folder / f"killed-{len(rehearsed)}"
            found: list[Kill] = []
            for _ in range(min(_KILLS_OF_A_TRAINING, left)):
                # None: it had ended before the moment came.
                if (kill := whole.kill(out, rng.choice(AIMS), rng)) is None:
                    break
                found.append(kill)
                bar.update()
            finish(whole.settings, out)
            rehearsed.append(Rehearsed(found, whole.differs(out)))
    return rehearsed


def report(rehearsed: Sequence[Rehearsed], outcomes: Sequence[Outcome], seed: int) -> str:
    """Return both tables in Markdown."""
    sections = [f"# Trainings that were killed and broken (seed {seed})"]
    if rehearsed:
        sections.append(_kills_table(rehearsed))
    if outcomes:
        sections.append(_faults_table(outcomes))
    return "\n\n".join(sections) + "\n"


def _kills_table(rehearsed: Sequence[Rehearsed]) -> str:
    kills = [(kill, one.differs is None) for one in rehearsed for kill in one.kills]
    rows: list[list[object]] = []
    for moment in [*sorted({kill.moment for kill, _ in kills}), "all"]:
        met = [(kill, same) for kill, same in kills if moment in (kill.moment, "all")]
        back = [kill.states_back for kill, _ in met]
        broken = sum(bool(kill.broken) for kill, _ in met)
        more = sum(states > 1 for states in back)
        bits = f"{sum(same for _, same in met)} of {len(met)}"
        rows.append([moment, len(met), back.count(0), back.count(1), more, broken, bits])
    head = ["killed", "kills", "0 states back", "1", "more", "with a broken file"]
    table = markdown([*head, "resumed to the same bits"], rows)
    said = [f"- {name}" for one in rehearsed for kill in one.kills for name in kill.broken]
    said += [f"- the end: {one.differs}" for one in rehearsed if one.differs]
    trainings = f"{len(kills)} kills of {len(rehearsed)} trainings."
    return "\n\n".join([trainings, table, *(["\n".join(said)] if said else [])])


def _faults_table(outcomes: Sequence[Outcome]) -> str:
    rows = [
        [
            one.fault,
            one.status,
            "" if one.seconds is None else f"{one.seconds:.1f}",
            f"`{one.said}`" + (" and a traceback" if one.traceback else ""),
            ", ".join(one.broken) or "none",
            one.differs or "same bits",
        ]
        for one in outcomes
    ]
    return markdown(
        ["fault", "status", "seconds to the end", "says", "broken files", "repaired and resumed"],
        rows,
    )


class _Trainings:
    """The trainings that nothing disturbs, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def alone(self) -> Uninterrupted:
        return Uninterrupted(self._folder / "one")

    @cached_property
    def together(self) -> Uninterrupted:
        """Of two processes: its last digits are others."""
        return Uninterrupted(self._folder / "two", train_together)

    def broken(self, names: Sequence[str]) -> list[Outcome]:
        """Plant faults."""
        return [
            FAULTS[name](
                self.together if name.startswith("lost") else self.alone, self._folder / name
            )
            for name in tqdm(names, unit="fault", disable=None)
        ]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command_line(__doc__)
    parser.add_argument("--kills", type=at_least(0), default=50, help="(default: 50)")
    parser.add_argument("--seed", type=at_least(0), default=0, help="of the moments")
    parser.add_argument("--faults", nargs="*", choices=list(FAULTS), default=list(FAULTS))
    parser.add_argument("--out", type=Path, help="the report (default: print it)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill, break and report; 1 where a training did not survive."""
    parsed = _parse(arguments)
    # A process that is killed leaves its semaphores to the tracker, which would say so.
    os.environ["PYTHONWARNINGS"] = "ignore::UserWarning:multiprocessing.resource_tracker"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trainings = _Trainings(folder)
        rehearsed = (
            rehearse(trainings.alone, folder, parsed.kills, parsed.seed) if parsed.kills else []
        )
        outcomes = trainings.broken(parsed.faults)
    text = report(rehearsed, outcomes, parsed.seed)
    if parsed.out is None:
        print(text, end="")
    else:
        with written_beside(parsed.out) as beside:
            beside.write_text(text, encoding="utf-8")
    kills = [kill for one in rehearsed for kill in one.kills]
    survived = all(one.differs is None for one in rehearsed)
    survived &= all(kill.states_back <= 1 and not kill.broken for kill in kills)
    return 0 if survived and all(one.is_survived for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
