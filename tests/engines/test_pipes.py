"""The ends of a channel, on a real pipe: frames arrive whole, and credit goes back."""

from __future__ import annotations

from contextlib import contextmanager
from multiprocessing import Pipe

from hypothesis import given
from hypothesis import strategies as st

from conveyor.engines.processes.channel import FrameReceiver, FrameSender, Poller
from conveyor.flow.batch import Frame, Scope
from conveyor.flow.credit import FRAMES, Credit
from conveyor.flow.route import LinkOut

SIZES = (0, 1, 100, 8 << 10, 40 << 10, (128 << 10) - 1, 130 << 10, 300 << 10)
"""Below, at and above what is read at once, and what is read straight to its place."""


@contextmanager
def channel(frames=FRAMES):
    """A sender, its credit, a receiver, what has arrived there, and a function that lets it."""
    upper, lower = Pipe()
    poller, arrived = Poller(), []
    leaf = LinkOut(0, Credit(frames=frames))
    sender = FrameSender(upper, poller, leaf)
    receiver = FrameReceiver(lower, poller, arrived.append)

    def deliver():
        while poller.wait(0):
            pass

    try:
        yield sender, leaf.credit, receiver, arrived, deliver
    finally:
        sender.close()
        receiver.close()


def frame_of(number, size):
    payload = bytes([number % 256]) * size
    scopes = (Scope(1, number, origins=[0] * number),) if number % 2 else ()
    return Frame((number * 2,), None, scopes=scopes, count=size, payload=payload or None)


def told(frame):
    return frame.path, frame.scopes, frame.count, bytes(frame.payload or b"")


@given(st.lists(st.tuples(st.sampled_from(SIZES), st.booleans()), max_size=12))
def test_frames_arrive_whole_and_in_order_whatever_their_size(plan):
    with channel() as (sender, _, _, arrived, deliver):
        frames = [frame_of(number, size) for number, (size, _) in enumerate(plan)]
        for frame, (_, at_once) in zip(frames, plan, strict=True):
            sender.send(frame)
            if at_once:
                deliver()
        deliver()
        assert list(map(told, arrived)) == list(map(told, frames))


def send(sender, credit, frames):
    for number in range(frames):
        sender.send(frame_of(number, 1))
        credit.send(1, 1)


@given(st.lists(st.integers(1, FRAMES), min_size=1, max_size=5))
def test_a_branch_that_takes_the_last_frame_that_waits_has_given_all_its_credit_back(bursts):
    with channel() as (sender, credit, receiver, arrived, deliver):
        for frames in bursts:
            send(sender, credit, frames)
            deliver()
            for _ in range(frames):
                assert credit.in_flight > 0
                receiver.grant(0.001, "last")
                deliver()
            assert credit.in_flight == 0
        assert len(arrived) == sum(bursts)


def test_while_others_wait_two_credits_go_back_together():
    with channel() as (sender, credit, receiver, _, deliver):
        send(sender, credit, FRAMES)
        deliver()
        on_the_link = []
        for _ in range(FRAMES):
            receiver.grant(0.001, "last")
            deliver()
            on_the_link.append(credit.in_flight)
        assert on_the_link == [4, 2, 2, 0]
        assert credit.service > 0
