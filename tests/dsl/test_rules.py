# ruff: noqa: PLW0108 - where a lambda stands is the line that an error must tell
"""The construction rules: what keeps them passes, and each defect is found, marked and named."""

from __future__ import annotations

import collections
import json as json_module
import math
import pickle
import warnings
from inspect import currentframe
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor import (
    AUTO,
    Auto,
    BalancedFork,
    ConstructionError,
    ConveyorError,
    Element,
    Feed,
    ImplicitPipeWarning,
    Join,
    Pipe,
    Pipeline,
    Processor,
    ReplicatedFork,
    Source,
    UsageError,
    source,
)
from tests.dsl.refusals import refused
from tests.strategies import (
    JOINS,
    Named,
    a,
    b,
    bare,
    branches,
    c,
    d,
    e,
    evaluated,
    forks,
    fragments,
    identities,
    opened,
    pipelines,
    s,
    workers,
)

pytestmark = pytest.mark.quick

some = fragments(2)


# -- what is right --


@given(pipelines())
def test_a_right_pipeline_compiles_without_a_warning(pipeline):
    assert pipeline.compile().check()


@given(pipelines(2), some)
def test_what_is_right_can_be_laid_behind_a_start(start, fragment):
    assert (start >> fragment).compile()


@pytest.mark.parametrize(
    "text",
    [
        "Pipeline(a)",
        "Pipeline(a, Pipe(), b)",
        "Pipeline(a, Pipe(), ReplicatedFork(b, c), Pipe(), Join(), d)",
        "Pipeline(a, Pipe(), BalancedFork(b), c)",
        "Pipeline(a >> Pipe(), b)",
        "Pipeline(a, Pipe() >> b)",
        "Pipeline(Pipeline(a, Pipe(), b), Pipe(capacity=3), c)",
        "Pipeline(s, Pipe(), Pipe(), a)",
        "a >> b * c & d",
        "a >> b * 1",
        "Feed() >> a % AUTO & b",
    ],
)
def test_what_has_all_its_pipes_is_not_warned_of(text):
    assert evaluated(text).compile()


# -- element-type --

FOREIGN = [
    (print, "Processor(print)"),
    (len, "Processor(len)"),
    (lambda x: x, "Processor(lambda)"),
    (Named, "Named()"),
    (Source, "Source()"),
    ([1, 2], "run(items)"),
    ([a, b], "one by one"),
    ({"a": 1}, "Source(items)"),
    ("text", "run(items)"),
    (range(3), "run(items)"),
    (np.array([1, 2]), "run(items)"),
    (2.5, "width of a fork"),
    (None, "processors, sources"),
    (object(), "processors, sources"),
    (int, "Processor(int)"),
    (str.upper, "Processor(str.upper)"),
    (dict.fromkeys, "Processor(dict.fromkeys)"),
    (SimpleNamespace.__repr__, "Processor(SimpleNamespace.__repr__)"),
    (math.sqrt, "Processor(math.sqrt)"),
    (json_module.dumps, "Processor(json_module.dumps)"),
    (currentframe, "Processor(currentframe)"),
    (collections.Counter, "Processor(collections.Counter)"),
    (collections.Counter.elements, "Processor(collections.Counter.elements)"),
    ("-".join, "Processor(join)"),
]


@pytest.mark.parametrize(("value", "hint"), FOREIGN, ids=lambda x: str(x)[:12])
@pytest.mark.parametrize("operator", [">>", "&"])
def test_a_foreign_value_behind_an_operator_is_told_with_its_own_hint(operator, value, hint):
    fork = a >> b * c
    write = {">>": lambda: fork >> value, "&": lambda: fork & value}[operator]
    assert hint in refused(write, "element-type").hints[0]


@pytest.mark.parametrize("value", [x for x, _ in FOREIGN if not isinstance(x, float)])
def test_a_foreign_value_beside_a_fork_operator_is_told(value):
    refused(lambda: a * value, "element-type")
    refused(lambda: a % value, "element-type")


@pytest.mark.parametrize(
    "value", [print, lambda x: x, [1, 2], {"a": 1}, range(3), 3, 2.5, None, np.array([1]), object()]
)
def test_a_foreign_value_before_an_operator_is_told(value):
    for told in (
        refused(lambda: value >> a, "element-type"),
        refused(lambda: value * a, "element-type"),
        refused(lambda: value % a, "element-type"),
        refused(lambda: value & a, "element-type"),
    ):
        assert told.message.count("rule:") == 1


