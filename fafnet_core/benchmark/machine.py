"""On what a time was taken: the processor in words, and versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType

from fafnet_core.version import __version__

_CPUINFO = Path("/proc/cpuinfo")

_FEATURES = MappingProxyType(
    {
        "AVX2": ("avx2",),
        "AVX-512": ("avx512f",),
        "VNNI": ("avx512_vnni", "avx_vnni"),
        "BF16": ("avx512_bf16", "bf16"),
        "AMX": ("amx_tile",),
        "NEON": ("asimd",),
        "I8MM": ("i8mm",),
        "SVE": ("sve",),
    }
)
"""What changes the time of a network, by the flags of Linux that say so."""

_LIBRARIES = ("torch", "openvino", "onnxruntime", "numpy", "opencv-python-headless")


@dataclass(frozen=True)
class Machine:
    """A machine, and what is installed on it.

    Attributes:
        processor: its name.
        features: those of `_FEATURES` that it has.
        cores: that this process may use.
        load: mean number of processes that wanted to run in the last minute; None: not known.
        versions: by library.
        date: of now, in UTC.
    """

    processor: str
    features: tuple[str, ...]
    cores: int
    load: float | None
    versions: Mapping[str, str]
    date: str

    @property
    def words(self) -> str:
        """The processor in words, as for a title."""
        features = f", {' '.join(self.features)}" if self.features else ""
        return f"{self.processor}, {self.cores} cores{features}"


def this_machine() -> Machine:
    """Return the one that this runs on."""
    name, flags = _cpuinfo()
    has = tuple(what for what, named in _FEATURES.items() if flags.intersection(named))
    usable = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    return Machine(
        processor=name or platform.processor() or platform.machine(),
        features=has,
        cores=len(usable),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        versions={"fafnet_ros": __version__, "python": platform.python_version(), **_versions()},
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _cpuinfo() -> tuple[str, set[str]]:
    """Return name and flags of the first core, as far as Linux says them."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "", set()
    said: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        said.setdefault(key.strip(), value.strip())
    flags = said.get("flags") or said.get("Features") or ""
    return said.get("model name") or said.get("Model") or "", set(flags.split())


def _versions() -> dict[str, str]:
    found = {}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
