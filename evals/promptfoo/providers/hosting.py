"""Long-lived processes that run the user's own providers, in the user's environment: they may use network and files.

That is not the sandbox of assertions: a provider has side effects on purpose. What it has is a deadline per call, a bound on what
it may answer, and a process of its own, which ends with the run.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from promptship.errors import Unavailable

HOST_FILES: Final = {"python": "python_host.py", "node": "node_host.js"}
ANSWER_BYTES_MAX: Final = 32_000_000
_END_S: Final = 2.0
"""How long a process may take to end by itself."""


class ProviderFailed(Exception):
    """The user's code raised, or gave something that is no answer; the message is its own."""


@dataclass(frozen=True, slots=True)
class Program:
    """What runs: an interpreter, a file, the directory it works in."""

    kind: str
    """`python` or `node`."""
    interpreter: str
    path: Path
    workdir: Path
    """Where the command was started: relative paths in the user's code mean that, as in promptfoo."""
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)


class Hosts:
    """The processes of one run, at most `workers` of each program; each serves one call at a time."""

    def __init__(self) -> None:
        self._pools: dict[Program, _Pool] = {}

    async def call(
        self, program: Program, function: str, arguments: Sequence[Any], *, timeout_s: float, workers: int = 1
    ) -> Any:
        """What the file's function returns, as JSON. The time a call waits for a free process counts, too.

        Raises:
            ProviderFailed: the function raised, or is not there.
            Unavailable: it took too long, or its process died.
        """
        request = {"function": function, "arguments": list(arguments)}
        return await self._pool(program, workers).call(request, timeout_s)

    async def identify(
        self,
        program: Program,
        function: str,
        options: Mapping[str, Any],
        *,
        timeout_s: float,
        workers: int = 1,
    ) -> str | None:
        """The name that a provider in JavaScript gives itself; None: none. Raises as `call`."""
        request = {"identify": True, "function": function, "arguments": [dict(options)]}
        return _name(await self._pool(program, workers).call(request, timeout_s))

    def _pool(self, program: Program, workers: int) -> _Pool:
        if program not in self._pools:
            self._pools[program] = _Pool(program, max(1, workers))
        return self._pools[program]

    async def aclose(self) -> None:
        """End every process."""
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.aclose()


class _Pool:
    def __init__(self, program: Program, size: int) -> None:
        self._program = program
        self._free = asyncio.Semaphore(size)
        self._idle: list[_Host] = []
        self._busy: set[_Host] = set()

    async def call(self, request: Mapping[str, Any], timeout_s: float) -> Any:
        name = self._program.path.name
        host: _Host | None = None
        try:
            async with asyncio.timeout(timeout_s), self._free:
                host = self._idle.pop() if self._idle else await _Host.started(self._program)
                self._busy.add(host)
                reply = await host.ask(request)
                self._idle.append(host)
                self._busy.discard(host)
                host = None
        except TimeoutError:
            raise Unavailable(f"provider {name} did not answer within {timeout_s:g} s") from None
        finally:
            if host is not None:  # late, dead, or cancelled in the middle of a call: it cannot be used again
                self._busy.discard(host)
                host.kill()
        if "error" in reply:
            raise ProviderFailed(str(reply["error"]))
        return reply.get("value")

    async def aclose(self) -> None:
        hosts, self._idle = [*self._idle, *self._busy], []
        for host in hosts:
            await host.aclose()


class _Host:
    """One process: a line of JSON in, a line of JSON out. What the code prints goes to standard error."""

    def __init__(
        self, process: asyncio.subprocess.Process, replies: asyncio.StreamReader, pipe: asyncio.ReadTransport
    ) -> None:
        self._process = process
        self._replies = replies
        self._pipe = pipe

    @classmethod
    async def started(cls, program: Program) -> _Host:
        readable, writable = os.pipe()
        host_file = Path(__file__).with_name(HOST_FILES[program.kind])
        try:
            process = await asyncio.create_subprocess_exec(
                program.interpreter, str(host_file), str(writable), str(program.path), cwd=program.workdir, env=dict(program.env),
                stdin=asyncio.subprocess.PIPE, stdout=_stderr(), pass_fds=(writable,), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            os.close(readable)
            raise Unavailable(
                f"provider {program.path.name}: {program.interpreter} does not start ({error.strerror})"
            ) from None
        finally:
            os.close(writable)
        replies = asyncio.StreamReader(limit=ANSWER_BYTES_MAX)
        loop = asyncio.get_running_loop()
        pipe, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(replies), os.fdopen(readable, "rb", 0)
        )
        return cls(process, replies, pipe)

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for a pipe
        try:
            self._process.stdin.write(json.dumps(request, default=str).encode() + b"\n")
            await self._process.stdin.drain()
            line = await self._replies.readline()
        except (ConnectionError, ValueError) as error:  # ValueError: the line is too long
            raise Unavailable(f"a provider's process: {error}") from None
        if not line:
            raise Unavailable("a provider's process ended without an answer")
        reply = json.loads(line, parse_constant=lambda _: None)
        return reply if isinstance(reply, dict) else {"error": "no answer"}

    def kill(self) -> None:
        """At once, with everything it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._pipe.close()

    async def aclose(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await self._process.wait()
        self.kill()
        await self._process.wait()


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _stderr() -> int | None:
    """What providers print is talk, not results."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return asyncio.subprocess.DEVNULL
