"""Whether JavaScript compiles, said at once while a suite is read: no process is started for it, and nothing is run.

`promptship.evals.scripts.pool` finds more (it loads files with what they import), for runs that have a pool by then.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import PurePosixPath
from types import ModuleType
from typing import Final

from promptship.evals.scripts.javascript_modules import as_function

MEMORY_BYTES: Final = 64 << 20
STACK_BYTES: Final = 1 << 20
LIMIT_S: Final = 1.0
_COMMONJS: Final = ("exports", "require", "module", "__filename", "__dirname", "__import")
_MODULE: Final = ("__require", "__publish", "__every", "__meta", "__import", "__namespace")
"""What `prelude.js` gives to a file of either kind."""
_CHECKED: Final = frozenset({".js", ".cjs", ".mjs"})


def inline_problem(code: str) -> str | None:
    """What is wrong with inline code, with its line: one line is an expression, more are statements that return. None: it compiles."""
    return _compiled(_runner().body_of(code), ("output", "context"))


def file_problem(name: str, code: str) -> str | None:
    """What is wrong with a JavaScript file, CommonJS or ES module. None: it compiles, or is no JavaScript."""
    if PurePosixPath(name).suffix not in _CHECKED:
        return None
    body, is_module = as_function(code)
    return _compiled(f'"use strict"; {body}\n', _MODULE) if is_module else _compiled(f"{body}\n", _COMMONJS)


def _runner() -> ModuleType:
    """Its rules of what a line means; it brings the engine along, which only suites with JavaScript need here."""
    from promptship.evals.scripts import javascript_runner

    return javascript_runner


@lru_cache(maxsize=512)
def _compiled(body: str, names: tuple[str, ...]) -> str | None:
    import quickjs  # type: ignore[import-untyped]

    context = quickjs.Context()
    context.set_memory_limit(MEMORY_BYTES)
    context.set_max_stack_size(STACK_BYTES)
    context.set_time_limit(LIMIT_S)
    words = ", ".join(json.dumps(word) for word in (*names, body))
    try:
        context.eval(f"new Function({words}); 1")
    except quickjs.JSException as error:
        message = str(error)
        if not message.startswith("SyntaxError: "):
            return None  # too deep or too large for here: its own process, with its own limits, will say
        at = min(_runner().line_of(message) or 1, body.rstrip().count("\n") + 1)
        return f"{message.removeprefix('SyntaxError: ').partition(chr(10))[0]} (line {at})"
    return None
