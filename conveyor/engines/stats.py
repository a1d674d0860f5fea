"""The account of a run: what became of every item and how the time went, per element."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Protocol

from conveyor.engines.account import COUNTS, Account, total_account
from conveyor.engines.histogram import NO_TIMES, Histogram
from conveyor.engines.samples import Sample
from conveyor.errors import AccountError, UsageError
from conveyor.graph import ForkNode, Graph, JoinNode, ProcessorNode


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
class Placed:
    """Which workers shared a process from some time on, where `processes` is set.

    Attributes:
        since: seconds from the start of the run.
        processes: for each process, the names of its workers.
        reason: why they were placed so.
    """

    since: float
    processes: Sequence[Sequence[str]]
    reason: str

    @property
    def shared(self) -> str:
        """Who shares a process, on one line."""
        return " | ".join(map(", ".join, self.processes))

    def __str__(self) -> str:
        """Who shares a process, since when, and why, on one line."""
        return f"processes: {self.shared} from {self.since:.3f} s, {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures(Account):
    """An account, and how the time went. Of several workers it is the sum.

    Attributes:
        batches: the frames that the items came in.
        bytes_in, bytes_out: what came, and what went on, as far as it was pickled.
        busy: seconds at work: at unpickling, processing and pickling.
        starved: seconds that it waited for something to do.
        blocked: seconds that it waited for room to give on what it had done.
        elsewhere: seconds that it waited for its turn, while others were at work in its process;
            in the caller's, the caller's own code among them.
        pickling: seconds of `busy` that went into pickling and unpickling.
        cpu: seconds of CPU time; what workers took that share a process is divided among them
            as they were busy.
        queued: seconds in which it could have run and had no core; divided in the same way.
        peak_memory: the most bytes of memory that one of its processes had, of all its runs.
        service: how long ``process`` took for an item. Items that take more than 0.1 ms are
            timed one by one; cheaper ones count with the mean of their batch.
    """

    batches: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    busy: float = 0.0
    starved: float = 0.0
    blocked: float = 0.0
    elsewhere: float = 0.0
    pickling: float = 0.0
    cpu: float = 0.0
    queued: float = 0.0
    peak_memory: int = 0
    service: Histogram = NO_TIMES

    @property
    def time(self) -> float:
        """Seconds that it was there: busy, starved, blocked and elsewhere."""
        return self.busy + self.starved + self.blocked + self.elsewhere

    def share(self, seconds: float) -> float:
        """The share that some of its seconds are of all; 0 where it was not there."""
        return seconds / self.time if self.time else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values; those of the time of an item in ``"service"``."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**values, "service": self.service.to_dict()}


def total_of(parts: Sequence[Figures]) -> Figures:
    """The figures of several workers, taken together."""
    sums: dict[str, Any] = {}
    for name in _FIGURES:
        values = [getattr(part, name) for part in parts]
        if name == "peak_memory":
            sums[name] = max(values, default=0)
        elif name == "service":
            sums[name] = sum(values, start=NO_TIMES)
        else:
            sums[name] = sum(values)
    return Figures(**sums)


_FIGURES = tuple(one.name for one in fields(Figures))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStats(Figures):
    """The figures of one worker.

    Attributes:
        name: the id of its element; where that is wider than one, with a number behind it.
        process: the number of the process that it was in; -1 for the caller's.
    """

    name: str
    process: int

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values."""
        return Figures.to_dict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementStats(Figures):
    """The figures of one element: the account is exact, the rest is what its workers measured.

    Attributes:
        workers: its workers; none for a fork or a join, which are parts of others.
        restarts: how often one of its workers was started again.
    """

    workers: Sequence[WorkerStats] = ()
    restarts: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, those of the workers among them."""
        return {**Figures.to_dict(self), "workers": [one.to_dict() for one in self.workers]}


class Counted(Protocol):
    """What a worker counted."""

    @property
    def worker(self) -> str:
        """Its name."""
        ...

    @property
    def element(self) -> str:
        """The element that it belongs to."""
        ...

    @property
    def process(self) -> int:
        """The number of its process; -1 for the caller's."""
        ...

    def figures(self) -> Figures:
        """What it counted."""
        ...


