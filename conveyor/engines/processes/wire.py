"""What travels between processes, packed: the items of batches, states, errors, dead letters."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection, Sequence, Sized
from contextlib import suppress
from typing import Any

from conveyor.engines.letters import DeadLetter, Unloaded
from conveyor.engines.processes.causes import pack_chain, unpack_chain
from conveyor.engines.processes.culprit import culprit
from conveyor.engines.processes.pickling import PROTOCOL, dumps, failure, loads
from conveyor.engines.processes.refused import NO_MEMORY
from conveyor.engines.telling import reason, short
from conveyor.errors import ConveyorError, NotPicklable
from conveyor.flow.batch import Frame

# -- items --


def pack_items(
    stage: str,
    items: list[Any],
    shared: Collection[type] | None = None,
    pack: Callable[[list[Any], Collection[type] | None], Sized] = dumps,
) -> Sized:
    """Pickle the items of a batch.

    Args:
        stage: whose items they are, for errors.
        items: the items.
        shared: as for :func:`dumps`; in the caller's process, and only there, it is not None.
        pack: what pickles them.

    Raises:
        NotPicklable: naming the item and what in it can't be pickled.
    """
    try:
        return pack(items, shared)
    except Exception as error:
        found = _unpicklable_item(stage, items, error)
        if found is None and shared is not None:
            raise  # a signal handler has raised meanwhile: a limit of time, for one
        what = f"batch of {len(items)}"
        raise found or NotPicklable(stage, what, "the batch", reason(error)) from error


def _unpicklable_item(
    stage: str, items: Sequence[Any], error: BaseException
) -> NotPicklable | None:
    if isinstance(error, MemoryError):
        where = f"batch of {len(items)}" if len(items) > 1 else short(items[0])
        return NotPicklable(stage, where, "pickling it", reason(error), NO_MEMORY)
    for item in items:
        failed = failure(item)
        if failed is not None:
            where, inner, hint = culprit(item, "item", failed)
            hint = hint or "give on plain data"
            return NotPicklable(stage, short(item), where, reason(inner), hint)
    return None


def load(payload: Any) -> Any:
    """Unpickle the payload of a frame: bytes, or what can load itself."""
    return loads(payload) if isinstance(payload, (bytes, bytearray)) else payload.load()


Loaded = tuple[list[Any], dict[int, NotPicklable]]
"""The items of a frame, and the indexes of those that can't be loaded, with why."""


def unpack_items(stage: str, frame: Frame, *, is_callers: bool = False) -> list[Any]:
    """The items of a frame, which may have come as bytes.

    Args:
        stage: whose they are, for errors.
        frame: the frame.
        is_callers: whether this is the caller's process.

    Raises:
        NotPicklable: one of them can't be loaded here.
    """
    items, failed = unpack_those_that_load(stage, frame, is_callers=is_callers)
    if failed:
        raise failed.pop(min(failed))
    return items


def unpack_those_that_load(
    stage: str,
    frame: Frame,
    load: Callable[[Any], list[Any]] = load,
    note: Callable[[int], None] = lambda _: None,
    left_out: Collection[int] = (),
    *,
    is_callers: bool = False,
) -> Loaded:
    """The items of a frame, with stand-ins for those that can't be loaded here, and why they can't.

    Args:
        stage: whose they are, for errors.
        frame: the frame.
        load: unpickles its payload.
        note: where that fails, called with the index of each item before it is loaded with care.
        left_out: the indexes of those that are not to be loaded then.
        is_callers: whether this is the caller's process.

    Raises:
        NotPicklable: it is not known which of them can't be loaded.
    """
    if frame.items is not None:
        return frame.items, {}
    if frame.payload is None:
        return [], {}
    try:
        return load(frame.payload), {}
    except Exception as error:
        found = None
        if not isinstance(error, MemoryError):
            if is_callers and not _is_opened(frame.payload):
                raise  # nothing of it has been loaded: a signal handler has raised, as below
            with suppress(Exception):
                found = _spared(stage, frame.payload, note, left_out)
        if found is not None:
            items, failed = found
            if failed:
                return items, failed
            if is_callers:
                raise  # a signal handler has raised meanwhile: a limit of time, for one
        what = f"(one of {frame.count})" if frame.count > 1 else "that it was given"
        raise _not_loaded(stage, what, error) from error


