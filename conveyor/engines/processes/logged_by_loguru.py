"""What workers log with loguru, on its way to the sinks of the caller.

As with `logging`, see `logged`: a worker has none of the caller's sinks. Where the caller has
imported loguru, what a worker logs with it is sent there, and logged as if it had been there.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from conveyor import log
from conveyor.engines.processes.logged import Emit, as_it_travels

if TYPE_CHECKING:
    from loguru import Logger, Message, Record


Level = tuple[str, int, str, str]
"""A level of loguru: its name, its number, and how it looks."""


def levels() -> list[Level] | None:
    """The levels that there are in this process; None where loguru has not been imported."""
    if (logger := log.loaded()) is None:
        return None
    return [tuple(level) for level in list(logger._core.levels.values())]


def forward(levels: Sequence[Level], emit: Emit) -> Callable[[], None]:
    """Send what this process logs to the caller, from when loguru is imported.

    Args:
        levels: those that the caller has.
        emit: sends the fields of a record.

    Returns:
        What takes off the sinks that modules have set up since, here as in the caller.
    """
    sink = partial(_send, emit, os.getpid())

    def begin(logger: Logger) -> None:
        for name, number, *looks in levels:
            with suppress(ValueError, TypeError):  # it is another one here
                logger.level(name, number, *looks)
        alone(logger)

    def alone(logger: Logger) -> None:
        logger.remove()
        logger.add(sink, level=0, format="{message}", backtrace=False, diagnose=False)

    log.when_imported(begin)

    def take_off() -> None:
        if (logger := log.loaded()) is not None:
            alone(logger)

    return take_off


def _send(emit: Emit, mine: int, message: Message) -> None:
    """Send a record; a process that the user's code forks writes it."""
    if os.getpid() == mine:
        emit(_fields(message.record))
    else:
        sys.stderr.write(message)


def _fields(record: Record) -> dict[str, Any]:
    """A record as it travels: its text is made here."""
    text = record["message"]
    if (error := record["exception"]) is not None:
        lines = traceback.format_exception(error.type, error.value, error.traceback)
        text = "\n".join([text, "".join(lines).rstrip("\n")])
    return {
        "text": text,
        "level": (record["level"].name, record["level"].no),
        "extra": {name: as_it_travels(value) for name, value in record["extra"].items()},
        "file": (record["file"].name, record["file"].path),
        "process": (record["process"].id, record["process"].name),
        "thread": (record["thread"].id, record["thread"].name),
        **{name: record[name] for name in _AS_THEY_ARE},  # type: ignore[literal-required]
    }


_AS_THEY_ARE = ("time", "name", "module", "function", "line")


def handle(fields: Mapping[str, Any]) -> None:
    """Let the sinks of this process have a record that a worker has sent."""
    from loguru import logger

    name, number = fields["level"]
    try:
        level = logger.level(name).name
    except ValueError:  # one that only the worker has
        level = number
    try:
        _logs(fields["name"])(logger.patch(partial(_fill, fields)), level, fields["text"])
    except Exception:
        # A sink of somebody's own, of those that are not to catch. Here there is no item to fail.
        traceback.print_exc()


def _fill(fields: Mapping[str, Any], record: Record) -> None:
    """Let a record tell of the worker that logged it."""
    told: Any = record
    told |= {name: fields[name] for name in _AS_THEY_ARE}
    told["extra"] |= fields["extra"]
    told["file"].name, told["file"].path = fields["file"]
    for name in ("process", "thread"):
        told[name].id, told[name].name = fields[name]


@cache
def _logs(module: str | None) -> Callable[[Logger, str | int, str], None]:
    """Logs as a module of that name does: by that it is decided who is heard."""
    there: dict[str, Any] = {} if module is None else {"__name__": module}
    exec("def log(logger, level, text): logger.log(level, text)", there)
    logs: Callable[[Logger, str | int, str], None] = there["log"]
    return logs
