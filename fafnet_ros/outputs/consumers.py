"""The projects that take the outputs, of `for:=<name>`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fafnet_core.settings import read_section, read_settings


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """An entry of `config/consumers.yaml`, which says what each field means."""

    parameters: dict[str, Any] = field(default_factory=dict)
    topics: dict[str, str] = field(default_factory=dict)


def read_consumers(path: Path) -> dict[str, Consumer]:
    """Return the consumers of a file.

    Raises:
        ValueError: it is no such file; says which line, consumer and key.
    """
    entries = read_settings(path).keys("")
    return {name: read_section(Consumer, entry, name) for name, entry in entries.items()}
