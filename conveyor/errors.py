"""Every exception and warning of the library. Imports nothing of ours."""

from __future__ import annotations


class ConveyorError(Exception):
    """Base class of all errors that Conveyor raises."""


class ConstructionError(ConveyorError, TypeError):
    """An expression breaks a construction rule.

    Attributes:
        rule: the code of the first broken rule, such as ``"join"``.
        rules: the codes of all broken rules, in the order of the message.
    """

    def __init__(self, message: str, rules: tuple[str, ...] = ("element-type",)) -> None:
        super().__init__(message, rules)
        self.rules = rules
        self.rule = rules[0]

    def __str__(self) -> str:
        return str(self.args[0])


class UsageError(ConveyorError, TypeError):
    """A call was made with arguments that do not fit, such as ``run()`` without items."""


class GraphError(ConveyorError, ValueError):
    """A graph breaks a structural rule.

    Attributes:
        problems: one sentence for each broken rule.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "this graph is not sound:\n" + "\n".join(f"  {line}" for line in self.problems)


class StageError(ConveyorError):
    """A processor raised.

    ``__cause__`` is the original exception where it can travel between processes.

    Attributes:
        stage: the id of the node, such as ``"parse"`` or ``"parse.2"``.
        item: a short repr of the item that was being processed, or None outside of an item
            (in ``setup``, ``finish`` or ``teardown``).
        reason: the type and text of the original exception.
        worker_traceback: the traceback in the worker, as text.
    """

    def __init__(self, stage: str, item: str | None, reason: str, worker_traceback: str) -> None:
        super().__init__(stage, item, reason, worker_traceback)
        self.stage = stage
        self.item = item
        self.reason = reason
        self.worker_traceback = worker_traceback

    def __str__(self) -> str:
        at = "" if self.item is None else f" on item {self.item}"
        text = f"stage {self.stage!r} failed{at}: {self.reason}"
        if self.worker_traceback:
            text += "\n\n" + self.worker_traceback.rstrip()
        return text


class WorkerDied(ConveyorError):
    """A worker process ended without saying so: killed, out of memory, segfault, ``os._exit``.

    Attributes:
        stage: the id of the node that the worker was running.
        exitcode: the exit code of the process; minus the number of the signal that ended it;
            None where it is unknown.
        item: a short repr of the item that was being processed, or None where there was none. Of
            very many cheap items some are named, of which it is one. What a neighbour in the same
            process handed over, and is large or no plain value, is known by its number in its
            batch.
    """

    def __init__(self, stage: str, exitcode: int | None, item: str | None, how: str) -> None:
        super().__init__(stage, exitcode, item, how)
        self.stage = stage
        self.exitcode = exitcode
        self.item = item
        self.how = how

    def __str__(self) -> str:
        at = "" if self.item is None else f" on item {self.item}"
        return f"the worker of stage {self.stage!r} died{at}: {self.how}"


class StageTimeout(ConveyorError):
    """One item took longer than ``options(timeout=seconds)`` allows.

    Attributes:
        stage: the id of the node.
        item: a short repr of the item; None for a source, which took too long to make one.
        timeout: the limit, in seconds.
    """

    def __init__(self, stage: str, item: str | None, timeout: float, hint: str = "") -> None:
        super().__init__(stage, item, timeout, hint)
        self.stage = stage
        self.item = item
        self.timeout = timeout
        self.hint = hint

    def __str__(self) -> str:
        what = "to make an item" if self.item is None else f"on item {self.item}"
        text = f"stage {self.stage!r} took longer than {self.timeout:g} s {what}"
        return f"{text}\n  {self.hint}" if self.hint else text


class NotPicklable(ConveyorError, TypeError):
    """A processor or an item can't travel between processes.

    Attributes:
        stage: the id of the node.
        item: a short repr of the item, or None where the processor itself is meant.
        where: the path to what can't be pickled, such as ``"self.lock"`` or ``"item['file']"``.
        reason: the text of the original error.
    """

    def __init__(
        self, stage: str, item: str | None, where: str, reason: str, hint: str = ""
    ) -> None:
        super().__init__(stage, item, where, reason, hint)
        self.stage = stage
        self.item = item
        self.where = where
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        if self.item is None:
            what = f"the processor of stage {self.stage!r} can't be sent to its worker"
        else:
            what = f"stage {self.stage!r}: the item {self.item} can't be sent between processes"
        text = f"{what}: {self.where}: {self.reason}"
        return f"{text}\n  {self.hint}" if self.hint else text


class JoinError(ConveyorError):
    """A zip join was given two outputs for one item by one branch.

    Attributes:
        stage: the id of the join.
        branch: the id of the last node of the branch that gave too many.
        item: a short repr of the second output.
    """

    def __init__(self, stage: str, branch: str, item: str) -> None:
        super().__init__(stage, branch, item)
        self.stage = stage
        self.branch = branch
        self.item = item

    def __str__(self) -> str:
        return (
            f"{self.stage!r} takes one output per item from each branch, but the branch of "
            f"{self.branch!r} gave a second one: {self.item}\n"
            '  join with "ordered" or "interleave", or let that branch give one list per item'
        )


class TooManyFailures(ConveyorError):
    """More items failed than ``run(max_failures=...)`` allows.

    ``__cause__`` is the last error.

    Attributes:
        failures: how many items failed for good, in all stages.
        items: how many items had gone into the run.
        max_failures: the limit: a count, or a share of the items.
        last: the text of the last error.
    """

    def __init__(self, failures: int, items: int, max_failures: float, last: str) -> None:
        super().__init__(failures, items, max_failures, last)
        self.failures = failures
        self.items = items
        self.max_failures = max_failures
        self.last = last

    def __str__(self) -> str:
        return (
            f"{self.failures} of {self.items} items failed, more than "
            f"max_failures={self.max_failures} allows; the last: {self.last}"
        )


class Stalled(ConveyorError):
    """A run stood still for longer than ``run(stalled=seconds)`` allows.

    No item moved, and no worker with something in work computed, though there was work to do. The
    message says who waits for whom, and has the stack of each worker.

    Attributes:
        stage: the id of the node that the others wait for; of several, that which has been at work
            for longest; None where each waits for another one.
        item: a short repr of the item that it has in work; None where it has none, or that is not
            known.
        stalled: the limit, in seconds.
        report: who waits for whom: a line for each worker, and their stacks.
    """

    def __init__(self, stage: str | None, item: str | None, stalled: float, report: str) -> None:
        super().__init__(stage, item, stalled, report)
        self.stage = stage
        self.item = item
        self.stalled = stalled
        self.report = report

    def __str__(self) -> str:
        at = "" if self.stage is None else f" at stage {self.stage!r}"
        on = "" if self.item is None else f" on item {self.item}"
        return (
            f"the run has stood still{at}{on} for {self.stalled:g} s: nothing moved, and no "
            f"worker computed\n{self.report}"
        )


class ResourceError(ConveyorError):
    """The system refuses what a run needs: file descriptors, memory, processes, or a folder.

    ``__cause__`` is what the system said, where that has not come from a worker.

    Attributes:
        what: what can't be done.
        reason: what the system said.
    """

    def __init__(self, what: str, reason: str, hint: str = "") -> None:
        super().__init__(what, reason, hint)
        self.what = what
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.what}: {self.reason}"
        return f"{text}\n  {self.hint}" if self.hint else text


class AccountError(ConveyorError):
    """Items were lost or doubled: a bug in Conveyor, never in a pipeline.

    Attributes:
        problems: one sentence for each account that does not add up.
        table: the account of the run.
    """

    def __init__(self, problems: tuple[str, ...], table: str) -> None:
        super().__init__(problems, table)
        self.problems = problems
        self.table = table

    def __str__(self) -> str:
        found = "\n".join(f"  {line}" for line in self.problems)
        return (
            f"the items of this run do not add up:\n{found}\n"
            "This is a bug in Conveyor, and the outputs can't be trusted. Please report it, with "
            "this message, the pipeline's expression, and how it was run.\n"
            f"{self.table}"
        )


class ImplicitPipeWarning(UserWarning):
    """A pipe was missing in an explicit ``Pipeline(...)`` and has been inserted."""
