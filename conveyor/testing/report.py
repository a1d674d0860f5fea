"""What is told of a test that hangs."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conveyor.engines.processes.look import Sight

_WORKER_MAIN = re.compile(r'/processes/worker\.py", line \d+ in main$')
_MACHINERY = ("/_pytest/", "/pluggy/")


def hang_report(
    seconds: float, frame: FrameType | None, *, threads: Mapping[str, FrameType]
) -> str:
    """Who waits for whom in all pipelines that are under way, and where everybody stands.

    Args:
        seconds: the limit that is over.
        frame: where the caller stands.
        threads: where other threads of this process stand, by their names.
    """
    pipelines = _pipelines()
    lines = [f"the test has not come to its end in {seconds:g} s"]
    for number, sights in enumerate(pipelines, 1):
        which = f" in pipeline {number} of {len(pipelines)}" if len(pipelines) > 1 else ""
        lines += ["", f"who waits for whom{which}", *_table(sights), *_verdict(sights)]
    lines += ["", "the stack of the caller (the last call last)", *_stack(frame)]
    for name, other in threads.items():
        lines += ["", f"the stack of thread {name}", *_stack(other)]
    lines += _worker_stacks(pipelines)
    return "\n".join(lines)


def _pipelines() -> list[list[Sight]]:
    if "conveyor.engines.processes.look" not in sys.modules:
        return []  # no pipeline has been opened on processes
    from conveyor.engines.processes.look import pipelines

    return pipelines()


def _table(sights: list[Sight]) -> Iterator[str]:
    names = max(len(sight.worker) for sight in sights)
    places = max(len(_place(sight)) for sight in sights)
    for sight in sights:
        yield f"  {sight.worker:{names}}  {_place(sight):{places}}  {_doing(sight)}"


def _place(sight: Sight) -> str:
    return "this process" if sight.pid is None else f"process {sight.pid}"


def _doing(sight: Sight) -> str:
    since = "" if sight.seconds is None else f" for {sight.seconds:.1f} s"
    others = ", ".join(sight.waits_for)
    told = {
        "starting": "starting: it is not set up yet",
        "busy": f"busy{since}" + (f" with item {sight.item}" if sight.item else ""),
        "starved": f"starved{since}: waits for what comes from {others or 'the caller'}",
        "blocked": f"blocked{since}: waits for room in {others or 'the output'}",
    }[sight.state]
    return told if sight.condition is None else f"{told} (the process is {sight.condition})"


def _verdict(sights: list[Sight]) -> list[str]:
    """Who all others wait for, if anybody is at work."""
    at_work = [sight.worker for sight in sights if sight.state in ("busy", "starting")]
    if at_work:
        return [f"  the others wait for {' and '.join(at_work)}"]
    return ["  no worker has anything to do: the caller neither gives items nor takes outputs"]


def _stack(frame: FrameType | None) -> list[str]:
    """The lines of a stack, from the test on: what called that says nothing."""
    frames = traceback.extract_stack(frame)
    machinery = [
        number
        for number, one in enumerate(frames)
        if any(part in one.filename for part in _MACHINERY)
    ]
    lines = traceback.format_list(frames[machinery[-1] + 1 if machinery else 0 :])
    return "".join(lines).rstrip().splitlines()


def _worker_stacks(pipelines: list[list[Sight]]) -> Iterator[str]:
    if not pipelines:
        return
    from conveyor.engines.processes.look import stacks

    found = stacks()
    workers: dict[int, list[str]] = {}
    for sight in (one for sights in pipelines for one in sights if one.pid is not None):
        workers.setdefault(sight.pid or 0, []).append(sight.worker)
    for pid, names in workers.items():
        yield from ("", f"the stack of {', '.join(names)} (process {pid}, the last call first)")
        yield from _own(found.get(pid, "  it does not answer").splitlines())


def _own(lines: list[str]) -> Iterator[str]:
    """The lines of a worker's stacks, but how its process came to be."""
    is_told = True
    for line in lines:
        is_told = is_told or not line.startswith("  ")  # the stack of another thread begins
        if is_told:
            yield line
        is_told = is_told and _WORKER_MAIN.search(line) is None
