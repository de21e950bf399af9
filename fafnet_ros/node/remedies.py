"""What to do about a frame that is refused or doubted, in the words of a node's parameters."""

from __future__ import annotations

from fafnet_core.messages.errors import (
    ColoursMatrix,
    DepthLostError,
    DepthNotRegisteredError,
    ForeignCameraInfo,
    MaybeUnregistered,
    NoCameraInfoError,
    NoSizeError,
    NotCalibratedError,
    OtherSizeError,
    SaidRegistered,
    TwoCamerasInOneFrame,
    UnmodelledLens,
)
from fafnet_core.messages.images import UnknownEncodingError

_REGISTER = (
    "have the driver register it (RealSense: align_depth.enable:=true, Orbbec:"
    " depth_registration:=true), or let it be done here, which needs the camera_info of depth and"
    " the transform between the cameras (parameter depth_to_color, its topic, or TF)"
)

_REMEDIES: dict[type, str] = {
    NoCameraInfoError: "remap rgb/camera_info to it, or set camera_matrix to [fx, fy, cx, cy]",
    NotCalibratedError: "calibrate it, have its driver load its calibration, or give fx, fy, cx, cy"
    " as camera_matrix",
    OtherSizeError: "take the camera_info beside this very image, or give fx, fy, cx, cy of this"
    " size as camera_matrix",
    NoSizeError: "have its driver fill in width and height, or give fx, fy, cx, cy of this size as"
    " camera_matrix",
    UnmodelledLens: "have image_proc rectify both images, and set rectified",
    DepthNotRegisteredError: _REGISTER,
    MaybeUnregistered: _REGISTER,
    ForeignCameraInfo: _REGISTER,
    # Of depth only: colour is asked of cv_bridge too.
    UnknownEncodingError: "remap depth/image to a depth topic",
    TwoCamerasInOneFrame: "if they are apart, set depth_to_color; if depth is registered to colour,"
    " set registration to never",
    SaidRegistered: "if that is so, set registration to never; if not, to always",
    ColoursMatrix: "if that is so, set registration to always; if the driver has registered depth,"
    " to never",
    DepthLostError: "correct depth_to_color (in metres), the driver's extrinsics or TF, and remap"
    " depth/camera_info to depth's own; if depth is registered to colour already, set registration"
    " to never",
}


def worded(fault: object, depth_info_topic: str) -> str:
    """Return a fault or a doubt as one sentence: what it is, and what to do.

    Args:
        fault: of `fafnet_core.messages.errors`, or anything whose text says what to do.
        depth_info_topic: where the camera_info of depth comes from.
    """
    text = str(fault)
    if _is_of_depth_info(fault):
        text += f" (camera_info of depth: {depth_info_topic})"
    remedy = _REMEDIES.get(type(fault))
    return f"{text}; {remedy}" if remedy else text


def _is_of_depth_info(fault: object) -> bool:
    """Whether depth's camera_info is to blame: it has not come, or does not serve."""
    if isinstance(fault, DepthNotRegisteredError | MaybeUnregistered):
        return fault.facts.camera_problem is not None
    return isinstance(fault, ForeignCameraInfo)
