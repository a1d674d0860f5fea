"""The account of a run: what became of every item, per element and for the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields
from operator import add

from conveyor.errors import AccountError
from conveyor.graph import ForkNode, Graph, JoinNode, ProcessorNode
from conveyor.graph.check import topological


@dataclass(frozen=True, slots=True)
class Account:
    """What went in and what became of it, in items. It balances.

    ``items_in + added == items_out + filtered + skipped + dead + merged``

    Attributes:
        items_in: items that came in; for a source, those it made.
        items_out: items that went on.
        filtered: items for which nothing was given, or for which a zip lacked a part.
        skipped: items that failed and were left out (``on_error="skip"``).
        dead: items that failed and became dead letters.
        added: copies that a replicated fork made, outputs beyond the first of an item, and
            what ``finish`` gave.
        merged: parts that a zip put into one tuple, beyond the first.
        retried: attempts beyond the first of an item; they change no balance.
    """

    items_in: int = 0
    items_out: int = 0
    filtered: int = 0
    skipped: int = 0
    dead: int = 0
    added: int = 0
    merged: int = 0
    retried: int = 0

    def __add__(self, other: Account) -> Account:
        return Account(*map(add, astuple(self), astuple(other)))

    @property
    def balances(self) -> bool:
        """Whether every item is accounted for."""
        gone = self.filtered + self.skipped + self.dead + self.merged
        return self.items_in + self.added == self.items_out + gone


@dataclass(frozen=True, slots=True)
class Width:
    """How wide a fork that follows the load was from some time on.

    Attributes:
        since: seconds from the start of the run.
        width: how many branches it had.
        reason: why it got so many.
    """

    since: float
    width: int
    reason: str


@dataclass(frozen=True, slots=True)
class Stats:
    """The account of one run.

    Attributes:
        elements: an account for each node of the graph, by its id, in the order of the
            expression.
        total: the account of the run as a whole.
        elapsed: seconds from the start of the run to its end.
        widths: for each AUTO fork, by its id, how wide it was when, and why.
    """

    elements: Mapping[str, Account]
    total: Account
    elapsed: float
    widths: Mapping[str, Sequence[Width]] = field(default_factory=dict[str, Sequence[Width]])

    def __getitem__(self, node: str) -> Account:
        return self.elements[node]

    def __iter__(self) -> Iterator[str]:
        return iter(self.elements)

    def to_dict(self) -> dict[str, object]:
        """The account as plain values: ``{"elements": {id: {...}}, "total": {...}, ...}``."""
        return {
            "elements": {node: asdict(account) for node, account in self.elements.items()},
            "total": asdict(self.total),
            "elapsed": self.elapsed,
            "widths": {
                fork: [asdict(one) for one in history] for fork, history in self.widths.items()
            },
        }

    def to_json(self) -> str:
        """The account as JSON."""
        import json  # slow to import

        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        columns = [field.name for field in fields(Account)]
        head = ["", *(name.removeprefix("items_") for name in columns)]
        rows = [head]
        for name, account in (*self.elements.items(), ("total", self.total)):
            rows.append([name, *(str(getattr(account, column)) for column in columns)])
        wide = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = [
            "  ".join(
                [
                    row[0].ljust(wide[0]),
                    *(c.rjust(w) for c, w in zip(row[1:], wide[1:], strict=True)),
                ]
            )
            for row in rows
        ]
        for fork, widths in self.widths.items():
            lines += [f"{fork}: {w.width} wide from {w.since:.3f} s, {w.reason}" for w in widths]
        return "\n".join([*lines, f"{self.elapsed:.3f} s"])


def account(
    graph: Graph,
    measured: Mapping[str, Account],
    balanced: Mapping[int, int],
    *,
    elapsed: float,
    given: int,
    entered: Mapping[str, int] | None = None,
    widths: Mapping[str, Sequence[Width]] | None = None,
) -> Stats:
    """The account of a run from what was counted where items can come, go or choose their way.

    Args:
        graph: the graph that ran.
        measured: an account for each processor and each zip; forks and other joins lose
            nothing, so theirs follow.
        balanced: for each edge out of a balanced fork, by its index, the items that took it.
        elapsed: seconds that the run took.
        given: the outputs that the caller got.
        entered: the items that came from outside, by the nodes that they came to; unset, all
            came to the start of the graph.
        widths: how wide forks that follow the load were.

    Raises:
        AccountError: items were lost or doubled, in an element or between two.
    """
    if entered is None:
        start = next(node.id for node in graph.processors if node.kind != "processor")
        entered = {start: measured.get(start, Account()).items_in}
    elements: dict[str, Account] = {}
    carried: dict[int, int] = {}
    problems: list[str] = []
    for name in topological(graph):
        node = graph.by_id[name]
        into = entered.get(name, 0) + sum(carried[index] for index in graph.in_edges[name])
        out_edges = graph.out_edges[name]
        match node:
            case ProcessorNode() | JoinNode(how="zip"):
                elements[name] = measured.get(name, Account())
            case ForkNode(kind="replicated"):
                copies = len(out_edges)
                elements[name] = Account(into, into * copies, added=into * (copies - 1))
            case _:
                elements[name] = Account(into, into)
        for index in out_edges:
            match node:
                case ForkNode(kind="replicated"):
                    carried[index] = into
                case ForkNode():
                    carried[index] = balanced.get(index, 0)
                case _:
                    carried[index] = elements[name].items_out
        problems += _problems(name, elements[name], into)
        if isinstance(node, ForkNode) and node.kind == "balanced":
            problems += _differ(
                f"{name}: {into} items came in", into, "went on", [carried[i] for i in out_edges]
            )
    ordered = {node.id: elements[node.id] for node in graph.nodes}
    stats = Stats(ordered, _total(ordered, sum(entered.values())), elapsed, widths or {})
    problems += _differ(f"output: {given} were given", given, "came", [stats.total.items_out])
    if problems:
        raise AccountError(tuple(problems), str(stats))
    return stats


def _problems(name: str, row: Account, into: int) -> Iterator[str]:
    yield from _differ(f"{name}: {row.items_in} items came in", row.items_in, "were sent", [into])
    if not row.balances:
        yield f"{name}: what came in is not what became of it: {row}"


def _differ(what: str, count: int, other: str, parts: Sequence[int]) -> Iterator[str]:
    if count != sum(parts):
        yield f"{what}, but {sum(parts)} {other}"


def _total(elements: Mapping[str, Account], entered: int) -> Account:
    changes = (sum(getattr(row, f.name) for row in elements.values()) for f in fields(Account)[2:])
    return Account(entered, elements["output"].items_out, *changes)