@given(some, st.sampled_from([print, Named, [1], None, {}, 1.5]))
def test_a_foreign_value_in_any_expression_is_marked(fragment, value):
    told = refused(lambda: fragment >> value, "element-type")
    assert told.shown[0].endswith(">> " + told.marked[0])


@given(st.lists(some, min_size=1, max_size=3), st.sampled_from([print, Named, [1], None, 3]))
def test_a_foreign_value_in_an_explicit_pipeline_is_marked(parts, value):
    links = [x for part in parts for x in (part, Pipe())]
    told = refused(lambda: Pipeline(*links, value), "element-type")
    assert told.message.startswith(told.marked[0])


@pytest.mark.parametrize("fork", [ReplicatedFork, BalancedFork])
def test_a_foreign_branch_is_marked(fork):
    assert refused(lambda: fork(a, print, b), "element-type").marked == ["print"]


def test_a_local_function_is_told_by_its_name():
    class Cleaner:
        def clean(self, text):
            return text

    def tidy(text):
        return text

    assert "Processor(tidy)" in refused(lambda: a >> tidy, "element-type").hints[0]
    assert "Processor(Cleaner.clean)" in refused(lambda: a >> Cleaner.clean).hints[0]


def test_a_class_is_told_to_be_instantiated():
    told = refused(lambda: a >> Named >> b, "element-type")
    assert (told.marked, told.hints) == (["Named"], ["write Named()\n"])


def test_a_width_on_the_wrong_side_is_told_to_change_sides():
    assert "a * 3" in refused(lambda: 3 * a, "element-type").hints[0]
    assert "(a >> b) % 3" in refused(lambda: 3 % (a >> b), "element-type").hints[0]
    assert "a * True" not in refused(lambda: True * a, "element-type").hints[0]


def test_auto_where_no_width_fits_is_told():
    assert "% AUTO" in refused(lambda: a >> AUTO, "element-type").hints[0]
    assert "% AUTO" in refused(lambda: AUTO % a, "element-type").hints[0]


def test_the_class_of_auto_is_told_to_be_a_width():
    told = refused(lambda: a % Auto, "element-type")
    assert told.marked == ["Auto"]
    assert "write processor % AUTO, or processor % Auto(max=8)" in told.hints[0]
    assert "% AUTO" in refused(lambda: a >> Auto, "element-type").hints[0]


def test_a_feed_that_is_given_items_is_told_where_they_go():
    told = refused(lambda: Feed([1, 2]), "element-type")
    assert told.marked == ["Feed([1, 2])"]
    assert "run(items)" in told.hints[0]
    assert "Source(items)" in told.hints[0]
    refused(lambda: Feed[int](1, 2), "element-type")


def test_an_element_is_no_item_of_join():
    told = refused(lambda: Join(a), "join")
    assert told.marked == ["a"]


def test_an_unknown_join_is_a_usage_error():
    with pytest.raises(UsageError, match="interleave"):
        Join("sorted")


@pytest.mark.parametrize("function", [lambda: 3, lambda x, y: x, lambda x, *, y: x])
def test_a_function_of_other_than_one_argument_is_told_where_it_is_used(function):
    wrong = Processor(function)
    for told in (
        refused(lambda: a >> wrong, "element-type"),
        refused(lambda: wrong >> a, "element-type"),
        refused(lambda: (a * b) & wrong, "element-type"),
        refused(lambda: a * wrong, "element-type"),
        refused(lambda: wrong % AUTO, "element-type"),
        refused(lambda: Pipeline(a, Pipe(), wrong), "element-type"),
        refused(lambda: wrong.compile(), "element-type"),
    ):
        assert told.marked == ["Processor(lambda)"]
    assert len(refused(lambda: BalancedFork(wrong, a, wrong)).rules) == 2


def test_what_a_function_lacks_is_told_with_bind():
    wrong = Processor(pow)
    assert "bind(exp=...)" in refused(lambda: a >> wrong, "element-type").hints[0]
    assert (a >> wrong.bind(exp=2)).compile()


