"""Every engine gives what the inline engine gives: on random pipelines and random items."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor import ConveyorError
from tests.strategies import Runnable, inputs, runnables

some = settings(max_examples=max(12, settings.default.max_examples // 3))


def outcome(case: Runnable, **options):
    """What a run gives: its outputs and its dead letters as text, or the kind of its error."""
    try:
        results = case.pipeline().run(*case.arguments, **options)
    except ConveyorError as error:
        return type(error)
    assert results.stats.total.balances
    assert all(results.stats[name].balances for name in results.stats), str(results.stats)
    dead = sorted(f"dead: {letter.item!r}" for letter in results.dead_letters)
    return [repr(output) for output in results] + dead


@some
@given(runnables(items=inputs(30)))
def test_processes_give_the_same_outputs_in_some_order(case):
    expected = outcome(case, engine="inline")
    assert Counter(outcome(case)) == Counter(expected)


@some
@given(runnables(items=inputs(30)), st.integers(1, 3))
def test_sharing_processes_changes_nothing(case, processes):
    expected = outcome(case, engine="inline")
    assert outcome(case, ordered=True, processes=processes) == expected


@some
@given(runnables(items=inputs(12), careless=True))
def test_engines_agree_on_what_is_an_error(case):
    expected = outcome(case, engine="inline")
    given = outcome(case, ordered=True)
    assert (given if isinstance(given, type) else None) == (
        expected if isinstance(expected, type) else None
    )


@settings(max_examples=8)
@given(runnables(items=inputs(200)))
def test_a_warm_pipeline_gives_the_same_each_time(case):
    with case.pipeline().open(ordered=True) as live:
        first = list(map(repr, live.run(*case.arguments)))
        assert list(map(repr, live.run(*case.arguments))) == first


@settings(max_examples=max(15, settings.default.max_examples // 3))
@given(runnables(items=inputs(60)))
def test_processes_give_the_same_list_when_ordered(case):
    assert outcome(case, ordered=True) == outcome(case, engine="inline")
