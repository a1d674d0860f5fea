"""Who waits for whom, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conveyor.engines.processes.look import Sight

_WORKER_MAIN = re.compile(r'/processes/worker\.py", line \d+ in main$')


def table(sights: Sequence[Sight]) -> Iterator[str]:
    """A line for each worker: where it is, what it does, and what it waits for."""
    names = max(len(sight.worker) for sight in sights)
    places = max(len(_place(sight)) for sight in sights)
    for sight in sights:
        yield f"  {sight.worker:{names}}  {_place(sight):{places}}  {_doing(sight)}"


def _place(sight: Sight) -> str:
    return "this process" if sight.pid is None else f"process {sight.pid}"


def _doing(sight: Sight) -> str:
    since = "" if sight.seconds is None else f" for {sight.seconds:.1f} s"
    told = {
        "starting": "starting: it is not set up yet",
        "busy": f"busy{since}" + (f" with item {sight.item}" if sight.item else ""),
        "starved": f"starved{since}: {_pipes(sight, 'from')}",
        "blocked": f"blocked{since}: {_pipes(sight, 'to')}",
        "elsewhere": f"starved{since}: it waits for its turn in its process",
    }[sight.state]
    return told if sight.condition is None else f"{told} (the process is {sight.condition})"


def _pipes(sight: Sight, way: str) -> str:
    """What the pipes are like that a worker waits for."""
    if sight.why is not None:
        return sight.why
    others, is_full = sight.waits_for, way == "to"
    if not others:
        return "what it waits for is not known"
    pipes = "the pipe" if len(others) == 1 else "one of the pipes" if is_full else "the pipes"
    are = "are" if len(others) > 1 and not is_full else "is"
    return f"{pipes} {way} {', '.join(others)} {are} {'full' if is_full else 'empty'}"


def waited_for(sights: Sequence[Sight]) -> list[Sight]:
    """Those that all others wait for; who makes items only where it is no one else."""
    found = [sight for sight in sights if sight.is_waited_for]
    return [sight for sight in found if not sight.is_source] or found


def verdict(sights: Sequence[Sight], otherwise: str) -> str:
    """A line on whom all others wait for, or what there is to say where it is nobody."""
    names = " and ".join(sight.worker for sight in waited_for(sights))
    return f"  the others wait for {names}" if names else f"  {otherwise}"


def stack_lines(sights: Sequence[Sight], stacks: Mapping[int, str]) -> Iterator[str]:
    """Where each worker process stands.

    Args:
        sights: the workers.
        stacks: what was told, by the ids of the processes.
    """
    workers: dict[int, list[str]] = {}
    for sight in sights:
        if sight.pid is not None:
            workers.setdefault(sight.pid, []).append(sight.worker)
    for pid, names in workers.items():
        yield from ("", f"the stack of {', '.join(names)} (process {pid}, the last call first)")
        yield from _own(stacks.get(pid, "  it does not answer").splitlines())


def _own(lines: list[str]) -> Iterator[str]:
    """The lines of a worker's stacks, but how its process came to be."""
    is_told = True
    for line in lines:
        is_told = is_told or not line.startswith("  ")  # the stack of another thread begins
        if is_told:
            yield line
        is_told = is_told and _WORKER_MAIN.search(line) is None
