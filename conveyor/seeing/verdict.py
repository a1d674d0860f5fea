"""What was slow in a run, in words, and what to do about it: from its figures alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from conveyor.engines.stats import Stats
from conveyor.seeing.groups import Group, groups_of

SHORT = 0.1
"""A run of fewer seconds is mostly a beginning and an end."""

BUSY = 0.5
"""What is busy for less of the time than this holds nothing up."""

WORTH = 1.15
"""A change that makes a run less than so many times faster is not worth a word."""

FULL = 0.05
"""A pipe that was full for a smaller share of the time does not tell anything."""

PICKLED = 0.25
"""From this share of a worker's time on, pickling is worth a word."""

CHEAP = 5e-6
"""An item that takes less than so many seconds costs more to pass on than to process."""

WAITS = 0.5
"""What computes for a smaller share of the time that it is at work mostly waits for something.

How many of those the cores could serve hangs on little CPU time: twice as many is all that is told.
"""

USED = 0.85
"""The cores have no time to spare from this share on."""


def verdict(stats: Stats, cores: int) -> str:
    """The bottleneck of a run, and what would bring something.

    Args:
        stats: its figures.
        cores: how many cores it may use.
    """
    run = _Run(stats, groups_of(stats), cores)
    if not run.workers:
        return "There is nothing to tell: no worker measured anything."
    if stats.elapsed < SHORT:
        return f"There is nothing to tell: {stats.elapsed * 1000:.0f} ms are too short a run."
    if not stats.processes:
        return _inline(run)
    slowest = max(run.groups, key=lambda group: group.busy)
    return " ".join([*_about(run, slowest), *_cheap(run), *_pickling(run, slowest), *_crowd(run)])


@dataclass(frozen=True, slots=True)
class _Run:
    stats: Stats
    groups: Sequence[Group]
    cores: int

    @property
    def workers(self) -> list[Group]:
        """The groups of the user's own processors that did something."""
        return [one for one in self.groups if one.kind == "processor" and one.figures.time]

    @property
    def at_work(self) -> float:
        """How many cores were at work, or would have been had they been free, on average."""
        elapsed = self.stats.elapsed
        wanted = sum(one.figures.cpu + one.figures.queued for one in self.groups)
        return wanted / elapsed if elapsed else 0.0

    def full(self, group: Group) -> float:
        """The share of the time that what sends to a group waited for room."""
        senders = [one for one in self.groups if group.senders.intersection(one.members)]
        shares = [one.figures.share(one.figures.blocked) for one in senders]
        return sum(shares) / len(shares) if shares else 0.0

    def next_after(self, group: Group) -> Group | None:
        """The busiest of the others."""
        others = [one for one in self.groups if one is not group and one.figures.time]
        return max(others, key=lambda one: one.busy, default=None)


def _about(run: _Run, slowest: Group) -> Iterator[str]:
    """What there is to say about the bottleneck."""
    if slowest.busy < BUSY:
        feed = next((one for one in run.groups if one.kind == "feed"), None)
        if feed is not None and feed.got >= BUSY:
            yield from _feed(feed.got)
            return
        share = _percent(slowest.busy)
        yield f"Nothing is the bottleneck: the busiest, {slowest.name}, was busy {share}."
        return
    match slowest.kind:
        case "feed":
            yield from _feed(slowest.busy)
        case "source":
            yield (
                f"{slowest.name} is the bottleneck, the source: busy {_percent(slowest.busy)}. "
                "Let it make what is cheap to make, such as paths, and a processor behind it do "
                "the rest: that can have copies."
            )
        case "output":
            yield from _caller(slowest)
        case "processor":
            yield _bottleneck(run, slowest)
            if not any(_cheap(run)):
                yield from _copies(run, slowest)


def _bottleneck(run: _Run, slowest: Group) -> str:
    full = run.full(slowest)
    told = f", the pipe into it was full {_percent(full)} of the time" if full > FULL else ""
    return f"{slowest.name} is the bottleneck: busy {_percent(slowest.busy)}{told}."


def _feed(share: float) -> Iterator[str]:
    yield (
        f"The items are the bottleneck: to get them took {_percent(share)} of the time. "
        "Make them in a Source, which has a process of its own, or give in what is cheap to get, "
        "such as paths, and let a processor do the rest."
    )


