"""Runs what a suite brings along in limited processes: `Scripts` of `promptship.evals.services`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import orjson

from promptship.evals.scripts import frames
from promptship.evals.scripts.process import Sandbox
from promptship.evals.scripts.python_source import syntax_error
from promptship.evals.scripts.workers import Workers
from promptship.evals.services import Fault, Language, Script, ScriptFailed

BATCH_MAX: Final = 64
"""Calls that travel together; only of what changes nothing: JavaScript, patterns, schemas."""
RESULT_BYTES_MAX: Final = 2 << 20
RESULT_VALUES_MAX: Final = 100_000
"""Of one result. Reading it must not hold up the run: so much takes about 5 ms."""
LARGE_BYTES_MAX: Final = 32 << 20
LARGE_VALUES_MAX: Final = 2_000_000
"""Of a result that may be large, read while nothing else runs."""
JAVASCRIPT_SHARE: Final = 8
"""One engine may have this part of a process's memory."""


class ScriptPool:
    """At most `size` processes for Python and Ruby, each running one script, and `size` for everything quick, in batches.

    Processes are started when they are needed and kept. `limit_s`: default time of one script. `memory_bytes`: address space of
    one process (numpy alone wants about 300 MB); a JavaScript engine gets an eighth. `env`: variables that scripts see,
    besides PATH and LANG; nothing else of ours. `python`: the interpreter for Python scripts. `ruby`: of Ruby; None: looked up.
    Use as an async context manager: on leaving it no process is left behind.
    """

    def __init__(
        self,
        size: int = 4,
        *,
        limit_s: float = 5.0,
        memory_bytes: int = 1 << 30,
        env: Mapping[str, str] | None = None,
        python: str | None = None,
        ruby: str | None = None,
    ) -> None:
        self._limit_s = limit_s
        self._env = dict(env or {})
        self._ruby = ruby
        self._memory = max(memory_bytes // JAVASCRIPT_SHARE, 1 << 22)
        quick = Sandbox(memory_bytes=memory_bytes)
        slow = Sandbox(
            memory_bytes=memory_bytes, environment=self._env, **({"python": python} if python else {})
        )
        self._quick = Workers(quick, size=size, batch_max=BATCH_MAX)
        self._slow = Workers(slow, size=size, batch_max=1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._quick.close()
        await self._slow.close()

    @property
    def pids(self) -> list[int]:
        """Of the processes that are running."""
        return [*self._quick.pids, *self._slow.pids]

    async def run(self, script: Script) -> Any:
        """The value a script returns. Raises ScriptFailed."""
        head, values = self._head(script)
        workers = self._quick if script.language is Language.JAVASCRIPT else self._slow
        return await self._ask(workers, head, encoded(values), large=script.large)

    async def fault(self, script: Script) -> Fault | None:
        """What is wrong with a script, found without calling it; a file is loaded for that. None: nothing that shows.

        Ruby is not looked at.
        """
        if script.language is Language.RUBY:
            return None
        if script.language is Language.PYTHON:
            is_file = script.path is not None
            wrong = syntax_error(script.code, None if is_file else tuple(script.names))
            return None if wrong is None else Fault(what=wrong[0], line=wrong[1], wrong=True)
        head, _ = self._head(script)
        try:
            found = await self._ask(self._quick, {**head, "op": "javascript_check"}, b"[]")
        except ScriptFailed as error:  # it takes too long to load, or too much memory
            return Fault(what=str(error), wrong=False)
        return None if found is None else Fault(**found)

    def _head(self, script: Script) -> tuple[dict[str, Any], Sequence[Any]]:
        """What a process is told of a script, and the values it gets."""
        head: dict[str, Any] = {
            "op": script.language,
            "code": script.code,
            "limit": self._limit(script.limit_s),
        }
        if script.root is not None:
            head["root"] = str(script.root)
        if script.path is not None or script.function or script.arguments:
            head["file"], head["function"] = True, script.function
            head["path"] = None if script.path is None else str(script.path)
            head["names"] = ()
            values: Sequence[Any] = script.arguments
        else:
            head["names"], values = tuple(script.names), tuple(script.names.values())
        if script.language is Language.JAVASCRIPT:
            head["memory"], head["env"] = self._memory, self._env
        elif script.language is Language.RUBY:
            head["ruby"] = self._find_ruby()
        return head, values

    async def matches(self, pattern: str, text: str, *, javascript: bool = False) -> bool:
        """Whether a regular expression finds something in a text. Raises ScriptFailed."""
        if javascript:
            code = "new RegExp(pattern).test(text)"
            names = {"pattern": pattern, "text": text}
            try:
                return bool(await self.run(Script(language=Language.JAVASCRIPT, code=code, names=names)))
            except ScriptFailed as error:
                raise _of_pattern(error) from None
        head = {"op": "regex", "pattern": pattern, "limit": self._limit_s}
        return bool(await self._ask(self._quick, head, encoded(text)))

    async def schema_errors(self, schema: Any, value: Any) -> Sequence[str]:
        """What is wrong with a value, at most 20 things; empty: it fits. Raises ScriptFailed."""
        head = {"op": "schema", "schema": encoded(schema).decode(), "limit": self._limit_s}
        return list(await self._ask(self._quick, head, encoded(value)))

    async def _ask(
        self, workers: Workers, head: Mapping[str, Any], body: bytes, *, large: bool = False
    ) -> Any:
        whole = {**head, "bytes_max": LARGE_BYTES_MAX if large else RESULT_BYTES_MAX}
        status, answer = await workers.ask(encoded(whole), body, head["limit"])
        if status == frames.VALUE:
            return decoded(answer, LARGE_VALUES_MAX if large else RESULT_VALUES_MAX)
        failed = orjson.loads(answer)
        raise ScriptFailed(
            failed["reason"], failed["detail"], asserted=failed["asserted"], raised=failed["raised"]
        )

    def _limit(self, limit_s: float | None) -> float:
        return self._limit_s if limit_s is None else limit_s

    def _find_ruby(self) -> str:
        if self._ruby is None:
            self._ruby = shutil.which("ruby")
        if self._ruby is None:
            raise ScriptFailed("Ruby is not installed here", "there is no program `ruby` on the PATH")
        return self._ruby


def _of_pattern(error: ScriptFailed) -> ScriptFailed:
    """A pattern that does not parse, said as Python's says it."""
    return (
        ScriptFailed("the pattern is no regular expression", error.detail, raised=True)
        if error.raised
        else error
    )


def encoded(value: Any) -> bytes:
    """A value as JSON, dates as text. Raises ScriptFailed."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # numbers beyond 64 bits, half of a surrogate pair, or no JSON at all
        try:
            return json.dumps(value, default=_plain).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise ScriptFailed("what the script should be given is not JSON", str(error)) from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__}")


def decoded(answer: bytes, values_max: int = RESULT_VALUES_MAX) -> Any:
    """A result; NaN and Infinity are floats. Raises ScriptFailed for one that is too large to be read in passing."""
    if len(answer) > values_max:
        values = answer.count(b",") + answer.count(b"[") + answer.count(b"{")
        if values > values_max:
            raise ScriptFailed(f"the script returned more than {values_max} values")
    try:
        return orjson.loads(answer)
    except ValueError:
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise ScriptFailed("the script returned something that is not JSON", str(error)) from None
