"""The progress of a run as something that rich can draw: in a terminal or a notebook."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from conveyor.engines.snapshot import Recent, Snapshot
from conveyor.seeing.groups import Group, groups_of
from conveyor.seeing.lines import summary

_COLUMNS = ("in", "out", "per s", "busy", "starved", "blocked", "workers", "failed")
_BAR = 40
_HOT = 0.9
"""The share from which on a worker has no time to spare."""


def picture(snapshot: Snapshot) -> RenderableType:
    """The pipeline as written, how far it has got, and a line for each element."""
    return Stack(*_parts(snapshot))


def _parts(snapshot: Snapshot) -> Iterator[RenderableType]:
    yield Text(snapshot.expression, style="bold", overflow="ellipsis", no_wrap=True)
    if snapshot.length is not None:
        bar = Table.grid()
        length = max(1, snapshot.length)
        bar.add_row(ProgressBar(total=length, completed=snapshot.items_in, width=_BAR))
        yield bar
    yield Text(summary(snapshot))
    yield _table(snapshot)
    if snapshot.is_last:
        yield Text(snapshot.stats.verdict(), style="italic")


def _table(snapshot: Snapshot) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    # Where there is little room, rich takes it first from columns that may be wrapped: this one.
    table.add_column("", min_width=8)
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for group in groups_of(snapshot.stats):
        shown = Text(group.name, no_wrap=True, overflow="ellipsis")
        table.add_row(shown, *_cells(group, _of_all(group, snapshot)))
    return table


def _of_all(group: Group, snapshot: Snapshot) -> Recent:
    """What all copies did lately; in the end, what they did in all."""
    if snapshot.is_last:
        figures = group.figures
        rate = figures.items_in / snapshot.elapsed if snapshot.elapsed else 0.0
        shares = (figures.busy, figures.starved, figures.blocked)
        return Recent(rate, *map(figures.share, shares))
    parts = [snapshot.recent[name] for name in group.members]
    count = len(parts)
    return Recent(
        sum(one.rate for one in parts),
        sum(one.busy for one in parts) / count,
        sum(one.starved for one in parts) / count,
        sum(one.blocked for one in parts) / count,
    )


def _cells(group: Group, recent: Recent) -> Iterator[RenderableType]:
    figures = group.figures
    failed = figures.skipped + figures.dead
    yield f"{figures.items_in:,}"
    yield f"{figures.items_out:,}"
    yield f"{recent.rate:,.0f}"
    yield _share(recent.busy, "green" if recent.busy < _HOT else "bold yellow")
    yield _share(recent.starved, "dim")
    yield _share(recent.blocked, "cyan")
    yield str(group.width) if group.kind == "processor" else ""
    yield Text(f"{failed:,}", style="bold red") if failed else ""


def _share(share: float, style: str) -> Text:
    return Text(f"{share:.0%}", style=style if round(share, 2) else "dim")
