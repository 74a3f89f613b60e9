"""What a limited process may not do. Stops accidents, not attackers: a suite is code of your repository. Standard library only."""

from __future__ import annotations

import mmap
import os
import resource
import signal
import sys
from typing import Any, Final

CHILDREN_MAX: Final = 32
"""Processes that one script may start, all generations together."""

_STARTING: Final = frozenset({"os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"})
_CHANGING: Final = frozenset(
    {
        "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate",
        "os.utime", "shutil.copyfile", "shutil.move", "shutil.rmtree",
    }
)  # fmt: skip
_WRITE: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Guard:
    """An audit hook that counts child processes and keeps files as they are."""

    def __init__(self) -> None:
        # Shared with children, so that a tree of forks is counted as one.
        self._started = mmap.mmap(-1, 8)

    def install(self) -> None:
        """From now on, for ever."""
        sys.addaudithook(self._audit)

    def reset(self) -> None:
        """Before a script."""
        self._started[:] = bytes(8)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            # A descriptor that is open already (a pipe to a child) is no file that could change.
            if flags is not None and flags & _WRITE and path != os.devnull and not isinstance(path, int):
                raise PermissionError("scripts may not write files")
        elif event in _CHANGING:
            raise PermissionError("scripts may not change files")
        elif event in _STARTING:
            started = int.from_bytes(self._started[:], "little") + 1
            if started > CHILDREN_MAX:
                raise PermissionError(f"a script may start at most {CHILDREN_MAX} processes")
            self._started[:] = started.to_bytes(8, "little")


def limit(memory_bytes: int) -> None:
    """Bound memory, written files, core dumps and open files of this process and its children."""
    for which, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 256),
    ):
        _, hard = resource.getrlimit(which)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (bound, bound))


def alarm(seconds: float) -> None:
    """Let the kernel end this process after so long; 0: never mind.

    No Python code, and no C code of a pattern, can put that off by accident.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
