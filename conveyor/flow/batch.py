"""The frame: a batch on its way, and how it is addressed.

The source numbers its batches, and a batch keeps its number through the whole graph. Where one
frame becomes several, the number grows by a component, as sections of a book do: batch 7, cut
in three by a stage that makes many items of one, is 7.0, 7.1 and 7.2. A replicated fork gives
branch 0 the frame 7.0 and branch 1 the frame 7.1. Every stage answers each frame with one frame
of the same path, possibly empty, or with a complete family of longer ones. So:

- the leaves that arrive anywhere form a tree, and a batch is complete when the tree is (each
  component carries whether it is the last of its family);
- the order of paths is the order in which the inline engine works.

The end of the stream is a frame too, the last one; or it comes along with the last items, where
these are known to be the last and all who get them may get the end. What ``finish`` gives is the
answer to it, behind all else.
A branch that is detached before gets an end of its own: one more member of the family of some
frame. Behind the branch that is only the end of a link.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Any, NamedTuple

Path = tuple[int, ...]
"""Components from the batch number down. Each is ``index * 2``, plus 1 for the last of a family.

That way paths compare in the order of the stream.
"""


END = 1
"""The end of the stream."""

LEAVE = -1
"""The end of a link that is detached: what is behind it goes on without."""

BEHIND = 2**31 - 1
"""The index, among the items that entered a fork, of what was made at an end: behind them all."""


class Scope(NamedTuple):
    """What a frame remembers of a fork that it entered, until the join that closes it.

    Attributes:
        depth: the length of the path when it entered.
        turn: the place in the sequence of all frames that entered, or -1 where nobody asks.
        traced: whether a join behind matches item by item.
        origins: for each item, the index of the item that it came from, in the frame that
            entered; None where each item came from the one at its own index.
    """

    depth: int
    turn: int = -1
    traced: bool = False
    origins: list[int] | None = None


class Frame:
    """A batch of items on its way, as objects, as pickled bytes, or as both.

    Attributes:
        path: its address.
        scopes: the forks it is in, outermost first, of those where a join will ask.
        end: how many ends of the stream this is: 0 or 1, or more where several were merged; or,
            below 0, how many links end with it.
        count: the number of items.
        items: the items; None where they are only known as bytes.
        payload: the pickled list of the items, or what stands for it and is as long; None where
            they have not been pickled.
        share: the bytes of a piece that has not been pickled by itself, of a frame that was.
        link: the link that it came by, where somebody asks; else below 0.
    """

    __slots__ = ("count", "end", "items", "link", "path", "payload", "scopes", "share")

    def __init__(
        self,
        path: Path,
        items: list[Any] | None,
        *,
        scopes: tuple[Scope, ...] = (),
        end: int = 0,
        count: int | None = None,
        payload: Sized | None = None,
    ) -> None:
        self.path = path
        self.scopes = scopes
        self.end = end
        self.items = items
        self.payload = payload
        self.count = len(items) if items is not None else count or 0
        self.share = 0
        self.link = -1

    @property
    def size(self) -> int:
        """The bytes of the items, as far as they are known."""
        return self.share if self.payload is None else len(self.payload)

    def derived(
        self,
        items: list[Any] | None,
        *,
        path: Path | None = None,
        scopes: tuple[Scope, ...] | None = None,
        end: int = 0,
    ) -> Frame:
        """A frame that answers this one."""
        return Frame(
            self.path if path is None else path,
            items,
            scopes=self.scopes if scopes is None else scopes,
            end=end,
        )

    def readdressed(
        self, *, path: Path | None = None, scopes: tuple[Scope, ...] | None = None
    ) -> Frame:
        """The same items under another address."""
        same = Frame(
            self.path if path is None else path,
            self.items,
            scopes=self.scopes if scopes is None else scopes,
            end=self.end,
            count=self.count,
            payload=self.payload,
        )
        same.share = self.share
        return same

    def __repr__(self) -> str:
        name = ".".join(f"{part >> 1}{'!' if part & 1 else ''}" for part in self.path)
        return f"<frame {name} of {self.count}{' end' if self.end else ''}>"


def component(index: int, *, last: bool) -> int:
    """A component of a path."""
    return index * 2 + last


def is_traced(scopes: tuple[Scope, ...]) -> bool:
    """Whether a join behind asks which item each came from."""
    return bool(scopes) and any(scope.traced for scope in scopes)


def traced(scopes: tuple[Scope, ...], origins: Sequence[int] | None) -> tuple[Scope, ...]:
    """The scopes of items made from those of a frame.

    Args:
        scopes: the scopes of that frame.
        origins: for each item made, the index of the item in that frame that it came from;
            None where it is one to one.
    """
    if origins is None or not scopes:
        return scopes
    return tuple(
        scope._replace(origins=[origin(scope, index) for index in origins])
        if scope.traced
        else scope
        for scope in scopes
    )


def origin(scope: Scope, index: int) -> int:
    """Which item, in the frame that entered the fork, the one at ``index`` came from."""
    return index if scope.origins is None else scope.origins[index]


def at_end(scopes: tuple[Scope, ...], count: int) -> tuple[Scope, ...]:
    """The scopes of items that were made at the end of the stream, as of one more item."""
    return traced(
        tuple(scope._replace(origins=[BEHIND]) if scope.traced else scope for scope in scopes),
        [0] * count,
    )


def split_end(frame: Frame) -> tuple[list[Frame], Frame]:
    """The items of a frame that is an end, if it brings any; and the end without them."""
    if not frame.count:
        return [], frame
    items = frame.readdressed(path=(*frame.path, component(0, last=False)))
    items.end = 0
    path = (*frame.path, component(1, last=True))
    return [items], frame.derived([], path=path, scopes=at_end(frame.scopes, 0), end=frame.end)


def cut(frame: Frame, size: int) -> list[Frame]:
    """A frame of known items as a family of frames of at most ``size`` items each."""
    if frame.count <= size or frame.items is None:
        return [frame]
    starts = range(0, frame.count, size)
    family: list[Frame] = []
    for part, start in enumerate(starts):
        chunk = frame.items[start : start + size]
        last = part + 1 == len(starts)
        path = (*frame.path, component(part, last=last))
        scopes = traced(frame.scopes, range(start, start + len(chunk)))
        piece = frame.derived(chunk, path=path, scopes=scopes, end=frame.end if last else 0)
        piece.share = frame.size * piece.count // frame.count
        family.append(piece)
    return family
