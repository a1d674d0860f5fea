"""Random families of frames: what becomes of one frame on its way."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import strategies as st

from conveyor.flow.batch import Path, component

Tree = tuple["Tree", ...]
"""The family that a frame became; () is a frame that stayed one."""

trees: st.SearchStrategy[Tree] = st.recursive(
    st.just(()),
    lambda trees: st.lists(trees, min_size=1, max_size=4).map(tuple),
    max_leaves=10,
)
forests = st.lists(trees, min_size=1, max_size=5)


def leaves(tree: Tree, path: Path = ()) -> Iterator[Path]:
    """The paths of a family, in the order of the stream."""
    if not tree:
        yield path
    for number, member in enumerate(tree):
        yield from leaves(member, (*path, component(number, last=number + 1 == len(tree))))
