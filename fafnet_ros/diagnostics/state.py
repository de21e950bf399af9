"""The node's state as plain data: what the sentences of the rules are made from.

How the stamps of colour and depth lie is in `fafnet_ros.inputs.stamps`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing worth saying, and how bad it is.

    Attributes:
        severity: `OK` (good to know), `IDLE` (no fault, but nothing is segmented), `WARN` or
            `ERROR`.
        text: the sentence.
    """

    severity: str
    text: str


@dataclass(frozen=True, kw_only=True)
class PublisherState:
    """A publisher on an input's topic: its node's full name, what it offers, what it sends."""

    node: str
    reliability: str
    durability: str
    type_name: str


@dataclass(frozen=True, kw_only=True)
class InputState:
    """An input as the ROS graph shows it.

    Attributes:
        event: the name under which its messages are counted.
        name: the topic before remapping, as the left side of a remapping has it.
        topic: its full name.
        type_name: the message type that we read.
        reliability: what our subscription asks for: `reliable` or `best_effort`.
        publishers: who publishes there, messages of whatever type.
        unfit_policy: the QoS policy that keeps us from hearing a publisher, or None.
        same_type_topics: other topics with publishers of our type; looked for when silent.
        published_s: seconds for which a publisher of our type has been there to be heard.
    """

    event: str
    name: str
    topic: str
    type_name: str
    reliability: str = "reliable"
    publishers: tuple[PublisherState, ...] = ()
    unfit_policy: str | None = None
    same_type_topics: tuple[str, ...] = ()
    published_s: float = math.inf


@dataclass(frozen=True, kw_only=True)
class FrameState:
    """What the pipeline said of the last frames; empty for nothing.

    Attributes:
        refusal: why the last frames gave no labels (sizes, encodings, calibration, an exception),
            and the remedy.
        doubt: why labels may be wrong (depth that may not be registered), and the remedy.
    """

    refusal: str = ""
    doubt: str = ""


@dataclass(frozen=True, kw_only=True)
class LoadState:
    """How the load control stands; seconds, 0 for no limit.

    Attributes:
        max_latency_s: the parameter `max_latency`.
    """

    max_latency_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class MemoryState:
    """A device's memory in bytes: used by this process, and free and in all for everybody."""

    device: str
    used: int
    free: int | None = None
    total: int | None = None
