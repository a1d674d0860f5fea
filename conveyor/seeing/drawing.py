"""The picture of a graph with the figures of a run."""

from __future__ import annotations

from collections.abc import Iterator

from conveyor.engines.figures import ElementStats
from conveyor.engines.stats import Stats
from conveyor.engines.table import seconds
from conveyor.graph import ForkNode, Graph, OutputNode, ProcessorNode
from conveyor.graph.svg import Figure, svg

SHOWN = 0.005
"""A smaller share of the time is not worth a word."""


_DOT = " \N{MIDDLE DOT} "


def drawing(stats: Stats) -> str:
    """The graph of a run as SVG.

    In a box stands how busy the workers of the element were and how long an item took; along a pipe
    how many items went through it, and for how much of the time it was full, so that its sender
    waited.
    """
    return svg(stats.graph, nodes=dict(_nodes(stats)), edges=dict(_edges(stats)))


def _nodes(stats: Stats) -> Iterator[tuple[str, Figure]]:
    for node in stats.graph.nodes:
        figures = stats.elements[node.id]
        if isinstance(node, ProcessorNode) and node.kind != "feed":
            yield node.id, _worker(stats, node.id, figures)
        elif isinstance(node, (ProcessorNode, OutputNode)):
            yield node.id, Figure(f"{figures.items_in:,} items")


def _worker(stats: Stats, name: str, figures: ElementStats) -> Figure:
    share = figures.share(figures.busy)
    words = [_width(stats, name), f"{share:.0%} busy"]
    if figures.service.counts:
        words.append(time(figures.service.mean))
    return Figure(_DOT.join(filter(None, words)), share)


def _width(stats: Stats, name: str) -> str:
    """How wide an element was at its widest, where that follows the load."""
    graph = stats.graph
    for index in graph.in_edges[name]:
        fork = graph.by_id[graph.edges[index].source]
        if isinstance(fork, ForkNode) and fork.auto and (history := stats.widths.get(fork.id)):
            return f"\N{MULTIPLICATION SIGN}{max(one.width for one in history)}"
    return ""


def _edges(stats: Stats) -> Iterator[tuple[int, Figure]]:
    graph = stats.graph
    for index, edge in enumerate(graph.edges):
        items = _carried(stats, index)
        words = [] if items is None or not stats.elapsed else [rate(items / stats.elapsed)]
        sender = stats.elements[edge.source]  # a fork and a join never wait
        full = sender.share(sender.blocked)
        if full >= SHOWN:
            words.append(f"full {full:.0%}")
        if words:
            yield index, Figure(_DOT.join(words), full if full >= SHOWN else None)


def _carried(stats: Stats, index: int) -> int | None:
    """How many items went along an edge; None where that is not known."""
    graph, edge = stats.graph, stats.graph.edges[index]
    source, target = graph.by_id[edge.source], graph.by_id[edge.target]
    if not isinstance(source, ForkNode):
        return stats.elements[source.id].items_out
    if source.kind == "replicated":
        return stats.elements[source.id].items_in
    return _only(graph, target.id, stats)


def _only(graph: Graph, target: str, stats: Stats) -> int | None:
    """What came into a node, if all of it came by one edge."""
    return stats.elements[target].items_in if len(graph.in_edges[target]) == 1 else None


def time(value: float) -> str:
    """Seconds, in the unit that fits them."""
    return micro(seconds(value))


def micro(text: str) -> str:
    """A text of a terminal, as it is written where all letters can be shown."""
    return text.removesuffix(" us") + " \N{MICRO SIGN}s" if text.endswith(" us") else text


def rate(value: float) -> str:
    """So many in a second."""
    for least, one, unit in ((999_500, 1e6, "M"), (1e4, 1e3, "k")):  # of three digits, none is 1000
        if value >= least:
            return f"{value / one:.3g}{unit}/s"
    return f"{value:,.0f}/s" if value >= 10 else f"{value:.2g}/s"  # noqa: PLR2004 - two digits
