"""The files that the launch files read, and those beside them: cameras, parameters, layouts, pages.

The second half looks at what launch makes of them without starting anything; it needs launch, and
the package built.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shlex
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml

from fafnet_ros.cameras.presets import CameraPreset, check_parameter_file, read_presets

PROJECT = Path(__file__).resolve().parents[2]
PAGES = PROJECT / "docs" / "cameras"
CAMERAS: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "config/cameras.yaml").read_text())
TOPIC_KEYS = ("rgb", "rgb_info", "depth", "depth_info", "imu", "depth_to_color")
KEYS = {*TOPIC_KEYS, "fixed_frame", "driver", "starts", "parameters"}
LAYOUTS = ("segment.rviz", "cloud.rviz")
# In rviz_default_plugins of Humble, Jazzy and Kilted alike.
DISPLAYS = {"Image", "PointCloud2", "MarkerArray", "TF"}
LATCHED = {"/fafnet/legend", "/fafnet/legend_markers"}


@pytest.mark.parametrize("name", CAMERAS)
def test_a_preset_has_the_topics_of_a_camera(name: str) -> None:
    camera = CAMERAS[name]
    assert set(camera) <= KEYS
    assert {"rgb", "rgb_info", "depth", "depth_info", "fixed_frame"} <= set(camera)
    topics = [camera[key] for key in TOPIC_KEYS if key in camera]
    # Relative, so that a namespace reaches them: two cameras are two namespaces.
    assert not any(topic.startswith(("/", "~")) or topic.endswith("/") for topic in topics)
    assert camera["rgb"] != camera["depth"]
    if "driver" in camera:
        command = shlex.split(camera["driver"])
        assert command[:2] == ["ros2", "launch"]
        assert command[3].endswith((".launch.py", "_launch.py", "_launch.yaml"))
        assert all(":=" in argument for argument in command[4:])


@pytest.mark.parametrize("name", CAMERAS)
def test_a_preset_is_on_a_page_and_in_the_table(name: str) -> None:
    table = (PAGES / "README.md").read_text()
    assert f"`{name}`" in table
    pages = [page for page in PAGES.glob("*.md") if f"camera:={name}" in page.read_text()]
    assert pages or name == "none", "no page has its launch line"


def test_parameters_of_presets_exist_and_are_in_range() -> None:
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    from dataclasses import fields

    from fafnet_ros.node.parameters import GROUPS

    groups: dict[str, Any] = {field.name: group for group in GROUPS for field in fields(group)}
    for camera in CAMERAS.values():
        for name, value in camera.get("parameters", {}).items():
            groups[name](**{name: value})


def test_the_parameter_file_has_every_parameter_at_its_default() -> None:
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    from dataclasses import asdict

    from fafnet_ros.node.parameters import GROUPS

    text = (PROJECT / "config/segment.yaml").read_text()
    values = yaml.safe_load(text)["/**"]["ros__parameters"]
    defaults = {name: value for group in GROUPS for name, value in asdict(group()).items()}
    assert {name: defaults[name] for name in values} == values
    commented = [name for name in defaults if name not in values]
    assert [name for name in commented if f"    # {name}: " not in text] == []
    # It comes after the presets: a value written there would undo theirs.
    preset = {key for camera in CAMERAS.values() for key in camera.get("parameters", {})}
    assert preset <= set(commented)


def test_findings_on_the_page_of_troubles_are_what_the_code_says() -> None:
    said = []
    for folder in ("fafnet_ros", "fafnet_core/messages", "launch"):
        for path in (PROJECT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text())
            constants = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
            said += [text for text in constants if isinstance(text, str)]
    page = (PROJECT / "docs/troubleshooting.md").read_text()
    prose = re.sub(r"```.*?```|`[^`]*`", "", page, flags=re.DOTALL)
    quoted = [" ".join(text.split()) for text in re.findall(r'"([^"]+)"', prose)]
    assert len(quoted) > 20
    assert [text for text in quoted if not any(text in sentence for sentence in said)] == []


def test_the_docker_file_has_what_the_package_needs() -> None:
    text = (PROJECT / "docker/Dockerfile").read_text().replace("\\\n", " ")
    copies = re.findall(r"^COPY (.*)", text, re.MULTILINE)
    copied = {name for names in copies for name in names.split()}
    wanted = {"setup.py", "setup.cfg", "package.xml", "pyproject.toml", "resource", "config"}
    assert wanted | {"launch", "fafnet_core", "fafnet_ros", "docker/entrypoint.sh"} <= copied
    root = ElementTree.parse(PROJECT / "package.xml").getroot()
    needed = {node.text or "" for node in root.iter("exec_depend")}
    # The base image has rclpy, launch and the common messages; a robot has no screen.
    base = {
        "ament_index_python", "geometry_msgs", "launch", "rclpy", "rosgraph_msgs", "sensor_msgs",
        "std_msgs", "tf2_msgs",
    }  # fmt: skip
    elsewhere = {"tf2_ros": "tf2_ros_py"}
    for name in needed - base - {"rviz2", "python3-pytorch-pip"}:
        package = elsewhere.get(name, name)
        ros = f"ros-jazzy-{package.replace('_', '-')}"
        assert (package if package.startswith("python3-") else ros) in text.split(), name


def displays(layout: str) -> list[dict[str, Any]]:
    loaded = yaml.safe_load((PROJECT / "config" / layout).read_text())
    shown: list[dict[str, Any]] = loaded["Visualization Manager"]["Displays"]
    return shown


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_shows_topics_that_the_node_has_as_it_sends_them(layout: str) -> None:
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    from fafnet_ros.outputs import TOPICS

    for display in displays(layout):
        assert display["Class"].removeprefix("rviz_default_plugins/") in DISPLAYS
        if "Topic" not in display:
            assert display["Name"] == "TF"
            continue
        topic = display["Topic"]
        assert topic["Value"].removeprefix("/fafnet/") in TOPICS
        assert topic["Reliability Policy"] == "Reliable"
        latched = topic["Value"] in LATCHED
        assert topic["Durability Policy"] == ("Transient Local" if latched else "Volatile")


def test_layouts_show_what_they_are_for() -> None:
    enabled = {
        layout: {d["Topic"]["Value"] for d in displays(layout) if d["Enabled"] and "Topic" in d}
        for layout in LAYOUTS
    }
    pictures = {"overlay", "color", "confidence", "legend"}
    assert enabled["segment.rviz"] == {f"/fafnet/{topic}" for topic in pictures}
    cloud = {"points", "legend_markers", "overlay"}
    assert enabled["cloud.rviz"] == {f"/fafnet/{topic}" for topic in cloud}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "mine:\n  rgb: a\n  deth: c",
            "line 3: unknown mine key 'deth': did you mean 'depth'?",
        ),
        ("mine: {rgb: a, rgb_info: b, depth: }", "mine lacks depth"),
        ("mine: {rgb: a, rgb_info: [5], depth: c}", "mine.rgb_info is a list"),
        ("mine: {rgb: a, rgb_info: b, depth: c, parameters: [slop]}", "mine.parameters is a list"),
        ("mine: mine", "mine is 'mine'; wanted keys"),
        ("mine: [", "not YAML"),
        ("\xff", "not YAML"),
    ],
)
def test_a_camera_file_with_a_mistake(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "cameras.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError) as raised:  # noqa: PT011  its text is looked at below
        read_presets(file)
    assert said in str(raised.value)
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_key_without_a_value_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "cameras.yaml"
    file.write_text("7: {rgb: a, rgb_info: b, depth: c, imu: , parameters: }")
    assert read_presets(file) == {"7": CameraPreset(rgb="a", rgb_info="b", depth="c")}


@pytest.mark.parametrize(("text", "said"), [("a: [", "no YAML"), ("a: {b: 1}", "ros__parameters")])
def test_a_parameter_file_with_a_mistake(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=said):
        check_parameter_file(file)


# What launch makes of it


class Launch:
    """`segment.launch.py` with these arguments, evaluated, but not started."""

    def __init__(self, file: str = "segment.launch.py") -> None:
        # Not `launch` alone: that is also the name of this project's folder.
        reason = "launch_ros is not installed (not on PyPI)"
        pytest.importorskip("launch_ros.actions", reason=reason)
        packages = pytest.importorskip("ament_index_python.packages")
        self._launch = pytest.importorskip("launch")
        try:
            share = Path(packages.get_package_share_directory("fafnet_ros"))
        except (LookupError, OSError):
            pytest.skip("fafnet_ros is not built and sourced (colcon build)")
        spec = importlib.util.spec_from_file_location("launch_file", share / "launch" / file)
        assert spec is not None
        assert spec.loader is not None
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)

    def actions(self, **given: str) -> list[Any]:
        context = self.context = self._launch.LaunchContext()
        description = self.module.generate_launch_description()
        context.launch_configurations.update(given)
        for action in description.entities[:-1]:  # the last one is the function
            action.visit(context)
        made: list[Any] = self.module.nodes(context)
        return made

    def texts(self, substitutions: Any) -> list[str]:
        from launch.utilities import perform_substitutions

        return [perform_substitutions(self.context, part) for part in substitutions]

    def nodes(self, actions: list[Any]) -> dict[str, dict[str, str]]:
        """Return the remappings of each node by its executable."""
        from launch_ros.actions import Node

        remappings = {}
        for action in actions:
            if isinstance(action, Node):
                action._perform_substitutions(self.context)
                remappings[action.node_executable] = dict(action.expanded_remapping_rules or [])
        return remappings

    def commands(self, actions: list[Any]) -> list[list[str]]:
        """Return the commands that are no nodes."""
        from launch.actions import ExecuteProcess
        from launch_ros.actions import Node

        return [
            self.texts(action.cmd)
            for action in actions
            if isinstance(action, ExecuteProcess) and not isinstance(action, Node)
        ]


@pytest.fixture
def launched() -> Launch:
    return Launch()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Packages that are not on PyPI, as far as the index of packages knows."""
    names = ["ros2bag", "rviz2"]
    for name in names:
        (tmp_path / "prefix" / "share" / name).mkdir(parents=True)
        index = tmp_path / "prefix/share/ament_index/resource_index/packages"
        index.mkdir(parents=True, exist_ok=True)
        (index / name).touch()
    before = os.environ.get("AMENT_PREFIX_PATH", "")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'prefix'}:{before}")
    return names


