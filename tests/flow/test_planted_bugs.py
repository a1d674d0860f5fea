"""Planted bugs, one line of behaviour each: the properties of this folder find every one.

Some of them change no output: that a bound is broken, or that an order is kept by luck, is all
that there is to see.
"""

from __future__ import annotations

from functools import partial
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from conveyor import AUTO, AccountError, Feed, Join, Pipe, Processor
from conveyor.engines import stage
from conveyor.engines.processes import actor, durable, restartable, way_in, way_out
from conveyor.flow import batch, credit, join, order, progress, route, source
from conveyor.plan.make import _Planner
from tests.flow.forks import batches
from tests.flow.ledger import hold
from tests.flow.mortal import simulate_deaths
from tests.flow.promises import check_outputs, explained, keep_promises, run_inline
from tests.flow.simulations import many
from tests.flow.test_credit import CreditRules
from tests.flow.test_join import check_ordered, check_zip, ordered_joins, zips
from tests.flow.test_order import GrowingFamilies
from tests.flow.test_route import OutletRules
from tests.flow.test_simulator import Mark, to_list
from tests.strategies import Add, Expand, Farewell, Keep, Tally

pytestmark = pytest.mark.quick

# -- the bugs --

BUGS = {}
"""For each bug, by its name: how it is planted, and what finds it."""


def bug(*found_by):
    def note(plant):
        BUGS[plant.__name__] = (plant, found_by)
        return plant

    return note


@bug("chain", "simulations")
def credit_is_given_back_on_arrival(monkeypatch):
    begin = way_in.WayInEnd.__init__

    def hasty(self, *arguments, **options):
        begin(self, *arguments, **options)
        self._holds = True

    monkeypatch.setattr(way_in.WayInEnd, "__init__", hasty)


@bug("credit", "links", "chain", "simulations")
def a_link_takes_whatever_comes(monkeypatch):
    monkeypatch.setattr(credit.Credit, "admits", lambda self, items, size=0: True)


@bug("credit")
def a_capacity_is_ignored(monkeypatch):
    begin = credit.Credit.__init__
    monkeypatch.setattr(
        credit.Credit, "__init__", lambda self, capacity, frames: begin(self, None, frames)
    )


@bug("chain", "simulations")
def the_window_never_closes(monkeypatch):
    monkeypatch.setattr(source.Window, "is_open", property(lambda self: True))


@bug("families", "zip", "meeting", "simulations")
def a_family_is_complete_whatever_its_last_member(monkeypatch):
    add = order.Completion.add

    def ignoring_last(self, path, root):
        return add(self, (*path[:root], *(part | 1 for part in path[root:])), root)

    monkeypatch.setattr(order.Completion, "add", ignoring_last)


@bug("families", "ordered", "balanced", "simulations")
def frames_are_given_before_their_turn_is_complete(monkeypatch):
    monkeypatch.setattr(order.Reorder, "_is_next", lambda self, turn, path: turn == self._turn)


@bug("ordered", "balanced", "simulations")
def turns_go_on_in_the_next_run(monkeypatch):
    monkeypatch.setattr(order.Reorder, "restart", lambda self: None)


@bug("links")
def all_branches_wait_for_one_that_is_blocked(monkeypatch):
    advance, fits = route.Outlet.advance, route.Outlet._fits

    def from_the_start(self):
        self.is_stuck = False
        return advance(self)

    def in_line(self, *about):
        self.is_stuck = self.is_stuck or not fits(self, *about)
        return not self.is_stuck

    monkeypatch.setattr(route.Outlet, "advance", from_the_start)
    monkeypatch.setattr(route.Outlet, "_fits", in_line)


@bug("links")
def a_balanced_fork_waits_for_its_first_branch(monkeypatch):
    monkeypatch.setattr(route, "_chosen", lambda fork, frame: 0)


@bug("links")
def a_balanced_fork_takes_a_branch_that_is_full(monkeypatch):
    waiting = route._waiting

    def blind(way, frame):
        if isinstance(way, route.LinkOut):
            return 0.0, way.credit.in_flight
        return waiting(way, frame)

    monkeypatch.setattr(route, "_waiting", blind)


@bug("links", "balanced", "simulations")
def the_ends_of_a_balanced_fork_have_one_address(monkeypatch):
    balanced = route._balanced

    def alike(fork, frame, branch):
        if frame.end:
            return [(one, frame.readdressed()) for one in fork.branches]
        return balanced(fork, frame, branch)

    monkeypatch.setattr(route, "_balanced", alike)


@bug("ordered", "filtering", "simulations")
def origins_are_those_of_the_last_stage_only(monkeypatch):
    monkeypatch.setattr(batch, "origin", lambda scope, index: index)


@bug("zip", "meeting", "simulations")
def a_zip_gives_tuples_that_lack_a_part(monkeypatch):
    begin = join.Zip.__init__

    def easy(self, *arguments, **settings):
        begin(self, *arguments, **settings)
        self._places = 1

    monkeypatch.setattr(join.Zip, "__init__", easy)


