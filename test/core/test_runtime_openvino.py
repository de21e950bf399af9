"""OpenVINO: PyTorch's labels, a cache that may be damaged, and nothing sent home."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from fafnet_core import FAFNet, build_model
from fafnet_core.inference import Segmenter
from fafnet_core.normalisation import Normalisation
from fafnet_core.runtimes import RuntimeDiffersError
from fafnet_core.runtimes.choice import open_runtime
from fafnet_core.runtimes.openvino import OpenVinoRuntime, import_openvino
from fafnet_core.runtimes.proof import proof_frame
from fafnet_core.runtimes.pytorch import TorchRuntime

if importlib.util.find_spec("openvino") is None:  # to import it would let it report that
    pytest.skip("OpenVINO is not installed", allow_module_level=True)

SIZE = (72, 96)


@pytest.fixture(scope="module")
def network() -> FAFNet:
    torch.manual_seed(5)
    return build_model("fafnet-nano", num_classes=7).eval()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "fafnet"


def has_bfloat16() -> bool:
    core = import_openvino().Core()
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def test_it_gives_pytorchs_labels_and_confidence(network: FAFNet) -> None:
    shifted = Normalisation(rgb_mean=(0.1, 0.5, 0.9), hha_deviation=(0.5, 0.2, 0.3))
    runtime = OpenVinoRuntime(network, shifted, precision="float32")
    reference = TorchRuntime(network, shifted, device="cpu", precision="float32")
    for size in (SIZE, (90, 70)):
        rgb, hha = proof_frame(size)
        found = runtime.predict(rgb, hha, (144, 192))
        wanted = reference.predict(rgb, hha, (144, 192))
        assert found.labels.shape == (144, 192)
        assert (found.labels == wanted.labels).mean() > 0.999
        np.testing.assert_allclose(found.confidence, wanted.confidence, atol=1e-3)


def test_on_a_cpu_it_is_what_auto_takes_in_the_processors_precision() -> None:
    segmenter = Segmenter.from_checkpoint("default", device="cpu")
    wanted = "bfloat16" if has_bfloat16() else "float32"
    assert (segmenter.runtime.name, segmenter.precision) == ("openvino", wanted)
    assert segmenter.runs_on == f"cpu in {wanted} (openvino)"
    with pytest.raises(ValueError, match="needs runtime torch"):
        _ = segmenter.torch


def test_what_was_compiled_is_kept_and_made_anew_where_it_is_damaged(
    network: FAFNet, cache: Path
) -> None:
    images = proof_frame(SIZE)

    def run() -> tuple[Path, bytes]:
        runtime = OpenVinoRuntime(network, Normalisation(), precision="float32")
        labels.append(runtime.predict(*images, SIZE).labels)
        (file,) = cache.iterdir()
        return file, file.read_bytes()

    labels: list[NDArray[np.uint8]] = []
    file, content = run()
    os.utime(file, (1, 1))
    run()
    assert file.stat().st_mtime == 1  # read, not written
    for damaged in (content[:1000], content[:-1] + b"\0" * 9):
        file.write_bytes(damaged)
        run()
        assert file.read_bytes() != damaged
        os.utime(file, (1, 1))
        run()
        assert file.stat().st_mtime == 1
    assert all((found == labels[0]).all() for found in labels)


def test_a_cache_that_cannot_be_written_stops_nothing(network: FAFNet, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    runtime = OpenVinoRuntime(network, Normalisation())
    assert runtime.predict(*proof_frame(SIZE), SIZE).labels.shape == SIZE


def test_other_weights_or_another_normalisation_are_another_file(
    network: FAFNet, cache: Path
) -> None:
    torch.manual_seed(6)
    for model, normalisation in (
        (network, Normalisation()),
        (network, Normalisation(rgb_mean=(0.0, 0.0, 0.0))),
        (build_model("fafnet-nano", num_classes=7).eval(), Normalisation()),
    ):
        OpenVinoRuntime(model, normalisation, precision="float32").prepare(SIZE)
    assert len(list(cache.iterdir())) == 3


@pytest.fixture
def rounded_away(network: FAFNet) -> FAFNet:
    """A network whose scores bfloat16 cannot tell apart: all are near a thousand."""
    torch.manual_seed(5)
    model = build_model("fafnet-nano", num_classes=7).eval()
    model.load_state_dict(network.state_dict())
    *_, last = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    assert last.bias is not None
    nn.init.constant_(last.bias, 1000)
    return model


@pytest.mark.usefixtures("cache")
def test_other_labels_than_pytorchs_are_refused_and_auto_goes_on_to_float32(
    rounded_away: FAFNet, caplog: pytest.LogCaptureFixture
) -> None:
    if not has_bfloat16():
        pytest.skip("this processor has no bfloat16, so nothing is rounded away")
    asked = OpenVinoRuntime(rounded_away, Normalisation(), precision="bfloat16")
    with pytest.raises(RuntimeDiffersError, match="openvino in bfloat16") as caught:
        asked.prepare(SIZE)
    assert caught.value.share > caught.value.allowed == 0.02
    with caplog.at_level(logging.WARNING):
        chosen = open_runtime(rounded_away, Normalisation(), device="cpu")
        labels = chosen.predict(*proof_frame(SIZE), SIZE).labels
    assert (chosen.name, chosen.precision) == ("openvino", "float32")
    assert "Taken: openvino in float32" in caplog.text
    wanted = TorchRuntime(rounded_away, Normalisation()).predict(*proof_frame(SIZE), SIZE)
    assert (labels == wanted.labels).mean() > 0.995


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtime": "openvni"}, "did you mean 'openvino'"),
        ({"runtime": "openvino", "precision": "float16"}, "auto, float32 or bfloat16"),
    ],
)
def test_what_cannot_be_had_is_refused_with_a_remedy(
    network: FAFNet, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        open_runtime(network, Normalisation(), device="cpu", **options)


OFFLINE = """
import os, socket, sys

