"""Installs both Python packages and what ROS 2 looks for in `share/fafnet_ros`.

Version ranges are wide because the NumPy and OpenCV of a robot's distribution must stay in place.
The tested versions are in `constraints.txt`, which `make` uses.
"""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "fafnet_ros"
SHARE = f"share/{PACKAGE}"

# A pip user wants OpenCV; on a ROS machine it is rosdep's python3-opencv, which pip does not see.
OPENCV = ["opencv-python-headless>=4.5"]
JAZZY = [
    "ros-rclpy[fastrtps]>=7.1,<8",
    "ros-jazzy-diagnostic-msgs>=5.3",
    "ros-jazzy-geometry-msgs>=5.3",
    "ros-jazzy-lifecycle-msgs>=2.0",
    "ros-jazzy-sensor-msgs>=5.3",
    "ros-jazzy-std-msgs>=5.3",
    "ros-jazzy-visualization-msgs>=5.3",
]
KILTED = [
    "ros-rclpy[fastrtps]>=9.1,<10",
    "ros-kilted-diagnostic-msgs>=5.5",
    "ros-kilted-geometry-msgs>=5.5",
    "ros-kilted-lifecycle-msgs>=2.3",
    "ros-kilted-sensor-msgs>=5.5",
    "ros-kilted-std-msgs>=5.5",
    "ros-kilted-visualization-msgs>=5.5",
]
# Recordings: ROS 1 bags, MCAP and SQLite, without a ROS installation.
BAGS = ["rosbags>=0.11.9,<0.12"]
# Reading the original downloads; training's log; pictures of results.
DATA = ["h5py>=3.6"]
TRAIN = [*DATA, "matplotlib>=3.5", "tensorboard>=2.10"]
HUB = ["huggingface_hub>=0.24"]
TIMM = ["timm>=1.0"]
OPENVINO = ["openvino>=2024.4"]
# Writing ONNX graphs, and running them; `fafnet export` tries what it writes.
ONNX = ["onnx>=1.16", "onnxruntime>=1.18"]
EXPORT = ONNX + OPENVINO
# `fafnet quantize`: NNCF brings scikit-learn and SciPy, so no environment of ours has it.
QUANTIZE = ["nncf>=2.14", *OPENVINO]
# Depth as Record3D's .r3d files have it.
RECORD3D = ["lzfse>=0.4.2"]
# The schema of TensorFlow Lite files, for `fafnet convert`; TensorFlow itself is not needed.
TFLITE = ["tflite>=2.18"]
# `make trust`: inputs that follow the branches of our code.
TRUST = ["atheris>=3"]
DEV = [
    "colcon-common-extensions",
    "coverage>=7.10",
    "hypothesis>=6",
    "import-linter>=2.3",
    "mypy>=1.10",
    "pytest>=8",
    "pytest-xdist>=3.5",
    "ruff>=0.8",
    "scipy>=1.8",
    "scipy-stubs",
    "torchmetrics>=1.4",
    "types-PyYAML",
    "types-tqdm",
]


def files(folder: str, *patterns: str) -> list[str]:
    """Return the files to install from a folder, relative to this one."""
    return [str(path) for pattern in patterns for path in sorted(Path(folder).glob(pattern))]


setup(
    name=PACKAGE,
    version="0.1.0",
    description="RGB-D semantic segmentation with FAFNet, for ROS 2",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["fafnet_core", "fafnet_core.*", "fafnet_ros", "fafnet_ros.*"]),
    package_data={
        "fafnet_core": [
            "py.typed",
            "checkpoints/*.safetensors",
            "checkpoints/*.md",
            "labels/*/*.yaml",
        ],
        "fafnet_ros": ["py.typed"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (SHARE, ["package.xml"]),
        (f"{SHARE}/launch", files("launch", "*.launch.py")),
        (f"{SHARE}/config", files("config", "*.yaml", "*.xml", "*.rviz", "*.json")),
    ],
    install_requires=[
        "numpy>=1.21",
        "pillow>=9",
        "pyyaml",
        "safetensors>=0.4",
        "torch>=2.5",
        "tqdm>=4.57",
    ],
    extras_require={
        "opencv": OPENCV,
        "ros": OPENCV + JAZZY,
        "kilted": OPENCV + KILTED,
        "bags": BAGS,
        "data": DATA,
        "train": TRAIN,
        "hub": HUB,
        "timm": TIMM,
        "tflite": TFLITE,
        "openvino": OPENVINO,
        "onnx": ONNX,
        "export": EXPORT,
        "quantize": QUANTIZE,
        "record3d": RECORD3D,
        "trust": TRUST,
        "dev": DEV + BAGS + EXPORT + HUB + RECORD3D + TFLITE + TRAIN,
    },
    zip_safe=False,
    maintainer="fafnet_ros maintainers",
    maintainer_email="maintainers@fafnet.invalid",
    entry_points={
        "console_scripts": [
            "fafnet = fafnet_core.cli.main:main",
            "segment_node = fafnet_ros.segment_node:main",
            "synthetic_camera = fafnet_ros.cameras.synthetic_camera:main",
            "frame_player = fafnet_ros.cameras.frame_player:main",
        ]
    },
)
