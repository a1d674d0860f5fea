"""Graphs made from nodes and edges alone, by hand and at random: no expression, no operator."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import get_args

from hypothesis import strategies as st

from conveyor.graph import (
    Auto,
    Edge,
    ForkNode,
    Graph,
    JoinNode,
    Node,
    OutputNode,
    ProcessorNode,
    Settings,
)
from conveyor.graph.model import ForkKind, JoinHow, OnError, StageKind

# -- by hand --


def wired(chains: str, *nodes: Node) -> Graph:
    """``wired("feed > a > output")``: nodes that are not given are processors by that name."""
    edges = [
        Edge(source, target)
        for chain in chains.split("|")
        for source, target in pairwise(chain.replace(" ", "").split(">"))
    ]
    given = {node.id: node for node in (ProcessorNode("feed", "feed", "Feed()"), *nodes)}
    given.setdefault("output", OutputNode())
    names = dict.fromkeys(end for edge in edges for end in (edge.source, edge.target))
    return Graph(tuple(given.get(name) or stage(name) for name in names), tuple(edges))


def stage(name: str, label: str = "") -> ProcessorNode:
    return ProcessorNode(name, "processor", label or f"{name.capitalize()}()")


def replicated(name: str = "fork") -> ForkNode:
    return ForkNode(name, "replicated")


def balanced(name: str = "fork", auto: Auto | None = None) -> ForkNode:
    return ForkNode(name, "balanced", auto)


# -- at random: the shape of a graph: what follows what, and what lies side by side --


@dataclass(frozen=True)
class Split:
    """A fork; ``how`` is None where it stays open, so that something around it joins it."""

    kind: ForkKind
    auto: Auto | None
    branches: tuple[Steps, ...]
    how: JoinHow | None


Steps = tuple[str | Split, ...]
"""The labels of processors, and forks. An open fork can only be the last; none is an identity."""


def _is_replicated_only(split: Split) -> bool:
    """Whether all that a join of ``split`` closes is replicated."""
    ends = [branch[-1] for branch in split.branches if branch]
    still_open = [end for end in ends if isinstance(end, Split) and end.how is None]
    return split.kind == "replicated" and all(map(_is_replicated_only, still_open))


autos = st.builds(Auto, st.integers(1, 4), st.none() | st.integers(4, 8))
fork_kinds = st.sampled_from(get_args(ForkKind))
labels = st.sampled_from(["Clean()", "ModelA()", "parse", "Score(0.5)", "Post(...)"])


@st.composite
def splits(
    draw: st.DrawFn,
    branches: st.SearchStrategy[Steps],
    *,
    kinds: st.SearchStrategy[ForkKind] = fork_kinds,
    can_be_open: bool = False,
    can_be_auto: bool = True,
) -> Split:
    kind = draw(kinds)
    auto = draw(st.none() | autos) if kind == "balanced" and can_be_auto else None
    laid = draw(st.lists(branches, min_size=1, max_size=1 if auto else 4))
    split = Split(kind, auto, tuple(laid), None)
    hows = [how for how in get_args(JoinHow) if how != "zip" or _is_replicated_only(split)]
    joined = st.sampled_from(hows)
    return replace(split, how=draw(st.none() | joined if can_be_open else joined))


@st.composite
def steps(draw: st.DrawFn, labels: st.SearchStrategy[str], depth: int = 2) -> Steps:
    if depth == 0:
        return tuple(draw(st.lists(labels, max_size=2)))
    inner = steps(labels, depth - 1)
    before = draw(st.lists(labels | splits(inner), max_size=2))
    last = draw(st.none() | splits(inner, can_be_open=True))
    return (*before, *([] if last is None else [last]))


# -- at random: the graph of a shape --


@dataclass
class _Layer:
    nodes: list[Node] = field(default_factory=list[Node])
    edges: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def name(self, base: str) -> str:
        taken = sum(node.id.partition(".")[0] == base for node in self.nodes)
        return f"{base}.{taken + 1}" if taken else base

    def leave(self, node: str) -> int:
        """An edge that leads nowhere yet, so that edges stand as the branches do."""
        self.edges.append((node, ""))
        return len(self.edges) - 1

    def place(self, node: Node, ends: list[int]) -> None:
        self.nodes.append(node)
        for end in ends:
            self.edges[end] = (self.edges[end][0], node.id)

    def steps(self, steps: Steps, end: int) -> list[int]:
        ends = [end]
        for step in steps:
            ends = self.split(step, ends) if isinstance(step, Split) else [self.work(step, ends)]
        return ends

    def work(self, label: str, ends: list[int]) -> int:
        name = self.name("stage")
        self.place(ProcessorNode(name, "processor", label), ends)
        return self.leave(name)

    def split(self, split: Split, ends: list[int]) -> list[int]:
        name = self.name("fork")
        self.place(ForkNode(name, split.kind, split.auto), ends)
        starts = [self.leave(name) for _ in split.branches]
        ends = [
            end
            for branch, start in zip(split.branches, starts, strict=True)
            for end in self.steps(branch, start)
        ]
        if split.how is None:
            return ends
        join = self.name("join")
        self.place(JoinNode(join, name, split.how), ends)
        return [self.leave(join)]


def lay(steps: Steps, start: ProcessorNode) -> Graph:
    layer = _Layer()
    layer.place(start, [])
    layer.place(OutputNode(), layer.steps(steps, layer.leave(start.id)))
    return Graph(tuple(layer.nodes), tuple(Edge(*ends) for ends in layer.edges))


@st.composite
def graphs(
    draw: st.DrawFn,
    *,
    labels: st.SearchStrategy[str] = labels,
    first: st.SearchStrategy[Split] | None = None,
) -> Graph:
    """Sound graphs. Where a test needs a certain fork, ``first`` makes it, called ``"fork"``."""
    start = ProcessorNode("start", draw(st.sampled_from(["feed", "source"])), "Start()")
    before = () if first is None else (draw(first),)
    graph = lay((*before, *draw(steps(labels))), start)
    capacities = st.none() | st.integers(1, 1000)
    edges = tuple(replace(edge, capacity=draw(capacities)) for edge in graph.edges)
    return replace(graph, edges=edges)


def forks(kind: ForkKind) -> st.SearchStrategy[Split]:
    """Joined forks of one kind, none of them AUTO."""
    return splits(steps(labels, 1), kinds=st.just(kind), can_be_auto=False)


# -- at random, sound only by chance --

texts = st.text(max_size=8) | st.sampled_from(
    [
        'say("hi")',
        "<b>",
        "a\nb",
        "#1;",
        "&lt;",
        "**a**",
        "`a`",
        "end",
        "%%{a}%%",
        "C:\\",
        "größe(…)",
    ]
)
names = st.sampled_from(["a", "b", "b.2", "c", "output"]) | texts
settings = st.builds(
    Settings,
    name=st.none() | texts,
    retries=st.integers(),
    on_error=st.sampled_from(get_args(OnError)),
    timeout=st.none() | st.integers() | st.floats(allow_nan=False),
    restarts=st.integers(),
)
nodes = st.one_of(
    st.builds(ProcessorNode, names, st.sampled_from(get_args(StageKind)), texts, settings),
    st.builds(ForkNode, names, fork_kinds, st.none() | autos),
    st.builds(JoinNode, names, names, st.sampled_from(get_args(JoinHow))),
    st.builds(OutputNode, names),
)
edges = st.builds(Edge, names, names, st.none() | st.integers())
any_graphs = st.builds(
    Graph,
    st.lists(nodes, max_size=6).map(tuple),
    st.lists(edges, max_size=8).map(tuple),
)
