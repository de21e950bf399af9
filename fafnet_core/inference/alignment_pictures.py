"""Figure 6 for a whole network: a sheet with what each FAM did to one image.

Everything drawn is (H, W, 3) uint8 RGB. Directions are those of the image: x right, y down.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fafnet_core.inference.alignment import Alignment, FloatMap
from fafnet_core.inference.pictures import Picture, strip, write
from fafnet_core.resampling import resized_image

_PANEL_WIDTH = 320
_COLUMN = _PANEL_WIDTH + 4
_GRID = 20
"""Panel pixels between two arrows."""

_STILL_PX = 0.05
"""Image pixels; a flow that is nowhere longer is no motion."""

_BAR = (226, 230, 236)
_HEADING = cv2.FONT_HERSHEY_DUPLEX

# The wheel of Baker et al., "A Database and Evaluation Methodology for Optical Flow" (2011): from
# right over down, clockwise on the screen; steps as wide as the eye tells hues apart.
_WHEEL = (
    (0, (255, 0, 0)),
    (15, (255, 255, 0)),
    (21, (0, 255, 0)),
    (25, (0, 255, 255)),
    (36, (0, 0, 255)),
    (49, (255, 0, 255)),
    (55, (255, 0, 0)),
)

# Above the panels that it explains: where a text begins, in panel widths from the left, and how
# many letters fit into a line.
_LEGEND = (
    (0.53, 17, "White: no flow. Full colour: as long as the row's title says."),
    (1, 33, "Arrows: the same flow, from each place to where its features come from. What they show"
            " moves against the arrow."),
    (2, 35, "Features: three main directions of all channels as red, green and blue, the same ones"
            " in both panels."),
    (4, 36, "Edges of the features: of the map that stays in cyan, of the moved one in red; white"
            " where both meet."),
)  # fmt: skip


def alignment_sheet(rgb: Picture, alignments: Sequence[Alignment], name: str = "") -> Picture:
    """Draw one row a FAM: flow as colours and as arrows, features and edges before and after.

    Args:
        rgb: (H, W, 3) uint8, the image that the network saw.
        alignments: what its FAMs did to it, top to bottom.
        name: of the image, for the heading.

    Returns:
        The sheet, 1940 pixels wide, with a legend on top.

    Raises:
        ValueError: no alignments, or what the network computed is not finite.
    """
    if not alignments:
        raise ValueError("there is nothing to draw: run the network inside of record_alignments")
    for alignment in alignments:
        maps = (alignment.target, alignment.before, alignment.after)
        for what, values in (("offsets", (alignment.flow,)), ("features", maps)):
            if not all(np.isfinite(each).all() for each in values):
                title = alignment.place.title
                raise ValueError(f"{title}: the network gave {what} that are not finite numbers")
    rows = [_row(rgb, alignment) for alignment in alignments]
    still = all(_usual_length(alignment.flow) == 0 for alignment in alignments)
    return np.vstack([_head(name, still, rows[0].shape[1]), *rows])


def colour_flow(flow: FloatMap, full_length: float) -> Picture:
    """Colour a flow: the hue is its direction, the saturation its length.

    Args:
        flow: (2, H, W), x and y offsets.
        full_length: of the offsets in full colour, and of longer ones; 0 draws all in white.
    """
    x, y = flow
    saturation = np.zeros_like(x)
    if full_length > 0:
        saturation = np.minimum(np.hypot(x, y) / full_length, 1)
    turn = np.arctan2(y, x) / (2 * np.pi) % 1
    steps, hues = zip(*_WHEEL, strict=True)
    pure = [np.interp(turn * steps[-1], steps, channel) for channel in zip(*hues, strict=True)]
    colours: Picture = np.rint(255 - saturation * (255 - np.stack(pure))).astype(np.uint8)
    return np.moveaxis(colours, 0, -1)


def colour_features(maps: Sequence[FloatMap]) -> list[Picture]:
    """Colour maps of the same channels by their three principal components.

    One basis and one scale are fitted to all of them together, so colours can be compared.

    Args:
        maps: each (C, h, w); sizes may differ.
    """
    pixels = np.concatenate([features.reshape(len(features), -1).T for features in maps])
    # Enough of them for a basis; of all, the deepest maps of large networks would take seconds.
    sample = pixels[np.random.default_rng(0).permutation(len(pixels))[:1024]]
    mean = sample.mean(axis=0)
    basis = np.linalg.svd(sample - mean, full_matrices=False)[2][:3]
    # A singular vector's sign is arbitrary: make its largest entry positive.
    largest = np.abs(basis).argmax(axis=1, keepdims=True)
    basis = basis * np.sign(np.take_along_axis(basis, largest, axis=1))
    low, high = np.percentile((sample - mean) @ basis.T, (1, 99), axis=0)
    pictures = []
    for features in maps:
        components = np.tensordot(features - mean[:, None, None], basis, (0, 1))
        picture = np.full((*features.shape[1:], 3), 127, np.uint8)
        scaled = (components - low) / np.maximum(high - low, 1e-12)
        picture[..., : len(basis)] = np.rint(255 * scaled.clip(0, 1))
        pictures.append(picture)
    return pictures


def _row(rgb: Picture, alignment: Alignment) -> Picture:
    """Draw one FAM under its title."""
    panel = _Panel.of(rgb, alignment)
    image = resized_image(rgb, panel.size[::-1])
    flow = panel.of_map(np.moveaxis(alignment.flow, 0, -1))
    length = _usual_length(alignment.flow)
    factor = _arrow_factor(length * panel.scale)
    how_long = "true length" if factor == 1 else f"{factor:g} times as long"
    titles = ("flow", f"arrows, {how_long}") if length > 0 else ("flow: none", "arrows: none")
    before, after = colour_features([alignment.before, alignment.after])
    maps = (alignment.target, alignment.before, alignment.after)
    stays, was, has_become = (panel.of_map(_edges(features)) for features in maps)
    moved, still = alignment.place.moved, alignment.place.target
    drawn = strip(
        [
            (titles[0], colour_flow(np.moveaxis(flow, -1, 0), length)),
            (titles[1], _arrows(image, flow * panel.scale * factor)),
            (f"{moved} before", panel.of_map(before)),
            (f"{moved} after", panel.of_map(after)),
            (f"{moved} on {still} before", _two_edges(stays, was)),
            (f"{moved} on {still} after", _two_edges(stays, has_become)),
        ]
    )
    return np.vstack([_bar(alignment, length, drawn.shape[1]), drawn])


@dataclass(frozen=True)
class _Panel:
    """How maps of one FAM lie on a panel that shows the image.

    Attributes:
        size: width and height of the panel.
        scale: panel pixels for one pixel of the image.
        stride: image pixels for one pixel of X_i.
        shape: height and width of X_i.
    """

    size: tuple[int, int]
    scale: float
    stride: int
    shape: tuple[int, int]

    @classmethod
    def of(cls, rgb: Picture, alignment: Alignment) -> _Panel:
        height, width = rgb.shape[:2]
        scale = _PANEL_WIDTH / width
        size = _PANEL_WIDTH, max(1, round(height * scale))
        _, rows, columns = alignment.target.shape
        return cls(size, scale, alignment.place.stride, (rows, columns))

    def of_map(self, values: NDArray[Any]) -> NDArray[Any]:
        """Lay a map (h, w) or (h, w, channels up to 4) where it belongs on the image.

        Pixel u of X_i looks at pixel `stride` * u of the image; the corners of a coarser map lie
        on those of X_i.
        """
        matrix = np.zeros((2, 3))
        for axis in (0, 1):  # x, y
            ratio = (values.shape[1 - axis] - 1) / (self.shape[1 - axis] - 1) / self.stride
            # From the centre of a panel's pixel to the image's, and from there to the map.
            matrix[axis, axis] = ratio / self.scale
            matrix[axis, 2] = (0.5 / self.scale - 0.5) * ratio
        return cv2.warpAffine(
            values,
            matrix,
            self.size,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )


def _usual_length(flow: FloatMap) -> float:
    """Return the length that 99 % of the offsets (2, H, W) keep within; 0 if nothing moves."""
    lengths = np.hypot(*flow)
    if lengths.max() < _STILL_PX:
        return 0.0
    return max(float(np.percentile(lengths, 99)), _STILL_PX)


def _arrow_factor(length: float) -> float:
    """Return the factor (1, 2 or 5 times a power of ten) that makes an arrow of this length fit."""
    if length == 0:
        return 1.0
    wanted = 1.2 * _GRID / length
    power = 10.0 ** math.floor(math.log10(wanted))
    return power * max(step for step in (1, 2, 5) if step * power <= wanted)


def _arrows(image: Picture, offsets: NDArray[Any]) -> Picture:
    """Draw offsets (H, W, 2), in pixels of this image, as white arrows on a grid over it."""
    drawn: Picture = (image * np.float32(0.5)).astype(np.uint8)
    height, width = image.shape[:2]
    for y in range(_GRID // 2, height, _GRID):
        for x in range(_GRID // 2, width, _GRID):
            dx, dy = offsets[y, x].tolist()
            length = math.hypot(dx, dy)
            if length >= 2:
                tip = min(6 / length, 0.4)
                # OpenCV takes no end that is too far away: out of the picture is enough.
                short = min(1, (width + height) / length)
                end = round(x + short * dx), round(y + short * dy)
                cv2.arrowedLine(drawn, (x, y), end, (255, 255, 255), 1, cv2.LINE_AA, tipLength=tip)
    return drawn


def _edges(features: FloatMap) -> FloatMap:
    """Return how fast features (C, H, W) change at each place, 0..1, (H, W)."""
    by_row, by_column = np.gradient(features, axis=(1, 2))
    strength = np.sqrt((by_row**2 + by_column**2).sum(axis=0))
    scaled: FloatMap = strength / max(float(np.percentile(strength, 99)), 1e-12)
    return scaled.clip(0, 1).astype(np.float32)


def _two_edges(stays: FloatMap, moved: FloatMap) -> Picture:
    """Draw edges (H, W), 0..1: of the map that stays in cyan, of the moved one in red."""
    return np.rint(255 * np.stack([moved, stays, stays], axis=-1)).astype(np.uint8)


def _bar(alignment: Alignment, length: float, width: int) -> Picture:
    """Draw the title of a row with its figures."""
    bar = np.full((30, width, 3), _BAR, np.uint8)
    place = alignment.place
    write(bar, place.title, (8, 21), 0.65, _HEADING)
    figures = "no motion"
    if length > 0:
        # Zero is added so that none is written as -0.0.
        x, y = np.median(alignment.flow.reshape(2, -1), axis=1).round(1) + 0.0
        rounded = f"{length:.0f}" if length >= 10 else f"{length:.2g}"
        figures = f"full colour: {rounded} px;  median offset: x {x:+.1f}, y {y:+.1f} px"
    write(bar, f"{figures};  1 pixel of the map: {place.stride} px", (2 * _COLUMN + 8, 21), 0.55)
    return bar


def _head(name: str, still: bool, width: int) -> Picture:
    """Draw the wheel and what the panels mean."""
    head = np.full((172, width, 3), 255, np.uint8)
    title = f"{name}: what each FAM moves" if name else "What each FAM moves"
    if still:
        title += " - nothing: no offset is longer than 0.05 px, as in a network without training"
    write(head, title, (8, 26), 0.8, _HEADING)
    for column, letters, text in _LEGEND:
        for i, line in enumerate(textwrap.wrap(text, letters)):
            write(head, line, (round(column * _COLUMN) + 8, 64 + 22 * i), 0.5)
    _draw_wheel(head, (82, 98), 42)
    return head


def _draw_wheel(picture: Picture, centre: tuple[int, int], radius: int) -> None:
    x, y = centre
    offsets = np.mgrid[-radius : radius + 1, -radius : radius + 1][::-1].astype(np.float32)
    colours = colour_flow(offsets, radius)
    inside = np.hypot(*offsets) <= radius
    picture[y - radius : y + radius + 1, x - radius : x + radius + 1][inside] = colours[inside]
    write(picture, "right", (x + radius + 5, y + 4), 0.4)
    write(picture, "left", (x - radius - 30, y + 4), 0.4)
    write(picture, "up", (x - 9, y - radius - 6), 0.4)
    write(picture, "down", (x - 18, y + radius + 14), 0.4)
