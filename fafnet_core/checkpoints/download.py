"""Files of the Hugging Face Hub. `huggingface_hub` is optional, and imported when it is needed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEME = "hf://"
"""What the name of a repository begins with where it must not be taken for a folder."""


def hub_library() -> Any:
    """The module `huggingface_hub`.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise ValueError(
            f"this needs the library huggingface_hub ({error}): pip install huggingface_hub;"
            " load_checkpoint reads a folder or a file without it"
        ) from error
    return huggingface_hub


def download(repo_id: str, revision: str | None, filenames: Sequence[str]) -> Path:
    """Download the first of these files that the repository has; return where it is.

    Args:
        repo_id: "owner/name".
        revision: branch, tag or commit; None, the main one.
        filenames: what to look for.

    Raises:
        FileNotFoundError: it has none of them.
        ValueError: `huggingface_hub` is not installed.
        OSError: the Hub cannot be reached.
    """
    library = hub_library()
    from huggingface_hub.utils import EntryNotFoundError, LocalEntryNotFoundError

    for filename in filenames:
        try:
            with asking_the_hub(repo_id):
                return Path(library.hf_hub_download(repo_id, filename, revision=revision))
        except EntryNotFoundError as error:
            missing = error
    if isinstance(missing, LocalEntryNotFoundError):
        raise OSError(
            f"{SCHEME}{repo_id} cannot be reached, and was not downloaded before"
        ) from missing
    raise FileNotFoundError(
        f"no {' or '.join(filenames)} of {SCHEME}{repo_id}: {_one_line(missing)}"
    ) from missing


@contextmanager
def asking_the_hub(repo_id: str) -> Iterator[None]:
    """For a request: retries are not logged, and failures become OSErrors of one line."""
    from huggingface_hub.utils import EntryNotFoundError

    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(max(level, logging.ERROR))
    try:
        yield
    except (EntryNotFoundError, TypeError, ValueError):
        raise
    except Exception as error:
        # Those of the connection come from the library below, whose name differs by version.
        raise OSError(f"{SCHEME}{repo_id}: {_one_line(error)}") from error
    finally:
        logger.setLevel(level)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
