"""Test-time scales and flips: one network run several times on one image, and the mean of it.

The paper's figures are multi-scale ones (section 4.1); single-scale figures are lower, and the two
are not to be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch.nn.functional as F
from torch import Tensor

from fafnet_core.settings import FieldError, check_fields

Average = Literal["logits", "softmax"]
Scales = tuple[Annotated[float, "0 < x <= 8"], ...]


@dataclass(frozen=True)
class MultiScale:
    """How often a network sees an image, and what is averaged.

    At each scale the normalised images are resized, the logits are resized back, and their mean,
    or that of their softmax, is the result; all with bilinear interpolation, align_corners=False,
    no antialiasing. Sizes are rounded to whole pixels and not to a multiple of the output stride:
    FAFNet takes any size, and a multiple would stretch the image. One run at scale 1 gives the
    network's own result, bit by bit.

    Attributes:
        scales: factors of the image's height and width, 0 < scale <= 8, each once. The authors'
            code takes 1, .5, .75, 1.5, 1.75 for NYUv2.
        flip: also run each scale on the mirrored image, and mirror the result back.
        average: "logits", as the authors' code does, or "softmax", the probabilities.
    """

    scales: Scales = (1.0,)
    flip: bool = False
    average: Average = "logits"

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.scales:
            raise FieldError("scales", "scales is empty; wanted one or more, such as [1.0]")
        if len(set(self.scales)) < len(self.scales):
            raise FieldError(
                "scales", f"scales {list(self.scales)} has one of them twice; it would count double"
            )

    def __call__(
        self,
        model: Callable[[Tensor, Tensor], Tensor],
        rgb: Tensor,
        hha: Tensor,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """Return the mean logits, or probabilities, (B, C, H, W).

        Args:
            model: takes rgb and hha, returns logits of their size.
            rgb: (B, 3, h, w), normalised.
            hha: (B, 3, h, w), normalised.
            size: (H, W); None: the images' own.
        """
        wanted = size or (rgb.shape[-2], rgb.shape[-1])
        total: Tensor | None = None
        runs = 0
        for scale in self.scales:
            height, width = (max(round(side * scale), 1) for side in rgb.shape[-2:])
            inputs = [_resized(image, (height, width)) for image in (rgb, hha)]
            for turned in (False, True) if self.flip else (False,):
                images = [image.flip(-1) for image in inputs] if turned else inputs
                logits = model(*images)
                result = _resized(logits.flip(-1) if turned else logits, wanted)
                if self.average == "softmax":
                    result = result.softmax(dim=1)
                # Not in place: the first result may be a tensor that the network keeps.
                total = result if total is None else total + result
                runs += 1
        assert total is not None
        return total if runs == 1 else total / runs


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(images.shape[-2:]) == size:
        return images
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)
