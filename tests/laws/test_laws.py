"""What expressions mean: the laws of the language, on random expressions."""

from __future__ import annotations

import copy
import pickle
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from conveyor import (
    AUTO,
    Auto,
    BalancedFork,
    ConstructionError,
    ConveyorError,
    Element,
    Feed,
    Join,
    Pipe,
    Pipeline,
    ReplicatedFork,
    processor,
)
from tests.strategies import (
    JOINS,
    WORKERS,
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
    loose,
    opened,
    pipelines,
    workers,
)

pytestmark = pytest.mark.quick

any_fragment = fragments(2)
anything = st.one_of(loose(), fragments(), pipelines())
capacities = st.integers(1, 9)


# -- associativity --


@given(any_fragment, any_fragment, any_fragment)
def test_piping_is_associative(x, y, z):
    assert (x >> y) >> z == x >> (y >> z)


@given(pipelines(2), any_fragment, any_fragment)
def test_piping_behind_a_start_is_associative(x, y, z):
    assert (x >> y) >> z == x >> (y >> z)


@given(any_fragment, capacities, any_fragment)
def test_piping_with_a_capacity_is_associative(x, n, z):
    assert (x >> Pipe(capacity=n)) >> z == x >> (Pipe(capacity=n) >> z)


@given(pipelines(2), st.lists(capacities, min_size=2, max_size=3), any_fragment)
def test_pipes_in_a_row_bound_like_the_tightest(x, bounds, z):
    row = x
    for n in bounds:
        row = row >> Pipe(capacity=n)
    tightest = x >> Pipe(capacity=min(bounds)) >> z
    assert (row >> z).compile() == tightest.compile()


@given(branches(), branches(), branches())
def test_replicating_is_associative(x, y, z):
    x, y = bare(x, "*"), bare(y, "*")
    assert (x * y) * z == x * (y * z)


@given(branches(), branches(), branches())
def test_balancing_is_associative(x, y, z):
    x, y = bare(x, "%"), bare(y, "%")
    assert (x % y) % z == x % (y % z)


@given(branches(), branches(), branches())
def test_forks_in_full_are_associative_too(x, y, z):
    nested = ReplicatedFork(x, ReplicatedFork(y, z))
    assert nested == ReplicatedFork(ReplicatedFork(x, y), z) == ReplicatedFork(x, y, z)


@given(branches(), branches(), branches())
def test_a_pipe_before_a_nested_fork_of_the_same_kind_changes_nothing(x, y, z):
    x, y = bare(x, "*"), bare(y, "*")
    assert (Pipe() >> x * y) * z == x * y * z


# -- distribution --


@given(branches(), branches(), any_fragment)
def test_what_follows_a_replicated_fork_is_laid_on_its_branches(x, y, z):
    x = bare(x, "*")
    assert (x * y) >> z == bare(x >> z, "*") * (y >> z)


@given(branches(), branches(), any_fragment)
def test_what_follows_a_balanced_fork_is_laid_on_its_branches(x, y, z):
    x = bare(x, "%")
    assert (x % y) >> z == bare(x >> z, "%") % (y >> z)


@given(branches(), st.integers(1, 4), any_fragment)
def test_what_follows_a_width_is_laid_on_its_branches(x, n, z):
    x = bare(x, "*")
    assert (x * n) >> z == bare(x >> z, "*") * n


@given(any_fragment, any_fragment)
def test_what_follows_a_fork_of_automatic_width_is_laid_on_its_pattern(x, z):
    x = bare(x, "%")
    assert (x % AUTO) >> z == bare(x >> z, "%") % AUTO


@given(branches(), branches(), capacities)
def test_a_capacity_behind_a_fork_is_laid_on_its_branches(x, y, n):
    x, link = bare(x, "*"), Pipe(capacity=n)
    assert (x * y) >> link == (x >> link) * (y >> link)


def test_a_closed_fork_behind_an_open_one_is_laid_on_every_branch():
    assert (a * b) >> (c % d & e) == (a >> c % d & e) * (b >> c % d & e)


def test_each_branch_gets_its_own_instance_of_what_follows():
    ids = [node.id for node in (Feed() >> (a * b) >> c).compile().processors]
    assert ids == ["feed", "a", "c", "b", "c.2"]


# -- neutral elements --


@given(anything, fragments())
def test_a_pipe_between_two_is_neutral(x, y):
    assert x >> Pipe() >> y == x >> y


@given(anything)
def test_a_pipe_behind_is_neutral(x):
    assert x >> Pipe() == x


@given(any_fragment, any_fragment)
def test_a_leading_pipe_says_nothing_behind_something(x, y):
    assert x >> (Pipe() >> y) == x >> y


@given(any_fragment, branches())
def test_a_leading_pipe_says_nothing_in_a_branch(x, y):
    assert ReplicatedFork(y, Pipe() >> x) == ReplicatedFork(y, x)


