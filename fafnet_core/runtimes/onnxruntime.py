"""The network in ONNX Runtime: on a CPU, and through it in NVIDIA's TensorRT."""

from __future__ import annotations

import contextlib
import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fafnet_core.camera import Size
from fafnet_core.frame import Classes
from fafnet_core.models import FAFNet
from fafnet_core.normalisation import Normalisation
from fafnet_core.runtimes import Fusion, RuntimeUnavailableError
from fafnet_core.runtimes.classify import classify
from fafnet_core.runtimes.compiled import CompiledCache, cache_folder
from fafnet_core.runtimes.deployed import DeployedNetwork
from fafnet_core.runtimes.onnx_graph import onnx_graph
from fafnet_core.runtimes.proof import refuse_other_labels
from fafnet_core.runtimes.pytorch import TorchRuntime

_TENSORRT = "TensorrtExecutionProvider"
_MOST_SIZES = 3
_ERRORS_ONLY = 3


def import_onnxruntime(runtime: str = "onnxruntime") -> ModuleType:
    """Import ONNX Runtime for the runtime of that name, without what it sends home.

    Raises:
        RuntimeUnavailableError: it is not installed.
    """
    # From 1.32 on it reports its use, as soon as it is imported. The variable is read then; in a
    # process that has imported it before us it is too late, and that choice was its own.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        onnxruntime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise RuntimeUnavailableError(
            runtime,
            f"ONNX Runtime cannot be imported ({error}): pip install 'fafnet_ros[onnx]'",
        ) from error
    onnxruntime.disable_telemetry_events()  # where a version does not know the variable
    return onnxruntime


class OnnxEngine:
    """Opens ONNX graphs, on the CPU or in TensorRT.

    Args:
        name: "onnxruntime", on the CPU; "tensorrt", on a GPU of NVIDIA's.
        device: "auto" or where that is.
        precision: "auto", "float32"; in TensorRT "float16" too.
        threads: of the processor; None: as many as PyTorch uses.

    Attributes:
        name, device, precision: as of `Runtime`.
        one_size: a graph that takes one size is faster than one for any.

    Raises:
        RuntimeUnavailableError: it is not installed, or lacks the device or the precision.
    """

    def __init__(
        self,
        name: str = "onnxruntime",
        *,
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
    ) -> None:
        self._module = import_onnxruntime(name)
        self.name = name
        self.one_size = name == "tensorrt"
        self.precision = "float32" if precision == "auto" else precision
        self._options = self._module.SessionOptions()
        self._options.log_severity_level = _ERRORS_ONLY
        self._options.intra_op_num_threads = threads or torch.get_num_threads()
        # Threads that spin between two frames take the camera's processor time.
        self._options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._providers: list[Any] = ["CPUExecutionProvider"]
        if name == "tensorrt":
            self._use_tensorrt(device)
        else:
            self._use_cpu(device)

    def _use_cpu(self, device: str) -> None:
        self.device = "cpu"
        if device not in ("auto", "cpu"):
            raise RuntimeUnavailableError(
                self.name, f"it runs on the CPU, not on {device}; take torch or tensorrt there"
            )
        if self.precision != "float32":
            raise RuntimeUnavailableError(
                self.name, f"it has no precision {self.precision}; take auto or float32"
            )

    def _use_tensorrt(self, device: str) -> None:
        self.device = "cuda:0" if device in ("auto", "cuda") else device
        if not self.device.startswith("cuda"):
            raise RuntimeUnavailableError(self.name, f"it needs a GPU of NVIDIA's, not {device}")
        if self.precision not in ("float32", "float16"):
            raise RuntimeUnavailableError(
                self.name, f"it has no precision {self.precision}; take auto, float32 or float16"
            )
        if _TENSORRT not in self._module.get_available_providers():
            raise RuntimeUnavailableError(
                self.name,
                f"ONNX Runtime {self._module.__version__} has no {_TENSORRT} here: install TensorRT"
                " and an onnxruntime-gpu that was built for it (docs/deployment.md)",
            )
        folder = cache_folder() / "tensorrt"
        with contextlib.suppress(OSError):  # without it, engines are built at each start
            folder.mkdir(parents=True, exist_ok=True)
        options = {
            "device_id": self.device.removeprefix("cuda:"),
            "trt_fp16_enable": str(self.precision == "float16"),
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(folder),
        }
        self._providers.insert(0, (_TENSORRT, options))

    def open(self, graph: bytes | Path) -> Any:
        """Return an `onnxruntime.InferenceSession`.

        Raises:
            ValueError: no ONNX graph, a damaged one, or one that this version cannot run.
        """
        source = str(graph) if isinstance(graph, Path) else graph
        try:
            return self._module.InferenceSession(source, self._options, providers=self._providers)
        # Its errors have no base class of their own.
        except Exception as error:
            name = str(graph) if isinstance(graph, Path) else "the graph"
            said = " ".join(str(error).split())
            raise ValueError(
                f"{name} cannot be opened in ONNX Runtime {self._module.__version__}: it is no"
                f" ONNX file, it is cut short, or it is of a newer version ({said:.300})"
            ) from error


