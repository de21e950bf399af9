"""Which paths are bags, and where a new one may go."""

from __future__ import annotations

from pathlib import Path

from fafnet_core.bags.errors import AskedWrongly

METADATA = "metadata.yaml"
SUFFIXES = (".mcap", ".db3", ".bag")


def is_bag(path: Path) -> bool:
    """Tell whether this is a recording: a file by its suffix, a folder by what is in it."""
    if path.is_dir():
        if any((path / name).is_dir() for name in ("color", "colour", "rgb", "image")):
            return False
        return (path / METADATA).is_file() or any(
            (part.suffix in SUFFIXES or part.name.endswith(".zstd"))
            and not part.name.startswith(".")
            for part in path.iterdir()
        )
    return path.suffix in SUFFIXES or path.name.endswith((".bag.active", ".mcap.zstd", ".db3.zstd"))


def check_out(out: Path, source: Path, *, overwrite: bool) -> None:
    """Refuse a place for the labelled bag that is taken, or that no bag can have.

    Raises:
        AskedWrongly: another suffix, the recording itself or a folder around or in it, what exists
            (unless `overwrite`, and then too what is no bag).
    """
    if out.suffix not in (*SUFFIXES, ""):
        raise AskedWrongly(
            f"--out is {out.name}: a bag's name ends in .mcap, .db3 or .bag; a name without suffix"
            " makes a folder with an .mcap and its metadata.yaml"
        )
    if out.suffix == ".bag" and (source.suffix != ".bag" or source.is_dir()):
        raise AskedWrongly(
            f"--out is {out.name}, a ROS 1 bag, and {source.name} is of ROS 2: messages are"
            " not converted back; take .mcap or .db3"
        )
    here, there = out.resolve(), source.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise AskedWrongly(
            f"--out is {out}, the recording itself or beside its files; take another"
        )
    if not out.exists():
        return
    if not overwrite:
        raise AskedWrongly(f"{out} is there already; take another --out, or --overwrite it")
    if out.is_dir() != (out.suffix == ""):
        kind = "a folder" if out.is_dir() else "a file"
        raise AskedWrongly(f"{out} is {kind}, so no bag of this name can take its place")
    if out.is_dir() and not (out / METADATA).is_file():
        raise AskedWrongly(
            f"{out} is a folder that is no bag (no {METADATA}), so it is not overwritten"
        )
