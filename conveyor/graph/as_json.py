"""A graph as JSON and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from reprlib import repr as short_repr
from typing import Any, TypeVar, cast, get_args

from conveyor.errors import GraphError
from conveyor.graph.model import (
    Auto,
    Edge,
    ForkKind,
    ForkNode,
    Graph,
    JoinHow,
    JoinNode,
    Node,
    OnError,
    OutputNode,
    ProcessorNode,
    Settings,
    StageKind,
    is_count,
)

T = TypeVar("T")

_FORMAT = "conveyor-graph/1"


def to_json(graph: Graph) -> str:
    """``graph`` as JSON, without the processors: :func:`from_json` gives an equal graph."""
    value = {
        "format": _FORMAT,
        "nodes": [_row(node) for node in graph.nodes],
        "edges": [asdict(edge) for edge in graph.edges],
    }
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _row(node: Node) -> dict[str, Any]:
    match node:
        case ProcessorNode(id=name, kind=kind, label=label):
            settings = asdict(node.settings)
            return {
                "type": "processor",
                "id": name,
                "kind": kind,
                "label": label,
                "settings": settings,
            }
        case ForkNode():
            return {"type": "fork", **asdict(node)}
        case JoinNode():
            return {"type": "join", **asdict(node)}
        case OutputNode():
            return {"type": "output", **asdict(node)}


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a field of the JSON may be, in words and as a test."""

    words: str
    fits: Callable[[object], bool]


def _or_none(kind: _Kind) -> _Kind:
    return _Kind(f"{kind.words} or null", lambda value: value is None or kind.fits(value))


def _one_of(literal: object) -> _Kind:
    words = get_args(literal)
    return _Kind(" or ".join(map(repr, words)), lambda value: value in words)


_STRING = _Kind("a string", lambda value: isinstance(value, str))
_INT = _Kind("a whole number", is_count)
_NUMBER = _Kind("a number", lambda value: is_count(value) or isinstance(value, float))
_OBJECT = _Kind("an object", lambda value: isinstance(value, dict))
_LIST = _Kind("a list", lambda value: isinstance(value, list))

_Fields = Mapping[str, _Kind]

_GRAPH: _Fields = {
    "format": _Kind(repr(_FORMAT), lambda value: value == _FORMAT),
    "nodes": _LIST,
    "edges": _LIST,
}
_NODES: Mapping[str, tuple[type[Node], _Fields]] = {
    "processor": (
        ProcessorNode,
        {"id": _STRING, "kind": _one_of(StageKind), "label": _STRING, "settings": _OBJECT},
    ),
    "fork": (ForkNode, {"id": _STRING, "kind": _one_of(ForkKind), "auto": _or_none(_OBJECT)}),
    "join": (JoinNode, {"id": _STRING, "fork": _STRING, "how": _one_of(JoinHow)}),
    "output": (OutputNode, {"id": _STRING}),
}
_TAG = _Kind(
    " or ".join(map(repr, _NODES)), lambda value: isinstance(value, str) and value in _NODES
)
_EDGE: _Fields = {"source": _STRING, "target": _STRING, "capacity": _or_none(_INT)}
_AUTO: _Fields = {"min": _INT, "max": _or_none(_INT)}
_SETTINGS: _Fields = {
    "name": _or_none(_STRING),
    "retries": _INT,
    "on_error": _one_of(OnError),
    "timeout": _or_none(_NUMBER),
    "restarts": _INT,
}


def from_json(text: str) -> Graph:
    """Read what :func:`to_json` wrote. The graph is not checked.

    Raises:
        GraphError: the text is no graph, with one sentence for each thing that is wrong.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GraphError((f"the text is no JSON: {error}",)) from error
    reader = _Reader()
    graph = reader.graph(value)
    if graph is None or reader.problems:
        raise GraphError(tuple(reader.problems))
    return graph


class _Reader:
    """Makes what it can of the JSON and gathers what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def graph(self, value: object) -> Graph | None:
        row = self._row("the graph", value, _GRAPH)
        if row is None:
            return None
        nodes = [self._node(f"nodes[{i}]", node) for i, node in enumerate(row["nodes"])]
        edges = [
            self._made(f"edges[{i}]", edge, _EDGE, Edge) for i, edge in enumerate(row["edges"])
        ]
        return Graph(
            tuple(node for node in nodes if node is not None),
            tuple(edge for edge in edges if edge is not None),
        )

    def _node(self, where: str, value: object) -> Node | None:
        row = self._object(where, value)
        if row is None:
            return None
        tag = row.pop("type", None)
        if not _TAG.fits(tag):
            self.problems.append(f"{where}: type is {short_repr(tag)}, not {_TAG.words}")
            return None
        make, known = _NODES[tag]
        row = self._row(where, row, known)
        if row is None:
            return None
        if "settings" in row:
            row["settings"] = self._made(f"{where}.settings", row["settings"], _SETTINGS, Settings)
        if row.get("auto") is not None:
            row["auto"] = self._made(f"{where}.auto", row["auto"], _AUTO, Auto)
        return make(**row)

    def _made(self, where: str, value: object, known: _Fields, make: Callable[..., T]) -> T | None:
        row = self._row(where, value, known)
        if row is None:
            return None
        try:
            return make(**row)
        except TypeError as error:  # numbers that make no Auto
            self.problems.append(f"{where}: {error}")
            return None

    def _row(self, where: str, value: object, known: _Fields) -> dict[str, Any] | None:
        """The fields of an object, if they are exactly the ``known`` ones."""
        row = self._object(where, value)
        if row is None:
            return None
        wrong = [f"{where} has no field {name!r}" for name in known if name not in row]
        wrong += [
            f"{where} has a field {short_repr(name)}, which is unknown"
            for name in row
            if name not in known
        ]
        wrong += [
            f"{where}: {name} is {short_repr(row[name])}, not {kind.words}"
            for name, kind in known.items()
            if name in row and not kind.fits(row[name])
        ]
        self.problems += wrong
        return None if wrong else row

    def _object(self, where: str, value: object) -> dict[str, Any] | None:
        if isinstance(value, dict):
            return cast("dict[str, Any]", value).copy()
        self.problems.append(f"{where} is {short_repr(value)}, not an object")
        return None