@given(any_fragment)
def test_a_leading_pipe_counts_elsewhere(x):
    assert Pipe() >> x != x


@given(forks())
def test_a_fork_of_one_fork_of_its_kind_is_that_fork(fork):
    assert type(fork)(fork) == fork or fork.auto is not None


# -- joins --


@given(opened(), any_fragment)
def test_joining_is_piping_through_a_join(x, y):
    assert x & y == x >> Join() >> y


@given(opened(), any_fragment, st.sampled_from(JOINS[:2]))
def test_joining_into_a_join_takes_that_join(x, y, how):
    assert x & Join(how) >> y == x >> Join(how) >> y


@given(opened(zippable=True), any_fragment)
def test_joining_into_a_zip_takes_that_zip(x, y):
    assert x & Join("zip") >> y == x >> Join("zip") >> y


@given(opened(), any_fragment, capacities)
def test_a_pipe_before_the_join_belongs_to_the_branches(x, y, n):
    assert x & (Pipe(capacity=n) >> Join() >> y) == (x >> Pipe(capacity=n)) & y


@given(opened(), opened())
def test_a_join_closes_nested_forks_too(x, y):
    graph = (Feed() >> ReplicatedFork(x, y) & a).compile()
    assert len(graph.in_edges["output"]) == 1


def test_parentheses_join_an_inner_fork_only():
    inner, outer = (Feed() >> a * (b % c & d) & e).compile(), (Feed() >> a * (b % c) & e).compile()
    assert [len(inner.in_edges[name]) for name in ("join", "join.2")] == [2, 2]
    assert len(outer.in_edges["join"]) == 3


@given(pipelines(2), opened())
def test_the_output_joins_what_is_still_open(x, y):
    left_open, joined = (x >> y).compile(), (x >> y >> Join()).compile()
    join = joined.edges[-1].source
    assert len(left_open.in_edges["output"]) == len(joined.in_edges[join])


# -- the table: what is written and what it means --


@given(anything, any_fragment)
def test_piping_is_an_explicit_sequence(x, y):
    assert x >> y == Pipeline(x, Pipe(), y)


@given(opened(), workers(), any_fragment)
def test_joining_is_an_explicit_sequence(x, y, z):
    y = y >> z
    assert x & y == Pipeline(x, Pipe(), Join(), y)


@given(st.lists(branches(), min_size=2, max_size=4))
def test_forks_are_explicit_forks(given_branches):
    first, *rest = given_branches
    copies, shares = bare(first, "*"), bare(first, "%")
    for branch in rest:
        copies, shares = copies * branch, shares % branch
    assert copies == ReplicatedFork(*given_branches)
    assert shares == BalancedFork(*given_branches)


@given(branches(), st.integers(1, 4))
def test_widths_are_explicit_forks(x, n):
    assert bare(x, "*") * n == ReplicatedFork(*[x] * n)
    assert bare(x, "%") % n == BalancedFork(*[x] * n)


@given(st.lists(any_fragment, min_size=1, max_size=4))
def test_a_flat_sequence_and_a_nested_one_are_the_same(parts):
    flat = Pipeline(*[part for x in parts for part in (x, Pipe())])
    nested = parts[-1]
    for x in reversed(parts[:-1]):
        nested = Pipeline(x, Pipe(), nested)
    assert flat == nested


# -- equality --


@given(st.lists(anything, min_size=1, max_size=3))
def test_equality_is_reflexive_and_agrees_with_hash(elements):
    for x in elements:
        same = Pipeline(x)
        assert x == x
        assert x == same
        assert same == x
        assert hash(x) == hash(same)
        assert not x != same


@given(st.lists(st.one_of(fragments(1), loose(1)), min_size=3, max_size=3))
def test_equality_is_symmetric_and_transitive(elements):
    x, y, z = elements
    assert (x == y) == (y == x)
    assert (x == y) != (x != y)
    if x == y and y == z:
        assert x == z


@given(anything)
def test_equal_elements_are_one_in_a_set(x):
    assert len({x, Pipeline(x), evaluated(repr(Pipeline(x)))}) == 1


@given(anything, st.sampled_from((3, "a", None, [], object)))
def test_an_element_equals_nothing_else(x, other):
    assert x != other
    assert not x == other


def test_processors_compare_by_instance():
    assert Named("n") != Named("n")
    assert Named("n") >> a != Named("n") >> a


def test_different_meanings_are_different():
    meanings = [a >> b, b >> a, a * b, b * a, a % b, a * b & c, (a * b) >> c, a, Pipe() >> a,
                a >> Pipe(capacity=2) >> b, a * b & Join("ordered"), a % AUTO, a % Auto(max=2),
                a.options(retries=1), a * 2, a * 1, Join(), Pipe(), Feed()]  # fmt: skip
    assert len(set(meanings)) == len(meanings)


def test_options_keep_the_instance():
    assert a.options(retries=1) == a.options(retries=1)
    assert a.options(retries=1).options(retries=0) == a


