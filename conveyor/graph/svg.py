"""A graph as a picture: SVG that needs no script, no font and no other file."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from html import escape

from conveyor.graph.check import check
from conveyor.graph.layout import Box, Line, layout
from conveyor.graph.model import Edge, ForkNode, Graph, JoinNode, Node, OutputNode, ProcessorNode
from conveyor.graph.render import _caption, _clean, _has_natural_id, _kind, _pipe


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured at a node or an edge, to be shown there.

    Attributes:
        text: a few words, such as ``"1,200/s"``.
        share: from 0 to 1, how busy a node or how full an edge was; None where that is not known.
    """

    text: str
    share: float | None = None


def svg(
    graph: Graph,
    *,
    nodes: Mapping[str, Figure] | None = None,
    edges: Mapping[int, Figure] | None = None,
) -> str:
    """``graph`` from left to right.

    Args:
        graph: a sound graph.
        nodes: figures to show at nodes, by their ids.
        edges: figures to show at edges, by their indexes in the graph.

    Raises:
        GraphError: the graph breaks a structural rule, and so has no such picture.
    """
    return "\n".join(_Drawing(graph, nodes or {}, edges or {}).lines()) + "\n"


# -- how large things are, in pixels --

_CHAR, _SMALL = 7.6, 6.2
"""The width of a letter in a label, and of one in small print: fonts of equal width."""
_PAD = 11.0
_HEIGHT, _FIGURE_HEIGHT = 30.0, 15.0
_POINT = 22.0
_LONGEST, _LONGEST_ID = 28, 16
_RADIUS = 8.0
_STACK = (6.0, 3.0)
"""How far what stands for further copies shows from behind a box."""

# Colours stand in the rules themselves: many readers of SVG know no custom properties.
_STYLE = """
svg.conveyor { color-scheme: light dark }
.conveyor text { font: 12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono",
  "Liberation Mono", monospace; fill: #1c2530 }
.conveyor .small { font-size: 10.3px; fill: #5a6876 }
.conveyor .paper { fill: #ffffff }
.conveyor .box { fill: #eef3f9; stroke: #6a82a0; stroke-width: 1.2 }
.conveyor .end { fill: #f3f3f3; stroke: #8a8f96; stroke-width: 1.2 }
.conveyor .source { fill: #e8f4ea; stroke: #5c9268; stroke-width: 1.2 }
.conveyor .line { fill: none; stroke: #74808d; stroke-width: 1.5 }
.conveyor .arrow { fill: #74808d }
.conveyor .replicated { fill: #2a62a6; stroke: #2a62a6 }
.conveyor .balanced { fill: #ffffff; stroke: #b0560f; stroke-width: 1.6 }
.conveyor .join { fill: #ffffff; stroke: #74808d; stroke-width: 1.4 }
.conveyor .star { fill: none; stroke: #ffffff; stroke-width: 1.7; stroke-linecap: round }
.conveyor .balance { fill: #b0560f }
.conveyor .share { fill: #b0560f }
.conveyor .line.share { fill: none; stroke: #b0560f }
@media (prefers-color-scheme: dark) {
.conveyor text { fill: #e3e8ee }
.conveyor .small { fill: #9aa7b4 }
.conveyor .paper { fill: #14181d }
.conveyor .box { fill: #1f2a37; stroke: #6f8cad }
.conveyor .end { fill: #24282d; stroke: #848b94 }
.conveyor .source { fill: #1b2e20; stroke: #639a70 }
.conveyor .line { stroke: #8995a2 }
.conveyor .arrow { fill: #8995a2 }
.conveyor .replicated { fill: #78aef0; stroke: #78aef0 }
.conveyor .balanced { fill: #14181d; stroke: #f0a35e }
.conveyor .join { fill: #14181d; stroke: #8995a2 }
.conveyor .star { stroke: #14181d }
.conveyor .balance { fill: #f0a35e }
.conveyor .share { fill: #f0a35e }
.conveyor .line.share { stroke: #f0a35e }
}
""".strip()


