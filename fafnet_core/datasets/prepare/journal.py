"""A journal of the frames that are done; it survives a kill at any moment.

Its first line holds the settings, and the versions of the libraries that make the frames; each
further line is the record of a frame whose files were complete when it was written. A frame whose
line was cut short is made again. At the end the records move to the manifest and the journal is
deleted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fafnet_core.datasets.checks import name_some
from fafnet_core.datasets.prepare.layout import (
    FORMAT,
    MANIFEST_FILE,
    VERSION,
    check_format,
    write_file,
)
from fafnet_core.datasets.prepare.records import FrameRecord, Manifest

JOURNAL_FILE = "unfinished.jsonl"

_PARTIAL = ".*.partial"
"""Files that `fafnet_core.files.written_beside` leaves when its process is killed."""


class Journal:
    """The records of the frames that are done, in an output folder.

    Attributes:
        records: by the frames' names.
        made_by: versions of the libraries that made them; empty for a new folder.
        manifest: of a complete folder; else None.

    Raises:
        ValueError: the folder was prepared from other data or with other settings, or holds other
            files.
        OSError: it cannot be read.
    """

    def __init__(self, root: Path, settings: Mapping[str, Any]) -> None:
        self._root = root
        self._path = root / JOURNAL_FILE
        self._settings = dict(settings)
        self.records: dict[str, FrameRecord] = {}
        self.made_by: Mapping[str, str] = {}
        self.manifest: Manifest | None = None
        if (root / MANIFEST_FILE).is_file():
            self.manifest = Manifest.read(root)
            _check_settings(root, self.manifest.settings, settings)
            self.made_by = self.manifest.made_by
            self.records = {record.name: record for record in self.manifest.frames}
        elif self._path.is_file():
            self._read()
        else:
            _check_free(root)

    def _read(self) -> None:
        head, *lines = self._path.read_bytes().split(b"\n")
        try:
            values = json.loads(head)
            check_format(values)
            settings, self.made_by = dict(values["settings"]), dict(values["made_by"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self._path} is damaged ({error}): delete {self._root} and prepare again"
            ) from error
        _check_settings(self._root, settings, self._settings)
        for line in lines:
            # A line that is cut short or damaged: that frame is made again.
            with suppress(ValueError):
                record = FrameRecord.from_dict(json.loads(line))
                self.records[record.name] = record

    @contextmanager
    def open(self, kept: Iterable[FrameRecord], made_by: Mapping[str, str]) -> Iterator[Journal]:
        """Write a new journal that holds `kept`; `add` what follows.

        From here until `finish` the folder is not complete.

        Args:
            kept: records of the frames that are done.
            made_by: versions of the libraries that made these and will make the others.

        Raises:
            OSError: the journal cannot be written.
        """
        self.records = {record.name: record for record in kept}
        self.made_by = dict(made_by)
        head = {
            "format": FORMAT,
            "version": VERSION,
            "settings": self._settings,
            "made_by": self.made_by,
        }
        lines = [json.dumps(head), *(record.to_json() for record in self.records.values())]
        write_file(self._path, "".join(f"{line}\n" for line in lines).encode())
        (self._root / MANIFEST_FILE).unlink(missing_ok=True)
        self.manifest = None
        for path in list(self._root.rglob(_PARTIAL)):
            path.unlink(missing_ok=True)
        # Unbuffered: a line survives a kill as soon as `add` returns.
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
        self.records[record.name] = record

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest; the folder is complete."""
        manifest.write(self._root)
        self._path.unlink(missing_ok=True)
        self.manifest = manifest


def is_prepared(root: str | Path) -> bool:
    """Tell whether `fafnet prepare` made this folder, complete or not."""
    return any((Path(root) / name).is_file() for name in (MANIFEST_FILE, JOURNAL_FILE))


def read_manifest(root: Path) -> Manifest:
    """Read the manifest of a complete folder.

    Raises:
        FileNotFoundError: no folder, or one that is not complete or not prepared.
        ValueError: see `Manifest.read`.
    """
    if (root / MANIFEST_FILE).is_file():
        return Manifest.read(root)
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    if is_prepared(root):
        raise FileNotFoundError(
            f"{root} is not complete: run the `fafnet prepare` that began it again"
        )
    raise FileNotFoundError(f"{root} has no {MANIFEST_FILE}: `fafnet prepare` did not make it")


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Keep a second preparation out of the folder; the lock ends with the process.

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
            raise OSError(f"another process is preparing {root}: wait for it or end it") from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)


def _check_free(root: Path) -> None:
    others = [path.name for path in sorted(root.iterdir()) if not path.name.startswith(".")]
    if others:
        raise ValueError(
            f"{root} holds {name_some(others)}, but no preparation to go on with: give an empty or"
            " a new folder"
        )


def _check_settings(root: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse settings that differ from those of the folder."""
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