def test_bind_is_not_told_for_what_it_can_not_fix():
    wrong = Processor(divmod)
    hint = refused(lambda: a >> wrong, "element-type").hints[0]
    assert hint == "write a function of the item alone that calls divmod(item, ...)\n"

    @source
    def lacking(count, /):
        yield from range(count)

    hint = refused(lambda: lacking.run(), "element-type").hints[0]
    assert hint == "write a function of no arguments that calls lacking(...)\n"


def test_a_process_of_other_than_one_argument_is_told():
    class Two(Processor):
        def process(self, item, other):
            return item

    assert "other" in refused(lambda: Two().compile(), "element-type").message
    assert "other" in refused(lambda: a >> Two(), "element-type").message


# -- truth, length, iteration --


def test_an_element_has_no_truth_value():
    for told in (
        refused(lambda: a and b, "element-type"),
        refused(lambda: not a >> b, "element-type"),
        refused(lambda: 1 if a else b, "element-type"),
        refused(lambda: bool(a * b & c), "element-type"),
    ):
        assert "`if`, `not`, `and`, `or`" in told.hints[0]
        assert "write a & b, not a and b" in told.hints[0]
        assert "pipeline is not None" in told.hints[0]


@given(some)
def test_an_element_has_no_length_and_no_items(fragment):
    with pytest.raises(TypeError):
        len(fragment)
    with pytest.raises(TypeError):
        iter(fragment)
    with pytest.raises(TypeError):
        _ = 1 in fragment


@given(some, some)
def test_an_operator_that_there_is_not_is_told_to_be_a_pipe(x, y):
    for told in (refused(lambda: x | y, "element-type"), refused(lambda: x + y, "element-type")):
        assert evaluated(told.hints[0].split(": ")[1]) == x >> y
    assert refused(lambda: x | y).marked == ["|"]


@pytest.mark.parametrize("value", [print, Named, [1], 3, np.array([1]), {"a": 1}], ids=repr)
def test_an_operator_that_there_is_not_is_told_beside_a_foreign_value(value):
    for told in (
        refused(lambda: a | value, "element-type"),
        refused(lambda: a + value, "element-type"),
        refused(lambda: value + a, "element-type"),
    ):
        assert told.marked[0] in ("|", "+")
        assert told.hints[0] == "a pipe is written a >> b\n"
        assert told.hints[1:] == refused(lambda: a >> value).hints


def test_an_element_can_be_looked_for_in_a_list():
    assert a >> b in [c, a >> b]
    assert [c, a >> b].index(a >> b) == 1


# -- start --


@given(forks(), st.booleans())
def test_a_fork_starts_no_pipeline(fork, joined):
    pipeline = fork & a if joined else fork
    told = refused(lambda: pipeline.compile(), "start")
    assert "Feed() >> " in told.hints[0]
    assert evaluated(told.hints[0].removeprefix("write ")) == Feed() >> pipeline


@given(identities(), some)
def test_a_pipe_starts_no_pipeline(pipe, fragment):
    pipeline = pipe >> fragment
    told = refused(lambda: pipeline.compile(), "start")
    assert told.marked == [repr(pipe)]
    assert (Feed() >> pipeline).compile()


@given(st.sampled_from(JOINS), some)
def test_a_join_starts_no_pipeline(how, fragment):
    pipeline = Join(how) >> fragment
    told = refused(lambda: pipeline.compile(), "start")
    assert told.marked == [repr(Join(how))]


def test_start_is_told_by_run_and_stream_and_open_too():
    refused(lambda: (a * b).run([1], engine="inline"), "start")
    refused(lambda: (a * b).stream([1], engine="inline"), "start")
    refused(lambda: (a * b).open(), "start")


def test_an_empty_pipeline_is_refused():
    refused(lambda: Pipeline(), "start")


# -- source-first --


@given(some, st.sampled_from([s, Feed(), Source([1])]))
def test_a_source_behind_something_is_refused(fragment, source):
    told = refused(lambda: fragment >> source, "source-first")
    assert told.marked == [repr(source)]
    assert refused(lambda: fragment >> (source >> a), "source-first").marked == [repr(source)]
    assert refused(lambda: Pipe() >> source, "source-first").marked == [repr(source)]
    refused(lambda: Pipeline(fragment, Pipe(), source), "source-first")


