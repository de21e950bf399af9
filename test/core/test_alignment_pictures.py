"""What each FAM did to an image: recorded as it was, in the image's pixels, and drawn."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fafnet_core import FAFNet, FAFNetConfig
from fafnet_core.inference import (
    Alignment,
    alignment_sheet,
    find_alignments,
    record_alignments,
)
from fafnet_core.inference.alignment_pictures import colour_features, colour_flow
from fafnet_core.models.config import Alignment as AlignmentKind
from fafnet_core.models.config import Decoder, Modality, Variant
from fafnet_core.models.fam import FlowAlignment, moved_grid
from fafnet_core.models.warp import warp

HEIGHT, WIDTH = 64, 96
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
IN_ORDER = [
    *(f"encoder.fuse{i}.align_{which}" for i in (1, 2, 3, 4) for which in ("rgb", "depth")),
    *(f"decoder.align.{i}" for i in (2, 1, 0)),
]


def network(
    variant: Variant = "paper",
    *,
    alignment: AlignmentKind = "flow",
    decoder: Decoder = "aligned",
    modality: Modality = "rgbd",
    flow_reduction: int | None = None,
) -> FAFNet:
    torch.manual_seed(0)
    config = FAFNetConfig(
        variant=variant,
        backbone="resnet18",
        width_multiplier=1 / 16,
        mlp_reduction=4,
        decoder_channels=8,
        decoder=decoder,
        modality=modality,
        fusion_alignment=alignment,
        decoder_alignment=alignment,
        flow_reduction=flow_reduction,
    )
    return FAFNet(config).eval()


def with_flow(model: FAFNet) -> FAFNet:
    """The same network with a flow that differs from place to place."""
    for module in find_alignments(model).values():
        torch.nn.init.normal_(module.conv_flow.weight, std=0.5)
    return model


def recorded(model: FAFNet) -> dict[str, Alignment]:
    generator = torch.Generator().manual_seed(1)
    with torch.inference_mode(), record_alignments(model) as alignments:
        model(*torch.randn(2, 1, 3, HEIGHT, WIDTH, generator=generator))
    return alignments


def test_nothing_is_recorded_after_the_block_also_after_an_error() -> None:
    model = network()
    with pytest.raises(ZeroDivisionError), record_alignments(model) as alignments:
        raise ZeroDivisionError
    recorded(model)
    assert not alignments


def test_recording_does_not_change_the_result() -> None:
    model = with_flow(network())
    images = torch.randn(2, 1, 3, HEIGHT, WIDTH)
    with torch.inference_mode():
        expected = model(*images)
        with record_alignments(model):
            assert torch.equal(model(*images), expected)


@pytest.mark.parametrize(
    ("variant", "flow_reduction"), [("paper", None), ("paper", 2), ("release", None)]
)
def test_the_map_before_warped_by_the_flow_is_the_map_after(
    variant: Variant, flow_reduction: int | None
) -> None:
    model = with_flow(network(variant, flow_reduction=flow_reduction))
    fams = find_alignments(model)
    alignments = recorded(model)
    assert list(alignments) == [name for name in IN_ORDER if name in fams]
    for name, alignment in alignments.items():
        sampling = fams[name].rules.sampling
        _, height, width = alignment.target.shape
        assert alignment.after.shape == alignment.target.shape
        assert alignment.flow.shape == (2, height, width)
        assert np.abs(alignment.flow).max() > 0.1
        units = [alignment.place.stride * sampling.pixels(size) for size in (width, height)]
        flow = torch.from_numpy(alignment.flow) / torch.tensor(units)[:, None, None]
        grid = moved_grid(flow[None], sampling)
        warped = warp(torch.from_numpy(alignment.before)[None], grid, sampling)[0]
        scale = np.abs(alignment.after).max()
        np.testing.assert_allclose(warped.numpy(), alignment.after, atol=1e-3 * scale)


def constant_flow(self: FlowAlignment, x_i: Tensor, x_j: Tensor) -> Tensor:
    """An offset of (3, -2) in the FAM's own units."""
    flow = x_i.new_tensor((3.0, -2.0)).view(1, 2, 1, 1)
    return flow.expand(len(x_i), 2, *x_i.shape[-2:])


