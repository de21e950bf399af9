"""Inputs that bring nothing, and images that do not pair: why, and what to do."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timezone

from fafnet_ros.diagnostics.state import Finding, InputState
from fafnet_ros.diagnostics.statistics import Statistics, rate_text
from fafnet_ros.inputs.stamps import PairingState, StreamStamps

_ANOTHER_CLOCK = 1.0
"""Seconds between stamps that came at the same time from which they are of different clocks."""

_ANOTHER_SPEED = 0.1
_FIRST_DATE_NS = 10**18
"""Stamps below this (the year 2001) do not count from 1970."""

_FAR_APART = 0.3
"""Seconds between stamps that come at the same time from which that is worth a warning."""

_LARGEST_MISSING = 0.4
_FEW_PAIRS = 0.5
_NAMED_TOPICS = 5

_RAW = "sensor_msgs/msg/Image"
_COMPRESSED = "sensor_msgs/msg/CompressedImage"


_SYNCHRONISE = (
    "have the driver stamp both by the computer's clock (several computers: run chrony; bags:"
    " use_sim_time for all nodes or none)"
)


def input_findings(inputs: Sequence[InputState], statistics: Statistics) -> list[Finding]:
    """Name each silent input with the reason, and each that several publishers write to."""
    found = []
    for entry in inputs:
        if statistics.is_silent(entry.event):
            found.append(_silent(entry, statistics.silent_after(entry.event)))
        elif len(entry.publishers) > 1:
            nodes = _listed([publisher.node for publisher in entry.publishers])
            text = (
                f"{entry.topic} has {len(entry.publishers)} publishers ({nodes}), whose messages"
                " mix: stop all but one, or give each camera a namespace of its own"
            )
            found.append(Finding("WARN", text))
    return found


def _silent(entry: InputState, silent_after: float) -> Finding:
    ours = [p for p in entry.publishers if p.type_name == entry.type_name]
    if entry.unfit_policy is not None:
        return Finding("ERROR", _unfit(entry))
    if ours:
        nodes = _listed([publisher.node for publisher in ours])
        if entry.published_s < silent_after:
            return Finding("IDLE", f"{entry.topic}: waiting for the first message of {nodes}")
        return Finding(
            "WARN",
            f"{entry.topic} has a publisher but is silent: {nodes} sends nothing, or its messages"
            f" are lost on the way; check it with: ros2 topic hz {entry.topic}",
        )
    if entry.publishers:
        return Finding("ERROR", _of_another_type(entry))
    return Finding("WARN", _unpublished(entry))


def _unfit(entry: InputState) -> str:
    """Say which QoS policy differs, on whose side, and which side to change."""
    policy = entry.unfit_policy
    show = f"ros2 topic info -v {entry.topic} shows both sides"
    deaf = [
        publisher.node
        for publisher in entry.publishers
        if publisher.type_name == entry.type_name and publisher.reliability != "reliable"
    ]
    if policy == "reliability":
        return (
            f"{entry.topic}: {_listed(deaf)} offers reliability best_effort, this node asks for"
            f" {entry.reliability}, so it hears nothing: set reliability:=auto here, or have the"
            f" publisher offer reliable ({show})"
        )
    return (
        f"{entry.topic}: the QoS policy {policy} of its publisher does not fit this subscription,"
        f" so it hears nothing: change the publisher's {policy} ({show})"
    )


def _of_another_type(entry: InputState) -> str:
    theirs = sorted({publisher.type_name for publisher in entry.publishers})
    is_depth = entry.event == "depth"
    parameter = "depth_transport" if is_depth else "transport"
    if entry.type_name == _RAW and _COMPRESSED in theirs:
        value = "compressedDepth" if is_depth else "compressed"
        remedy = f"set {parameter}:={value}, or remap {entry.name} to a topic of {_RAW}"
    elif entry.type_name == _COMPRESSED and _RAW in theirs:
        remedy = f"set {parameter}:=raw, or remap {entry.name} to a topic of {_COMPRESSED}"
    else:
        remedy = f"remap {entry.name} to a topic of {entry.type_name}"
    return (
        f"{entry.topic} carries {_listed(theirs)}, this node reads {entry.type_name} there:"
        f" {remedy} (ros2 topic list -t shows the types)"
    )


def _unpublished(entry: InputState) -> str:
    similar = nearest_topics(entry.topic, entry.same_type_topics)
    if not similar:
        return (
            f"{entry.topic} has no publisher, and nobody publishes another topic of"
            f" {entry.type_name} that could take its place: start the camera (same ROS_DOMAIN_ID?)"
        )
    likely = [topic for topic in similar if not _is_of_the_other_stream(entry.event, topic)]
    example = f", e.g. -r {entry.name}:={likely[0]}" if likely else ""
    count = len(entry.same_type_topics)
    those = f"{len(similar)} of {count} topics" if count > len(similar) else "topics"
    return (
        f"{entry.topic} has no publisher: start the camera, or remap it{example}; {those} of its"
        f" type that are published: {', '.join(similar)}"
    )


def nearest_topics(topic: str, others: Sequence[str]) -> list[str]:
    """Return at most five of the topics, those first whose names share most with this one."""

    def likeness(other: str) -> tuple[int, float]:
        shared = _words(topic) & _words(other)
        return len(shared), difflib.SequenceMatcher(None, topic, other).ratio()

    return sorted(sorted(others), key=likeness, reverse=True)[:_NAMED_TOPICS]


def _is_of_the_other_stream(event: str, topic: str) -> bool:
    """Tell whether a topic's name says depth where colour is wanted, or colour alone for depth."""
    words = _words(topic)
    if event.startswith("depth"):
        return "rgb" in words and "depth" not in words
    return "depth" in words


