"""Balanced forks that follow the load get their greatest width: a graph in, a graph out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import NamedTuple

from conveyor.graph import Auto, Edge, ForkNode, Graph, JoinNode, Node, OutputNode
from conveyor.graph.check import check


class Wide(NamedTuple):
    """A graph in which no fork is AUTO any more, and what its parts were before.

    Attributes:
        graph: the graph, with the branch of each AUTO fork as often as it can be needed.
        nodes: for each node, the id of the one that it is a copy of, or its own.
        edges: for each edge, the index of the one that it is a copy of.
        bounds: for each fork that may follow the load, its least and its greatest width.
        kept: for each other AUTO fork, its width and why it keeps it.
    """

    graph: Graph
    nodes: Mapping[str, str]
    edges: tuple[int, ...]
    bounds: Mapping[str, tuple[int, int]]
    kept: Mapping[str, tuple[int, str]]


def widen(graph: Graph, cores: int, fixed: Collection[str] = (), *, still: str = "") -> Wide:
    """The graph with every AUTO fork at its greatest width: what it says, or else the cores.

    A fork in a branch of another AUTO fork keeps its least width, for that one follows the load.

    Args:
        graph: a checked graph.
        cores: how many physical cores this process may use.
        fixed: other forks that keep their least width, since something goes by without a worker.
        still: why no fork follows the load, or "". Its width is then the cores, within its bounds.
    """
    settled = dict.fromkeys(fixed, "it has a branch without a worker")
    for outer in _autos(graph):
        settled |= dict.fromkeys(_inside(graph, outer), "it lies in a fork that follows the load")
    graph = _settled(graph, settled)
    own = {node.id: node.id for node in graph.nodes}
    wide = Wide(graph, own, tuple(range(len(graph.edges))), {}, {})
    while (fork := next(_autos(wide.graph), None)) is not None:
        why = still or settled.get(wide.nodes[fork.id], "")
        wide = _copied(wide, fork, cores, why)
    return wide


def _autos(graph: Graph) -> Iterator[ForkNode]:
    return (node for node in graph.nodes if isinstance(node, ForkNode) and node.auto is not None)


def _settled(graph: Graph, settled: Collection[str]) -> Graph:
    """The graph with the forks at their least width that do not follow the load."""
    nodes = (
        replace(node, auto=Auto(node.auto.min, node.auto.min))
        if isinstance(node, ForkNode) and node.auto is not None and node.id in settled
        else node
        for node in graph.nodes
    )
    return Graph(tuple(nodes), graph.edges) if settled else graph


def width(auto: Auto, cores: int, *, follows: bool = True) -> int:
    """How wide a fork with these bounds is at most, on so many cores.

    One that follows the load may get wider than these: its workers may wait for other things than
    a core, and whether one is free is seen when it runs.
    """
    if auto.max is not None and follows:
        return auto.max
    wanted = max(auto.min, cores)
    return wanted if auto.max is None else min(wanted, auto.max)


def _copied(wide: Wide, fork: ForkNode, cores: int, still: str) -> Wide:
    """The graph with the one branch of ``fork`` standing there as often as it may be needed.

    Args:
        wide: the graph up to now.
        fork: one of its AUTO forks.
        cores: how many cores there are.
        still: why the fork does not follow the load, if it does not.
    """
    assert fork.auto is not None
    graph, copies = wide.graph, width(fork.auto, cores, follows=not still)
    inside = _inside(graph, fork)
    renamed = _names(inside, copies, set(graph.by_id))
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.id == fork.id:
            nodes.append(replace(fork, auto=None))
            nodes += [_renamed(graph.by_id[name], names) for names in renamed for name in inside]
        elif node.id not in inside:
            nodes.append(node)
    edges = list(_copied_edges(graph, {fork.id, *inside}, renamed))
    bounds, kept = dict(wide.bounds), dict(wide.kept)
    if not still and fork.auto.min < copies:
        bounds[fork.id] = fork.auto.min, copies
    else:
        kept[wide.nodes[fork.id]] = copies, f"fixed: {still or _why_one_width(fork.auto)}"
    return Wide(
        Graph(tuple(nodes), tuple(edge for _, edge in edges)),
        {**wide.nodes, **{n: wide.nodes[old] for names in renamed for old, n in names.items()}},
        tuple(wide.edges[index] for index, _ in edges),
        bounds,
        kept,
    )


def _why_one_width(auto: Auto) -> str:
    return "its bounds are equal" if auto.max == auto.min else "there are no more cores"


def _copied_edges(
    graph: Graph, touched: set[str], renamed: list[dict[str, str]]
) -> Iterator[tuple[int, Edge]]:
    """All edges, each with the index of the one that it is a copy of.

    Those out of ``touched`` nodes stand there once for each copy of the branch, together.
    """
    branch = [(index, edge) for index, edge in enumerate(graph.edges) if edge.source in touched]
    for index, edge in enumerate(graph.edges):
        if edge.source not in touched:
            yield index, edge
        elif index == branch[0][0]:
            for names in renamed:
                for own, one in branch:
                    source = names.get(one.source, one.source)
                    target = names.get(one.target, one.target)
                    yield own, replace(one, source=source, target=target)


def _inside(graph: Graph, fork: ForkNode) -> list[str]:
    """The nodes in the branch of a fork, in the order of the graph."""
    scopes = check(graph)
    within: set[str] = set()
    for index, edge in enumerate(graph.edges):
        if any(name == fork.id for name, _ in scopes.place[index]):
            within.add(edge.source)
    return [
        n.id
        for n in graph.nodes
        if n.id in within and n.id != fork.id and not isinstance(n, OutputNode)
    ]


def _names(inside: list[str], copies: int, taken: set[str]) -> list[dict[str, str]]:
    """What the nodes of each copy are called: those of the first keep their names."""
    renamed = [{name: name for name in inside}]
    for _ in range(copies - 1):
        names = {name: _unused(name, taken) for name in inside}
        taken |= set(names.values())
        renamed.append(names)
    return renamed


def _unused(name: str, taken: set[str]) -> str:
    return next(other for n in count(1) if (other := f"{name}+{n}") not in taken)


def _renamed(node: Node, names: dict[str, str]) -> Node:
    node = replace(node, id=names[node.id])
    if isinstance(node, JoinNode) and node.fork in names:
        return replace(node, fork=names[node.fork])
    return node
