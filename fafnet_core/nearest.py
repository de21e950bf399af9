"""One way to say "unknown name" everywhere: with the nearest known name, or all of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return e.g. ``unknown preset 'fafnet-nanno': did you mean 'fafnet-nano'?``.

    Args:
        kind: what the name stands for ("preset", "parameter", ...).
        name: the name that was given.
        known: the names that exist; listed in full when none of them is near.
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known) or 'none'}"
    return f"unknown {kind} '{name}': {hint}"