def _columns(text: str) -> int:
    """How many letters wide a text is: those of East Asia take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _short(text: str, longest: int) -> str:
    if _columns(text) <= longest:
        return text
    while _columns(text) >= longest:
        text = text[:-1]
    return text + "\N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True, slots=True)
class _Words:
    """What stands in the shape of a node, and behind it in small print."""

    label: str
    small: str

    @property
    def width(self) -> float:
        return _columns(self.label) * _CHAR + _columns(self.small) * _SMALL


def _words(node: Node) -> _Words:
    if isinstance(node, (ForkNode, JoinNode)):
        return _Words(_caption(node)[0], "")
    name = node.settings.name if isinstance(node, ProcessorNode) else None
    if name is not None and node.id.startswith(name):
        # Whoever names it will look for the name.
        return _Words(_short(_clean(name), _LONGEST), _clean(node.id.removeprefix(name)))
    label = _short(_clean(_caption(node)[0]), _LONGEST)
    return _Words(label, _short(_id(node), _LONGEST_ID))


def _id(node: Node) -> str:
    """As much of the id as the label does not say: ``".2"`` where it is ``"parse.2"``."""
    if _has_natural_id(node):
        return ""
    base, dot, number = node.id.rpartition(".")
    if dot and number.isdecimal() and _has_natural_id(replace(node, id=base)):
        return dot + number
    return f" {_clean(node.id)}"


def _edge_words(graph: Graph, edge: Edge) -> str:
    source = graph.by_id[edge.source]
    words = [repr(source.auto)] if isinstance(source, ForkNode) and source.auto else []
    words += [] if edge.capacity is None else [f"\N{LESS-THAN OR EQUAL TO} {edge.capacity}"]
    return ", ".join(words)


class _Drawing:
    def __init__(
        self, graph: Graph, nodes: Mapping[str, Figure], edges: Mapping[int, Figure]
    ) -> None:
        self._graph = graph
        self._nodes = nodes
        self._edges = edges
        self._words = {node.id: _words(node) for node in graph.nodes}
        self._scopes = check(graph)
        sizes = {node.id: self._size(node) for node in graph.nodes}
        words = [self._room(index) for index in range(len(graph.edges))]
        self._layout = layout(graph, self._scopes, sizes, words)

    def _size(self, node: Node) -> tuple[float, float]:
        words, figure = self._words[node.id], self._nodes.get(node.id)
        if isinstance(node, ForkNode):
            return _POINT, _POINT
        if isinstance(node, JoinNode):
            return (_POINT if len(words.label) == 1 else words.width + 2 * _PAD), _POINT
        said = 0.0 if figure is None else _columns(_clean(figure.text)) * _SMALL
        return max(words.width, said) + 2 * _PAD, _HEIGHT + (_FIGURE_HEIGHT if self._nodes else 0)

    def _room(self, index: int) -> float:
        """The width of what is written along an edge."""
        figure = self._edges.get(index)
        texts = [_edge_words(self._graph, self._graph.edges[index])]
        texts += [] if figure is None else [_clean(figure.text)]
        source = self._graph.by_id[self._graph.edges[index].source]
        return max(map(_columns, texts)) * _SMALL + self._overhang(source)

    def _overhang(self, node: Node) -> float:
        """How far what stands for further copies shows on the right of a node."""
        return _STACK[0] if self._is_auto(node) else 0.0

    # -- the parts of the picture --

    def lines(self) -> Iterator[str]:
        wide, tall = _px(self._layout.width), _px(self._layout.height)
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="conveyor" role="img" '
            f'width="{wide}" height="{tall}" viewBox="0 0 {wide} {tall}">'
        )
        yield f"<title>{escape(self._title())}</title>"
        yield f"<style>\n{_STYLE}\n</style>"
        yield f'<rect class="paper" width="{wide}" height="{tall}" rx="6"/>'
        for line in self._layout.lines:
            yield from self._line(line)
        for box in self._layout.boxes:
            yield from self._box(box)
        yield "</svg>"

    def _title(self) -> str:
        count = len(self._graph.processors)
        processors = "1 processor" if count == 1 else f"{count} processors"
        return f"A pipeline that starts with {_clean(self._graph.start.label)}: {processors}"

    def _line(self, line: Line) -> Iterator[str]:
        edge, figure = line.edge, self._edges.get(line.index)
        ends = f"{_clean(edge.source)} to {_clean(edge.target)}"
        kind, style = "line", ""
        if figure is not None and figure.share is not None:
            kind, style = "line share", f' style="stroke-width: {1.5 + 2.5 * figure.share:.1f}"'
        yield f'<g data-edge="{line.index}">'
        yield f"<title>{escape(f'{_pipe(edge)} from {ends}')}</title>"
        yield f'<path class="{kind}"{style} d="{_path(_corners(line))}"/>'
        x = line.start.right + 7 + self._overhang(line.start.node)
        if words := _edge_words(self._graph, edge):
            yield _text(x, line.y - 5, "small", words, anchor="start")
        if figure is not None:
            yield _text(x, line.y + 14, "small", _clean(figure.text), anchor="start")
        yield "</g>"

    def _box(self, box: Box) -> Iterator[str]:
        node = box.node
        yield f'<g data-node="{escape(_clean(node.id))}">'
        yield f"<title>{escape(f'{_clean(node.id)}: {_kind(node)}')}</title>"
        if isinstance(node, ForkNode):
            yield from _fork(box, node)
        elif isinstance(node, JoinNode):
            yield _rect(box, "join", _POINT / 2)
            yield _text(box.centre, box.middle + 4.3, "", self._words[node.id].label)
        else:
            yield from self._worker(box, node)
        yield "</g>"

    def _worker(self, box: Box, node: ProcessorNode | OutputNode) -> Iterator[str]:
        for offset in _STACK if self._is_auto(node) else ():
            yield _rect(replace(box, x=box.x + offset, y=box.y + offset), "box", 6)
        kind = "output" if isinstance(node, OutputNode) else node.kind
        if kind == "source":
            yield f'<path class="source" d="{_tag(box)}"/>'
        elif kind == "processor":
            yield _rect(box, "box", 6)
        else:
            yield _rect(box, "end", box.height / 2)
        if self._graph.in_edges[node.id]:
            x, y = _px(box.x), box.middle
            d = f"M{_px(box.x - 8)} {_px(y - 4)}L{x} {_px(y)}L{_px(box.x - 8)} {_px(y + 4)}Z"
            yield f'<path class="arrow" d="{d}"/>'
        yield from self._inside(box, self._words[node.id], self._nodes.get(node.id))

    def _inside(self, box: Box, words: _Words, figure: Figure | None) -> Iterator[str]:
        small = f'<tspan class="small">{escape(words.small)}</tspan>' if words.small else ""
        base = box.y + _HEIGHT / 2 + 4.3
        yield (
            f'<text x="{_px(box.centre)}" y="{_px(base)}" text-anchor="middle">'
            f"{escape(words.label)}{small}</text>"
        )
        if figure is not None:
            yield _text(box.centre, base + _FIGURE_HEIGHT - 1, "small", _clean(figure.text))
            if figure.share is not None:
                wide = (box.width - 2 * _PAD) * min(1.0, max(0.0, figure.share))
                yield (
                    f'<rect class="share" x="{_px(box.x + _PAD)}" y="{_px(box.y + box.height - 5)}"'
                    f' width="{_px(wide)}" height="2.5"/>'
                )

    def _is_auto(self, node: Node) -> bool:
        """Whether there are as many copies of a node as the load asks for."""
        if not isinstance(node, ProcessorNode) or node.kind != "processor":
            return False
        place = self._scopes.place[self._graph.out_edges[node.id][0]]
        forks = [self._graph.by_id[fork] for fork, _ in place]
        return any(isinstance(fork, ForkNode) and fork.auto for fork in forks)


# -- shapes --


def _px(length: float) -> str:
    return f"{length:.1f}".removesuffix(".0")


def _rect(box: Box, kind: str, radius: float) -> str:
    return (
        f'<rect class="{kind}" x="{_px(box.x)}" y="{_px(box.y)}" width="{_px(box.width)}" '
        f'height="{_px(box.height)}" rx="{_px(radius)}"/>'
    )


def _text(x: float, y: float, kind: str, text: str, *, anchor: str = "middle") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text{name} x="{_px(x)}" y="{_px(y)}" text-anchor="{anchor}">{escape(text)}</text>'


def _tag(box: Box) -> str:
    """A box that points to where the stream goes."""
    left, right, neck = _px(box.x), _px(box.right), _px(box.right - 9)
    top, bottom = _px(box.y), _px(box.y + box.height)
    return f"M{left} {top}H{neck}L{right} {_px(box.middle)}L{neck} {bottom}H{left}Z"


def _fork(box: Box, node: ForkNode) -> Iterator[str]:
    x, y, reach = box.centre, box.middle, _POINT / 2
    if node.kind == "replicated":
        yield f'<circle class="replicated" cx="{_px(x)}" cy="{_px(y)}" r="{_px(reach)}"/>'
        # A star of strokes: fonts do not agree on how high theirs stands.
        strokes = [(0.0, 5.0), (4.3, 2.5), (4.3, -2.5)]
        d = "".join(
            f"M{_px(x - dx)} {_px(y - dy)}L{_px(x + dx)} {_px(y + dy)}" for dx, dy in strokes
        )
        yield f'<path class="star" d="{d}"/>'
    else:
        corners = ((0, -1), (1, 0), (0, 1), (-1, 0))
        reach += 3
        d = "L".join(f"{_px(x + dx * reach)} {_px(y + dy * reach)}" for dx, dy in corners)
        yield f'<path class="balanced" d="M{d}Z"/>'
        yield _text(x, y + 4.3, "balance", "%")


def _corners(line: Line) -> list[tuple[float, float]]:
    """The corners of a line, its ends included."""
    start, end, y = line.start, line.end, line.y
    points = [(start.right, y)]
    if start.middle != y:
        points = [(start.centre, start.middle), (start.centre, y)]
    if end.middle == y:
        return [*points, (end.x, y)]
    points += [(end.entrance, y), (end.entrance, end.middle)]
    return [*points, (end.x, end.middle)] if end.entrance < end.x else points


def _path(points: list[tuple[float, float]]) -> str:
    """A line through ``points``, round at its corners."""
    parts = [f"M{_px(points[0][0])} {_px(points[0][1])}"]
    for before, corner, behind in zip(points, points[1:], points[2:], strict=False):
        (ax, ay), (bx, by) = _towards(corner, before), _towards(corner, behind)
        parts.append(f"L{_px(ax)} {_px(ay)}Q{_px(corner[0])} {_px(corner[1])} {_px(bx)} {_px(by)}")
    return "".join([*parts, f"L{_px(points[-1][0])} {_px(points[-1][1])}"])


def _towards(corner: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """A point near ``corner`` on the way to ``other``."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = abs(dx) + abs(dy)
    share = min(_RADIUS, length / 2) / length if length else 0
    return corner[0] + dx * share, corner[1] + dy * share