@bug("ordered", "zip", "balanced", "simulations")
def an_end_is_counted_twice(monkeypatch):
    settle = join._Ends.settle

    def twice(self, frame):
        frame.end *= 2
        return settle(self, frame)

    monkeypatch.setattr(join._Ends, "settle", twice)


@bug("ending", "simulations")
def a_join_ends_with_the_first_end(monkeypatch):
    attach = join.Interleave.attach
    monkeypatch.setattr(
        join.Interleave, "attach", lambda self: None if self._ends.ends.links else attach(self)
    )


@bug("ends that come and go", "simulations")
def a_link_that_leaves_is_waited_for(monkeypatch):
    settle = join._Ends.settle

    def forgetful(self, frame):
        if frame.end == batch.LEAVE and self.links > 1:
            frame.end = 0
        return settle(self, frame)

    monkeypatch.setattr(join._Ends, "settle", forgetful)


@bug("ends that come and go", "simulations")
def a_branch_that_is_detached_gets_no_end(monkeypatch):
    detach = route.Outlet.detach

    def forgetful(self, slots):
        detach(self, slots)
        for fork in self.balances:
            fork.leaving.clear()

    monkeypatch.setattr(route.Outlet, "detach", forgetful)


@bug("ends that come and go", "simulations")
def a_branch_that_is_detached_gets_more_items(monkeypatch):
    def keep(self, slots):
        for fork, branch in self._with(slots):
            fork.leaving.append(branch)

    monkeypatch.setattr(route.Outlet, "detach", keep)


@bug("ordered", "simulations")
def the_end_that_comes_last_is_the_end(monkeypatch):
    put = join.Interleave.put

    def as_they_come(self, link, frame):
        is_end = frame.end and put(self, link, frame)
        frame.end = int(bool(is_end))
        return [frame]

    monkeypatch.setattr(join.Interleave, "put", as_they_come)


@bug("zipped ends")
def a_relay_sends_the_items_of_the_end_with_it(monkeypatch):
    def as_it_is(self, frame, family):
        yield from self.way_out.send(frame)

    monkeypatch.setattr(actor.StageActor, "_relay", as_it_is)


@bug("counting")
def several_workers_count_what_enters_a_fork(monkeypatch):
    monkeypatch.setattr(_Planner, "_leads_to_turns", lambda self, node: False)


@bug("mixing")
def copies_are_mixed_inside_of_an_ordered_fork(monkeypatch):
    monkeypatch.setattr(_Planner, "_mixes", lambda self, node: False)


@bug("marking", "simulations")
def branches_in_one_process_share_the_items(monkeypatch):
    always = property(lambda self: True, lambda self, stays_here: None)
    monkeypatch.setattr(way_out.WayOutEnd, "_stays_here", always, raising=False)


@bug("crowded")
def a_process_sleeps_though_a_neighbour_got_something(monkeypatch):
    never = property(lambda self: False, lambda self, has_moved: None)
    monkeypatch.setattr(way_out.WayOutEnd, "_has_moved", never, raising=False)


# -- bugs that only a death brings to light --


@bug("deaths", "simulations")
def what_is_given_is_visible_before_it_is_committed(monkeypatch):
    commit = restartable.RestartableActor._commit

    def hasty(self):
        for sender in self._senders.values():
            sender.publish()
        commit(self)

    monkeypatch.setattr(restartable.RestartableActor, "_commit", hasty)


@bug("deaths", "simulations")
def what_is_given_is_visible_though_a_death_came_behind_the_commit(monkeypatch):
    resume = durable.DurableSender.resume

    def forgetful(self, position):
        head, _, _ = self._log.words()
        resume(self, head)
        self.position = self._published = head

    monkeypatch.setattr(durable.DurableSender, "resume", forgetful)


@bug("deaths", "simulations")
def a_commit_does_not_count_what_is_done(monkeypatch):
    given = restartable.RestartableActor._given
    monkeypatch.setattr(
        restartable.RestartableActor,
        "_given",
        lambda self, frame, family, part: given(self, frame, family, part._replace(taken=0)),
    )


@bug("deaths", "simulations")
def the_members_of_a_family_begin_anew(monkeypatch):
    monkeypatch.setattr(progress.Current, "members", property(lambda self: 0, lambda *_: None))


@bug("deaths", "simulations")
def finish_is_asked_again(monkeypatch):
    is_finished = property(lambda self: False, lambda *_: None)
    monkeypatch.setattr(progress.Current, "is_finished", is_finished)


@bug("deaths")
def ends_that_are_done_are_forgotten(monkeypatch):
    monkeypatch.setattr(way_in.WayInEnd, "resume", lambda self, ends: None)


@bug("deaths in order", "simulations")
def turns_begin_anew_after_a_death(monkeypatch):
    monkeypatch.setattr(route.Outlet, "resume", lambda self, turns: None)


@bug("deaths", "simulations")
def the_state_of_a_processor_is_lost(monkeypatch):
    monkeypatch.setattr(stage.Stage, "restore", lambda self, state: None)


@bug("deaths", "simulations")
def what_was_counted_is_lost(monkeypatch):
    counts = stage.Stage.counts.fget
    monkeypatch.setattr(stage.Stage, "counts", property(counts, lambda *_: None))


