"""Where everything stands in a picture of a graph: boxes, points, and the lines between them.

Every branch of a fork has a strip of its own, below that of the branch before it, and what is in
the branch stands in the middle of its strip. So no line crosses a box, and no two boxes touch.
From left to right there are columns: one for each processor of a chain, and narrow ones between
them for the points where lines part and meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from conveyor.graph.check import Place, Scopes
from conveyor.graph.model import Edge, ForkNode, Graph, JoinNode, Node, OutputNode

Level = tuple[int, int]
"""A column: how many boxes stand before it, and how many points since the last of them."""

MARGIN = 16.0
GAP = 18.0
"""The shortest line between two columns."""
ARROW = 14.0
"""How much longer a line is that ends in a box."""
BETWEEN = 12.0
"""What is left free between two strips."""
MEETING = 20.0
"""How far before the output the lines meet that it joins."""


@dataclass(frozen=True, slots=True)
class Box:
    """The place of a node, in pixels. Its lines come in on the left, in the middle."""

    node: Node
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Where it ends."""
        return self.x + self.width

    @property
    def middle(self) -> float:
        """The height of its lines."""
        return self.y + self.height / 2

    @property
    def entrance(self) -> float:
        """Where lines from above and below meet before it."""
        if isinstance(self.node, OutputNode):
            return self.x - MEETING
        return self.centre

    @property
    def centre(self) -> float:
        """The middle from left to right."""
        return self.x + self.width / 2


@dataclass(frozen=True, slots=True)
class Line:
    """The way of an edge: level at ``y``, from the middle of one box to that of another.

    Attributes:
        edge: what it draws.
        index: its index in the edges of the graph.
        start, end: the boxes that it joins.
        y: the height of its level part.
    """

    edge: Edge
    index: int
    start: Box
    end: Box
    y: float


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole picture, in pixels."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: float
    height: float


def layout(
    graph: Graph, scopes: Scopes, sizes: Mapping[str, tuple[float, float]], words: Sequence[float]
) -> Layout:
    """Place the nodes and edges of a graph.

    Args:
        graph: a sound graph.
        scopes: those of the graph.
        sizes: the width and height of each node, by its id.
        words: for each edge, the width of what is written along it.
    """
    order = graph.order
    strip = max(height for _, height in sizes.values()) + BETWEEN
    middles, height = _middles(graph, scopes, order)
    columns = _columns(graph, order, sizes, words)
    boxes: dict[str, Box] = {}
    for node in graph.nodes:
        left, wide = columns[node.id]
        own, tall = sizes[node.id]
        width = own if _is_point(node) else wide
        x = left + (wide - width) / 2
        middle = MARGIN + middles[_place(graph, scopes, node.id)] * strip
        boxes[node.id] = Box(node, x, middle - tall / 2, width, tall)
    lines = tuple(
        Line(
            edge,
            index,
            boxes[edge.source],
            boxes[edge.target],
            MARGIN + middles[scopes.place[index]] * strip,
        )
        for index, edge in enumerate(graph.edges)
    )
    right = max(box.right for box in boxes.values())
    ordered = tuple(boxes[node.id] for node in graph.nodes)
    return Layout(ordered, lines, right + MARGIN, height * strip + 2 * MARGIN)


def _is_point(node: Node) -> bool:
    return isinstance(node, (ForkNode, JoinNode))


def _place(graph: Graph, scopes: Scopes, name: str) -> Place:
    """The open forks around a node: those around the pipe that leads to it or, from a join, on."""
    if not isinstance(graph.by_id[name], JoinNode):
        return next(
            (scopes.place[i] for i in graph.in_edges[name] if name not in scopes.closes), ()
        )
    return scopes.place[graph.out_edges[name][0]]


# -- from top to bottom --


def _middles(
    graph: Graph, scopes: Scopes, order: Iterable[str]
) -> tuple[Mapping[Place, float], int]:
    """For each place the middle of its strip, in strips from the top; and how many there are."""
    forks = [name for name in order if isinstance(graph.by_id[name], ForkNode)]
    tall: dict[Place, int] = dict.fromkeys(scopes.place.values(), 1) | {(): 1}
    for fork in reversed(forks):  # what is nested first
        around = _place(graph, scopes, fork)
        branches = [scopes.place[index] for index in graph.out_edges[fork]]
        tall[around] = max(tall[around], sum(tall[branch] for branch in branches))
    middles: dict[Place, float] = {(): tall[()] / 2}
    for fork in forks:
        branches = [scopes.place[index] for index in graph.out_edges[fork]]
        top = middles[_place(graph, scopes, fork)] - sum(tall[branch] for branch in branches) / 2
        for branch in branches:
            middles[branch] = top + tall[branch] / 2
            top += tall[branch]
    return middles, tall[()]


# -- from left to right --


def _columns(
    graph: Graph,
    order: Iterable[str],
    sizes: Mapping[str, tuple[float, float]],
    words: Sequence[float],
) -> Mapping[str, tuple[float, float]]:
    """For each node, where its column begins, and how wide that is."""
    levels = _levels(graph, order)
    right = x = MARGIN
    ends: dict[Level, float] = {}
    found: dict[str, tuple[float, float]] = {}
    for level in sorted(set(levels.values())):
        names = [name for name, other in levels.items() if other == level]
        x = max((right + GAP if ends else x, *_needed(graph, names, levels, ends, words)))
        width = max(sizes[name][0] for name in names)
        right = ends[level] = x + width
        found |= dict.fromkeys(names, (x, width))
    return found


def _levels(graph: Graph, order: Iterable[str]) -> Mapping[str, Level]:
    levels: dict[str, Level] = {}
    for name in order:
        before = (levels[graph.edges[index].source] for index in graph.in_edges[name])
        column, point = max(before, default=(-1, 0))
        is_point = _is_point(graph.by_id[name])
        levels[name] = (column, point + 1) if is_point else (column + 1, 0)
    return levels


def _needed(
    graph: Graph,
    names: Iterable[str],
    levels: Mapping[str, Level],
    ends: Mapping[Level, float],
    words: Sequence[float],
) -> Iterable[float]:
    """How far right each line into a column must be able to reach."""
    for name in names:
        node = graph.by_id[name]
        beyond = 0.0 if _is_point(node) else ARROW
        if isinstance(node, OutputNode) and len(graph.in_edges[name]) > 1:
            beyond += MEETING
        for index in graph.in_edges[name]:
            yield ends[levels[graph.edges[index].source]] + GAP + words[index] + beyond
