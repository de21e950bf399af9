"""What is known of the node at one moment: all that diagnostics use.

The node fills a `NodeState` for each report. What is said of it is in `rules`, `input_rules` and
`stamp_rules`; the message is made in `message`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fafnet_ros.diagnostics.memory import MemoryState
from fafnet_ros.diagnostics.statistics import Figures

REPORT_EVERY = 1.0
"""Seconds between two reports."""


@dataclass(frozen=True)
class Finding:
    """One thing worth saying, and how bad it is.

    Attributes:
        severity: `OK` (information), `IDLE` (no fault, but nothing is segmented), `WARN` or
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
        publishers: who publishes there, messages of any type.
        is_deaf: it asks for reliable, but a publisher of our type offers only best effort.
        are_several_heard: messages come of several publishers; None where nobody can tell.
        same_type_topics: other topics with publishers of our type; looked for when silent.
        published_s: seconds for which a publisher of our type has been there to be heard.
    """

    event: str
    name: str
    topic: str
    type_name: str
    reliability: str
    publishers: tuple[PublisherState, ...]
    is_deaf: bool
    are_several_heard: bool | None
    same_type_topics: tuple[str, ...]
    published_s: float


@dataclass(frozen=True, kw_only=True)
class StreamStamps:
    """One stream's last stamps.

    Attributes:
        newest_ns: the latest stamp, in nanoseconds.
        is_zero: all of them are 0: nobody set them.
        stands_still: all of them are the same, and not 0.
        lost: about what share of the images did not arrive, by gaps that are longer than others; it
            says nothing of stamps that are not regular, as those given on receipt.
    """

    newest_ns: int
    is_zero: bool
    stands_still: bool
    lost: float


@dataclass(frozen=True, kw_only=True)
class StampState:
    """How far apart the two streams' stamps are; None: too few came to say.

    Attributes:
        colour: the colour stream's stamps.
        depth: the depth stream's.
        nearest_s: median distance of an image of the slower stream to the nearest of the other.
        within_s: the distance that nine in ten of those stay below.
        clock_offset_s: how far depth stamps are ahead of colour stamps received at the same time.
    """

    colour: StreamStamps | None = None
    depth: StreamStamps | None = None
    nearest_s: float | None = None
    within_s: float | None = None
    clock_offset_s: float | None = None


@dataclass(frozen=True)
class SaidOfFrame:
    """What was said last of a frame, and the event under which such frames are counted."""

    text: str = ""
    event: str = ""


@dataclass(frozen=True, kw_only=True)
class FrameInWork:
    """The frame that has been in work longest.

    Attributes:
        stage: `hha` or `network`.
        seconds: for which it has been.
        limit_s: when the process is ended; 0: never.
    """

    stage: str
    seconds: float
    limit_s: float


@dataclass(frozen=True, kw_only=True)
class ActiveState:
    """What only an active node has.

    Attributes:
        active_s: seconds since activation.
        inputs: the inputs that have to be heard.
        stamps: how the stamps of colour and depth lie.
        slop_s: the parameter `slop`.
        pairing_counts: what the synchroniser counted since activation.
        refusal: why a frame gave no labels (sizes, calibration, an exception), and the remedy.
        doubt: why labels may be wrong (depth that may not be registered), and the remedy.
        missing: what the sources of transforms and of gravity lack, with the remedy.
        max_latency_s: the parameter `max_latency`.
        in_work: the frame that has been in work longest.
        memory: of the device that the network runs on; None where it is unknown.
    """

    active_s: float
    inputs: tuple[InputState, ...]
    stamps: StampState
    slop_s: float
    pairing_counts: Mapping[str, int]
    refusal: SaidOfFrame
    doubt: SaidOfFrame
    missing: tuple[str, ...]
    max_latency_s: float
    in_work: FrameInWork
    memory: MemoryState | None

    def topic(self, event: str) -> str:
        """Return the full name of an image stream's topic."""
        return next(entry.topic for entry in self.inputs if entry.event == event)


@dataclass(frozen=True, kw_only=True)
class NodeState:
    """Everything that diagnostics read.

    Attributes:
        name: the node's full name.
        namesakes: how many nodes have this name, this one included.
        lifecycle: its state: unconfigured, inactive, active or finalized.
        failure: why the last transition failed; empty if it succeeded.
        network: what is loaded, as keys and values: `checkpoint`, and `label set` where it is.
        device: what the network runs on and in which precision; `none` without a network.
        gpu_was_full: it runs on the CPU because of that.
        figures: what it counted and measured since its start.
        active: what an active node has besides; None while it is not.
    """

    name: str
    namesakes: int
    lifecycle: str
    failure: str
    network: Mapping[str, str]
    device: str
    gpu_was_full: bool
    figures: Figures
    active: ActiveState | None
