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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, count, groupby
from operator import attrgetter
from typing import NamedTuple

from conveyor.engines.tape import LIMIT, Kind, Span, Tape
from conveyor.engines.traced import Lane, Traced
from conveyor.flow.batch import Path

_ENDS, _LASTS, _INSTANT, _COUNTS, _SENDS, _TAKES, _BEGINS = range(7)
"""Of what is at the same time, that goes first which others refer to."""


class _Event(NamedTuple):
    """One event; they are written in the order in which these sort.

    Attributes:
        time: nanoseconds from the start.
        order: its place among those of the same time.
        shorter: the longer it lasts, the less: what is inside of another comes after it.
        text: its JSON.
    """

    time: int
    order: int
    shorter: int
    text: str


def chrome_trace(traced: Traced, *, began: int, ended: int, error: BaseException | None) -> bytes:
    """A trace file.

    Args:
        traced: what is known of the run.
        began: when it began, in nanoseconds of ``perf_counter_ns``.
        ended: when it ended.
        error: what it ended with, if it failed.
    """
    spans = [(tape, span) for tape in traced.tapes for span in tape.spans]
    # What was set up for the run, was before it began.
    origin = min([began, *(span.start for _, span in spans)])
    slices = _slices(spans, origin)
    pipes = max((tape.pid for tape in traced.tapes), default=os.getpid()) + 1
    events = [*_shown(traced, slices), *_gaps(traced, origin)]
    arrows = list(_arrows(traced, slices))
    events += _drawn(arrows)
    if traced.has_pipes:
        events += _filled(traced, arrows, pipes)
        events += _widths(traced, began - origin, pipes)
    if error is not None:
        events.append(_failed(error, ended - origin))
    events.sort()
    head = json.dumps({"displayTimeUnit": "ms", "otherData": _about(traced)})
    lines = ",\n".join((*_names(traced, pipes), *(event.text for event in events)))
    return f'{head[:-1]}, "traceEvents": [\n{lines}\n]}}\n'.encode()


def _about(traced: Traced) -> dict[str, object]:
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


def _failed(error: BaseException, when: int) -> _Event:
    text = json.dumps(
        {"ph": "i", "name": type(error).__name__, "cat": "failure", "ts": when / 1000, "s": "g"}
        | {"pid": os.getpid(), "tid": 1, "args": {"error": str(error)}}
    )
    return _Event(when, _INSTANT, 0, text)


# -- tracks --


def _names(traced: Traced, pipes: int) -> Iterator[str]:
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


def _named(pid: int, tid: int, what: str, **args: object) -> str:
    return json.dumps({"ph": "M", "name": what, "pid": pid, "tid": tid, "args": args})


class _Slice(NamedTuple):
    """A time in which a worker did one thing: a `Span`, its times from the start of the run."""

    number: int
    worker: int
    track: str
    kind: Kind
    start: int
    end: int
    path: Path
    items: int


def _slices(spans: Iterable[tuple[Tape, Span]], origin: int) -> list[_Slice]:
    tracks: dict[Tape, str] = {}
    slices: list[_Slice] = []
    for number, (tape, (kind, start, end, path, items)) in enumerate(spans):
        track = tracks.get(tape)
        if track is None:
            track = tracks[tape] = _track(tape)
        times = start - origin, max(end, start + 1) - origin
        slices.append(_Slice(number, tape.worker, track, kind, *times, path, items))
    return slices


def _track(tape: Tape) -> str:
    """Where the slices of a worker are, as JSON."""
    return f'"pid":{tape.pid},"tid":{tape.worker + 1}'


def _shown(traced: Traced, slices: Iterable[_Slice]) -> Iterator[_Event]:
    unit = "batch" if traced.has_pipes else "item"
    for _, _, track, kind, start, end, path, items in slices:
        args = f'"{unit}":"{_address(path)}"' if path else ""
        if kind == "batch" and traced.has_pipes:
            args += f',"items":{items}' if args else f'"items":{items}'
        name = _title(kind, path, items, unit)
        rest = f'"name":"{name}","cat":"{kind}",{track},"args":{{{args}}}'
        if kind in {"batch", "setup"}:
            lasts = end - start
            text = f'{{"ph":"X","ts":{start / 1000},"dur":{lasts / 1000},{rest}}}'
            yield _Event(start, _LASTS, -lasts, text)
        else:
            # What is inside of another slice ends explicitly. Perfetto would let an arrow that
            # starts behind it start in it.
            yield _Event(start, _BEGINS, 0, f'{{"ph":"B","ts":{start / 1000},{rest}}}')
            yield _Event(end, _ENDS, 0, f'{{"ph":"E","ts":{end / 1000},{rest}}}')


def _title(kind: Kind, path: Path, items: int, unit: str) -> str:
    """What stands on a slice. A batch has one name, and so one colour, on all tracks."""
    match kind:
        case "batch":
            return f"{unit} {path[0] >> 1}"
        case "item":
            return f"item {items}"
        case "items":
            return f"items from {items} on"
        case "blocked":
            return "waits for room"
        case "setup":
            return "setup"


def _address(path: Path) -> str:
    """A path as people write it: ``7.0``."""
    return ".".join([str(component >> 1) for component in path])


