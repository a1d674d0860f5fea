"""How wide a fork that follows the load is: decided from what its workers do and wait for.

A worker is added where the pipe into the fork stalls, its workers are at work nearly all the
time, and a core is free. So of two forks in a row that both stall, the one behind which the
other waits gets it: the workers of the other are not at work, they wait for room. Branches are
given up which a fork did not need for some time.

A core is free that no worker of the pipeline has, whatever their number is. That is how forks
share the cores by need, and how workers that wait for something else become more than there are
cores, where their bounds allow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor
from typing import NamedTuple

STALLED = 0.1
"""The pipe into a fork stalls if its senders waited for room for this share of the time."""

BUSY = 0.8
"""A worker that is at work for this share of the time has no time to spare."""

AMPLE = 0.7
"""A fork is as wide as it needs to be where its workers would be at work so much."""

FREE = 0.5
"""A core is free where this share of it is."""

LITTLE = 0.01
"""Of a core a worker takes at least so much, whatever else it waits for."""

IDLE_SECONDS = 1.0
"""For so long a fork must have needed fewer branches than it has, before they are given up."""

AT_FIRST = 8
"""The most branches that a fork begins with, since each costs a start. Growth doubles them."""


class Bounds(NamedTuple):
    """How wide a fork may be.

    Attributes:
        least, most: the fewest and the most branches.
        narrows: whether branches may be given up.
    """

    least: int
    most: int
    narrows: bool = True


class Load(NamedTuple):
    """What a fork did since the last look.

    Attributes:
        width: how many branches it has.
        cores: how many cores its workers had, on average. Who is at work, but waits for a disk or
            an answer, has none.
        busy: how many of its branches were at work, on average; a branch of several workers is
            as busy as the busiest of them.
        idle: how many of its branches waited for items or for room; each as long as the one of
            its workers that waited least. The rest are being set up.
        stalled: the share of the time in which what sends into the fork waited for room.
        flows: whether anything came. A branch ends along with something that comes.
    """

    width: int
    cores: float
    busy: float
    idle: float
    stalled: float
    flows: bool


class Decision(NamedTuple):
    """How wide a fork is to be from now on, and why.

    Attributes:
        fork: its id.
        width: how many branches.
        reason: for people.
    """

    fork: str
    width: int
    reason: str


class Scaler:
    """Decides about the widths of all forks of a pipeline.

    Args:
        forks: their bounds.
        cores: how many cores the pipeline may use.
    """

    def __init__(self, forks: Mapping[str, Bounds], cores: int) -> None:
        self._forks = forks
        self._cores = cores
        self._idle: dict[str, tuple[float, int]] = {}
        """For forks that need fewer branches: since when, and how many they needed at most."""

    def first(self) -> list[Decision]:
        """How wide the forks are at first: each has its share of the cores."""
        share = self._cores // max(1, len(self._forks))
        reason = f"at first: its share of the cores, which are {self._cores}"
        return [
            Decision(name, max(fork.least, min(fork.most, share, AT_FIRST)), reason)
            for name, fork in self._forks.items()
        ]

    def pause(self) -> None:
        """Forget what went on up to now: it says nothing about what follows."""
        self._idle.clear()

    def decide(self, now: float, loads: Mapping[str, Load], others: float) -> Decision | None:
        """The change to make next, if there is one.

        Args:
            now: the time, in seconds.
            loads: what each fork did since the last call.
            others: how many cores the other workers of the pipeline had, on average.
        """
        free = self._cores - others - sum(load.cores for load in loads.values())
        stalled = sorted(loads, key=lambda name: -loads[name].stalled)
        growing = (self._wider(name, loads[name], free) for name in stalled)
        narrowing = [self._narrower(name, load, now) for name, load in loads.items()]
        return next((one for one in (*growing, *narrowing) if one is not None), None)

    def _wider(self, name: str, load: Load, free: float) -> Decision | None:
        if load.stalled < STALLED or load.busy < BUSY * load.width:
            return None
        cores = floor(free + 1 - FREE)
        each = max(load.cores / load.width, LITTLE)
        added = floor((free + 1 - FREE) / each)
        width = min(load.width + min(added, load.width), self._forks[name].most)
        if width <= load.width:
            return None
        reason = (
            f"what sends into it waited for room {load.stalled:.0%} of the time, its workers were "
            f"busy {load.busy / load.width:.0%}, and {_free(cores)}"
        )
        return Decision(name, width, reason)

    def _narrower(self, name: str, load: Load, now: float) -> Decision | None:
        bounds = self._forks[name]
        needed = max(bounds.least, ceil((load.width - load.idle) / AMPLE))
        if needed >= load.width or not bounds.narrows:
            self._idle.pop(name, None)
            return None
        since, most = self._idle.get(name, (now, 0))
        most = max(most, needed)
        self._idle[name] = since, most
        if now - since < IDLE_SECONDS or not load.flows:
            return None
        del self._idle[name]
        return Decision(name, most, f"its workers waited {load.idle / load.width:.0%} of the time")


def _free(cores: int) -> str:
    return "a core was free" if cores <= 1 else f"{cores} cores were free"
