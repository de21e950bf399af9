"""The table of `make matrix`: what ran is counted, and what did not is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from matrix import ROWS, Result, table, write_row


@pytest.fixture
def junit(tmp_path: Path) -> Path:
    """A run of four tests: one passes, one fails, one has a broken fixture, one skips."""
    (tmp_path / "test_four.py").write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def broken(): raise ValueError\n"
        "def test_passes(): pass\n"
        "def test_fails(): assert False\n"
        "def test_broken(broken): pass\n"
        "def test_skips(): pytest.skip('no reason')\n"
    )
    file = tmp_path / "junit.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={file}"]
    subprocess.run([*command, "test_four.py"], cwd=tmp_path, capture_output=True, check=False)
    return file


def test_tests_are_counted_as_pytest_reports_them(junit: Path) -> None:
    result = Result.read("test/core", junit)
    assert (result.passed, result.failed, result.skipped) == (1, 2, 1)
    assert result.seconds > 0


def test_a_row_has_a_line_for_each_part_and_its_versions(tmp_path: Path) -> None:
    row = ROWS[0]
    versions = {"python": "3.10.15", "numpy": "2.2.6", "torch": "2.14.1"}
    write_row(tmp_path, row, versions, [Result("test/core", 12, 1, 3, 59.6)])
    write_row(tmp_path, row, versions, [Result("test/ros", 4, 0, 0, 7.0)])
    lines = table(tmp_path).splitlines()
    assert lines[2] == "| 3.10 | 3.10.15 | 2.2.6 | 2.14.1 | - | - | test/core | 12 | 1 | 3 | 60 |"
    assert lines[3] == "| 3.10 | 3.10.15 | 2.2.6 | 2.14.1 | - | - | test/ros | 4 | 0 | 0 | 7 |"


def test_results_of_other_versions_go(tmp_path: Path) -> None:
    for torch in ("2.3.1", "2.14.1"):
        write_row(tmp_path, ROWS[0], {"torch": torch}, [Result(torch, 1, 0, 0, 1.0)])
    assert "2.14.1 | 1 |" in table(tmp_path)
    assert "2.3.1" not in table(tmp_path)


def test_rows_that_did_not_run_are_listed(tmp_path: Path) -> None:
    lines = table(tmp_path).splitlines()[2:]
    assert len(lines) == len(ROWS)
    assert all(line.endswith("| did not run |") for line in lines)
    assert {line.count("|") for line in lines} == {table(tmp_path).splitlines()[0].count("|")}
