"""MobileNetV2, the backbone for a CPU (section 3.1 leaves the feature extractor open).

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018), table 2, without
the last 1x1 convolution and the classifier. Its stages end where the size changes: the maps that
FAFNet fuses have 24, 32, 96 and 320 channels. `own_names` maps torchvision's names, so its ImageNet
weights load as they are, and so do those of files whose norms are folded in (`folded.py`).

A stride-2 convolution pads all around, as torchvision does. TensorFlow pads below and on the right
only: on a whole image its maps are the same ones, taken one pixel further down and right, so its
weights keep their meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import Tensor, nn

from fafnet_core.models.backbone import Backbone
from fafnet_core.models.inplace import added_to

_STEM = 32
_ROWS = (
    # expansion, channels, blocks, stride, stage: table 2 of the paper.
    (1, 16, 1, 1, 1),
    (6, 24, 2, 2, 1),
    (6, 32, 3, 2, 2),
    (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3),
    (6, 160, 3, 2, 4),
    (6, 320, 1, 1, 4),
)
_STAGES = 4


class InvertedResidual(nn.Module):
    """Expand, filter each channel by itself, project; the sum with x where the shape stays.

    Nothing is behind the projection: its few channels would lose by a ReLU.
    """

    def __init__(
        self, in_channels: int, out_channels: int, expansion: int, stride: int, dilation: int
    ) -> None:
        super().__init__()
        wide = in_channels * expansion
        expand = [] if expansion == 1 else [conv_bn_relu6(in_channels, wide, 1)]
        self.conv = nn.Sequential(
            *expand,
            conv_bn_relu6(wide, wide, 3, stride=stride, dilation=dilation, groups=wide),
            nn.Conv2d(wide, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self._adds = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        y: Tensor = self.conv(x)
        return added_to(y, x) if self._adds else y


class MobileNetV2(Backbone):
    """MobileNetV2 without its classifier.

    Below an output stride of 32, strides of the last stages are replaced by dilation, as in
    `ResNet`: the denser map, read at every second pixel, is that of the network with the stride.

    Args:
        width_multiplier: scales every width, rounded to a multiple of 8 as in the paper's code.
        output_stride: 8, 16 or 32, of `layer4`.
    """

    def __init__(self, *, width_multiplier: float = 1.0, output_stride: int = 32) -> None:
        super().__init__()
        in_channels = _rounded(_STEM * width_multiplier)
        self.first = conv_bn_relu6(3, in_channels, 3, stride=2)
        stages: list[list[nn.Module]] = [[] for _ in range(_STAGES)]
        channels = [0] * _STAGES
        total, dilation = 2, 1
        for expansion, width, blocks, step, stage in _ROWS:
            width = _rounded(width * width_multiplier)
            for index in range(blocks):
                stride = step if index == 0 else 1
                # The convolution that had the stride sees its input at the finer resolution.
                own = dilation
                if total * stride > output_stride:
                    dilation, stride = dilation * stride, 1
                total *= stride
                block = InvertedResidual(in_channels, width, expansion, stride, own)
                stages[stage - 1].append(block)
                in_channels = width
            channels[stage - 1] = width
        self.layer1, self.layer2, self.layer3, self.layer4 = (nn.Sequential(*s) for s in stages)
        self.channels: tuple[int, int, int, int] = (*channels,)  # type: ignore[assignment]
        self._initialise()

    def stem(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> the map at half of the size that `layer1` takes."""
        first: Tensor = self.first(x)
        return first

    def own_names(self, names: Iterable[str]) -> dict[str, str]:
        """Where the tensors of torchvision's MobileNetV2 are here; others are left out."""
        blocks = [
            f"layer{stage + 1}.{index}"
            for stage, count in enumerate(self._blocks())
            for index in range(count)
        ]
        prefixes = {"features.0.": "first."}
        prefixes |= {f"features.{i}.": f"{block}." for i, block in enumerate(blocks, start=1)}
        own = {part for part, _ in self.named_children()}
        places = {}
        for name in names:
            found = re.match(r"features\.\d+\.", name)
            if found and found[0] in prefixes:
                places[name] = prefixes[found[0]] + name.removeprefix(found[0])
            elif name.partition(".")[0] in own:
                places[name] = name
        return places

    def _blocks(self) -> list[int]:
        return [len(stage) for stage in (self.layer1, self.layer2, self.layer3, self.layer4)]

    def _initialise(self) -> None:
        """Kaiming's normal initialisation of the convolutions, as in torchvision."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")


def conv_bn_relu6(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """Convolution, batch norm, ReLU6."""
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    )


def _rounded(width: float) -> int:
    """The nearest multiple of 8, at least 8, and never a tenth below the width."""
    nearest = max(8, int(width + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * width else nearest
