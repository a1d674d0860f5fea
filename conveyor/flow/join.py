"""The ways in: what a receiver makes of frames that come by several links.

A joiner takes one frame at a time and gives those that are ready, each with the path and the
scopes that it has behind the join. Of the ends that come, one by each open link, only the last
one given stays an end. Links are attached before the end of the stream can come by them, and
detached by an end of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from conveyor.flow.batch import END, LEAVE, Frame, Path, Scope, origin, split_end
from conveyor.flow.order import Completion, Reorder


class LinkIn(NamedTuple):
    """One link into a join.

    Attributes:
        scopes: how many scopes frames that come by it have from the forks that are closed.
        place: the number of the branch, for a zip.
        branch: what the branch is called, for errors.
    """

    scopes: int = 0
    place: int = 0
    branch: str = ""


class Joiner(Protocol):
    """What a receiver asks of the way in."""

    needs_items: bool
    """Whether frames must come with their items, not only as bytes."""

    def put(self, link: int, frame: Frame) -> list[Frame]:
        """Take a frame that came by a link and give those that are ready."""
        ...

    def attach(self) -> None:
        """One more link is open; none is at first."""
        ...


class _Ends:
    """Counts the ends, one by each link, of frames that come in their order.

    A link that is taken leave of gives none. Once that is so of all of them, this is the end of
    what comes behind the join as well.
    """

    def __init__(self) -> None:
        self.links = 0
        self.seen = 0

    def settle(self, frame: Frame) -> bool:
        """Let only the frame with the last end be an end; return whether this is it."""
        if frame.end < 0:
            self.links += frame.end
        else:
            self.seen += frame.end
        is_last = self.seen == self.links
        frame.end = 0
        if is_last:
            frame.end = END if self.links else LEAVE
            self.seen = 0
        return is_last


class _HeldEnds:
    """Holds the ends, of frames that come in any order, until all have come.

    The one with the last path is the end that stays. What ``finish`` gives is the answer to it,
    and so stands behind all else where a join further on restores the order. The end of a link
    waits for nothing: a batch that is held is missing in the window. Nor do items wait that come
    along with an end.
    """

    def __init__(self) -> None:
        self.ends = _Ends()
        self._held: list[Frame] = []

    def put(self, frame: Frame) -> list[Frame]:
        """Take a frame and give those that may go on."""
        if not frame.end:
            return [frame]
        waits = frame.end > 0
        is_last = self.ends.settle(frame)
        if not (waits or is_last):
            return [frame]
        if not is_last:
            brought, empty = split_end(frame)
            self._held.append(empty)
            return brought
        if not self._held:
            return [frame]
        end, frame.end = frame.end, 0
        ready, self._held = sorted([*self._held, frame], key=_path), []
        ready[-1].end = end
        return ready


class Interleave:
    """Items as they come, first come first served."""

    needs_items = False

    def __init__(self) -> None:
        self._ends = _HeldEnds()

    def attach(self) -> None:
        """One more link is open."""
        self._ends.ends.links += 1

    def resume(self, ends: int) -> None:
        """Go on where so many ends have been given on that were not the last."""
        self._ends.ends.seen = ends

    def put(self, link: int, frame: Frame) -> list[Frame]:  # noqa: ARG002
        """Give the frame itself; the ends together, once all have come."""
        return self._ends.put(frame)


class Ordered:
    """Items in the order in which their source items entered the outermost fork.

    Frames of balanced branches are given whole, in the order of their turns. What came through
    replicated branches is gathered until the frame that entered the fork is complete, and then
    merged item by item.

    """

    def __init__(self, links: Sequence[LinkIn], *, needs_items: bool) -> None:
        self.needs_items = needs_items
        self._links = links
        self._ends = _Ends()
        self._end = 0
        self._gather = _Gather()
        self._reorder = Reorder()

    def attach(self) -> None:
        """One more link is open."""
        self._ends.links += 1

    def put(self, link: int, frame: Frame) -> list[Frame]:
        """Give the frames whose turn has come."""
        outer = len(frame.scopes) - self._links[link].scopes
        first = next((i for i in range(outer, len(frame.scopes)) if frame.scopes[i].traced), None)
        sequence = frame.scopes[outer]
        if first is not None:
            group = self._gather.put(link, frame, frame.scopes[first].depth)
            if not group:
                return []
            frame = merged([one for _, one in group], first)
        ready = self._reorder.put(sequence.turn, frame.path[sequence.depth :], frame)
        return [self._out(one, outer) for one in ready]

    def _out(self, frame: Frame, outer: int) -> Frame:
        inside = frame.scopes[outer:]  # nothing where it was merged to what entered the fork
        is_last = not inside or all(part & 1 for part in frame.path[inside[0].depth :])
        frame = frame.readdressed(scopes=frame.scopes[:outer])
        if frame.end:
            self._ends.settle(frame)
            self._end = self._end or frame.end
        frame.end = 0
        # Of links that are left, the end of any may have come last; it goes with what stands last.
        if self._end and is_last:
            frame.end, self._end = self._end, 0
            self._reorder.restart()
        return frame


class Zip:
    """One tuple per source item, one place per branch.

    An item for which some branch gave no output is left out. The end of the stream counts as
    one more item.

    Attributes:
        items_in, items_out, filtered, merged: the account of the items, see ``Account``.
    """

    needs_items = True

    def __init__(self, name: str, links: Sequence[LinkIn], *, in_turn: bool) -> None:
        self.name = name
        self._links = links
        self._places = len({link.place for link in links})
        self._ends = _HeldEnds()
        self._gather = _Gather()
        self._reorder = Reorder() if in_turn else None
        self.reset_account()

    def attach(self) -> None:
        """One more link is open."""
        self._ends.ends.links += 1

    def reset_account(self) -> None:
        """Begin a new account."""
        self.items_in = self.items_out = self.filtered = self.merged = 0

    def put(self, link: int, frame: Frame) -> list[Frame]:
        """Give the tuples of a frame that is complete.

        Raises:
            TwoOutputs: a branch gave a second output for an item.
        """
        outer = len(frame.scopes) - self._links[link].scopes
        scope = frame.scopes[outer]
        group = self._gather.put(link, frame, scope.depth)
        if not group:
            return []
        made = self._tuples(group, outer)
        if self._reorder is None:
            return self._ends.put(made)
        ready: list[Frame] = []
        for one in self._reorder.put(scope.turn, (), made):
            ready += self._ends.put(one)
        if ready and ready[-1].end:
            self._reorder.restart()
        return ready

    def _tuples(self, group: Sequence[tuple[int, Frame]], outer: int) -> Frame:
        parts: dict[int, dict[int, tuple[Any, Frame, int]]] = {}
        for number, frame in group:
            link, scope = self._links[number], frame.scopes[outer]
            for index, item in enumerate(_items(frame)):
                places = parts.setdefault(origin(scope, index), {})
                if link.place in places:
                    raise TwoOutputs(link.branch, item)
                places[link.place] = (item, frame, index)
        return self._joined([frame for _, frame in group], parts, outer)

    def _joined(
        self,
        group: Sequence[Frame],
        parts: dict[int, dict[int, tuple[Any, Frame, int]]],
        outer: int,
    ) -> Frame:
        tuples: list[Any] = []
        sources: list[tuple[Frame, int]] = []
        for index in sorted(parts):
            places = parts[index]
            self.items_in += len(places)
            if len(places) < self._places:
                self.filtered += len(places)
                continue
            self.items_out += 1
            self.merged += len(places) - 1
            tuples.append(tuple(places[place][0] for place in sorted(places)))
            sources.append(places[min(places)][1:])
        return _closed(group, tuples, sources, outer)


class TwoOutputs(Exception):
    """A branch of a zip gave two outputs for one item."""

    def __init__(self, branch: str, item: object) -> None:
        super().__init__(branch, item)
        self.branch = branch
        self.item = item


class _Gather:
    """Holds frames until what entered a fork as one frame has come out of it completely."""

    def __init__(self) -> None:
        self._groups: dict[Path, list[tuple[int, Frame]]] = {}
        self._completion = Completion()

    def put(self, link: int, frame: Frame, depth: int) -> list[tuple[int, Frame]]:
        """Take a frame; give its whole group, with the links they came by, once complete.

        Args:
            link: by which it came.
            frame: the frame.
            depth: the length of the path with which its group entered the fork.
        """
        group = frame.path[:depth]
        self._groups.setdefault(group, []).append((link, frame))
        if not self._completion.add(frame.path, depth):
            return []
        return self._groups.pop(group)


def merged(group: Sequence[Frame], first: int) -> Frame:
    """A complete group as the one frame that entered the fork, merged item by item.

    Args:
        group: the frames.
        first: the index, among the scopes, of the fork that they come from.
    """
    keyed = [
        (_address(frame, index, first), frame, index)
        for frame in group
        for index in range(frame.count)
    ]
    keyed.sort(key=_first)
    items = [_items(frame)[index] for _, frame, index in keyed]
    return _closed(group, items, [(frame, index) for _, frame, index in keyed], first)


def _items(frame: Frame) -> list[Any]:
    assert frame.items is not None, "a join that matches items needs them"
    return frame.items


def _path(frame: Frame) -> Path:
    return frame.path


def _first(entry: tuple[tuple[int, ...], Frame, int]) -> tuple[int, ...]:
    return entry[0]


def _address(frame: Frame, index: int, first: int) -> tuple[int, ...]:
    """Where an item stands in the order of the inline engine, from the fork ``first`` inwards.

    For each fork that it went through: the item that entered, then the components of the path
    from there on, the branch being the first of them.
    """
    scopes: tuple[Scope, ...] = tuple(scope for scope in frame.scopes[first:] if scope.traced)
    address: list[int] = []
    for number, scope in enumerate(scopes):
        inner = scopes[number + 1].depth if number + 1 < len(scopes) else len(frame.path)
        address.append(origin(scope, index))
        address += frame.path[scope.depth : inner]
    address.append(index)
    return tuple(address)


def _closed(
    group: Sequence[Frame], items: list[Any], sources: Sequence[tuple[Frame, int]], first: int
) -> Frame:
    """One frame in place of a group, out of the fork ``first``, with the scopes around it."""
    model = group[0]
    outer = model.scopes[:first]
    if any(scope.traced for scope in outer):
        outer = tuple(
            scope._replace(origins=[origin(f.scopes[at], index) for f, index in sources])
            if scope.traced
            else scope
            for at, scope in enumerate(outer)
        )
    return Frame(
        model.path[: model.scopes[first].depth],
        items,
        scopes=outer,
        end=sum(one.end for one in group),
    )