@given(branches(1), st.sampled_from([s, Feed(), s >> a]))
def test_a_source_in_a_branch_is_refused(branch, source):
    refused(lambda: source * 2, "source-first")
    refused(lambda: source % AUTO, "source-first")
    refused(lambda: bare(branch, "*") * source, "source-first")
    refused(lambda: BalancedFork(branch, source), "source-first")


@given(opened())
def test_a_source_behind_a_join_is_refused(fork):
    refused(lambda: fork & s, "source-first")


def test_the_one_source_that_is_wrong_is_marked():
    told = refused(lambda: s >> s, "source-first")
    assert (told.shown, told.marked) == (["s >> s"], ["s"])
    assert told.message.splitlines()[2] == "    " + " " * 5 + "^"


# -- pipe --


def warned(write) -> list:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write()
    return caught


@given(workers(), workers())
def test_a_missing_pipe_is_inserted_and_warned_of(x, y):
    with pytest.warns(ImplicitPipeWarning, match="Pipe\\(\\)"):
        pipeline = Pipeline(x, y)
    assert pipeline == x >> y


@pytest.mark.parametrize(
    ("write", "right", "count"),
    [
        (lambda: Pipeline(a, ReplicatedFork(b, c)), "a >> b * c", 1),
        (lambda: Pipeline(a, Pipe(), b * c, Join(), d), "a >> b * c & d", 1),
        (lambda: Pipeline(a, b * c, Join(), d), "a >> b * c & d", 2),
        (lambda: Pipeline(a, b, c), "a >> b >> c", 2),
        (lambda: Pipeline(b * c, d % e), "b * c >> d % e", 1),
        (lambda: Pipeline(b * c, Pipe(), Join(), d % e), "b * c & d % e", 1),
        (lambda: Pipeline(a >> b, c), "a >> b >> c", 1),
        (lambda: Pipeline(s, a), "s >> a", 1),
    ],
)
def test_each_place_of_a_missing_pipe_is_named(write, right, count):
    found = warned(write)
    assert [w.category for w in found] == [ImplicitPipeWarning] * count
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert write() == evaluated(right)


def test_the_warning_is_at_the_users_line():
    (found,) = warned(write := lambda: Pipeline(a, b))
    assert (found.filename, found.lineno) == (__file__, write.__code__.co_firstlineno)
    assert "between a and b" in str(found.message)


def test_the_warning_is_at_the_users_line_with_type_arguments_too():
    (found,) = warned(write := lambda: Pipeline[int, int](a, b))
    assert (found.filename, found.lineno) == (__file__, write.__code__.co_firstlineno)


def test_a_warning_made_an_error_stops_the_pipeline():
    with pytest.raises(ImplicitPipeWarning):
        Pipeline(a, b)


# -- fork-width --


@pytest.mark.parametrize("width", [0, -1, True, False, 2.0, 2.5, 1j, np.int64(0), np.float32(2)])
def test_a_width_that_is_no_int_of_one_or_more_is_refused(width):
    assert refused(lambda: a * width, "fork-width").marked
    assert refused(lambda: (a >> b) % width, "fork-width").marked


def test_the_width_is_marked():
    assert refused(lambda: s >> a * -3 & b, "fork-width").marked == ["-3"]


@pytest.mark.parametrize("width", [1, 3, np.int64(2)])
def test_a_computed_width_is_fine(width):
    assert a * width == ReplicatedFork(*[a] * int(width))


@pytest.mark.parametrize("fork", [ReplicatedFork, BalancedFork])
def test_a_fork_without_branches_is_refused(fork):
    refused(lambda: fork(), "fork-width")


def test_auto_is_for_balanced_forks():
    assert "a % AUTO" in refused(lambda: a * AUTO, "fork-width").hints[0]


@pytest.mark.parametrize("bounds", [{"min": 0}, {"min": 2, "max": 1}, {"max": 1.5}, {"min": True}])
def test_bounds_of_auto_that_make_no_sense_are_refused(bounds):
    with pytest.raises(UsageError, match=r"Auto\((min|max)=...\) takes"):
        Auto(**bounds)


def test_the_base_of_all_elements_is_none():
    assert "Processor(function)" in refused(lambda: Element(), "element-type").hints[0]


# -- mixed-fork --


