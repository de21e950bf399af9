"""A colour and a depth message to a frame: each frame is taken for what it is."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fafnet_core.camera import Camera
from fafnet_core.frame import RgbdFrame
from fafnet_core.messages.camera_infos import CameraInfos
from fafnet_core.messages.errors import (
    DepthLostError,
    DepthNotRegisteredError,
    NoCameraInfoError,
)
from fafnet_core.messages.frames import FrameBuilder, FrameSettings
from fafnet_core.registration import DepthRegistration, Extrinsics, Lens

COLOUR_K = (80.0, 80.0, 31.5, 23.5)
DEPTH_K = (60.0, 60.0, 30.0, 24.0)


def header(frame_id: str, second: int = 1) -> Any:
    return SimpleNamespace(stamp=SimpleNamespace(sec=second, nanosec=0), frame_id=frame_id)


def colour(frame_id: str = "colour") -> Any:
    return image(np.full((48, 64, 3), 7, np.uint8), "rgb8", frame_id)


def depth(frame_id: str = "colour", width: int = 64, millimetres: int = 2000) -> Any:
    return image(np.full((48, width), millimetres, np.uint16), "16UC1", frame_id)


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


def same_place(depth_frame: str, colour_frame: str) -> Extrinsics | None:
    return Extrinsics.identity()


def unknown(depth_frame: str, colour_frame: str) -> Extrinsics | None:
    return None


def built(*messages: Any, **settings: Any) -> RgbdFrame:
    return FrameBuilder(FrameSettings(**settings)).build(*messages)


def test_depth_of_the_colour_camera_is_taken_as_it_comes() -> None:
    frame = built(colour(), depth(), info(), info(), unknown)
    assert np.all(frame.depth_m == np.float32(2.0))
    np.testing.assert_array_equal(frame.camera.matrix[0], [80, 0, 31.5])
    assert set(frame.seconds) == {"decode"}


OTHERS = info(DEPTH_K, "depth")


@pytest.mark.parametrize(
    ("depth_frame", "depth_info", "find", "registered", "doubt"),
    [
        # Depth in colour's frame is colour's, unless its camera_info says otherwise.
        ("colour", info(), unknown, False, ""),
        ("colour", None, unknown, False, ""),
        ("colour", OTHERS, shifted, False, "is of frame 'depth', the image of 'colour'"),
        # Colour's own matrix says the same as the image: simulators mix their frame ids up.
        ("colour", info(frame_id="link"), shifted, False, ""),
        ("depth", OTHERS, shifted, True, ""),
        ("depth", info(DEPTH_K, ""), shifted, True, ""),
        ("", OTHERS, shifted, True, ""),
        ("", info(DEPTH_K, ""), shifted, True, ""),
        ("/depth", OTHERS, shifted, True, ""),
        ("depth", info(DEPTH_K, "/depth"), shifted, True, ""),
        # Cameras of a simulator are all alike: that does not make them one.
        # But a driver that registers depth and keeps its frame id says the same.
        ("depth", info(frame_id="depth"), shifted, True, "has colour's camera matrix"),
        ("depth", info(frame_id="depth"), same_place, False, ""),
        ("depth", info(frame_id="depth"), unknown, False, "depth is in frame 'depth', colour in"),
        ("depth", OTHERS, unknown, False, "from 'depth' to 'colour' is not known"),
        ("depth", None, shifted, False, "no camera_info of depth came"),
        ("depth", info(), shifted, False, "is of frame 'colour', the image of 'depth'"),
        ("depth", info(DEPTH_K, "depth", width=128), shifted, False, "128x48 pixels"),
        ("depth", info((0.0,) * 4, "depth"), shifted, False, "not calibrated"),
        # A frame that is named after the colour camera, and a matrix that was left as it was.
        ("colour", info(DEPTH_K), shifted, False, "another matrix (fx 60, colour's 80)"),
        ("colour", info(DEPTH_K), unknown, False, "another matrix (fx 60, colour's 80)"),
    ],
)
def test_each_frame_is_registered_or_taken_as_it_is_or_doubted(
    depth_frame: str, depth_info: Any, find: Any, registered: bool, doubt: str
) -> None:
    frame = built(colour(), depth(depth_frame), info(), depth_info, find)
    assert frame.was_registered == registered
    assert ("register" in frame.seconds) == registered
    assert doubt in str(frame.doubt)
    assert (frame.doubt is None) == (doubt == "")
    # A wall 2 m ahead stays one, wherever both cameras see it.
    assert np.median(frame.depth_m) == np.float32(2.0)


@pytest.mark.parametrize(
    ("depth_frame", "depth_info", "find", "registered", "doubt"),
    [
        ("cam", info(frame_id="cam"), shifted, False, ""),
        ("cam", info(DEPTH_K, "cam"), shifted, False, "another matrix (fx 60, colour's 80)"),
        ("cam", info(DEPTH_K, "cam"), same_place, False, "another matrix (fx 60, colour's 80)"),
        ("depth", info(frame_id="depth"), shifted, False, "in frame 'depth', colour in 'cam'"),
        ("depth", info(frame_id="cam"), shifted, False, "in frame 'depth', colour in 'cam'"),
        # All but the name says that the driver has not aligned this frame.
        ("depth", OTHERS, shifted, True, ""),
        ("depth", OTHERS, unknown, False, "from 'depth' to 'cam' is not known"),
    ],
)
def test_what_says_that_depth_is_registered_is_weighed(
    depth_frame: str, depth_info: Any, find: Any, registered: bool, doubt: str
) -> None:
    messages = colour("cam"), depth(depth_frame), info(frame_id="cam"), depth_info, find
    frame = built(*messages, says_registered=True)
    assert (frame.was_registered, frame.doubt is None) == (registered, doubt == "")
    assert doubt in str(frame.doubt)
    assert built(*messages, says_registered=True, registration="never").doubt is None
    if frame.doubt and find is not unknown and depth_info.header.frame_id == depth_frame:
        always = built(*messages, says_registered=True, registration="always")
        assert (always.was_registered, always.doubt) == (True, None)


def test_registering_never_loses_all_depth_without_an_error() -> None:
    def in_millimetres(depth_frame: str, colour_frame: str) -> Extrinsics:
        return Extrinsics(np.eye(3), np.array([15.0, 0.0, 0.0]))

    messages = colour(), depth("depth"), info(), OTHERS, in_millimetres
    with pytest.raises(DepthLostError, match=r"left depth in 0\.0 % .* it had 100\.0 %"):
        built(*messages)
    # What had none before has lost nothing.
    empty = colour(), depth("depth", millimetres=0), info(), OTHERS, in_millimetres
    assert not built(*empty).has_depth


@pytest.mark.parametrize("info_frame", ["0", ""])  # librealsense's own recordings: "0" and ""
def test_one_frame_id_for_all_does_not_make_two_cameras_one(info_frame: str) -> None:
    messages = colour("0"), depth("0"), info(), info(DEPTH_K, info_frame)
    known, guessed = (built(*messages, find) for find in (shifted, unknown))
    assert (known.was_registered, known.doubt) == (True, None)
    assert guessed.was_registered
    assert "both in frame '0', but their camera matrices differ" in str(guessed.doubt)


def test_images_without_a_frame_id_are_doubted_in_plain_words() -> None:
    doubt = str(built(colour(""), depth(""), info(), None, unknown).doubt)
    assert "neither depth nor colour has a frame id" in doubt
    assert "the transform between the cameras is not known" in doubt


def test_a_stream_that_flickers_is_taken_frame_by_frame() -> None:
    build = FrameBuilder(FrameSettings()).build
    aligned = build(colour(), depth(), info(), info(), shifted)
    raw = build(colour(), depth("depth"), info(), OTHERS, shifted)
    again = build(colour(), depth(), info(), info(), shifted)
    assert [frame.was_registered for frame in (aligned, raw, again)] == [False, True, False]
    np.testing.assert_array_equal(aligned.depth_m, again.depth_m)
    changed = build(colour(), depth("depth"), info(), info((160, 160, 31, 24), "depth"), shifted)
    assert not np.array_equal(raw.depth_m, changed.depth_m)


def test_equal_cameras_that_stand_apart_are_registered() -> None:
    frame = built(colour(), depth("depth"), info(), info(frame_id="depth"), shifted)
    # 0.1 m to the side at 2 m and f = 80: 4 pixels that the depth camera did not see.
    np.testing.assert_array_equal(np.flatnonzero(frame.depth_m[24] == 0), [0, 1, 2, 3])


def test_depth_is_never_registered_with_another_frames_camera_info() -> None:
    # An aligned topic, whose camera_info is colour's, and one frame that the driver did not align.
    infos: CameraInfos[Any] = CameraInfos()
    infos.add(info())
    stray = depth("depth")
    frame = built(colour(), stray, info(), infos.of(stray.header), shifted)
    np.testing.assert_array_equal(frame.depth_m, np.float32(2.0))
    with pytest.raises(DepthNotRegisteredError, match="is of frame 'colour'"):
        built(colour(), stray, info(), info(), shifted, registration="always")


def test_frames_that_wait_for_the_camera_info_of_depth_are_noted() -> None:
    frames = FrameBuilder(FrameSettings())
    frames.build(colour(), depth(), info(), None, shifted)
    frames.build(colour(), depth("depth"), info(), OTHERS, shifted)
    frames.build(colour(), depth("depth"), info(), info((0.0,) * 4, "depth"), shifted)
    assert frames.depth_info_missed_at == float("-inf")  # it came, and what is wrong is said
    before = time.monotonic()
    frames.build(colour(), depth("depth"), info(), None, shifted)
    doubted = frames.depth_info_missed_at
    assert before <= doubted <= time.monotonic()
    with pytest.raises(ValueError, match="no camera_info of depth came"):
        frames.build(colour(), depth("depth", 32), info(), None, shifted)
    assert frames.depth_info_missed_at > doubted


def test_another_size_has_to_be_registered() -> None:
    narrow = depth("depth", 32)
    with pytest.raises(DepthNotRegisteredError, match="depth is 32x48, colour 64x48") as refusal:
        built(colour(), narrow, info(), None, unknown)
    facts = refusal.value.facts
    assert (facts.depth_size, facts.colour_size) == ((48, 32), (48, 64))
    assert facts.camera_problem == "no camera_info of depth came"
    assert not facts.has_transform
    narrow_info = info((40.0, 40.0, 15.5, 23.5), "depth", 32)
    assert built(colour(), narrow, info(), narrow_info, shifted).depth_m.shape == (48, 64)


@pytest.mark.parametrize("find", [unknown, shifted])
def test_a_smaller_image_of_the_same_camera_needs_no_transform(find: Any) -> None:
    half = image(np.full((24, 32), 2000, np.uint16), "16UC1", "colour")
    half_info = info((40.0, 40.0, 15.5, 11.5), "colour", 32)
    half_info.height = 24
    # Nor is one used that belongs to the raw stream: this depth is in colour's place already.
    frame = built(colour(), half, info(), half_info, find)
    assert np.all(frame.depth_m == np.float32(2.0))
    assert frame.doubt is None


def test_registration_always_and_never() -> None:
    with pytest.raises(DepthNotRegisteredError, match="cannot be registered"):
        built(colour(), depth("depth"), info(), None, unknown, registration="always")
    assert built(colour(), depth(), info(), info(), shifted, registration="always").was_registered
    never = built(colour(), depth("depth"), info(), OTHERS, shifted, registration="never")
    assert (never.was_registered, never.doubt) == (False, None)
    with pytest.raises(DepthNotRegisteredError, match="'never'"):
        built(colour(), depth(width=32), info(), None, unknown, registration="never")


def test_a_camera_matrix_stands_in_for_camera_info() -> None:
    frame = built(colour(), depth(), None, camera_matrix=(50.0, 51.0, 30.0, 20.0))
    np.testing.assert_array_equal(frame.camera.matrix, [[50, 0, 30], [0, 51, 20], [0, 0, 1]])
    with pytest.raises(NoCameraInfoError):
        built(colour(), depth(), None)


@pytest.mark.parametrize("wrong", [(0.0, 51.0), (-1.0, 51.0), (float("nan"), 51.0), (np.inf, 51.0)])
def test_a_camera_matrix_that_is_none_is_refused_before_any_frame(wrong: Any) -> None:
    with pytest.raises(ValueError, match="focal lengths above zero"):
        FrameSettings(camera_matrix=(*wrong, 30.0, 20.0))


def test_depth_scale_overrides_the_encoding() -> None:
    frame = built(colour(), depth(millimetres=20000), info(), depth_scale=0.0001)
    np.testing.assert_allclose(frame.depth_m, 2.0, rtol=1e-6)


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


BARREL = [-0.3, 0.12, 0.0, 0.0, 0.0]


def test_depth_is_registered_through_lenses_that_distort() -> None:
    def of(matrix: tuple[float, ...], frame: str, model: str = "plumb_bob") -> Any:
        message = info(matrix, frame)
        message.distortion_model, message.d = model, BARREL
        return message

    ramp = np.tile(np.linspace(1000, 3000, 64).astype(np.uint16), (48, 1))
    seen = image(ramp, "16UC1", "depth")
    messages = colour(), seen, of(COLOUR_K, "colour"), of(DEPTH_K, "depth")
    frame = built(*messages, same_place)
    assert (frame.was_registered, frame.doubt) == (True, None)
    lens = Lens("plumb_bob", tuple(BARREL))
    source, target = (Camera.from_matrix(k_of(each), (48, 64)) for each in (DEPTH_K, COLOUR_K))
    register = DepthRegistration(source, target, Extrinsics.identity(), depth_lens=lens, lens=lens)
    np.testing.assert_array_equal(frame.depth_m, register(ramp.astype(np.float32) * 0.001))
    # Rectified images have no lens, whatever camera_info goes on saying.
    plain = built(colour(), seen, info(), OTHERS, same_place)
    for settings in ({"rectified": True}, {"rectified": True, "depth_rectified": True}):
        np.testing.assert_array_equal(
            built(*messages, same_place, **settings).depth_m, plain.depth_m
        )
    other = colour(), seen, of(COLOUR_K, "colour"), of(DEPTH_K, "depth", "brown")
    doubted = built(*other, same_place)
    assert "as if lenses did not distort: distortion model 'brown'" in str(doubted.doubt)
    np.testing.assert_array_equal(doubted.depth_m, plain.depth_m)


def k_of(matrix: tuple[float, ...]) -> NDArray[np.float64]:
    fx, fy, cx, cy = matrix
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
