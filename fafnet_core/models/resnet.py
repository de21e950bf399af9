"""The residual networks that extract features from each modality (section 3.1, fig. 2).

ResNet-18 to -152 of He et al., "Deep Residual Learning for Image Recognition" (2016), without the
classifier. Parameters carry torchvision's names, so its ImageNet weights load as they are; as
there, the stride of a bottleneck is in its 3x3 convolution. The `_v1c` forms have the deep stem of
three 3x3 convolutions that the authors' code uses. FAFNet feeds fused maps back between the stages,
hence `stem` and `layer1` to `layer4` are called one by one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from fafnet_core.models.backbone import Backbone
from fafnet_core.models.layers import added_to, initialise_convolutions

DEEP_STEM = "_v1c"
"""What a name ends with when its stem is three 3x3 convolutions in place of one 7x7."""


class _Block(nn.Module, ABC):
    """Convolutions around a shortcut.

    Args:
        in_channels: of the map that comes in.
        width: of the convolutions; `expansion` times as many channels go out.
        stride: of the block.
        dilations: of the convolution that has the stride, and of those behind it: see `ResNet`.
    """

    expansion: int
    downsample: nn.Module | None

    @abstractmethod
    def residual(self, x: Tensor) -> Tensor:
        """What is added to the shortcut."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(added_to(self.residual(x), shortcut), inplace=True)


class BasicBlock(_Block):
    """Two 3x3 convolutions around a shortcut (ResNet-18 and -34)."""

    expansion = 1

    def __init__(
        self, in_channels: int, width: int, stride: int, dilations: tuple[int, int]
    ) -> None:
        super().__init__()
        self.conv1 = _conv3x3(in_channels, width, stride, dilations[0])
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, 1, dilations[1])
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _downsample(in_channels, width, stride)

    def residual(self, x: Tensor) -> Tensor:
        """conv, norm, ReLU, conv, norm."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        added: Tensor = self.bn2(self.conv2(x))
        return added


class Bottleneck(_Block):
    """A 3x3 convolution between two 1x1 ones around a shortcut (ResNet-50, -101 and -152)."""

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, dilations: tuple[int, int]
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        # Behind the convolution with the stride there is only a 1x1 one.
        self.conv2 = _conv3x3(width, width, stride, dilations[0])
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.downsample = _downsample(in_channels, width * self.expansion, stride)

    def residual(self, x: Tensor) -> Tensor:
        """1x1, norm, ReLU, 3x3, norm, ReLU, 1x1, norm."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        added: Tensor = self.bn3(self.conv3(x))
        return added


_ARCHITECTURES: dict[str, tuple[type[BasicBlock | Bottleneck], tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
}
_FIRST_WIDTH = 64


class ResNet(Backbone):
    """A residual network without its classifier.

    Below an output stride of 32, strides of the last stages are replaced by dilation. A block's
    convolution that had the stride still sees its input at the finer resolution, so it keeps the
    dilation it had; those behind it get twice that. The denser map, read at every second pixel, is
    then exactly the map of the network with the stride, and ImageNet weights keep their meaning.
    The authors' code does otherwise (`released_dilation`), and its weights want it so.

    Args:
        name: "resnet18" to "resnet152", or one of these with "_v1c" behind it: a deep stem.
        width_multiplier: scales the width of the stem and of every stage.
        output_stride: 8, 16 or 32, of `layer4`.
        released_dilation: `layer4` has no stride, and its blocks have dilation 2, 4, 8 in every
            3x3 convolution; the output stride is then 16.
    """

    def __init__(
        self,
        name: str,
        *,
        width_multiplier: float = 1.0,
        output_stride: int = 32,
        released_dilation: bool = False,
    ) -> None:
        super().__init__()
        block, depths = _ARCHITECTURES[name.removesuffix(DEEP_STEM)]
        width = round(_FIRST_WIDTH * width_multiplier)
        deep = name.endswith(DEEP_STEM)
        in_channels = 2 * width if deep else width
        self.conv1 = _deep_stem(width) if deep else nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)

        stages = []
        stride, dilation = 4, 1
        for stage, depth in enumerate(depths):
            step = 1 if stage == 0 else 2
            first_dilation = dilation
            if stride * step > output_stride:
                step, dilation = 1, dilation * 2
            stride *= step
            dilations = [(first_dilation, dilation)] + [(dilation, dilation)] * (depth - 1)
            if released_dilation and stage == 3:
                dilations = [(2 << index, 2 << index) for index in range(depth)]
            stages.append(_stage(block, in_channels, width << stage, step, dilations))
            in_channels = (width << stage) * block.expansion
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

        expanded = width * block.expansion
        self.channels: tuple[int, int, int, int] = (
            expanded,
            2 * expanded,
            4 * expanded,
            8 * expanded,
        )
        """Channels of the maps of layer1 to layer4."""
        initialise_convolutions(self)

    def stem(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> the map at a quarter of the size that `layer1` takes."""
        # The largest of four values behind a ReLU is the ReLU of the largest: behind the pooling
        # it has a quarter of the work.
        pooled: Tensor = self.relu(self.maxpool(self.bn1(self.conv1(x))))
        return pooled

    def share_shortcuts(self, other: ResNet) -> None:
        """Use the 1x1 convolutions and norms that change the size of `other`'s shortcuts.

        The authors' code has one of them for both streams, statistics included.
        """
        for ours, theirs in zip(list(self.modules()), list(other.modules()), strict=True):
            if isinstance(ours, _Block) and isinstance(theirs, _Block):
                ours.downsample = theirs.downsample


def _deep_stem(width: int) -> nn.Sequential:
    """3 -> width -> width -> 2 width; the norm and ReLU behind the last are the network's own."""
    return nn.Sequential(
        _conv3x3(3, width, 2, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        _conv3x3(width, width, 1, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        _conv3x3(width, 2 * width, 1, 1),
    )


def _stage(
    block: type[BasicBlock | Bottleneck],
    in_channels: int,
    width: int,
    stride: int,
    dilations: Sequence[tuple[int, int]],
) -> nn.Sequential:
    first = block(in_channels, width, stride, dilations[0])
    rest = [block(width * block.expansion, width, 1, pair) for pair in dilations[1:]]
    return nn.Sequential(first, *rest)


def _downsample(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """What a shortcut needs where the shape of the map changes."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


def _conv3x3(in_channels: int, out_channels: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, dilation, dilation, bias=False)
