"""A plan in words: what will run, and by which rules."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from conveyor.flow.scale import Scaler
from conveyor.graph import ForkNode, Graph, JoinNode, OutputNode, ProcessorNode
from conveyor.graph.check import check
from conveyor.plan.model import PARENT, Fan, Plan, PlannedWorker, WayOut


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller and the machine gave to the plan, as ``plan.make`` takes it."""

    ordered: bool
    processes: int | None
    cores: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """What will run. As a string it is a text for people.

    Attributes:
        plan: the workers, their processes and channels.
        rules: the rules that shaped it, a sentence each.
        travels: for each worker that is sent to a process, by its name, how it gets there.
    """

    plan: Plan
    rules: tuple[str, ...]
    travels: Mapping[str, str]

    def __str__(self) -> str:
        lines = [_summary(self.plan), ""]
        for number in range(PARENT, self.plan.processes):
            lines.append("this process" if number == PARENT else f"process {number + 1}")
            for worker in self.plan.workers:
                if worker.process == number:
                    lines += [f"  {line}" for line in self._worker(worker)]
        lines += ["", "rules", *(f"  - {rule}" for rule in self.rules)]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """The same as plain values; channels are named by the workers at their ends."""
        workers = self.plan.workers
        return {
            "processes": self.plan.processes,
            "workers": [
                {
                    "name": worker.name,
                    "kind": worker.kind,
                    "process": None if worker.process == PARENT else worker.process + 1,
                    "join": worker.way_in.how if len(worker.way_in.channels) > 1 else None,
                    "travels": self.travels.get(worker.name),
                }
                for worker in workers
            ],
            "channels": [
                {
                    "source": workers[channel.source].name,
                    "target": workers[channel.target].name,
                    "capacity": channel.capacity,
                }
                for channel in self.plan.channels
            ],
            "rules": list(self.rules),
        }

    def _worker(self, worker: PlannedWorker) -> Iterator[str]:
        yield _headline(worker)
        taken = [self._end(number, is_source=True) for number in worker.way_in.channels]
        if len(taken) == 1:
            yield f"  takes  {taken[0]}"
        elif taken:
            yield f"  takes  {_JOINS[worker.way_in.how]}"
            yield from (f"           {name}" for name in taken)
        if worker.way_out is not None:
            first, *rest = self._way(worker.way_out)
            yield f"  gives  {first}"
            yield from (f"         {line}" for line in rest)
        if worker.name in self.travels:
            yield f"  travels  {self.travels[worker.name]}"

    def _way(self, way: WayOut) -> Iterator[str]:
        if not isinstance(way, Fan):
            yield self._end(way, is_source=False)
            return
        yield _FORKS[way.kind]
        for branch in way.branches:
            yield from (f"  {line}" for line in self._way(branch))

    def _end(self, number: int, *, is_source: bool) -> str:
        channel = self.plan.channels[number]
        if is_source:
            return f"<- {self.plan.workers[channel.source].name}"
        bound = "" if channel.capacity is None else f", at most {channel.capacity} items"
        return f"-> {self.plan.workers[channel.target].name}{bound}"


_FORKS = {
    "replicated": "* each item to every one of",
    "balanced": "% each item to one of",
}
_JOINS = {
    "interleave": "& items as they come, of",
    "ordered": "& items in order, of",
    "zip": "& one tuple per item, of",
}


def _summary(plan: Plan) -> str:
    workers = sum(worker.process != PARENT for worker in plan.workers)
    sizes = (
        _count(workers, "worker"),
        _count(plan.processes, "process", "processes"),
        _count(len(plan.channels), "channel"),
    )
    most = "up to " if plan.scaled else ""
    return most + "{} in {}, and {}".format(*sizes)


def _headline(worker: PlannedWorker) -> str:
    if worker.kind == "relay":
        return f"{worker.name}: a relay, which only joins"
    return worker.name if worker.node is None else f"{worker.name}: {worker.node.label}"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


# -- the rules --


def rules(graph: Graph, plan: Plan, asked: Asked) -> Iterator[str]:
    """The rules that shaped a plan, a sentence each.

    Args:
        graph: the graph as it was written.
        plan: what was made of it.
        asked: what it was made with.
    """
    yield from _about_processes(plan, asked)
    yield from _about_width(graph, plan, asked)
    yield from _about_order(graph, plan, asked)
    relays = {worker.element: None for worker in plan.workers if worker.kind == "relay"}
    yield from _about_relays(graph, relays)
    yield from _about_restarts(plan)
    yield from _about_links(graph, relays)


