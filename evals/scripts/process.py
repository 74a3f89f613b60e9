"""One limited process, seen from outside: started, asked through a socket, killed with everything it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import promptship
from promptship.evals.scripts import frames

_PACKAGES: Final = str(Path(promptship.__file__).parents[1])
# Any Python must do, also one that promptship is not installed for; afterwards its packages are its own.
_PROGRAM: Final = "import sys; sys.path.insert(0, sys.argv[2]); from promptship.evals.scripts.worker import main; del sys.path[0]; main()"

Answered = Callable[["WorkerProcess", int, int, bytes], None]
"""A process answered a request: its number, status and body."""
Lost = Callable[["WorkerProcess", int], None]
"""A process ended, with this status; negative: by that signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """How processes are started."""

    memory_bytes: int
    environment: Mapping[str, str] = field(default_factory=dict)
    """Names beyond the few that every process gets."""
    python: str = sys.executable

    @property
    def whole_environment(self) -> dict[str, str]:
        """Without secrets, unless they were named."""
        return {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            **self.environment,
        }


class WorkerProcess(asyncio.Protocol):
    """A process and the socket to it. Whatever is wrong with what it says ends it."""

    def __init__(self, answered: Answered, lost: Lost) -> None:
        self._answered = answered
        self._lost = lost
        self._buffer = bytearray()
        self._process: Process | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._watching: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self.overdue = False
        """It was killed because it did not answer in time."""
        self.fresh = True
        """It has not answered yet: it is still starting."""

    @classmethod
    async def start(cls, sandbox: Sandbox, answered: Answered, lost: Lost) -> WorkerProcess:
        """A new process in a group of its own. Raises OSError when there is no such Python."""
        worker = cls(answered, lost)
        ours, theirs = socket.socketpair()
        try:
            # -I: no PYTHON* variables, no current directory on the path. -B: no compiled files.
            worker._process = await asyncio.create_subprocess_exec(
                sandbox.python, "-I", "-B", "-c", _PROGRAM, str(sandbox.memory_bytes), _PACKAGES,
                stdin=theirs.fileno(), stdout=DEVNULL, stderr=DEVNULL, cwd="/", env=sandbox.whole_environment, start_new_session=True,
            )  # fmt: skip
            ours.setblocking(False)
            await asyncio.get_running_loop().create_connection(lambda: worker, sock=ours)
            worker._watching = asyncio.get_running_loop().create_task(worker._watch())
        except BaseException:
            ours.close()
            worker.kill()
            raise
        finally:
            theirs.close()
        return worker

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""
        return 0 if self._process is None else self._process.pid

    def send(self, data: bytes) -> None:
        """Requests; never blocks."""
        if self._transport is not None:
            self._transport.write(data)

    def kill(self) -> None:
        """End the process and everything that it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """End it, and wait until it is gone."""
        self.kill()
        if self._transport is not None:
            self._transport.close()
        if self._process is not None:
            await self._process.wait()
        if self._watching is not None:
            await self._watching
        if self._ending is not None:
            await self._ending

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        # A socket's; uvloop's is no subclass.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Answers, maybe in pieces."""
        self._buffer += data
        try:
            for number, status, body in frames.answers(self._buffer):
                self.fresh = False
                self._answered(self, number, status, body)
        except (ValueError, LookupError):
            self._buffer.clear()
            self.kill()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The process ended, or closed its side: then it is ended."""
        self._ending = asyncio.get_running_loop().create_task(self._end())

    async def _watch(self) -> None:
        # A child that a script forked may hold the socket open longer than the process lives.
        if self._process is not None:
            await self._process.wait()
            self.kill()

    async def _end(self) -> None:
        # Its own signal is the better epitaph; a process that only closed the socket gets a moment, then ours.
        process = self._process
        if process is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.5)
        self.kill()
        self._lost(self, await process.wait())
