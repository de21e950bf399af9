"""Which runtime a network gets: the one that was asked for, or the fastest that agrees."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fafnet_core.camera import Size
from fafnet_core.frame import Classes
from fafnet_core.models import FAFNet
from fafnet_core.nearest import unknown_name
from fafnet_core.normalisation import Normalisation
from fafnet_core.runtimes import (
    Fusion,
    Runtime,
    RuntimeDiffersError,
    RuntimeUnavailableError,
)
from fafnet_core.runtimes.devices import choose_device
from fafnet_core.runtimes.onnxruntime import OnnxEngine, OnnxRuntime
from fafnet_core.runtimes.openvino import OpenVinoRuntime
from fafnet_core.runtimes.pytorch import TorchRuntime

RuntimeName = Literal["auto", "torch", "openvino", "onnxruntime", "tensorrt"]

_log = logging.getLogger(__name__)


def open_runtime(
    model: FAFNet,
    normalisation: Normalisation,
    *,
    runtime: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    size: Size | None = None,
) -> Runtime:
    """Return what runs a network.

    Args:
        model: the network. It is copied: yours keeps its mode, device and precision.
        normalisation: what its inputs go through.
        runtime: "torch"; "openvino" and "onnxruntime", on a CPU; "tensorrt", on a GPU; "auto": on a
            CPU OpenVINO where it is installed and gives PyTorch's labels, else PyTorch.
        device: "auto", "cpu", "cuda" or "cuda:0".
        precision: "auto", "float32", "bfloat16" or "float16".
        size: (height, width) of the images that will come, where it is known: the runtime is then
            ready for them.

    Raises:
        ValueError: no such runtime, device or precision.
        RuntimeUnavailableError: it cannot be had here.
        RuntimeDiffersError: it gives other labels than PyTorch.
    """
    if runtime not in get_args(RuntimeName):
        raise ValueError(unknown_name("runtime", runtime, get_args(RuntimeName)))
    where = choose_device(device)

    def torch(precision: str = precision) -> Runtime:
        return TorchRuntime(model, normalisation, device=str(where), precision=precision)

    def openvino(precision: str = precision) -> Runtime:
        if where.type != "cpu":
            raise RuntimeUnavailableError("openvino", f"it runs on the CPU, not on {where}")
        return OpenVinoRuntime(model, normalisation, precision=precision)

    if runtime == "torch" or (runtime == "auto" and where.type != "cpu"):
        return torch()
    chosen: Runtime
    if runtime in ("onnxruntime", "tensorrt"):
        engine = OnnxEngine(runtime, device=str(where), precision=precision)
        chosen = OnnxRuntime(model, normalisation, engine)
    elif runtime == "openvino":
        chosen = openvino()
    else:
        exact = [lambda: openvino("float32")] if precision == "auto" else []
        chosen = FirstThatAgrees([openvino, *exact, torch])
    if size is not None:
        chosen.prepare(size)
    return chosen


class FirstThatAgrees:
    """The first of several runtimes that can be had here and gives PyTorch's labels.

    It goes on to the next, and says so, when one turns out to differ at a size that comes.

    Args:
        candidates: what makes each; the last one is taken as it is.
    """

    def __init__(self, candidates: list[Callable[[], Runtime]]) -> None:
        self._left = candidates
        self._runtime = self._next()

    def _next(self) -> Runtime:
        while True:
            candidate, *self._left = self._left
            try:
                return candidate()
            except RuntimeUnavailableError as error:
                if not self._left:
                    raise
                _log.info("%s", error)

    @property
    def name(self) -> str:
        """As of `Runtime`."""
        return self._runtime.name

    @property
    def device(self) -> str:
        """As of `Runtime`."""
        return self._runtime.device

    @property
    def precision(self) -> str:
        """As of `Runtime`."""
        return self._runtime.precision

    def prepare(self, size: Size) -> None:
        """See `Runtime.prepare`."""
        while True:
            try:
                return self._runtime.prepare(size)
            except RuntimeDiffersError as error:
                if not self._left:
                    raise
                self._runtime = self._next()
                _log.warning("%s. Taken: %s in %s", error, self.name, self.precision)

    def predict(
        self,
        rgb: NDArray[np.uint8],
        hha: NDArray[np.uint8],
        size: Size,
        fuse: Fusion | None = None,
    ) -> Classes:
        """See `Runtime.predict`."""
        self.prepare((rgb.shape[0], rgb.shape[1]))
        return self._runtime.predict(rgb, hha, size, fuse)
