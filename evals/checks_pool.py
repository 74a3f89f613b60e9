"""A few limited processes that run checks, kept warm: starting one costs 30 ms, a check in it 0.2 ms."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import struct
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from promptship.evals.score import Check, Score, Scored, Unscored

WORKER: Final = Path(__file__).with_name("checks_worker.py")
GRACE_S: Final = 2.0
"""How much longer than its limit a check may take before the whole process group is killed from outside."""
START_S: Final = 20.0
"""A new process may need this long for its first answer on a busy machine."""


class _Process:
    """One limited process. Any doubt about its state ends it: the next check gets a new one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._fresh = True

    @classmethod
    async def start(cls, memory_bytes: int) -> _Process:
        # -I: no PYTHON* variables, no current directory on the path. The environment carries no secrets.
        environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-B", str(WORKER), str(memory_bytes),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            cwd=tempfile.gettempdir(), env=environment, start_new_session=True,
        )  # fmt: skip
        return cls(process)

    async def ask(self, check: Check, limit_s: float) -> Score:
        request = {"operation": check.operation, "arguments": dict(check.arguments), "limit_s": limit_s}
        frame = json.dumps(request).encode()
        patience_s = limit_s + (START_S if self._fresh else GRACE_S)
        try:
            async with asyncio.timeout(patience_s):
                answer = await self._exchange(struct.pack(">I", len(frame)) + frame)
        except TimeoutError:
            return Unscored(f"the check took longer than {limit_s:g} s")
        except (asyncio.IncompleteReadError, BrokenPipeError, ConnectionResetError):
            return Unscored(await self._epitaph(limit_s))
        self._fresh = False
        if "unscored" in answer:
            return Unscored(str(answer["unscored"]), str(answer["detail"]))
        return Scored(bool(answer["passed"]), float(answer["score"]), str(answer["reason"]))

    async def _exchange(self, frame: bytes) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:  # asked for PIPE above
            raise BrokenPipeError
        stdin.write(frame)
        await stdin.drain()
        length = struct.unpack(">I", await stdout.readexactly(4))[0]
        answer = json.loads(await stdout.readexactly(length))
        return dict(answer)

    async def _epitaph(self, limit_s: float) -> str:
        code = await self._process.wait()
        if code == -signal.SIGALRM:
            return f"the check took longer than {limit_s:g} s"
        return "the check ended its process" + (
            f" with signal {-code}" if code < 0 else f" with status {code}"
        )

    async def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


class ChecksPool:
    """`Checker` over at most `size` limited processes, started when needed. Use as an async context manager.

    `limit_s`: default time of one check. `memory_bytes`: address space of one process (numpy alone wants about 300 MB).
    """

    def __init__(self, size: int = 2, *, limit_s: float = 5.0, memory_bytes: int = 1 << 30) -> None:
        self._limit_s = limit_s
        self._memory_bytes = memory_bytes
        self._slots = asyncio.Semaphore(size)
        self._idle: list[_Process] = []
        self._all: set[_Process] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in list(self._all):
            await process.stop()
        self._all.clear()
        self._idle.clear()

    async def check(self, check: Check) -> Score:
        """Score of one check; a crash, a timeout or too much memory is `Unscored` and costs that process its life."""
        async with self._slots:
            process = self._idle.pop() if self._idle else await self._start()
            healthy = False
            try:
                score = await process.ask(check, check.limit_s or self._limit_s)
                # After an Unscored its memory or its modules may be in any state.
                healthy = isinstance(score, Scored)
                return score
            finally:
                if healthy:
                    self._idle.append(process)
                else:
                    self._all.discard(process)
                    await process.stop()

    async def _start(self) -> _Process:
        process = await _Process.start(self._memory_bytes)
        self._all.add(process)
        return process
