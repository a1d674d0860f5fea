"""How processors get to their workers, and the classes that these need before."""

from __future__ import annotations

import io
import sys
from collections.abc import Collection, Mapping
from types import FunctionType
from typing import Any

from conveyor.dsl.processor import Processor
from conveyor.dsl.wrapped import IterableSource, Wrapped
from conveyor.engines.processes.culprit import culprit
from conveyor.engines.processes.pickling import (
    Shipper,
    dumps_by_value,
    failure,
    is_shareable,
    loads,
)
from conveyor.engines.telling import reason, traceback_of
from conveyor.errors import NotPicklable, UsageError


def ship(
    processors: Mapping[int, tuple[str, Processor[Any, Any]]],
) -> tuple[dict[int, bytes], frozenset[type]]:
    """Pickle processors for their workers.

    Args:
        processors: for each worker, its stage and its processor.

    Returns:
        The bytes for each, and the classes of ``__main__`` that all are to get before. In the bytes
        these stand as their names, for a warm worker loads them again for each run.

    Raises:
        NotPicklable: naming the attribute that can't travel.
    """
    whole = {n: _shipped(stage, one, names_ours=True) for n, (stage, one) in processors.items()}
    named = {cls for _, shipper in whole.values() for cls in shipper.named}
    needed = _with_those_needed(named, processors)
    return {number: data for number, (data, _) in whole.items()}, needed


def _with_those_needed(
    named: Collection[type], processors: Mapping[int, tuple[str, Processor[Any, Any]]]
) -> frozenset[type]:
    """Classes of ``__main__``, and those that their methods and bases need."""
    try:
        return _needed(named)
    except Exception:
        for stage, one in processors.values():
            _shipped(stage, one)  # which tells of whose attribute it is
    try:  # once more: a signal handler may have raised
        return _needed(named)
    except Exception as error:
        stage = next(stage for stage, _ in processors.values())
        raise NotPicklable(stage, None, "a class that it needs", reason(error)) from error


def _needed(named: Collection[type]) -> frozenset[type]:
    shipper = Shipper(io.BytesIO())
    shipper.dump(list(named))
    return frozenset(filter(is_shareable, shipper.classes))


def by_value(stage: str, processor: Processor[Any, Any]) -> tuple[int, list[str]]:
    """How many bytes a processor is for its worker, and what goes by value in them, by name.

    Raises:
        NotPicklable: naming the attribute that can't travel.
    """
    data, shipper = _shipped(stage, processor)
    classes = [_full_name(cls) for cls in shipper.classes]
    functions = [_full_name(function) for function in shipper.functions]
    alone = [f for f in functions if not any(f.startswith(f"{cls}.") for cls in classes)]
    return len(data), [*dict.fromkeys([*classes, *alone])]


def _full_name(named: type | FunctionType) -> str:
    return f"{named.__module__}.{named.__qualname__}"


def _shipped(
    stage: str, processor: Processor[Any, Any], *, names_ours: bool = False
) -> tuple[bytes, Shipper]:
    stream = io.BytesIO()
    shipper = Shipper(stream, root=processor, names_ours=names_ours)
    try:
        shipper.dump(processor)
    except Exception as error:
        where, inner, other = culprit(processor, "self", error)
        if inner is error and failure(processor) is None:
            raise  # it can be pickled: a signal handler has raised meanwhile, for one
        what = where if where.startswith("self.") else "it"
        hint = f"build {what} in setup(), which runs in the worker"
        if isinstance(processor, Wrapped):
            hint = f"write a class, and {hint}"
        if isinstance(processor, IterableSource):
            hint = "use Feed() and give the iterable to run(items); or write a Source that makes it"
            where = "its iterable"
        raise NotPicklable(stage, None, where, reason(inner), other or hint) from error
    return stream.getvalue(), shipper


def unship(stage: str, data: bytes) -> Processor[Any, Any]:
    """The processor that :func:`ship` pickled, as it was built.

    Raises:
        NotPicklable: it can't be loaded; what its ``__cause__`` came through is a note of that.
        UsageError: its module runs a pipeline when it is imported.
    """
    try:
        processor: Processor[Any, Any] = loads(data)
    except UsageError:
        raise
    except Exception as error:
        error.add_note(f"where it was raised:\n{traceback_of(error)}")
        hint = _NO_MODULE if isinstance(error, ModuleNotFoundError) else _NOT_LOADED
        raise NotPicklable(stage, None, "loading it", reason(error), hint) from error
    return processor


_NOT_LOADED = (
    "it was pickled, but what it was pickled as can't be loaded: look for __reduce__ and "
    "__setstate__, and for exceptions that take more arguments than they keep"
)
_NO_MODULE = (
    "a worker imports modules anew, by their names, from sys.path: what was made at run time, or "
    "loaded from a file under a name of its own, it does not find there"
)


def share(classes: frozenset[type]) -> bytes:
    """Pickle the classes of ``__main__`` that all workers of a pipeline are to have."""
    return dumps_by_value(list(classes))


def take_shared(stage: str, data: bytes) -> None:
    """Put the classes that :func:`share` pickled where a worker finds them by their names.

    Args:
        stage: a stage of this worker, for errors.
        data: the classes.

    Raises:
        NotPicklable: they can't be loaded here.
    """
    main = sys.modules["__main__"]
    try:
        classes: list[type] = loads(data)
    except Exception as error:
        hint = "they were pickled, but can't be built anew in the worker; define them in a module"
        where = "the classes of __main__ that it needs"
        raise NotPicklable(stage, None, where, reason(error), hint) from error
    for cls in classes:
        setattr(main, cls.__qualname__, cls)
