"""Images that come but do not pair, or lose many of their kind: why, and what to do."""

from __future__ import annotations

import math
from datetime import datetime, timezone

from fafnet_ros.diagnostics.state import ActiveState, Finding
from fafnet_ros.diagnostics.statistics import Figures, rate_text

_ANOTHER_CLOCK = 1.0
"""Seconds between stamps that came at the same time from which they are of different clocks."""

_FIRST_DATE_NS = 10**18
"""Stamps below this (the year 2001) do not count from 1970."""

_FAR_APART = 0.3
"""Seconds between stamps that come at the same time from which that is worth a warning."""

_FEW_PAIRS = 0.5
_UNEVEN = 0.75
"""Share of the colour images with a depth image below which the rates are worth a word."""

_MANY_LOST = 0.4

_SYNCHRONISE = (
    "have the driver stamp both by the computer's clock (several computers: run chrony; bags:"
    " use_sim_time for all nodes or none)"
)


def stamp_findings(active: ActiveState, figures: Figures) -> list[Finding]:
    """Say why images that come do not pair; both streams have to come."""
    found = _unset_stamps(active)
    colour, depth, paired = (figures.event(event) for event in ("colour", "depth", "paired"))
    # There was nothing to pair before both came.
    unpaired_s = min(paired.age_s, active.active_s, colour.lasting_s, depth.lasting_s)
    if unpaired_s > max(event.silent_after_s for event in (colour, depth, paired)):
        if not any(finding.severity == "ERROR" for finding in found):
            found.append(Finding("WARN", _unpaired(active, figures)))
        return found
    images_hz = min(colour.rate_hz, depth.rate_hz)
    if 0 < paired.rate_hz < _FEW_PAIRS * images_hz:
        text = (
            f"only {rate_text(paired.rate_hz)} of {rate_text(images_hz)} images a second find a"
            f" partner: {_distance_text(active)}; {_slop_remedy(active, figures)}"
        )
        found.append(Finding("WARN", text))
    elif 0 < paired.rate_hz < _UNEVEN * colour.rate_hz and depth.rate_hz < _UNEVEN * colour.rate_hz:
        text = (
            f"{rate_text(colour.rate_hz - paired.rate_hz)} of {rate_text(colour.rate_hz)} colour"
            f" images a second have no depth image and get no labels: {active.topic('depth')} comes"
            f" at {rate_text(depth.rate_hz)} Hz; run both streams at one rate"
        )
        found.append(Finding("OK", text))
    elif paired.rate_hz > 0 and not found and abs(active.stamps.clock_offset_s or 0) > _FAR_APART:
        text = f"{_far_apart(active)}; if it is the clocks, pairs are of different moments"
        found.append(Finding("WARN", text))
    return found


def _unset_stamps(active: ActiveState) -> list[Finding]:
    """Name the streams whose stamps are 0 or stand still."""
    found = []
    for name, stamps in (("colour", active.stamps.colour), ("depth", active.stamps.depth)):
        topic = active.topic(name)
        show = f"ros2 topic echo --field header.stamp {topic}"
        if stamps is not None and stamps.is_zero:
            text = (
                f"the stamps of {topic} are 0: such images are paired by time of receipt; have the"
                f" driver or the converter of the bag set header.stamp ({show})"
            )
            found.append(Finding("WARN", text))
        elif stamps is not None and stamps.stands_still:
            text = (
                f"the stamps of {topic} stand still at {stamps.newest_ns / 1e9:.3f} s, so that"
                " images do not pair: under use_sim_time the camera needs a running /clock"
                f" ({show})"
            )
            found.append(Finding("ERROR", text))
    return found


def _unpaired(active: ActiveState, figures: Figures) -> str:
    text = "colour and depth come, but their stamps do not pair"
    stamps = active.stamps
    show = (
        f"compare ros2 topic echo --field header.stamp {active.topic('colour')} with"
        f" {active.topic('depth')}"
    )
    colour, depth, offset = stamps.colour, stamps.depth, stamps.clock_offset_s
    if colour is None or depth is None or offset is None or stamps.nearest_s is None:
        return f"{text} with a slop of {active.slop_s:g} s: {show}"
    if abs(offset) > _ANOTHER_CLOCK and stamps.nearest_s <= active.slop_s:
        queue = _queue(offset, figures)
        return f"{text}: {_far_apart(active)}; for late images, queue_size:={queue}"
    if abs(offset) > _ANOTHER_CLOCK:
        return (
            f"{text}: they are of different clocks, {_duration(abs(offset))} apart"
            f" ({active.topic('colour')} says {_instant(colour.newest_ns)},"
            f" {active.topic('depth')} {_instant(depth.newest_ns)}); {_SYNCHRONISE}"
        )
    return f"{text}: {_distance_text(active)}; {_slop_remedy(active, figures)}; {show}"


def _far_apart(active: ActiveState) -> str:
    """Say that stamps which come together are apart; nobody can tell the two causes by them."""
    offset = active.stamps.clock_offset_s or 0.0
    late, early = ("depth", "colour") if offset < 0 else ("colour", "depth")
    return (
        f"stamps of {active.topic(late)} are {_duration(abs(offset))} behind those of"
        f" {active.topic(early)} that come at the same time: either {late} comes so late, or"
        f" the clocks differ; {_SYNCHRONISE}"
    )


def _distance_text(active: ActiveState) -> str:
    nearest_s = active.stamps.nearest_s
    if nearest_s is None:
        return f"slop is {active.slop_s:g} s"
    return f"nearest stamps are {_duration(nearest_s)} apart (median), slop is {active.slop_s:g} s"


def _slop_remedy(active: ActiveState, figures: Figures) -> str:
    """Name what loses images, or the slop that would do (rounded up to 0.01 s), or the queue."""
    within, offset = active.stamps.within_s, active.stamps.clock_offset_s or 0.0
    streams = {"colour": active.stamps.colour, "depth": active.stamps.depth}
    lossy = [name for name, stamps in streams.items() if stamps and stamps.lost > _MANY_LOST]
    if lossy:
        return (
            f"by the gaps of their stamps, images of {' and '.join(map(active.topic, lossy))} get"
            " lost: have the driver use config/fastdds.xml (FASTRTPS_DEFAULT_PROFILES_FILE) for"
            " large images, or transport:=compressed over a network"
        )
    if within is not None and within > active.slop_s:
        wanted = math.ceil(100 * within + 1) / 100
        return (
            f"slop:={wanted:.2f} would pair them (what moves is then out of place by as much);"
            " better, have the driver synchronise its streams and run both at one rate"
        )
    if abs(offset) * _fastest(figures) > 1:
        return (
            f"these fit, but {'depth' if offset < 0 else 'colour'} comes"
            f" {_duration(abs(offset))} after its partner: queue_size:={_queue(offset, figures)}"
            " keeps images that long"
        )
    return "compare the rates (ros2 topic hz) with the camera's"


def _queue(offset_s: float, figures: Figures) -> int:
    return math.ceil(1.5 * abs(offset_s) * _fastest(figures))


def _fastest(figures: Figures) -> float:
    return max(figures.event(stream).rate_hz for stream in ("colour", "depth"))


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
