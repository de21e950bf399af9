"""What `make matrix` runs, and the table of it.

Each row is an environment: a CPython, and what is held back in it; everything else is the newest
that `setup.py` admits. `noxfile.py` makes the environments and runs the tests. Standard library
only: nox's own Python reads this.
"""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PARTS = ("test/core", "test/fuzz", "test/ros")
"""The parts of `make test`, in its order."""

PACKAGES = ("numpy", "torch", "opencv-python-headless", "ros-rclpy")
"""Whose versions the table states."""


@dataclass(frozen=True)
class Row:
    """One environment.

    Attributes:
        name: as `make matrix ROWS=...` is given it.
        python: the version of CPython, `major.minor`.
        ros: the extra of `setup.py` with the ROS 2 wheels.
        held: requirements that hold packages back.
    """

    name: str
    python: str
    ros: str = "ros"
    held: tuple[str, ...] = ()

    @property
    def requirements(self) -> tuple[str, ...]:
        """What an installer is asked for, in the project's folder."""
        return ("-e", f".[{self.ros},dev]", *self.held)


ROWS = (
    *(Row(python, python) for python in ("3.10", "3.11", "3.12", "3.13", "3.14")),
    Row("numpy1", "3.11", held=("numpy==1.26.*",)),
    # OpenCV 4.5's wheels are built against NumPy 1.
    Row("opencv4.5", "3.10", held=("numpy==1.26.*", "opencv-python-headless==4.5.*")),
    Row(
        "oldest",
        "3.10",
        held=("torch==2.5.*", "numpy==1.26.*", "opencv-python-headless==4.5.*"),
    ),
    Row("kilted", "3.12", ros="kilted"),
)


@dataclass(frozen=True)
class Result:
    """What came of a part of the tests in one environment.

    Attributes:
        part: the folder of tests, or the arguments that chose some.
        passed, failed, skipped: tests; an error in a fixture is a failure.
        seconds: of pytest, with whatever else ran on the machine.
    """

    part: str
    passed: int
    failed: int
    skipped: int
    seconds: float

    @classmethod
    def read(cls, part: str, junit: Path) -> Result:
        """Count the tests in the file that `pytest --junitxml` wrote."""
        suites = ElementTree.parse(junit).getroot().iter("testsuite")
        total = failed = skipped = 0
        seconds = 0.0
        for suite in suites:
            total += int(suite.get("tests", 0))
            failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped += int(suite.get("skipped", 0))
            seconds += float(suite.get("time", 0))
        return cls(part, total - failed - skipped, failed, skipped, seconds)


def write_row(folder: Path, row: Row, versions: dict[str, str], results: Iterable[Result]) -> None:
    """Keep what came of a row, for `table`; other parts stay, if they ran with these versions."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{row.name}.json"
    before = json.loads(file.read_text()) if file.is_file() else {}
    same = before.get("results", []) if before.get("versions") == versions else []
    parts = {result["part"]: result for result in same}
    parts |= {result.part: dataclasses.asdict(result) for result in results}
    found = {"versions": versions, "results": list(parts.values())}
    file.write_text(json.dumps(found, indent=2) + "\n")


def table(folder: Path) -> str:
    """Return all rows as Markdown; a row that did not run, or whose Python is missing, says so."""
    header = ["row", "Python", *PACKAGES, "tests", "passed", "failed", "skipped", "seconds"]
    lines = [header, ["---"] * len(header)]
    for row in ROWS:
        file = folder / f"{row.name}.json"
        if not file.is_file():
            blanks = [""] * (len(header) - 3)
            lines.append([row.name, row.python, *blanks, "did not run"])
            continue
        found = json.loads(file.read_text())
        versions = [found["versions"].get(name, "-") for name in ("python", *PACKAGES)]
        for result in (Result(**one) for one in found["results"]):
            counts = [str(number) for number in (result.passed, result.failed, result.skipped)]
            lines.append([row.name, *versions, result.part, *counts, f"{result.seconds:.0f}"])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
