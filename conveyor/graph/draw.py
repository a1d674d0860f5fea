"""The pictures that there are of a graph, by the suffix of the file that they go to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from conveyor.errors import UsageError
from conveyor.graph.model import Graph
from conveyor.graph.render import dot, mermaid, text
from conveyor.graph.svg import svg

PICTURES: Mapping[str, Callable[[Graph], str]] = {
    ".svg": svg,
    ".mmd": mermaid,
    ".dot": dot,
    ".txt": lambda graph: text(graph) + "\n",
}


def picture(graph: Graph, suffix: str) -> str:
    """The picture of a graph that goes to a file with such a suffix.

    Raises:
        UsageError: there is none for that suffix.
    """
    try:
        draw = PICTURES[suffix.lower()]
    except KeyError:
        what = f"not to {suffix!r}" if suffix else "and this one has none"
        raise UsageError(
            f"a drawing goes to a file ending in {', '.join(PICTURES)}, {what}"
        ) from None
    return draw(graph)
