"""Exceptions that nobody foresaw, in a line."""

from __future__ import annotations

import pytest

from fafnet_ros.node.failures import one_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("label"), "KeyError: 'label'"),
        (RuntimeError("\n  \n"), "RuntimeError"),
        (RuntimeError("\nno kernel image.\nTried:\n- this\n"), "RuntimeError: no kernel image"),
        (RuntimeError("CPU: out of memory"), "RuntimeError: CPU: out of memory"),
    ],
)
def test_type_and_first_line_are_told(error: Exception, line: str) -> None:
    assert one_line(error) == line


@pytest.mark.parametrize("first", ["CUDA out of memory. Tried it", "CUDA error: out of memory"])
def test_a_full_gpu_comes_with_its_remedy(first: str) -> None:
    line = one_line(RuntimeError(f"{first}.\nSee the documentation"))
    assert line.startswith(f"RuntimeError: {first}; the GPU's memory is full: ")
    assert "\n" not in line
