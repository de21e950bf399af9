"""The node's network: on the device that was asked for, or on the CPU where a GPU is full."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace

from fafnet_core.inference import Segmenter, is_gpu_full, keep_memory, use_threads
from fafnet_core.input_size import parse_input_size
from fafnet_ros.node.parameters import NetworkParameters


class Network:
    """The network, loaded.

    Slow labels are better than none: where the GPU has no memory for it, it runs on the CPU. It
    stays there, for what else is on the GPU may take that memory again at any time.

    Args:
        parameters: which one, and how it is run.
        on_gpu_full: takes the exception, once; called from the thread that has it.

    Attributes:
        segmenter: takes each frame by itself.
        gpu_was_full: whether the network runs on the CPU because of that.

    Raises:
        OSError, ValueError: as of `Segmenter.from_checkpoint`.
    """

    def __init__(
        self, parameters: NetworkParameters, on_gpu_full: Callable[[Exception], None]
    ) -> None:
        self._parameters = parameters
        self._on_gpu_full = on_gpu_full
        self._move = threading.Lock()
        self.gpu_was_full = False
        full = None
        try:
            self.segmenter = _opened(parameters)
        except Exception as error:
            if not is_gpu_full(error):
                raise
            full = error.with_traceback(None)  # its frames hold what fills the GPU
        if full is not None:
            self.on_cpu(full)

    @property
    def is_moving(self) -> bool:
        """Whether it is being loaded for the CPU, which takes as long as at the start."""
        return self._move.locked()

    def on_cpu(self, error: Exception) -> Segmenter:
        """Return the network on the CPU, loaded when it is first asked for; for any thread.

        Args:
            error: what the GPU had no memory for.
        """
        with self._move:
            if not self.gpu_was_full:
                self.segmenter = _opened(_for_cpu(self._parameters))
                self.gpu_was_full = True
                self._on_gpu_full(error)
            return self.segmenter


def _for_cpu(wanted: NetworkParameters) -> NetworkParameters:
    """Return what was asked for, but for what a CPU does not have."""
    return replace(
        wanted,
        device="cpu",
        runtime="auto" if wanted.runtime == "tensorrt" else wanted.runtime,
        precision="auto" if wanted.precision == "float16" else wanted.precision,
    )


def _opened(parameters: NetworkParameters) -> Segmenter:
    """Load the network, with the processor threads that its runtime needs."""
    cores = os.cpu_count() or 1
    # One core is for the camera and for receiving, where there are three or more.
    use_threads(parameters.threads or (cores - 1 if cores > 2 else cores))
    segmenter = Segmenter.from_checkpoint(
        parameters.checkpoint,
        device=parameters.device,
        precision=parameters.precision,
        runtime=parameters.runtime,
        input_size=parse_input_size(parameters.input_size),
    )
    keep_memory()
    if segmenter.runtime.name == "torch":
        # Its threads wait for each other by spinning. With a thread on every core, any other
        # busy process (the camera, at least) makes all of them ten times slower, or worse.
        use_threads(parameters.threads or max(cores - 1, 1))
    return segmenter
