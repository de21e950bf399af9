"""What a network costs: parameters, multiply-adds, memory, and how they spread over its stages.

Nothing is computed: the network runs once on PyTorch's meta device, where tensors have shapes and
no contents, so that the largest one takes neither memory nor noticeable time.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from fafnet_core.models.backbone import Backbone
from fafnet_core.models.config import FAFNetConfig, preset_config
from fafnet_core.models.decoder import ConcatenatedLevels, SummedLevels
from fafnet_core.models.fafnet import FAFNet, build_empty

UPSAMPLING = "upsampling"
"""Name of the last stage, from the decoder's scores to those of every pixel."""

_GROUPS = (nn.ModuleList, ConcatenatedLevels, SummedLevels)
_LAYERS = ("layer1", "layer2", "layer3", "layer4")


@dataclass(frozen=True)
class StageSummary:
    """One stage of a network.

    Attributes:
        name: path of its module; ".stem" of a backbone, and `UPSAMPLING`, are no modules.
        shape: of the first tensor that it returns, with the batch.
        parameters: numbers learned here; those that an earlier stage has too count there.
        multiply_adds: as in `ModelSummary`.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class ModelSummary:
    """A network and what one inference with it costs.

    Attributes:
        config: the network's configuration.
        size: height and width of the images, in pixels.
        batch: images of each modality in one inference.
        parameters: numbers learned; what modules share counts once.
        multiply_adds: of the convolutions, linear layers and matrix products (half of PyTorch's
            count of floating-point operations). Left out: biases, norms, activations, sums,
            pooling, bilinear upsampling and the sampling of eq. 13.
        weight_bytes: what a checkpoint holds, parameters and the norms' statistics, in float32;
            what modules share counts once.
        peak_bytes: the most that all tensors of one eager forward in float32 hold at one time: the
            two images, everything computed from them that Python or PyTorch still refers to, and
            the logits. Left out: the weights, an operation's workspace, and what an allocator
            keeps beyond what it was asked for.
        stages: in the order in which they run. Their parameters and multiply-adds add up to the
            network's.
    """

    config: FAFNetConfig
    size: tuple[int, int]
    batch: int
    parameters: int
    multiply_adds: int
    weight_bytes: int
    peak_bytes: int
    stages: tuple[StageSummary, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return asdict(self) | {"config": self.config.to_dict()}


def summarise(
    model: str | FAFNetConfig | FAFNet, size: tuple[int, int] = (480, 640), batch: int = 1
) -> ModelSummary:
    """Measure a network in evaluation mode, without computing anything.

    Args:
        model: the name of a preset, a configuration, or a network, of which another one is built
            and measured.
        size: height and width of the images, in pixels.
        batch: images of each modality.

    Raises:
        ValueError: no preset has that name, the batch is empty, or the images are too small.
    """
    if batch < 1:
        raise ValueError(f"batch is {batch}; wanted at least one image")
    if isinstance(model, str):
        model = preset_config(model)
    network = build_empty(model.config if isinstance(model, FAFNet) else model)
    # Tables that some networks of timm fill when they are built are not on that device yet.
    network = network.eval().to("meta")
    weights = {id(tensor): tensor for tensor in network.state_dict(keep_vars=True).values()}
    flops = FlopCounterMode(display=False)
    memory = LiveTensors((*network.parameters(), *network.buffers()))
    recorder = _Recorder(flops)
    _watch(network, recorder)
    with torch.no_grad(), flops, memory:
        # Inside, so that the images count.
        rgb, hha = (torch.empty(batch, 3, *size, device="meta") for _ in range(2))
        logits = network(rgb, hha)
    recorder.stages.append(StageSummary(UPSAMPLING, tuple(logits.shape), 0, 0))
    return ModelSummary(
        config=network.config,
        size=(size[0], size[1]),
        batch=batch,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        multiply_adds=flops.get_total_flops() // 2,
        weight_bytes=sum(tensor.numel() * tensor.element_size() for tensor in weights.values()),
        peak_bytes=memory.peak,
        stages=tuple(recorder.stages),
    )


class LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside its `with` block, follows the memory of the tensors that operations return.

    Views and what is written in place cost nothing; memory is given back when the last tensor that
    refers to it is gone.

    Args:
        uncounted: tensors that are there already, whose views count for nothing.

    Attributes:
        alive: bytes held now.
        peak: the most that `alive` has been.
    """

    def __init__(self, uncounted: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive = 0
        self.peak = 0
        self._storages: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        for tensor in uncounted:
            self._follow(tensor, 0)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run the operation and take note of the memory that is new in what it returns."""
        del types
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, Tensor):
                self._follow(tensor, tensor.untyped_storage().nbytes())
        return result

    def _follow(self, tensor: Tensor, size: int) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._storages:
            return

        def gone(_: weakref.ref[torch.UntypedStorage]) -> None:
            del self._storages[key]
            self.alive -= size

        self._storages[key] = weakref.ref(storage, gone)
        self.alive += size
        self.peak = max(self.peak, self.alive)


class _Recorder:
    """Records the stages in their order, each as the difference that it makes."""

    def __init__(self, flops: FlopCounterMode) -> None:
        self.stages: list[StageSummary] = []
        self._flops = flops
        self._before = 0
        self._counted: set[int] = set()

    def enter(self) -> None:
        self._before = self._flops.get_total_flops()

    def leave(self, name: str, parameters: Iterable[nn.Parameter], output: Any) -> None:
        first: Tensor = output[0] if isinstance(output, tuple) else output
        new = {id(parameter): parameter.numel() for parameter in parameters}
        learned = sum(size for key, size in new.items() if key not in self._counted)
        self._counted |= set(new)
        multiply_adds = (self._flops.get_total_flops() - self._before) // 2
        self.stages.append(StageSummary(name, tuple(first.shape), learned, multiply_adds))


def _watch(network: FAFNet, recorder: _Recorder) -> None:
    """Have every stage of `network` reported to `recorder`."""
    for part in ("encoder", "decoder"):
        for name, stage in _stages(part, network.get_submodule(part)):
            stage.register_forward_pre_hook(lambda *_: recorder.enter())
            stage.register_forward_hook(partial(_leave, recorder, name))
    for name, module in network.named_modules():
        if isinstance(module, Backbone):
            _watch_stem(name, module, recorder)


def _leave(recorder: _Recorder, name: str, stage: nn.Module, _: Any, output: Any) -> None:
    recorder.leave(name, stage.parameters(), output)


def _stages(name: str, parent: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Modules that are one stage each, by path: children, or theirs where a child is a group."""
    for child_name, child in parent.named_children():
        path = f"{name}.{child_name}"
        if isinstance(child, Backbone):
            yield from ((f"{path}.{layer}", getattr(child, layer)) for layer in _LAYERS)
        elif isinstance(child, _GROUPS):
            yield from _stages(path, child)
        else:
            yield path, child


def _watch_stem(name: str, backbone: Backbone, recorder: _Recorder) -> None:
    """A stem is a method, which has no hooks: replace it, on this network only."""
    stem = backbone.stem
    layers = {id(p) for layer in _LAYERS for p in getattr(backbone, layer).parameters()}
    parameters = [p for p in backbone.parameters() if id(p) not in layers]

    def watched(x: Tensor) -> Tensor:
        recorder.enter()
        output = stem(x)
        recorder.leave(f"{name}.stem", parameters, output)
        return output

    backbone.stem = watched  # type: ignore[method-assign]
