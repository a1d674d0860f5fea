"""What a processor is called: in expressions, and in the graph."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from conveyor.dsl.functions import innermost, name_of, shown
from conveyor.dsl.options import shown as shown_settings
from conveyor.dsl.processor import Processor
from conveyor.dsl.wrapped import IterableSource, Wrapped


def label(processor: Processor[Any, Any]) -> str:
    """How a processor is written, without its options."""
    if type(processor).__repr__ is not Processor.__repr__:
        with suppress(Exception):  # it may tell of what is not there before the setup
            return repr(processor)
    return default_label(processor)


def full_label(processor: Processor[Any, Any]) -> str:
    """How a processor is written, with its options."""
    return label(processor) + shown_settings(processor._conveyor.settings)


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