@given(branches(1), branches(1), branches(1))
def test_a_bare_fork_of_the_other_kind_on_the_left_is_refused(x, y, z):
    copies, shares = bare(x, "*") * y, bare(x, "%") % y
    assert refused(lambda: copies % z, "mixed-fork").marked == ["%"]
    assert refused(lambda: copies % 3, "mixed-fork").marked == ["%"]
    assert refused(lambda: copies % AUTO, "mixed-fork").marked == ["%"]
    assert refused(lambda: shares * z, "mixed-fork").marked == ["*"]
    assert refused(lambda: ReplicatedFork(x, y) % z, "mixed-fork").marked == ["%"]


@pytest.mark.parametrize(
    ("write", "hints"),
    [
        (lambda: (a % 3) * b, ["b * (a % 3)", "(Pipe() >> a % 3) * b"]),
        (lambda: (a * 3) % b, ["b % (a * 3)", "(Pipe() >> a * 3) % b"]),
        (lambda: a % 3 * 2, ["(Pipe() >> a % 3) * 2"]),
        (lambda: a * 3 % 2, ["(Pipe() >> a * 3) % 2"]),
        (lambda: a % b * c, ["c * (a % b)", "(Pipe() >> a % b) * c", "a % (b * c)"]),
        (lambda: a * b % c, ["c % (a * b)", "(Pipe() >> a * b) % c", "a * (b % c)"]),
        (lambda: a % b * 3, ["(Pipe() >> a % b) * 3", "a % (b * 3)"]),
        (lambda: a * b % AUTO, ["(Pipe() >> a * b) % AUTO", "a * (b % AUTO)"]),
        (lambda: (a % AUTO) * b, ["b * (a % AUTO)", "(Pipe() >> a % AUTO) * b"]),
        (lambda: (a % 3) * (b % 2), ["(Pipe() >> a % 3) * (b % 2)"]),
        (lambda: (a % 3) * (b * c), ["b * c * (a % 3)", "(Pipe() >> a % 3) * b * c"]),
    ],
)
def test_what_a_mixed_fork_may_have_been_meant_for_is_offered(write, hints):
    told = refused(write, "mixed-fork")
    assert [line.split(": ", 1)[1] for line in told.hints[0].splitlines()] == hints


@given(branches(1), branches(1), branches(1), st.sampled_from("*%"))
def test_a_mixed_fork_is_offered_as_python_takes_it(x, y, z, operator):
    inner, outer = (ReplicatedFork, BalancedFork)[:: 1 if operator == "*" else -1]
    left = inner(x, y)
    write = {"*": lambda: left % z, "%": lambda: left * z}[operator]
    offered = [
        evaluated(line.split(": ", 1)[1])
        for line in refused(write, "mixed-fork").hints[0].splitlines()
    ]
    assert outer(left, z) in offered
    assert offered[0] in (outer(z, left), outer(left, z))


def test_the_ways_out_of_mixed_forks_are_accepted():
    assert a * (b % 3) == ReplicatedFork(a, BalancedFork(b, b, b))
    assert (Pipe() >> a % 3) * b == ReplicatedFork(BalancedFork(a, a, a), b)


# -- join --


@given(workers(), some)
def test_joining_without_a_fork_is_refused(x, y):
    told = refused(lambda: x & y, "join")
    assert told.marked == ["&"]
    assert evaluated(told.hints[0].split("write: ")[1]) == x >> y
    refused(lambda: x >> Join() >> y, "join")
    refused(lambda: Pipeline(x, Pipe(), Join()), "join")


@given(opened(), some)
def test_joining_what_is_joined_is_refused(fork, y):
    assert refused(lambda: (fork & Join()) & y, "join").marked == ["&"]
    refused(lambda: fork & a & y, "join")


@given(branches(1), st.sampled_from(JOINS))
def test_a_join_closes_no_fork_from_inside(branch, how):
    assert refused(lambda: bare(branch, "*") * Join(how), "join").marked == [repr(Join(how))]
    assert refused(lambda: (Join(how) >> a) % 3, "join").marked
    assert refused(lambda: ReplicatedFork(branch, Pipe(capacity=1) >> Join(how)), "join").marked


# -- zip --


@given(some, branches(1), branches(1))
def test_a_zip_of_a_balanced_fork_is_refused(before, x, y):
    fork = bare(x, "%") % y
    assert refused(lambda: before >> fork >> Join("zip"), "zip").marked == ['Join("zip")']
    assert refused(lambda: fork & Join("zip") >> a, "zip").marked == ['Join("zip")']
    refused(lambda: Pipeline(before, Pipe(), fork, Pipe(), Join("zip")), "zip")
    refused(lambda: a % AUTO & Join("zip"), "zip")


