"""The presets of `camera:=<name>`, and the other files that the launch files are given."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fafnet_core.settings import Setting, is_nested_deeply, read_section, read_settings

_LARGEST_FILE = 1 << 18


@dataclass(frozen=True, kw_only=True)
class CameraPreset:
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
    parameters: dict[str, Any] = field(default_factory=dict)


def read_presets(path: Path) -> dict[str, CameraPreset]:
    """Return the cameras of a camera file; a key without a value counts as left out.

    Raises:
        ValueError: it is no camera file; says which line, camera and key.
    """
    _check_file("cameras_file", path)
    cameras = {}
    for name, camera in read_settings(path).keys("").items():
        keys = {key: value for key, value in camera.keys(name).items() if not value.is_null}
        cameras[name] = read_section(CameraPreset, Setting(keys, camera.origin), name)
    return cameras


def check_parameter_file(path: Path) -> None:
    """Refuse a file that ROS cannot read: it would end the node with a traceback after the launch.

    Raises:
        ValueError: no file, no YAML, or one without `ros__parameters`.
    """
    _check_file("params_file", path)
    if path.stat().st_size > _LARGEST_FILE:
        raise ValueError(f"params_file:={path} is larger than {_LARGEST_FILE >> 10} KiB")
    try:
        # As ROS reads it: its files may hold what our own settings may not, such as a key twice.
        # Only its form is read: an alias of aliases has more values than memory has room for.
        text = path.read_text(encoding="utf-8")
        if is_nested_deeply(text):
            raise ValueError(f"params_file:={path} is nested too deeply")
        yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(
            f"params_file:={path} is no YAML: {' '.join(str(error).split())}"
        ) from error
    except RecursionError as error:
        raise ValueError(f"params_file:={path} is nested too deeply") from error
    if "ros__parameters" not in text:
        raise ValueError(f"params_file:={path} holds no ros__parameters; see config/segment.yaml")


def _check_file(argument: str, path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"{argument}:={path} is not a file")
