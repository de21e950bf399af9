"""From a network's coarse logits to the classes of an image's pixels.

The last upsampling runs in bands of rows that stay in the processor's cache.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_BAND_ROWS = 16


def classify(
    logits: Tensor, size: tuple[int, ...], seen: tuple[int, ...] | None = None
) -> tuple[Tensor, Tensor]:
    """Upsample logits and take the best class with its softmax probability.

    The same as bilinear upsampling (align_corners=True), softmax and max, in bands of rows: the
    full-size logits of 40 classes would be written to and read from memory four times.

    Args:
        logits: (C, h, w), any floating type; their corners are those of what the network saw.
        size: (H, W), the size wanted.
        seen: (height, width) of what the network saw, where that is not `size`: a pixel then gets
            what lies under its centre, in a picture whose edges are those of what was seen.

    Returns:
        Labels (H, W) uint8 and confidence (H, W) float32.
    """
    height, width = size
    rows = _columns_upsampled(logits.float(), width, seen[1] if seen else width)
    rows = rows.permute(1, 0, 2).contiguous()  # (h, C, W): a band of rows lies in one piece
    last = rows.shape[0] - 1
    above, below, fraction = _neighbours(height, seen[0] if seen else height, last, rows.device)
    fraction = fraction[:, None, None]
    labels = torch.empty((height, width), dtype=torch.uint8, device=rows.device)
    total = torch.empty((height, width), device=rows.device)
    band_rows = _BAND_ROWS if rows.device.type == "cpu" else height
    for start in range(0, height, band_rows):
        band = slice(start, start + band_rows)
        scores = torch.lerp(rows[above[band]], rows[below[band]], fraction[band])
        best, index = scores.max(dim=1, keepdim=True)
        labels[band] = index[:, 0]
        torch.sum(scores.sub_(best).exp_(), dim=1, out=total[band])
    return labels, total.reciprocal_()


def _columns_upsampled(logits: Tensor, width: int, seen: int) -> Tensor:
    """Return (C, h, w) as (C, h, width)."""
    if width != seen:
        left, right, fraction = _neighbours(width, seen, logits.shape[2] - 1, logits.device)
        return torch.lerp(logits[..., left], logits[..., right], fraction)
    return F.interpolate(
        logits[None].contiguous(),
        size=(logits.shape[1], width),
        mode="bilinear",
        align_corners=True,
    )[0]


def _neighbours(
    pixels: int, seen: int, last: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return between which entries of a map, 0 to `last`, each pixel of a side lies, and where.

    Args:
        pixels: of the side that is wanted.
        seen: pixels of that side as the network saw it; the centres of its first and last one are
            those of the map's entries.
        last: entry of the map.
        device: of the results.
    """
    if pixels == seen:
        position = torch.linspace(0, last, pixels, device=device)
    else:
        centre = (torch.arange(pixels, device=device) + 0.5) * (seen / pixels) - 0.5
        position = (centre * (last / max(seen - 1, 1))).clamp_(0, last)
    before = position.floor().long().clamp_(max=max(last - 1, 0))
    return before, (before + 1).clamp_(max=last), position - before
