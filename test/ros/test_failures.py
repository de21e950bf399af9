"""Exceptions that nobody foresaw, in a line."""

from __future__ import annotations

import pytest

from fafnet_ros.node.failures import one_line

FULL = "the GPU's memory is full: end other processes on it (nvidia-smi), or take a smaller"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("label"), "KeyError: 'label'"),
        (RuntimeError(), "RuntimeError"),
        (RuntimeError("\n  \n"), "RuntimeError"),
        (RuntimeError("\nno kernel image.\nTried:\n- this\n"), "RuntimeError: no kernel image"),
        (
            RuntimeError("DefaultCPUAllocator: out of memory"),
            "RuntimeError: DefaultCPUAllocator: out of memory",
        ),
    ],
)
def test_type_and_first_line_are_told(error: Exception, line: str) -> None:
    assert one_line(error) == line


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 20.00 MiB.\nSee the documentation",
        "CUDA error: out of memory\nCUDA kernel errors might be reported later",
    ],
)
def test_a_full_gpu_comes_with_its_remedy(text: str) -> None:
    line = one_line(RuntimeError(text))
    assert line.startswith(f"RuntimeError: {text.splitlines()[0].rstrip('.')}; {FULL}")
    assert "\n" not in line
