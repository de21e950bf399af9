"""Find a checkpoint by its name: a file, a folder or a repository of the Hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from fafnet_core.checkpoints.download import SCHEME, download

CHECKPOINT = "model.safetensors"
"""The checkpoint in a folder or a repository."""

EXPORTED = (".onnx", ".xml", ".pt2")
"""Suffixes of the files of `fafnet export`."""

# One slash: pathlib makes "hf:/owner/name" of "hf://owner/name".
_IDENTIFIER = re.compile(
    r"(?:hf://?|hf[-_]hub:)(?P<repo_id>[^/@\s]+/[^/@\s]+)(?:@(?P<revision>\S+))?"
)
_ANY_SCHEME = re.compile(r"hf:/|hf[-_]hub:")


def resolve(source: str | Path, filenames: Sequence[str] = (CHECKPOINT,)) -> Path:
    """Find a file by its own path, its folder, or a repository of the Hub.

    Args:
        source: a file, a folder, or "hf://owner/name", with "@revision" behind it for another
            revision than the repository's main one ("hf-hub:owner/name" is the same).
        filenames: what to look for in a folder or a repository; the first that is there counts.

    Returns:
        The file; of a repository, the downloaded copy. A path that does not exist is returned: its
        reader says what it wanted.

    Raises:
        FileNotFoundError: the folder or the repository has none of these files.
        ValueError: not a repository's name, or `huggingface_hub` is not installed.
        OSError: the Hub cannot be reached.
    """
    repository = named_repository(source)
    if repository is not None:
        return download(*repository, filenames)
    path = Path(source)
    if not path.is_dir():
        return path
    for filename in filenames:
        if (path / filename).is_file():
            return path / filename
    raise FileNotFoundError(f"no {' or '.join(filenames)} in the folder {path}")


def is_exported(source: str | Path) -> bool:
    """Whether a name is that of a file of `fafnet export`."""
    return Path(source).suffix.lower() in EXPORTED


def named_repository(source: str | Path) -> tuple[str, str | None] | None:
    """Identifier and revision of what is "hf://owner/name@revision"; None for anything else.

    Raises:
        ValueError: it begins with hf:// and does not name a repository.
    """
    text = str(source)
    if not _ANY_SCHEME.match(text):
        return None
    found = _IDENTIFIER.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' names no repository of the Hub; write {SCHEME}owner/name")
    return found["repo_id"], found["revision"]
