"""Knocks at one door many times, in a process of its own: `visitor.py DOOR INPUTS FOLDER`.

What it has seen is in FOLDER/report.json at any moment, and the input that it is at in
FOLDER/input: a library that crashes takes this process along, and `long.py` goes on behind it.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import time
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent / "core"), str(_HERE.parents[1])]

_ADDRESSES = 8 * 2**30
"""Bytes of address space beyond what the libraries take: no input may starve the machine."""
_MOST_FINDS = 40
_SAVED_EVERY = 1.0


@dataclass
class Report:
    """What has become of the inputs of a door.

    Attributes:
        inputs, accepted, refused: how many.
        finds: number of times of each.
        slowest: seconds.
        memory: bytes beyond the honest size, the most.
    """

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    finds: dict[str, int] = field(default_factory=dict)
    slowest: float = 0.0
    memory: int = 0


class Visitor:
    """Knocks, counts, and keeps the inputs of finds."""

    def __init__(self, name: str, folder: Path) -> None:
        from door import knock
        from doors import DOORS

        self._knock = knock
        self.door = DOORS[name]
        self._folder, self._work = folder, folder / "work"
        self._work.mkdir(parents=True, exist_ok=True)
        self.seeds = list(self.door.seeds(self._work))
        stored = folder / "report.json"
        self.report = Report(**json.loads(stored.read_text())) if stored.is_file() else Report()
        self._saved = 0.0

    def visit(self, data: bytes) -> None:
        """Knock with one input."""
        (self._folder / "input").write_bytes(data)
        report = self.report
        report.inputs += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome = self._knock(self.door, data, self._work)
        report.accepted += outcome.accepted
        report.refused += not outcome.accepted and not outcome.find
        report.slowest = max(report.slowest, outcome.seconds)
        report.memory = max(report.memory, outcome.memory)
        if outcome.find:
            is_new = outcome.find not in report.finds
            if is_new and len(report.finds) < _MOST_FINDS:
                (self._folder / f"find-{len(report.finds)}").write_bytes(data)
            kind = "more" if is_new and len(report.finds) >= _MOST_FINDS else outcome.find
            report.finds[kind] = report.finds.get(kind, 0) + 1
        if outcome.find or time.monotonic() > self._saved + _SAVED_EVERY:
            self.save()

    def save(self) -> None:
        """Write the report."""
        beside = self._folder / "report.part"
        beside.write_text(json.dumps(asdict(self.report)))
        beside.replace(self._folder / "report.json")
        self._saved = time.monotonic()


def main() -> None:
    """Visit one door."""
    parser = argparse.ArgumentParser()
    parser.add_argument("door")
    parser.add_argument("inputs", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--guided", action="store_true")
    arguments = parser.parse_args()
    if arguments.guided:
        _guided(arguments)
        return
    from mutation import mutated

    visitor = Visitor(arguments.door, arguments.folder)
    _limit_addresses()
    for place in range(visitor.report.inputs, arguments.inputs):
        visitor.visit(mutated(visitor.seeds, random.Random(f"{arguments.door} {place}")))
    visitor.save()


def _guided(arguments: Any) -> None:
    """Let libFuzzer choose the inputs, by the branches of our code that they reach."""
    import atheris

    with atheris.instrument_imports(include=["fafnet_core", "fafnet_ros"]):
        visitor = Visitor(arguments.door, arguments.folder)
    corpus = arguments.folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for place, seed in enumerate(visitor.seeds):
        (corpus / f"seed-{place}").write_bytes(seed)
    longest = 2 * max(map(len, visitor.seeds)) + 4096
    runs = arguments.inputs - visitor.report.inputs
    _limit_addresses()
    options = [f"-runs={runs}", f"-max_len={longest}", "-timeout=30", "-rss_limit_mb=0", "-seed=1"]
    options += ["-verbosity=0", f"-artifact_prefix={arguments.folder}/"]
    from mutation import mutated

    def custom(data: bytes, most: int, seed: int) -> bytes:
        """Half of the inputs are changed as the plain run does it, half as libFuzzer does."""
        random_ = random.Random(seed)
        if random_.random() < 0.5:
            return mutated([data or b"\0"], random_)[:most]
        return bytes(atheris.Mutate(data, most))

    def one(data: bytes) -> None:
        visitor.visit(data)
        if visitor.report.inputs >= arguments.inputs:
            visitor.save()

    atheris.Setup(["visitor", *options, str(corpus)], one, custom_mutator=custom)
    atheris.Fuzz()


def _limit_addresses() -> None:
    status = Path("/proc/self/status")
    if status.is_file():
        held = int(status.read_text().partition("VmSize:")[2].split(maxsplit=1)[0]) * 1024
        resource.setrlimit(resource.RLIMIT_AS, (held + _ADDRESSES, held + _ADDRESSES))


if __name__ == "__main__":
    main()
