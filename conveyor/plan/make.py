"""Lowering a graph to a plan.

Forks and joins are no processes. A fork becomes a tree in the way out of a worker, a join the
way in of the worker behind it. Only where an ordered join or a zip has no single worker behind
it, or where frames have to be counted as they enter a fork and come from several workers, one
relay worker is planned for the join. So it is where the worker behind may be started again: what a
join has gathered would be lost with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from conveyor.errors import UsageError
from conveyor.flow.join import LinkIn
from conveyor.flow.place import MOST_WORKERS, placed
from conveyor.graph import ForkNode, Graph, JoinNode, Node, OutputNode, ProcessorNode
from conveyor.graph.check import Scopes, check
from conveyor.plan.model import (
    PARENT,
    Channel,
    Fan,
    Plan,
    PlannedWorker,
    Scaled,
    WayIn,
    WayOut,
    WorkerKind,
)
from conveyor.plan.widen import Wide, widen


def make(
    graph: Graph,
    *,
    ordered: bool,
    processes: int | None,
    cores: int,
    settled: Collection[str] = (),
) -> Plan:
    """The plan of a checked graph.

    Args:
        graph: what ``compile()`` gives.
        ordered: whether outputs come in the order of the inline engine: every join is ordered.
        processes: the most worker processes, or None for one to each worker. Where it is set,
            or a worker may be started again, AUTO forks have their greatest width and keep it.
        cores: how many physical cores there are, for AUTO.
        settled: the processors, by the ids of their nodes, that stay in the process where they
            were set up. Where processes are shared, these are spread evenly first.

    Raises:
        UsageError: in one process, a worker that may be started again would share it with one
            that may not.
    """
    still = ""
    if processes is not None:
        still = f"processes={processes} is set"
    elif any(map(_may_restart, graph.processors)):
        still = "workers may be started again"
    plan = _Planner(widen(graph, cores, still=still), ordered=ordered).plan(processes, settled)
    if fixed := {one.fork for one in plan.scaled if _has_bypass(plan, one)}:
        wide = widen(graph, cores, fixed, still=still)
        plan = _Planner(wide, ordered=ordered).plan(processes, settled)
    return plan


def _has_bypass(plan: Plan, fork: Scaled) -> bool:
    """Whether something goes through a fork without a worker in it.

    That a branch is detached is known when its workers have left, and they are all that tell.
    """
    slots = set(fork.slots)
    return any(
        slots & channel.slots
        and not slots & {plan.workers[channel.source].slot, plan.workers[channel.target].slot}
        for channel in plan.channels
    )


class _Planner:
    def __init__(self, wide: Wide, *, ordered: bool) -> None:
        self.wide = wide
        self.graph: Graph = wide.graph
        self.ordered = ordered
        self.scopes: Scopes = check(self.graph)
        self.scaled = self._scaled()
        self.joins = {name: self._how(name) for name in self.scopes.closes}
        self.in_turn = {
            self.scopes.closes[name]
            for name, how in self.joins.items()
            if how == "ordered" or (how == "zip" and ordered)
        }
        self.traced = set(self._traced())
        self.workers: list[PlannedWorker] = []
        self.numbers: dict[str, int] = {}
        self.channels: list[Channel] = []
        self.entering: dict[str, list[int]] = {}

    def _how(self, name: str) -> str:
        node = self.graph.by_id[name]
        how = node.how if isinstance(node, JoinNode) else "interleave"
        return "ordered" if how == "interleave" and (self.ordered or self._mixes(name)) else how

    def _mixes(self, join: str) -> bool:
        """Whether copies of several items get mixed in a fork whose order is restored behind.

        An ordered join there puts batches in order again, and not what is inside of one.
        """
        nodes = self.graph.by_id.items()
        ordered = [
            name for name, node in nodes if isinstance(node, JoinNode) and node.how == "ordered"
        ]
        restored = {fork for name in ordered for fork in self._closed(name)}
        around = {
            fork for edge in self.graph.out_edges[join] for fork, _ in self.scopes.place[edge]
        }
        return not around.isdisjoint(restored) and any(map(self._is_replicated, self._closed(join)))

    def _closed(self, join: str) -> set[str]:
        """The forks that a join closes."""
        edges = self.graph.in_edges[join]
        return {fork for edge in edges for fork, _ in self.scopes.inner(edge, join)}

    def _is_replicated(self, fork: str) -> bool:
        node = self.graph.by_id[fork]
        return isinstance(node, ForkNode) and node.kind == "replicated"

    def _traced(self) -> Iterator[str]:
        """The replicated forks whose items a join behind matches one by one."""
        for name, how in self.joins.items():
            for edge in self.graph.in_edges[name]:
                forks = [fork for fork, _ in self.scopes.inner(edge, name)]
                matched = forks if how == "ordered" else forks[:1] if how == "zip" else []
                yield from filter(self._is_replicated, matched)

    # -- forks that follow the load --

    def _scaled(self) -> tuple[Scaled, ...]:
        first, found = 0, list[Scaled]()
        for fork, (least, most) in self.wide.bounds.items():
            slots = tuple(range(first, first + most))
            found.append(Scaled(fork, least, slots, narrows=not self._is_zipped(fork)))
            first += most
        return tuple(found)

    def _is_zipped(self, fork: str) -> bool:
        """Whether what comes of a fork gets to a zip that closes a fork around it."""
        (edge,) = self.graph.in_edges[fork]
        around = {name for name, _ in self.scopes.place[edge]}
        closes = self.scopes.closes.items()
        return any(closed in around and self._is_zip(join) for join, closed in closes)

    def _is_zip(self, join: str) -> bool:
        node = self.graph.by_id[join]
        return isinstance(node, JoinNode) and node.how == "zip"

    def _slots(self, edge: int) -> frozenset[int]:
        """The slots that an edge lies in."""
        place = dict(self.scopes.place[edge])
        return frozenset(one.slots[place[one.fork]] for one in self.scaled if one.fork in place)

    # -- places --

    def has_place(self, join: str) -> bool:
        """Whether a join happens at one place: all but those that only pass frames on."""
        return self.joins[join] in ("ordered", "zip") or self._leads_to_turns(join)

    def _leads_to_turns(self, node: str) -> bool:
        """Whether frames go from here straight into a fork where they are counted."""
        for index in self.graph.out_edges[node]:
            target = self.graph.by_id[self.graph.edges[index].target]
            if isinstance(target, ForkNode) and (
                target.id in self.in_turn or self._leads_to_turns(target.id)
            ):
                return True
        return False

    def place_of(self, join: str) -> str:
        """The worker in which a join with a place happens: the one behind it, or a relay."""
        (onwards,) = self.graph.out_edges[join]
        target = self.graph.by_id[self.graph.edges[onwards].target]
        if isinstance(target, ProcessorNode) and not _may_restart(target):
            return target.id
        if isinstance(target, OutputNode) and target.id not in self.scopes.closes:
            return target.id
        return join

    # -- the plan --

    def plan(self, processes: int | None, settled: Collection[str]) -> Plan:
        names = self._hire()
        ways = {name: self._way_out(name) for name in names if name != "output"}
        for name in names:
            worker = self.workers[self.numbers[name]]
            self.workers[self.numbers[name]] = worker._replace(
                way_in=self._way_in(name), way_out=ways.get(name)
            )
        count = self._place(processes, settled)
        self._make_durable(count)
        return Plan(tuple(self.workers), tuple(self.channels), count, self.scaled, self.wide.kept)

    def _hire(self) -> list[str]:
        """A worker for every processor, the output, and each join that needs a relay."""
        names: list[str] = []
        for node in self.graph.nodes:
            if isinstance(node, ProcessorNode):
                kind: WorkerKind = "stage" if node.kind == "processor" else node.kind
            elif isinstance(node, OutputNode):
                kind = "sink"
            elif (
                isinstance(node, JoinNode)
                and self.has_place(node.id)
                and self.place_of(node.id) == node.id
            ):
                kind = "relay"
            else:
                continue
            self.numbers[node.id] = len(self.workers)
            self.workers.append(self._hired(node, kind))
            names.append(node.id)
        return names

    def _hired(self, node: Node, kind: WorkerKind) -> PlannedWorker:
        slots = self._slots(self.graph.out_edges[node.id][0]) if kind != "sink" else ()
        return PlannedWorker(
            node.id,
            self.wide.nodes[node.id],
            kind,
            WayIn(),
            None,
            PARENT,
            node if isinstance(node, ProcessorNode) else None,
            next(iter(slots), None),
        )

    def _way_out(self, name: str) -> WayOut:
        (edge,) = self.graph.out_edges[name]
        return self._follow(
            edge, self.numbers[name], None, LinkIn(), is_chosen=False, slots=frozenset()
        )

    def _follow(
        self,
        edge: int,
        source: int,
        capacity: int | None,
        link: LinkIn,
        *,
        is_chosen: bool,
        slots: frozenset[int],
    ) -> WayOut:
        """Where an edge leads: through forks and joins without a place, to channels."""
        pipe = self.graph.edges[edge]
        slots |= self._slots(edge)
        capacity = _tighter(capacity, pipe.capacity)
        target = self.graph.by_id[pipe.target]
        if isinstance(target, ForkNode):
            is_chosen |= target.kind == "balanced"
            return Fan(
                target.kind,
                tuple(
                    self._follow(out, source, capacity, LinkIn(), is_chosen=is_chosen, slots=slots)
                    for out in self.graph.out_edges[target.id]
                ),
                tuple(self.wide.edges[out] for out in self.graph.out_edges[target.id]),
                target.id in self.traced,
                target.id in self.in_turn,
                next((one.slots for one in self.scaled if one.fork == target.id), ()),
            )
        if target.id in self.joins:
            link = self._link(edge, target.id)
            if isinstance(target, JoinNode) and not self.has_place(target.id):
                (onwards,) = self.graph.out_edges[target.id]
                return self._follow(
                    onwards, source, capacity, LinkIn(), is_chosen=is_chosen, slots=slots
                )
        worker = target.id
        if isinstance(target, JoinNode):
            worker = self.place_of(target.id)
            if worker != target.id:
                (onwards,) = self.graph.out_edges[target.id]
                capacity = _tighter(capacity, self.graph.edges[onwards].capacity)
        self.channels.append(
            Channel(source, self.numbers[worker], capacity, link, is_chosen, slots)
        )
        self.entering.setdefault(worker, []).append(len(self.channels) - 1)
        return len(self.channels) - 1

    def _link(self, edge: int, join: str) -> LinkIn:
        closed = [fork for fork, _ in self.scopes.inner(edge, join)]
        scopes = sum(fork in self.traced or fork in self.in_turn for fork in closed)
        place = self.graph.in_edges[join].index(edge)
        return LinkIn(scopes, place, self.wide.nodes[self.graph.edges[edge].source])

    def _way_in(self, name: str) -> WayIn:
        channels = tuple(self.entering.get(name, ()))
        join = self._join_at(name)
        if join is None:
            return WayIn(channels=channels)
        how = self.joins[join]
        if how not in ("ordered", "zip"):
            return WayIn(join=self.wide.nodes[join], channels=channels)
        return WayIn(
            how,  # type: ignore[arg-type]
            self.wide.nodes[join],
            channels,
            in_turn=self.scopes.closes[join] in self.in_turn,
            traced=bool(self._closed(join) & self.traced),
        )

    def _join_at(self, name: str) -> str | None:
        """The join that happens in a worker, if any."""
        if name in self.joins:
            return name
        for index in self.graph.in_edges[name]:
            before = self.graph.edges[index].source
            if before in self.joins and self.has_place(before) and self.place_of(before) == name:
                return before
        return None

    def _place(self, processes: int | None, settled: Collection[str]) -> int:
        """Give each worker its process: neighbours share one where there are too few."""
        hired = [n for n, w in enumerate(self.workers) if w.kind not in ("feed", "sink")]
        count = len(hired) if processes is None else min(processes, len(hired))
        places = _evenly(len(hired), count)
        stay = [self.workers[n].element in settled for n in hired]
        if any(map(_may_restart, self.graph.processors)):
            stay = []  # none of them moves, so nothing can be mended later
            places = _apart([_restarts_of(self.workers[n]) > 0 for n in hired], count)
        if count < len(hired) <= MOST_WORKERS and sum(stay) > 1:
            places = placed([len(hired) if stays else 1 for stays in stay], places, ())
        for number, process in zip(hired, places, strict=True):
            self.workers[number] = self.workers[number]._replace(process=process)
        return count

    def _make_durable(self, processes: int) -> None:
        """Say which processes may be started again, and what has to outlive them."""
        for process in range(processes):
            here = [n for n, worker in enumerate(self.workers) if worker.process == process]
            restarts = _restarts([self.workers[n] for n in here])
            for number in here:
                self.workers[number] = self.workers[number]._replace(restarts=restarts)
        self.channels = [
            one._replace(durable=True)
            if self.workers[one.source].restarts or self.workers[one.target].restarts
            else one
            for one in self.channels
        ]


def _evenly(workers: int, processes: int) -> list[int]:
    """The process of each worker, where neighbours share one."""
    return [rank * processes // workers for rank in range(workers)]


def _apart(may_restart: Sequence[bool], processes: int) -> list[int]:
    """The same, and those that may be started again share none with those that may not.

    One process is not enough for both; then they share it all the same.
    """
    workers, hardy = len(may_restart), sum(may_restart)
    mortal = workers - hardy
    if not (hardy and mortal and processes > 1):
        return _evenly(workers, processes)
    wanted = round(processes * hardy / workers)
    share = min(max(wanted, 1, processes - mortal), processes - 1, hardy)
    for_hardy, for_mortal = iter(_evenly(hardy, share)), iter(_evenly(mortal, processes - share))
    places = [next(for_hardy) if may else share + next(for_mortal) for may in may_restart]
    numbers = {place: number for number, place in enumerate(dict.fromkeys(places))}
    return [numbers[place] for place in places]


def _may_restart(node: ProcessorNode) -> bool:
    return node.settings.restarts > 0


def _restarts_of(worker: PlannedWorker) -> int:
    """How often a worker may be started again; a fork or a join takes no options."""
    return worker.node.settings.restarts if worker.node else 0


def _restarts(workers: Sequence[PlannedWorker]) -> int:
    """How often the process of some workers is started again.

    Raises:
        UsageError: one of them may be, and another one may not.
    """
    allowed = {worker.element: _restarts_of(worker) for worker in workers}
    if any(allowed.values()) and not all(allowed.values()):
        may = next(name for name, restarts in allowed.items() if restarts)
        may_not = next(worker for worker in workers if not allowed[worker.element])
        remedy = "allow two" if may_not.node is None else "allow two, or give both restarts"
        raise UsageError(
            f"with processes=1, {may!r}, which has restarts, would share the process with "
            f"{may_not.element!r}, which has none and would be lost with it: {remedy}"
        )
    return max(allowed.values())


def _tighter(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
