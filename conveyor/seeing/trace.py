"""The trace of a run, as a file that Perfetto and chrome://tracing read.

The format is Chrome's "Trace Event Format" in JSON. Every worker has a track, which is a thread of
its process there. A track has slices: the batches that the worker answered, the items among them
that took long, and the times in which it waited for room. Arrows lead from the slice that sent a
batch to the slice that took it. Counters tell how many items waited, and how wide forks were.
"""

from __future__ import annotations

import json
import os
import platform
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, count
from typing import Any

from conveyor.engines.tape import LIMIT, Lane, Span, Traced
from conveyor.flow.batch import Path

Event = dict[str, Any]

_ORDER = {"E": 0, "X": 1, "i": 2, "C": 3, "s": 4, "f": 5, "B": 6}
"""Of what is at the same time, that goes first which others refer to."""


def chrome_trace(traced: Traced, *, began: int, ended: int, error: BaseException | None) -> bytes:
    """A trace file.

    Args:
        traced: what is known of the run.
        began: when it began, in nanoseconds of ``perf_counter_ns``.
        ended: when it ended.
        error: what it ended with, if it failed.
    """
    events = _events(traced, began, ended, error)
    head = {"displayTimeUnit": "ms", "otherData": _about(traced)}
    lines = ",\n".join(map(json.JSONEncoder(separators=(",", ":")).encode, events))
    return f'{json.dumps(head)[:-1]}, "traceEvents": [\n{lines}\n]}}\n'.encode()


def _about(traced: Traced) -> Event:
    from conveyor import __version__

    left_out = {
        traced.lanes[tape.worker].name: tape.left_out for tape in traced.tapes if tape.left_out
    }
    return {
        "written by": f"conveyor {__version__}",
        "python": platform.python_version(),
        "limit": f"{LIMIT} spans for each worker: the first half and the last",
        "spans left out": left_out,
    }


def _events(traced: Traced, began: int, ended: int, error: BaseException | None) -> list[Event]:
    slices = _slices(traced)
    arrows = list(_arrows(traced, slices))
    origin = min([began, *(one.span.start for one in slices)])
    last = max((tape.pid for tape in traced.tapes), default=os.getpid())
    pipes = last + 1  # no process has this number on the same picture
    events = [*_shown(traced, slices), *_gaps(traced), *_drawn(arrows)]
    if traced.has_pipes:
        events += _filled(traced, arrows, pipes)
        events += _widths(traced, began, pipes)
    if error is not None:
        text = {"error": str(error)}
        events.append(
            {"ph": "i", "name": type(error).__name__, "ts": ended, "s": "g", "args": text}
            | {"cat": "failure", "pid": os.getpid(), "tid": 1}
        )
    events.sort(key=lambda event: (event["ts"], _ORDER[event["ph"]], -event.get("dur", 0)))
    for event in events:
        event["ts"] = (event["ts"] - origin) / 1000
        if "dur" in event:
            event["dur"] /= 1000
    return [*_names(traced, pipes), *events]


# -- tracks --


def _names(traced: Traced, pipes: int) -> Iterator[Event]:
    """What the processes and the workers in them are called, and in what order they stand."""
    elements: defaultdict[int, dict[str, None]] = defaultdict(dict)
    for tape in sorted(traced.tapes, key=lambda tape: tape.worker):
        lane = traced.lanes[tape.worker]
        elements[tape.pid][lane.element] = None
        yield _named(tape.pid, tape.worker + 1, "thread_name", name=lane.name)
        yield _named(tape.pid, tape.worker + 1, "thread_sort_index", sort_index=tape.worker)
    for place, (pid, names) in enumerate(elements.items()):
        name = "caller" if pid == os.getpid() else "worker"
        yield _named(pid, 0, "process_name", name=f"{name}: {', '.join(names)}")
        yield _named(pid, 0, "process_sort_index", sort_index=place)
    if traced.has_pipes:
        yield _named(pipes, 0, "process_name", name="pipes and forks")
        yield _named(pipes, 0, "process_sort_index", sort_index=len(elements))


def _named(pid: int, tid: int, what: str, **args: object) -> Event:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": args}


@dataclass(frozen=True, slots=True)
class _Slice:
    """A batch that a worker answered."""

    pid: int
    worker: int
    span: Span

    @property
    def track(self) -> Event:
        """Where it is."""
        return {"pid": self.pid, "tid": self.worker + 1}


def _slices(traced: Traced) -> list[_Slice]:
    return [_Slice(tape.pid, tape.worker, span) for tape in traced.tapes for span in tape.spans]


def _shown(traced: Traced, slices: Iterable[_Slice]) -> Iterator[Event]:
    unit = "batch" if traced.has_pipes else "item"
    for one in slices:
        kind, start, end, path, items = one.span
        args: Event = {unit: _address(path)} if path else {}
        if kind == "batch" and traced.has_pipes:
            args["items"] = items
        event: Event = {
            "name": _title(one.span, unit),
            "cat": kind,
            "ts": start,
            **one.track,
            "args": args,
        }
        end = max(end, start + 1)
        if kind in {"batch", "setup"}:
            yield {"ph": "X", **event, "dur": end - start}
        else:
            # What is inside of another slice ends explicitly. Perfetto would let an arrow that
            # starts behind it start in it.
            yield {"ph": "B", **event}
            yield {"ph": "E", **event, "ts": end}


def _title(span: Span, unit: str) -> str:
    """What stands on a slice. A batch has one name, and so one colour, on all tracks."""
    match span.kind:
        case "batch":
            return f"{unit} {span.path[0] >> 1}"
        case "item":
            return f"item {span.items}"
        case "blocked":
            return "waits for room"
        case "setup":
            return "setup"


