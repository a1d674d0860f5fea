"""What is called with an item, and whether one item is all that it needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

from conveyor.dsl.functions import name_of
from conveyor.dsl.names import label
from conveyor.dsl.processor import Processor, Source
from conveyor.dsl.rules import Broken
from conveyor.dsl.wrapped import Wrapped, is_method, unbindable


def called(processor: Processor[Any, Any]) -> Callable[..., Any]:
    """What is called with each item, as it is called: without a ``self``."""
    if isinstance(processor, Wrapped):
        return processor._callable
    return processor.generate if isinstance(processor, Source) else processor.process


def uncallable(processor: Processor[Any, Any]) -> Broken | None:
    """Why it can't be called with the one item it will be given; a source, with none."""
    takes, missing = _arguments(processor)
    if takes and not missing:
        return None
    name = label(processor)
    if not missing:
        hint = "it needs one argument, for the item; to make items, write a source"
        return Broken("element-type", f"{name} takes no item", hint, processor)
    besides = "" if isinstance(processor, Source) else " besides the item"
    values = ", ".join(f"{argument}=..." for argument in missing)
    hint = "give them to __init__, and keep them in self"
    if isinstance(processor, Wrapped):
        hint = f"write {name}.bind({values})"
        if unbindable(processor, missing) is not None:  # it takes them by their place alone
            alone, item = ("of the item alone", "item, ") if besides else ("of no arguments", "")
            hint = f"write a function {alone} that calls {name_of(processor._function)}({item}...)"
        if is_method(processor):
            hint = f"a method is no processor by itself: write Processor(x.{name})"
    message = f"{name} needs {', '.join(missing)}{besides}"
    return Broken("element-type", message, hint, processor)


_NOTHING_MORE: tuple[bool, list[str]] = (True, [])


def _arguments(processor: Processor[Any, Any]) -> tuple[bool, list[str]]:
    """Whether it can be called with what it will be given, and what it needs besides."""
    given = 0 if isinstance(processor, Source) else 1
    try:
        call = called(processor)
        if _is_plain(call, given):
            return _NOTHING_MORE
        wanted = _wanted(inspect.signature(call, follow_wrapped=False), given)
        if wanted != _NOTHING_MORE:
            # What a wrapper adds, or hands in itself, is told by the one or by the other.
            told = _wanted(inspect.signature(call), given)
            wanted = wanted if told != _NOTHING_MORE else told
    except Exception:  # noqa: BLE001 - what is written in C may not say, and a property may fail
        return _NOTHING_MORE
    return wanted


def _is_plain(call: object, given: int) -> bool:
    """Whether it is a function that takes so many arguments, and is no wrapper of another.

    Most are, and every operator asks: a signature takes ten times as long.
    """
    function = call.__func__ if isinstance(call, MethodType) else call
    if not isinstance(function, FunctionType) or function.__dict__:
        return False
    code, count = function.__code__, given + (function is not call)
    needed = code.co_argcount - len(function.__defaults__ or ())
    return needed <= count <= code.co_argcount and not code.co_kwonlyargcount


def _wanted(signature: inspect.Signature, given: int) -> tuple[bool, list[str]]:
    """Whether something can be called with so many arguments, and what it needs besides."""
    parameters = signature.parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    wanted = positional[given:] + [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    takes = len(positional) >= given or any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return takes, [p.name for p in wanted if p.default is p.empty]
