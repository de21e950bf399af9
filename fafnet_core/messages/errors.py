"""Why two messages make no frame, or a doubtful one: types with fields.

`str()` of each states the facts. What to do about them depends on where the messages come from: a
node knows parameters and topics, a command line its options. They word the remedy.
"""

from __future__ import annotations

from dataclasses import dataclass

from fafnet_core.camera import Size


class FrameError(ValueError):
    """Two messages make no frame."""


class NoCameraInfoError(FrameError):
    """There is no camera_info of the colour image, and no matrix in its place."""

    def __str__(self) -> str:
        return "no camera_info of the colour image came"


@dataclass(eq=False)
class NotCalibratedError(FrameError):
    """A camera_info has focal lengths that no camera has.

    Attributes:
        fx: across, in pixels.
        fy: down, in pixels.
    """

    fx: float
    fy: float

    def __str__(self) -> str:
        return (
            f"camera_info has focal lengths {self.fx:g}, {self.fy:g}: the camera is not calibrated"
        )


@dataclass(eq=False)
class OtherSizeError(FrameError):
    """A camera_info is of images of another size.

    Attributes:
        described: (height, width) that it describes.
        came: (height, width) of the image.
    """

    described: Size
    came: Size

    def __str__(self) -> str:
        return (
            f"camera_info describes {_wide(self.described)} pixels, but the image is"
            f" {_wide(self.came)}"
        )


@dataclass(eq=False)
class NoSizeError(FrameError):
    """A camera_info states no size, and its matrix is that of another than the image's.

    Attributes:
        centre: column and row of the principal point.
        came: (height, width) of the image.
    """

    centre: tuple[float, float]
    came: Size

    def __str__(self) -> str:
        across, down = self.centre
        return (
            f"camera_info states no size (0x0), and its principal point {across:g}, {down:g} is not"
            f" that of the image of {_wide(self.came)}: it is far from the middle"
        )


@dataclass(frozen=True)
class Unregistered:
    """What is known of depth that is not registered to colour, and cannot be.

    Attributes:
        depth_frame: frame id of the depth image.
        colour_frame: frame id of the colour image.
        depth_size: (height, width).
        colour_size: (height, width).
        camera_problem: why the depth camera's matrix is not known; None where it is.
        has_transform: whether the transform between the cameras is known.
        is_wanted: False where nobody wants depth to be registered here.
    """

    depth_frame: str
    colour_frame: str
    depth_size: Size
    colour_size: Size
    camera_problem: str | None = None
    has_transform: bool = True
    is_wanted: bool = True

    @property
    def missing(self) -> str:
        """What registering would take."""
        texts = [self.camera_problem] if self.camera_problem else []
        if not self.has_transform:
            named = self.depth_frame or self.colour_frame
            between = f"from '{self.depth_frame}' to '{self.colour_frame}'"
            between = between if named else "between the cameras"
            texts.append(f"the transform {between} is not known")
        return " and ".join(texts)

    @property
    def frames(self) -> str:
        """Which frames the images are in."""
        if not (self.depth_frame or self.colour_frame):
            return "neither depth nor colour has a frame id"
        return f"depth is in frame '{self.depth_frame}', colour in '{self.colour_frame}'"


@dataclass(eq=False)
class DepthNotRegisteredError(FrameError):
    """Depth is not registered to colour, and cannot be.

    Attributes:
        facts: what is known of it.
    """

    facts: Unregistered

    def __str__(self) -> str:
        facts = self.facts
        sizes = f"depth is {_wide(facts.depth_size)}, colour {_wide(facts.colour_size)}"
        if not facts.is_wanted:
            return f"{sizes}, and registration is 'never'"
        return f"depth cannot be registered: {facts.missing}; {sizes}"


@dataclass(eq=False)
class DepthLostError(FrameError):
    """Registering depth to colour left none of it.

    Attributes:
        before: share of the depth image's pixels with depth, 0..1.
        after: share of the colour image's.
    """

    before: float
    after: float

    def __str__(self) -> str:
        return (
            f"registering left depth in {100 * self.after:.1f} % of the colour image, and before it"
            f" had {100 * self.before:.1f} %: the transform between the cameras is wrong, or the"
            " camera matrix of depth"
        )


@dataclass(frozen=True)
class DepthDoubt:
    """A frame is labelled, and may be wrong."""


@dataclass(frozen=True)
class MaybeUnregistered(DepthDoubt):
    """Depth has colour's size, and nothing says that it is registered.

    Attributes:
        facts: what is known of it.
    """

    facts: Unregistered

    def __str__(self) -> str:
        return (
            f"{self.facts.frames}: labels are right only if depth is registered to colour, and here"
            f" that cannot be done: {self.facts.missing}"
        )


@dataclass(frozen=True)
class SaidRegistered(DepthDoubt):
    """A name says that depth is registered to colour, and a message that it is not.

    Attributes:
        against: what says that it is not.
    """

    against: str

    def __str__(self) -> str:
        return (
            f"depth is registered to colour by its name, but {self.against}: taken for registered"
        )


@dataclass(frozen=True)
class ColoursMatrix(DepthDoubt):
    """Depth has another frame than colour, and the same camera matrix: cameras of a kind, or one.

    Attributes:
        facts: what is known of it.
    """

    facts: Unregistered

    def __str__(self) -> str:
        return (
            f"{self.facts.frames}, and depth has colour's camera matrix: taken for two cameras, and"
            " registered"
        )


@dataclass(frozen=True)
class TwoCamerasInOneFrame(DepthDoubt):
    """Depth and colour name one frame, and are of two cameras.

    Attributes:
        frame: the frame id.
    """

    frame: str

    def __str__(self) -> str:
        return (
            f"depth and colour are both in frame '{self.frame}', but their camera matrices differ:"
            " taken for two cameras in one place"
        )


@dataclass(frozen=True)
class UnmodelledLens(DepthDoubt):
    """Depth is registered as if the lenses did not distort, for their model is not known.

    Attributes:
        problem: which model came, and which are known.
    """

    problem: str

    def __str__(self) -> str:
        return f"depth is registered as if lenses did not distort: {self.problem}"


@dataclass(frozen=True)
class ForeignCameraInfo(DepthDoubt):
    """Depth is in colour's frame, and its camera_info is of another.

    Attributes:
        frame: the frame id of both images.
        problem: what is wrong with the camera_info.
    """

    frame: str
    problem: str

    def __str__(self) -> str:
        return (
            f"depth is in colour's frame '{self.frame}', but {self.problem}: taken for registered;"
            " if it is not, labels are wrong"
        )


def _wide(size: Size) -> str:
    return f"{size[1]}x{size[0]}"
