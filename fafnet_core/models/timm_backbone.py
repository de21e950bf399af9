"""Networks of the timm library as backbones, so that the fusion can sit on a modern encoder.

timm's feature extractors give the maps of all stages at once. FAFNet feeds maps back between the
stages, so the extractor is taken apart where its maps are tapped, and put together again as four
stages behind a stem. timm is optional: nothing here imports it before a backbone is built.
"""

from __future__ import annotations

import difflib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from fafnet_core.models.backbone import Backbone

_STRIDES = (4, 8, 16, 32)
_FOR_EXAMPLE = "such as resnet50d, convnext_tiny or efficientnet_b0"
# Not square, and no size of a training: one divisible by 32, one with odd sides.
_EVEN, _ODD = (96, 160), (109, 147)
# What timm and its networks raise when asked for something that they do not have.
_REFUSALS = (AssertionError, NotImplementedError, RuntimeError, TypeError, ValueError)


class TimmBackbone(Backbone):
    """A network of timm with maps at strides 4, 8, 16 and 32, with random weights.

    Parameters carry the names of timm's feature extractor behind those of the part they are in:
    `entry` (the stem), `layer1` to `layer4`. Nothing is downloaded; see `load_backbone`.

    Args:
        name: as timm has it, such as "convnext_tiny".
        output_stride: 8, 16 or 32, of `layer4`; below 32 only where timm's network has the option.

    Raises:
        ValueError: timm is not installed or has no such network, or the network has no such output
            stride, not these four maps, cannot be cut between them, or takes one size of image
            only; the message says which.
    """

    def __init__(self, name: str, *, output_stride: int = 32) -> None:
        super().__init__()
        network = _create(name, output_stride)
        strides = tuple(min(stride, output_stride) for stride in _STRIDES)
        parts, taps = _taken_apart(name, network)
        _check_strides(name, [stride for stride, _ in taps.values()], strides)
        deep = {part: tap for part, tap in taps.items() if tap[0] >= _STRIDES[0]}

        # Where the maps are (B, H, W, C), so is what the stem gives.
        nhwc = str(getattr(network, "output_fmt", None)).endswith("NHWC")
        names = [part for part, _ in parts]
        first = min(names.index(part) for part in deep)
        # Parts between two taps belong to the stage of the later one; the first tap's stage is the
        # part with the tap, and all before it is the stem.
        ends = [first, *(names.index(part) + 1 for part in deep)]
        self.entry = _Parts(parts[:first])
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _Parts(parts[begin:end], takes_nhwc=nhwc and begin > first, gives_nhwc=nhwc)
            for begin, end in pairwise(ends)
        )
        c1, c2, c3, c4 = (channels for _, channels in deep.values())
        self.channels: tuple[int, int, int, int] = (c1, c2, c3, c4)
        """Channels of the maps of layer1 to layer4."""
        self._check_maps(name, strides)

    def stem(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> what `layer1` takes, in the layout of timm's network."""
        entered: Tensor = self.entry(x)
        return entered

    def own_names(self, theirs: Iterable[str]) -> dict[str, str]:
        """Names of timm's whole network -> names here; those that have no part here are left out.

        "stages.0.blocks.1.weight" -> "layer1.stages_0.blocks.1.weight".
        """
        holders = {
            part: holder
            for holder in ("entry", "layer1", "layer2", "layer3", "layer4")
            for part, _ in self.get_submodule(holder).named_children()
        }
        names = {}
        for name in theirs:
            # Its extractor takes outer containers apart: "stages.0" is one part, "stages_0".
            first, _, rest = name.partition(".")
            second, _, inner = rest.partition(".")
            for part, tail in ((first, rest), (f"{first}_{second}", inner)):
                if part in holders:
                    names[name] = f"{holders[part]}.{part}.{tail}"
        return names

    def _run_without_numbers(self, height: int, width: int) -> Sequence[Any]:
        """The shapes of an image's four maps: run on the meta device, which takes no time."""
        state = dict(self.named_parameters()) | dict(self.named_buffers())
        meta = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
        self.eval()  # One image would not do for training.
        with torch.no_grad(), torch.device("meta"):
            maps: Sequence[Any] = torch.func.functional_call(
                self, meta, (torch.empty(1, 3, height, width),)
            )
        self.train()
        return maps

    def _check_maps(self, name: str, strides: Sequence[int]) -> None:
        """Find out now, not in training, what the network cannot do once it is cut."""
        height, width = _EVEN
        try:
            maps = self._run_without_numbers(height, width)
        except _REFUSALS as error:
            raise ValueError(
                f"timm network '{name}' does not run on an image of {height} x {width} pixels"
                f" ({_first_line(error)}): its input size is fixed; take one {_FOR_EXAMPLE}"
            ) from error
        for found, stride, channels in zip(maps, strides, self.channels, strict=True):
            wanted = (1, channels, height // stride, width // stride)
            came = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            if came != wanted:
                raise ValueError(
                    f"timm network '{name}' gives {came} at stride {stride} of an image of"
                    f" {height} x {width} pixels, not one map {wanted}; take one {_FOR_EXAMPLE}"
                )
        try:
            self._run_without_numbers(*_ODD)
        except _REFUSALS:
            self.divisor = _STRIDES[-1]


class _Parts(nn.Sequential):
    """Parts of a network one after another, (B, C, H, W) outside whatever is inside."""

    def __init__(
        self,
        parts: Iterable[tuple[str, nn.Module]],
        *,
        takes_nhwc: bool = False,
        gives_nhwc: bool = False,
    ) -> None:
        super().__init__(OrderedDict(parts))
        self.takes_nhwc = takes_nhwc
        self.gives_nhwc = gives_nhwc

    def forward(self, x: Tensor) -> Tensor:
        if self.takes_nhwc:
            x = x.permute(0, 2, 3, 1).contiguous()
        for part in self:
            x = part(x)
        return x.permute(0, 3, 1, 2) if self.gives_nhwc else x


def _taken_apart(
    name: str, network: Any
) -> tuple[list[tuple[str, nn.Module]], dict[str, tuple[int, int]]]:
    """The parts of a feature extractor in their order; of tapped ones, stride and channels."""
    info = network.feature_info
    properties = list(zip(info.reduction(), info.channels(), strict=True))
    if hasattr(network, "return_layers"):  # FeatureListNet: its children are the parts
        parts = list(network.items())
        taps = list(network.return_layers)
    elif hasattr(network, "conv_stem") and hasattr(network, "blocks"):  # EfficientNet and its kin
        parts = [part for part in network.named_children() if part[0] != "blocks"]
        parts += [(f"blocks_{index}", block) for index, block in network.blocks.named_children()]
        taps = [tap.replace(".", "_") for tap in info.module_name()]
    else:
        _check_strides(name, info.reduction(), _STRIDES)
        raise ValueError(
            f"timm network '{name}' cannot be stopped between its stages"
            f" ({type(network).__name__}), and FAFNet feeds maps back there; take one"
            f" {_FOR_EXAMPLE}"
        )
    return parts, dict(zip(taps, properties, strict=True))


def _check_strides(name: str, found: Sequence[int], wanted: Sequence[int]) -> None:
    if [stride for stride in found if stride >= wanted[0]] != list(wanted):
        raise ValueError(
            f"timm network '{name}' has maps at strides {', '.join(map(str, found))}; FAFNet"
            f" needs four, at {', '.join(map(str, wanted))}: take one that has stages,"
            f" {_FOR_EXAMPLE}"
        )


def _create(name: str, output_stride: int) -> Any:
    """timm's feature extractor of that name, with random weights."""
    try:
        import timm
    except ImportError as error:
        raise ValueError(
            f"backbone 'timm/{name}' needs the library timm ({error}): pip install timm,"
            " or take a ResNet as backbone"
        ) from error
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else "timm.list_models() has the names"
        raise ValueError(f"timm {timm.__version__} has no network '{name}': {hint}")
    options: dict[str, Any] = (
        {} if output_stride == _STRIDES[-1] else {"output_stride": output_stride}
    )
    # Networks with windows have an option for images of any size; others refuse it.
    for further in ({"strict_img_size": False}, {}):
        try:
            return _build(name, options | further)
        except _REFUSALS as error:
            refusal = error
    if not options:
        raise ValueError(f"timm cannot build '{name}' ({_first_line(refusal)})") from refusal
    TimmBackbone(name)  # Raises where the network cannot be used at any output stride.
    raise ValueError(
        f"timm network '{name}' has no output stride {output_stride}; set output_stride to 32"
    ) from refusal


def _build(name: str, options: dict[str, Any]) -> Any:
    import timm

    if not torch.empty(0).is_meta:
        return timm.create_model(name, pretrained=False, features_only=True, **options)
    # Tables that no checkpoint has (position indices, masks) would stay without values: the
    # network is built for real, and what a checkpoint brings is emptied.
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        network = timm.create_model(name, pretrained=False, features_only=True, **options)
    for path, tensor in network.state_dict(keep_vars=True).items():
        owner, _, leaf = path.rpartition(".")
        empty = torch.empty_like(tensor, device="meta")
        if isinstance(tensor, nn.Parameter):
            empty = nn.Parameter(empty, tensor.requires_grad)
        setattr(network.get_submodule(owner), leaf, empty)
    return network


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