def _is_opened(payload: Any) -> bool:
    """Whether what was pickled is there, and not only the place of it."""
    return isinstance(payload, (bytes, bytearray)) or bool(payload.opened[0])


def _spared(
    stage: str, payload: Any, note: Callable[[int], None], left_out: Collection[int]
) -> Loaded:
    from conveyor.engines.processes import wary

    is_whole = isinstance(payload, (bytes, bytearray))
    data, buffers = (payload, ()) if is_whole else payload.opened
    items, failed = wary.spare(bytes(data), note, left_out, buffers)
    for index in failed:
        if not _travels(items[index]):  # as a dead letter; it is half made
            items[index] = Unloaded(short(items[index]))
    return items, {
        index: _because(_not_loaded(stage, short(items[index]), error), error)
        for index, error in failed.items()
    }


def _travels(item: Any) -> bool:
    try:
        return _is_loaded(dumps(item))
    except Exception:
        return False


def _is_loaded(data: bytes) -> bool:
    try:
        loads(data)
    except Exception:
        return False
    return True


def _not_loaded(stage: str, item: str, error: Exception) -> NotPicklable:
    hint = "it was pickled, but what it was pickled as can't be loaded"
    if isinstance(error, MemoryError):
        hint = NO_MEMORY
    return NotPicklable(stage, item, "loading it", reason(error), hint)


def _because(error: NotPicklable, cause: Exception) -> NotPicklable:
    error.__cause__ = cause
    return error


# -- states --


def pack_state(stage: str, state: Any) -> bytes | None:
    """What ``snapshot`` gave, for another worker; None for None.

    Raises:
        NotPicklable: it can't travel.
    """
    if state is None:
        return None
    try:
        return dumps(state)
    except Exception as error:
        where, inner, hint = culprit(state, "state", error)
        hint = hint or "what snapshot() gives is kept for the next worker, pickled"
        raise NotPicklable(stage, short(state), where, reason(inner), hint) from error


def unpack_state(stage: str, data: bytes) -> Any:
    """What :func:`pack_state` packed.

    Raises:
        NotPicklable: it can't be loaded.
    """
    try:
        return loads(data)
    except Exception as error:
        raise NotPicklable(stage, "of snapshot()", "loading it", reason(error)) from error


# -- errors --


def pack_error(error: ConveyorError) -> bytes:
    """An error with its cause and what led to that, where they survive the way there and back."""
    cause = error.__cause__
    return pickle.dumps((error, None if cause is None else pack_chain(cause)), PROTOCOL)


def unpack_error(data: bytes) -> ConveyorError:
    """What :func:`pack_error` made."""
    error: ConveyorError
    error, chain = pickle.loads(data)
    if chain is not None:
        error.__cause__ = unpack_chain(chain)
    return error


_LETTER_HINT = "a dead letter goes to the caller with its item; on_error='skip' sends none"


def pack_letter(letter: DeadLetter) -> bytes:
    """A dead letter, but for its error, which travels by itself.

    Raises:
        NotPicklable: its item can't travel to the caller.
    """
    stage, item = letter.stage, letter.item
    try:
        data = dumps(item)
    except Exception as error:
        where, inner, hint = culprit(item, "item", error)
        hint = hint or _LETTER_HINT
        raise NotPicklable(stage, short(item), where, reason(inner), hint) from error
    return pickle.dumps((stage, data, letter.attempts), PROTOCOL)


def unpack_letter(data: bytes, error: ConveyorError) -> DeadLetter:
    """What :func:`pack_letter` made.

    Raises:
        NotPicklable: its item can't be loaded by the caller.
    """
    stage, packed, attempts = pickle.loads(data)
    try:
        return DeadLetter(stage, loads(packed), error, attempts)
    except Exception as failed:
        if _is_loaded(packed):
            raise  # a signal handler has raised meanwhile
        what = "of a dead letter"
        raise NotPicklable(stage, what, "loading it", reason(failed), _LETTER_HINT) from failed
