"""The limits of scripts, with real processes: whatever a script does, the next one works."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from promptship.evals.scripts.pool import ScriptPool
from promptship.evals.services import Script, ScriptFailed
from tests.support.scripts import JAVASCRIPT, PYTHON, failure, inline

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

LONG = "the script took longer than 0.15 s"
MEMORY = "the script needs more memory than it may have"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[ScriptPool]:
    async with ScriptPool(1) as scripts:
        yield scripts


ENDLESS = [
    inline(JAVASCRIPT, "for (;;) {}\nreturn 1"),
    inline(JAVASCRIPT, "try {\nwhile (true) {} } catch { return 1 }"),
    inline(JAVASCRIPT, "function f() { try { for (;;) {} } finally { return 1 } }\nreturn f()"),
    inline(JAVASCRIPT, "(async () => { while (true) await null })()"),
    inline(JAVASCRIPT, "new Promise((done) => setTimeout(done, 1e6))"),
    inline(JAVASCRIPT, "new Promise(() => setInterval(() => 0, 1))"),
    inline(JAVASCRIPT, "/^(a+)+$/.test('a'.repeat(40) + 'b')"),
    inline(JAVASCRIPT, "Array.prototype.indexOf.call({length: 2 ** 53 - 1}, 1)"),
    # The engine looks at its clock too rarely here: the kernel ends the process.
    inline(JAVASCRIPT, "const s = 'a'.repeat(1e7); let n = 0;\nfor (;;) n += s.indexOf('b')"),
    inline(JAVASCRIPT, "({toJSON() { for (;;) {} }})"),
    inline(PYTHON, "while True: pass\nreturn 1"),
    inline(PYTHON, "import re\nreturn bool(re.match(r'^(a+)+$', 'a' * 40 + 'b'))"),
    inline(PYTHON, "while True:\n    try:\n        while True: pass\n    except BaseException: pass"),
    inline(PYTHON, "import asyncio\nawait asyncio.sleep(1000)"),
    inline(PYTHON, "import time\ntime.sleep(1000)"),
    inline(
        PYTHON, "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass", limit_s=0.15
    ),
]


@pytest.mark.parametrize("script", ENDLESS, ids=lambda script: script.code[:40])
async def test_what_does_not_end_is_ended_and_the_next_one_works(pool: ScriptPool, script: Script) -> None:
    ended = await failure(pool, inline(script.language, script.code, limit_s=0.15))
    assert (ended.reason, ended.raised, ended.asserted) == (LONG, False, False)
    assert await pool.run(inline(script.language, "1 + 1")) == 2


HUNGRY = [
    inline(JAVASCRIPT, "const all = [];\nfor (;;) all.push(new Array(1000).fill(1))"),
    inline(JAVASCRIPT, "'x'.repeat(1e9)"),
    inline(JAVASCRIPT, "new Uint8Array(2e9)"),
    inline(JAVASCRIPT, "let s = 'x';\nfor (;;) s = s.padEnd(s.length * 2, 'y')"),
    inline(PYTHON, "'x' * 10**10"),
    inline(PYTHON, "all = []\nwhile True: all.append('x' * 10**6)"),
]


@pytest.mark.parametrize("script", HUNGRY, ids=lambda script: script.code[:40])
async def test_what_eats_memory_is_stopped_and_the_next_one_works(pool: ScriptPool, script: Script) -> None:
    stopped = await failure(pool, script)
    assert stopped.raised is ("too long" in stopped.detail)  # JavaScript has a longest text, too
    assert stopped.reason == MEMORY or stopped.raised
    assert await pool.run(inline(script.language, "1 + 1")) == 2


async def test_deep_recursion_is_an_exception(pool: ScriptPool) -> None:
    script = inline(JAVASCRIPT, "const f = () => f() + 1;\nreturn f()")
    assert "RangeError" in (await failure(pool, script)).reason
    nested = inline(JAVASCRIPT, "let o = {};\nfor (let i = 0; i < 1e5; i++) o = {o};\nreturn o")
    assert (await failure(pool, nested)).raised
    assert "RecursionError" in (await failure(pool, inline(PYTHON, "def f(): return f()\nreturn f()"))).reason


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (inline(JAVASCRIPT, "'y'.repeat(3 * 1024 * 1024)"), "the script returned more than 2 MiB"),
        (inline(PYTHON, "'y' * (3 * 1024 * 1024)"), "the script returned more than 2 MiB"),
        (inline(JAVASCRIPT, "new Array(300000).fill(1)"), "the script returned more than 100000 values"),
        (inline(PYTHON, "[[]] * 200_000"), "the script returned more than 100000 values"),
    ],
)
async def test_a_result_too_large_to_read_is_refused(pool: ScriptPool, script: Script, reason: str) -> None:
    assert (await failure(pool, script)).reason == reason


async def test_a_large_result_below_the_limit_comes_whole(pool: ScriptPool) -> None:
    for script in (inline(JAVASCRIPT, "'é'.repeat(9e5)"), inline(PYTHON, "'é' * 900_000")):
        assert await pool.run(script) == "é" * 900_000
    assert await pool.run(inline(JAVASCRIPT, "output.length", output="x" * 5_000_000)) == 5_000_000
    script = inline(PYTHON, "[['text'] * 5] * 100_000", large=True)
    assert await pool.run(script) == [["text"] * 5] * 100_000


async def test_a_script_that_ends_its_process_costs_only_itself(pool: ScriptPool) -> None:
    ended = await failure(pool, inline(PYTHON, "import os\nos._exit(3)"))
    assert ended.reason == "the script ended its process with status 3"
    forked = "import os, time\nif os.fork() == 0: time.sleep(600)\nos._exit(4)"
    assert (
        await failure(pool, inline(PYTHON, forked))
    ).reason == "the script ended its process with status 4"
    crashed = await failure(pool, inline(PYTHON, "import os\nos.kill(os.getpid(), 11)"))
    assert crashed.reason == "the script ended its process with signal 11"
    assert await pool.run(inline(PYTHON, "1 + 1")) == 2


async def test_forks_are_counted_and_do_not_answer(pool: ScriptPool) -> None:
    bomb = await failure(pool, inline(PYTHON, "import os\nwhile True: os.fork()"))
    assert bomb.reason == "the script raised PermissionError at line 2"
    assert "at most 32 processes" in bomb.detail
    assert (
        await pool.run(
            inline(PYTHON, "import os\nchild = os.fork()\nreturn 'child' if child == 0 else 'parent'")
        )
        == "parent"
    )
    assert await pool.run(inline(PYTHON, "1 + 1")) == 2
    said = "import subprocess\nreturn subprocess.run(['echo', 'x'], capture_output=True, text=True).stdout"
    assert await pool.run(inline(PYTHON, said)) == "x\n"


async def test_no_secret_is_seen_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    async with ScriptPool(1, env={"ALLOWED": "yes"}) as pool:
        assert await pool.run(inline(JAVASCRIPT, "process.env")) == {"ALLOWED": "yes"}
        seen = await pool.run(inline(PYTHON, "import os\nreturn dict(os.environ)"))
        assert seen["ALLOWED"] == "yes"
        assert "s3cret" not in str(seen)
        for code in (
            f"open({str(tmp_path / 'f')!r}, 'w')",
            f"import os\nos.mkdir({str(tmp_path / 'd')!r})",
            f"import os\nos.rmdir({str(tmp_path)!r})",
            f"import pathlib\npathlib.Path({str(tmp_path / 'f')!r}).touch()",
        ):
            refused = await failure(pool, inline(PYTHON, code))
            assert "PermissionError" in refused.reason, code
        assert await pool.run(inline(PYTHON, "print('{' * 1000)\nreturn True")) is True
        assert await pool.run(inline(JAVASCRIPT, "console.log('{'.repeat(1000))")) is None
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - a directory of one test


async def test_fifty_at_once_over_four_processes_get_their_own_answers() -> None:
    async with ScriptPool(4) as pool:
        code = "import time\ntime.sleep(0.02)\nreturn output * 2"
        python = [pool.run(inline(PYTHON, code, output=number)) for number in range(50)]
        javascript = [pool.run(inline(JAVASCRIPT, "output * 3", output=number)) for number in range(500)]
        assert await asyncio.gather(*python) == [number * 2 for number in range(50)]
        assert await asyncio.gather(*javascript) == [number * 3 for number in range(500)]
        assert len(pool.pids) <= 8


async def test_only_the_bad_one_of_a_batch_fails() -> None:
    async with ScriptPool(1) as pool:
        await pool.run(inline(JAVASCRIPT, "1"))
        deadly = "const s = 'a'.repeat(1e7); let n = 0;\nfor (;;) n += s.indexOf('b')"
        codes = [deadly if number == 7 else f"{number}" for number in range(20)]
        found = await asyncio.gather(
            *(pool.run(inline(JAVASCRIPT, code, limit_s=0.15)) for code in codes), return_exceptions=True
        )
        assert [one for number, one in enumerate(found) if number != 7] == [n for n in range(20) if n != 7]
        assert isinstance(found[7], ScriptFailed)
        assert found[7].reason == LONG


async def test_a_process_killed_from_outside_is_replaced() -> None:
    async with ScriptPool(1) as pool:
        for language in (JAVASCRIPT, PYTHON):
            assert await pool.run(inline(language, "1")) == 1
            for pid in pool.pids:
                os.kill(pid, signal.SIGKILL)
            assert await pool.run(inline(language, "2")) == 2  # at once, before anybody noticed
        slow = asyncio.create_task(pool.run(inline(PYTHON, "import time\ntime.sleep(0.2)\nreturn 3")))
        await asyncio.sleep(0.1)
        for pid in pool.pids:
            os.kill(pid, signal.SIGKILL)
        assert await slow == 3  # once more is given to what was killed while it ran


async def test_no_process_is_left_behind() -> None:
    async with ScriptPool(2) as pool:
        await asyncio.gather(
            *(pool.run(inline(PYTHON, "import time\ntime.sleep(0.05)\nreturn 1")) for _ in range(6))
        )
        child = await pool.run(
            inline(PYTHON, "import subprocess\nreturn subprocess.Popen(['sleep', '600']).pid")
        )
        hanging = asyncio.create_task(pool.run(inline(PYTHON, "while True: pass", limit_s=60)))
        await asyncio.sleep(0.05)
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        left = asyncio.create_task(failure(pool, inline(PYTHON, "while True: pass", limit_s=60)))
        await asyncio.sleep(0.2)
        pids = pool.pids
    assert pids
    assert "closed" in (await left).reason or "ended its process" in (await left).reason
    for pid in [*pids, child]:
        assert not _runs(pid)
    with pytest.raises(ScriptFailed, match="closed"):
        await pool.run(inline(PYTHON, "1"))


RUN = """
import asyncio, sys
from promptship.evals.scripts.pool import ScriptPool
from promptship.evals.services import Language, Script
async def main():
    async with ScriptPool(1) as pool:
        spin = {Language.PYTHON: "while True: pass", Language.JAVASCRIPT: "for (;;) {}\\nreturn 1"}
        await asyncio.gather(*(pool.run(Script(language=one, code="1", names={"a": 1})) for one in spin))
        tasks = [asyncio.create_task(pool.run(Script(language=one, code=code, limit_s=1.0))) for one, code in spin.items()]
        await asyncio.sleep(0.1)
        print(*pool.pids, flush=True)
        await asyncio.wait(tasks)
