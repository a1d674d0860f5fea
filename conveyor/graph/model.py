"""The graph: what an expression compiles to, and all that an engine needs to know."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from conveyor.cached import cached_property
from conveyor.errors import UsageError

if TYPE_CHECKING:
    from conveyor.graph.check import Scopes

ForkKind = Literal["replicated", "balanced"]
JoinHow = Literal["interleave", "ordered", "zip"]
StageKind = Literal["feed", "source", "processor"]
OnError = Literal["fail", "skip", "dead_letter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What ``element.options(...)`` sets for the worker of a processor.

    Attributes:
        name: the id of the node, instead of one made from the class or function.
        retries: how often a failed item is tried again.
        on_error: what becomes of an item that failed for good.
        timeout: seconds that one item may take, or None for no limit.
        restarts: how often a dead worker is started again.
    """

    name: str | None = None
    retries: int = 0
    on_error: OnError = "fail"
    timeout: float | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Auto:
    """The width of a balanced fork that follows the load at run time.

    Attributes:
        min: the fewest branches, 1 or more.
        max: the most, or None for the cores that this process may use. More than these can be of
            use where branches wait for something else, such as a disk or an answer.
    """

    min: int = 1
    max: int | None = None

    def __post_init__(self) -> None:
        for name in ("min", "max"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        if not is_count(self.min) or self.min < 1:
            raise UsageError(f"Auto(min=...) takes an int of 1 or more, not {self.min!r}")
        if self.max is not None and (not is_count(self.max) or self.max < self.min):
            takes = "an int of min or more, or None"
            raise UsageError(f"Auto(max=...) takes {takes}, not {self.max!r}")

    def __repr__(self) -> str:
        return "AUTO" if self == Auto() else f"Auto(min={self.min}, max={self.max})"


def is_count(value: object) -> TypeGuard[int]:
    """Whether a value is an int and no bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def plain(value: Any) -> Any:
    """An integer of any kind, such as one of numpy's, as an int; all else, also a bool, as it is.

    What is given as a count goes through this, before it is checked.
    """
    if isinstance(value, bool):
        return value
    try:
        return operator.index(value)
    except TypeError:
        return value


@dataclass(frozen=True, slots=True)
class ProcessorNode:
    """One processor instance: a feed (the items given to ``run``), a source or a processor.

    Attributes:
        id: unique in the graph and readable, such as ``"clean"`` or ``"parse.2"``.
        kind: what starts a graph is a feed or a source, and nothing else is.
        label: how the user wrote it.
        settings: what ``options`` set.
        processor: the user's object; not part of equality, since JSON can't carry it.
    """

    id: str
    kind: StageKind
    label: str
    settings: Settings = Settings()
    processor: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ForkNode:
    """Where a stream divides. ``auto`` is set on a balanced fork with one branch as pattern."""

    id: str
    kind: ForkKind
    auto: Auto | None = None


@dataclass(frozen=True, slots=True)
class JoinNode:
    """Where the branches of a fork, and all forks still open in them, become one stream again.

    Attributes:
        fork: the id of the fork that is closed.
        how: what the stream is, see section "Joins" of the language reference.
    """

    id: str
    fork: str
    how: JoinHow = "interleave"


@dataclass(frozen=True, slots=True)
class OutputNode:
    """What the caller gets. It also joins what is still open."""

    id: str = "output"


Node = ProcessorNode | ForkNode | JoinNode | OutputNode


@dataclass(frozen=True, slots=True)
class Edge:
    """A pipe between two nodes.

    Attributes:
        source: the id of the node that it leaves.
        target: the id of the node that it enters.
        capacity: the most items that it holds, or None where the engine decides.
    """

    source: str
    target: str
    capacity: int | None = None


@dataclass(frozen=True)
class Graph:
    """Nodes and edges, in the order of the expression: branches stand left to right.

    Any nodes and edges make a graph; :meth:`check` says whether it is sound. What
    ``pipeline.compile()`` returns has been checked.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @cached_property
    def by_id(self) -> Mapping[str, Node]:
        """The nodes by their ids."""
        return {node.id: node for node in self.nodes}

    @cached_property
    def out_edges(self) -> Mapping[str, tuple[int, ...]]:
        """For each node, the indexes in ``edges`` of those that leave it, left to right."""
        return self._indexes(edge.source for edge in self.edges)

    @cached_property
    def in_edges(self) -> Mapping[str, tuple[int, ...]]:
        """For each node, the indexes in ``edges`` of those that enter it, left to right."""
        return self._indexes(edge.target for edge in self.edges)

    def _indexes(self, ends: Iterable[str]) -> Mapping[str, tuple[int, ...]]:
        found: dict[str, list[int]] = {node.id: [] for node in self.nodes}
        for index, end in enumerate(ends):
            found.setdefault(end, []).append(index)
        return {end: tuple(indexes) for end, indexes in found.items()}

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The ids of the nodes, each after all that lead to it; fewer where there is a cycle."""
        waiting = {node.id: len(self.in_edges[node.id]) for node in self.nodes}
        ready = deque(node for node, edges in waiting.items() if not edges)
        order: list[str] = []
        while ready:
            order.append(node := ready.popleft())
            for index in self.out_edges[node]:
                target = self.edges[index].target
                waiting[target] -= 1
                if not waiting[target]:
                    ready.append(target)
        return tuple(order)

    @cached_property
    def scopes(self) -> Scopes:
        """Where every edge lies, and what closes which fork.

        Raises:
            GraphError: with one sentence for each broken structural rule.
        """
        from conveyor.graph.check import scopes

        return scopes(self)

    @cached_property
    def processors(self) -> tuple[ProcessorNode, ...]:
        """The processor nodes, in the order of the expression."""
        return tuple(node for node in self.nodes if isinstance(node, ProcessorNode))

    @cached_property
    def start(self) -> ProcessorNode:
        """The feed or the source that starts it, where it is sound."""
        return next(node for node in self.processors if node.kind != "processor")

    @cached_property
    def length(self) -> int:
        """The most nodes that an item passes."""
        passed = dict.fromkeys(self.order, 1)
        for name in self.order:
            for index in self.out_edges[name]:
                target = self.edges[index].target
                passed[target] = max(passed[target], passed[name] + 1)
        return max(passed.values(), default=0)

    def senders(self, node: str) -> Iterator[str]:
        """The processors from which items come to a node, past forks and joins."""
        for index in self.in_edges[node]:
            source = self.edges[index].source
            if isinstance(self.by_id[source], ProcessorNode):
                yield source
            else:
                yield from self.senders(source)

    def check(self) -> Graph:
        """Return this graph if it is sound.

        Raises:
            GraphError: with one sentence for each broken structural rule.
        """
        _ = self.scopes
        return self

    def to_text(self) -> str:
        """The graph as a tree for a terminal."""
        from conveyor.graph.render import text

        return text(self)

    def to_svg(self) -> str:
        """The graph as a picture, from left to right, for a browser or a page.

        Raises:
            GraphError: the graph is not sound.
        """
        from conveyor.graph.svg import svg

        return svg(self)

    def to_mermaid(self) -> str:
        """The graph in Mermaid's flowchart language."""
        from conveyor.graph.render import mermaid

        return mermaid(self)

    def to_dot(self) -> str:
        """The graph in Graphviz' DOT language."""
        from conveyor.graph.render import dot

        return dot(self)

    def to_json(self) -> str:
        """The graph as JSON. :meth:`from_json` gives an equal graph, without the processors."""
        from conveyor.graph.render import to_json

        return to_json(self)

    @staticmethod
    def from_json(text: str) -> Graph:
        """Read what :meth:`to_json` wrote.

        The graph can be checked and drawn. It can't run, since JSON carries no processors.

        Raises:
            GraphError: the text is no graph.
        """
        from conveyor.graph.render import from_json

        return from_json(text)

    def __str__(self) -> str:
        return self.to_text()
