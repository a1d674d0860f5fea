"""Parallel pipelines as expressions.

``>>`` is a pipe, ``*`` a replicated fork, ``%`` a balanced fork, ``&`` a join::

    (Load() >> Clean() >> (ModelA() * ModelB()) & Report()).run()
"""

from typing import TYPE_CHECKING

from conveyor import log as _log
from conveyor.dsl.element import Element
from conveyor.dsl.links import AUTO, BalancedFork, Join, Pipe, ReplicatedFork
from conveyor.dsl.pipeline import Pipeline
from conveyor.dsl.processor import Feed, Processor, Source
from conveyor.dsl.wrapped import processor, source
from conveyor.errors import (
    AccountError,
    ConstructionError,
    ConveyorError,
    GraphError,
    ImplicitPipeWarning,
    JoinError,
    NotPicklable,
    ResourceError,
    StageError,
    StageTimeout,
    Stalled,
    TooManyFailures,
    UsageError,
    WorkerDied,
)
from conveyor.graph import Auto, Graph

if TYPE_CHECKING:
    from conveyor.engines.base import Live
    from conveyor.engines.letters import DeadLetter, DeadLetters
    from conveyor.engines.results import Results, Stream
    from conveyor.engines.snapshot import Snapshot
    from conveyor.engines.stats import Stats

__version__ = "0.1.0"

__all__ = [
    "AUTO",
    "AccountError",
    "Auto",
    "BalancedFork",
    "ConstructionError",
    "ConveyorError",
    "DeadLetter",
    "DeadLetters",
    "Element",
    "Feed",
    "Graph",
    "GraphError",
    "ImplicitPipeWarning",
    "Join",
    "JoinError",
    "Live",
    "NotPicklable",
    "Pipe",
    "Pipeline",
    "Processor",
    "ReplicatedFork",
    "ResourceError",
    "Results",
    "Snapshot",
    "Source",
    "StageError",
    "StageTimeout",
    "Stalled",
    "Stats",
    "Stream",
    "TooManyFailures",
    "UsageError",
    "WorkerDied",
    "__version__",
    "processor",
    "source",
]

_LATE = {
    "DeadLetter": "letters",
    "DeadLetters": "letters",
    "Live": "base",
    "Results": "results",
    "Snapshot": "snapshot",
    "Stats": "stats",
    "Stream": "results",
}
"""What runs give, and where it is: to import that takes as long as all the rest."""


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"conveyor.engines.{_LATE[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_log.silence()
