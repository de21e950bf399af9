"""Which topics of a bag are the colour and the depth camera.

What an image holds decides (its encoding, size and frame id, by the first message of its topic);
names decide only between several that fit. Where the best two are equally good, the user chooses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fafnet_core.bags.errors import AskedWrongly
from fafnet_core.bags.reading import Bag
from fafnet_core.messages.image_pair import name_says_registered
from fafnet_core.messages.images import DEPTH_ENCODINGS, plain_encoding
from fafnet_core.nearest import unknown_name

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
OUR_PREFIX = "/fafnet/"

_PLUGIN = "compressedDepth"
_GREY_ENCODINGS = ("mono8", "8UC1", "mono16")
# Neither colour nor depth, even if their encoding says so.
_OTHER_THINGS = {
    *("ir", "ir2", "infra", "infra1", "infra2", "infrared", "fisheye", "amplitude", "intensity"),
    *("confidence", "disparity", "label", "labels", "mask", "semantic", "segmentation", "heatmap"),
}
_COLOUR_WORDS = {"color", "colour", "rgb"}


class Kind(Enum):
    """What a topic's images hold."""

    COLOUR = "colour"
    GREY = "grey"
    DEPTH = "depth"
    OTHER = "other"


@dataclass(frozen=True)
class ImageTopic:
    """One image topic, by its first message.

    Attributes:
        name: the topic, with the transport's suffix where it has one.
        kind: what its images hold.
        encoding: the encoding of images, the format of compressed ones.
        size: (height, width), None where only decoding would tell.
        frame_id: of the first message.
        count: its messages.
    """

    name: str
    kind: Kind
    encoding: str
    size: tuple[int, int] | None
    frame_id: str
    count: int

    @property
    def base(self) -> str:
        """The topic without its transport: of which image it is a form."""
        return re.sub(r"/(compressed|compressedDepth)$", "", self.name)

    @property
    def words(self) -> set[str]:
        """The words of the topic's name."""
        return set(re.split(r"[/_]", self.name.lower()))

    def __str__(self) -> str:
        size = f", {self.size[1]}x{self.size[0]}" if self.size else ""
        return f"{self.name} ({self.encoding}{size}, frame '{self.frame_id}', {self.count})"


@dataclass(frozen=True)
class AskedTopics:
    """The topics that the user names; None: to be found."""

    rgb: str | None = None
    rgb_info: str | None = None
    depth: str | None = None
    depth_info: str | None = None


@dataclass(frozen=True)
class Streams:
    """The topics of an RGB-D camera; its camera_info topics where the bag has them."""

    rgb: ImageTopic
    rgb_info: str | None
    depth: ImageTopic
    depth_info: str | None


def find_streams(bag: Bag, asked: AskedTopics, *, has_camera_file: bool = False) -> Streams:
    """Return the topics to label.

    Args:
        bag: an open bag.
        asked: what the user has named.
        has_camera_file: a camera file replaces the camera_info of the colour image.

    Raises:
        AskedWrongly: a topic is missing or not the only one of its kind; the message lists those
            that could be meant, and names the option.
    """
    images = list_images(bag)
    infos = bag.topics(CAMERA_INFO)
    # A named topic may be what no rule would take: that is what naming it is for.
    named_depth = _named(bag, images, asked.depth, "--depth")
    named_rgb = _named(bag, images, asked.rgb, "--rgb")
    if named_rgb is not None and named_rgb == named_depth:
        raise AskedWrongly(f"--rgb and --depth are both {named_rgb.name}; give two topics")
    rgb = named_rgb or _choose_rgb(images, named_depth, infos)
    depth = named_depth or _choose_depth(images, rgb)
    rgb_info = asked.rgb_info or _info_of(bag, rgb, infos)
    depth_info = asked.depth_info or _info_of(bag, depth, infos)
    for option, topic in (("--rgb-info", asked.rgb_info), ("--depth-info", asked.depth_info)):
        if topic is not None and topic not in infos:
            raise AskedWrongly(f"{option}: {unknown_name('camera_info topic', topic, infos)}")
    if rgb_info is None and not has_camera_file:
        raise AskedWrongly(
            f"no camera_info beside {rgb.name}: give its topic with --rgb-info"
            f"{_listed(infos)}, or a camera file with --camera"
        )
    return Streams(rgb, rgb_info, depth, depth_info)


def list_images(bag: Bag) -> list[ImageTopic]:
    """Return the bag's image topics by name, without those that labelling itself writes."""
    counts = bag.counts()
    topics = []
    for name in bag.topics(IMAGE, COMPRESSED):
        if name.startswith(OUR_PREFIX):
            continue
        message = bag.first(name)
        is_raw = hasattr(message, "encoding")
        topics.append(
            ImageTopic(
                name=name,
                kind=_kind(name, message),
                encoding=message.encoding if is_raw else message.format,
                size=(message.height, message.width) if is_raw else None,
                frame_id=message.header.frame_id,
                count=counts[name],
            )
        )
    return topics


