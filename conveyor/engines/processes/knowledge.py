"""Whether a processor is as it was when it was set up, so that another process may go on with it.

What a processor knows is in its attributes, and in what its functions refer to: closures, and the
globals of their own module. All of that is pickled by value, and two digests of it tell. What
can't be pickled, or is large, is not known, and so counts as changed.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import cloudpickle

from conveyor.dsl.processor import Processor
from conveyor.dsl.wrapped import Wrapped
from conveyor.engines.processes.pickling import Shipper
from conveyor.engines.stage import Stage
from conveyor.graph import Graph

MOST_BYTES = 1 << 20
"""Of processors that know more, it is not known whether they have changed: to look takes long."""


class Knowledge:
    """What the processor of a stage knew when it was set up.

    Args:
        stage: it, before it has seen an item.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.has_setup = _is_settled(stage.processor)
        """Whether it does something when it begins or ends in a process."""
        self._before = None if self.has_setup else _digest(stage.processor)

    def is_as_before(self) -> bool:
        """Whether the processor of this run knows nothing else, now that it has seen items."""
        return self._before is not None and _digest(self._stage.processor) == self._before


def settled(graph: Graph) -> frozenset[str]:
    """The processors, by the ids of their nodes, that do something when they begin or end."""
    return frozenset(
        node.id for node in graph.processors if node.kind != "feed" and _is_settled(node.processor)
    )


def _is_settled(processor: Any) -> bool:
    return any(_overrides(processor, method) for method in ("setup", "teardown"))


def _overrides(processor: Processor[Any, Any], method: str) -> bool:
    function = getattr(getattr(processor, method), "__func__", None)
    return function is not getattr(Processor, method)


class _TooMuchError(Exception):
    """More would have to be looked at than is worth it."""


class _Digest:
    """A stream that keeps nothing but a digest of what is written to it."""

    def __init__(self) -> None:
        from hashlib import blake2b  # which only those need that share a process

        self.hash = blake2b(digest_size=16)
        self._size = 0

    def write(self, data: Any) -> int:
        """Take in more."""
        size = memoryview(data).nbytes
        self._size += size
        if self._size > MOST_BYTES:
            raise _TooMuchError
        self.hash.update(data)
        return size


def _digest(processor: Processor[Any, Any]) -> bytes | None:
    """A digest of all that a processor knows; None where that can't be told."""
    known: Any = processor.process if isinstance(processor, Wrapped) else processor
    stream = _Digest()
    try:
        with ExitStack() as undo:
            for module in dict.fromkeys(_modules(known)):
                if module not in cloudpickle.list_registry_pickle_by_value():
                    cloudpickle.register_pickle_by_value(sys.modules[module])
                    undo.callback(cloudpickle.unregister_pickle_by_value, sys.modules[module])
            Shipper(stream).dump(known)
    except Exception:  # whatever the user's objects raise when they are pickled
        return None
    return stream.hash.digest()


def _modules(known: Any) -> Iterator[str]:
    """The names of the modules that a callable, or the class of an object, is from.

    Not of those that keep no state: ours, and the standard library's.
    """
    while isinstance(known, functools.partial):
        known = known.func
    for one in (known, getattr(known, "__self__", None), *type(known).__mro__):
        name = getattr(one, "__module__", None) or ""
        top = name.partition(".")[0]
        if name in sys.modules and top not in _STATELESS and top not in sys.stdlib_module_names:
            yield name


_STATELESS = ("conveyor", "__main__")
"""What is in ``__main__`` goes by value anyway."""