@bug("deaths", "simulations")
def a_sender_is_not_told_of_credit_whose_news_died(monkeypatch):
    def silent(self, position):
        self._is_open = True
        self._position = self._done = position
        _, self._taken, _ = self._log.words()

    monkeypatch.setattr(durable.DurableReceiver, "resume", silent)


@bug("deaths", "simulations")
def memory_is_given_back_that_is_not_done(monkeypatch):
    def hasty(self):
        self._log.free(self._position)

    monkeypatch.setattr(durable.DurableReceiver, "_free", hasty)


@bug("deaths", "simulations")
def a_frame_is_done_with_the_first_part_of_its_answer(monkeypatch):
    given = restartable.RestartableActor._given

    def all_at_once(self, frame, family, part):
        given(self, frame, family, part)
        if not (part.is_last or frame.end):
            self._complete(frame)
            self._commit()

    monkeypatch.setattr(restartable.RestartableActor, "_given", all_at_once)


# -- what finds them --

SOME = settings(
    max_examples=300,
    phases=[Phase.generate],
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
randoms = st.integers(0, 99).map(Random)


def ordered(join, random, first, second):
    check_ordered(join, random, first, second)


def zipped(join, random, sizes, in_turn):
    check_zip(join, random, sizes, in_turn=in_turn)


def simulator(pipeline, *, is_ordered=False, **how):
    """Hold what is promised in so many runs."""
    items = tuple(range(6))

    def find(most=40):
        keep_promises(pipeline, (items,), range(most), is_ordered=is_ordered, **how)

    return find


def deaths(pipeline, *, is_ordered=False):
    """Hold what is promised in so many runs in which workers die."""

    def find(most=150):
        graph, inline = run_inline(pipeline, (range(12),))
        for seed in range(most):
            simulation, runs = simulate_deaths(graph, seed, range(12), range(12))
            with explained(simulation, seed):
                for outputs, stats in runs:
                    check_outputs(outputs, inline, is_ordered=is_ordered)
                    hold("the totals are the same", stats.total == inline.stats.total)

    def find_by_any_error(*most):
        try:
            find(*most)
        except AccountError:
            raise
        except Exception as error:
            raise AssertionError from error

    return find_by_any_error


TESTED = ("credit", "families", "links", "ordered", "simulations", "zip")
"""What is a test of its own, too."""


def simulations():
    """Hold what is promised in some of the runs that CI makes so many of."""
    report = many(range(100), most_wrong=1)
    assert not report.wrong


PROPERTIES = {
    "credit": partial(run_state_machine_as_test, CreditRules, settings=SOME),
    "families": partial(run_state_machine_as_test, GrowingFamilies, settings=SOME),
    "links": partial(run_state_machine_as_test, OutletRules, settings=SOME),
    "ordered": SOME(given(ordered_joins, randoms, batches, batches)(ordered)),
    "simulations": simulations,
    "zip": SOME(given(zips, randoms, batches, st.booleans())(zipped)),
    "chain": simulator(Feed() >> Add(1) >> Add(2)),
    "balanced": simulator(Feed() >> Expand(0) % 3 & Join("ordered"), is_ordered=True),
    "meeting": simulator(Feed() >> Keep(1) * Pipe() * Add(2) & Join("zip")),
    "filtering": simulator(Feed() >> (Keep(0) >> Keep(1)) * Pipe() & Join("zip")),
    "ending": simulator(Feed() >> Add(1) % 2 & Tally(0)),
    "zipped ends": simulator(Feed() >> Tally(0) * Tally(1) & Join("zip") >> Add(1) % 2),
    "counting": simulator(Feed() >> Add(1) % 2 & Join() >> Add(1) % 2 & Join("ordered")),
    "mixing": simulator(
        Feed() >> (Add(0) * Add(9) & Add(1)) % 2 & Join("ordered"), is_ordered=True
    ),
    "ends that come and go": simulator(Feed() >> Add(1) % AUTO & Add(2) % AUTO),
    "marking": simulator(
        Feed() >> Processor(to_list) >> Mark() * Mark() & Processor(len), processes=1
    ),
    "crowded": simulator(Feed() >> Farewell(0) >> Add(1), processes=1),
    "deaths": deaths(Feed() >> Tally(0) >> (Keep(1) >> Add(2)) % 2 & Farewell(0) >> Add(0)),
    "deaths in order": deaths(Feed() >> Add(0) >> Add(1) % 2 & Join("ordered"), is_ordered=True),
}


@pytest.mark.parametrize(
    ("name", "found_by"), [(name, one) for name, (_, found_by) in BUGS.items() for one in found_by]
)
def test_a_planted_bug_is_found(name, found_by, monkeypatch):
    plant, _ = BUGS[name]
    plant(monkeypatch)

    with pytest.raises((AssertionError, AccountError)):
        PROPERTIES[found_by]()


@pytest.mark.parametrize("name", [name for name in PROPERTIES if name not in TESTED])
def test_nothing_is_found_where_nothing_was_planted(name):
    """Else a property would find all bugs, whatever it holds; some of the runs show that."""
    PROPERTIES[name](15)
