"""MATLAB's two file formats: version 5 (SciPy reads it) and version 7.3, which is HDF5 (h5py).

Both libraries come with the extra "data"; nothing here is imported before a file is opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HDF5_OFFSETS = (0, 512, 1024, 2048)
_VERSION_5 = b"MATLAB 5.0 MAT-file"


class MissingLibraryError(OSError):
    """A library of an extra is not installed; the message says which."""


def read_matlab5(path: Path, names: Iterable[str]) -> dict[str, Any]:
    """Read some variables of a MATLAB 5 file; nested cells and structs are squeezed.

    Raises:
        FileNotFoundError: no such file.
        ValueError: version 7.3, no MATLAB file, a damaged one, or a variable is not there.
        MissingLibraryError: SciPy is not installed.
    """
    _check_version(path, wanted=5)
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise _missing(path, "scipy") from error
    wanted = list(names)
    try:
        values: Any = loadmat(path, variable_names=wanted, squeeze_me=True, struct_as_record=False)
    except Exception as error:  # SciPy raises what it meets: zlib.error, TypeError, IndexError
        raise ValueError(f"{path} is damaged: {error}; download it again") from error
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
            FileNotFoundError: no such file.
            ValueError: version 5, no MATLAB file, or one that is cut short.
            MissingLibraryError: h5py is not installed.
        """
        opened, here = self._opened, os.getpid()
        if opened is not None:
            process, file = opened
            if process == here:
                return file
            # Keep it open: only the process that opened it may close it.
            self._inherited.append(file)
        _check_version(self.path, wanted=7)
        try:
            import h5py
        except ImportError as error:
            raise _missing(self.path, "h5py") from error
        try:
            file = h5py.File(self.path, "r")
        except OSError as error:
            raise ValueError(
                f"{self.path} cannot be opened: {error}; if it is cut short, download it again"
            ) from error
        self._opened = here, file
        return file

    def close(self) -> None:
        """Close this process's handle; the next `open` opens the file again."""
        opened = self._opened
        if opened is not None and opened[0] == os.getpid():
            self._opened = None
            opened[1].close()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_opened": None, "_inherited": []}


def _check_version(path: Path, *, wanted: int) -> None:
    """Refuse a file of the other version, or one that MATLAB did not write."""
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    with path.open("rb") as file:
        begin = file.read(max(_HDF5_OFFSETS) + len(_HDF5_SIGNATURE))
    signature = len(_HDF5_SIGNATURE)
    if any(begin[offset : offset + signature] == _HDF5_SIGNATURE for offset in _HDF5_OFFSETS):
        version = 7
    elif begin.startswith(_VERSION_5):
        version = 5
    else:
        raise ValueError(
            f"{path} is not a MATLAB file (it begins with {begin[:16]!r} and has"
            f" {path.stat().st_size} bytes); download it again"
        )
    if version != wanted:
        names = {5: "MATLAB 5", 7: "MATLAB 7.3 (HDF5)"}
        raise ValueError(
            f"{path} has the wrong .mat version: {names[version]}, but the original has"
            f" {names[wanted]}; take the original download"
        )


def _missing(path: Path, library: str) -> MissingLibraryError:
    return MissingLibraryError(f"reading {path.name} needs {library}: pip install {library}")
