"""The account of a run: what became of every item and how the time went, per element."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from conveyor.cached import cached_property
from conveyor.engines.account import Account
from conveyor.engines.samples import Sample
from conveyor.errors import UsageError
from conveyor.graph import Graph, ProcessorNode

if TYPE_CHECKING:
    from conveyor.engines.figures import Counted, ElementStats


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
        from conveyor.engines.figures import by_element  # slow to import

        return by_element(self.accounts, self.counted, self.restarts)

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


def _row(name: str, figures: ElementStats) -> dict[str, Any]:
    """The figures of an element in one row."""
    row: dict[str, Any] = {"element": name, **figures.to_dict(), "workers": len(figures.workers)}
    service = row.pop("service")
    return row | {f"service_{key}": value for key, value in service.items()}


def bare(graph: Graph) -> Graph:
    """A graph without its processors: what is kept of a run is to keep none of them."""
    nodes = (
        replace(node, processor=None) if isinstance(node, ProcessorNode) else node
        for node in graph.nodes
    )
    return Graph(tuple(nodes), graph.edges)
