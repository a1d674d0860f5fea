"""What a processor is called: in expressions, and in the graph; and what it wants to be given."""

from __future__ import annotations

import inspect
from contextlib import suppress
from typing import Any

from conveyor.dsl.functions import innermost, name_of, shown
from conveyor.dsl.processor import Processor, Source
from conveyor.dsl.wrapped import IterableSource, Wrapped


def label(processor: Processor[Any, Any]) -> str:
    """How a processor is written, without its options."""
    if type(processor).__repr__ is not Processor.__repr__:
        with suppress(Exception):  # it may tell of what is not there before the setup
            return repr(processor)
    return default_label(processor)


def default_label(processor: Processor[Any, Any]) -> str:
    """How a processor is written whose class has no `__repr__` of its own."""
    if isinstance(processor, Wrapped):
        return processor._label()
    if isinstance(processor, IterableSource):
        return f"Source({shown(processor._iterable)})"
    return f"{type(processor).__name__}({'...' if processor._conveyor.has_arguments else ''})"


def node_name(processor: Processor[Any, Any]) -> str:
    """The readable part of a node's id: ``"model_a"`` for a ``ModelA``."""
    if (name := processor._conveyor.settings.name) is not None:
        return name
    if isinstance(processor, Wrapped):
        name = name_of(processor._function)
        return name if hasattr(innermost(processor._function), "__name__") else snake(name)
    if isinstance(processor, IterableSource):
        return "source"
    return snake(type(processor).__name__)


def snake(name: str) -> str:
    """``ModelA`` as ``model_a``, ``HTTPServer`` as ``http_server``."""
    out = ""
    for i, char in enumerate(name):
        before, after = name[i - 1 : i], name[i + 1 : i + 2]
        starts_word = before.islower() or before.isdigit() or (before.isupper() and after.islower())
        out += ("_" if char.isupper() and starts_word else "") + char.lower()
    return out


def arguments(processor: Processor[Any, Any]) -> tuple[bool, list[str]]:
    """Whether it can be called with what it will be given, and what it needs besides."""
    given = 0 if isinstance(processor, Source) else 1
    try:
        call = processor.generate if isinstance(processor, Source) else processor.process
        if isinstance(processor, Wrapped):
            call = processor._callable
        wanted = _wanted(inspect.signature(call, follow_wrapped=False), given)
        if wanted != _NOTHING_MORE:
            # What a wrapper adds, or hands in itself, is told by the one or by the other.
            told = _wanted(inspect.signature(call), given)
            wanted = wanted if told != _NOTHING_MORE else told
    except Exception:  # noqa: BLE001 - what is written in C may not say, and a property may fail
        return _NOTHING_MORE
    return wanted


_NOTHING_MORE: tuple[bool, list[str]] = (True, [])


def _wanted(signature: inspect.Signature, given: int) -> tuple[bool, list[str]]:
    """Whether something can be called with so many arguments, and what it needs besides."""
    parameters = signature.parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    wanted = positional[given:] + [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    takes = len(positional) >= given or any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return takes, [p.name for p in wanted if p.default is p.empty]
