"""Files of `torch.save` and safetensors from a stranger; nothing in them is ever run."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fafnet_core.checkpoints.safetensors_file import check_header

_ZIP = b"PK\3\4"
_MOST_VALUES = 1 << 24
"""Of a tensor that repeats what is stored; the largest of a network here has a seventh of it."""


def read_content(path: str | Path, *, before_zip: bool = False) -> Any:
    """Read a file of `torch.save`, or a safetensors file.

    Of a pickle, only tensors, numbers, text and their containers are read.

    Args:
        path: the file; its content says what it is, not its name.
        before_zip: read files of PyTorch before 1.6 too, which are no zip archives. There
            weights_only does not hold in PyTorch before 2.6 (CVE-2025-32434).

    Raises:
        FileNotFoundError: no such file.
        ValueError: neither of these files, a damaged one, or one that holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    with path.open("rb") as file:
        head = file.read(9)
    # Safetensors begins with eight bytes of length, then JSON.
    if head.startswith(_ZIP) or (before_zip and head[8:] != b"{"):
        return _read_pickle(path, is_zip=head.startswith(_ZIP))
    try:
        check_header(path)
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is neither a file of torch.save (PyTorch 1.6 or newer) nor of safetensors, or"
            f" it is cut short ({error})"
        ) from error


class _Unread:
    """Stands in for a NumPy number of a pickle: it takes any arguments and keeps none."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


# The authors' best score is a float64 of NumPy, under its name before or since version 2. It is not
# needed: stand-ins of these names take it, so that NumPy is not called with a stranger's values.
_NUMPY_NUMBER: list[Any] = [
    type(name, (_Unread,), {"__module__": module, "__qualname__": name})
    for module, name in (
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "scalar"),
    )
]


def _read_pickle(path: Path, *, is_zip: bool) -> Any:
    try:
        if is_zip:
            _check_archive(path)
        with torch.serialization.safe_globals(_NUMPY_NUMBER):
            content = torch.load(path, map_location="cpu", weights_only=True)
        _check_tensors(content)
        return content
    # A damaged or hostile file can end in any exception of the unpickler.
    except Exception as error:
        found = re.search(r"[Uu]nsupported (?:global: )?(?:GLOBAL|class) (\S+)", str(error))
        if found is None:
            # Without PyTorch's own words, which recommend to switch the protection off.
            raise ValueError(
                f"{path} cannot be read as a checkpoint of torch.save: it is damaged, cut short, or"
                " holds something else than tensors, numbers and text"
            ) from error
        raise ValueError(
            f"{path} asks for {found[1]!r:.100}, which is no part of a checkpoint of weights;"
            " nothing of it was run"
        ) from error


def _check_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = [name.rpartition("/")[2] for name in archive.namelist()]
        stored = all(member.compress_type == zipfile.ZIP_STORED for member in archive.filelist)
        sizes = sum(member.file_size for member in archive.filelist)
    if "data.pkl" not in members or "constants.pkl" in members or not stored:
        # The second is TorchScript's, which torch.load would load although it is a program.
        # torch.save compresses nothing: what is compressed may be a bomb.
        raise ValueError("not a file of torch.save")
    if sizes > path.stat().st_size:
        # Many members that are one place of the file: each would be read on its own.
        raise ValueError("its members overlap")


def _check_tensors(content: Any) -> None:
    """Refuse tensors that have more values than the file has stored for them.

    One number of the file can be a tensor of any shape, all of whose strides are 0: copied or
    checked, it takes as much memory or time as its shape says.
    """
    waiting, seen = [content], set()
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            waiting.extend(dict.values(item))
        elif isinstance(item, (list, tuple, set)):
            waiting.extend(item)
        elif isinstance(item, Tensor) and _is_expanded(item):
            raise ValueError("a tensor has more values than are stored")


def _is_expanded(tensor: Tensor) -> bool:
    if tensor.is_nested or tensor.layout != torch.strided or tensor.is_meta:
        return False  # its reader refuses it
    stored = tensor.untyped_storage().nbytes()
    return tensor.numel() > _MOST_VALUES and tensor.numel() * tensor.element_size() > stored