def _address(path: Path) -> str:
    """A path as people write it: ``7.0``."""
    return ".".join(str(component >> 1) for component in path)


def _gaps(traced: Traced) -> Iterator[Event]:
    for tape in traced.tapes:
        if tape.left_out:
            start, end = tape.gap
            yield {
                "ph": "X",
                "name": f"{tape.left_out} spans left out",
                "cat": "left out",
                "ts": start,
                "dur": max(1, end - start),
                "pid": tape.pid,
                "tid": tape.worker + 1,
                "args": {},
            }


# -- arrows --


@dataclass(frozen=True, slots=True)
class _Arrow:
    """The way of a batch from one worker to another, and when it was sent."""

    source: _Slice
    target: _Slice
    sent: int


class _Sent:
    """The batches that one worker answered, by their addresses."""

    def __init__(self) -> None:
        self._exact: defaultdict[Path, list[_Slice]] = defaultdict(list)
        self._below: defaultdict[Path, list[_Slice]] = defaultdict(list)

    def add(self, one: _Slice) -> None:
        path = one.span.path
        self._exact[path].append(one)
        for length in range(1, len(path)):
            self._below[path[:length]].append(one)

    def before(self, target: _Slice) -> tuple[int, _Slice] | None:
        """What the target came from, and how much of the address is the same."""
        path = target.span.path
        for length in range(len(path), 0, -1):
            if found := _earlier(self._exact.get(path[:length], ()), target):
                return length, max(found, key=lambda one: one.span.start)
        return None

    def parts(self, target: _Slice) -> list[_Slice]:
        """What was put together to the target."""
        return _earlier(self._below.get(target.span.path, ()), target)


def _earlier(slices: Iterable[_Slice], target: _Slice) -> list[_Slice]:
    return [one for one in slices if one.span.start <= target.span.start]


def _arrows(traced: Traced, slices: Sequence[_Slice]) -> Iterator[_Arrow]:
    batches = [one for one in slices if one.span.kind == "batch"]
    sent: defaultdict[int, _Sent] = defaultdict(_Sent)
    for one in batches:
        sent[one.worker].add(one)
    waits = _waits(slices)
    for target in batches:
        for source in _sources(traced.lanes[target.worker], sent, target):
            yield _Arrow(source, target, _time_of_sending(source, target, waits[source.worker]))


def _waits(slices: Iterable[_Slice]) -> defaultdict[int, list[Span]]:
    """When each worker waited for room, in order."""
    waits: defaultdict[int, list[Span]] = defaultdict(list)
    for one in slices:
        if one.span.kind == "blocked":
            waits[one.worker].append(one.span)
    for spans in waits.values():
        spans.sort(key=_start)
    return waits


def _start(span: Span) -> int:
    return span.start


def _time_of_sending(source: _Slice, target: _Slice, waits: Sequence[Span]) -> int:
    """At the end of the work, or before, where that went on or another branch had no room yet."""
    sent = min(source.span.end - 1, target.span.start)
    place = bisect_right(waits, sent, key=_start)
    if place and waits[place - 1].end > sent:
        sent = waits[place - 1].start - 1
    return max(source.span.start, sent)


def _sources(lane: Lane, sent: Mapping[int, _Sent], target: _Slice) -> list[_Slice]:
    """The slices that a batch came from: one, unless a join gathers what several sent."""
    senders = [sent[number] for number in lane.senders if number in sent]
    exact = [found for one in senders if (found := one.before(target)) is not None]
    if lane.gathers:
        return [one for _, one in exact] + [part for one in senders for part in one.parts(target)]
    # Of two that could be, it came from the one whose address is closer, or the later one.
    best = max(exact, key=lambda found: (found[0], found[1].span.start), default=None)
    return [] if best is None else [best[1]]


def _drawn(arrows: Sequence[_Arrow]) -> Iterator[Event]:
    for number, arrow in zip(count(1), arrows, strict=False):
        same: Event = {"name": "batch", "cat": "way", "id": number}
        yield {"ph": "s", **same, "ts": arrow.sent, **arrow.source.track}
        taken = arrow.target.span.start
        yield {"ph": "f", "bp": "e", **same, "ts": taken, **arrow.target.track}


# -- counters --


def _filled(traced: Traced, arrows: Iterable[_Arrow], pid: int) -> Iterator[Event]:
    """How many items had been sent to an element, and not taken, over the time."""
    sent: dict[_Slice, int] = {}
    for arrow in arrows:
        sent[arrow.target] = max(sent.get(arrow.target, 0), arrow.sent)
    changes: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for target, since in sent.items():
        element = traced.lanes[target.worker].element
        span = target.span
        changes[element] += [(since, span.items), (span.start, -span.items)]
    for element, steps in changes.items():
        steps.sort()
        totals = accumulate(step for _, step in steps)
        for (when, _), items in zip(steps, totals, strict=True):
            yield _counted(f"waiting for {element}", when, pid, items=max(0, items))


def _widths(traced: Traced, began: int, pid: int) -> Iterator[Event]:
    for fork, widths in traced.widths.items():
        for width in widths:
            when = began + int(width.since * 1e9)
            yield _counted(f"width of {fork}", when, pid, branches=width.width)


def _counted(name: str, when: int, pid: int, **values: int) -> Event:
    return {"ph": "C", "name": name, "cat": "counter", "ts": when, "pid": pid, "args": values}
