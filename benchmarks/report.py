"""Tables: every contestant's medians and ranges, and what was reached of each target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from benchmarks.contest import Metric, Workload
from benchmarks.results import Record


def number(value: float, digits: int | None) -> str:
    """A value for people: with decimal places, or with a unit prefix and three digits."""
    if digits is not None:
        return f"{value:,.{digits}f}"
    for factor, prefix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{prefix}"
    return f"{value:.3g}"


def spread(values: Sequence[float], metric: Metric) -> str:
    """The median, and the range in brackets."""
    middle = number(median(values), metric.digits)
    if len(values) == 1:
        return middle
    return f"{middle} ({number(min(values), metric.digits)}-{number(max(values), metric.digits)})"


def contestants(workload: Workload, record: Record) -> list[list[str]]:
    """The table of contestants: a row each, with its ratio to Conveyor by the first metric."""
    rows = [["", *(metric.name for metric in workload.metrics)]]
    first = workload.metrics[0]
    ours = _middle(record, "conveyor", first)
    if ours:
        rows[0].append("of Conveyor's")
    for one in workload.contestants:
        measured = [(record.values(one.name, metric.name), metric) for metric in workload.metrics]
        if any(values for values, _ in measured):
            cells = [spread(values, metric) if values else "-" for values, metric in measured]
            if ours:
                theirs = _middle(record, one.name, first)
                cells.append("-" if theirs is None else f"{theirs / ours:.3g}")
            rows.append([one.name, *cells])
    return rows


def failures(record: Record) -> list[str]:
    """Who has no figures, or fewer, and why: a line each."""
    return [f"{name}: {reason}" for name, reason in record.failures.items()]


def targets(pairs: Iterable[tuple[Workload, Record]]) -> list[list[str]]:
    """The table of targets: a row each."""
    rows = [["workload", "target", "reached", ""]]
    for workload, record in pairs:
        for target in workload.targets:
            figure = target.figure(record.rounds)
            if figure is None:
                rows.append([workload.name, str(target), "-", "not measured"])
            else:
                verdict = "met" if target.is_met(figure) else "MISSED"
                rows.append([workload.name, str(target), f"{figure:.3g}", verdict])
    return rows


def losses(pairs: Iterable[tuple[Workload, Record]]) -> Iterator[str]:
    """Who is ahead of Conveyor, and how far: a line for each workload where somebody is."""
    for workload, record in pairs:
        metric = workload.metrics[0]
        ours = _middle(record, "conveyor", metric)
        ahead = []
        for one in workload.contestants:
            theirs = _middle(record, one.name, metric)
            if ours and theirs and not one.name.startswith("conveyor"):
                factor = theirs / ours if metric.better == "more" else ours / theirs
                if factor > 1:
                    ahead.append((factor, one.name))
        if ahead:
            told = ", ".join(f"{name} {factor:.3g} times" for factor, name in sorted(ahead)[::-1])
            yield f"- {workload.name} ({metric.name}): {told}"


def _middle(record: Record, name: str, metric: Metric) -> float | None:
    values = record.values(name, metric.name)
    return median(values) if values else None


def plain(rows: Sequence[Sequence[str]]) -> str:
    """A table for the terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def markdown(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table for the README, by lines."""
    head, *body = rows
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in body:
        yield f"| {' | '.join(row)} |"


START, END = "<!-- results -->", "<!-- end of results -->"


def summary(pairs: Sequence[tuple[Workload, Record]], picture: str) -> str:
    """All that was measured, in Markdown."""
    if not pairs:
        return "Nothing has been measured yet."
    lines = [*_where([record for _, record in pairs]), "", "### Targets", ""]
    lines += [*markdown(targets(pairs)), "", "### Where Conveyor is behind", ""]
    lines += [*losses(pairs)] or ["Nowhere."]
    lines += ["", f"![All workloads]({picture})"]
    for workload, record in pairs:
        lines += ["", f"### {workload.name}: {workload.title}", ""]
        lines += markdown(contestants(workload, record))
        missing = failures(record)
        if missing:
            lines += ["", "No figures: " + "; ".join(missing) + "."]
    return "\n".join(lines)


def _where(records: Sequence[Record]) -> Iterator[str]:
    """The machine, with a range where workloads were measured at different times."""
    for key in records[0].machine:
        values = sorted({record.machine.get(key, "") for record in records})
        yield f"- {key}: {values[0] if len(values) == 1 else f'{values[0]} to {values[-1]}'}"
    rounds = sorted({len(r) for record in records for r in record.rounds.values()})
    yield f"- rounds: {' or '.join(map(str, rounds))}"


def inserted(text: str, summary: str) -> str:
    """A page with the results between its marks replaced.

    Raises:
        ValueError: the page has no such marks.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"the page needs {START} and {END}")
    return f"{before}{START}\n\n{summary}\n\n{END}{after}"
