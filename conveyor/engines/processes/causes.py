"""An exception of the user's with those that led to it, packed: as far as these can travel."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from conveyor.engines.processes.pickling import dumps, loads

MOST = 100
"""Exceptions that travel with one another. Code that fails in a loop may chain thousands."""


class Link(NamedTuple):
    """One of the exceptions.

    Attributes:
        data: it, pickled by itself, without those that led to it.
        cause: the place of its ``__cause__`` among the links; None for none.
        context: the same for its ``__context__``.
        hides: whether its context is not to be shown.
        notes: those that are plain text; its pickle may be without them.
    """

    data: bytes
    cause: int | None
    context: int | None
    hides: bool
    notes: list[str]


def pack_chain(error: BaseException) -> list[Link | None]:
    """Pickle an exception and those that led to it.

    Returns:
        for each, itself first, what it is packed as; None where it does not survive the way there
        and back.
    """
    found = [error]
    places = {id(error): 0}

    def place(other: Any) -> int | None:
        if not isinstance(other, BaseException):
            return None
        if id(other) not in places and len(found) < MOST:
            places[id(other)] = len(found)
            found.append(other)
        return places.get(id(other))

    return [_packed(one, place) for one in found]  # to which more are added meanwhile


def _packed(error: BaseException, place: Callable[[Any], int | None]) -> Link | None:
    try:
        data = dumps(error)
        if not isinstance(loads(data), BaseException):
            return None
        notes = [note for note in getattr(error, "__notes__", ()) if type(note) is str]
        cause, context = place(error.__cause__), place(error.__context__)
        return Link(data, cause, context, error.__suppress_context__, notes)
    except BaseException:
        return None


def unpack_chain(links: list[Link | None]) -> BaseException | None:
    """What :func:`pack_chain` packed, up to where it can't be loaded here."""
    errors = [None if link is None else _loaded(link.data) for link in links]
    for error, link in zip(errors, links, strict=True):
        if error is not None and link is not None:
            with suppress(Exception):  # for it may be a class that lets nothing be set
                _lead(error, link, errors)
    return errors[0]


def _loaded(data: bytes) -> BaseException | None:
    try:
        error = loads(data)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return None
    return error if isinstance(error, BaseException) else None


def _lead(error: BaseException, link: Link, errors: list[BaseException | None]) -> None:
    """Set what led to an exception, and its notes."""
    if link.cause is not None:
        error.__cause__ = errors[link.cause]
    if link.context is not None:
        error.__context__ = errors[link.context]
    error.__suppress_context__ = link.hides
    if link.notes and not hasattr(error, "__notes__"):
        error.__notes__ = link.notes