# The paper's offsets are pixels of the map, the authors' half pixels.
@pytest.mark.parametrize(("variant", "unit"), [("paper", 1.0), ("release", 0.5)])
def test_offsets_are_in_pixels_of_the_image_and_point_to_where_features_come_from(
    variant: Variant, unit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FlowAlignment, "flow", constant_flow)
    alignments = recorded(network(variant))
    for alignment in alignments.values():
        stride = alignment.place.stride
        assert alignment.target.shape[1:] == (HEIGHT // stride, WIDTH // stride)
        np.testing.assert_allclose(alignment.flow[0], 3 * unit * stride, rtol=1e-5)
        np.testing.assert_allclose(alignment.flow[1], -2 * unit * stride, rtol=1e-5)
        if variant == "paper":
            source = alignment.before[:, :-2, 3:]
            np.testing.assert_allclose(alignment.after[:, 2:, :-3], source, atol=1e-3)
    places = {name: alignment.place for name, alignment in alignments.items()}
    first, last = places["encoder.fuse1.align_depth"], places["decoder.align.2"]
    assert (first.title, first.stride) == ("RGBDFuse 1: depth to colour", 4)
    assert (last.title, last.stride) == ("Decoder: level 4 to level 3", 16)


def test_networks_with_fewer_fams_show_those() -> None:
    assert len(recorded(network("release"))) == 4 + 3
    assert len(recorded(network(modality="rgb"))) == 3
    assert len(recorded(network(decoder="deeplabv3plus"))) == 8
    control = recorded(network(alignment="zero_flow"))
    assert list(control) == IN_ORDER
    assert not any(alignment.flow.any() for alignment in control.values())


@pytest.mark.parametrize(
    ("model", "remedy"),
    [
        (
            network(modality="hha", decoder="deeplabv3plus"),
            "modality 'rgbd' (here 'hha'), or one with decoder 'aligned' (here 'deeplabv3plus')",
        ),
        (
            network(alignment="none"),
            "fusion_alignment 'flow' (here 'none'), or one with decoder_alignment 'flow'",
        ),
    ],
)
def test_a_network_without_fams_is_refused_with_what_to_change(model: FAFNet, remedy: str) -> None:
    with pytest.raises(ValueError, match=re.escape(remedy)):
        find_alignments(model)


def colour(x: float, y: float, full_length: float = 1.0) -> list[int]:
    flow = np.array((x, y), np.float32).reshape(2, 1, 1)
    pixel: list[int] = colour_flow(flow, full_length)[0, 0].tolist()
    return pixel


def test_the_hue_of_a_flow_is_its_direction_and_the_saturation_its_length() -> None:
    right, left = colour(1, 0), colour(-1, 0)
    assert right == colour(1, -1e-9) == [255, 0, 0]
    assert colour(0, 1) == [255, 234, 0]  # down is nearly yellow, as with Baker et al.
    assert left == [0, 197, 255]
    assert colour(0, -1) == [103, 0, 255]
    assert colour(0, 0) == colour(1, 1, 0) == [255, 255, 255]
    assert colour(2, 0, 4) == [255, 128, 128]
    assert colour(9, 0, 4) == colour(4, 0, 4) == right


def test_equal_features_have_equal_colours() -> None:
    features = np.random.default_rng(0).normal(size=(5, 12, 16)).astype(np.float32)
    before, after = colour_features([features, features.copy()])
    # Within a level: both are products of matrices, which add up in an order that may depend on
    # their size and place in memory, and are rounded afterwards.
    assert np.abs(before.astype(int) - after).max() <= 1
    assert before.std(axis=(0, 1)).min() > 20
    coarse, moved = colour_features([features[:, ::2, ::2], features])
    assert np.abs(coarse.astype(int) - moved[::2, ::2]).max() <= 1
    for channels in (1, 2, 40):
        [flat] = colour_features([np.ones((channels, 2, 3), np.float32)])
        assert flat.shape == (2, 3, 3)


def rows_of(sheet: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The panels of each row, (rows, height, width, 3), for images of HEIGHT x WIDTH."""
    height = round(HEIGHT * 320 / WIDTH)
    rows = sheet[(len(sheet) % (30 + 28 + height)) :].reshape(-1, 30 + 28 + height, 1940, 3)
    return rows[:, 30 + 28 :]


def test_the_sheet_of_a_network_without_training_is_white() -> None:
    sheet = alignment_sheet(RGB, list(recorded(network()).values()), "room")
    assert sheet.dtype == np.uint8
    assert sheet.shape == (172 + 11 * (30 + 28 + 213), 1940, 3)
    rows = rows_of(sheet)
    assert (rows[:, :, :320] == 255).all()
    # Nothing moved, so both pictures of the features and of the edges are the same.
    for one, other in ((648, 972), (1296, 1620)):
        before, after = (rows[:, :, left : left + 320].astype(int) for left in (one, other))
        assert np.abs(before - after).max() <= 1


@pytest.mark.parametrize("variant", ["paper", "release"])
def test_the_sheet_shows_the_flow_in_its_colour(
    variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FlowAlignment, "flow", constant_flow)
    sheet = alignment_sheet(RGB, list(recorded(network(variant)).values()))
    rows = rows_of(sheet)
    assert (np.abs(rows[:, :, :320].astype(int) - colour(3, -2, 3.6)) <= 2).all()
    assert (rows[:, :, 648:968] != rows[:, :, 972:1292]).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_not_drawn_and_what_is_far_away_is(value: float) -> None:
    first, *others = recorded(with_flow(network())).values()
    flow, after = first.flow.copy(), first.after.copy()
    flow[:, 2, 2] = 1e30
    alignment_sheet(RGB, [dataclasses.replace(first, flow=flow)])
    flow[0, 0, 0] = after[0, 0, 0] = value
    with pytest.raises(ValueError, match=r"RGBDFuse 1.*offsets"):
        alignment_sheet(RGB, [*others, dataclasses.replace(first, flow=flow)])
    with pytest.raises(ValueError, match=r"RGBDFuse 1.*features"):
        alignment_sheet(RGB, [dataclasses.replace(first, after=after)])
    with pytest.raises(ValueError, match="record_alignments"):
        alignment_sheet(RGB, [])
