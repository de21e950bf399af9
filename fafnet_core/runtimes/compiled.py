"""Networks that a runtime has compiled, kept on disk: the next start takes a tenth of the time."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from fafnet_core.files import written_beside

_MOST_FILES = 12
_DIGEST_BYTES = 32


def cache_folder() -> Path:
    """Return where they are: `fafnet` in the user's cache (XDG_CACHE_HOME, else ~/.cache)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fafnet"


class CompiledCache:
    """Blobs by key; a file that is damaged is as good as none.

    Args:
        folder: made when the first file is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, *key: str) -> bytes | None:
        """Return what was written under a key, or None."""
        try:
            content = self._file(key).read_bytes()
        except OSError:
            return None
        digest, blob = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        return blob if hashlib.sha256(blob).digest() == digest else None

    def write(self, blob: bytes, *key: str) -> None:
        """Keep a blob; the oldest files go. Where nothing can be written, nothing is kept."""
        file = self._file(key)
        try:
            with written_beside(file) as beside:
                beside.write_bytes(hashlib.sha256(blob).digest() + blob)
            files = sorted(self._folder.glob("*.blob"), key=lambda path: path.stat().st_mtime)
            for old in files[:-_MOST_FILES]:
                old.unlink(missing_ok=True)
        except OSError:
            return  # a full disk or a read-only home costs the next start two seconds

    def _file(self, key: tuple[str, ...]) -> Path:
        return self._folder / (hashlib.sha256("\n".join(key).encode()).hexdigest() + ".blob")
