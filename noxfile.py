"""`make matrix`: the tests with every Python and library of `benchmarks/matrix.py`.

nox takes the interpreters that are on this machine, and skips the rows of those that are not.

nox                                  # all rows
nox -s "tests(3.13)" "tests(oldest)"
nox -s "tests(3.13)" -- test/core/test_camera.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nox

PROJECT = Path(__file__).resolve().parent
sys.path.insert(0, str(PROJECT / "benchmarks"))

from matrix import PACKAGES, PARTS, ROWS, Result, Row, table, write_row  # noqa: E402

OUT = PROJECT / "output" / "matrix"

VERSIONS = f"""
import json, platform, importlib.metadata as metadata
found = {{"python": platform.python_version()}}
for name in {PACKAGES}:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""

# A thread each for two tests at a time, as `make test` does; nodes have both cores for themselves.
TWO_AT_A_TIME = ("-n", "2", "--dist", "loadfile")


@nox.session(venv_backend="uv|virtualenv")
@nox.parametrize("python, row", [nox.param(row.python, row, id=row.name) for row in ROWS])
def tests(session: nox.Session, row: Row) -> None:
    """Run the tests, and put their counts into the table."""
    session.install(*row.requirements)
    versions = json.loads(str(session.run("python", "-c", VERSIONS, silent=True)))
    results = []
    for part in [" ".join(session.posargs)] if session.posargs else PARTS:
        junit = OUT / f"{row.name}.xml"
        nodes = part.startswith("test/ros")
        session.run(
            *("python", "-m", "pytest", "--continue-on-collection-errors"),
            *(f"--junitxml={junit}", *part.split()),
            *(() if nodes else TWO_AT_A_TIME),
            env={} if nodes else {"OMP_NUM_THREADS": "1"},
            success_codes=[0, 1],
        )
        results.append(Result.read(part, junit))
        write_row(OUT, row, versions, results)
        (OUT / "table.md").write_text(table(OUT))
    session.log(f"\n{table(OUT)}")
    if any(result.failed for result in results):
        session.error("tests failed")
