"""Items that failed for good: dead letters, their file, and how many of them a run bears."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from typing import Any

from conveyor import log
from conveyor.errors import ConveyorError, NotPicklable, TooManyFailures, UsageError
from conveyor.flow.failure import Tolerance
from conveyor.graph.model import plain

_MAGIC = b"conveyor dead letters "
_VERSION = b"1\n"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An item that failed for good where ``on_error="dead_letter"`` was set.

    Attributes:
        stage: the id of the node that it failed in.
        item: the item itself, as it came to that stage. What can't be loaded there, or killed the
            worker as it was, is a stand-in, whose ``repr`` says what it would be.
        error: the last error.
        attempts: how often it was tried.
    """

    stage: str
    item: Any
    error: ConveyorError
    attempts: int


class Unloaded:
    """Stands for what can't be loaded, or would end the process that loads it.

    Args:
        what: what it would be.
    """

    def __init__(self, what: str) -> None:
        self._what = what

    def __repr__(self) -> str:
        return f"<not loaded: {self._what}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """As a call, so that nothing is filled in later."""
        return Unloaded, (self._what,)

    def append(self, _item: object) -> None:
        """Take a part in vain, as it would."""

    extend = add = append

    def __setitem__(self, _key: object, _item: object) -> None:
        """Take a part in vain, as it would."""


class DeadLetters(list[DeadLetter]):
    """The dead letters of a run, as a list that can be kept in a file."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write them to a file, which is replaced only once the new one is complete.

        Only its owner can read the file. It holds pickles; an error's ``__cause__`` is not kept,
        its text is.

        Raises:
            NotPicklable: an item can't be pickled; nothing has been written.
            OSError: the file can't be written.
        """
        from pathlib import Path

        from conveyor.engines.files import write_whole

        data = _MAGIC + _VERSION + pickle.dumps([_packed(letter) for letter in self])
        write_whole(Path(path), data, mode=0o600)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DeadLetters:
        """Read what :meth:`save` wrote.

        Load only files that you trust: to unpickle is to run what the file says.

        Raises:
            UsageError: the file holds no dead letters, is damaged, or is of another version.
            OSError: the file can't be read.
        """
        from pathlib import Path

        data = Path(path).read_bytes()
        if not data.startswith(_MAGIC):
            raise UsageError(f"{path} holds no dead letters: it does not begin as such a file does")
        head = _MAGIC + _VERSION
        if not data.startswith(head):
            raise UsageError(f"{path} was written by another version of Conveyor; load it there")
        try:
            return cls(_unpacked(packed) for packed in pickle.loads(data[len(head) :]))
        except Exception as error:
            raise UsageError(
                f"{path} can't be loaded ({type(error).__name__}: {error}): it is damaged, or "
                "what its items are made of can't be imported here"
            ) from error


def _packed(letter: DeadLetter) -> tuple[str, bytes, ConveyorError, int]:
    from conveyor.engines.processes.pickling import dumps_by_value

    try:
        item = dumps_by_value(letter.item)  # as it travels, so that it is the same when it is back
    except Exception as error:
        shown = str(getattr(letter.error, "item", None))
        reason = f"{type(error).__name__}: {error}"
        raise NotPicklable(letter.stage, shown, "a dead letter", reason) from error
    return letter.stage, item, letter.error, letter.attempts


def _unpacked(packed: tuple[str, bytes, ConveyorError, int]) -> DeadLetter:
    stage, item, error, attempts = packed
    return DeadLetter(stage, pickle.loads(item), error, attempts)


class Failures:
    """The items that failed for good in one run.

    Attributes:
        letters: the dead letters among them.
        count: how many there are, those that were skipped included.
        last: the last error.
    """

    def __init__(self, max_failures: float | None = None) -> None:
        self._tolerance = Tolerance(max_failures)
        self.letters = DeadLetters()
        self.count = 0
        self.last: ConveyorError | None = None

    def add(
        self, error: ConveyorError, letter: DeadLetter | None, items: int
    ) -> TooManyFailures | None:
        """Take in an item that failed for good.

        Args:
            error: the last error.
            letter: the dead letter, or None where the item is skipped.
            items: how many items have gone into the run so far.

        Returns:
            What to end the run with, if it has failed too often.
        """
        self.count += 1
        self.last = error
        if letter is not None:
            self.letters.append(letter)
        log.debug("{}: {}", "skipped" if letter is None else "dead letter", error)
        return self.excess(items)

    def excess(self, items: int, *, at_end: bool = False) -> TooManyFailures | None:
        """What to end the run with if it has failed too often.

        Args:
            items: how many items have gone into the run so far.
            at_end: whether these are all.
        """
        limit = self._tolerance.limit
        if limit is None or not self._tolerance.is_exceeded(self.count, items, at_end=at_end):
            return None
        error = TooManyFailures(self.count, items, limit, str(self.last))
        error.__cause__ = self.last
        return error


def checked_limit(max_failures: object) -> float | None:
    """The argument ``max_failures`` of a run.

    Raises:
        UsageError: it is neither a count, nor a share, nor None.
    """
    match limit := plain(max_failures):
        case None:
            return None
        case bool():
            pass
        case int() if limit >= 0:
            return limit
        case float() if 0 < limit < 1:
            return limit
        case _:
            pass
    raise UsageError(
        "max_failures takes a count (an int of 0 or more), a share of the items (a float between "
        f"0 and 1), or None, not {max_failures!r}"
    )
