"""Evaluation of a small network on frames made here."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_network import small_network
from torch import Tensor

from fafnet_core.augmentation import EvalTransform
from fafnet_core.camera import Camera
from fafnet_core.evaluation.boundaries import boundary_band
from fafnet_core.evaluation.evaluate import EvaluateConfig, Evaluation, evaluate
from fafnet_core.evaluation.metrics import ConfusionMatrix
from fafnet_core.inference import Segmenter
from fafnet_core.labels import LabelSet
from fafnet_core.models import FAFNet, build_model
from fafnet_core.normalisation import Normalisation
from fafnet_core.resampling import resized_image, sampled
from fafnet_core.rooms import Tour, pinhole, render
from fafnet_core.samples import RgbdSample, RgbdSegmentationDataset
from fafnet_core.settings import FieldError

LABELS = LabelSet("four", ("a", "b", "c", "d"), ((9, 0, 0), (0, 9, 0), (0, 0, 9), (9, 9, 0)))
SIZES = ((40, 56), (48, 40), (64, 50), (40, 56), (48, 40))
SENSORS = ("kv1", "kv2", "kv1", "", "kv2")
NORMALISATION = Normalisation(hha_mean=(0.5, 0.4, 0.3), hha_deviation=(0.3, 0.2, 0.1))


class Frames(RgbdSegmentationDataset):
    """Noise with structure; HHA ready in some frames, depth in the others."""

    def __init__(self, count: int = 5) -> None:
        self.label_set = LABELS
        self.names = [f"frame {index}" for index in range(count)]
        self.sensors = SENSORS[:count]

    def read(self, index: int) -> RgbdSample:
        rng = np.random.default_rng(index)
        height, width = SIZES[index]
        rgb = rng.integers(0, 256, (height // 8, width // 8 + 1, 3), dtype=np.uint8)
        rgb = rgb.repeat(8, 0).repeat(8, 1)[:height, :width].copy()
        label = (rgb[..., 0] // 64).astype(np.uint8)
        label[:5] = 255
        depth_m = rng.uniform(1, 3, (height, width)).astype(np.float32)
        camera = Camera(fx=50, fy=50, cx=width / 2, cy=height / 2, width=width, height=height)
        sample = RgbdSample(
            rgb=rgb,
            label=label,
            depth_m=depth_m,
            camera=camera,
            sensor=self.sensors[index],
            name=self.names[index],
        )
        return sample if index % 2 else sample.with_hha()


@pytest.fixture(scope="module")
def network() -> FAFNet:
    return small_network(4)


def run(
    network: FAFNet,
    dataset: RgbdSegmentationDataset,
    frames: Sequence[int] | None = None,
    keep: Sequence[int] = (),
    **settings: Any,
) -> Evaluation:
    config = EvaluateConfig(**settings)
    return evaluate(
        network, dataset, normalisation=NORMALISATION, config=config, frames=frames, keep=keep
    )


def inputs(sample: RgbdSample) -> tuple[Tensor, Tensor]:
    """What `evaluate` shows the network: (1, 3, H, W).

    One network, one memory format: only then are its labels promised to be the same.
    """
    batch = EvalTransform(NORMALISATION)(sample)
    return batch.rgb[None], batch.hha[None]


@torch.inference_mode()
def labels_of(network: FAFNet, rgb: Tensor, hha: Tensor) -> NDArray[np.uint8]:
    labels: NDArray[np.uint8] = network(rgb, hha)[0].argmax(0).to(torch.uint8).numpy()
    return labels


def test_scores_are_those_of_every_frame_labelled_by_hand(network: FAFNet) -> None:
    dataset = Frames()
    everything, kv2 = ConfusionMatrix(4), ConfusionMatrix(4)
    for sample in dataset:
        prediction = labels_of(network, *inputs(sample))
        everything.update(prediction, sample.label)
        if sample.sensor == "kv2":
            kv2.update(prediction, sample.label)
    result = run(network, dataset)
    assert np.count_nonzero(everything.matrix) > 8  # the network labels with several classes
    assert np.array_equal(result.confusion.matrix, everything.matrix)
    assert result.confusion.matrix.sum() == sum((h - 5) * w for h, w in SIZES)
    assert result.scores.mean_iou == everything.compute().mean_iou
    assert list(result.by_sensor) == ["kv1", "kv2"]
    assert result.frames_by_sensor == {"kv1": 2, "kv2": 2}
    assert np.array_equal(result.by_sensor["kv2"].iou, kv2.compute().iou)
    assert result.frames == 5
    assert result.seconds > 0
    assert result.boundary is None
    assert result.kept == {}


@pytest.mark.parametrize("workers", [0, 1, 7])
def test_threads_change_nothing(network: FAFNet, workers: int) -> None:
    results = [run(network, Frames(), keep=range(5), workers=count) for count in (2, workers)]
    assert list(results[1].kept) == [0, 1, 2, 3, 4]
    for index in range(5):
        assert np.array_equal(results[0].kept[index][1], results[1].kept[index][1])


class Rooms(RgbdSegmentationDataset):
    """One synthetic room, with depth and ready HHA, or with one of them."""

    label_set = LABELS
    names = ("room",)
    sensors = ("",)

    def __init__(self, *, ready: bool, metric: bool) -> None:
        self._ready, self._metric = ready, metric

    def read(self, index: int) -> RgbdSample:
        camera, tour = pinhole(112, 80), Tour.of(1)
        seen = render(tour.room.scene, camera, tour.pose(0.2))
        whole = RgbdSample(
            seen.rgb, seen.labels % 4, depth_m=seen.depth_m, camera=camera
        ).with_hha()
        return dataclasses.replace(
            whole,
            hha=whole.hha if self._ready else None,
            depth_m=whole.depth_m if self._metric else None,
        )


@pytest.mark.parametrize("input_size", [(56, 78), (48, 72), (160, 224), None])
@pytest.mark.parametrize("ready", [False, True])
def test_a_frame_is_labelled_as_by_segmenter(
    network: FAFNet, input_size: tuple[int, int] | None, ready: bool
) -> None:
    result = run(network, Rooms(ready=ready, metric=True), keep=[0], input_size=input_size)
    sample, prediction = result.kept[0]
    assert sample.depth_m is not None
    assert sample.camera is not None
    segmenter = Segmenter.of_model(
        network, LABELS, NORMALISATION, device="cpu", precision="float32", input_size=input_size
    )
    wanted = segmenter.segment(sample.rgb, sample.depth_m, sample.camera.matrix)
    assert np.unique(prediction).size > 1
    assert prediction.shape == sample.label.shape == (80, 112)
    assert (prediction == wanted.labels).mean() > 0.995
    assert sample.hha is not None
    np.testing.assert_array_equal(sample.hha, sampled(wanted.hha, (80, 112)))


@torch.inference_mode()
def test_ready_hha_alone_is_resized_with_colour(network: FAFNet) -> None:
    dataset = Rooms(ready=True, metric=False)
    config = EvaluateConfig(input_size=(40, 56), scales=(1.0, 1.5))
    result = evaluate(network, dataset, normalisation=NORMALISATION, config=config, keep=[0])
    whole = dataset[0]
    assert whole.hha is not None
    small = RgbdSample(
        rgb=resized_image(whole.rgb, (40, 56)),
        label=whole.label[::2, ::2],
        hha=resized_image(whole.hha, (40, 56)),
    )
    # Scales are those of the input size; results are averaged at the size of the labels.
    scores = config.multi_scale(network, *inputs(small), (80, 112))
    assert (result.kept[0][1] == scores[0].argmax(0).numpy()).mean() > 0.999


def test_an_input_size_that_the_network_does_not_take_is_refused(network: FAFNet) -> None:
    with pytest.raises(ValueError, match="33 pixels"):
        run(network, Damaged(), input_size=(240, 32))


@pytest.mark.parametrize("blank", ["rgb", "hha"])
def test_a_blank_input_is_0_after_normalisation(network: FAFNet, blank: Any) -> None:
    result = run(network, Frames(1), keep=[0], blank=blank)
    sample, prediction = result.kept[0]
    rgb, hha = inputs(sample)
    (rgb if blank == "rgb" else hha).zero_()
    assert np.array_equal(prediction, labels_of(network, rgb, hha))
    assert not np.array_equal(prediction, labels_of(network, *inputs(sample)))


def test_parts_of_the_frames_add_up_to_all_of_them(network: FAFNet) -> None:
    # More than there are frames: the last ones have nothing to do.
    parts = [run(network, Frames(), frames=range(rank, 5, 7)) for rank in range(7)]
    for part in parts[1:]:
        parts[0].confusion.merge(part.confusion)
    assert np.isnan(parts[6].scores.mean_iou)
    assert parts[6].frames == 0
    whole = run(network, Frames())
    assert np.array_equal(parts[0].confusion.matrix, whole.confusion.matrix)


def test_an_evaluation_leaves_the_network_as_it_was(network: FAFNet) -> None:
    network.train()
    network.encoder.eval()
    modes = [module.training for module in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    try:
        run(network, Frames(1))
        assert [module.training for module in network.modules()] == modes
        assert all(torch.equal(before[name], v) for name, v in network.state_dict().items())
        # It can be trained further.
        network(torch.randn(2, 3, 64, 64), torch.randn(2, 3, 64, 64)).sum().backward()
    finally:
        network.eval()
        network.zero_grad()


class Damaged(Frames):
    """Its third frame cannot be read, its second has a label that is no class."""

    def read(self, index: int) -> RgbdSample:
        if index == 2:
            raise ValueError("c.png is cut short")
        sample = super().read(index)
        if index == 1:
            sample.label[10, 10] = 77
        return sample


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_frame_ends_it_and_is_named(network: FAFNet, workers: int) -> None:
    with pytest.raises(ValueError, match=r"c\.png is cut short"):
        run(network, Damaged(), frames=[0, 2], workers=workers)
    with pytest.raises(ValueError, match="frame 1: a target is 77"):
        run(network, Damaged(), frames=[0, 1], workers=workers)


def test_what_does_not_fit_is_refused_before_the_first_frame(network: FAFNet) -> None:
    other = build_model(dataclasses.replace(network.config, num_classes=5))
    with pytest.raises(ValueError, match="5 classes"):
        run(other, Damaged())
    with pytest.raises(ValueError, match="no frames"):
        run(network, Frames(0))
    with pytest.raises(ValueError, match="no frame 5"):
        run(network, Damaged(), frames=[5])
    with pytest.raises(ValueError, match="frame 4 is to be kept"):
        run(network, Damaged(), frames=[0], keep=[4])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("split", "train"),
        ("scales", []),
        ("boundary_px", 0.5),
        ("workers", -1),
        ("input_size", [0, 320]),
    ],
)
def test_wrong_settings_are_refused(field: str, value: Any) -> None:
    with pytest.raises(FieldError, match=f"^{field} is "):
        EvaluateConfig(**{field: value})


def test_protocols_are_named() -> None:
    assert EvaluateConfig().protocol == "single scale"
    assert EvaluateConfig(flip=True).protocol == "single scale, flip"
    assert EvaluateConfig(scales=(1.0, 0.5)).protocol == "multi-scale"
    assert EvaluateConfig(scales=(0.5,)).protocol == "scale 0.5"


def test_boundary_scores_count_the_band_only(network: FAFNet) -> None:
    result = run(network, Frames(2), keep=[0, 1], boundary_px=24)
    expected = ConfusionMatrix(4)
    for sample, prediction in result.kept.values():
        # 24 pixels of 640 are 2.1 of 56 and 1.5 of 40.
        band = boundary_band(sample.label, 24 * sample.size[1] / 640)
        expected.update(prediction[band], sample.label[band])
    assert result.boundary is not None
    assert np.array_equal(result.boundary.pixels, expected.compute().pixels)
    assert result.boundary.mean_iou == expected.compute().mean_iou
    assert result.boundary.pixels.sum() < result.scores.pixels.sum()


def test_a_band_is_never_narrower_than_a_pixel(network: FAFNet) -> None:
    result = run(network, Frames(1), boundary_px=1)
    assert result.boundary is not None
    assert result.boundary.pixels.sum() == boundary_band(Frames(1)[0].label, 1).sum() > 0
