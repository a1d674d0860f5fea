"""The intermediate representation: frozen nodes joined by edges, which are the pipes."""

from conveyor.graph.check import check
from conveyor.graph.model import (
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

__all__ = [
    "Auto",
    "Edge",
    "ForkNode",
    "Graph",
    "JoinNode",
    "Node",
    "OutputNode",
    "ProcessorNode",
    "Settings",
    "check",
]
