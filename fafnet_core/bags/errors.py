"""What can be wrong with a bag, or with what is asked of it."""

from __future__ import annotations


class BagError(ValueError):
    """A bag that cannot be read or labelled; the message is one line and says what to do."""


class AskedWrongly(BagError):  # noqa: N818
    """Another option would do; the message names it."""


def need_rosbags() -> None:
    """Raise BagError where the library that reads and writes bags is not installed."""
    try:
        import rosbags.rosbag2  # noqa: F401
    except ImportError as error:
        raise BagError(
            "bags are read and written with the library rosbags, which is not installed here:"
            " pip install 'rosbags>=0.11,<0.12'"
        ) from error


def one_line(error: BaseException) -> str:
    """Return the text of a library's error in one line; its type where it has none."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