@given(pipelines(), st.data())
def test_equal_expressions_compile_to_equal_graphs(x, data):
    y = evaluated(repr(x))
    assert x == y
    assert x.compile() == y.compile()
    assert hash(x.compile()) == hash(y.compile())


@given(any_fragment, any_fragment, any_fragment)
def test_the_ways_to_group_compile_to_equal_graphs(x, y, z):
    start = Feed()
    assert (start >> x >> y >> z).compile() == (start >> (x >> (y >> z))).compile()


@given(pipelines(2))
def test_different_graphs_are_of_different_expressions(x):
    longer = x >> a
    assert longer != x
    assert longer.compile() != x.compile()


# -- repr --


@given(anything)
def test_repr_evaluates_to_an_equal_element(x):
    assert evaluated(repr(x)) == x


@given(anything)
def test_equal_elements_have_one_repr(x):
    assert repr(evaluated(repr(x))) == repr(x)


GROUP = re.compile(r"(?<![\w)])\(")


def groups(text: str) -> list[tuple[int, int]]:
    """The pairs of parentheses that group, so not those of a call."""
    pairs, stack = [], []
    for place, char in enumerate(text):
        if char == "(":
            stack.append(place)
        elif char == ")":
            start = stack.pop()
            if GROUP.match(text, start):
                pairs.append((start, place))
    return pairs


@given(anything)
def test_repr_has_no_needless_parentheses(x):
    text = repr(x)
    for start, end in groups(text):
        without = f"{text[:start]} {text[start + 1 : end]} {text[end + 1 :]}"
        try:
            changed = evaluated(without.strip()) != x
        except ConstructionError:
            changed = True
        assert changed, without


@pytest.mark.parametrize(
    "text",
    [
        "a >> b * c & d",
        "a >> (b >> c) * d & e",
        "a * (b % c & d) & e",
        "a * (b % c) & e",
        "(Pipe() >> a % 3) * b",
        "a % AUTO % b",
        "a % Auto(min=1, max=3) & b",
        'a * b & Join("zip") >> c',
        "a * b & Join()",
        "a * b & c * d & e",
        "a >> Pipe(capacity=3) >> b",
        "Pipe(capacity=3) * a",
        "Pipe(capacity=3) >> Join() >> a",
        "Pipe() >> a",
        "Join() >> a * b & c",
        "a.options(retries=2, name='x') >> b",
        "s >> a * 3 & b",
    ],
)
def test_what_a_person_would_write_comes_back(text):
    assert repr(evaluated(text)).replace("name='x', retries=2", "retries=2, name='x'") == text


def test_a_user_may_build_its_repr_on_the_usual_one():
    class Loud(Named):
        def __repr__(self):
            return super(Named, self).__repr__() + "!"

    assert repr(Loud("n") >> a) == "Loud(...)! >> a"


# -- immutability --


@given(any_fragment, any_fragment, st.sampled_from((">>", "*", "%", "&", "options")))
def test_operators_change_neither_operand(x, y, operator):
    before = repr(x), repr(y), hash(x), hash(y)
    try:
        match operator:
            case ">>":
                x >> y
            case "*":
                x * y
            case "%":
                x % y
            case "&":
                x & y
            case "options":
                x.options(retries=3)
    except ConveyorError:
        pass
    assert (repr(x), repr(y), hash(x), hash(y)) == before


def test_augmented_assignment_makes_a_new_element():
    before = x = a >> b
    x >>= c
    assert x == a >> b >> c
    assert before == a >> b


@given(anything)
def test_the_parts_of_an_element_can_not_be_changed(x):
    assume(x not in WORKERS and not isinstance(x, Named))
    if isinstance(x, (Pipe, Join, Pipeline, ReplicatedFork, BalancedFork)):
        for name in ("capacity", "how", "branches", "_parts", "brand_new"):
            with pytest.raises(AttributeError):
                setattr(x, name, None)
            with pytest.raises(AttributeError):
                delattr(x, name)


@given(anything)
def test_a_copy_of_a_sequence_is_equal(x):
    assert copy.copy(Pipeline(x)) == x
    assert copy.deepcopy(Pipeline(x)) == x


@given(any_fragment)
def test_using_one_element_twice_makes_two_nodes(x):
    once, twice = (Feed() >> x).compile(), (Feed() >> ReplicatedFork(x, x)).compile()
    assert len(twice.processors) - 1 == 2 * (len(once.processors) - 1)


def test_what_has_no_processor_of_its_own_pickles_to_an_equal_element():
    for x in (Pipe(capacity=3), Join("zip"), a * b, a >> b * c & a % AUTO, Feed()):
        assert pickle.loads(pickle.dumps(x)) == x


def test_two_elements_of_one_function_are_two():
    first, second = processor(len), processor(len)
    assert first != second
    assert isinstance(first, Element)
