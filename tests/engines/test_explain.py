"""What `explain` says of a plan. Nothing is started for it."""

from __future__ import annotations

import threading

import psutil
import pytest
from hypothesis import given

from conveyor import (
    AUTO,
    Auto,
    ConstructionError,
    Feed,
    Join,
    Pipe,
    Processor,
    UsageError,
    processor,
)
from conveyor.engines.processes.cores import physical_cores
from tests.strategies import Add, Runnable, a, b, c, runnables, s


def rules(text: str) -> list[str]:
    _, _, listed = text.partition("\nrules\n")
    return [line.removeprefix("  - ") for line in listed.splitlines()]


def part(text: str, head: str) -> list[str]:
    """The lines below a headline, up to the next one."""
    lines = text.splitlines()
    at = lines.index(head) + 1
    depth = len(head) - len(head.lstrip()) + 1
    end = next((n for n in range(at, len(lines)) if not lines[n].startswith(" " * depth)), at)
    return [line.strip() for line in lines[at:end]]


@pytest.mark.quick
def test_a_plan_is_a_text():
    travels = "    travels  by name, with its attributes"
    text = (s >> Pipe(capacity=9) >> a * b & Join("zip") >> c).explain()

    lines = [line for line in text.splitlines() if not line.startswith(travels)]
    assert lines == [
        "4 workers in 4 processes, and 5 channels",
        "",
        "this process",
        "  output",
        "    takes  <- c",
        "process 1",
        "  s: s",
        "    gives  * each item to every one of",
        "             -> a, at most 9 items",
        "             -> b, at most 9 items",
        "process 2",
        "  a: a",
        "    takes  <- s",
        "    gives  -> c",
        "process 3",
        "  b: b",
        "    takes  <- s",
        "    gives  -> c",
        "process 4",
        "  c: c",
        "    takes  & one tuple per item, of",
        "             <- a",
        "             <- b",
        "    gives  -> output",
        "",
        "rules",
        "  - processes is not set: every worker has a process of its own",
        "  - Pipe(capacity=9) into fork bounds the pipe to each branch",
    ]


@given(runnables())
def test_whatever_runs_can_be_explained(case: Runnable):
    pipeline = case.pipeline()
    lines = pipeline.explain(ordered=True, processes=2).splitlines()

    assert all(f"  {node.id}: {node.label}" in lines for node in pipeline.compile().processors)


def test_nothing_is_started_for_it():
    before = psutil.Process().children(recursive=True)

    (s >> a % AUTO).explain()

    assert psutil.Process().children(recursive=True) == before


def test_who_shares_a_process_is_said():
    text = (a >> b >> c).explain(processes=2)

    assert part(text, "process 1")[0] == "a: a"
    assert "b: b" in part(text, "process 1")
    shared, why = rules(text)
    assert shared == "processes=2: a and b share a process"
    assert why.startswith("that is at first: ")


def test_more_processes_than_workers_are_not_used():
    text = (a >> b).explain(processes=9)

    assert text.startswith("2 workers in 2 processes")
    assert rules(text) == ["processes=9: enough for every worker to have one of its own"]


CORES = physical_cores()
AT_FIRST = "1 branch" if CORES == 1 else f"{min(CORES, 8)} branches at first, from 1 to {CORES} as"


@pytest.mark.parametrize(
    ("pipeline", "width"),
    [
        (Feed() >> a % AUTO, AT_FIRST),
        (Feed() >> a % Auto(min=3, max=3), "3 branches, fixed: its bounds are equal; "),
        (
            Feed() >> Pipe() % Auto(min=2, max=9),
            "2 branches, fixed: it has a branch without a worker; ",
        ),
        (
            Feed() >> (a % Auto(min=1, max=5) & b) % Auto(min=2, max=2),
            "2 branches, fixed: its bounds are equal; ",
        ),
    ],
    ids=["by the cores", "by its bounds", "without a worker", "around another"],
)
def test_the_width_of_auto_comes_with_its_reason(pipeline, width):
    (rule,) = [rule for rule in rules(pipeline.explain()) if " at fork: " in rule]

    assert rule.partition(" at fork: ")[2].startswith(width)
    assert f"this process may use {CORES} physical core" in rule


