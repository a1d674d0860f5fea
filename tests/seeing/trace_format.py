"""Reads a trace as strictly as the description of its format allows.

The format is the "Trace Event Format" of Chrome. What reads traces forgives much, so this holds
what is written there: the fields of each kind of event, that times do not go back, that slices of
a track nest, that arrows start and end in slices, and that tracks have names.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NEEDED = {
    "M": {"name", "pid", "tid", "args"},
    "X": {"name", "cat", "ts", "dur", "pid", "tid", "args"},
    "B": {"name", "cat", "ts", "pid", "tid", "args"},
    "E": {"name", "cat", "ts", "pid", "tid", "args"},
    "C": {"name", "cat", "ts", "pid", "args"},
    "s": {"name", "cat", "id", "ts", "pid", "tid"},
    "f": {"name", "cat", "id", "ts", "pid", "tid", "bp"},
    "i": {"name", "cat", "ts", "s", "pid", "tid", "args"},
}
"""The fields of each kind of event, besides `ph`: these, and no others."""

METADATA = {
    "process_name": {"name": str},
    "process_sort_index": {"sort_index": int},
    "thread_name": {"name": str},
    "thread_sort_index": {"sort_index": int},
}


@dataclass(frozen=True)
class Slice:
    """A time in a track."""

    track: str
    name: str
    kind: str
    start: float
    end: float
    args: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Trace:
    """What a trace shows."""

    slices: list[Slice]
    arrows: list[tuple[Slice, Slice]]
    counters: dict[str, list[tuple[float, int]]]
    instants: list[dict[str, Any]]
    processes: dict[int, str]
    about: dict[str, Any]

    def of(self, track: str, kind: str = "batch") -> list[Slice]:
        return [one for one in self.slices if (one.track, one.kind) == (track, kind)]

    def ways(self) -> Counter[tuple[str, str]]:
        """How many arrows lead from which track to which."""
        return Counter((source.track, target.track) for source, target in self.arrows)


def read(path: Path) -> Trace:
    """A trace, once it has been found to be well-formed."""
    document = json.loads(path.read_bytes())
    assert document["displayTimeUnit"] in ("ms", "ns")
    assert set(document) == {"displayTimeUnit", "otherData", "traceEvents"}
    events = document["traceEvents"]
    for event in events:
        check_fields(event)
    timed = [event for event in events if event["ph"] != "M"]
    assert events[len(events) - len(timed) :] == timed, "names come first"
    assert [e["ts"] for e in timed] == sorted(e["ts"] for e in timed)
    names, processes = tracks(events)
    slices = {key: nested(names[key], found) for key, found in by_track(timed).items()}
    return Trace(
        [one for found in slices.values() for one in found],
        arrows(timed, slices),
        counters(timed, processes),
        [event for event in timed if event["ph"] == "i"],
        processes,
        document["otherData"],
    )


def check_fields(event: dict[str, Any]) -> None:
    assert set(event) == NEEDED[event["ph"]] | {"ph"}, event
    assert isinstance(event["name"], str)
    assert event["name"]
    assert type(event["pid"]) is int
    assert event["pid"] > 0
    if "tid" in event:
        assert type(event["tid"]) is int
        assert event["tid"] >= 0
    if "ts" in event:
        assert isinstance(event["ts"], (int, float))
        assert event["ts"] >= 0
        assert isinstance(event["cat"], str)
        assert event["cat"]
    match event["ph"]:
        case "M":
            types = METADATA[event["name"]]
            assert {key: type(value) for key, value in event["args"].items()} == types
        case "X":
            assert event["dur"] > 0
        case "C":
            assert event["args"]
            assert all(type(value) is int and value >= 0 for value in event["args"].values())
        case "f":
            assert event["bp"] == "e"
        case "i":
            assert event["s"] in ("g", "p", "t")


def tracks(events: list[dict[str, Any]]) -> tuple[dict[tuple[int, int], str], dict[int, str]]:
    """The names of the tracks and of the processes; each is named once."""
    found: dict[str, dict[Any, str]] = {"thread_name": {}, "process_name": {}}
    for event in events:
        if event["ph"] == "M" and event["name"] in found:
            is_thread = event["name"] == "thread_name"
            key = (event["pid"], event["tid"]) if is_thread else event["pid"]
            assert key not in found[event["name"]]
            found[event["name"]][key] = event["args"]["name"]
    threads, processes = found["thread_name"], found["process_name"]
    assert {pid for pid, _ in threads} <= set(processes)
    return threads, processes


def by_track(timed: list[dict[str, Any]]) -> dict[tuple[int, int], list[dict[str, Any]]]:
    found = defaultdict(list)
    for event in timed:
        if event["ph"] in "XBE":
            found[event["pid"], event["tid"]].append(event)
    return found


def nested(track: str, events: list[dict[str, Any]]) -> list[Slice]:
    """The slices of a track, which lie side by side or one inside the other."""
    slices: list[Slice] = []
    open_: list[tuple[dict[str, Any], float]] = []
    slack = 0.001  # times are in microseconds, as floats, of whole nanoseconds
    for event in events:
        while open_ and open_[-1][1] <= event["ts"] + slack and open_[-1][0]["ph"] == "X":
            open_.pop()
        end = event["ts"]
        if event["ph"] == "E":
            began, _ = open_.pop()
            assert began["ph"] == "B"
            assert (began["name"], began["cat"]) == (event["name"], event["cat"])
            slices.append(made(track, began, end))
            continue
        if event["ph"] == "X":
            end += event["dur"]
            assert all(end <= until + slack for _, until in open_), (track, event, open_)
            slices.append(made(track, event, end))
        open_.append((event, end if event["ph"] == "X" else float("inf")))
    assert all(event["ph"] == "X" for event, _ in open_), "something never ends"
    return slices


def made(track: str, event: dict[str, Any], end: float) -> Slice:
    args = tuple(sorted(event["args"].items()))
    return Slice(track, event["name"], event["cat"], event["ts"], end, args)


def arrows(
    timed: list[dict[str, Any]], slices: dict[tuple[int, int], list[Slice]]
) -> list[tuple[Slice, Slice]]:
    """Each arrow with the batches that it leads from and to."""
    ends: defaultdict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
    for event in timed:
        if event["ph"] in "sf":
            assert event["ph"] not in ends[event["id"]]
            ends[event["id"]][event["ph"]] = event
    found = []
    for both in ends.values():
        assert set(both) == {"s", "f"}
        start, end = both["s"], both["f"]
        assert start["ts"] <= end["ts"]
        assert (start["name"], start["cat"]) == (end["name"], end["cat"])
        found.append(tuple(around(slices[e["pid"], e["tid"]], e["ts"]) for e in (start, end)))
    return found


def around(slices: list[Slice], when: float) -> Slice:
    """The batch that goes on at a time; there is one at a time in a track."""
    (found,) = [one for one in slices if one.kind == "batch" and one.start <= when < one.end]
    return found


def counters(
    timed: list[dict[str, Any]], processes: dict[int, str]
) -> dict[str, list[tuple[float, int]]]:
    found: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for event in timed:
        if event["ph"] == "C":
            assert event["pid"] in processes
            ((_, value),) = event["args"].items()
            found[event["name"]].append((event["ts"], value))
    return dict(found)
