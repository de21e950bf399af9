"""Where one camera stands beside another: a rotation and a translation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ORTHOGONAL = 1e-3
"""How far rotation @ rotation.T may be from the identity: calibration files round to few digits."""


@dataclass(frozen=True, eq=False)
class Extrinsics:
    """The transform that takes points of one camera's frame to another's.

    A point p of the first frame is rotation @ p + translation in the second. Both frames are
    optical ones (x right, y down, z forward). Equal where every number is.

    Attributes:
        rotation: (3, 3) float64, read-only.
        translation: (3,) float64 metres, read-only.

    Raises:
        ValueError: another shape, a value that is not finite, or a matrix that is no rotation.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    def __post_init__(self) -> None:
        rotation = _frozen("rotation", self.rotation, (3, 3), "9 numbers, row by row, as (3, 3)")
        translation = _frozen("translation", self.translation, (3,), "x, y, z in metres")
        off = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
        if off > _ORTHOGONAL:
            raise ValueError(
                f"{rotation.tolist()} is not a rotation: its rows are not of length 1 at right"
                f" angles (off by {off:.2g}); take the 3x3 rotation of the calibration, without"
                " scale"
            )
        if np.linalg.det(rotation) < 0:
            raise ValueError(
                f"the rotation {rotation.tolist()} mirrors (its determinant is -1): one axis has"
                " the wrong sign; optical frames are x right, y down, z forward"
            )
        object.__setattr__(self, "rotation", rotation)
        object.__setattr__(self, "translation", translation)

    @classmethod
    def identity(cls) -> Extrinsics:
        """Both cameras in one place, looking the same way."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_quaternion(cls, translation: ArrayLike, quaternion: ArrayLike) -> Extrinsics:
        """Return the transform that a TF message or `static_transform_publisher` states.

        Args:
            translation: x, y, z in metres.
            quaternion: x, y, z, w, in ROS's order; of any length but zero, as TF does with it.

        Raises:
            ValueError: not three and four finite numbers, or a quaternion of zeros.
        """
        values = _frozen("quaternion", quaternion, (4,), "x, y, z, w")
        length = float(np.linalg.norm(values))
        if length < 1e-6:
            raise ValueError(
                f"the quaternion x, y, z, w = {values.tolist()} has length 0, so it is not a"
                " rotation; no rotation is 0, 0, 0, 1"
            )
        x, y, z, w = values / length
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        return cls(rotation, np.asarray(translation, np.float64))

    def inverse(self) -> Extrinsics:
        """Return the way back: from the second frame to the first."""
        back = self.rotation.T
        return Extrinsics(back, -back @ self.translation)

    def __matmul__(self, first: Extrinsics) -> Extrinsics:
        """Return the transform that does `first`, then this one."""
        return Extrinsics(
            self.rotation @ first.rotation,
            self.rotation @ first.translation + self.translation,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Extrinsics):
            return NotImplemented
        return self._numbers() == other._numbers()

    def __hash__(self) -> int:
        return hash(self._numbers())

    def _numbers(self) -> tuple[float, ...]:
        return (*self.rotation.ravel().tolist(), *self.translation.tolist())


def _frozen(
    name: str, values: ArrayLike, shape: tuple[int, ...], wanted: str
) -> NDArray[np.float64]:
    """Return a read-only copy of `values`, of the shape that is wanted and finite."""
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the {name} is {values!r}; it has to be {wanted}") from error
    if array.shape != shape:
        raise ValueError(f"the {name} has shape {array.shape}; it has to be {wanted}")
    if not np.isfinite(array).all():
        raise ValueError(f"the {name} is {array.tolist()}; all its numbers have to be finite")
    array.setflags(write=False)
    return array
