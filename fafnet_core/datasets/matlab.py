"""MATLAB's two file formats: version 5 (`matlab5.py`) and version 7.3, which is HDF5 (h5py).

h5py comes with the extra "data"; it is not imported before a file is opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fafnet_core.datasets.matlab5 import read_variables


class MissingLibraryError(OSError):
    """A library of an extra is not installed; the message says which."""


def read_matlab5(path: Path, names: Iterable[str]) -> dict[str, Any]:
    """Read some variables of a MATLAB 5 file; nested cells and structs are squeezed.

    Raises:
        ValueError: another version, no MATLAB file, a damaged one, or a variable is not there.
        FileNotFoundError: no such file.
    """
    wanted = list(names)
    try:
        values = read_variables(path.read_bytes(), wanted)
    except ValueError as error:
        raise _unreadable(path, error) from error
    if absent := [name for name in wanted if name not in values]:
        raise ValueError(f"{path} has no variable {', '.join(absent)}; take the original download")
    return {name: values[name] for name in wanted}


class MatlabFile73:
    """A MATLAB 7.3 file that is opened when it is first read.

    Each process opens its own handle: one from before a fork would share its position in the file.
    Threads may share a handle. The object can be pickled, for workers that are spawned.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Process and handle in one value: a thread never sees one without the other.
        self._opened: tuple[int, Any] | None = None
        self._inherited: list[Any] = []

    def open(self) -> Any:
        """Return the `h5py.File` of this process.

        Raises:
            ValueError: another version, no MATLAB file, or a damaged one.
            MissingLibraryError: h5py is not installed.
        """
        opened, here = self._opened, os.getpid()
        if opened is not None:
            process, file = opened
            if process == here:
                return file
            # Keep it open: only the process that opened it may close it.
            self._inherited.append(file)
        try:
            import h5py
        except ImportError as error:
            raise _missing(self.path, "h5py") from error
        try:
            file = h5py.File(self.path, "r")
        except OSError as error:
            raise _unreadable(self.path, error) from error
        self._opened = here, file
        return file

    def check_stored(self, array: Any, name: str) -> None:
        """Refuse an array that HDF5 would read from other files.

        Raises:
            ValueError: it is not stored in this one.
        """
        if array.external is not None or array.is_virtual:
            raise ValueError(f"{self.path}: {name} is in another file, which is not opened")

    @contextmanager
    def damaged(self) -> Iterator[None]:
        """Turn what h5py raises for a damaged file into a ValueError that names it.

        Raises:
            ValueError: the block failed.
        """
        try:
            yield
        except Exception as error:  # many types, none of its own
            raise _unreadable(self.path, error) from error

    def close(self) -> None:
        """Close this process's handle; the next `open` opens the file again."""
        opened = self._opened
        if opened is not None and opened[0] == os.getpid():
            self._opened = None
            opened[1].close()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_opened": None, "_inherited": []}


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} cannot be read: {error}; take the original download")


def _missing(path: Path, library: str) -> MissingLibraryError:
    return MissingLibraryError(f"reading {path.name} needs {library}: pip install {library}")
