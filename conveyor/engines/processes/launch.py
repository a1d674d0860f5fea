"""Starting workers: a fork server of our own, and processes that do not run ``__main__``.

The fork server of the standard library would, depending on the version, run the user's script
again: in the server, if it is preloaded, and in every worker. So ours preloads only the worker and
the installed packages that processors use, and what a worker is told about the parent leaves
``__main__`` out. Scripts need no guard.
"""

from __future__ import annotations

import io
import os
import resource
import select
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from multiprocessing import (
    forkserver,
    get_context,
    process,
    reduction,
    resource_tracker,
    spawn,
    util,
)
from multiprocessing.connection import Connection
from multiprocessing.context import set_spawning_popen
from multiprocessing.forkserver import ForkServer, read_signed
from multiprocessing.popen_forkserver import Popen
from pathlib import Path
from typing import Any

from conveyor.engines.processes.descriptors import close_all, fill_standard_streams
from conveyor.engines.processes.imports import MODULES
from conveyor.engines.processes.interrupts import interrupts_held, interrupts_let_in
from conveyor.engines.processes.refused import no_folder, refused
from conveyor.engines.processes.vitals import cpu_seconds

_PRELOAD = ["conveyor.engines.processes.preload"]


class _Server(ForkServer):
    """A fork server to which Ctrl-C does not come while it starts.

    It inherits that the signal is blocked, and lets it in when it has learned to ignore it.
    """

    def ensure_running(self) -> None:
        """Start it, unless it runs."""
        fill_standard_streams()
        _reap()
        _find_a_folder_for_sockets()
        _see_to_a_spec()
        # First, since the start of this one lets the signal in again.
        with _not_interactive():
            _start_resource_tracker()
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                super().ensure_running()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        started: Any = self  # whose descriptor is private
        _note(started._forkserver_alive_fd)


def _see_to_a_spec() -> None:
    """Let multiprocessing find what it looks for in ``__main__``, which a debugger may empty."""
    vars(sys.modules["__main__"]).setdefault("__spec__", None)


@contextmanager
def _not_interactive() -> Generator[None, None, None]:
    """Start helpers that do not read from the terminal at their end, whatever this process does."""
    before = os.environ.pop(_INTERACTIVE, None)
    try:
        yield
    finally:
        if before is not None:
            os.environ[_INTERACTIVE] = before


_INTERACTIVE = "PYTHONINSPECT"


_noted: dict[int, tuple[int, int]] = {}
"""What our descriptors that stay refer to. Who becomes a daemon closes whatever is open, and may
open files of its own then."""


def _note(fd: int | None) -> None:
    if fd is not None and fd not in _noted:
        _noted[fd] = _identity(fd)


def _is_ours(fd: int | None) -> bool:
    """Whether a descriptor is still what it was when it was noted."""
    try:
        return fd in _noted and _noted[fd] == _identity(fd)
    except OSError:
        return False


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def _start_resource_tracker() -> None:
    """Start what multiprocessing clears up with, unless it runs, and let it be in no hurry.

    It would take the core on which the fork server is to start, and it has next to nothing to do.
    """
    tracker: Any = resource_tracker._resource_tracker
    if tracker._fd in _noted and not _is_ours(tracker._fd):
        del _noted[tracker._fd]
        tracker._fd = tracker._pid = None
    is_ours = tracker._pid is None
    resource_tracker.ensure_running()
    _note(tracker._fd)
    if is_ours and tracker._pid is not None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, tracker._pid, _LAST)


_LAST = 19
"""The niceness of who gets a core when nobody else wants it."""


_lock = threading.Lock()
_servers: dict[int, ForkServer] = {}
"""The fork server of each process, by its id: a bare os.fork() copies what is not its own."""


def _leave() -> None:
    """In a forked process: what another thread held is held by nobody here."""
    global _lock  # noqa: PLW0603 - nobody has another way to free it
    _lock = threading.Lock()
    tracker: Any = resource_tracker._resource_tracker
    tracker._lock = threading.RLock()


os.register_at_fork(after_in_child=_leave)


def fork_server() -> ForkServer:
    """The fork server of this process, which all pipelines share."""
    with _lock:
        server = _servers.get(os.getpid())
        if server is None:
            server = _Server()
            server.set_forkserver_preload(_PRELOAD)
            _servers[os.getpid()] = server
        return server


def start_fork_server(modules: Callable[[], Iterable[str]]) -> None:
    """Start the fork server, if there is none yet; it imports these modules, where it can.

    Raises:
        ResourceError: the system refuses that.
    """
    if os.getpid() in _servers:
        return
    server = fork_server()
    os.environ[MODULES] = " ".join(modules())
    try:
        server.ensure_running()
    except (OSError, MemoryError) as error:
        raise refused("workers can't be started", error) from error
    finally:
        os.environ.pop(MODULES, None)


