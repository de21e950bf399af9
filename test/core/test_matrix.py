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
    results = [Result("test/core", 12, 1, 3, 59.6), Result("test/ros", 4, 0, 0, 7.0)]
    write_row(tmp_path, row, versions, results)
    lines = table(tmp_path).splitlines()
    assert lines[2] == "| 3.10 | 3.10.15 | 2.2.6 | 2.14.1 | - | - | test/core | 12 | 1 | 3 | 60 |"
    assert lines[3] == "| 3.10 | 3.10.15 | 2.2.6 | 2.14.1 | - | - | test/ros | 4 | 0 | 0 | 7 |"


def test_rows_that_did_not_run_are_listed(tmp_path: Path) -> None:
    lines = table(tmp_path).splitlines()[2:]
    assert len(lines) == len(ROWS)
    assert all(line.endswith("| did not run |") for line in lines)
    assert {line.count("|") for line in lines} == {table(tmp_path).splitlines()[0].count("|")}
