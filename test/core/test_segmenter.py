"""`Segmenter`: the same answer as the network's own forward pass, and clear refusals."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_training import same_bits
from tolerances import assert_same_labels

from fafnet_core import build_model, save_checkpoint
from fafnet_core.hha import encode_hha
from fafnet_core.inference import Segmenter, blend, is_gpu_full, legend, strip
from fafnet_core.input_size import fitted_size
from fafnet_core.labels import NYU13, NYU40, SUN37, LabelSet, load_mapping
from fafnet_core.normalisation import Normalisation
from fafnet_core.rooms import Tour, pinhole, render

CAMERA = pinhole(160, 120)
MATRIX = CAMERA.matrix
TOUR = Tour.of(1)
RENDERED = render(TOUR.room.scene, CAMERA, TOUR.pose(0.2))
RGB, DEPTH = RENDERED.rgb, RENDERED.depth_m


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.from_checkpoint("untrained:fafnet-nano", device="cpu", precision="float32")


def test_labels_and_confidence_have_the_inputs_size(segmenter: Segmenter) -> None:
    result = segmenter.segment(RGB, DEPTH, MATRIX)
    assert result.labels.shape == (120, 160)
    assert result.labels.dtype == np.uint8
    assert result.confidence.shape == (120, 160)
    assert result.confidence.dtype == np.float32
    assert (result.confidence >= 1 / 40).all()
    assert (result.confidence <= 1).all()
    assert len(np.unique(result.labels)) > 1
    np.testing.assert_array_equal(result.hha, encode_hha(DEPTH, MATRIX))
    assert set(result.seconds) == {"hha", "network"}


def test_labels_may_be_of_other_classes(segmenter: Segmenter) -> None:
    found = segmenter.segment(RGB, DEPTH, MATRIX)
    mapped = segmenter.mapped("nyu13")
    assert (mapped.label_set, segmenter.label_set) == (NYU13, NYU40)
    result = mapped.segment(RGB, DEPTH, MATRIX)
    assert result.label_set == NYU13
    wanted = load_mapping("nyu40", "nyu13").apply(found.labels)
    np.testing.assert_array_equal(result.labels, wanted)
    # That of the class which the network found.
    np.testing.assert_array_equal(result.confidence, found.confidence)
    assert mapped.following().segment(RGB, DEPTH, MATRIX).label_set == NYU13
    with pytest.raises(ValueError, match="mapped to 'nyu13' already"):
        mapped.mapped("nyu13")
    with pytest.raises(FileNotFoundError, match=r"no file 'nowhere\.yaml'"):
        segmenter.mapped("nowhere.yaml")


def test_what_a_mapping_drops_is_255_whatever_its_set_calls_unlabelled(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    (tmp_path / "own.yaml").write_text("names: [thing]\nunlabelled: 7\n")
    lines = "".join(f"  {name}: null\n" for name in NYU40.names[1:])
    mapping = tmp_path / "map.yaml"
    mapping.write_text(f"to_set: own.yaml\nclasses:\n  wall: thing\n{lines}")
    result = segmenter.mapped(str(mapping)).segment(RGB, DEPTH, MATRIX)
    assert result.label_set.ignore_index == 255
    is_wall = segmenter.segment(RGB, DEPTH, MATRIX).labels == 0
    np.testing.assert_array_equal(result.labels, np.where(is_wall, 0, 255))


def test_it_does_what_forward_softmax_and_argmax_do(segmenter: Segmenter) -> None:
    network = Segmenter.from_checkpoint(
        "untrained:fafnet-nano", "cpu", "float32", runtime="torch"
    ).torch.model
    result = segmenter.segment(RGB, DEPTH, MATRIX)
    mean = np.array((0.485, 0.456, 0.406), np.float32)
    deviation = np.array((0.229, 0.224, 0.225), np.float32)
    images = [
        torch.from_numpy((image / np.float32(255) - mean) / deviation).permute(2, 0, 1)[None]
        for image in (RGB, result.hha)
    ]
    with torch.inference_mode():
        probability, labels = network(*images)[0].softmax(0).max(0)
    # The sum of what is nowhere the best is interpolated.
    assert np.abs(result.confidence - probability.numpy()).max() < 0.02
    assert (result.labels == labels.numpy()).mean() > 0.9995  # ties break by rounding


WITH_SIZE = (60, 80)


@pytest.fixture(scope="module")
def sized() -> Segmenter:
    return Segmenter.from_checkpoint(
        "untrained:fafnet-nano", device="cpu", precision="float32", input_size=WITH_SIZE
    )


def test_frames_are_brought_to_the_input_size(sized: Segmenter) -> None:
    result = sized.segment(RGB, DEPTH, MATRIX)
    assert result.labels.shape == result.confidence.shape == (120, 160)
    rows, columns = 2 * np.arange(60)[:, None] + 1, 2 * np.arange(80) + 1
    half = MATRIX / 2
    half[:2, 2] = (MATRIX[:2, 2] + 0.5) / 2 - 0.5
    half[2, 2] = 1
    hha = encode_hha(DEPTH[rows, columns], half)
    np.testing.assert_array_equal(result.hha, hha)
    means = RGB.reshape(60, 2, 80, 2, 3).mean((1, 3))
    small = np.rint(means).astype(np.uint8)
    labels = sized.predict(small, hha, size=(120, 160)).labels
    assert (labels == result.labels).mean() > 0.99


@pytest.mark.parametrize("shape", [(97, 131), (40, 60), (120, 60), WITH_SIZE])
def test_labels_have_the_images_size_whatever_it_is(
    sized: Segmenter, segmenter: Segmenter, shape: tuple[int, int]
) -> None:
    rows, columns = slice(shape[0]), slice(shape[1])
    rgb, depth_m = RGB[rows, columns], DEPTH[rows, columns]
    result = sized.segment(rgb, depth_m, MATRIX)
    assert result.labels.shape == result.confidence.shape == shape
    assert result.hha.shape == (*fitted_size(shape, WITH_SIZE), 3)
    if shape == WITH_SIZE:
        assert_same_labels(result.labels, segmenter.segment(rgb, depth_m, MATRIX).labels)


def test_a_mask_of_missing_depth_goes_with_the_depth(sized: Segmenter) -> None:
    missing = np.zeros((120, 160), bool)
    missing[40:80, 60:100] = True
    result = sized.segment(RGB, DEPTH, MATRIX, missing=missing)
    assert (result.hha != sized.segment(RGB, DEPTH, MATRIX).hha).any()
    with pytest.raises(ValueError, match="missing"):
        sized.segment(RGB, DEPTH, MATRIX, missing=missing[::2, ::2])


def test_another_camera_or_size_is_taken_as_it_comes(segmenter: Segmenter) -> None:
    segmenter.segment(RGB, DEPTH, MATRIX)
    smaller = segmenter.segment(RGB[:97, :131], DEPTH[:97, :131], MATRIX)
    assert smaller.labels.shape == (97, 131)
    wider = MATRIX * np.array([[2, 1, 1], [1, 2, 1], [1, 1, 1]])
    again = segmenter.segment(RGB, DEPTH, wider)
    np.testing.assert_array_equal(again.hha, encode_hha(DEPTH, wider))


def test_frames_without_any_depth_are_labelled_all_the_same(segmenter: Segmenter) -> None:
    result = segmenter.segment(RGB, np.zeros_like(DEPTH), MATRIX)
    assert not result.hha.any()
    assert np.isfinite(result.confidence).all()


def wrong(**changes: Any) -> dict[str, Any]:
    return {"rgb": RGB, "depth_m": DEPTH, "camera_matrix": MATRIX, **changes}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (wrong(rgb=RGB.astype(np.float32)), r"float32 \(120, 160, 3\); wanted a uint8"),
        (wrong(rgb=RGB[..., 0]), r"uint8 \(120, 160\); wanted"),
        (wrong(rgb=None), "NoneType; wanted"),
        (wrong(depth_m=DEPTH[:60]), "register"),
        (wrong(depth_m=DEPTH * 1000), "(?i)millimet"),
        (wrong(depth_m=(DEPTH * 1000).astype(np.uint16)), "0.001"),
        (wrong(camera_matrix=np.eye(4)), r"\(4, 4\)"),
        (wrong(camera_matrix=np.zeros((3, 3))), "(?i)focal"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_remedy(
    segmenter: Segmenter, sized: Segmenter, frame: dict[str, Any], message: str
) -> None:
    for each in (segmenter, sized):
        with pytest.raises(ValueError, match=message):
            each.segment(**frame)


def test_a_checkpoint_brings_its_labels_and_normalisation(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model("fafnet-nano", num_classes=37)
    shifted = Normalisation(rgb_mean=(0.0, 0.0, 0.0))
    path = tmp_path / "sun.safetensors"
    save_checkpoint(path, model, label_set=SUN37, normalisation=shifted)
    loaded = Segmenter.from_checkpoint(path, device="cpu", precision="float32")
    assert loaded.label_set == SUN37
    assert loaded.notice is None
    same = Segmenter.of_model(model, SUN37, shifted, device="cpu", precision="float32")
    other = Segmenter.of_model(model, SUN37, device="cpu", precision="float32")
    found, wanted, unlike = (s.segment(RGB, DEPTH, MATRIX) for s in (loaded, same, other))
    assert_same_labels(found.labels, wanted.labels)
    np.testing.assert_allclose(found.confidence, wanted.confidence, rtol=0, atol=1e-5)
    assert np.abs(found.confidence - unlike.confidence).max() > 1e-2


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, (60, 80)),
        ({"input_size": None}, None),
        ({"input_size": (90, 120)}, (90, 120)),
    ],
)
def test_a_checkpoint_brings_its_input_size_and_can_be_overruled(
    options: dict[str, Any], wanted: tuple[int, int] | None, tmp_path: Path
) -> None:
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, build_model("fafnet-nano"), input_size=(60, 80))
    segmenter = Segmenter.from_checkpoint(path, "cpu", "float32", **options)
    assert segmenter.input_size == wanted
    hha = segmenter.segment(RGB, DEPTH, MATRIX).hha
    assert hha.shape[:2] == (wanted or (120, 160))
    with pytest.raises(ValueError, match="33 pixels"):
        Segmenter.from_checkpoint(path, "cpu", input_size=(240, 32))


def test_the_callers_network_and_random_numbers_stay_as_they_are() -> None:
    model = build_model("fafnet-nano").train()
    before = torch.random.get_rng_state()
    Segmenter.of_model(model, device="cpu", precision="bfloat16")
    again, other = (
        Segmenter.from_checkpoint("untrained:fafnet-nano", "cpu", runtime="torch") for _ in range(2)
    )
    assert same_bits(again.torch.model.state_dict(), other.torch.model.state_dict())
    assert "random weights" in (again.notice or "")
    assert again.input_size is None
    assert torch.equal(before, torch.random.get_rng_state())
    assert model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.filterwarnings("error")
def test_views_of_messages_are_taken_as_they_come(segmenter: Segmenter) -> None:
    rgb = np.frombuffer(RGB.tobytes(), np.uint8).reshape(RGB.shape)
    depth_m = np.frombuffer(DEPTH.astype(">f4").tobytes(), ">f4").reshape(DEPTH.shape)
    expected = segmenter.segment(RGB[::-1], DEPTH[::-1], MATRIX.tolist())
    result = segmenter.segment(rgb[::-1], depth_m[::-1], MATRIX)
    np.testing.assert_array_equal(result.labels, expected.labels)


def test_bfloat16_gives_nearly_the_same_labels(segmenter: Segmenter) -> None:
    rough = Segmenter.from_checkpoint("untrained:fafnet-nano", device="cpu", precision="bfloat16")
    exact = segmenter.segment(RGB, DEPTH, MATRIX)
    agree = rough.segment(RGB, DEPTH, MATRIX).labels == exact.labels
    # Random weights leave small margins between classes; where the margin is not small, it holds.
    assert agree.mean() > 0.9
    assert agree[exact.confidence > 0.5].all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "gpu"}, "device 'gpu' is not one"),
        ({"device": "cuda:99"}, "cuda:99"),
        ({"device": "meta"}, "not supported"),
        ({"precision": "float61"}, "did you mean 'float16'"),
        ({"device": "cpu", "precision": "float16"}, "needs a GPU"),
    ],
)
def test_devices_and_precisions_that_are_not_there_are_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Segmenter.from_checkpoint("default", **options)


def test_networks_and_label_sets_have_to_fit() -> None:
    with pytest.raises(ValueError, match="sun37"):
        Segmenter.of_model(build_model("fafnet-nano"), SUN37)
    with pytest.raises(ValueError, match="fafnet-nano"):
        Segmenter.from_checkpoint("untrained:fafnet-nanno")
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        Segmenter.from_checkpoint("nothing.safetensors")


def picture(height: int, width: int, value: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), value, np.uint8)


def test_blend_mixes_and_keeps_unlabelled_pixels() -> None:
    keep = np.zeros((4, 4), bool)
    keep[0, 0] = True
    mixed = blend(picture(4, 4, 100), picture(4, 4, 200), 0.25, keep)
    assert mixed[0, 0].tolist() == [100] * 3
    assert mixed[1, 1].tolist() == [125] * 3


def test_pictures_fit_together() -> None:
    labels = np.zeros((100, 20), np.uint8)
    key = legend(NYU40, labels, 100)
    assert key.shape[0] == 100
    joined = strip([("a", picture(100, 30, 0)), ("b", key)])
    assert joined.shape == (128, 30 + 4 + key.shape[1], 3)
    many = LabelSet("many", tuple("abcdefgh"), tuple((i, i, i) for i in range(8)))
    legend(many, np.arange(8, dtype=np.uint8)[None].repeat(4, 0), 60)


@pytest.mark.parametrize(
    ("error", "is_full"),
    [
        (torch.cuda.OutOfMemoryError("Tried to allocate 2.00 GiB."), True),
        (RuntimeError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (ValueError("the graph cannot be opened (CUDA failure 2: out of memory ; GPU=0)"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (MemoryError("out of memory"), False),
    ],
)
def test_a_full_gpu_is_told_from_other_failures(error: Exception, is_full: bool) -> None:
    assert is_gpu_full(error) is is_full


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")
def test_kept_memory_is_not_asked_for_again_until_it_is_given_back() -> None:
    # The pages that the process has, and how often the system had to give it one.
    code = """if True:
        import pathlib, resource, torch
        from fafnet_core.inference import give_memory_back, keep_memory
        def asked():
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        def resident():
            return int(pathlib.Path("/proc/self/statm").read_text().split()[1])
        def frame():
            return [torch.ones(2**22) for _ in range(8)]
        keep_memory()
        frame()
        before = asked()
        for _ in range(10):
            frame()
        again, kept = asked() - before, resident()
        give_memory_back()
        print(again, kept, resident())
    """
    again, kept, left = map(int, subprocess.check_output([sys.executable, "-c", code]).split())
    one_frame = 8 * 2**22 * 4 // resource.getpagesize()
    assert again < 2 * one_frame
    assert kept - left > one_frame / 2