def _words(topic: str) -> set[str]:
    """Return a topic's words; drivers say color where others say rgb or image."""
    words = set(re.split(r"[/_]+", topic.lower()))
    return {{"color": "rgb", "colour": "rgb"}.get(word, word) for word in words if word}


def pairing_findings(
    pairing: PairingState,
    statistics: Statistics,
    topics: Mapping[str, str],
    mixed: Collection[str] = (),
) -> list[Finding]:
    """Say why images that come do not pair, or lose many of their kind.

    Args:
        pairing: how the stamps lie.
        statistics: for the rates of `colour`, `depth` and `paired`.
        topics: the full names of the topics `colour` and `depth`.
        mixed: those of them with several publishers, between whose stamps gaps say nothing.
    """
    found = _unset_stamps(pairing, topics) + _lost_images(pairing, topics, mixed)
    paces = (statistics.silent_after(event) for event in ("colour", "depth", "paired"))
    if pairing.unpaired_s > max(paces):
        if not any(finding.severity == "ERROR" for finding in found):
            found.append(Finding("WARN", _unpaired(pairing, topics)))
        return found
    paired = statistics.rate("paired")
    images = min(statistics.rate(stream) for stream in ("colour", "depth"))
    if 0 < paired < _FEW_PAIRS * images:
        text = (
            f"only {rate_text(paired)} of {rate_text(images)} images a second find a partner:"
            f" {_distance_text(pairing)}; {_slop_remedy(pairing)}"
        )
        found.append(Finding("WARN", text))
    elif paired > 0 and not found and abs(pairing.clock_offset_s or 0.0) > _FAR_APART:
        text = f"{_far_apart(pairing, topics)}; if it is the clocks, pairs are of different moments"
        found.append(Finding("WARN", text))
    return found


def _streams(pairing: PairingState) -> dict[str, StreamStamps]:
    streams = {"colour": pairing.colour, "depth": pairing.depth}
    return {name: stamps for name, stamps in streams.items() if stamps is not None}


def _unset_stamps(pairing: PairingState, topics: Mapping[str, str]) -> list[Finding]:
    found = []
    for stream, stamps in _streams(pairing).items():
        topic = topics.get(stream, stream)
        show = f"ros2 topic echo --field header.stamp {topic}"
        if stamps.is_zero:
            until = (
                "such images are paired by time of receipt"
                if pairing.is_by_receipt
                else "they do not pair"
            )
            text = (
                f"the stamps of {topic} are 0: {until}; have the driver or the converter of the bag"
                f" set header.stamp ({show})"
            )
            found.append(Finding("WARN" if pairing.is_by_receipt else "ERROR", text))
        elif stamps.stands_still:
            text = (
                f"the stamps of {topic} stand still at {stamps.newest_ns / 1e9:.3f} s, so that"
                " images do not pair: under use_sim_time the camera needs a running /clock"
                f" ({show})"
            )
            found.append(Finding("ERROR", text))
    return found


def _lost_images(
    pairing: PairingState, topics: Mapping[str, str], mixed: Collection[str]
) -> list[Finding]:
    return [
        Finding(
            "WARN",
            f"about {100 * stamps.missing:.0f} % of the images of {topics.get(stream, stream)} are"
            " missing by the gaps of their stamps: have the driver use config/fastdds.xml"
            " (FASTRTPS_DEFAULT_PROFILES_FILE) for large images, or transport:=compressed over a"
            " network",
        )
        for stream, stamps in _streams(pairing).items()
        if stamps.missing > _LARGEST_MISSING and stream not in mixed
    ]


