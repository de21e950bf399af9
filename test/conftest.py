"""Fixtures that both halves of the tests share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Networks that runtimes compile are kept for this run, and the user's are not taken."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real frames beside the project; tests that need it skip where it is absent."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real frames at ../{folder.parent.name}/{folder.name}")
    return folder


@pytest.fixture(scope="module")
def torch_threads() -> Iterator[None]:
    """Trainings set the number of PyTorch's threads; afterwards it is what it was."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def exr_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV may read EXR in the processes that the test starts: it asks once in a process."""
    monkeypatch.setenv("OPENCV_IO_ENABLE_OPENEXR", "1")
    code = "import cv2, sys; sys.exit(not cv2.haveImageWriter('.exr'))"
    if subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode:
        pytest.skip("this OpenCV was built without OpenEXR")
