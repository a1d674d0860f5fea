"""A look at pipelines that are under way in this process: what each worker does, and waits for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal
from weakref import WeakSet

from conveyor.engines.counters import BLOCKED, BUSY, ELSEWHERE, GONE, STARVED
from conveyor.engines.processes.crew import Crew
from conveyor.engines.processes.hand import Hand
from conveyor.engines.processes.recorder import Gauge
from conveyor.engines.processes.stacks import ask

State = Literal["starting", "busy", "starved", "blocked"]

_STATES: dict[int, State] = {
    GONE: "starting",
    BUSY: "busy",
    STARVED: "starved",
    BLOCKED: "blocked",
    ELSEWHERE: "starved",
}

_crews: WeakSet[Crew] = WeakSet()


@dataclass(frozen=True, slots=True)
class Sight:
    """What one worker was seen to do.

    Attributes:
        worker: its name in the plan.
        pid: its process; None for what is in the caller's.
        state: ``"starting"``, ``"busy"``, ``"starved"`` (it waits for something to do), or
            ``"blocked"`` (it waits for room to give on what it has done).
        seconds: for how long; None where that is not known.
        item: a short repr of the item that it has in work, if that is known.
        waits_for: the workers that could end its waiting: those before it, or those behind.
        condition: what the system says of the process, where that is more than that it lives.
    """

    worker: str
    pid: int | None
    state: State
    seconds: float | None
    item: str | None
    waits_for: tuple[str, ...]
    condition: str | None = None


def remember(crew: Crew) -> None:
    """Let a crew be seen, for as long as it is there."""
    _crews.add(crew)


def pipelines() -> list[list[Sight]]:
    """What is to be seen of each pipeline whose workers live."""
    return [list(_sights(crew)) for crew in list(_crews) if crew._hands]


def stacks() -> dict[int, str]:
    """The stacks of all workers that tell them, by their process ids."""
    hands = [hand for crew in list(_crews) for hand in crew._hands.values()]
    return ask({hand.process.pid: hand.process for hand in hands})


def _sights(crew: Crew) -> Iterator[Sight]:
    for number in crew.plan.workers_with(crew._attached):
        worker = crew.plan.workers[number]
        hand = crew._hands.get(worker.process)
        if hand is not None:
            with suppress(ValueError):  # its recorder has been closed: it has just ended
                yield _of_process(crew, number, hand)
        elif worker.kind == "feed":
            state, seconds = _state(crew._gauge)
            yield Sight(worker.name, None, state, seconds, None, _waits_for(crew, number, state))
        elif worker.kind == "sink":
            before = _waits_for(crew, number, "starved")
            yield Sight(worker.name, None, "starved", None, None, before)


def _of_process(crew: Crew, number: int, hand: Hand) -> Sight:
    state, seconds = _state(hand.recorder.gauge(number))
    has_item = state == "busy" and hand.recorder.worker == number
    return Sight(
        crew.plan.workers[number].name,
        hand.process.pid,
        state,
        seconds,
        hand._in_work()[1] if has_item else None,
        _waits_for(crew, number, state),
        _condition(hand.process.pid),
    )


def _state(gauge: Gauge) -> tuple[State, float | None]:
    code, seconds = gauge.state
    return _STATES[code], seconds if code else None


def _waits_for(crew: Crew, number: int, state: State) -> tuple[str, ...]:
    """The workers before one that has nothing to do, or behind one that has no room."""
    plan = crew.plan
    channels = [plan.channels[one] for one in plan.channels_with(crew._attached)]
    match state:
        case "starved":
            found = [one.source for one in channels if one.target == number]
        case "blocked":
            found = [one.target for one in channels if one.source == number]
        case _:
            found = []
    return tuple(plan.workers[one].name for one in found)


def _condition(pid: int) -> str | None:
    import psutil

    try:
        status = psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return "ended"
    return None if status in (psutil.STATUS_RUNNING, psutil.STATUS_SLEEPING) else status
