"""What runs on worker processes for a graph: the same for a run and for who asks beforehand."""

from __future__ import annotations

from conveyor.engines.processes.cores import physical_cores
from conveyor.engines.processes.knowledge import settled
from conveyor.graph import ForkNode, Graph
from conveyor.plan import Plan
from conveyor.plan.make import make


def planned(graph: Graph, *, ordered: bool, processes: int | None) -> tuple[Plan, int]:
    """The plan of a checked graph, and how many cores there are for its AUTO forks.

    Raises:
        UsageError: in one process, a worker that may be started again would share it with one
            that may not.
    """
    is_auto = any(isinstance(node, ForkNode) and node.auto for node in graph.nodes)
    cores = physical_cores() if is_auto else 1  # to find out takes long
    known = settled(graph)
    return make(graph, ordered=ordered, processes=processes, cores=cores, settled=known), cores
