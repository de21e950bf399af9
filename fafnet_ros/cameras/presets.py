"""The presets of `camera:=<name>`, and the other files that the launch files are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fafnet_core.nearest import unknown_name


class Preset(NamedTuple):
    """A camera of the camera file; see `config/cameras.yaml` for what each field means."""

    rgb: str
    rgb_info: str
    depth: str
    depth_info: str = ""
    imu: str = ""
    depth_to_color: str = ""
    fixed_frame: str = ""
    driver: str = ""
    starts: str = ""
    parameters: dict[str, Any] = {}  # noqa: RUF012  a NamedTuple's default, never written to


def read_presets(path: Path) -> dict[str, Preset]:
    """Return the cameras of a camera file; a key without a value counts as left out.

    Raises:
        ValueError: it is no such file; says which camera and which key.
    """
    cameras = _read_yaml("cameras_file", path)
    if not isinstance(cameras, dict) or not all(isinstance(c, dict) for c in cameras.values()):
        raise ValueError(f"{path} has to map names of cameras to their topics")
    return {str(name): _preset(f"{path}, {name}", of) for name, of in cameras.items()}


def check_parameter_file(path: Path) -> None:
    """Refuse what ROS would not read: it ends the node with a traceback, after the launch.

    Raises:
        ValueError: no file, no YAML, or one without `ros__parameters`.
    """
    if "ros__parameters" not in str(_read_yaml("params_file", path)):
        raise ValueError(f"params_file:={path} holds no ros__parameters; see config/segment.yaml")


def _preset(where: str, entries: dict[str, Any]) -> Preset:
    given = {key: value for key, value in entries.items() if value is not None}
    for key, value in given.items():
        if key not in Preset._fields:
            raise ValueError(f"{where}: {unknown_name('key', str(key), Preset._fields)}")
        wanted, name = (dict, "names and values") if key == "parameters" else (str, "a text")
        if not isinstance(value, wanted):
            raise ValueError(f"{where}: {key} is {value!r}; it has to be {name}")
    missing = [key for key in ("rgb", "rgb_info", "depth") if not given.get(key)]
    if missing:
        raise ValueError(f"{where}: lacks {', '.join(missing)}")
    return Preset(**given)


def _read_yaml(argument: str, path: Path) -> Any:
    if not path.is_file():
        raise ValueError(f"{argument}:={path} is not a file")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{argument}:={path} is no YAML: {said}") from error
