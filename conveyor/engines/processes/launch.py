"""Starting workers: processes that do not run ``__main__``, on our fork server.

The standard library would have every worker run the user's script again. What ours are told about
the parent leaves that out, so scripts need no guard.
"""

from __future__ import annotations

import io
import os
import resource
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing import get_context, process, reduction, spawn, util
from multiprocessing.connection import Connection
from multiprocessing.context import set_spawning_popen
from multiprocessing.forkserver import ForkServer, read_signed
from multiprocessing.popen_forkserver import Popen
from pathlib import Path
from typing import Any

from conveyor.engines.processes.descriptors import close_all, identity, is_readable
from conveyor.engines.processes.fork_server import (
    DEATH,
    bury,
    fork_server,
    see_to_a_spec,
    wait_for,
)
from conveyor.engines.processes.interrupts import interrupts_held, interrupts_let_in
from conveyor.engines.processes.vitals import cpu_seconds

_lifelines: dict[int, tuple[int, int]] = {}
"""The descriptors by which workers know that this process is there, and what they refer to."""


def _leave() -> None:
    """In a forked process: no worker of another one is to live as long as this."""
    while _lifelines:
        fd, known = _lifelines.popitem()
        with suppress(OSError):  # somebody has closed it
            if identity(fd) == known:
                os.close(fd)


os.register_at_fork(after_in_child=_leave)


def _close(fds: Iterable[int]) -> None:
    """Close descriptors of a worker, its lifeline among them."""
    for fd in fds:
        _lifelines.pop(fd, None)
    close_all(fds)


class _Popen(Popen):
    """Starts a process on our fork server, without its ``__main__``."""

    _fds: list[int]

    def _launch(self, process_obj: Any) -> None:
        see_to_a_spec()
        told = spawn.get_preparation_data(process_obj.name)
        for key in ("init_main_from_path", "init_main_from_name"):
            told.pop(key, None)
        stream = io.BytesIO()
        set_spawning_popen(self)
        try:
            reduction.dump(told, stream)
            reduction.dump(process_obj, stream)
        finally:
            set_spawning_popen(None)
        server = fork_server()
        # Released whatever comes, Ctrl-C for one: what still looks at a stream keeps it open.
        with stream.getbuffer() as orders:
            try:
                self._begin(server, orders)
            except DEATH as error:
                bury(server, error)
                self._begin_anew(orders)

    def _begin_anew(self, orders: memoryview) -> None:
        """Have another fork server make the process."""
        server = fork_server()
        try:
            self._begin(server, orders)
        except DEATH as error:
            bury(server, error)
            raise

    def _begin(self, server: ForkServer, orders: memoryview) -> None:
        """Have the fork server make the process. One that it made in vain ends by itself."""
        fds: list[int] = []
        with interrupts_held():
            try:
                self.sentinel, writer = server.connect_to_new_process(self._fds)
                fds.append(self.sentinel)
                with os.fdopen(writer, "wb") as file:
                    # The worker's `parent_process()` watches the other end of this.
                    self.lifeline = os.dup(writer)
                    fds.append(self.lifeline)
                    _lifelines[self.lifeline] = identity(writer)
                    file.write(orders)
                with interrupts_let_in():  # there may be much to import in the server first
                    is_readable(self.sentinel, None)
                self.pid = read_signed(self.sentinel)
            except BaseException:
                _close(fds)
                raise
            started: Any = server  # whose process id is private
            self.server: int = started._forkserver_pid
            self.finalizer = util.Finalize(self, _close, (tuple(fds),))


_Usual = get_context("forkserver").Process


class _Process(_Usual):  # type: ignore[misc,valid-type]
    """A process on our fork server."""

    def __reduce__(self) -> tuple[Any, ...]:
        """In the worker it is one as usual: this module is not imported there."""
        return object.__new__, (_Usual,), self.__dict__

    @staticmethod
    def _Popen(process_obj: Any) -> _Popen:  # noqa: N802
        return _Popen(process_obj)


_UNKNOWN = 255


def _is_there(pidfd: int) -> bool:
    """Whether a process is there, if only as a zombie."""
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except OSError:
        return False
    return True


class WorkerProcess:
    """A worker process, known by its pidfd: signals never reach a stranger.

    Args:
        target: what it runs: a function of a module, given its control connection.
        name: the name of the process.
        control: the worker's end of the control connection; closed here once it is there.
    """

    def __init__(
        self, target: Callable[[Connection], None], name: str, control: Connection
    ) -> None:
        # Python asserts that a daemon has no children; the flag is not inherited this way,
        # so that a processor may run a pipeline of its own.
        self._process = _Process(target=target, args=(control,), name=name, daemon=False)
        try:
            self._process.start()
        finally:
            control.close()
        # Not one of multiprocessing's children, which it would wait for at exit.
        process._children.discard(self._process)  # type: ignore[attr-defined]
        assert self._process.pid is not None
        self.pid: int = self._process.pid
        self.fd: int
        try:
            self.fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            # It is gone already. Its sentinel is readable at its end, too.
            self.fd = os.dup(self._process.sentinel)
        except BaseException:
            self._process.kill()
            self._process.join()
            self._process.close()
            raise

    def let_open(self) -> None:
        """Let the process have as many descriptors as this one: the fork server may be older."""
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        with suppress(OSError, ValueError):  # it has ended; or may not have more
            resource.prlimit(self.pid, resource.RLIMIT_NOFILE, limits)

    def send_signal(self, number: int) -> None:
        """Send a signal, if the process is still there."""
        with suppress(OSError):
            signal.pidfd_send_signal(self.fd, number)

    def kill(self) -> None:
        """End the process at once, if it is still there."""
        try:
            signal.pidfd_send_signal(self.fd, signal.SIGKILL)
        except PermissionError:
            # This process has given up its privileges. The worker is killed, too, where it thinks
            # that its parent is gone.
            process: Any = self._process  # whose popen is private
            with Path(os.devnull).open("rb") as nothing:
                os.dup2(nothing.fileno(), process._popen.lifeline, inheritable=False)
        except OSError:
            pass

    def wait(self, seconds: float | None) -> bool:
        """Whether the process has ended; waits for that up to so long."""
        return is_readable(self.fd, seconds)

    def exitcode(self) -> int | None:
        """The exit code of a process that has ended, or None where the fork server is gone."""
        self._process.join(1)
        code = self._process.exitcode
        # What the standard library says where the fork server died before the worker.
        return None if code == _UNKNOWN else code

    def _reap(self) -> None:
        """Where the fork server was killed and this process is init, the worker is ours to reap.

        A process that dies closes its pipes a moment before others inherit its children. So the
        end of the fork server is waited for where it is not over.
        """
        process: Any = self._process  # whose popen is private
        if _is_there(self.fd):
            wait_for(process._popen.server)
        with suppress(OSError):  # the fork server has reaped it, or another init will
            os.waitid(os.P_PIDFD, self.fd, os.WEXITED | os.WNOHANG)

    def cpu_seconds(self) -> float | None:
        """For how many seconds it has had a core up to now; None where it has ended."""
        return cpu_seconds(self.pid)

    def close(self) -> None:
        """Forget the process, which has ended."""
        try:
            self._process.join(1)
            if self._process.exitcode == _UNKNOWN:
                self._reap()
        finally:
            os.close(self.fd)
            with suppress(ValueError):  # the fork server has not told yet how it ended
                self._process.close()
            # Freed now: multiprocessing keeps a weak set of these, which fails while the
            # interpreter is torn down.
            del self._process
