from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import sys
from asyncio.subprocess import PIPE
from typing import Any

import pytest

from promptship.evals.checks_pool import WORKER, ChecksPool
from promptship.evals.score import Check, Scored, Unscored


def python(code: str, limit_s: float | None = None) -> Check:
    arguments: dict[str, Any] = {"code": code, "name": "<python>", "inline": True, "function": "get_assert"}
    arguments |= {"output": "out", "context": {"vars": {}}, "threshold": None}
    return Check(operation="python", arguments=arguments, limit_s=limit_s)


async def test_a_check_that_does_not_end_is_ended_and_the_next_one_works() -> None:
    async with ChecksPool(1) as pool:
        score = await pool.check(python("while True: pass\nreturn True", limit_s=0.2))
        assert score == Unscored("the check took longer than 0.2 s")
        assert isinstance(await pool.check(python("True")), Scored)


async def test_catastrophic_backtracking_is_unscored_not_a_hang() -> None:
    async with ChecksPool(1) as pool:
        check = Check(
            operation="regex", arguments={"pattern": r"^(a+)+$", "output": "a" * 40 + "b"}, limit_s=0.2
        )
        assert await pool.check(check) == Unscored("the check took longer than 0.2 s")


async def test_a_check_that_eats_memory_is_unscored() -> None:
    async with ChecksPool(1, memory_bytes=200_000_000) as pool:
        assert await pool.check(python("len('x' * 10**10)")) == Unscored(
            "the check needs more memory than it may have"
        )
        assert isinstance(await pool.check(python("True")), Scored)


async def test_a_check_that_kills_its_process_is_unscored() -> None:
    async with ChecksPool(1) as pool:
        score = await pool.check(python("import os\nos._exit(3)\nreturn True"))
        assert score == Unscored("the check ended its process with status 3")


async def test_checks_see_no_secret_write_no_file_and_print_to_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    async with ChecksPool(1) as pool:
        assert isinstance(
            await pool.check(python("import os\nreturn 'OPENAI_API_KEY' not in os.environ")), Scored
        )
        assert isinstance(await pool.check(python("print('{' * 1000)\nreturn True")), Scored)
        written = await pool.check(python("with open('f', 'w') as f:\n    f.write('x')\nreturn True"))
        assert written == Unscored("the check raised OSError at line 1", "[Errno 27] File too large")


async def test_checks_leave_nothing_to_the_next_check() -> None:
    async with ChecksPool(1) as pool:
        await pool.check(python("global left\nleft = 1\nreturn True"))
        assert await pool.check(python("'left' not in globals()")) == Scored(True, 1.0, "")


async def test_no_process_is_left_behind() -> None:
    async with ChecksPool(2) as pool:
        await asyncio.gather(*(pool.check(python("True")) for _ in range(6)))
        pids = [process._process.pid for process in pool._all]
        hanging = asyncio.create_task(pool.check(python("while True: pass\nreturn 1", limit_s=60)))
        await asyncio.sleep(0.05)
        hanging.cancel()
        await asyncio.wait([hanging])
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_the_kernel_ends_a_check_even_if_nobody_watches() -> None:
    """A run that was killed must not leave a check spinning for ever."""
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(WORKER), str(1 << 30), stdin=PIPE, stdout=PIPE
    )
    assert worker.stdin is not None
    request = {
        "operation": "python",
        "arguments": dict(python("while True: pass\nreturn 1").arguments),
        "limit_s": 0.1,
    }
    frame = json.dumps(request).encode()
    worker.stdin.write(struct.pack(">I", len(frame)) + frame)
    try:
        assert await asyncio.wait_for(worker.wait(), 10) == -signal.SIGALRM
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()
