"""The account of a run that has come to its end: every item is accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from conveyor.engines.account import Account, total_account
from conveyor.engines.samples import Sample
from conveyor.engines.stats import Placed, Stats, Width
from conveyor.errors import AccountError
from conveyor.graph import ForkNode, Graph, JoinNode, ProcessorNode

if TYPE_CHECKING:
    from conveyor.engines.figures import Counted

_NOTHING = Account()


def account(
    graph: Graph,
    measured: Mapping[str, Account],
    balanced: Mapping[int, int],
    *,
    elapsed: float,
    given: int,
    entered: Mapping[str, int] | None = None,
    widths: Mapping[str, Sequence[Width]] | None = None,
    counted: Sequence[Counted] = (),
    samples: Sequence[Sample] = (),
    restarts: Mapping[str, int] | None = None,
    placed: Sequence[Placed] = (),
) -> Stats:
    """The account of a run from what was counted where items can come, go or choose their way.

    Args:
        graph: the graph that ran; it is kept, so it is given without the processors.
        measured: an account for each processor and each zip; forks and other joins lose
            nothing, so theirs follow.
        balanced: for each edge out of a balanced fork, by its index, the items that took it.
        elapsed: seconds that the run took.
        given: the outputs that the caller got.
        entered: the items that came from outside, by the nodes that they came to; unset, all
            came to the start of the graph.
        widths: how wide forks that follow the load were.
        restarts: for elements whose workers were started again, how often.
        counted: what each worker counted.
        samples: how it went over the time.
        placed: which workers shared a process.

    Raises:
        AccountError: items were lost or doubled, in an element or between two.
    """
    if entered is None:
        start = graph.start.id
        entered = {start: measured.get(start, Account()).items_in}
    elements: dict[str, Account] = {}
    carried: dict[int, int] = {}
    problems: list[str] = []
    for name in graph.order:
        node, out_edges = graph.by_id[name], graph.out_edges[name]
        into = entered.get(name, 0)
        for index in graph.in_edges[name]:
            into += carried[index]
        copies = len(out_edges) if isinstance(node, ForkNode) and node.kind == "replicated" else 1
        if isinstance(node, ProcessorNode) or (isinstance(node, JoinNode) and node.how == "zip"):
            elements[name] = row = measured.get(name, _NOTHING)
        else:
            elements[name] = row = Account(into, into * copies, added=into * (copies - 1))
        if isinstance(node, ForkNode) and node.kind == "balanced":
            went_on = 0
            for index in out_edges:
                carried[index] = took = balanced.get(index, 0)
                went_on += took
            problems += _differ(name, "items came in", into, "went on", went_on)
        else:
            for index in out_edges:
                carried[index] = row.items_out // copies
        problems += _problems(name, row, into)
    ordered = {node.id: elements[node.id] for node in graph.nodes}
    stats = Stats(
        graph,
        ordered,
        total_account(ordered, sum(entered.values())),
        elapsed,
        widths or {},
        counted,
        samples,
        restarts=restarts or {},
        placed=placed,
    )
    problems += _differ("output", "were given", given, "came", elements["output"].items_out)
    if problems:
        raise AccountError(tuple(problems), str(stats))
    return stats


def _problems(name: str, row: Account, into: int) -> Iterator[str]:
    yield from _differ(name, "items came in", row.items_in, "were sent", into)
    if not row.balances:
        yield f"{name}: what came in is not what became of it: {row}"


def _differ(who: str, what: str, count: int, other: str, others: int) -> Iterator[str]:
    if count != others:
        yield f"{who}: {count} {what}, but {others} {other}"
