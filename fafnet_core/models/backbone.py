"""What a feature extractor of either modality has to offer (section 3.1)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """A network in four stages that can be stopped between them, because maps are fed back there.

    Attributes:
        channels: of the maps of `layer1` to `layer4`.
        divisor: what height and width of an image have to be divisible by.
    """

    channels: tuple[int, int, int, int]
    divisor: int = 1
    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    @abstractmethod
    def stem(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> what `layer1` takes."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> the maps of `layer1` to `layer4`, with nothing fed between them."""
        x1 = self.layer1(self.stem(x))
        x2 = self.layer2(x1)
        x3 = self.layer3(x2)
        return x1, x2, x3, self.layer4(x3)