@pytest.mark.parametrize(
    ("pipeline", "rule"),
    [
        (Feed() >> a % 2 & b, "ordered=True: every join is ordered"),
        (a >> b, "ordered=True changes nothing: where there is no join, pipes keep the order"),
    ],
    ids=["with a join", "without"],
)
def test_what_ordered_changes_is_said(pipeline, rule):
    assert rule in rules(pipeline.explain(ordered=True))


def test_a_join_happens_in_the_worker_behind_it():
    text = (Feed() >> a % 2 & Join("ordered") >> b).explain()

    assert part(text, "  b: b")[:3] == ["takes  & items in order, of", "<- a", "<- a.2"]


def test_a_join_with_no_worker_behind_it_has_a_relay():
    text = (Feed() >> a % 2 & Join("ordered") >> b * c).explain()

    assert "join: a relay, which only joins" in text
    assert [rule for rule in rules(text) if rule.startswith("relay: join needs one place")]


def test_a_join_that_needs_no_place_leads_on_to_all():
    text = (Feed() >> a % 2 & b * c).explain()

    assert part(text, "  b: b")[:3] == ["takes  & items as they come, of", "<- a", "<- a.2"]
    assert "join leads straight into fork.2: each worker before them sends to each one behind" in (
        rules(text)
    )


def test_what_is_open_at_the_end_is_joined_by_the_output():
    assert "fork is still open at the end: the output joins it" in rules((s >> a * b).explain())


def test_a_branch_without_a_worker_is_told():
    assert "a branch of fork is only a pipe, and so has no worker" in rules(
        (s >> a * Pipe() & b).explain()
    )


def test_a_join_that_must_be_ordered_for_another_is_told():
    text = (s >> (a * b & c) % 2 & Join("ordered")).explain()

    assert "join and join.2 are ordered, since a join behind restores the order" in rules(text)


def test_what_goes_by_value_is_named():
    def local(item):
        return item

    @processor
    def decorated(item):
        return item

    text = (Feed() >> Processor(local) >> decorated >> Processor(str.upper)).explain()

    here = f"{__name__}.test_what_goes_by_value_is_named.<locals>"
    assert f"travels  by value: {here}.local (" in text
    assert f"travels  by value: {here}.decorated (" in text
    assert part(text, "  upper: Processor(upper)")[-1].startswith("travels  by name, with its")


def test_what_can_not_travel_is_told_with_its_place():
    keeper = Add(1)
    keeper.lock = threading.Lock()  # type: ignore[attr-defined]

    assert "travels  not at all: self.lock: TypeError: cannot pickle" in keeper.explain()


@pytest.mark.parametrize("processes", [0, True, "2"])
def test_arguments_are_those_of_run(processes):
    with pytest.raises(UsageError, match="processes takes an int of 1 or more"):
        a.explain(processes=processes)


def test_what_is_no_pipeline_is_not_explained():
    with pytest.raises(ConstructionError, match="starts with a processor"):
        (a * b).explain()


def test_a_module_that_is_registered_goes_by_value():
    import cloudpickle

    import tests.strategies as module

    cloudpickle.register_pickle_by_value(module)
    try:
        text = (a >> Add(1)).explain()
    finally:
        cloudpickle.unregister_pickle_by_value(module)

    assert "travels  by value: tests.strategies.a" in text
    assert "travels  by value: tests.strategies.Add" in text


def test_what_restarts_bring_about_is_said():
    careful = Add(1).options(restarts=2, name="careful")
    text = (Feed() >> a * b & Join("zip") >> careful).explain()

    assert "relay: zip needs one place to happen, and leads to careful, which may be start" in text
    assert "restarts: careful (up to 2 times a run); what is on the way to and from there" in text
