"""Python checks: inline code or a function of a file beside the suite, run in the limited process."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Any, Final

from promptship.evals.assertions.base import AssertionSpec, Reader, invalid
from promptship.evals.checks_worker import compiled, parsed
from promptship.evals.score import Check, Judged, Subject

INLINE: Final = "<python>"
_FILE = re.compile(r"file://(?P<path>.+?\.py)(?::(?P<function>[A-Za-z_]\w*))?$")
LIMIT_S_MAX: Final = 300.0


@dataclass(frozen=True, slots=True)
class Python:
    """Calls `function(output, context)`; `context` has `vars`, `prompt` (the messages sent) and `config`."""

    code: str
    name: str
    inline: bool
    function: str
    threshold: float | None = None
    config: dict[str, Any] = field(default_factory=dict)
    limit_s: float | None = None

    async def judge(self, subject: Subject) -> Judged:
        """Whatever keeps the check from answering is Unscored; AssertionError is an answer: failed."""
        context = {
            "vars": dict(subject.vars),
            "prompt": [dict(message) for message in subject.messages],
            "config": self.config,
        }
        arguments = {
            "code": self.code,
            "name": self.name,
            "inline": self.inline,
            "function": self.function,
            "output": subject.output,
            "context": context,
            "threshold": self.threshold,
        }
        return Judged(
            await subject.checker.check(Check(operation="python", arguments=arguments, limit_s=self.limit_s))
        )


def python(spec: AssertionSpec, read: Reader) -> Python:
    """`value`: an expression, statements that `return`, or `file://checks.py[:function]` (default `get_assert`)."""
    if not isinstance(spec.value, str) or not spec.value.strip():
        raise invalid("value", repr(spec.value)[:60], "expected Python code or file://name.py[:function]")
    config = dict(spec.config or {})
    limit_s = config.pop("timeout_s", None)
    if limit_s is not None and (
        isinstance(limit_s, bool) or not isinstance(limit_s, int | float) or not 0 < limit_s <= LIMIT_S_MAX
    ):
        raise invalid(
            "config.timeout_s", repr(limit_s)[:60], f"expected seconds, more than 0, at most {LIMIT_S_MAX:g}"
        )
    found = _FILE.match(spec.value)
    if found:
        name, function = found["path"], found["function"] or "get_assert"
        return Python(_file(read(name), name, function), name, inline=False, function=function,
                      threshold=spec.threshold, config=config, limit_s=limit_s)  # fmt: skip
    if spec.value.startswith("file://"):
        raise invalid("value", repr(spec.value)[:60], "expected file://name.py or file://name.py:function")
    return Python(_inline(spec.value), INLINE, inline=True, function="get_assert",
                  threshold=spec.threshold, config=config, limit_s=limit_s)  # fmt: skip


def _file(code: str, name: str, function: str) -> str:
    try:
        module = parsed(code, name, inline=False)
        compiled(code, name, inline=False)
    except (SyntaxError, ValueError) as error:
        raise invalid("value", f"file://{name}", f"expected Python: {_syntax(error)}") from None
    if function not in {node.name for node in module.body if isinstance(node, ast.FunctionDef)}:
        raise invalid(
            "value",
            f"file://{name}:{function}",
            f"expected a function {function}(output, context) in the file",
        )
    return code


def _inline(code: str) -> str:
    try:
        module = parsed(code, INLINE, inline=True)
        compiled(code, INLINE, inline=True)
    except (SyntaxError, ValueError) as error:
        raise invalid("value", repr(code)[:60], f"expected Python: {_syntax(error)}") from None
    if not any(isinstance(node, ast.Return) for node in ast.walk(module)):
        raise invalid(
            "value",
            repr(code)[:60],
            "expected an expression or statements that return a result",
            "add a return",
        )
    return code


def _syntax(error: Exception) -> str:
    return f"{error.msg} (line {error.lineno})" if isinstance(error, SyntaxError) else str(error)