def _caller(output: Group) -> Iterator[str]:
    yield (
        f"The caller is the bottleneck: it was busy with outputs {_percent(output.busy)} of the "
        "time, and workers waited for it. Do that work in a processor."
    )


def _cheap(run: _Run) -> Iterator[str]:
    """Where the time goes into passing items on, for there is little to do for each."""
    timed = [one.figures.service for one in run.workers if one.figures.service.counts]
    if timed and max(service.mean for service in timed) < CHEAP:
        yield (
            "Items are cheaper than the way from one process to the next: try run(processes=1), "
            'engine="inline", or fewer and larger steps.'
        )


# -- copies --


def _copies(run: _Run, slowest: Group) -> Iterator[str]:
    """What more workers for the bottleneck would bring."""
    if slowest.figures.share(slowest.figures.elsewhere) > FULL:
        yield (
            "It shares a process with others: more processes would let them work at the same time."
        )
        return
    if slowest.fork:
        yield f"Its fork follows the load, and was {slowest.width} wide."
        return
    most, why = _limit(run, slowest)
    if most < WORTH:
        yield f"More copies of it would bring nothing: {why}."
        return
    width = max(slowest.width + 1, ceil(most * slowest.width * slowest.busy - 0.25))
    if slowest.figures.cpu < WAITS * slowest.figures.busy:
        width = min(width, 2 * slowest.width)
    gain = min(most, width / (slowest.width * slowest.busy))
    more = width - slowest.width
    copies = "1 more copy" if more == 1 else f"{more} more copies"
    reached = f", and then {why}" if gain > most * 0.99 else ""
    yield f"{copies} (`{slowest.label} % {width}`) would bring about {gain:.1f} times{reached}."


def _limit(run: _Run, slowest: Group) -> tuple[float, str]:
    """How many times faster a run could be with any number of copies, and what then holds it up."""
    by_cores = run.cores / run.at_work if run.at_work else float("inf")
    then = run.next_after(slowest)
    by_next = 1 / then.busy if then is not None and then.busy else float("inf")
    if by_cores <= by_next or then is None:
        cores = "the one core of this machine is" if run.cores == 1 else _all_cores(run)
        return by_cores, f"{cores} at work"
    return by_next, f"{then.name} is as busy"


def _all_cores(run: _Run) -> str:
    return f"the {run.cores} cores of this machine are"


# -- pickling, and too many processes --


def _pickling(run: _Run, slowest: Group) -> Iterator[str]:
    """Who spends much of the time on pickling: the bottleneck, or one that is nearly as busy."""
    for one in run.groups:
        figures = one.figures
        part = figures.pickling / figures.busy if figures.busy else 0.0
        if part > PICKLED and (one is slowest or one.busy > BUSY):
            yield f"{_percent(part)} of {one.name}'s time is pickling: {_less(one)}."


def _less(group: Group) -> str:
    """What to pickle less."""
    how = {"output": "let the last processor give", "feed": "give in"}.get(group.kind, "return")
    return f"{how} less, or fewer objects, as an array for a list"


def _crowd(run: _Run) -> Iterator[str]:
    processes = run.stats.processes
    if processes > run.cores and run.at_work > USED * run.cores:
        cores = "1 core" if run.cores == 1 else f"{run.cores} cores"
        yield (
            f"{processes} worker processes are more than {cores} can serve: "
            f"run(processes={run.cores}) would do as well."
        )


# -- inline --


def _inline(run: _Run) -> str:
    """All in one process: nothing waits, so what counts is who takes the time."""
    slowest = max(run.workers, key=lambda one: one.figures.service.total)
    everything = sum(one.figures.service.total for one in run.workers)
    part = slowest.figures.service.total / everything if everything else 0.0
    told = (
        f"{slowest.name} took {_percent(slowest.busy)} of the time, and "
        f"{_percent(part)} of that of all processors."
    )
    if slowest.figures.service.mean < CHEAP:
        return f"{told} Its items are cheap: worker processes would bring nothing."
    if len(run.workers) == 1 or 1 / part < WORTH:
        return f"{told} On worker processes it could have copies: `{slowest.label} % 2`."
    return f"{told} On worker processes the others would work at the same time."


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"
