"""What will run, without running it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conveyor.engines.processes.planning import planned
from conveyor.engines.processes.shipping import by_value, ship, unship
from conveyor.errors import NotPicklable
from conveyor.graph import Graph
from conveyor.plan import Plan
from conveyor.plan.explain import Asked, Explanation, rules
from conveyor.plan.model import PARENT


def explanation(graph: Graph, *, ordered: bool, processes: int | None) -> Explanation:
    """What this engine would start for a checked graph."""
    plan, cores = planned(graph, ordered=ordered, processes=processes)
    asked = Asked(ordered, processes, cores)
    return Explanation(plan, tuple(rules(graph, plan, asked)), dict(_travels(plan)))


def check_travel(graph: Graph) -> None:
    """See that every processor can be sent to a worker, and loaded from what is sent.

    Raises:
        NotPicklable: the first that can't.
    """
    there = [node for node in graph.processors if node.kind != "feed"]
    shipped, _ = ship({number: (node.id, node.processor) for number, node in enumerate(there)})
    for number, data in shipped.items():
        unship(there[number].id, data)


def _travels(plan: Plan) -> Iterator[tuple[str, str]]:
    for worker in plan.workers:
        if worker.node is not None and worker.process != PARENT:
            yield worker.name, _travel(worker.element, worker.node.processor)


def _travel(name: str, processor: Any) -> str:
    try:
        size, parts = by_value(name, processor)
    except NotPicklable as error:
        return f"not at all: {error.where}: {error.reason}"
    how = f"by value: {', '.join(parts)}" if parts else "by name, with its attributes"
    return f"{how} ({size:,} bytes)"