asyncio.run(main())
"""


async def test_the_kernel_ends_scripts_of_a_run_that_was_killed() -> None:
    run = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, stdout=asyncio.subprocess.PIPE)
    assert run.stdout is not None
    pids = [int(pid) for pid in (await run.stdout.readline()).split()]
    assert len(pids) == 2
    assert all(_runs(pid) for pid in pids)
    run.kill()
    await run.wait()
    async with asyncio.timeout(30):
        while any(_runs(pid) for pid in pids):  # noqa: ASYNC110 - nobody tells when another's child ends
            await asyncio.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_python_that_does_not_exist_fails_clearly() -> None:
    async with ScriptPool(1, python="/no/such/python") as pool:
        assert (await failure(pool, inline(PYTHON, "1"))).reason == "/no/such/python does not start"
        assert await pool.run(inline(JAVASCRIPT, "1")) == 1


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^a.c$", "abc", True),
        (r"\d+", "none", False),
        (r"(?i)HI", "say hi", True),
        ("é😀", "xé😀", True),
        ("a\0", "a\0b", True),
    ],
)
async def test_python_patterns(pool: ScriptPool, pattern: str, text: str, *, found: bool) -> None:
    assert await pool.matches(pattern, text) is found


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^a.c$", "abc", True),
        (r"(?<year>\d{4})", "in 2026", True),
        (r"\p{L}", "é", False),  # without the flag u
        (r"[[:alpha:]]", "x", False),
        ("/", "a/b", True),
        ("a\u2028", "a\u2028", True),
    ],
)
async def test_javascript_patterns(pool: ScriptPool, pattern: str, text: str, *, found: bool) -> None:
    assert await pool.matches(pattern, text, javascript=True) is found


@pytest.mark.parametrize("javascript", [False, True])
async def test_a_wrong_pattern_fails(pool: ScriptPool, *, javascript: bool) -> None:
    with pytest.raises(ScriptFailed, match="no regular expression") as caught:
        await pool.matches("(", "x", javascript=javascript)
    assert caught.value.raised


@pytest.mark.parametrize("javascript", [False, True])
async def test_backtracking_without_end_is_ended(*, javascript: bool) -> None:
    async with ScriptPool(1, limit_s=0.15) as pool:
        with pytest.raises(ScriptFailed, match=LONG):
            await pool.matches(r"^(a+)+$", "a" * 40 + "b", javascript=javascript)


SCHEMA: dict[str, Any] = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}


async def test_schema_errors(pool: ScriptPool) -> None:
    assert await pool.schema_errors(SCHEMA, {"a": 1}) == []
    assert await pool.schema_errors(SCHEMA, {"a": "x"}) == ["$.a: 'x' is not of type 'integer'"]
    assert len(await pool.schema_errors({"items": {"type": "null"}}, list(range(100)))) == 20
    assert await pool.schema_errors(True, {"any": "thing"}) == []
    meta = {"$ref": "http://json-schema.org/draft-07/schema#"}
    assert await pool.schema_errors(meta, {"type": 5})


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"$ref": "https://example.com/secret.json"}, "refers to something that is not in it"),
        ({"$ref": "file:///etc/passwd"}, "refers to something that is not in it"),
        ({"type": "nope"}, "is no JSON Schema"),
        ({"pattern": "("}, "no regular expression|no JSON Schema"),
    ],
)
async def test_a_schema_that_cannot_be_used_fails_and_nothing_is_fetched(
    pool: ScriptPool, schema: Any, reason: str
) -> None:
    with pytest.raises(ScriptFailed, match=reason):
        await pool.schema_errors(schema, "text")


async def test_a_pattern_in_a_schema_has_a_limit_too() -> None:
    async with ScriptPool(1, limit_s=0.15) as pool:
        with pytest.raises(ScriptFailed, match=LONG):
            await pool.schema_errors({"pattern": "^(a+)+$"}, "a" * 40 + "b")


async def test_what_is_no_json_is_not_sent(pool: ScriptPool) -> None:
    with pytest.raises(ScriptFailed, match="not JSON"):
        await pool.run(inline(PYTHON, "1", output=object()))
