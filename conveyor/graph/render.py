"""A graph as a tree for a terminal, as Mermaid and as DOT; and as JSON, from its own file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from conveyor.errors import GraphError
from conveyor.graph.as_json import from_json, to_json
from conveyor.graph.check import check
from conveyor.graph.model import (
    Edge,
    ForkKind,
    ForkNode,
    Graph,
    JoinHow,
    JoinNode,
    Node,
    OutputNode,
    ProcessorNode,
)

__all__ = ["dot", "from_json", "mermaid", "text", "to_json"]

_FORKS: Mapping[ForkKind, str] = {
    "replicated": "* each item to every branch",
    "balanced": "% each item to one branch",
}
_JOINS: Mapping[JoinHow, str] = {
    "interleave": "& items as they come",
    "ordered": "& items in order (ordered)",
    "zip": "& one tuple per item (zip)",
}
_MANY = 4
"""From this many on, branches that look the same are drawn once."""
_TIMES = "\N{MULTIPLICATION SIGN}"


# -- what all drawings say of a node and of an edge --


def _visible(text: str) -> str:
    """``text`` with nothing in it that a terminal would obey."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _clean(text: str) -> str:
    """``text`` on one line, visible."""
    return _visible(" ".join(text.split()))


def _natural(node: Node) -> str:
    """The id that a reader expects of a node; any other is shown."""
    match node:
        case ProcessorNode():
            return node.label.partition("(")[0]
        case ForkNode():
            return "fork"
        case JoinNode():
            return "zip" if node.how == "zip" else "join"
        case OutputNode():
            return "output"


def _has_natural_id(node: Node) -> bool:
    return node.id.replace("_", "").lower() == _natural(node).replace("_", "").lower()


def _pipe(edge: Edge) -> str:
    return "Pipe()" if edge.capacity is None else f"Pipe(capacity={edge.capacity})"


# -- text --


def text(graph: Graph) -> str:
    """``graph`` as a tree: the trunk runs down, and each branch of a fork hangs from it.

    A graph that breaks a structural rule has no such drawing. Of that one, the broken rules, the
    nodes and the edges are listed.
    """
    try:
        lines = _Tree(graph).lines()
    except GraphError as error:
        lines = [*str(error).splitlines(), *_listing(graph)]
    except RecursionError:  # forks in forks in forks, hundreds deep
        lines = list(_listing(graph))
    return "\n".join(lines)


def _listing(graph: Graph) -> Iterator[str]:
    yield "nodes:"
    for node in graph.nodes:
        yield f"  {_clean(node.id)}: {_kind(node)}"
    yield "edges:"
    for edge in graph.edges:
        pipe = "" if edge.capacity is None else f"  {_pipe(edge)}"
        yield f"  {_clean(edge.source)} -> {_clean(edge.target)}{pipe}"


