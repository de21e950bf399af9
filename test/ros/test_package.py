"""The package as colcon installs it, and what a package needs to be one."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
EXECUTABLES = ("fafnet", "frame_player", "segment_node", "synthetic_camera")
NODE = "fafnet_ros/lib/fafnet_ros/segment_node"
INSTALLED = (
    "launch/segment.launch.py",
    "launch/two_cameras.launch.py",
    "package.xml",
    "config/cameras.yaml",
    "config/cloud.rviz",
    "config/fastdds.xml",
    "config/foxglove.json",
    "config/segment.rviz",
    "config/segment.yaml",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what colcon sees: it writes into the tree it builds from."""
    copy = tmp_path_factory.mktemp("workspace") / "src" / "fafnet_ros"
    kept = ("fafnet_core", "fafnet_ros", "launch", "config", "resource")
    for name in kept:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / name, copy / name, ignore=ignored)
    for name in ("setup.py", "setup.cfg", "package.xml", "pyproject.toml"):
        shutil.copy(PROJECT / name, copy / name)
    return copy


@pytest.mark.skipif(
    importlib.util.find_spec("colcon_core") is None, reason="colcon is not installed"
)
@pytest.mark.parametrize("options", [(), ("--symlink-install",)], ids=["copy", "symlink"])
def test_colcon_builds_it_and_its_node_runs(
    source: Path, options: tuple[str, ...], tmp_path: Path
) -> None:
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    bases = [f"--{kind}-base" for kind in ("build", "install")]
    folders = [str(tmp_path / kind) for kind in ("build", "install")]
    command = [sys.executable, "-m", "colcon", "--log-base", str(tmp_path / "log"), "build"]
    command += [*options, "--base-paths", str(source)]
    command += [part for pair in zip(bases, folders, strict=True) for part in pair]
    built = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=tmp_path, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    prefix = tmp_path / "install" / "fafnet_ros"
    executables = prefix / "lib" / "fafnet_ros"
    assert sorted(p.name for p in executables.iterdir()) == list(EXECUTABLES)
    for name in INSTALLED:
        assert (prefix / "share" / "fafnet_ros" / name).is_file(), name
    assert (prefix / "share/ament_index/resource_index/packages/fafnet_ros").is_file()
    output = _run_until_active(tmp_path / "install", tmp_path)
    assert "Traceback" not in output


def _run_until_active(install: Path, folder: Path) -> str:
    """Start the installed node as `ros2 run` does, and interrupt it once it is active."""
    command = f"source '{install}/setup.bash' && exec '{install}/{NODE}'"
    log = folder / "node.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["bash", "-c", command],
            env={**os.environ, "ROS_DOMAIN_ID": "101"},
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
        end = time.monotonic() + 60
        while "active: waiting" not in log.read_text() and time.monotonic() < end:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0, log.read_text()
    assert "active: waiting" in log.read_text()
    return log.read_text()


def test_package_xml_declares_what_the_code_imports() -> None:
    root = ElementTree.parse(PROJECT / "package.xml").getroot()
    assert root.get("format") == "3"
    assert root.findtext("license") == "Apache-2.0"
    assert root.findtext("export/build_type") == "ament_python"
    declared = {node.text for node in root.iter() if node.tag.endswith("depend")}
    pattern = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)
    sources = [*(PROJECT / "fafnet_ros").rglob("*.py"), *(PROJECT / "launch").glob("*.py")]
    imported = {name for path in sources for name in pattern.findall(path.read_text())}
    ros = {name for name in imported if name.endswith(("_msgs", "_ros", "_bridge", "_python"))}
    ros |= imported & {"rclpy", "launch"}
    # rclpy itself brings rcl_interfaces; only RealSense has, and needs, its messages;
    # tf2_ros is in the package of its Python side.
    brought = {"fafnet_ros", "rcl_interfaces", "realsense2_camera_msgs", "tf2_ros"}
    assert ros - brought <= declared
    assert "tf2_ros_py" in declared
    assert {"python3-numpy", "python3-opencv", "python3-yaml"} <= declared


def test_version_is_the_same_everywhere() -> None:
    from fafnet_core import __version__

    root = ElementTree.parse(PROJECT / "package.xml").getroot()
    assert root.findtext("version") == __version__
    assert f'version="{__version__}"' in (PROJECT / "setup.py").read_text()
    assert f"## {__version__}" in (PROJECT / "CHANGELOG.md").read_text()


def test_the_page_names_every_parameter_and_topic() -> None:
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    from dataclasses import fields

    from fafnet_ros.cameras.frame_player import FramePlayerParameters
    from fafnet_ros.cameras.synthetic_camera import SyntheticCameraParameters
    from fafnet_ros.node.parameters import GROUPS
    from fafnet_ros.outputs import TOPICS

    page = (PROJECT / "docs/node.md").read_text()
    for kind in (*GROUPS, FramePlayerParameters, SyntheticCameraParameters):
        missing = [field.name for field in fields(kind) if f"`{field.name}`" not in page]
        assert missing == [], kind.__name__
    assert [topic for topic in TOPICS if f"`~/{topic}`" not in page] == []
