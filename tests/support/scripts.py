"""Calls of scripts, for tests that run them in real processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from promptship.evals.scripts.pool import ScriptPool
from promptship.evals.services import Language, Script, ScriptFailed

JAVASCRIPT, PYTHON, RUBY = Language.JAVASCRIPT, Language.PYTHON, Language.RUBY
CONTEXT = {"vars": {"n": 3}, "prompt": "Say hi"}


def inline(language: Language, code: str, output: Any = "hi", **more: Any) -> Script:
    """Inline code with `output` and `context`."""
    return Script(language=language, code=code, names={"output": output, "context": CONTEXT}, **more)


def of_file(
    path: Path, function: str = "", arguments: tuple[Any, ...] = ("hi", CONTEXT), **more: Any
) -> Script:
    """A function of a file."""
    language = {".py": PYTHON, ".rb": RUBY}.get(path.suffix, JAVASCRIPT)
    given = {"root": path.parent} | more
    return Script(
        language=language, code=path.read_text(), path=path, function=function, arguments=arguments, **given
    )


async def failure(pool: ScriptPool, script: Script) -> ScriptFailed:
    """How a script fails that must fail."""
    try:
        value = await pool.run(script)
    except ScriptFailed as error:
        return error
    raise AssertionError(f"it gave {value!r}")
