"""The structural rules of a graph, however it was made.

The graph of an expression is a series-parallel drawing: forks open branches, a join closes a
whole fork with all that is nested and still open in it. :func:`scopes` works out, for every
edge, which branches of which forks it lies in; every other rule about forks and joins follows
from that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never, get_args

from conveyor.errors import GraphError
from conveyor.graph.model import (
    ForkKind,
    ForkNode,
    Graph,
    JoinHow,
    JoinNode,
    Node,
    OutputNode,
    ProcessorNode,
    StageKind,
    is_count,
)

Place = tuple[tuple[str, int], ...]
"""The open forks around an edge, outermost first, each with the number of the branch."""


@dataclass(frozen=True, slots=True)
class Scopes:
    """Where every edge lies, and which fork each join closes.

    Attributes:
        place: for each edge, by its index, the open forks around it.
        closes: for each join, and for an output that joins, the outermost fork it closes.
    """

    place: Mapping[int, Place]
    closes: Mapping[str, str]

    def inner(self, edge: int, joiner: str) -> Place:
        """Of the forks around an edge into ``joiner``, those that it closes, outermost first."""
        if joiner not in self.closes:
            return ()
        place = self.place[edge]
        forks = [fork for fork, _ in place]
        return place[forks.index(self.closes[joiner]) :]


def check(graph: Graph) -> Scopes:
    """Hold every structural rule on ``graph`` and return its scopes.

    Raises:
        GraphError: with one sentence for each broken rule.
    """
    return graph.scopes


def scopes(graph: Graph) -> Scopes:
    """As ``check``, every time anew.

    Raises:
        GraphError: with one sentence for each broken rule.
    """
    problems = _wiring(graph)
    if problems:
        raise GraphError(tuple(problems))
    return _nesting(graph)


def _wiring(graph: Graph) -> list[str]:
    """What is wrong with the nodes and edges themselves, before any talk of forks."""
    problems = _names(graph)
    if problems:
        return problems
    for node in graph.nodes:
        problems += _degrees(graph, node.id)
    starts = [node.id for node in graph.processors if node.kind != "processor"]
    if len(starts) != 1:
        problems.append(f"one feed or source starts a graph, but there are {len(starts)}")
    outputs = [node.id for node in graph.nodes if isinstance(node, OutputNode)]
    if len(outputs) != 1:
        problems.append(f"a graph has one output, but there are {len(outputs)}")
    if len(graph.order) != len(graph.nodes):
        problems.append("the edges run in a circle")
    return problems


def _names(graph: Graph) -> list[str]:
    counted = Counter(node.id for node in graph.nodes)
    problems = [f"two nodes are called {name!r}" for name, n in counted.items() if n > 1]
    if "" in counted:
        problems.append("a node has an empty id")
    for node in graph.nodes:
        problems += _words(node)
    for edge in graph.edges:
        name = f"the edge {edge.source} -> {edge.target}"
        problems += [
            f"{name} knows no node {end!r}"
            for end in (edge.source, edge.target)
            if end not in counted
        ]
        if edge.capacity is not None and not is_count(edge.capacity):
            problems.append(f"{name} has a capacity that is no int: {edge.capacity!r}")
        elif edge.capacity is not None and edge.capacity < 1:
            problems.append(f"{name} has a capacity below 1")
    return problems


def _words(node: Node) -> list[str]:
    """What a node is called by must be one of the words that there are."""
    match node:
        case ProcessorNode(kind=word):
            known = get_args(StageKind)
        case ForkNode(kind=word):
            known = get_args(ForkKind)
        case JoinNode(how=word):
            known = get_args(JoinHow)
        case OutputNode():
            return []
        case other:
            assert_never(other)
    return (
        [] if word in known else [f"{node.id!r} is {word!r}, which is none of {', '.join(known)}"]
    )


def _degrees(graph: Graph, name: str) -> list[str]:
    node = graph.by_id[name]
    into, out = len(graph.in_edges[name]), len(graph.out_edges[name])
    problems: list[str] = []
    match node:
        case ProcessorNode(kind="processor"):
            wanted_in, wanted_out = into == 1, out == 1
        case ProcessorNode():
            wanted_in, wanted_out = into == 0, out == 1
        case ForkNode(kind=kind, auto=auto):
            wanted_in, wanted_out = into == 1, out == 1 if auto else out >= 1
            if auto and kind != "balanced":
                problems.append(f"{name!r} is AUTO, which only a balanced fork can be")
        case JoinNode():
            wanted_in, wanted_out = into >= 1, out == 1
        case OutputNode():
            wanted_in, wanted_out = into >= 1, out == 0
        case other:
            assert_never(other)
    if not wanted_in:
        problems.append(f"{name!r} has {into} edges in")
    if not wanted_out:
        problems.append(f"{name!r} has {out} edges out")
    return problems


def _nesting(graph: Graph) -> Scopes:
    """Work out where every edge lies, for a graph whose wiring is sound.

    Raises:
        GraphError: a join or the output does not close a whole fork, or a zip closes a
            balanced one.
    """
    place: dict[int, Place] = {}
    closes: dict[str, str] = {}
    problems: list[str] = []
    for name in graph.order:
        node = graph.by_id[name]
        into = [place[index] for index in graph.in_edges[name]]
        match node:
            case ForkNode():
                for branch, index in enumerate(graph.out_edges[name]):
                    place[index] = (*into[0], (name, branch))
                continue
            case JoinNode(fork=fork):
                outer = _closing(graph, name, fork, into)
                closes[name] = fork
                if node.how == "zip":
                    problems += _zip(graph, name, into, len(outer))
            case OutputNode() if any(into):
                fork = next(p[0][0] for p in into if p)
                outer = _closing(graph, name, fork, into)
                closes[name] = fork
            case _:
                outer = into[0] if into else ()
        for index in graph.out_edges[name]:
            place[index] = outer
    if problems:
        raise GraphError(tuple(problems))
    return Scopes(place, closes)


def _closing(graph: Graph, name: str, fork: str, into: list[Place]) -> Place:
    """The place behind what closes ``fork``.

    Raises:
        GraphError: it does not close it; at once, since places from here on would mean nothing.
    """
    depths = {[f for f, _ in p].index(fork) if fork in dict(p) else -1 for p in into}
    depth = depths.pop()
    if depths or depth < 0:
        raise GraphError((f"{name!r} joins branches that are not of {fork!r}",))
    inner = [p[depth:] for p in into]
    if not _covers(graph, inner):
        raise GraphError((f"{name!r} does not join all branches of {fork!r}",))
    return into[0][:depth]


def _covers(graph: Graph, ends: list[Place]) -> bool:
    """Whether ``ends``, which all lie in one fork, are all its open ends, each once.

    Each end closes a branch; a fork whose branches are all closed closes the branch it lies in.
    """
    branches: set[Place] = set()
    closed: Counter[Place] = Counter()
    for end in ends:
        place = end
        while place:
            if place in branches:
                return False
            branches.add(place)
            fork = (*place[:-1], (place[-1][0], -1))
            closed[fork] += 1
            if closed[fork] < len(graph.out_edges[place[-1][0]]):
                break
            place = place[:-1]
    return all(n == len(graph.out_edges[fork[-1][0]]) for fork, n in closed.items())


def _zip(graph: Graph, name: str, into: list[Place], depth: int) -> list[str]:
    forks = {fork for p in into for fork, _ in p[depth:]}
    balanced = [
        node.id
        for node in graph.nodes
        if isinstance(node, ForkNode) and node.kind == "balanced" and node.id in forks
    ]
    return [f"{name!r} is a zip and closes the balanced fork {fork!r}" for fork in balanced]
