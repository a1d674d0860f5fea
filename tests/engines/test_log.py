"""The memory behind a durable channel: frames come out as they went in, whoever dies."""

from __future__ import annotations

import os
from collections import deque
from multiprocessing import Pipe

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from conveyor.engines.processes.durable import Bell, DurableReceiver, DurableSender
from conveyor.engines.processes.frames import frame_head, frame_of
from conveyor.engines.processes.journal import Journal, commits_in
from conveyor.engines.processes.log import RING, Log, create
from conveyor.engines.processes.poller import Poller
from conveyor.flow.batch import Frame
from conveyor.flow.credit import Credit
from conveyor.flow.route import LinkOut

KIB = 1 << 10
sizes = st.one_of(
    st.integers(0, 200), st.integers(0, 128 * KIB), st.sampled_from([100 * KIB, 400 * KIB, RING])
)


class Logs(RuleBasedStateMachine):
    """Both ends of a log; either may be made anew at any time, as after a death."""

    def __init__(self):
        super().__init__()
        self.fd = create("test-log")
        self.made = 0
        self.sender, self.receiver = self.end(), self.end()
        self.head = self.read = 0
        self.waiting: deque[tuple[Frame, int]] = deque()
        self.undone: deque[tuple[Frame, int]] = deque()

    def end(self):
        return Log(os.dup(self.fd))

    @rule(size=sizes, is_published=st.booleans())
    def send(self, size, is_published):
        self.made += 1
        frame = Frame((2 * self.made,), None, payload=bytes([self.made % 251]) * size, count=1)
        behind = self.sender.write(self.head, frame_head(frame), frame.payload)
        if is_published:  # what is not, is written over
            self.sender.publish(behind)
            self.head = behind
            self.waiting.append((frame, behind))

    @precondition(lambda self: self.waiting)
    @rule()
    def receive(self):
        frame, behind = self.waiting.popleft()
        assert self.same(frame, self.read) == behind
        self.undone.append((frame, self.read))
        self.read = behind

    def same(self, frame, position):
        entry = self.receiver.entry(position)
        got = frame_of(entry.address, entry.items, self.receiver.payload(entry))
        assert (got.path, got.count, got.payload) == (frame.path, 1, frame.payload)
        return entry.end

    @precondition(lambda self: self.undone)
    @rule()
    def complete(self):
        self.undone.popleft()
        done = self.undone[0][1] if self.undone else self.read
        self.receiver.take(done, 0.5)
        self.receiver.free(done)

    @rule()
    def lose_the_sender(self):
        self.sender.close()
        self.sender = self.end()

    @rule()
    def lose_the_receiver(self):
        self.receiver.close()
        self.receiver = self.end()
        for frame, position in self.undone:
            self.same(frame, position)

    @invariant()
    def the_words_are_what_was_told(self):
        assert self.sender.words()[0] == self.head

    def teardown(self):
        for one in (self.sender, self.receiver):
            one.close()
        os.close(self.fd)


TestLogs = Logs.TestCase
TestLogs.settings = settings(stateful_step_count=60)


def test_what_was_done_when_a_worker_died_has_its_credit_given_back_by_the_next():
    fd = create("test-log")
    upper, lower = Pipe()
    poller, credit, arrived = Poller(), Credit(), []
    sender = DurableSender(Log(os.dup(fd)), Bell(upper, poller), LinkOut(0, credit), publishes=True)
    receiver = DurableReceiver(
        Log(os.dup(fd)), Bell(lower, poller), channel=0, receive=arrived.append, keeps=True
    )
    behind = []
    for number in range(3):
        sender.send(Frame((number * 2,), None, payload=b"item", count=1))
        credit.send(1, 4)
        behind.append(sender.position)
    # The worker before had done the first, and died before it said so.
    receiver.resume(behind[0])
    while poller.wait(0):
        pass
    assert [frame.path for frame in arrived] == [(2,), (4,)]
    assert credit.in_flight == 2
    receiver.grant(0.5, "done")
    while poller.wait(0):
        pass
    assert (credit.in_flight, credit.service) == (1, 0.5)
    sender.close()
    receiver.close()
    os.close(fd)


def test_what_waits_is_not_written_over_however_much_that_is():
    fd = create("test-log")
    sender, receiver = Log(os.dup(fd)), Log(os.dup(fd))
    positions = [0]
    for number in range(40):
        frame = Frame((number,), None, payload=bytes([number]) * (100 * KIB), count=1)
        positions.append(sender.write(positions[-1], frame_head(frame), frame.payload))
    for number, position in enumerate(positions[:-1]):
        entry = receiver.entry(position)
        assert receiver.payload(entry) == bytes([number]) * (100 * KIB)
        assert entry.end == positions[number + 1]
    sender.close()
    receiver.close()
    os.close(fd)


@pytest.mark.parametrize("size", [20 * KIB, 100 * KIB, 3 * RING])
def test_memory_does_not_grow_with_what_was_sent(size):
    fd = create("test-log")
    sender, receiver = Log(os.dup(fd)), Log(os.dup(fd))
    position = 0
    for number in range(200):
        frame = Frame((number,), None, payload=bytes(size), count=1)
        behind = sender.write(position, frame_head(frame), frame.payload)
        sender.publish(behind)
        receiver.payload(receiver.entry(position))
        receiver.free(behind)
        position = behind
        assert os.fstat(fd).st_blocks * 512 <= 2 * RING
    sender.close()
    receiver.close()
    os.close(fd)


def test_a_journal_keeps_the_last_record_whatever_its_size():
    fd = create("test-journal")
    assert Journal(fd).load() is None
    for number, size in enumerate((10, 40 * KIB, 30 * KIB, RING, 5, 6), 1):
        record = bytes([number]) * size
        Journal(fd).save(record)
        assert Journal(fd).load() == record
        assert commits_in(fd) == number
    os.close(fd)