@given(branches(1), branches(1))
def test_a_zip_of_a_nested_balanced_fork_is_refused(x, y):
    nested = ReplicatedFork(x, a >> BalancedFork(y))
    refused(lambda: nested & Join("zip"), "zip")
    refused(lambda: (x >> nested) & Join("zip"), "zip")


@given(branches(1), branches(1))
def test_a_zip_of_closed_balanced_forks_is_fine(x, y):
    fork = ReplicatedFork(a, BalancedFork(x, y) & b)
    assert (Feed() >> fork & Join("zip") >> c).compile()


# -- types (more of it in test_types) --


class Gives(Processor[Any, int]):
    def process(self, item):
        return item


class Takes(Processor[str, str]):
    def process(self, item):
        return item


@given(pipelines(1).filter(lambda before: "zip" not in repr(before)), st.booleans())
def test_what_can_not_fit_is_told_at_the_operator(before, forked):
    told = refused(lambda: before >> Gives() >> (a * Takes() if forked else Takes()), "types")
    assert told.marked == ["Takes()"]
    assert "str" in told.message
    assert "int" in told.message


# -- how it is told --


def test_several_broken_rules_are_told_at_once():
    told = refused(lambda: Pipeline(a, Pipe(), print, Pipe(), Join(), [1], Named, s))
    assert told.rules == ("element-type", "join", "element-type", "element-type", "source-first")
    assert told.marked == ["print", "Join()", "[1]", "Named", "s"]
    assert "5 rules are broken" in told.message


def test_both_operands_are_told_at_once():
    assert refused(lambda: s * Feed()).marked == ["s", "Feed()"]
    assert refused(lambda: a * b % print).rules == ("mixed-fork", "element-type")
    assert refused(lambda: a * b % 0).rules == ("mixed-fork", "fork-width")
    assert refused(lambda: a & s).rules == ("join", "source-first")


def test_all_branches_are_told_at_once():
    assert refused(lambda: ReplicatedFork(s, print, Join())).marked == ["s", "print", "Join()"]


def test_an_operator_tells_all_it_finds():
    told = refused(lambda: Gives() & (Pipe() >> Takes()))
    assert (told.rules, told.marked) == (("join", "types"), ["&", "Takes()"])


def gives_later(item) -> Later:  # noqa: F821
    return item


def test_compile_tells_all_it_finds(monkeypatch):
    pipeline = Pipe() >> Processor(gives_later) >> Takes()
    monkeypatch.setitem(globals(), "Later", int)
    told = refused(lambda: pipeline.compile())
    assert told.rules == ("start", "types")
    assert told.marked == ["Pipe()", "Takes()"]


def test_the_first_rule_is_the_rule():
    assert refused(lambda: a & s).error.rule == "join"


def test_the_line_is_where_the_user_wrote_it():
    with pytest.raises(ConstructionError) as caught:
        a >> print
    line = currentframe().f_lineno - 1
    assert f"{__file__}:{line}" in str(caught.value)


def test_the_line_is_the_users_inside_of_a_constructor_too():
    class Nested(Processor):
        def __init__(self):
            self.inner = refused(lambda: a >> print)

        def process(self, item):
            return item

    assert Nested().inner


def test_the_line_is_the_users_with_type_arguments_too():
    refused(lambda: Pipeline[int, int](a, Pipe(), 3), "element-type")
    refused(lambda: Processor[int, int](3), "element-type")
    refused(lambda: ReplicatedFork[int, int](), "fork-width")


def test_a_long_expression_is_cut_to_the_part_that_is_wrong():
    long = a >> b
    for _ in range(60):
        long = long >> c
    told = refused(lambda: long >> print >> long, "element-type")
    assert told.marked == ["print"]
    assert max(map(len, told.message.splitlines())) < 140


def test_a_repr_of_many_lines_keeps_the_mark_in_its_place():
    class Tall(Named):
        def __repr__(self):
            return "Tall(\n)"

    told = refused(lambda: Tall("t") >> print, "element-type")
    assert told.marked == ["print"]


