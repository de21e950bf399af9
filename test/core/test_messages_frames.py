"""A colour and a depth message to a frame: each frame is taken for what it is."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.messages.camera_infos import CameraInfos
from fafnet_core.messages.errors import DepthNotRegisteredError, NoCameraInfoError
from fafnet_core.messages.frames import FrameBuilder, FrameSettings
from fafnet_core.registration import Extrinsics

COLOUR_K = (80.0, 80.0, 31.5, 23.5)
DEPTH_K = (60.0, 60.0, 30.0, 24.0)


def header(frame_id: str, second: int = 1) -> Any:
    return SimpleNamespace(stamp=SimpleNamespace(sec=second, nanosec=0), frame_id=frame_id)


def colour(frame_id: str = "colour", width: int = 64) -> Any:
    pixels = np.full((48, width, 3), 7, np.uint8)
    return image(pixels, "rgb8", frame_id)


def depth(
    frame_id: str = "colour", width: int = 64, millimetres: int = 2000, encoding: str = "16UC1"
) -> Any:
    return image(np.full((48, width), millimetres, np.uint16), encoding, frame_id)


def image(pixels: NDArray[Any], encoding: str, frame_id: str) -> Any:
    return SimpleNamespace(
        header=header(frame_id),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels.nbytes // pixels.shape[0],
        data=pixels.tobytes(),
    )


def info(
    matrix: tuple[float, ...] = COLOUR_K, frame_id: str = "colour", width: int = 64, second: int = 1
) -> Any:
    fx, fy, cx, cy = matrix
    k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)
    return SimpleNamespace(
        header=header(frame_id, second),
        width=width,
        height=48,
        distortion_model="",
        d=[],
        k=k,
        r=[0.0] * 9,
        p=[0.0] * 12,
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def shifted(depth_frame: str, colour_frame: str) -> Extrinsics | None:
    return Extrinsics(np.eye(3), np.array([0.1, 0.0, 0.0]))


def unknown(depth_frame: str, colour_frame: str) -> Extrinsics | None:
    return None


def builder(**settings: Any) -> FrameBuilder:
    return FrameBuilder(FrameSettings(**settings))


def test_depth_of_the_colour_camera_is_taken_as_it_comes() -> None:
    frame = builder().build(colour(), depth(), info(), info(), unknown)
    assert not frame.was_registered
    assert frame.doubt is None
    assert np.all(frame.depth_m == np.float32(2.0))
    np.testing.assert_array_equal(frame.camera.matrix[0], [80, 0, 31.5])
    assert set(frame.seconds) == {"decode"}


def test_one_frame_id_is_enough_without_the_camera_info_of_depth() -> None:
    frame = builder().build(colour(), depth(), info(), None, unknown)
    assert (frame.was_registered, frame.doubt) == (False, None)


def test_depth_of_another_camera_is_registered() -> None:
    frame = builder().build(
        colour(), depth("depth"), info(), info(DEPTH_K, "depth"), lambda *frames: shifted(*frames)
    )
    assert frame.was_registered
    assert frame.doubt is None
    # A wall 2 m ahead stays one, wherever both cameras see it.
    assert np.median(frame.depth_m) == np.float32(2.0)
    assert "register" in frame.seconds


def test_a_stream_that_flickers_is_taken_frame_by_frame() -> None:
    build = builder().build
    aligned = build(colour(), depth(), info(), info(), shifted)
    raw = build(colour(), depth("depth"), info(), info(DEPTH_K, "depth"), shifted)
    again = build(colour(), depth(), info(), info(), shifted)
    assert [frame.was_registered for frame in (aligned, raw, again)] == [False, True, False]
    np.testing.assert_array_equal(aligned.depth_m, again.depth_m)


def test_one_matrix_does_not_make_two_frame_ids_one_camera() -> None:
    # Simulated cameras are all alike.
    frame = builder().build(colour(), depth("depth"), info(), info(frame_id="depth"), unknown)
    assert not frame.was_registered
    assert frame.doubt is not None


def test_equal_cameras_that_stand_apart_are_registered() -> None:
    frame = builder().build(colour(), depth("depth"), info(), info(frame_id="depth"), shifted)
    assert frame.was_registered
    # 0.1 m to the side at 2 m and f = 80: 4 pixels that the depth camera did not see.
    np.testing.assert_array_equal(np.flatnonzero(frame.depth_m[24] == 0), [0, 1, 2, 3])


def test_a_transform_of_nothing_registers_nothing() -> None:
    frame = builder().build(
        colour(), depth("depth"), info(), info(frame_id="depth"), lambda *_: Extrinsics.identity()
    )
    assert not frame.was_registered


@pytest.mark.parametrize(
    ("depth_info", "find", "missing"),
    [
        (None, shifted, "no camera_info of depth came"),
        (info(DEPTH_K, "depth"), unknown, "the transform from 'depth' to 'colour' is not known"),
    ],
)
def test_what_cannot_be_registered_is_labelled_with_a_doubt(
    depth_info: Any, find: Any, missing: str
) -> None:
    frame = builder().build(colour(), depth("depth"), info(), depth_info, find)
    assert not frame.was_registered
    assert frame.doubt is not None
    assert "depth is in frame 'depth', colour in 'colour'" in str(frame.doubt)
    assert missing in str(frame.doubt)


def test_depth_is_never_registered_with_another_frames_camera_info() -> None:
    # An aligned topic, whose camera_info is colour's, and one frame that the driver did not align.
    infos: CameraInfos[Any] = CameraInfos()
    infos.add(info())
    stray = depth("depth")
    frame = builder().build(colour(), stray, info(), infos.of(stray.header), shifted)
    assert not frame.was_registered
    np.testing.assert_array_equal(frame.depth_m, np.float32(2.0))
    assert frame.doubt is not None
    assert "is of frame 'colour', the image of 'depth'" in str(frame.doubt)
    with pytest.raises(ValueError, match="is of frame 'colour', the image of 'depth'"):
        builder(registration="always").build(colour(), stray, info(), info(), shifted)


def test_depth_in_colours_frame_beside_another_frames_camera_info_is_doubted() -> None:
    frame = builder().build(colour(), depth(), info(), info(DEPTH_K, "depth"), shifted)
    assert not frame.was_registered
    assert frame.doubt is not None
    assert "is of frame 'depth', the image of 'colour'" in str(frame.doubt)
    # With colour's own matrix it says the same as the image: simulators mix their frame ids up.
    same = builder().build(colour(), depth(), info(), info(frame_id="link"), shifted)
    assert (same.was_registered, same.doubt) == (False, None)


@pytest.mark.parametrize(
    ("image_frame", "info_frame"),
    [("depth", ""), ("", "depth"), ("", ""), ("depth", "/depth"), ("/depth", "depth")],
)
def test_a_camera_info_that_names_no_other_frame_registers(
    image_frame: str, info_frame: str
) -> None:
    frame = builder().build(
        colour(), depth(image_frame), info(), info(DEPTH_K, info_frame), shifted
    )
    assert (frame.was_registered, frame.doubt) == (True, None)


@pytest.mark.parametrize(
    ("depth_info", "problem"),
    [
        (None, "no camera_info of depth came"),
        (
            info(DEPTH_K, "depth", width=128),
            "the camera_info of depth does not serve (camera_info describes 128x48 pixels, but"
            " the image is 64x48)",
        ),
        (
            info((0.0, 0.0, 0.0, 0.0), "depth"),
            "(camera_info has focal lengths 0, 0: the camera is not calibrated)",
        ),
    ],
)
def test_why_the_camera_info_of_depth_does_not_serve_is_said(depth_info: Any, problem: str) -> None:
    frame = builder().build(colour(), depth("depth"), info(), depth_info, shifted)
    assert frame.doubt is not None
    assert problem in str(frame.doubt)


def test_frames_that_wait_for_the_camera_info_of_depth_are_noted() -> None:
    frames = builder()
    frames.build(colour(), depth(), info(), None, shifted)
    frames.build(colour(), depth("depth"), info(), info(DEPTH_K, "depth"), shifted)
    frames.build(colour(), depth("depth"), info(), info((0.0,) * 4, "depth"), shifted)
    assert frames.depth_info_missed_at == float("-inf")  # it came, and what is wrong is said
    before = time.monotonic()
    frames.build(colour(), depth("depth"), info(), None, shifted)
    doubted = frames.depth_info_missed_at
    assert before <= doubted <= time.monotonic()
    with pytest.raises(ValueError, match="no camera_info of depth came"):
        frames.build(colour(), depth("depth", 32), info(), None, shifted)
    assert frames.depth_info_missed_at > doubted


def test_images_without_a_frame_id_are_labelled_with_a_doubt_in_plain_words() -> None:
    frame = builder().build(colour(""), depth(""), info(), None, unknown)
    assert frame.doubt is not None
    assert str(frame.doubt).startswith(
        "neither depth nor colour has a frame id: labels are right only"
    )
    assert "the transform between the cameras is not known" in str(frame.doubt)
    known = builder().build(colour(""), depth(""), info(), info(DEPTH_K), shifted)
    assert (known.was_registered, known.doubt) == (True, None)


def test_another_size_has_to_be_registered() -> None:
    small = (40.0, 40.0, 15.5, 23.5)
    with pytest.raises(DepthNotRegisteredError, match="depth is 32x48, colour 64x48") as refusal:
        builder().build(colour(), depth("depth", 32), info(), None, unknown)
    facts = refusal.value.facts
    assert (facts.depth_size, facts.colour_size) == ((48, 32), (48, 64))
    assert facts.camera_problem == "no camera_info of depth came"
    assert not facts.has_transform
    frame = builder().build(
        colour(), depth("depth", 32), info(), info(small, "depth", 32), lambda *_: shifted("", "")
    )
    assert frame.depth_m.shape == (48, 64)


def test_a_smaller_image_of_the_same_camera_needs_no_transform() -> None:
    half = image(np.full((24, 32), 2000, np.uint16), "16UC1", "colour")
    half_info = info((40.0, 40.0, 15.5, 11.5), "colour", 32)
    half_info.height = 24
    frame = builder().build(colour(), half, info(), half_info, unknown)
    assert np.all(frame.depth_m == np.float32(2.0))
    assert frame.doubt is None
    # Nor is one used that belongs to the raw stream: this depth is in colour's place already.
    told = builder().build(colour(), half, info(), half_info, shifted)
    np.testing.assert_array_equal(told.depth_m, frame.depth_m)


@pytest.mark.parametrize("info_frame", ["0", ""])  # librealsense's own recordings: "0" and ""
def test_one_frame_id_for_all_does_not_make_two_cameras_one(info_frame: str) -> None:
    depth_info = info(DEPTH_K, info_frame)
    frame = builder().build(colour("0"), depth("0"), info(), depth_info, shifted)
    assert frame.was_registered
    assert frame.doubt is None
    guessed = builder().build(colour("0"), depth("0"), info(), depth_info, unknown)
    assert guessed.was_registered
    assert guessed.doubt is not None
    assert "both in frame '0', but their camera matrices differ" in str(guessed.doubt)


def test_registration_always_and_never() -> None:
    with pytest.raises(ValueError, match="cannot be registered"):
        builder(registration="always").build(colour(), depth("depth"), info(), None, unknown)
    forced = builder(registration="always").build(colour(), depth(), info(), info(), shifted)
    assert forced.was_registered
    never = builder(registration="never").build(
        colour(), depth("depth"), info(), info(DEPTH_K), shifted
    )
    assert (never.was_registered, never.doubt) == (False, None)
    with pytest.raises(ValueError, match="registration is 'never'"):
        builder(registration="never").build(colour(), depth(width=32), info(), None, unknown)


def test_a_camera_matrix_stands_in_for_camera_info() -> None:
    frame = builder(camera_matrix=(50.0, 51.0, 30.0, 20.0)).build(colour(), depth(), None)
    np.testing.assert_array_equal(frame.camera.matrix, [[50, 0, 30], [0, 51, 20], [0, 0, 1]])
    with pytest.raises(NoCameraInfoError):
        builder().build(colour(), depth(), None)


@pytest.mark.parametrize("wrong", [(0.0, 51.0), (-1.0, 51.0), (float("nan"), 51.0), (np.inf, 51.0)])
def test_a_camera_matrix_that_is_none_is_refused_before_any_frame(wrong: Any) -> None:
    with pytest.raises(ValueError, match="focal lengths above zero"):
        FrameSettings(camera_matrix=(*wrong, 30.0, 20.0))


def test_depth_scale_overrides_the_encoding() -> None:
    frame = builder(depth_scale=0.0001).build(colour(), depth(millimetres=20000), info())
    np.testing.assert_allclose(frame.depth_m, 2.0, rtol=1e-6)


def test_a_camera_that_changes_its_matrix_is_followed() -> None:
    build = builder().build
    one = build(colour(), depth("depth"), info(), info(DEPTH_K, "depth"), shifted)
    other = build(colour(), depth("depth"), info(), info((160, 160, 31, 24), "depth"), shifted)
    assert not np.array_equal(one.depth_m, other.depth_m)


def test_camera_infos_go_by_stamp_then_by_frame_then_by_time() -> None:
    infos: CameraInfos[Any] = CameraInfos()
    assert not infos
    assert infos.of(header("colour", 1)) is None
    aligned, raw = info(second=1), info(DEPTH_K, "depth", second=2)
    infos.add(aligned)
    infos.add(raw)
    assert infos.of(header("anything", 1)) is aligned
    assert infos.of(header("colour", 9)) is aligned
    assert infos.of(header("depth", 9)) is raw
    assert infos.of(header("anything", 9)) is raw
    # What is of the image's frame beats what only has its stamp: streams share their stamps.
    assert infos.of(header("depth", 1)) is raw
    assert infos.of(header("colour", 2)) is aligned
    for second in range(3, 100):
        infos.add(info(second=second))
    # What is long gone is forgotten: the latest of that frame answers.
    latest = infos.of(header("colour", 1))
    assert latest is not None
    assert latest.header.stamp.sec == 99
