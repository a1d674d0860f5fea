"""Items that come when they will, such as the lines of a pipe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TypeVar

T_co = TypeVar("T_co", covariant=True)


class Arriving(ABC, Iterator[T_co]):
    """An iterator that tells whether its next item is there.

    An engine that is given one does not wait for it as long as there are outputs to come.
    """

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether ``next`` will not wait: for an item, an error, or the end."""

    @abstractmethod
    def fileno(self) -> int:
        """The descriptor that becomes readable when it may be ready."""

    def ask(self, items: int) -> None:
        """So many are wanted next, at the most: told before it is asked whether one is ready."""

    def present(self) -> Iterator[T_co]:
        """The items that are there now."""
        while self.is_ready():
            try:
                item = next(self)
            except StopIteration:
                return
            yield item
