"""What a worker process and its parent say to each other, over the control connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from conveyor.engines.processes.logged import Setup
from conveyor.engines.processes.logged_by_loguru import Level
from conveyor.engines.processes.restartable import PackedBlame
from conveyor.plan import Plan


class Links(NamedTuple):
    """What a process is to connect, along with a descriptor for each end.

    A channel that is durable has one more, that of its log.

    Attributes:
        ends: for each, the number of the channel, and whether it is the upper end.
        slots: the branches that may take frames once all of these are connected.
    """

    ends: Sequence[tuple[int, bool]]
    slots: frozenset[int]


class Orders(NamedTuple):
    """All that a worker process is told at its start.

    Along with it come its recorder, the arena, the journals of its workers, and its ends.

    Attributes:
        plan: the whole plan, without the processors.
        process: the number of this process in it.
        links: what it is connected by.
        processors: the pickled processors of its workers, by the numbers of the workers.
        shared: the pickled classes of the caller's ``__main__`` that all workers get.
        window: the most batches under way, for a source.
        warm: whether there may be more than one run.
        environment: the variables of the parent now; the fork server's may be older.
        umask: what new files may not be in the parent; None where the system does not tell.
        recursion: how deep calls may go in the parent.
        region: the number of its region in the arena for large items; None where there is none.
        blame: for workers in which items were in work when one of them died, which are not to be
            tried again, and why, see :data:`PackedBlame`.
        logged: what the caller logs with ``logging``; None where that is left to the worker.
        levels: the levels of loguru that the caller has; None where it has not imported that.
    """

    plan: Plan
    process: int
    links: Links
    processors: Mapping[int, bytes]
    shared: bytes
    window: int
    warm: bool
    environment: Mapping[str, str]
    umask: int | None
    recursion: int
    region: int | None
    blame: Mapping[int, PackedBlame]
    logged: Setup | None
    levels: Sequence[Level] | None


class Move(NamedTuple):
    """Workers change their processes, while nothing is on its way between any of them.

    Along with it come the ends of the channels that are laid anew for it.

    Attributes:
        processes: the process of each of them from now on, by their numbers.
        processors: the pickled processors of those that come here.
        links: the ends that come along.
    """

    processes: Mapping[int, int]
    processors: Mapping[int, bytes]
    links: Links


# Messages. To the worker: Orders, then Links, Move, or any of these.
GO = "go"
HOLD = "hold"  # to a source: to send nothing more, and to tell when nothing is under way
RELEASE = "release"
ASK = "ask"  # which workers have to stay in this process
RETIRED = "retired"
DETACH = "detach"
END_NOW = "end now"
STOP = "stop"
# From the worker, each in a tuple with what belongs to it.
READY = "ready"
FAILED = "failed"
DROPPED = "dropped"
PRINTED = "printed"
LOGGED = "logged"
LOGGED_BY_LOGURU = "logged by loguru"
COUNTED = "counted"
TAPED = "taped"  # what a traced worker did, where it does not come to the end of the run
CHANGED = "changed"  # the answer to Links and to DETACH
AT_END = "at end"  # a source asks whether the end may come now
HELD = "held"  # the answer to HOLD; there is none where the end has been sent
STAY = "stay"  # the answer to ASK
MOVED = "moved"  # the answer to Move, with what those who left have counted
GOODBYE = "goodbye"


def without_processors(plan: Plan) -> Plan:
    """The plan as it travels: each processor goes only to its own worker."""
    workers = tuple(
        worker._replace(node=replace(worker.node, processor=None)) if worker.node else worker
        for worker in plan.workers
    )
    return replace(plan, workers=workers)