def _kind(node: Node) -> str:
    match node:
        case ProcessorNode():
            return f"{node.kind} {_clean(node.label)}"
        case ForkNode():
            return f"{node.kind} fork" + (f" {node.auto!r}" if node.auto else "")
        case JoinNode():
            return f"{node.how} join of {_clean(node.fork)}"
        case OutputNode():
            return "output"


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the tree. It can stand for the same line in many branches."""

    text: str
    first: str = ""
    last: str = ""
    shows_id: bool = False

    def __str__(self) -> str:
        if self.first != self.last:
            return f"{self.text}  [{self.first} … {self.last}]"
        return f"{self.text}  [{self.first}]" if self.shows_id else self.text

    def after(self, prefix: str) -> _Line:
        return replace(self, text=prefix + self.text)


_Block = list[_Line]


def _node_line(node: Node, text: str) -> _Line:
    name = _clean(node.id)
    return _Line(text, name, name, shows_id=not _has_natural_id(node))


class _Tree:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._closes = check(graph).closes

    def lines(self) -> list[str]:
        start = self._graph.start
        block, _ = self._chain(self._graph.out_edges[start.id][0], [self._line(start)])
        return [str(line) for line in block]

    def _chain(self, index: int, before: _Block) -> tuple[_Block, str]:
        """Follow the pipe at ``index`` until a fork around it is closed, or to the output.

        Returns:
            The lines, and the id of the node that closes or ends them.
        """
        block = before.copy()
        while True:
            edge = self._graph.edges[index]
            node = self._graph.by_id[edge.target]
            if node.id in self._closes:
                if not block or edge.capacity is not None:
                    block.append(_Line(f"│ {_pipe(edge)}"))
                return block, node.id
            if edge.capacity is not None:
                block.append(_Line(f"│ {_pipe(edge)}"))
            elif block:
                block.append(_Line("│"))
            if isinstance(node, ForkNode):
                branches, closer = self._fork(node)
                block += branches
                if self._closes[closer] != node.id:
                    return block, closer
                node = self._graph.by_id[closer]
            block.append(self._line(node))
            if isinstance(node, OutputNode):
                return block, node.id
            index = self._graph.out_edges[node.id][0]

    def _fork(self, node: ForkNode) -> tuple[_Block, str]:
        chains = [self._chain(index, []) for index in self._graph.out_edges[node.id]]
        block = [self._line(node)]
        groups = _groups([branch for branch, _ in chains])
        for number, (times, branch) in enumerate(groups, 1):
            count = f"{node.auto or times} {_TIMES} " if node.auto or times > 1 else ""
            is_last = number == len(groups)
            mark, rest = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
            block.append(branch[0].after(mark + count))
            block += [line.after(rest + " " * len(count)) for line in branch[1:]]
        return block, chains[0][1]

    def _line(self, node: Node) -> _Line:
        match node:
            case ProcessorNode():
                return _node_line(node, _clean(node.label))
            case ForkNode():
                return _node_line(node, _FORKS[node.kind])
            case JoinNode():
                return _node_line(node, _JOINS[node.how])
            case OutputNode():
                return _node_line(node, "& output" if node.id in self._closes else "output")


def _groups(branches: list[_Block]) -> list[tuple[int, _Block]]:
    """The branches in their order, those that look the same as one with their number."""
    groups: list[tuple[int, _Block]] = []
    for _, group in groupby(branches, key=lambda block: [line.text for line in block]):
        same = list(group)
        if len(same) < _MANY:
            groups += [(1, block) for block in same]
        else:
            groups.append((len(same), _merged(same[0], same[-1])))
    return groups


def _merged(first: _Block, last: _Block) -> _Block:
    return [replace(a, last=b.last) for a, b in zip(first, last, strict=True)]


# -- Mermaid and DOT --


def _caption(node: Node) -> tuple[str, ...]:
    """What stands in the shape of a node: what it is, then its id where that says more."""
    match node:
        case ForkNode():
            return ("*" if node.kind == "replicated" else "%",)
        case JoinNode():
            return ("&" if node.how == "interleave" else f"& {node.how}",)
        case ProcessorNode():
            return _with_id(node, _clean(node.label))
        case OutputNode():
            return _with_id(node, "output")


def _with_id(node: Node, what: str) -> tuple[str, ...]:
    return (what,) if _has_natural_id(node) else (what, _clean(node.id))


def _edge_words(graph: Graph, edge: Edge) -> str:
    source = graph.by_id.get(edge.source)
    words = [repr(source.auto)] if isinstance(source, ForkNode) and source.auto else []
    words += [] if edge.capacity is None else [_pipe(edge)]
    return ", ".join(words)


_STAR = "\N{ASTERISK OPERATOR}"
"""Mermaid takes labels for Markdown, where a lone star starts a list."""
_NO_SPACE = "\N{ZERO WIDTH SPACE}"
_MERMAID_SHAPES: Mapping[str, tuple[str, str]] = {
    "feed": ("([", "])"),
    "source": ("[(", ")]"),
    "processor": ("[", "]"),
    "link": ("((", "))"),
    "output": ("([", "])"),
}


def mermaid(graph: Graph) -> str:
    """``graph`` in Mermaid's flowchart language, from left to right."""
    ends = (end for edge in graph.edges for end in (edge.source, edge.target))
    names = dict.fromkeys([*(node.id for node in graph.nodes), *ends])
    # The number keeps names apart, and from being words of the language, such as `end`.
    refs = {name: f"n{i}_{re.sub('[^a-z0-9]+', '_', name.lower())}" for i, name in enumerate(names)}
    lines = ["flowchart LR"]
    for node in graph.nodes:
        left, right = _MERMAID_SHAPES[_shape(node)]
        caption = "<br/>".join(_mermaid_escaped(line) for line in _caption(node))
        lines.append(f'  {refs[node.id]}{left}"{caption or " "}"{right}')
    for edge in graph.edges:
        words = _edge_words(graph, edge)
        arrow = f'-->|"{words}"|' if words else "-->"
        lines.append(f"  {refs[edge.source]} {arrow} {refs[edge.target]}")
    return "\n".join(lines) + "\n"


def _shape(node: Node) -> str:
    match node:
        case ProcessorNode():
            return node.kind
        case ForkNode() | JoinNode():
            return "link"
        case OutputNode():
            return "output"


_MERMAID_SPECIAL = re.compile(r"""["#&<>`$\\]|%(?=%)""")


def _mermaid_escaped(line: str) -> str:
    """``line`` for a label in double quotes: what Mermaid would read as more goes by number."""
    # Two dollars begin a formula, and a backslash with an n breaks the line, by number as well:
    # a space of no width keeps them apart.
    apart = line.replace("$$", f"${_NO_SPACE}$").replace("\\n", f"\\{_NO_SPACE}n")
    return _MERMAID_SPECIAL.sub(lambda found: f"#{ord(found[0])};", apart.replace("*", _STAR))


_DOT_SHAPES: Mapping[str, str] = {
    "feed": "shape=oval",
    "source": "shape=cylinder",
    "processor": "shape=box, style=rounded",
    "link": "shape=oval, width=0.3, height=0.3, margin=0.02",
    "output": "shape=oval",
}
_DOT_HEAD = (
    "digraph conveyor {",
    "  rankdir=LR",
    "  ordering=out",
    '  node [fontname="sans-serif"]',
    '  edge [fontname="sans-serif", fontsize=10]',
)


def dot(graph: Graph) -> str:
    """``graph`` in Graphviz' DOT language, from left to right."""
    lines = [*_DOT_HEAD]
    for node in graph.nodes:
        label = "\\n".join(_dot_escaped(line.replace("&", "&amp;")) for line in _caption(node))
        lines.append(f'  {_dot_name(node.id)} [label="{label}", {_DOT_SHAPES[_shape(node)]}]')
    for edge in graph.edges:
        words = _edge_words(graph, edge)
        label = f' [label="{words}"]' if words else ""
        lines.append(f"  {_dot_name(edge.source)} -> {_dot_name(edge.target)}{label}")
    return "\n".join([*lines, "}"]) + "\n"


def _dot_escaped(line: str) -> str:
    return line.replace("\\", "\\\\").replace('"', '\\"')


def _dot_name(name: str) -> str:
    return f'"{_dot_escaped(_visible(name))}"'
