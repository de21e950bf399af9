"""Files of the authors' training script; nothing in them is ever run.

Their script writes, with `torch.save`, a dictionary whose `model_state` is the network's state,
beside the state of its optimiser and scheduler, the number of iterations and the best score.
"""

from __future__ import annotations

import re
import zipfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor


@dataclass(frozen=True)
class ReleaseFile:
    """What a file of their training script holds.

    Attributes:
        state: names and tensors of the network.
        iterations: how long it was trained, where the file says so.
    """

    state: dict[str, Tensor]
    iterations: int | None = None


def read_release_file(path: str | Path) -> ReleaseFile:
    """Read a file of `torch.save`, or a safetensors file with the same names.

    Nothing in the file is run: of a pickle, only tensors, numbers, text and their containers are
    read. The state may be the file's whole content, or be under "model_state".

    Raises:
        FileNotFoundError: no such file.
        ValueError: neither of these files, a damaged one, or one that holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\3\4"
    # Whatever is not a zip archive never reaches torch.load: it would try formats of before 2020,
    # where weights_only does not hold in PyTorch before 2.6 (CVE-2025-32434).
    content = _read_zip(path) if is_zip else _read_safetensors(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a network's state")
    # An OrderedDict of a stranger may carry attributes of its own in place of its methods.
    content = dict(dict.items(content))
    state = content.get("model_state", content)
    if not isinstance(state, dict):
        raise ValueError(f"{path}: its model_state is a {type(state).__name__}, not a state")
    iterations = content.get("cur_itrs")
    return ReleaseFile(dict(dict.items(state)), iterations if isinstance(iterations, int) else None)


class _Unread:
    """Stands in for a NumPy number of a pickle: it takes any arguments and keeps none."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


# Their best score is a float64 of NumPy, under its name before or since version 2. It is not
# needed: stand-ins of these names take it, so that NumPy is not called with a stranger's values.
_NUMPY_NUMBER = [
    type(name, (_Unread,), {"__module__": module, "__qualname__": name})
    for module, name in (
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "scalar"),
    )
]


def _read_zip(path: Path) -> Any:
    safe_globals = getattr(torch.serialization, "safe_globals", None)  # since PyTorch 2.5
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name.rpartition("/")[2] for name in archive.namelist()]
            stored = all(member.compress_type == zipfile.ZIP_STORED for member in archive.filelist)
        if "data.pkl" not in members or "constants.pkl" in members or not stored:
            # The second is TorchScript's, which torch.load would load although it is a program.
            # torch.save compresses nothing: what is compressed may be a bomb.
            raise ValueError("not a file of torch.save")
        with nullcontext() if safe_globals is None else safe_globals(_NUMPY_NUMBER):
            return torch.load(path, map_location="cpu", weights_only=True)
    # A damaged or hostile file can end in any exception of the unpickler.
    except Exception as error:
        found = re.search(r"[Uu]nsupported (?:global: )?(?:GLOBAL|class) (\S+)", str(error))
        if found is None:
            # Without PyTorch's own words, which recommend to switch the protection off.
            raise ValueError(
                f"{path} cannot be read as a checkpoint of torch.save: it is damaged, cut short, or"
                " holds something else than tensors, numbers and text"
            ) from error
        if safe_globals is None and found[1].startswith("numpy"):
            raise ValueError(
                f"{path} holds a NumPy number, which PyTorch {torch.__version__} cannot read"
                " safely; use PyTorch 2.5 or newer"
            ) from error
        raise ValueError(
            f"{path} asks for {found[1]!r:.100}, which is no part of a checkpoint of weights;"
            " nothing of it was run"
        ) from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is neither a file of torch.save (PyTorch 1.6 or newer) nor of safetensors, or"
            f" it is cut short ({error})"
        ) from error
