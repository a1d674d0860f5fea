"""The fork server of this process: started once, and given up where it has died.

That of the standard library would, depending on the version, run the user's script again if it is
preloaded. Ours preloads only the worker, and the installed packages that processors use.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, process, resource_tracker, util
from multiprocessing.forkserver import ForkServer
from typing import Any

from conveyor.engines.processes.descriptors import fill_standard_streams, identity, is_readable
from conveyor.engines.processes.imports import CALLER, MODULES
from conveyor.engines.processes.refused import no_folder, refused

PRELOAD = "conveyor.engines.processes.preload"
"""The module that only the fork server imports; its workers have it from there."""


class _Server(ForkServer):
    """A fork server to which Ctrl-C does not come while it starts.

    It inherits that the signal is blocked, and lets it in when it has learned to ignore it.
    """

    def ensure_running(self) -> None:
        """Start it, unless it runs."""
        fill_standard_streams()
        _reap()
        _find_a_folder_for_sockets()
        see_to_a_spec()
        # First, since the start of this one lets the signal in again.
        with _environment_of_helpers():
            _start_resource_tracker()
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                super().ensure_running()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        started: Any = self  # whose descriptor is private
        _note(started._forkserver_alive_fd, started._forkserver_pid)


def see_to_a_spec() -> None:
    """Let multiprocessing find what it looks for in ``__main__``, which a debugger may empty."""
    vars(sys.modules["__main__"]).setdefault("__spec__", None)


@contextmanager
def _environment_of_helpers() -> Generator[None, None, None]:
    """Let helpers find modules where we do, and not read from the terminal at their end.

    Ours is told who starts it, too.

    They are started with ``python -c``, which would look into the current folder before all others:
    a file of the user's there may have the name of a module of the standard library. Where Python
    ignores such variables (``-E``), it does.
    """
    path = [one for one in sys.path if isinstance(one, str) and os.pathsep not in one]
    wanted = {
        "PYTHONINSPECT": None,
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(path),
        CALLER: str(os.getpid()),
    }
    before = {name: os.environ.get(name) for name in wanted}
    _set(wanted)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


_noted: dict[int, tuple[int, tuple[int, int]]] = {}
"""What the descriptors refer to by which helpers know that we are there, and the process of each.
Who becomes a daemon closes whatever is open, and may open files of its own then."""


def _note(fd: int | None, pid: int | None) -> None:
    if fd is not None and pid is not None and _noted.get(fd, (0, ()))[0] != pid:
        _noted[fd] = pid, identity(fd)


def _is_taken(fd: int | None, pid: int | None) -> bool:
    """Whether the descriptor by which a helper knows that we are there is something else now."""
    if fd is None or _noted.get(fd, (0, ()))[0] != pid:
        return False
    try:
        return _noted[fd][1] != identity(fd)
    except OSError:
        return True


def _start_resource_tracker() -> None:
    """Start what multiprocessing clears up with, unless it runs, and let it be in no hurry.

    It would take the core on which the fork server is to start, and it has next to nothing to do.
    """
    tracker: Any = resource_tracker._resource_tracker
    if _is_taken(tracker._fd, tracker._pid):
        tracker._fd = tracker._pid = None
    is_ours = tracker._pid is None
    resource_tracker.ensure_running()
    _note(tracker._fd, tracker._pid)
    if is_ours and tracker._pid is not None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, tracker._pid, _LAST)


_LAST = 19
"""The niceness of who gets a core when nobody else wants it."""


_lock = threading.Lock()
_servers: dict[int, ForkServer] = {}
"""The fork server of each process, by its id: a bare os.fork() copies what is not its own."""


def _leave() -> None:
    """In a forked process: what another thread held is held by nobody here.

    Nor is the fork server of another one to live as long as this.
    """
    global _lock  # noqa: PLW0603 - nobody has another way to free it
    _lock = threading.Lock()
    tracker: Any = resource_tracker._resource_tracker
    tracker._lock = threading.RLock()
    while _servers:
        _let_go(_servers.popitem()[1])


def _let_go(server: ForkServer) -> None:
    """Close the descriptor by which a fork server knows that this process is there."""
    started: Any = server  # whose parts are private
    fd = started._forkserver_alive_fd
    if fd is not None and not _is_taken(fd, started._forkserver_pid):
        os.close(fd)


os.register_at_fork(after_in_child=_leave)


def fork_server() -> ForkServer:
    """The fork server of this process, which all pipelines share."""
    with _lock:
        server = _servers.get(os.getpid())
        if server is None:
            server = _Server()
            server.set_forkserver_preload([PRELOAD])
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
    except TimeoutError:
        raise
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


DEATH = (EOFError, ConnectionError, FileNotFoundError, ChildProcessError)
"""What talking to a fork server that has died, or is dying, raises."""


_buried: set[int] = set()
"""Fork servers that are given up, and may not have ended yet."""

_END_SECONDS = 1.0
"""How long one that is dying may take to be dead."""


def bury(server: ForkServer, error: Exception) -> None:
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
        _let_go(server)
        with suppress(OSError):
            os.unlink(dead._forkserver_address)  # noqa: PTH108 - pathlib is slow to import
        _buried.add(dead._forkserver_pid)
    if not isinstance(error, FileNotFoundError):
        wait_for(dead._forkserver_pid)
    _reap()


def wait_for(pid: int) -> None:
    """Wait until a fork server that is dying is dead; for a moment, since it may live."""
    with suppress(OSError):  # it has ended, and has been reaped
        pidfd = os.pidfd_open(pid)
        try:
            is_readable(pidfd, _END_SECONDS)
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
