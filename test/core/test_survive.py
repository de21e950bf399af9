"""Trainings in processes of their own that are killed, or lose what they depend on, go on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "survive.py"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")


def survive(*arguments: str) -> str:
    """Return the report; its exit status says whether all was survived."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_training_that_is_killed_goes_on_bit_for_bit() -> None:
    report = survive("--kills", "3", "--faults")
    assert "| all | 3 |" in report
    assert "| 3 of 3 |" in report


def test_a_process_whose_peer_is_killed_says_so_and_nothing_is_lost() -> None:
    report = survive("--kills", "0", "--faults", "lost-second")
    assert "most likely another one ended" in report
    assert "| same bits |" in report