@dataclass(frozen=True, repr=False)
class Stats:
    """The account of one run, and how the time went; a prompt or a notebook shows it as tables.

    Attributes:
        graph: what ran, without the processors.
        accounts: the bare account of each node of the graph, by its id.
        total: the account of the run as a whole.
        elapsed: seconds from the start of the run to its end.
        widths: for each AUTO fork, by its id, how wide it was when, and why.
        counted: what each worker counted.
        samples: how it went over the time, at up to 256 times; none of the inline engine.
        restarts: for elements whose workers were started again, how often.
        placed: where workers share processes, which of them did when, and why.
        is_complete: whether the run has come to its end. While it runs, items that are under way
            are in ``items_in`` and in nothing else, the counts of a worker may be a batch
            behind, and those of forks and joins follow from their neighbours'.
    """

    graph: Graph
    accounts: Mapping[str, Account]
    total: Account
    elapsed: float
    widths: Mapping[str, Sequence[Width]] = field(default_factory=dict[str, Sequence[Width]])
    counted: Sequence[Counted] = ()
    samples: Sequence[Sample] = ()
    is_complete: bool = True
    restarts: Mapping[str, int] = field(default_factory=dict[str, int])
    placed: Sequence[Placed] = ()

    @cached_property
    def elements(self) -> Mapping[str, ElementStats]:
        """The figures of each node of the graph, by its id, in the order of the expression."""
        workers: dict[str, list[WorkerStats]] = {}
        for element, worker in _workers(self.counted):
            workers.setdefault(element, []).append(worker)
        return {
            name: _element(account, workers.get(name, ()), self.restarts.get(name, 0))
            for name, account in self.accounts.items()
        }

    @property
    def processes(self) -> int:
        """How many worker processes there were."""
        return len({one.process for one in self.counted} - {-1})

    def verdict(self) -> str:
        """What was slow, and what would bring something, in words: from these figures alone.

        It is for the cores that this process may use now.
        """
        from conveyor.engines.processes.cores import physical_cores
        from conveyor.seeing.verdict import verdict

        return verdict(self, physical_cores())

    def __getitem__(self, node: str) -> ElementStats:
        if node not in self.accounts:
            raise KeyError(f"there is no element {node!r}, but: {', '.join(self.accounts)}")
        return self.elements[node]

    def __iter__(self) -> Iterator[str]:
        return iter(self.accounts)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values: ``{"elements": {id: {...}}, "total": {...}, ...}``."""
        return {
            "elements": {node: figures.to_dict() for node, figures in self.elements.items()},
            "total": asdict(self.total),
            "elapsed": self.elapsed,
            "processes": self.processes,
            "placed": [asdict(one) for one in self.placed],
            "widths": {
                fork: [asdict(one) for one in history] for fork, history in self.widths.items()
            },
        }

    def to_json(self) -> str:
        """The figures as JSON."""
        import json  # slow to import

        return json.dumps(self.to_dict(), indent=2)

    def to_pandas(self) -> Any:
        """The figures as a pandas frame, with a row for each element.

        The times of items are in columns such as ``service_p99``.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            pd: Any = importlib.import_module("pandas")
        except ImportError as error:
            raise UsageError("to_pandas() needs pandas: pip install pandas") from error
        rows = [_row(name, figures) for name, figures in self.elements.items()]
        return pd.DataFrame(rows).set_index("element")

    def __str__(self) -> str:
        from conveyor.engines.table import table

        return table(self)

    __repr__ = __str__


def _workers(counted: Sequence[Counted]) -> Iterator[tuple[str, WorkerStats]]:
    """The figures of each worker, with its element; a worker may have been in several processes."""
    found: dict[tuple[str, str, int], list[Figures]] = {}
    busy: dict[int, list[float]] = {}
    for one in counted:
        figures = one.figures()
        found.setdefault((one.element, one.worker, one.process), []).append(figures)
        busy.setdefault(one.process, []).append(figures.busy)
    for (element, worker, process), parts in found.items():
        figures = total_of(parts)
        everything = sum(busy[process])
        if everything and len(busy[process]) > len(parts):
            part = figures.busy / everything
            figures = replace(figures, cpu=figures.cpu * part, queued=figures.queued * part)
        values = {name: getattr(figures, name) for name in _FIGURES}
        yield element, WorkerStats(name=worker, process=process, **values)


def _element(account: Account, workers: Sequence[WorkerStats], restarts: int) -> ElementStats:
    figures = total_of(workers)
    values = {name: getattr(figures, name) for name in _FIGURES}
    exact = {name: getattr(account, name) for name in COUNTS}
    return ElementStats(**{**values, **exact}, workers=tuple(workers), restarts=restarts)


def _row(name: str, figures: ElementStats) -> dict[str, Any]:
    """The figures of an element in one row."""
    row: dict[str, Any] = {"element": name, **Figures.to_dict(figures)}
    service = row.pop("service")
    row |= {f"service_{key}": value for key, value in service.items()}
    row["workers"], row["restarts"] = len(figures.workers), figures.restarts
    return row


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
        start = next(node.id for node in graph.processors if node.kind != "processor")
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


def bare(graph: Graph) -> Graph:
    """A graph without its processors: what is kept of a run is to keep none of them."""
    nodes = (
        replace(node, processor=None) if isinstance(node, ProcessorNode) else node
        for node in graph.nodes
    )
    return Graph(tuple(nodes), graph.edges)


def _problems(name: str, row: Account, into: int) -> Iterator[str]:
    yield from _differ(name, "items came in", row.items_in, "were sent", into)
    if not row.balances:
        yield f"{name}: what came in is not what became of it: {row}"


def _differ(who: str, what: str, count: int, other: str, others: int) -> Iterator[str]:
    if count != others:
        yield f"{who}: {count} {what}, but {others} {other}"
