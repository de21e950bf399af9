"""The residual networks that extract features from each modality (section 3.1, fig. 2).

ResNet-18, -34, -50 and -101 of He et al., "Deep Residual Learning for Image Recognition" (2016),
without the classifier. Parameters carry torchvision's names, so its ImageNet weights load as they
are; as there, the stride of a bottleneck is in its 3x3 convolution. FAFNet feeds fused maps back
between the stages, hence `stem` and `layer1` to `layer4` are called one by one.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (ResNet-18 and -34).

    `first_dilation` belongs to the convolution that carries the stride, `dilation` to the one
    behind it: see `ResNet`.
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        width: int,
        *,
        stride: int = 1,
        first_dilation: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = _conv3x3(in_channels, width, stride, first_dilation)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, 1, dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, width, ceil(H / stride), ceil(W / stride))."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return F.relu(x + shortcut, inplace=True)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones around a shortcut (ResNet-50 and -101)."""

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        *,
        stride: int = 1,
        first_dilation: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
    ) -> None:
        super().__init__()
        del dilation  # Nothing behind the convolution with the stride is wider than 1x1.
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride, first_dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, 4 width, ceil(H / stride), ceil(W / stride))."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return F.relu(x + shortcut, inplace=True)


_ARCHITECTURES: dict[str, tuple[type[BasicBlock | Bottleneck], tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
}
_FIRST_WIDTH = 64


class ResNet(nn.Module):
    """A residual network without its classifier.

    Below an output stride of 32, strides of the last stages are replaced by dilation. A block's
    convolution that had the stride still sees its input at the finer resolution, so it keeps the
    dilation it had; those behind it get twice that. The denser map, read at every second pixel, is
    then exactly the map of the network with the stride, and ImageNet weights keep their meaning.

    Args:
        name: "resnet18", "resnet34", "resnet50" or "resnet101".
        width_multiplier: scales the width of the stem and of every stage.
        output_stride: 8, 16 or 32, of `layer4`.
    """

    def __init__(
        self, name: str, *, width_multiplier: float = 1.0, output_stride: int = 32
    ) -> None:
        super().__init__()
        block, depths = _ARCHITECTURES[name]
        width = round(_FIRST_WIDTH * width_multiplier)
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)

        stages = []
        in_channels, stride, dilation = width, 4, 1
        for stage, depth in enumerate(depths):
            step = 1 if stage == 0 else 2
            first_dilation = dilation
            if stride * step > output_stride:
                step, dilation = 1, dilation * 2
            stride *= step
            stages.append(
                _stage(block, in_channels, width << stage, depth, step, first_dilation, dilation)
            )
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
        self._initialise()

    def stem(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> the map at a quarter of the size that `layer1` takes."""
        x = self.relu(self.bn1(self.conv1(x)))
        pooled: Tensor = self.maxpool(x)
        return pooled

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> the maps of `layer1` to `layer4`, with nothing fed between them."""
        x1 = self.layer1(self.stem(x))
        x2 = self.layer2(x1)
        x3 = self.layer3(x2)
        return x1, x2, x3, self.layer4(x3)

    def _initialise(self) -> None:
        """Kaiming's normal initialisation of the convolutions, as in torchvision."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _stage(
    block: type[BasicBlock | Bottleneck],
    in_channels: int,
    width: int,
    depth: int,
    stride: int,
    first_dilation: int,
    dilation: int,
) -> nn.Sequential:
    out_channels = width * block.expansion
    downsample = None
    if stride != 1 or in_channels != out_channels:
        downsample = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
            nn.BatchNorm2d(out_channels),
        )
    first = block(
        in_channels,
        width,
        stride=stride,
        first_dilation=first_dilation,
        dilation=dilation,
        downsample=downsample,
    )
    rest = [
        block(out_channels, width, first_dilation=dilation, dilation=dilation)
        for _ in range(depth - 1)
    ]
    return nn.Sequential(first, *rest)


def _conv3x3(in_channels: int, out_channels: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(
        in_channels,
        out_channels,
        3,
        stride=stride,
        padding=dilation,
        dilation=dilation,
        bias=False,
    )
