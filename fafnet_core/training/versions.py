"""What a training ran with, for its checkpoints."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import cv2
import numpy as np
import torch

import fafnet_core

_PACKAGE = Path(fafnet_core.__file__).parent
_SECONDS = 10


def versions() -> dict[str, str]:
    """Versions of the libraries and of this code, by name; the GPU and the commit where known."""
    found = {
        "fafnet": fafnet_core.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "machine": platform.machine(),
    }
    if torch.version.cuda is not None:
        found["cuda"] = torch.version.cuda
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    if commit := _commit():
        found["commit"] = commit
    return found


def _commit() -> str | None:
    """The commit of this code, with "-dirty" where files differ; None outside its repository."""
    try:
        # An installed copy may lie inside some other repository: only one that tracks it counts.
        _git("ls-files", "--error-unmatch", "__init__.py")
        return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(_PACKAGE), *arguments],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=True,
    )
    return done.stdout.strip()
