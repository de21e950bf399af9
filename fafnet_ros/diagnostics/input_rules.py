"""Inputs that bring nothing, and why, and what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from fafnet_ros.diagnostics.state import Finding, InputState
from fafnet_ros.diagnostics.statistics import Figures

_NAMED_TOPICS = 5

_RAW = "sensor_msgs/msg/Image"
_COMPRESSED = "sensor_msgs/msg/CompressedImage"


def input_findings(inputs: Sequence[InputState], figures: Figures) -> list[Finding]:
    """Name each silent input with the reason, and each that several publishers write to."""
    found = []
    for entry in inputs:
        event = figures.event(entry.event)
        if event.is_silent:
            found.append(_silent(entry, event.silent_after_s))
        # One that was killed counts as a publisher for some time; it is heard no more.
        elif len(entry.publishers) > 1 and entry.are_several_heard is not False:
            nodes = _listed([publisher.node for publisher in entry.publishers])
            text = (
                f"{entry.topic} has {len(entry.publishers)} publishers ({nodes}), whose messages"
                " mix: stop all but one, or give each camera a namespace of its own"
            )
            found.append(Finding("WARN", text))
    return found


def _silent(entry: InputState, silent_after: float) -> Finding:
    ours = [p for p in entry.publishers if p.type_name == entry.type_name]
    if entry.is_deaf:
        return Finding("ERROR", _deaf(entry))
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


def _deaf(entry: InputState) -> str:
    """Say on whose side the reliability does not fit, and which side to change."""
    offers = [
        publisher.node
        for publisher in entry.publishers
        if publisher.type_name == entry.type_name and publisher.reliability != "reliable"
    ]
    return (
        f"{entry.topic}: {_listed(offers)} offers reliability best_effort, this node asks for"
        f" {entry.reliability}, so it hears nothing: set reliability:=auto here, or have the"
        f" publisher offer reliable (ros2 topic info -v {entry.topic} shows both sides)"
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
    similar = _nearest_topics(entry.topic, entry.same_type_topics)
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


def _nearest_topics(topic: str, others: Sequence[str]) -> list[str]:
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


def _listed(names: Sequence[str]) -> str:
    return ", ".join(sorted({name for name in names if name})) or "a publisher"
