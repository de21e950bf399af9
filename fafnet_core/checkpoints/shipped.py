"""The checkpoint that ships with the package, under the name `default`."""

from __future__ import annotations

from pathlib import Path

import fafnet_core
from fafnet_core.checkpoints.location import resolve

DEFAULT_CHECKPOINT = "default"
"""The name under which it is found; a file of that name is reached as `./default`."""

_FILE = "checkpoints/fafnet-mobile.safetensors"


def checkpoint_file(source: str | Path) -> Path:
    """Return the file of a checkpoint: `default`, or whatever `location.resolve` takes.

    Raises:
        FileNotFoundError: a folder or a repository has no checkpoint.
        ValueError: not a repository's name, or `huggingface_hub` is not installed.
        OSError: the Hub cannot be reached.
    """
    if str(source) == DEFAULT_CHECKPOINT:
        return Path(fafnet_core.__file__).parent / _FILE
    return resolve(source)
