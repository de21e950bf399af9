"""What is done already: a journal that survives the end of the process at any moment.

Its first line holds the settings and the versions of what makes the frames; each further line is
the record of a frame whose files were all there when it was written. A line that a kill cut short
is a frame that is made again. When every frame is there the records move to the manifest and the
journal goes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fafnet_core.datasets.prepare.layout import (
    FORMAT,
    KINDS,
    MANIFEST_FILE,
    VERSION,
    check_format,
    write_file,
)
from fafnet_core.datasets.prepare.records import FrameRecord, Manifest

JOURNAL_FILE = "unfinished.jsonl"

_PARTIAL = ".*.partial"
"""What `fafnet_core.files.written_beside` leaves when its process is killed."""


class Journal:
    """The records of the frames that are done, in an output folder.

    Attributes:
        records: by the frames' names.
        made_by: versions of the libraries that made them; empty where there is nothing yet.
        manifest: what was read, where the folder was complete once.

    Raises:
        ValueError: the folder was prepared from something else or in another way, or holds
            something that is no prepared folder.
        OSError: it cannot be read.
    """

    def __init__(self, root: Path, settings: Mapping[str, Any]) -> None:
        self._root = root
        self._path = root / JOURNAL_FILE
        self._settings = dict(settings)
        self._records: dict[str, FrameRecord] = {}
        self.made_by: Mapping[str, str] = {}
        self.manifest: Manifest | None = None
        if (root / MANIFEST_FILE).is_file():
            self.manifest = Manifest.read(root)
            _check_settings(root, self.manifest.settings, settings)
            self.made_by = self.manifest.made_by
            self._records = {record.name: record for record in self.manifest.frames}
        elif self._path.is_file():
            self._read()
        else:
            _check_free(root)

    @property
    def records(self) -> Mapping[str, FrameRecord]:
        """The records, by the frames' names."""
        return self._records

    def _read(self) -> None:
        head, *lines = self._path.read_bytes().split(b"\n")
        try:
            values = json.loads(head)
            check_format(values)
            settings, self.made_by = dict(values["settings"]), dict(values["made_by"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self._path} is damaged ({error}): delete {self._root} and prepare it again"
            ) from error
        _check_settings(self._root, settings, self._settings)
        for line in lines:
            # Cut short by a kill, or damaged: that frame is made again.
            with suppress(ValueError):
                record = FrameRecord.from_dict(json.loads(line))
                self._records[record.name] = record

    @contextmanager
    def open(self, kept: Iterable[FrameRecord], made_by: Mapping[str, str]) -> Iterator[Journal]:
        """Begin to work: only `kept` is done; `add` what follows.

        The folder is no longer complete from here on, until `finish`.

        Args:
            kept: records of what is done.
            made_by: versions of the libraries that made these and make what follows.

        Raises:
            OSError: the journal cannot be written.
        """
        self._records = {record.name: record for record in kept}
        self.made_by = dict(made_by)
        head = {
            "format": FORMAT,
            "version": VERSION,
            "settings": self._settings,
            "made_by": self.made_by,
        }
        lines = [json.dumps(head), *(record.to_json() for record in self._records.values())]
        write_file(self._path, "".join(f"{line}\n" for line in lines).encode())
        (self._root / MANIFEST_FILE).unlink(missing_ok=True)
        self.manifest = None
        _sweep(self._root)
        # Without a buffer: a line is in the system's hands when `add` returns.
        with self._path.open("ab", buffering=0) as self._file:
            yield self

    def add(self, record: FrameRecord) -> None:
        """Note that a frame is done (OSError: the disk is full)."""
        line = f"{record.to_json()}\n".encode()
        try:
            written = self._file.write(line)
        except OSError as error:
            raise OSError(f"cannot write {self._path}: {error.strerror or error}") from error
        if written != len(line):
            raise OSError(f"cannot write {self._path}: the disk is full")
        self._records[record.name] = record

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest; the folder is complete."""
        manifest.write(self._root)
        self._path.unlink(missing_ok=True)
        self.manifest = manifest


def is_prepared(root: str | Path) -> bool:
    """Tell whether `fafnet prepare` made this folder, or has begun to."""
    return any((Path(root) / name).is_file() for name in (MANIFEST_FILE, JOURNAL_FILE))


def read_manifest(root: Path) -> Manifest:
    """Read what a complete folder holds.

    Raises:
        FileNotFoundError: no folder, one that is not complete, or none that was prepared.
        ValueError: see `Manifest.read`.
    """
    if (root / MANIFEST_FILE).is_file():
        return Manifest.read(root)
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    if is_prepared(root):
        raise FileNotFoundError(
            f"{root} is not complete: run the `fafnet prepare` that began it once more"
        )
    raise FileNotFoundError(
        f"{root} has no {MANIFEST_FILE}: it is no folder that `fafnet prepare` made"
    )


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Keep a second preparation out of the folder; the lock ends with the process, however.

    Raises:
        OSError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # not on this system
        yield
        return
    handle = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(f"another process is preparing {root}: wait for it, or end it") from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)


def _sweep(root: Path) -> None:
    """Delete what a killed process left half written."""
    for folder in (root, *(root / kind for kind in KINDS)):
        found = folder.glob(_PARTIAL) if folder == root else folder.rglob(_PARTIAL)
        for path in list(found):
            path.unlink(missing_ok=True)


def _check_free(root: Path) -> None:
    others = [path.name for path in sorted(root.iterdir()) if not path.name.startswith(".")]
    if others:
        raise ValueError(
            f"{root} holds {', '.join(others[:3])}{' and more' * (len(others) > 3)}, but no"
            f" preparation that could go on: give an empty folder, or one that is not there"
        )


def _check_settings(root: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with other settings than those that the folder was begun with."""
    before, now = dict(_leaves(there)), dict(_leaves(wanted))
    differing = [
        f"{key} {_shown(before.get(key))}, now {_shown(now.get(key))}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    if differing:
        raise ValueError(
            f"{root} was begun with {'; '.join(differing)}: give another folder, or delete this one"
        )


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    return "nothing" if value is None else f"{value!r:.40}"
