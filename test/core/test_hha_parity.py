"""HHA beside the MATLAB output, beside the float64 reference, and NumPy beside torch."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.datasets.frames import read_camera_file, read_depth
from fafnet_core.hha import HHAEncoder, encode_hha, estimate_gravity
from fafnet_core.hha.gravity import estimate_direction

reference: Any = importlib.import_module("hha_reference")  # the file beside this one

Floats = NDArray[np.float64]
Depth = NDArray[np.float32]
Levels = NDArray[np.uint8]

CAMERA = np.array([[140.0, 0, 47.0], [0, 141.0, 31.0], [0, 0, 1]])
SHAPE = (64, 96)


def difference(first: Levels, second: Levels) -> NDArray[np.int64]:
    result: NDArray[np.int64] = np.abs(first.astype(np.int64) - second)
    return result


def room(seed: int) -> Depth:
    """A floor, a ceiling and three walls under a tilted camera, with a sensor's noise."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    tilt, roll = generator.uniform(-0.3, 0.3, 2)
    u, v = (x - CAMERA[0, 2]) / CAMERA[0, 0], (y - CAMERA[1, 2]) / CAMERA[1, 1]
    u, v = u * np.cos(roll) - v * np.sin(roll), u * np.sin(roll) + v * np.cos(roll)
    v, ahead = v * np.cos(tilt) + np.sin(tilt), np.cos(tilt) - v * np.sin(tilt)
    planes = [v / 1.4, -v / 1.2, u / 0.9, -u / 1.1, ahead / generator.uniform(2.5, 5)]
    inverse = np.max(planes, axis=0)
    inverse += generator.normal(0, 0.001, SHAPE)
    depth: Depth = (1 / inverse).astype(np.float32)
    return depth


def holes(seed: int, share: float) -> NDArray[np.bool_]:
    """Blobs and single pixels."""
    noise: Floats = np.random.default_rng(seed).normal(size=SHAPE)
    blobs: NDArray[Any] = cv2.GaussianBlur(noise, (0, 0), 3)
    dust = np.random.default_rng(seed + 1).random(SHAPE) < share / 4
    result: NDArray[np.bool_] = (blobs > np.quantile(blobs, 1 - share)) | dust
    return result


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [0.0, 0.25, 0.8, 0.97])
@pytest.mark.parametrize("inpainted", [False, True])
def test_every_pixel_is_within_a_level_of_the_float64_reference(
    seed: int, share: float, inpainted: bool
) -> None:
    depth, hole = room(seed), holes(seed, share)
    missing = hole if inpainted else None
    if not inpainted:
        depth[hole] = 0
    down = estimate_gravity(depth, CAMERA, missing=missing)
    ours = encode_hha(depth, CAMERA, missing=missing)
    theirs = reference.encode(depth, CAMERA, missing, down)
    off = difference(ours, theirs)
    assert off.max() <= 1
    assert (off > 0).mean() < 1e-3
    # "No normal" is decided in whole numbers by both: it has to agree on every pixel.
    spans = reference.spans_plane(~hole, radius=3)
    no_normal = ~spans if inpainted else ~spans & ~hole
    assert np.all(ours[no_normal][:, 2] == 218)


@pytest.mark.parametrize("seed", range(4))
def test_gravity_from_the_same_normals_is_that_of_the_reference(seed: int) -> None:
    valid = np.ones(SHAPE, np.bool_)
    normals: Floats = reference.normals(room(seed).astype(float), valid, CAMERA, radius=10)
    found = estimate_direction(np.ascontiguousarray(normals.reshape(-1, 3).T, np.float32))
    np.testing.assert_allclose(found.direction, reference.gravity(normals), atol=1e-5)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_other_row_and_column_is_enough_for_gravity(seed: int) -> None:
    depth, valid = room(seed), np.ones(SHAPE, np.bool_)
    full: Floats = reference.gravity(
        reference.normals(depth.astype(float), valid, CAMERA, radius=10)
    )
    off = float(np.linalg.norm(np.cross(estimate_gravity(depth, CAMERA), full)))
    assert np.degrees(np.arcsin(off)) < 0.1  # a frame of 480x640 has 50 times as many normals


