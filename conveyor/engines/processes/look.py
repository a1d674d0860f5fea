"""A look at pipelines that are under way in this process: what each worker does, and waits for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal
from weakref import WeakSet

from conveyor.engines.counters import BLOCKED, BUSY, ELSEWHERE, GONE, STARVED
from conveyor.engines.processes.crew import Crew
from conveyor.engines.processes.gauge import Gauge
from conveyor.engines.processes.hand import Hand
from conveyor.engines.processes.stacks import ask
from conveyor.engines.processes.vitals import ENDED, STOPPED, condition

State = Literal["starting", "busy", "starved", "blocked", "elsewhere"]

_STATES: dict[int, State] = {
    GONE: "starting",
    BUSY: "busy",
    STARVED: "starved",
    BLOCKED: "blocked",
    ELSEWHERE: "elsewhere",
}

_crews: WeakSet[Crew] = WeakSet()


@dataclass(frozen=True, slots=True)
class Sight:
    """What one worker was seen to do.

    Attributes:
        worker: its name in the plan.
        stage: the element that it belongs to.
        pid: its process; None for what is in the caller's.
        state: ``"starting"``, ``"busy"``, ``"starved"`` (it waits for something to do),
            ``"blocked"`` (it waits for room to give on what it has done), or ``"elsewhere"`` (it
            waits for its turn in its process).
        seconds: for how long; None where that is not known.
        item: a short repr of the item that it has in work, if that is known.
        waits_for: the workers that could end its waiting: those before it, or those behind.
        why: why it waits, where that is for no other worker.
        is_source: whether it makes the items, in a process of its own.
        condition: what the system says of the process, where that is more than that it lives.
    """

    worker: str
    stage: str
    pid: int | None
    state: State
    seconds: float | None
    item: str | None
    waits_for: tuple[str, ...]
    why: str | None = None
    is_source: bool = False
    condition: str | None = None

    @property
    def is_waited_for(self) -> bool:
        """Whether others may be waiting for it, rather than it for others."""
        return self.state in ("busy", "starting") or self.condition == STOPPED


def remember(crew: Crew) -> None:
    """Let a crew be seen, for as long as it is there."""
    _crews.add(crew)


def pipelines() -> list[list[Sight]]:
    """What is to be seen of each pipeline whose workers live."""
    return [sights(crew) for crew in list(_crews) if crew.staff.hands]


def all_stacks() -> dict[int, str]:
    """The stacks of all workers that tell them, by their process ids."""
    return _stacks([hand for crew in list(_crews) for hand in crew.staff.hands.values()])


def stacks(crew: Crew) -> dict[int, str]:
    """The stacks of the workers of one pipeline, by their process ids, where they tell them."""
    return _stacks(list(crew.staff.hands.values()))


def sights(crew: Crew) -> list[Sight]:
    """What is to be seen of one pipeline."""
    return list(_sights(crew))


def _stacks(hands: list[Hand]) -> dict[int, str]:
    """Ask those that can answer: one that is stopped, has ended or is about to does not."""
    asked: dict[Hand, bool] = {}
    for hand in hands:
        with suppress(ValueError):  # its recorder has been closed: it has just ended
            asked[hand] = hand.recorder.listens and not hand.has_taken_leave
    return ask(
        {
            hand.process: hand._memory
            for hand, listens in asked.items()
            if listens and condition(hand.process.pid) not in (STOPPED, ENDED)
        }
    )


def _sights(crew: Crew) -> Iterator[Sight]:
    for number in crew.staff.plan.workers_with(crew.branches.attached):
        worker = crew.staff.plan.workers[number]
        hand = crew.staff.hands.get(worker.process)
        if hand is not None:
            with suppress(ValueError):  # its recorder has been closed: it has just ended
                yield _of_process(crew, number, hand)
        elif worker.kind == "feed":
            yield _sight(crew, number, crew.own.gauge)
        elif worker.kind == "sink":
            before = _waits_for(crew, number, "starved")
            yield Sight(worker.name, worker.element, None, "starved", None, None, before)


def _of_process(crew: Crew, number: int, hand: Hand) -> Sight:
    gauge = hand.recorder.gauge(number)
    has_item = gauge.state[0] == BUSY and hand.recorder.worker == number
    item = hand._in_work()[1] if has_item else None
    sight = _sight(crew, number, gauge, hand.process.pid, item)
    if sight.state == "starting" and hand.recorder.turn in {*hand.workers} - {number}:
        return replace(sight, state="elsewhere")
    return sight


def _sight(
    crew: Crew, number: int, gauge: Gauge, pid: int | None = None, item: str | None = None
) -> Sight:
    worker, (code, seconds) = crew.staff.plan.workers[number], gauge.state
    state = _STATES[code]
    return Sight(
        worker.name,
        worker.element,
        pid,
        state,
        seconds if code else None,
        item,
        _waits_for(crew, number, state),
        _why(crew, state) if number == 0 else None,
        worker.kind == "source",
        None if pid is None else condition(pid),
    )


def _why(crew: Crew, state: State) -> str | None:
    """Why what begins the pipeline waits, where that is for no other worker."""
    feed = crew.own.feed
    if state == "blocked" and crew.origin.under_way >= crew.staff.window:
        return f"{crew.origin.under_way} batches are under way, and no more may be"
    if state == "starved" and feed is not None:
        return "it waits for the caller's items" if feed.awaits_items else "it has given all items"
    return None


def _waits_for(crew: Crew, number: int, state: State) -> tuple[str, ...]:
    """The workers before one that has nothing to do, or behind one that has no room."""
    plan = crew.staff.plan
    channels = [plan.channels[one] for one in plan.channels_with(crew.branches.attached)]
    match state:
        case "starved":
            found = [one.source for one in channels if one.target == number]
        case "blocked":
            found = [one.target for one in channels if one.source == number]
        case _:
            found = []
    return tuple(plan.workers[one].name for one in found)
