"""Completeness and order, both from the paths of frames alone."""

from __future__ import annotations

import heapq

from conveyor.flow.batch import Frame, Path


class Completion:
    """Tells when all leaves of a tree of paths have come.

    A family is complete when its last member is known and all members up to it are complete.
    """

    def __init__(self) -> None:
        self._open: dict[Path, list[int]] = {}

    def add(self, path: Path, root: int) -> bool:
        """Count the leaf ``path``; return whether the tree below its first ``root`` is complete."""
        while len(path) > root:
            family, member = path[:-1], path[-1]
            state = self._open.get(family)
            if state is None:
                state = self._open[family] = [0, -1]
            state[0] += 1
            if member & 1:
                state[1] = (member >> 1) + 1
            if state[0] != state[1]:
                return False
            del self._open[family]
            path = family
        return True

    @property
    def is_idle(self) -> bool:
        """Whether nothing is half complete."""
        return not self._open


class Reorder:
    """Gives frames in the order of their turns, and within one turn in the order of paths.

    A frame waits until all before it have been given. What is below a turn may be a family of
    frames: they are given one by one, as soon as each is next.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Path, int, Frame]] = []
        self._turn = 0
        self._next: list[int] = []
        self._serial = 0

    def put(self, turn: int, path: Path, frame: Frame) -> list[Frame]:
        """Take a frame and give those whose turn has come.

        Args:
            turn: from 0 on, without gaps.
            path: the components below the turn; () where the turn is one frame.
            frame: what to give when it is next.
        """
        self._serial += 1
        heapq.heappush(self._waiting, (turn, path, self._serial, frame))
        ready: list[Frame] = []
        while self._waiting and self._is_next(*self._waiting[0][:2]):
            turn, path, _, frame = heapq.heappop(self._waiting)
            self._advance(path)
            ready.append(frame)
        return ready

    def _is_next(self, turn: int, path: Path) -> bool:
        """Whether the leaf at ``path`` follows what was given last.

        ``_next`` is the least path that can come: a leaf is next if it equals that, or begins
        a family there (all further components 0).
        """
        if turn != self._turn:
            return False
        expected = self._next
        for depth, member in enumerate(path):
            if member >> 1 != (expected[depth] if depth < len(expected) else 0):
                return False
        return len(path) >= len(expected)

    def _advance(self, path: Path) -> None:
        """Move on behind the leaf ``path``, out of every family that it completes."""
        depth = len(path)
        while depth and path[depth - 1] & 1:
            depth -= 1
        if depth == 0:
            self._turn += 1
            self._next = []
        else:
            self._next = [member >> 1 for member in path[:depth]]
            self._next[-1] += 1

    @property
    def waiting(self) -> int:
        """How many frames are held."""
        return len(self._waiting)

    def restart(self) -> None:
        """Begin again with turn 0, for another run."""
        self._turn = 0
        self._next = []
