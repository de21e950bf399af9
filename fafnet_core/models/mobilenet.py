"""MobileNets, the backbones for a CPU (section 3.1 leaves the feature extractor open).

Two of a kind, each a table of inverted residuals:
- MobileNetV2: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018),
  table 2, without the last 1x1 convolution and the classifier. Names are torchvision's.
- MobileNet Multi-AVG: Chu et al., "Discovering Multi-Hardware Mobile Models via Architecture
  Search" (2020), as MOSAIC (Wang and Howard, 2021) cuts it down to label pixels. It has fewer
  parameters and larger kernels, and of MLCommons' two networks for ADE20K the better one stands on
  it.

Stages end where the size changes. `own_names` maps the names of files, so torchvision's weights of
ImageNet load as they are, and so do those of files whose norms are folded in.

A stride-2 convolution pads all around, as in torchvision. TensorFlow pads below and on the right
only: its maps are the same, taken one pixel further down and right, so its weights keep their
meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from torch import Tensor, nn

from fafnet_core.models.backbone import Backbone
from fafnet_core.models.layers import added_to, conv_bn_relu, initialise_convolutions

Activation = Literal["ReLU", "ReLU6"]
_ACTIVATIONS: Mapping[Activation, type[nn.ReLU | nn.ReLU6]] = {"ReLU": nn.ReLU, "ReLU6": nn.ReLU6}

_STAGES = 4


@dataclass(frozen=True)
class Block:
    """An inverted residual.

    Attributes:
        expansion: of the input's channels, for the depthwise convolution.
        channels: of the output.
        kernel: side length of the depthwise convolution.
        stride: of the depthwise convolution.
        stage: to which it belongs, 1 to 4.
    """

    expansion: int
    channels: int
    kernel: int
    stride: int
    stage: int


@dataclass(frozen=True)
class Architecture:
    """A MobileNet as a table.

    Attributes:
        title: its name for people.
        stem: channels of the first convolution, 3x3 with stride 2.
        blocks: what follows.
        last: channels of a 1x1 convolution at the end; None: there is none.
        activation: behind all convolutions but the last of a block.
    """

    title: str
    stem: int
    blocks: tuple[Block, ...]
    last: int | None
    activation: Activation


def _blocks(*rows: tuple[int, int, int, int, int, int]) -> tuple[Block, ...]:
    """Expand rows of: expansion, channels, kernel, stride of the first, repeats, stage."""
    return tuple(
        Block(expansion, channels, kernel, stride if index == 0 else 1, stage)
        for expansion, channels, kernel, stride, repeats, stage in rows
        for index in range(repeats)
    )


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "mobilenet_v2": Architecture(
            title="MobileNetV2",
            stem=32,
            blocks=_blocks(
                (1, 16, 3, 1, 1, 1),
                (6, 24, 3, 2, 2, 1),
                (6, 32, 3, 2, 3, 2),
                (6, 64, 3, 2, 4, 3),
                (6, 96, 3, 1, 3, 3),
                (6, 160, 3, 2, 3, 4),
                (6, 320, 3, 1, 1, 4),
            ),
            last=None,
            activation="ReLU6",
        ),
        "mobilenet_multi_avg": Architecture(
            title="MobileNet Multi-AVG",
            stem=32,
            blocks=_blocks(
                (3, 32, 3, 2, 1, 1),
                (2, 32, 3, 1, 1, 1),
                (5, 64, 5, 2, 1, 2),
                (3, 64, 3, 1, 1, 2),
                (2, 64, 3, 1, 1, 2),
                (3, 64, 3, 1, 1, 2),
                (6, 128, 5, 2, 1, 3),
                (3, 128, 3, 1, 3, 3),
                (6, 160, 3, 1, 1, 3),
                (4, 160, 3, 1, 1, 3),
                (6, 192, 3, 2, 1, 4),
                (2, 96, 5, 1, 1, 4),
                (4, 96, 5, 1, 2, 4),
            ),
            last=448,
            activation="ReLU",
        ),
    }
)
"""By the name that a configuration gives."""


class InvertedResidual(nn.Module):
    """Expand, filter each channel by itself, project; the sum with x where the shape stays.

    Nothing is behind the projection: its few channels would lose by a ReLU.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expansion: int,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        activation: Activation = "ReLU6",
    ) -> None:
        super().__init__()
        wide = in_channels * expansion
        relu = _ACTIVATIONS[activation]
        expand = [] if expansion == 1 else [conv_bn_relu(in_channels, wide, 1, relu=relu)]
        filtered = conv_bn_relu(
            wide, wide, kernel, stride=stride, dilation=dilation, groups=wide, relu=relu
        )
        self.conv = nn.Sequential(
            *expand,
            filtered,
            nn.Conv2d(wide, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self._adds = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        y: Tensor = self.conv(x)
        return added_to(y, x) if self._adds else y


class MobileNet(Backbone):
    """A MobileNet without its classifier.

    Below an output stride of 32, strides of the last stages are replaced by dilation, as in
    `ResNet`: the denser map, read at every second pixel, is that of the network with the stride.

    Args:
        name: of `ARCHITECTURES`.
        width_multiplier: scales every width, rounded to a multiple of 8 as in the paper's code.
        output_stride: 8, 16 or 32, of `layer4`.
    """

    def __init__(
        self, name: str = "mobilenet_v2", *, width_multiplier: float = 1.0, output_stride: int = 32
    ) -> None:
        super().__init__()
        table = ARCHITECTURES[name]
        in_channels = _rounded(table.stem * width_multiplier)
        relu = _ACTIVATIONS[table.activation]
        self.first = conv_bn_relu(3, in_channels, 3, stride=2, relu=relu)
        stages: list[list[nn.Module]] = [[] for _ in range(_STAGES)]
        channels = [0] * _STAGES
        for block, stride, dilation in _placed(table.blocks, output_stride):
            width = _rounded(block.channels * width_multiplier)
            stages[block.stage - 1].append(
                InvertedResidual(
                    in_channels,
                    width,
                    expansion=block.expansion,
                    kernel=block.kernel,
                    stride=stride,
                    dilation=dilation,
                    activation=table.activation,
                )
            )
            channels[block.stage - 1] = in_channels = width
        if table.last is not None:
            channels[-1] = _rounded(table.last * width_multiplier)
            stages[-1].append(conv_bn_relu(in_channels, channels[-1], 1, relu=relu))
        self._blocks = [len(stage) for stage in stages]
        self.layer1, self.layer2, self.layer3, self.layer4 = (nn.Sequential(*s) for s in stages)
        self.channels: tuple[int, int, int, int] = (*channels,)  # type: ignore[assignment]
        initialise_convolutions(self)

    def stem(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> the map at half of the size that `layer1` takes."""
        first: Tensor = self.first(x)
        return first

    def own_names(self, names: Iterable[str]) -> dict[str, str]:
        """Where the tensors of a file with torchvision's names are here; others are left out."""
        blocks = [
            f"layer{stage + 1}.{index}"
            for stage, count in enumerate(self._blocks)
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


def _placed(blocks: Iterable[Block], output_stride: int) -> Iterator[tuple[Block, int, int]]:
    """Each block with its stride and its dilation at an output stride."""
    total, dilation = 2, 1
    for block in blocks:
        stride, own = block.stride, dilation
        # The convolution that had the stride sees its input at the finer resolution.
        if total * stride > output_stride:
            dilation, stride = dilation * stride, 1
        total *= stride
        yield block, stride, own


def _rounded(width: float) -> int:
    """The nearest multiple of 8, at least 8, and never a tenth below the width."""
    nearest = max(8, int(width + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * width else nearest