def _unpaired(pairing: PairingState, topics: Mapping[str, str]) -> str:
    text = "colour and depth come, but their stamps do not pair"
    colour, depth, offset = pairing.colour, pairing.depth, pairing.clock_offset_s
    if colour is None or depth is None or offset is None or pairing.nearest_s is None:
        return f"{text} with a slop of {pairing.slop_s:g} s: {_show(topics)}"
    if abs(offset) > _ANOTHER_CLOCK and pairing.nearest_s <= pairing.slop_s:
        queue = math.ceil(1.5 * abs(offset) * _fastest(pairing))
        return f"{text}: {_far_apart(pairing, topics)}; for late images, queue_size:={queue}"
    if abs(offset) > _ANOTHER_CLOCK:
        return (
            f"{text}: they are of different clocks, {_duration(abs(offset))} apart"
            f" ({topics.get('colour', 'colour')} says {_instant(colour.newest_ns)},"
            f" {topics.get('depth', 'depth')} {_instant(depth.newest_ns)}); {_SYNCHRONISE}"
        )
    if colour.speed and depth.speed and abs(colour.speed - depth.speed) > _ANOTHER_SPEED:
        return (
            f"{text}: they are of different clocks, which drift apart (colour runs"
            f" {colour.speed:.2f} s a second, depth {depth.speed:.2f} s); {_SYNCHRONISE}"
        )
    return f"{text}: {_distance_text(pairing)}; {_slop_remedy(pairing)}; {_show(topics)}"


def _far_apart(pairing: PairingState, topics: Mapping[str, str]) -> str:
    """Say that stamps which come together are apart; nobody can tell the two causes by them."""
    offset = pairing.clock_offset_s or 0.0
    late, early = ("depth", "colour") if offset < 0 else ("colour", "depth")
    return (
        f"stamps of {topics.get(late, late)} are {_duration(abs(offset))} behind those of"
        f" {topics.get(early, early)} that come at the same time: either {late} comes so late, or"
        f" the clocks differ; {_SYNCHRONISE}"
    )


def _distance_text(pairing: PairingState) -> str:
    if pairing.nearest_s is None:
        return f"slop is {pairing.slop_s:g} s"
    return (
        f"nearest stamps are {_duration(pairing.nearest_s)} apart (median), slop is"
        f" {pairing.slop_s:g} s"
    )


def _slop_remedy(pairing: PairingState) -> str:
    """Name the slop that would do, rounded up to a hundredth of a second, or the queue."""
    within = pairing.within_s
    if within is not None and within > pairing.slop_s:
        wanted = math.ceil(100 * within + 1) / 100
        return (
            f"slop:={wanted:.2f} would pair them (what moves is then out of place by as much);"
            " better, have the driver synchronise its streams and run both at one rate"
        )
    late, rate = abs(pairing.clock_offset_s or 0.0), _fastest(pairing)
    if late * rate > 1:
        return (
            f"these fit, but {'depth' if (pairing.clock_offset_s or 0) < 0 else 'colour'} comes"
            f" {_duration(late)} after its partner: queue_size:={math.ceil(1.5 * late * rate)}"
            " keeps images that long"
        )
    fit = "these fit, so images get lost: " if within is not None else ""
    return f"{fit}compare the rates (ros2 topic hz) with the camera's"


def _fastest(pairing: PairingState) -> float:
    return max((stamps.rate_hz for stamps in _streams(pairing).values()), default=0.0)


def _show(topics: Mapping[str, str]) -> str:
    names = [topics.get(stream, f"<{stream}>") for stream in ("colour", "depth")]
    return f"compare ros2 topic echo --field header.stamp {names[0]} with {names[1]}"


def _instant(stamp_ns: int) -> str:
    if stamp_ns < _FIRST_DATE_NS:
        return f"{stamp_ns / 1e9:.3f} s since some start"
    when = datetime.fromtimestamp(stamp_ns // 10**9, tz=timezone.utc)
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def _duration(seconds: float) -> str:
    if seconds < 0.1:
        return f"{1e3 * seconds:.0f} ms"
    for unit, length in (("years", 365.25 * 86400), ("days", 86400), ("hours", 3600)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(sorted({name for name in names if name})) or "a publisher"
