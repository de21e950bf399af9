"""What all tests of `fafnet_core` share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def _threads() -> Iterator[None]:
    """Trainings set the number of PyTorch's threads; the tests after them have the old one."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
