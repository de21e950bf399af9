"""What a prepared folder holds: a record of each frame, and the manifest with all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from fafnet_core.camera import Camera
from fafnet_core.datasets.prepare.layout import (
    DEPTH,
    FORMAT,
    HHA,
    KINDS,
    LABELS,
    MANIFEST_FILE,
    OFFICIAL_SPLITS,
    RGB,
    VERSION,
    OfficialSplit,
    check_format,
    check_name,
    picture_path,
    write_file,
)
from fafnet_core.labels import LabelSet
from fafnet_core.settings import check_fields, field_types

_REQUIRED = {RGB, DEPTH, HHA, LABELS}
_Pixels = Annotated[int, "1 <= x"]
_Vector = tuple[float, float, float]


@dataclass(frozen=True)
class FrameRecord:
    """What is known of a frame whose files are all there.

    Attributes:
        name: path of its files without folder and suffix.
        split: its official split.
        sensor: what recorded it, or "".
        scene: the scene that it was recorded in, or "".
        size: (height, width) of each picture.
        camera_matrix: (3, 3) rows, pixel centres at whole numbers.
        gravity: the known downward direction in the camera's optical frame, or None.
        files: size in bytes by kind; without `missing` where that is not known.

    Raises:
        ValueError: a value is not what it should be.
    """

    name: str
    split: OfficialSplit
    sensor: str
    scene: str
    size: tuple[_Pixels, _Pixels]
    camera_matrix: tuple[_Vector, _Vector, _Vector]
    gravity: _Vector | None
    files: Mapping[str, int]

    def __post_init__(self) -> None:
        check_fields(self)
        check_name(self.name)
        if not _REQUIRED <= self.files.keys() <= set(KINDS):
            raise ValueError(f"{self.name} has {sorted(self.files)}; wanted {', '.join(KINDS)}")

    @property
    def camera(self) -> Camera:
        """The camera of the colour image."""
        return Camera.from_matrix(self.camera_matrix, self.size)

    def paths(self, root: Path) -> dict[str, Path]:
        """Return its files by kind."""
        return {kind: picture_path(root, kind, self.name) for kind in self.files}

    def is_whole(self, root: Path) -> bool:
        """Tell whether all its files are there with their sizes: a killed process leaves less."""
        try:
            return all(
                path.stat().st_size == self.files[kind] for kind, path in self.paths(root).items()
            )
        except OSError:
            return False

    def to_json(self) -> str:
        """Return one line of JSON."""
        files = {kind: {"size": size} for kind, size in self.files.items()}
        return json.dumps(asdict(self) | {"files": files}, separators=(",", ":"))

    @classmethod
    def from_dict(cls, values: Any) -> FrameRecord:
        """Return the record that `to_json` described.

        Raises:
            ValueError: a key is missing, or a value is not what it should be.
        """
        try:
            known = {name: values[name] for name in field_types(cls)}
            files = {kind: int(file["size"]) for kind, file in values["files"].items()}
            return cls(**known | {"files": files})
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not a frame's record: {error!r} in {values!r:.200}") from error


@dataclass(frozen=True)
class Manifest:
    """What a prepared folder holds.

    Attributes:
        settings: what it was made from, and how; plain JSON values.
        label_set: the classes of the labels.
        made_by: versions of the libraries that made it; "4.10, 4.11" where two runs had different
            ones.
        frames: a record of each frame, in the order of the lists, training first.
    """

    settings: Mapping[str, Any]
    label_set: LabelSet
    made_by: Mapping[str, str]
    frames: Sequence[FrameRecord]

    def of_split(self, split: str) -> list[FrameRecord]:
        """Return the records of an official split, in the order of its list."""
        return [frame for frame in self.frames if frame.split == split]

    def write(self, root: Path) -> None:
        """Write `manifest.json`, all or nothing; a frame a line, for people and for diff."""
        head = {
            "format": FORMAT,
            "version": VERSION,
            "settings": dict(self.settings),
            "label_set": self.label_set.to_dict(),
            "made_by": dict(self.made_by),
            "counts": {split: len(self.of_split(split)) for split in OFFICIAL_SPLITS},
        }
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
        frames = ",\n".join(frame.to_json() for frame in self.frames)
        lines.append(f'"frames": [\n{frames}\n]')
        write_file(root / MANIFEST_FILE, ("{\n" + ",\n".join(lines) + "\n}\n").encode())

    @classmethod
    def read(cls, root: Path) -> Manifest:
        """Read `manifest.json`.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is not JSON, not a manifest, or one of another version.
        """
        path = root / MANIFEST_FILE
        try:
            values = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is not JSON, or it is cut short: {error}") from error
        try:
            check_format(values)
            return cls(
                settings=dict(values["settings"]),
                label_set=LabelSet.from_dict(values["label_set"]),
                made_by=dict(values["made_by"]),
                frames=tuple(FrameRecord.from_dict(frame) for frame in values["frames"]),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no manifest of a prepared folder: {error!r}") from error
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