def test_a_foreign_value_whose_repr_fails_is_told_all_the_same():
    class Mute:
        def __repr__(self):
            raise RuntimeError

    refused(lambda: a >> Mute(), "element-type")


def test_a_construction_error_pickles():
    error = refused(lambda: a * b % 0).error
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.rule, again.rules) == (str(error), error.rule, error.rules)


def test_a_construction_error_is_a_type_error():
    assert issubclass(ConstructionError, (ConveyorError, TypeError))
    assert issubclass(ConstructionError, TypeError)


# -- capacity and options --


@pytest.mark.parametrize("capacity", [0, -1, 1.5, True, "3"])
def test_a_capacity_is_an_int_of_one_or_more(capacity):
    with pytest.raises(UsageError, match="capacity"):
        Pipe(capacity=capacity)


@pytest.mark.parametrize("three", [3, np.int64(3), np.uint8(3)], ids=repr)
def test_an_integer_of_any_kind_is_a_count(three):
    assert repr(a >> Pipe(capacity=three) >> b) == "a >> Pipe(capacity=3) >> b"
    assert repr(a.options(retries=three, restarts=three)) == "a.options(retries=3, restarts=3)"
    assert repr(b % Auto(min=three, max=three)) == "b % Auto(min=3, max=3)"
    assert (a * three, a % three) == (a * 3, a % 3)
    assert a.options(timeout=three) == a.options(timeout=3)
    on = {"processes": three, "stalled": three, "engine": "inline"}
    assert a.run([1], max_failures=three, **on) == [1]
    assert a.explain(processes=three) == a.explain(processes=3)


@pytest.mark.parametrize("ordered", ["yes", 1, None, np.float64(1)], ids=repr)
def test_ordered_is_a_bool(ordered):
    for write in (
        lambda: a.run([1], ordered=ordered, engine="inline"),
        lambda: a.open(ordered=ordered),
        lambda: a.explain(ordered=ordered),
    ):
        with pytest.raises(UsageError, match="ordered takes True or False, not "):
            write()


@pytest.mark.parametrize(
    "option",
    [
        {"name": ""},
        {"name": 3},
        {"retries": -1},
        {"retries": 1.5},
        {"retries": True},
        {"on_error": "ignore"},
        {"on_error": None},
        {"timeout": 0},
        {"timeout": -1.5},
        {"timeout": "1"},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"timeout": 1e10},
        {"restarts": "many"},
        {"on_error": np.arange(3)},
    ],
    ids=str,
)
def test_an_ill_typed_option_is_refused_at_once(option):
    (name,) = option
    with pytest.raises(UsageError, match=name) as caught:
        a.options(**option)
    assert isinstance(caught.value, (ConveyorError, TypeError))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("", "not empty"),
        (" ", "not empty"),
        ("x\ny", "without line breaks"),
        ("x\n", "without line breaks"),
        ("x\0", "control characters"),
        ("x\u2028y", "without line breaks"),
        (" x", "without blanks at its ends"),
    ],
)
def test_what_is_wrong_with_a_name_is_told(name, wanted):
    with pytest.raises(UsageError, match=wanted) as caught:
        a.options(name=name)
    assert repr(name) in str(caught.value)


def test_a_name_may_be_in_any_language():
    name = "na\u00efve \u2013 \U0001f469\u200d\U0001f52c"
    assert (Feed() >> a.options(name=name)).compile().processors[1].id == name


def test_an_unknown_option_is_refused_with_the_nearest_one():
    with pytest.raises(UsageError, match="retries"):
        a.options(retrys=1)
    with pytest.raises(UsageError, match="on_error"):
        a.options(brand_new=1)


@pytest.mark.parametrize("element", [Pipe(), Join(), Feed(), Pipe() * 2])
def test_what_has_no_worker_takes_no_options(element):
    with pytest.raises(UsageError):
        element.options(retries=1)


def test_a_name_is_for_one_processor():
    with pytest.raises(UsageError, match="name"):
        (a >> b).options(name="x")


@given(some)
def test_options_of_a_sequence_are_those_of_every_processor_in_it(fragment):
    pipeline = a >> fragment
    graph = pipeline.options(timeout=1.5).compile()
    assert {node.settings.timeout for node in graph.processors if node.kind == "processor"} == {1.5}
    assert len(graph.nodes) == len(pipeline.compile().nodes)