def _about_processes(plan: Plan, asked: Asked) -> Iterator[str]:
    hired = [worker for worker in plan.workers if worker.process != PARENT]
    if not hired:
        yield "no processor, no process: items go straight from the feed to the output"
    elif asked.processes is None:
        yield "processes is not set: every worker has a process of its own"
    elif plan.processes == len(hired):
        yield f"processes={asked.processes}: enough for every worker to have one of its own"
    else:
        for number in range(plan.processes):
            names = [worker.name for worker in hired if worker.process == number]
            if len(names) > 1:
                yield f"processes={asked.processes}: {_listed(names)} share a process"
        if plan.is_shared:
            yield (
                "that is at first: once the run has shown how long each worker takes, neighbours "
                "share so that the work is even; those with a setup or teardown, which are spread "
                "at first, stay where they are, and so do those that keep state, and what counts "
                "turns for a join"
            )
        elif plan.processes > 1:
            yield "workers that may be started again stay where they are, whatever work they have"


def _about_width(graph: Graph, plan: Plan, asked: Asked) -> Iterator[str]:
    first = {one.fork: one.width for one in Scaler(plan.bounds, asked.cores).first()}
    cores = _count(asked.cores, "physical core")
    for node in graph.nodes:
        if isinstance(node, ForkNode) and node.auto is not None:
            if node.id in first:
                bounds = plan.bounds[node.id]
                number = first[node.id]
                why = f" at first, from {bounds.least} to {bounds.most} as the load asks"
            else:
                number, reason = plan.kept[node.id]
                why = f", {reason}"
            width = _count(number, "branch", "branches") + why
            yield f"{node.auto!r} at {node.id}: {width}; this process may use {cores}"


def _about_order(graph: Graph, plan: Plan, asked: Asked) -> Iterator[str]:
    joins = {w.way_in.join: w.way_in.how for w in plan.workers if w.way_in.join}
    written = {node.id: node.how for node in graph.nodes if isinstance(node, JoinNode)}
    changed = [
        name
        for name, how in joins.items()
        if how == "ordered" and written.get(name, "interleave") == "interleave"
    ]
    if asked.ordered and joins:
        yield "ordered=True: every join is ordered"
    elif asked.ordered:
        yield "ordered=True changes nothing: where there is no join, pipes keep the order"
    elif changed:
        verb = "is" if len(changed) == 1 else "are"
        yield f"{_listed(changed)} {verb} ordered, since a join behind restores the order"


def _about_relays(graph: Graph, relays: Iterable[str]) -> Iterator[str]:
    for join in relays:
        (behind,) = graph.out_edges[join]
        target = graph.by_id[graph.edges[behind].target]
        why = "is no worker"
        if isinstance(target, ProcessorNode):
            why = "may be started again, and what the join holds would be lost with it"
        yield (
            f"relay: {join} needs one place to happen, and leads to {target.id}, which {why}; so "
            "it has a worker of its own"
        )


def _about_restarts(plan: Plan) -> Iterator[str]:
    allowed = {one.element: one.restarts for one in plan.workers if one.restarts}
    if allowed:
        told = _listed(f"{name} (up to {count} times a run)" for name, count in allowed.items())
        yield f"restarts: {told}; what is on the way to and from there outlives the workers"


def _about_links(graph: Graph, relays: Container[str]) -> Iterator[str]:
    """What becomes of forks, joins and pipes, none of which is a process."""
    closes = check(graph).closes
    for edge in graph.edges:
        source, target = graph.by_id[edge.source], graph.by_id[edge.target]
        if isinstance(source, ForkNode) and target.id in closes:
            yield f"a branch of {source.id} is only a pipe, and so has no worker"
        is_mesh = isinstance(source, JoinNode) and isinstance(target, ForkNode)
        if is_mesh and source.id not in relays:
            ends = f"{source.id} leads straight into {target.id}"
            yield f"{ends}: each worker before them sends to each one behind"
        if edge.capacity is not None and isinstance(target, ForkNode):
            yield f"Pipe(capacity={edge.capacity}) into {target.id} bounds the pipe to each branch"
    output = next(node for node in graph.nodes if isinstance(node, OutputNode))
    if output.id in closes:
        yield f"{closes[output.id]} is still open at the end: the output joins it"