def _kind(name: str, message: Any) -> Kind:
    if set(re.split(r"[/_]", name.lower())) & _OTHER_THINGS:
        return Kind.OTHER
    is_raw = hasattr(message, "encoding")
    encoding = message.encoding if is_raw else message.format.split(";")[0].strip()
    # The format of compressed depth may be empty, or only say "png".
    is_named = name.endswith("/compressedDepth") or (not is_raw and _PLUGIN in message.format)
    if plain_encoding(encoding) in DEPTH_ENCODINGS or is_named:
        return Kind.DEPTH
    return Kind.GREY if plain_encoding(encoding) in _GREY_ENCODINGS else Kind.COLOUR


def _named(
    bag: Bag, images: Sequence[ImageTopic], name: str | None, option: str
) -> ImageTopic | None:
    if name is None:
        return None
    known = {image.name: image for image in images}
    for suffix in ("", "/compressedDepth", "/compressed"):
        if found := known.get(name.rstrip("/") + suffix):
            return found
    if name in bag.counts():
        raise AskedWrongly(
            f"{option} {name}: no image topic, or one without messages or of two types"
        )
    if not known:
        raise AskedWrongly("the bag has no images")
    raise AskedWrongly(f"{option}: {unknown_name('topic', name, known)}")


def _choose_rgb(
    images: Sequence[ImageTopic], depth: ImageTopic | None, infos: Sequence[str]
) -> ImageTopic:
    of_kind = [image for image in images if image.kind is Kind.COLOUR and image != depth]
    candidates = of_kind or [image for image in images if image.kind is Kind.GREY]

    def merit(image: ImageTopic) -> tuple[int, ...]:
        return (
            _common(image, depth) if depth else 0,
            bool(image.words & _COLOUR_WORDS),
            image.size is not None,  # raw: nothing was lost on the way
            bool(set(_info_names(image)) & set(infos)),
            "rect" not in image.words,
        )

    return _best(candidates, merit, "colour images", "--rgb", images)


def _choose_depth(images: Sequence[ImageTopic], rgb: ImageTopic) -> ImageTopic:
    candidates = [image for image in images if image.kind is Kind.DEPTH and image != rgb]

    def merit(image: ImageTopic) -> tuple[int, ...]:
        named = name_says_registered(image.name)
        same_frame = image.frame_id == rgb.frame_id != ""
        same_size = image.size == rgb.size or image.size is None or rgb.size is None
        return (
            same_frame and same_size,
            _common(image, rgb),  # depth of another camera is of no use, registered or not
            named,
            image.size is not None,
            image.encoding != "32FC1",  # beside the same in millimetres: half the bytes
            "rect" not in image.words,
        )

    return _best(candidates, merit, "depth images", "--depth", images)


def _best(
    candidates: Sequence[ImageTopic],
    merit: Callable[[ImageTopic], tuple[int, ...]],
    what: str,
    option: str,
    images: Sequence[ImageTopic],
) -> ImageTopic:
    if not candidates:
        listed = _listed([str(image) for image in images])
        raise AskedWrongly(f"the bag has no {what} that can be told: give {option} TOPIC{listed}")
    merits = [merit(candidate) for candidate in candidates]
    best = [each for each, of in zip(candidates, merits, strict=True) if of == max(merits)]
    if len(best) > 1:
        listed = _listed([str(image) for image in best])
        raise AskedWrongly(f"the bag has several {what}: choose one with {option} TOPIC{listed}")
    return best[0]


def _info_names(image: ImageTopic) -> list[str]:
    """Return the names that the camera_info of an image may have, best first."""
    parent, _, _ = image.base.rpartition("/")
    stream, _, last = parent.rpartition("/")
    names = [f"{parent}/camera_info", f"{image.base}/camera_info"]
    if last == "image":  # librealsense's
        names.append(f"{stream}/info/camera_info")
    # Beside the parent: /camera/rgb/image/raw and /camera/rgb/camera_info.
    return [*names, f"{stream}/camera_info"] if stream else names


def _info_of(bag: Bag, image: ImageTopic, infos: Sequence[str]) -> str | None:
    for name in _info_names(image):
        if name in infos:
            return name
    if not image.frame_id:
        return None
    # A driver with other names: the only camera_info of this frame and size.
    fitting = []
    for name in infos:
        info = bag.first(name)
        stated = (info.height, info.width)
        same_size = image.size is None or stated in (image.size, (0, 0))
        if info.header.frame_id == image.frame_id and same_size:
            fitting.append(name)
    return fitting[0] if len(fitting) == 1 else None


def _common(one: ImageTopic, other: ImageTopic) -> int:
    """Return how many of the first parts of two topics are the same."""
    count = 0
    for mine, theirs in zip(one.base.split("/")[1:-1], other.base.split("/")[1:-1], strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _listed(names: Sequence[str]) -> str:
    return "".join(f"\n  {name}" for name in names)
