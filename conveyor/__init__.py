"""Parallel pipelines as expressions.

``>>`` is a pipe, ``*`` a replicated fork, ``%`` a balanced fork, ``&`` a join::

    (Load() >> Clean() >> (ModelA() * ModelB()) & Report()).run()
"""

from conveyor import log as _log
from conveyor.dsl.element import Element
from conveyor.dsl.links import AUTO, BalancedFork, Join, Pipe, ReplicatedFork
from conveyor.dsl.pipeline import Pipeline
from conveyor.dsl.processor import Feed, Processor, Source
from conveyor.dsl.wrapped import processor, source
from conveyor.engines.letters import DeadLetter, DeadLetters
from conveyor.engines.snapshot import Snapshot
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
    "NotPicklable",
    "Pipe",
    "Pipeline",
    "Processor",
    "ReplicatedFork",
    "ResourceError",
    "Snapshot",
    "Source",
    "StageError",
    "StageTimeout",
    "Stalled",
    "TooManyFailures",
    "UsageError",
    "WorkerDied",
    "__version__",
    "processor",
    "source",
]

_log.silence()