def refuse(*arguments):
    print("CONNECTS", arguments[1:])
    raise OSError("no network")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = lambda *arguments, **options: refuse(None, *arguments)
import numpy as np
from fafnet_core.inference import Segmenter

segmenter = Segmenter.from_checkpoint("untrained:fafnet-nano", "cpu", runtime="openvino")
image = np.zeros((48, 64, 3), np.uint8)
segmenter.predict(image, image)
print("RAN", segmenter.runtime.name, sys.modules["openvino_telemetry"])
"""


def test_nothing_is_sent_home(tmp_path: Path) -> None:
    environment = os.environ | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("CI", None)  # which would turn it off by itself
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE], env=environment, capture_output=True, text=True, check=True
    )
    assert "RAN openvino None" in done.stdout
    assert "CONNECTS" not in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_where_it_is_not_installed_auto_takes_pytorch_and_the_extra_is_named(
    tmp_path: Path,
) -> None:
    script = """
import sys
sys.modules["openvino"] = None  # as where it is not installed
from fafnet_core.inference import Segmenter
print(Segmenter.from_checkpoint("untrained:fafnet-nano", "cpu").runs_on)
Segmenter.from_checkpoint("untrained:fafnet-nano", "cpu", runtime="openvino")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "(torch)" in done.stdout
    assert "pip install 'fafnet_ros[openvino]'" in done.stderr.splitlines()[-1]


def test_signals_are_survived_whatever_order_networks_go_in(tmp_path: Path) -> None:
    # Each of OpenVINO's cores brings a stack for signals, and takes it with it.
    script = """
import os, signal
from fafnet_core.inference import Segmenter
signal.signal(signal.SIGUSR1, lambda number, frame: print("SURVIVED", flush=True))
open_it = lambda: Segmenter.from_checkpoint(
    "untrained:fafnet-nano", "cpu", "float32", "openvino", input_size=(48, 64)
)
first, second = open_it(), open_it()
del first
del second
os.kill(os.getpid(), signal.SIGUSR1)
"""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("SURVIVED\n", 0), done.stderr