def kept_descriptors() -> set[int]:
    """The descriptors that stay as long as this process: to fork servers and resource tracker."""
    servers: list[Any] = [*_servers.values(), forkserver._forkserver]
    tracker: Any = resource_tracker._resource_tracker
    fds = [*(server._forkserver_alive_fd for server in servers), tracker._fd]
    return {fd for fd in fds if fd is not None}


_SOCKET, _ITS_FOLDERS = 107, 32
"""The most bytes in the path of a socket, and how many of them multiprocessing needs."""


def _find_a_folder_for_sockets() -> None:
    """See to it that multiprocessing has a folder for its sockets.

    It makes one for all of them, in the folder for temporary files, when it first needs it; and
    does not notice that it is gone, as some systems clear away what is old. Where the folder for
    temporary files has too long a path for a socket, or takes no files any more, take another one.

    Raises:
        ResourceError: there is none.
    """
    told: Any = process.current_process()
    with _lock:  # for what tempfile has found is the same for all threads
        if os.path.isdir(told._config.get("tempdir") or ""):  # noqa: PTH112
            return
        told._config["tempdir"] = None
        try:
            found = tempfile.gettempdir()
            before = tempfile.tempdir
            try:
                if len(os.fsencode(found)) + _ITS_FOLDERS > _SOCKET:
                    tempfile.tempdir = "/var/tmp"
                try:
                    util.get_temp_dir()
                except OSError:
                    tempfile.tempdir = None  # it is looked for anew
                    util.get_temp_dir()
            finally:
                tempfile.tempdir = before
        except OSError as error:
            raise no_folder(error) from error


_DEATH = (EOFError, ConnectionError, FileNotFoundError, ChildProcessError)
"""What talking to a fork server that has died, or is dying, raises."""


_buried: set[int] = set()
"""Fork servers that are given up, and may not have ended yet."""

_END_SECONDS = 1.0
"""How long one that is dying may take to be dead."""


def _bury(server: ForkServer, error: Exception) -> None:
    """Forget a fork server that has died, and leave neither a zombie nor a descriptor of it.

    It may live: where its socket has been removed, nobody can reach it, and it ends by itself with
    the last of its workers.

    Args:
        server: the fork server.
        error: what talking to it raised.
    """
    with _lock:
        if _servers.get(os.getpid()) is not server:
            return  # another thread has been here
        del _servers[os.getpid()]
        dead: Any = server  # whose parts are private
        if _is_ours(dead._forkserver_alive_fd):
            os.close(dead._forkserver_alive_fd)
        _noted.pop(dead._forkserver_alive_fd, None)
        with suppress(OSError):
            Path(dead._forkserver_address).unlink()
        _buried.add(dead._forkserver_pid)
    if not isinstance(error, FileNotFoundError):
        _wait_for(dead._forkserver_pid)
    _reap()


def _wait_for(pid: int) -> None:
    """Wait until a fork server that is dying is dead; for a moment, since it may live."""
    with suppress(OSError):  # it has ended, and has been reaped
        pidfd = os.pidfd_open(pid)
        try:
            _ends(pidfd, _END_SECONDS)
        finally:
            os.close(pidfd)


def _reap() -> None:
    """Leave no zombie of a fork server that was given up and has ended."""
    for pid in list(_buried):
        if _is_reaped(pid):
            _buried.discard(pid)


def _is_reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # it is no child of this process, which was forked
        return True


class _Popen(Popen):
    """Starts a process on our fork server, without its ``__main__``."""

    _fds: list[int]

    def _launch(self, process_obj: Any) -> None:
        _see_to_a_spec()
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
            except _DEATH as error:
                _bury(server, error)
                self._begin_anew(orders)

    def _begin_anew(self, orders: memoryview) -> None:
        """Have another fork server make the process."""
        server = fork_server()
        try:
            self._begin(server, orders)
        except _DEATH as error:
            _bury(server, error)
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
                    file.write(orders)
                with interrupts_let_in():  # there may be much to import in the server first
                    _ends(self.sentinel, None)
                self.pid = read_signed(self.sentinel)
            except BaseException:
                close_all(fds)
                raise
            started: Any = server  # whose process id is private
            self.server: int = started._forkserver_pid
            self.finalizer = util.Finalize(self, close_all, (tuple(fds),))


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


def _ends(pidfd: int, seconds: float | None) -> bool:
    """Whether a process has ended, or something can be read; waits for that up to so long."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else max(0, seconds * 1000)))


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
        self.name = name
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
        return _ends(self.fd, seconds)

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
            _wait_for(process._popen.server)
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