def _gaps(traced: Traced, origin: int) -> Iterator[_Event]:
    for tape in traced.tapes:
        if tape.left_out:
            since, until = tape.gap
            start, lasts = since - origin, max(1, until - since)
            yield _Event(
                start,
                _LASTS,
                -lasts,
                f'{{"ph":"X","name":"{tape.left_out} spans left out","cat":"left out",'
                f'"ts":{start / 1000},"dur":{lasts / 1000},{_track(tape)},"args":{{}}}}',
            )


# -- arrows --


class _Arrow(NamedTuple):
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
        path = one.path
        self._exact[path].append(one)
        for length in range(1, len(path)):
            self._below[path[:length]].append(one)

    def before(self, target: _Slice) -> tuple[int, _Slice] | None:
        """What the target came from, and how much of the address is the same."""
        path = target.path
        for length in range(len(path), 0, -1):
            if found := _earlier(self._exact.get(path[:length], ()), target):
                return length, max(found, key=_start) if len(found) > 1 else found[0]
        return None

    def parts(self, target: _Slice) -> list[_Slice]:
        """What was put together to the target."""
        return _earlier(self._below.get(target.path, ()), target)


def _earlier(slices: Iterable[_Slice], target: _Slice) -> list[_Slice]:
    return [one for one in slices if one.start <= target.start]


_start = attrgetter("start")


def _arrows(traced: Traced, slices: Sequence[_Slice]) -> Iterator[_Arrow]:
    """The arrows; those to one target stand together."""
    batches = [one for one in slices if one.kind == "batch"]
    sent: defaultdict[int, _Sent] = defaultdict(_Sent)
    for one in batches:
        sent[one.worker].add(one)
    waits = _waits(slices)
    for target in batches:
        for source in _sources(traced.lanes[target.worker], sent, target):
            yield _Arrow(source, target, _time_of_sending(source, target, waits[source.worker]))


def _waits(slices: Iterable[_Slice]) -> defaultdict[int, list[_Slice]]:
    """When each worker waited for room, in order."""
    waits: defaultdict[int, list[_Slice]] = defaultdict(list)
    for one in slices:
        if one.kind == "blocked":
            waits[one.worker].append(one)
    for spans in waits.values():
        spans.sort(key=_start)
    return waits


def _time_of_sending(source: _Slice, target: _Slice, waits: Sequence[_Slice]) -> int:
    """At the end of the work, or before, where that went on or another branch had no room yet."""
    sent = min(source.end - 1, target.start)
    place = bisect_right(waits, sent, key=_start)
    if place and waits[place - 1].end > sent:
        sent = waits[place - 1].start - 1
    return max(source.start, sent)


def _sources(lane: Lane, sent: Mapping[int, _Sent], target: _Slice) -> list[_Slice]:
    """The slices that a batch came from: one, unless a join gathers what several sent."""
    senders = [sent[number] for number in lane.senders if number in sent]
    exact = [found for one in senders if (found := one.before(target)) is not None]
    if lane.gathers:
        return [one for _, one in exact] + [part for one in senders for part in one.parts(target)]
    # Of two that could be, it came from the one whose address is closer, or the later one.
    best = max(exact, key=lambda found: (found[0], found[1].start), default=None)
    return [] if best is None else [best[1]]


def _drawn(arrows: Sequence[_Arrow]) -> Iterator[_Event]:
    for number, (source, target, sent) in zip(count(1), arrows, strict=False):
        same = f'"name":"batch","cat":"way","id":{number}'
        yield _Event(sent, _SENDS, 0, f'{{"ph":"s","ts":{sent / 1000},{same},{source.track}}}')
        taken = target.start
        text = f'{{"ph":"f","bp":"e","ts":{taken / 1000},{same},{target.track}}}'
        yield _Event(taken, _TAKES, 0, text)


# -- counters --


def _filled(traced: Traced, arrows: Iterable[_Arrow], pid: int) -> Iterator[_Event]:
    """How many items had been sent to an element, and not taken, over the time."""
    changes: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for target, ways in groupby(arrows, attrgetter("target")):
        since = max([arrow.sent for arrow in ways])
        element = traced.lanes[target.worker].element
        changes[element] += [(since, target.items), (target.start, -target.items)]
    for element, steps in changes.items():
        steps.sort()
        totals = accumulate([step for _, step in steps])
        counted = _counter(f"waiting for {element}", pid, "items")
        for (when, _), items in zip(steps, totals, strict=True):
            yield counted(when, max(0, items))


def _widths(traced: Traced, began: int, pid: int) -> Iterator[_Event]:
    for fork, widths in traced.widths.items():
        counted = _counter(f"width of {fork}", pid, "branches")
        for width in widths:
            yield counted(began + int(width.since * 1e9), width.width)


def _counter(name: str, pid: int, unit: str) -> Callable[[int, int], _Event]:
    """Makes what a counter shows from some time on."""
    same = f'"name":{json.dumps(name)},"cat":"counter","pid":{pid},"args":{{"{unit}":'

    def counted(when: int, value: int) -> _Event:
        return _Event(when, _COUNTS, 0, f'{{"ph":"C","ts":{when / 1000},{same}{value}}}}}')

    return counted
