"""The account of a run that is under way: what can be said of it before everything is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from conveyor.engines.account import Account, total_account
from conveyor.engines.samples import Sample
from conveyor.engines.stats import Placed, Stats, Width
from conveyor.graph import ForkNode, Graph, JoinNode, OutputNode, ProcessorNode

if TYPE_CHECKING:
    from conveyor.engines.figures import Counted


def so_far(
    graph: Graph,
    measured: Mapping[str, Account],
    *,
    elapsed: float,
    given: int,
    widths: Mapping[str, Sequence[Width]] | None = None,
    counted: Sequence[Counted] = (),
    samples: Sequence[Sample] = (),
    placed: Sequence[Placed] = (),
) -> Stats:
    """The account up to now. It need not balance, since items are under way.

    Args:
        graph: what runs, without the processors.
        measured: an account for each processor; what forks and joins did follows from these.
        elapsed: seconds since the run began.
        given: the outputs that the caller got.
        widths: how wide forks that follow the load were.
        counted: what each worker counted.
        samples: how it went over the time.
        placed: which workers shared a process.
    """
    accounts = _accounts(graph, measured, given)
    total = total_account(accounts, accounts[graph.start.id].items_in)
    return Stats(
        graph,
        accounts,
        total,
        elapsed,
        widths or {},
        counted,
        samples,
        is_complete=False,
        placed=placed,
    )


def _accounts(graph: Graph, measured: Mapping[str, Account], given: int) -> dict[str, Account]:
    accounts: dict[str, Account] = {}
    carried: dict[int, int] = {}
    came = {**{name: one.items_in for name, one in measured.items()}, "output": given}
    for name in graph.order:
        node, out = graph.by_id[name], graph.out_edges[name]
        into = sum(carried[index] for index in graph.in_edges[name])
        match node:
            case ProcessorNode():
                accounts[name] = measured.get(name, Account())
            case OutputNode():
                accounts[name] = Account(given, given)
            case JoinNode(how="zip"):
                parts = [carried[index] for index in graph.in_edges[name]]
                # What made the tuples has counted them, or what takes them.
                tuples = came.get(graph.edges[out[0]].target, min(parts))
                if name in measured:
                    tuples = measured[name].items_out
                accounts[name] = Account(into, tuples, merged=tuples * (len(parts) - 1))
            case ForkNode(kind="replicated"):
                accounts[name] = Account(into, into * len(out), added=into * (len(out) - 1))
            case _:
                accounts[name] = Account(into, into)
        carried |= _carried(graph, name, accounts[name], came)
    return {node.id: accounts[node.id] for node in graph.nodes}


def _carried(graph: Graph, name: str, account: Account, came: Mapping[str, int]) -> dict[int, int]:
    """The items that went along each edge out of a node."""
    node, out = graph.by_id[name], graph.out_edges[name]
    if not (isinstance(node, ForkNode) and node.kind == "balanced"):
        return dict.fromkeys(out, account.items_out // max(1, len(out)))
    # What a branch took is known where it begins with a processor. The others share the rest.
    taken = {index: came.get(graph.edges[index].target) for index in out}
    known = {index: items for index, items in taken.items() if items is not None}
    rest = max(0, account.items_out - sum(known.values()))
    others = max(1, len(out) - len(known))
    return {index: known.get(index, rest // others) for index in out}