class OnnxRuntime:
    """Runs a network in ONNX Runtime; what was exported for it is kept on disk.

    Args:
        model: the network.
        normalisation: what its inputs go through.
        engine: where it runs.

    Attributes:
        name, device, precision: as of `Runtime`.
    """

    def __init__(self, model: FAFNet, normalisation: Normalisation, engine: OnnxEngine) -> None:
        self.name, self.device, self.precision = engine.name, engine.device, engine.precision
        self._engine = engine
        self._reference = TorchRuntime(model, normalisation, device="cpu", precision="float32")
        self._network = DeployedNetwork(self._reference.model, normalisation).eval()
        self._cache = CompiledCache(cache_folder())
        self._key = ("onnx", self._network.fingerprint(), torch.__version__)
        # By size, or one for all of them.
        self._sessions: dict[Size | None, Any] = {}
        self._ready: set[Size] = set()

    def prepare(self, size: Size) -> None:
        """See `Runtime.prepare`: export, open, and compare with PyTorch."""
        if size in self._ready:
            return
        key = size if self._engine.one_size else None
        if key not in self._sessions:
            self._sessions[key] = self._engine.open(self._graph(size))
        self._ready.add(size)
        try:
            refuse_other_labels(self, self._reference, size)
        except ValueError:
            self._ready.discard(size)
            raise
        while len(self._sessions) > _MOST_SIZES:
            oldest = next(iter(self._sessions))
            del self._sessions[oldest]
            self._ready -= {oldest}

    def predict(
        self,
        rgb: NDArray[np.uint8],
        hha: NDArray[np.uint8],
        size: Size,
        fuse: Fusion | None = None,
    ) -> Classes:
        """See `Runtime.predict`."""
        seen = rgb.shape[0], rgb.shape[1]
        self.prepare(seen)
        session = self._sessions[seen if self._engine.one_size else None]
        (logits,) = run_session(session, rgb, hha)
        return classify(torch.from_numpy(logits[0]), size, seen, fuse)

    def _graph(self, size: Size) -> bytes:
        key = (*self._key, str(size if self._engine.one_size else "any size"))
        graph = self._cache.read(*key)
        if graph is None:
            graph = onnx_graph(self._network, size, any_size=not self._engine.one_size)
            self._cache.write(graph, *key)
        return graph


def run_session(session: Any, rgb: NDArray[np.uint8], hha: NDArray[np.uint8]) -> list[NDArray[Any]]:
    """Run a session on colour and HHA, (H, W, 3) uint8 each; its outputs, in their order."""
    images = {"rgb": np.ascontiguousarray(rgb)[None], "hha": np.ascontiguousarray(hha)[None]}
    outputs: list[NDArray[Any]] = session.run(None, images)
    return outputs
