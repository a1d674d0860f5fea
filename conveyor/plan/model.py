"""The plan: a small, closed set of physical things that every engine on processes runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from conveyor.flow.join import LinkIn
from conveyor.flow.scale import Bounds
from conveyor.graph import ProcessorNode

WorkerKind = Literal["feed", "source", "stage", "relay", "sink"]

PARENT = -1
"""The process number of the caller, where the feed and the sink are."""


class Channel(NamedTuple):
    """A way for frames from one worker to another.

    Attributes:
        source: the number of the worker that sends.
        target: the number of the worker that receives.
        capacity: the most items that it holds, or None where the engine decides.
        link: how the join in front of the receiver sees it.
        is_chosen: whether a balanced fork chooses it, by what waits on it.
        slots: what it belongs to: it is open while all of these are attached.
        durable: whether what is on it outlives the workers at its ends, since one of them may be
            started again.
    """

    source: int
    target: int
    capacity: int | None
    link: LinkIn
    is_chosen: bool = False
    slots: frozenset[int] = frozenset()
    durable: bool = False


class Fan(NamedTuple):
    """A fork in a way out.

    Attributes:
        kind: whether each branch gets everything, or one branch gets each frame.
        branches: channels, by their numbers, or further forks.
        edges: for each branch, the index of its edge in the user's graph.
        traced: whether a join behind matches item by item.
        in_turn: whether a join behind restores the order in which frames entered.
        slots: for a fork that follows the load, the slot of each branch.
    """

    kind: Literal["replicated", "balanced"]
    branches: tuple[WayOut, ...]
    edges: tuple[int, ...]
    traced: bool = False
    in_turn: bool = False
    slots: tuple[int, ...] = ()


WayOut = int | Fan
"""The number of a channel, or a fork."""


def counts_turns(way: WayOut) -> bool:
    """Whether a fork in a way out numbers the frames that enter it."""
    return isinstance(way, Fan) and (way.in_turn or any(map(counts_turns, way.branches)))


def _balances(way: WayOut) -> bool:
    """Whether a way out chooses between branches."""
    return isinstance(way, Fan) and (way.kind == "balanced" or any(map(_balances, way.branches)))


class WayIn(NamedTuple):
    """How a worker joins what it receives.

    Attributes:
        how: what it does with frames of several channels.
        join: the id of the join that the user wrote; "" where it is none.
        channels: the channels that it reads.
        in_turn: for a zip, whether it also restores the order.
        traced: whether frames are matched item by item.
    """

    how: Literal["interleave", "ordered", "zip"] = "interleave"
    join: str = ""
    channels: tuple[int, ...] = ()
    in_turn: bool = False
    traced: bool = False


class PlannedWorker(NamedTuple):
    """One processor instance at work, the feed, the sink, or a relay that only joins.

    Attributes:
        name: the id of its node, or of the join that a relay stands for; unique.
        element: the id of what the user wrote, of which it may be a copy.
        kind: what it does.
        way_in: what it reads.
        way_out: where its frames go; None for the sink.
        process: the number of the process that it is in; ``PARENT`` for the caller's.
        node: the processor's node, for a source or a stage.
        slot: what it belongs to: it is there while that is attached; None for always.
        restarts: how often its process is started again in a run, if it dies.
    """

    name: str
    element: str
    kind: WorkerKind
    way_in: WayIn
    way_out: WayOut | None
    process: int
    node: ProcessorNode | None = None
    slot: int | None = None
    restarts: int = 0

    @property
    def reports(self) -> bool:
        """Whether it tells at the end of each run what it counted: its counters are not enough.

        They do not tell what went to which branch, nor what a zip did, and they count again what is
        done again after a death. Who may be detached tells that it leaves. An item that failed for
        good goes the way of reports, so that the one behind it tells that all have come.
        """
        drops = self.node is not None and self.node.settings.on_error != "fail"
        balances = self.way_out is not None and _balances(self.way_out)
        is_zip = self.way_in.how == "zip"
        return self.restarts > 0 or self.slot is not None or drops or balances or is_zip

    @property
    def is_bound(self) -> bool:
        """Whether it has to stay in its process: a source, or what counts the turns of frames."""
        return (
            self.kind != "stage"
            or self.way_in.how != "interleave"
            or (self.way_out is not None and counts_turns(self.way_out))
        )


class Scaled(NamedTuple):
    """A fork that follows the load.

    Its branches are *slots*: they are attached and detached while the plan runs. All slots of a
    plan are numbered together.

    Attributes:
        fork: its id.
        least: the fewest branches.
        slots: all branches that there can be.
        narrows: whether branches may be detached during a run. What ``finish`` of a detached
            branch gives comes before the end of the stream, where a zip would take it for what
            became of an item.
    """

    fork: str
    least: int
    slots: tuple[int, ...]
    narrows: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs.

    Attributes:
        workers: the feed or source first, the sink last.
        channels: all ways between them.
        processes: how many worker processes there are at most, numbered from 0.
        scaled: the forks that follow the load.
        kept: for each fork that might have, and does not, its width and why it keeps it.
    """

    workers: tuple[PlannedWorker, ...]
    channels: tuple[Channel, ...]
    processes: int
    scaled: tuple[Scaled, ...] = ()
    kept: Mapping[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])

    @property
    def bounds(self) -> dict[str, Bounds]:
        """How wide the forks that follow the load may be, by their ids."""
        return {one.fork: Bounds(one.least, len(one.slots), one.narrows) for one in self.scaled}

    def workers_with(self, slots: Collection[int]) -> list[int]:
        """The numbers of the workers that are there while ``slots`` are attached."""
        return [n for n, w in enumerate(self.workers) if w.slot is None or w.slot in slots]

    @property
    def is_shared(self) -> bool:
        """Whether some workers share a process, and may change it for another one.

        Where processes are started again, workers stay: what outlives a process belongs to it.
        """
        hired = [worker for worker in self.workers if worker.process != PARENT]
        return 1 < self.processes < len(hired) and not any(worker.restarts for worker in hired)

    def hosted(self, process: int) -> list[int]:
        """The numbers of the workers that are, or may come to be, in a worker process."""
        return [
            number
            for number, worker in enumerate(self.workers)
            if worker.process == process or (self.is_shared and worker.process != PARENT)
        ]

    def placed(self, processes: Mapping[int, int]) -> Plan:
        """The plan with some workers, by their numbers, in other processes."""
        workers = (
            worker._replace(process=processes.get(number, worker.process))
            for number, worker in enumerate(self.workers)
        )
        return replace(self, workers=tuple(workers))

    def relaid(self, before: Plan) -> list[int]:
        """The numbers of the channels whose ends are in other processes than they were."""
        ends, ends_before = self._ends(), before._ends()
        return [n for n in range(len(self.channels)) if ends[n] != ends_before[n]]

    def _ends(self) -> list[tuple[int, int]]:
        """The processes of the ends of each channel."""
        workers = self.workers
        return [(workers[c.source].process, workers[c.target].process) for c in self.channels]

    def channels_with(self, slots: Collection[int]) -> list[int]:
        """The numbers of the channels that are open while ``slots`` are attached."""
        return [n for n, c in enumerate(self.channels) if c.slots.issubset(slots)]