@pytest.mark.parametrize("name", CAMERAS)
def test_the_node_reads_the_topics_of_the_preset(launched: Launch, name: str) -> None:
    nodes = launched.nodes(launched.actions(camera=name, rviz="false", namespace="left"))
    camera = CAMERAS[name]
    rules = nodes["segment_node"]
    assert rules["rgb/image"] == camera["rgb"]
    assert rules["rgb/image/compressed"] == f"{camera['rgb']}/compressed"
    assert rules["rgb/camera_info"] == camera["rgb_info"]
    assert rules["depth/image"] == camera["depth"]
    assert rules["depth/image/compressedDepth"] == f"{camera['depth']}/compressedDepth"
    assert rules["depth/camera_info"] == camera["depth_info"]
    assert rules.get("imu") == camera.get("imu")
    assert rules.get("depth_to_color") == camera.get("depth_to_color")
    assert set(nodes) == {"segment_node", camera.get("starts", "segment_node")}


def test_an_argument_overrides_one_topic(launched: Launch) -> None:
    rules = launched.nodes(launched.actions(camera="zed", depth="/mine", rviz="false"))
    assert rules["segment_node"]["depth/image"] == "/mine"
    assert rules["segment_node"]["depth/image/compressedDepth"] == "/mine/compressedDepth"
    assert rules["segment_node"]["rgb/image"] == CAMERAS["zed"]["rgb"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"camera": "kinekt2"}, "unknown camera 'kinekt2': did you mean 'kinect2'?"),
        ({"params_file": "/nowhere.yaml"}, "params_file:=/nowhere.yaml is not a file"),
        ({"cameras_file": "/nowhere.yaml"}, "cameras_file:=/nowhere.yaml is not a file"),
        ({"camera": "synthetic", "driver": "true"}, "camera 'synthetic' has no line"),
        ({"driver": "true"}, "package 'realsense2_camera' is not installed"),
        ({"bag": "/nowhere.mcap"}, "bag:=/nowhere.mcap does not exist"),
        ({"bag": str(PROJECT), "driver": "true"}, "choose one"),
        ({"record": str(PROJECT)}, "exists; choose another name"),
        ({"record": "/nowhere/labels.mcap"}, "there is no folder /nowhere"),
        ({"rgb": "my camera/image"}, "rgb:=my camera/image is no name that a topic can have"),
        ({"depth": "depth/"}, "depth:=depth/ is no name"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(
    launched: Launch, installed: list[str], given: dict[str, str], said: str
) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011  its text is looked at below
        launched.actions(rviz="false", **given)
    assert said in str(raised.value)


def test_a_recording_needs_ros2bag(launched: Launch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="package 'ros2bag' is not installed"):
        launched.actions(record=str(tmp_path / "labels.mcap"), rviz="false")


def test_a_recording_has_the_outputs_and_both_camera_infos(
    launched: Launch, installed: list[str], tmp_path: Path
) -> None:
    target = tmp_path / "kitchen.mcap"
    actions = launched.actions(
        camera="kinect2", record=str(target), namespace="left", rgb_info="/info", rviz="false"
    )
    (command,) = launched.commands(actions)
    assert command[:7] == ["ros2", "bag", "record", "-s", "mcap", "-o", str(tmp_path / "kitchen")]
    outputs = {f"/left/fafnet/{topic}" for topic in launched.module.RECORDED}
    inputs = {"/info", "/left/kinect2/qhd/camera_info"}
    assert set(command[7:]) == outputs | inputs | {"/tf", "/tf_static", "/diagnostics"}
    (tmp_path / "kitchen").mkdir()
    with pytest.raises(ValueError, match="kitchen exists; choose another name"):
        launched.actions(record=str(target), rviz="false")


def test_a_bag_is_played_with_its_clock_in_place_of_a_camera(
    launched: Launch, installed: list[str], tmp_path: Path
) -> None:
    actions = launched.actions(camera="synthetic", bag=str(tmp_path), rviz="false")
    assert launched.commands(actions) == [["ros2", "bag", "play", str(tmp_path), "--clock"]]
    assert set(launched.nodes(actions)) == {"segment_node"}


@pytest.mark.parametrize(("rviz", "layout"), [("true", "segment.rviz"), ("cloud", "cloud.rviz")])
def test_rviz_follows_the_namespace(
    launched: Launch, installed: list[str], rviz: str, layout: str
) -> None:
    rules = launched.nodes(launched.actions(rviz=rviz, namespace="left"))["rviz2"]
    shown = {d["Topic"]["Value"] for d in displays(layout) if "Topic" in d}
    assert rules == {topic: topic.lstrip("/") for topic in shown}


def test_two_cameras_are_two_launches_with_their_own_recordings() -> None:
    two = Launch("two_cameras.launch.py")
    groups = two.actions(namespaces="left, right", record="drive.mcap")
    given = []
    for group in groups:
        (included,) = [e for e in group.get_sub_entities() if hasattr(e, "launch_arguments")]
        given.append({name: value for name, value in included.launch_arguments if name != "rviz"})
    assert given == [
        {"namespace": "left", "record": "drive_left"},
        {"namespace": "right", "record": "drive_right"},
    ]
    with pytest.raises(ValueError, match="wanted different names"):
        two.actions(namespaces="left,left")
    with pytest.raises(ValueError, match="bag:= would be played for each camera"):
        two.actions(bag="kitchen")
