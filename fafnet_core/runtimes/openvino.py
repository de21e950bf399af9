"""The network in OpenVINO: on a CPU two to three times as fast as in PyTorch.

OpenVINO's Python package reports its use over the network as soon as it is imported. Here it never
does: `import_openvino` takes that part of it away first.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fafnet_core.camera import Size
from fafnet_core.frame import Classes
from fafnet_core.models import FAFNet
from fafnet_core.normalisation import Normalisation
from fafnet_core.runtimes import Fusion, RuntimeUnavailableError
from fafnet_core.runtimes.classify import classify
from fafnet_core.runtimes.compiled import CompiledCache, cache_folder
from fafnet_core.runtimes.deployed import DeployedNetwork, example_images
from fafnet_core.runtimes.proof import refuse_other_labels
from fafnet_core.runtimes.pytorch import TorchRuntime

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_MOST_SIZES = 3


def import_openvino() -> ModuleType:
    """Import OpenVINO without what it sends home.

    Raises:
        RuntimeUnavailableError: it is not installed.
    """
    # An entry of None makes the import of that package fail, and OpenVINO goes on without it. In a
    # process that has imported OpenVINO before us it is too late; that choice was its own.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise RuntimeUnavailableError(
            "openvino", f"it cannot be imported ({error}): pip install 'fafnet_ros[openvino]'"
        ) from error


@cache
def _core() -> Any:
    """Return this process's `openvino.Core`: one, which is never given back.

    Each one gives its thread a stack for signals, and puts back the one before when it goes. Two
    that go in another order than they came leave a stack that is no longer there, and the next
    signal (Ctrl-C, the end of a child) kills the process.
    """
    return import_openvino().Core()


class OpenVinoEngine:
    """Compiles models for the CPU and keeps what was compiled on disk (`cache_folder`).

    Args:
        precision: "auto", bfloat16 where the processor has it natively; "float32" or "bfloat16".
        threads: of the processor; None: as many as PyTorch uses.

    Attributes:
        name, device, precision: as of `Runtime`.
        module, core: the package, and its `Core`.

    Raises:
        RuntimeUnavailableError: OpenVINO is not installed, or the processor lacks the precision.
    """

    name = "openvino"
    device = "cpu"

    def __init__(self, precision: str = "auto", threads: int | None = None) -> None:
        self.module = import_openvino()
        self.core = _core()
        self.precision = self._chosen(precision)
        self._options = {
            "INFERENCE_PRECISION_HINT": _HINTS[self.precision],
            "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
            # Pinned threads of two processes land on the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        self._cache = CompiledCache(cache_folder())
        self._key = (
            self.module.get_version(),
            str(self.core.get_property("CPU", "FULL_DEVICE_NAME")),
            str(sorted(self._options.items())),
        )

    def _chosen(self, precision: str) -> str:
        native = "BF16" in self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "auto":
            return "bfloat16" if native else "float32"
        if precision == "bfloat16" and not native:
            raise RuntimeUnavailableError(
                self.name, "this processor has no bfloat16; take precision float32, or auto"
            )
        if precision not in _HINTS:
            raise RuntimeUnavailableError(
                self.name, f"it has no precision {precision}; take auto, float32 or bfloat16"
            )
        return precision

    def request(self, make_model: Callable[[], Any], *key: str) -> Any:
        """Return an `openvino.InferRequest`.

        Args:
            make_model: gives the `openvino.Model`, where it is not compiled yet.
            key: what is equal for equal models.
        """
        key = (*key, *self._key)
        blob = self._cache.read(*key)
        if blob is not None:
            try:
                compiled = self.core.import_model(blob, self.device.upper(), self._options)
                return compiled.create_infer_request()
            except RuntimeError:
                pass  # of a build with the same name, and another format: compiled anew
        compiled = self.core.compile_model(make_model(), self.device.upper(), self._options)
        self._cache.write(compiled.export_model().getvalue(), *key)
        return compiled.create_infer_request()


class OpenVinoRuntime:
    """Runs a network on the CPU, compiled for each size of its input that comes.

    What runs has been compared with PyTorch in float32 on a frame of that size.

    Args:
        model: the network.
        normalisation: what its inputs go through.
        precision, threads: as of `OpenVinoEngine`.

    Attributes:
        name, device, precision: as of `Runtime`.

    Raises:
        RuntimeUnavailableError: as `OpenVinoEngine`.
    """

    def __init__(
        self,
        model: FAFNet,
        normalisation: Normalisation,
        *,
        precision: str = "auto",
        threads: int | None = None,
    ) -> None:
        self._engine = engine = OpenVinoEngine(precision, threads)
        self.name, self.device, self.precision = engine.name, engine.device, engine.precision
        self._reference = TorchRuntime(model, normalisation, device="cpu", precision="float32")
        self._network = DeployedNetwork(self._reference.model, normalisation).eval()
        self._fingerprint = self._network.fingerprint()
        self._requests: dict[Size, Any] = {}

    def prepare(self, size: Size) -> None:
        """See `Runtime.prepare`: compile, and compare with PyTorch."""
        if size in self._requests:
            return
        self._requests[size] = self._engine.request(
            lambda: self._model(size), self._fingerprint, str(size)
        )
        try:
            refuse_other_labels(self, self._reference, size)
        except ValueError:
            del self._requests[size]
            raise
        while len(self._requests) > _MOST_SIZES:
            del self._requests[next(iter(self._requests))]

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
        (logits,) = run_request(self._requests[seen], rgb, hha)
        return classify(torch.from_numpy(logits[0]), size, seen, fuse)

    def _model(self, size: Size) -> Any:
        return traced_model(self._engine.module, self._network, size)


def traced_model(module: ModuleType, network: nn.Module, size: Size) -> Any:
    """Return the `openvino.Model` of a network for images (1, height, width, 3) of one size.

    Args:
        module: the package.
        network: a `DeployedNetwork` or `LabellingNetwork`. The names of the operations say in which
            of its modules they are.
        size: (height, width).
    """
    images = example_images(size)
    with warnings.catch_warnings(), torch.no_grad():
        # That Python's numbers become constants of this size, which is what is wanted.
        warnings.simplefilter("ignore")
        # A trace takes a fifth of the time of `torch.export`.
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            network, images, check_trace=False
        )
        return module.convert_model(traced, example_input=images)


def run_request(request: Any, rgb: NDArray[np.uint8], hha: NDArray[np.uint8]) -> list[NDArray[Any]]:
    """Run a request on colour and HHA, (H, W, 3) uint8 each; its outputs stay as they are."""
    images = [np.ascontiguousarray(image)[None] for image in (rgb, hha)]
    return list(request.infer(images, share_inputs=True, share_outputs=False).values())
