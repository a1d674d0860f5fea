"""What is one thing to a reader: an element, with all the copies of it that share the work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from conveyor.engines.figures import Figures, total_of
from conveyor.engines.stats import Stats
from conveyor.graph import ForkNode, Graph, OutputNode, ProcessorNode
from conveyor.graph.check import check

Kind = Literal["feed", "source", "processor", "output"]


@dataclass(frozen=True, slots=True)
class Group:
    """An element that works, and its copies in other branches of a balanced fork.

    Attributes:
        members: the ids of the nodes.
        label: how the user wrote it.
        kind: what it does.
        fork: the id of the fork that follows the load and that it is a branch of, or "".
        width: how many workers it has.
        figures: those of all its workers.
        senders: the ids of the nodes that send to it, directly or by forks and joins.
    """

    members: Sequence[str]
    label: str
    kind: Kind
    fork: str
    width: int
    figures: Figures
    senders: frozenset[str]

    @property
    def name(self) -> str:
        """What it is called."""
        return self.members[0]

    @property
    def busy(self) -> float:
        """The share of the time that its workers were at work."""
        return self.figures.share(self.figures.busy)

    @property
    def got(self) -> float:
        """The share of the time that a feed spent on getting items, or waited for them."""
        return self.figures.share(self.figures.busy + self.figures.starved)


def groups_of(stats: Stats) -> list[Group]:
    """The groups of a run, in the order of the expression."""
    graph = stats.graph
    return [_group(stats, members) for members in _alike(graph)]


def _group(stats: Stats, members: Sequence[str]) -> Group:
    graph = stats.graph
    node = graph.by_id[members[0]]
    elements = [stats.elements[name] for name in members]
    fork = _auto(graph, members[0])
    workers = sum(len({worker.name for worker in one.workers}) for one in elements)
    history = stats.widths.get(fork)
    return Group(
        members=members,
        label=node.label if isinstance(node, ProcessorNode) else node.id,
        kind=node.kind if isinstance(node, ProcessorNode) else "output",
        fork=fork,
        width=history[-1].width if history else max(1, workers),
        figures=total_of(elements),
        senders=frozenset(sender for name in members for sender in graph.senders(name)),
    )


def _alike(graph: Graph) -> list[list[str]]:
    """The nodes that work, with those together that are copies of one another.

    Copies are written alike, and stand in the same place of branches of one balanced fork.
    """
    found: dict[object, list[str]] = {}
    seen: Counter[object] = Counter()
    for node in graph.nodes:
        if isinstance(node, ProcessorNode):
            branch = node.label, _place(graph, node.id)
            seen[branch] += 1
            role = node.label, _role(graph, node.id), seen[branch]
            found.setdefault(role, []).append(node.id)
        elif isinstance(node, OutputNode):
            found[node.id] = [node.id]
    return list(found.values())


def _place(graph: Graph, name: str) -> tuple[tuple[str, int], ...]:
    """The forks that a processor is in, and in which branch of each."""
    edges = graph.in_edges[name]
    return tuple(check(graph).place[edges[0]]) if edges else ()


def _role(graph: Graph, name: str) -> tuple[tuple[str, int], ...]:
    """Its place, in which all branches of a balanced fork are the same."""
    return tuple(
        (fork, -1 if _is_balanced(graph, fork) else branch) for fork, branch in _place(graph, name)
    )


def _is_balanced(graph: Graph, fork: str) -> bool:
    node = graph.by_id[fork]
    return isinstance(node, ForkNode) and node.kind == "balanced"


def _auto(graph: Graph, name: str) -> str:
    """The innermost fork that follows the load and that a node is a branch of, or ""."""
    for fork, _ in reversed(_place(graph, name)):
        node = graph.by_id[fork]
        if isinstance(node, ForkNode) and node.auto is not None:
            return fork
    return ""
