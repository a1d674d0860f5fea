"""The account of a run as a text: what became of the items, and how the time went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from conveyor.engines.account import COUNTS
from conveyor.engines.figures import ElementStats
from conveyor.engines.stats import Stats

_ALWAYS = ("items_in", "items_out")


def table(stats: Stats) -> str:
    """The account and the times as two tables; what follows the load has its history below."""
    blocks = [_aligned(rows) for rows in (accounts(stats), times(stats)) if rows]
    lines = [
        f"{fork}: {one.width} wide from {one.since:.3f} s, {one.reason}"
        for fork, history in stats.widths.items()
        for one in history
    ]
    lines += map(str, stats.placed)
    elapsed = f"{stats.elapsed:.3f} s" + ("" if stats.is_complete else " so far")
    return "\n\n".join([*blocks, "\n".join([*lines, elapsed])])


def accounts(stats: Stats) -> list[list[str]]:
    """What became of the items; a column that would be all zeros is left out."""
    rows = [*stats.accounts.items(), ("total", stats.total)]
    names = [
        name
        for name in COUNTS
        if name in _ALWAYS or any(getattr(account, name) for _, account in rows)
    ]
    head = ["", *(name.removeprefix("items_") for name in names)]
    return [head, *([name, *(f"{getattr(a, n)}" for n in names)] for name, a in rows)]


_HEAD = [
    "",
    *("busy", "starved", "blocked", "pickling"),
    *("mean", "p50", "p90", "p99"),
    *("bytes in", "bytes out", "memory"),
]


def times(stats: Stats) -> list[list[str]]:
    """How the time of each element went, below a row of heads; nothing where nobody measured."""
    rows = list(_times(stats))
    return _used([_HEAD, *rows]) if rows else []


def _times(stats: Stats) -> Iterator[list[str]]:
    """How the time of each element went; what has no worker has none."""
    for name, one in stats.elements.items():
        if one.workers:
            yield [name, *_shares(one), *_service(one), *map(size, _sizes(one))]


def _used(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The columns of which some row has something to say."""
    used = [any(row[column] for row in rows[1:]) for column in range(len(rows[0]))]
    return [[cell for cell, is_used in zip(row, used, strict=True) if is_used] for row in rows]


def _shares(one: ElementStats) -> Iterator[str]:
    for seconds in (one.busy, one.starved, one.blocked, one.pickling):
        yield f"{one.share(seconds):.0%}"


def _service(one: ElementStats) -> Iterator[str]:
    service = one.service
    for value in (service.mean, service.p50, service.p90, service.p99):
        yield seconds(value) if service.counts else ""


def _sizes(one: ElementStats) -> Sequence[int]:
    return one.bytes_in, one.bytes_out, one.peak_memory


def seconds(value: float) -> str:
    """A time, in the unit that fits it."""
    for least, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= least:
            return f"{_short(value / least)} {unit}"
    return f"{value * 1e9:.0f} ns"


def size(value: int) -> str:
    """Bytes, in the unit that fits them."""
    for least, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= least:
            return f"{_short(value / least)} {unit}"
    return f"{value} B" if value else ""


def _short(value: float) -> str:
    """Three digits of a number below 1000."""
    before = len(str(int(value)))
    return f"{value:.{max(0, 3 - before)}f}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    wide = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(wide[0]), *(c.rjust(w) for c, w in zip(row[1:], wide[1:], strict=True))]
        )
        for row in rows
    )