@pytest.fixture(scope="module")
def matlab(shared_data: Path) -> tuple[Depth, Floats, Levels, NDArray[np.bool_]]:
    """Depth, camera matrix and HHA of the authors' code, and where raw depth is missing."""
    folder = shared_data / "hha-reference"
    camera = read_camera_file(folder / "camera.yaml")
    depth = read_depth(folder / "depth.png", camera.depth_unit_m)
    image = cv2.imread(str(folder / "matlab_hha.png"))
    assert image is not None
    hha = np.ascontiguousarray(image[..., ::-1], np.uint8)
    return depth, camera.camera_matrix, hha, read_depth(folder / "raw_depth.png") == 0


def test_every_pixel_is_within_a_level_of_matlab(
    matlab: tuple[Depth, Floats, Levels, NDArray[np.bool_]],
) -> None:
    depth, camera_matrix, expected, _ = matlab
    off = difference(encode_hha(depth, camera_matrix), expected)
    exact = (off == 0).mean(axis=(0, 1))
    print("exact: disparity {:.3%}, height {:.3%}, angle {:.3%}".format(*exact))
    assert off.max() <= 1
    assert np.all(exact > (0.9999, 0.95, 0.98))


def test_real_holes_are_within_a_level_of_the_reference(
    matlab: tuple[Depth, Floats, Levels, NDArray[np.bool_]],
) -> None:
    depth, camera_matrix, _, missing = matlab
    part = np.s_[300:480, 400:640]
    camera_matrix = camera_matrix.copy()
    camera_matrix[:2, 2] -= 400, 300
    depth, missing = np.ascontiguousarray(depth[part]), missing[part]
    down = estimate_gravity(depth, camera_matrix, missing=missing)
    ours = encode_hha(depth, camera_matrix, missing=missing)
    assert missing.mean() > 0.05
    assert difference(ours, reference.encode(depth, camera_matrix, missing, down)).max() <= 1


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_torch_and_numpy_agree(share: float, device: str) -> None:
    torch = pytest.importorskip("torch")
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    depth, missing = room(5), holes(5, share)
    depth[:3, :9] = 0
    encoder = HHAEncoder(Camera.from_matrix(CAMERA, SHAPE), device=device)
    torch_way = encoder.encode(depth, missing=missing)
    off = difference(encode_hha(depth, CAMERA, missing=missing), torch_way)
    assert off.max() <= 1
    assert (off > 0).mean() < 2e-3  # float32 sums in another order
    one_shot = encode_hha(depth, CAMERA, missing=missing, device=device)
    assert difference(one_shot, torch_way).max() <= 1
    tensor = encoder.encode_tensor(torch.from_numpy(depth), missing=torch.from_numpy(missing))
    assert (tensor.dtype, tensor.device.type) == (torch.uint8, device)
    assert difference(tensor.cpu().numpy(), torch_way).max() <= 1
    np.testing.assert_allclose(
        encoder.estimate_gravity(depth), estimate_gravity(depth, CAMERA), atol=1e-3
    )


def test_tensors_need_an_encoder_with_a_device_and_the_right_kind() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError, match="device"):
        HHAEncoder(Camera.from_matrix(CAMERA, SHAPE)).encode_tensor(torch.ones(SHAPE))
    encoder = HHAEncoder(Camera.from_matrix(CAMERA, SHAPE), device="cpu")
    with pytest.raises(ValueError, match=r"int32.*0\.001"):
        encoder.encode_tensor(torch.ones(SHAPE, dtype=torch.int32))
    with pytest.raises(ValueError, match="wanted bool"):
        encoder.encode_tensor(torch.ones(SHAPE), missing=torch.zeros(SHAPE))
    with pytest.raises(ValueError, match=r"\(2, 64, 96\)"):
        encoder.encode_tensor(torch.ones(2, *SHAPE))
