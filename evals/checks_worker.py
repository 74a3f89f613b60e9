"""The limited process that runs what a suite brings along: Python checks, patterns, JSON Schemas.

Run as a file by `promptship.evals.checks_pool`; imports nothing of promptship. Requests come on standard input, answers go
to what was standard output, both as frames: four bytes of length, then JSON. Memory, file size and core dumps are limited
before the first request, secrets are not in the environment, and a check that takes too long is ended by the kernel
(SIGALRM), also inside a regular expression. That stops accidents, not attackers: a suite is code of your repository.
"""

from __future__ import annotations

import ast
import json
import math
import os
import re
import resource
import signal
import struct
import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import CodeType
from typing import Any, BinaryIO

Answer = dict[str, Any]
"""`{"passed", "score", "reason"}`, or `{"unscored", "detail"}`."""


def scored(passed: bool, because: str = "", score: float | None = None) -> Answer:
    """A result; `because` is dropped when it passed without degrees."""
    value = (1.0 if passed else 0.0) if score is None else min(max(score, 0.0), 1.0)
    return {"passed": passed, "score": value, "reason": because}


def unscored(reason: str, detail: str = "") -> Answer:
    """No result; `reason` must not quote the answer."""
    return {"unscored": reason, "detail": detail}


# Python ---------------------------------------------------------------------------------------------------------------


def parsed(code: str, name: str, inline: bool) -> ast.Module:
    """Module of a check. Inline code (an expression, or statements that `return`) becomes `get_assert(output, context)`.

    Raises:
        SyntaxError: the code is not Python.
    """
    if not inline:
        return ast.parse(code, name)
    code = textwrap.dedent(code).strip()
    module = ast.parse("def get_assert(output, context): pass", name)
    function = module.body[0]
    assert isinstance(function, ast.FunctionDef)  # noqa: S101 - it is the line above
    try:
        expression = ast.parse(code, name, mode="eval").body
    except SyntaxError:
        function.body = ast.parse(code, name).body
    else:
        function.body = [ast.copy_location(ast.Return(expression), expression)]
    return module


@lru_cache(maxsize=256)
def compiled(code: str, name: str, inline: bool) -> CodeType:
    """The code object of a check; every check runs it in a fresh namespace. Raises SyntaxError."""
    return compile(parsed(code, name, inline), name, "exec")


def run_python(
    code: str,
    name: str,
    inline: bool,
    function: str,
    output: str,
    context: dict[str, Any],
    threshold: float | None,
) -> Answer:
    """Call the check. AssertionError is an answer (it fails); any other exception is not."""
    namespace: dict[str, Any] = {"__name__": "promptship_check"}
    try:
        exec(compiled(code, name, inline), namespace)  # noqa: S102 - running the suite's check is this program's purpose
        result = namespace[function](output, context)
    except AssertionError as error:
        return scored(False, str(error) or "an assert statement failed")
    except MemoryError:
        raise
    except BaseException as error:  # noqa: BLE001 - also SystemExit and KeyboardInterrupt of a check
        return unscored(f"the check raised {type(error).__name__}{_where(error, name)}", str(error)[:500])
    return from_python(result, threshold)


def _where(error: BaseException, name: str) -> str:
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" at line {line}" if line else ""


def from_python(result: object, threshold: float | None) -> Answer:
    """A check may return a bool, a number (passes above 0, or from `threshold`), or a dict with pass, score, reason."""
    if isinstance(result, bool):
        return scored(result, "" if result else "the check returned False")
    if isinstance(result, int | float):
        value = float(result)
        if not math.isfinite(value):
            return unscored(f"the check returned {value}")
        limit = "more than 0" if threshold is None else f"at least {threshold:g}"
        passed = value > 0 if threshold is None else value >= threshold
        return scored(passed, "" if passed else f"the check returned {value:g}, wanted {limit}", value)
    if isinstance(result, dict):
        return _from_dict(result, threshold)
    return unscored(
        f"the check returned {type(result).__name__}; wanted bool, number or dict with pass, score, reason"
    )


def _from_dict(result: dict[Any, Any], threshold: float | None) -> Answer:
    verdict = next((result[key] for key in ("pass", "pass_", "passed") if key in result), None)
    score = result.get("score")
    if (
        isinstance(score, bool)
        or not isinstance(score, int | float | None)
        or not math.isfinite(score or 0.0)
    ):
        return unscored("the check's dict has a score that is not a finite number")
    if verdict is None and score is None:
        return unscored("the check's dict has neither pass nor score")
    if verdict is not None and not isinstance(verdict, bool):
        return unscored("the check's dict has a pass that is not a bool")
    passed = verdict if verdict is not None else score is not None and score > 0
    if threshold is not None and score is not None:
        passed = (verdict is not False) and score >= threshold
    return scored(passed, str(result.get("reason") or ""), None if score is None else float(score))


# Patterns and JSON ----------------------------------------------------------------------------------------------------


def run_regex(pattern: str, output: str) -> Answer:
    """Python's `re.search`; the alarm ends catastrophic backtracking."""
    return scored(re.search(pattern, output) is not None, "no match")


def _no_constant(name: str) -> object:
    message = f"{name} is not JSON"
    raise ValueError(message)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def embedded(output: str) -> Iterator[object]:
    """Every outermost JSON object or array inside the text."""
    at = 0
    while (
        start := min((i for i in (output.find("{", at), output.find("[", at)) if i >= 0), default=-1)
    ) >= 0:
        try:
            value, at = _DECODER.raw_decode(output, start)
        except (ValueError, RecursionError):
            at = start + 1
        else:
            yield value


def run_json(output: str, schema: Any, anywhere: bool) -> Answer:
    """The whole output (or, `anywhere`, some part of it) is JSON, and fits the schema when there is one."""
    try:
        values = list(embedded(output)) if anywhere else [_DECODER.decode(output.strip())]
    except (ValueError, RecursionError) as error:
        return scored(False, f"not JSON: {error}")
    if not values:
        return scored(False, "no JSON object or array in the answer")
    if schema is None:
        return scored(True)
    problems = [_misfit(value, schema) for value in values]
    return scored("" in problems, problems[0] if "" not in problems else "")


def _misfit(value: Any, schema: Any) -> str:
    """Empty when the value fits the schema. Never fetches a remote `$ref`."""
    from jsonschema.validators import validator_for
    from referencing import Registry

    validator = validator_for(schema)(schema, registry=Registry())
    error = next(iter(validator.iter_errors(value)), None)
    return "" if error is None else f"{error.json_path}: {error.message}"


# The process ----------------------------------------------------------------------------------------------------------

OPERATIONS: dict[str, Callable[..., Answer]] = {"python": run_python, "regex": run_regex, "json": run_json}


def run(request: dict[str, Any]) -> Answer:
    """One request: `{"operation", "arguments", "limit_s"}`. A MemoryError ends the process after its answer."""
    # The kernel ends the process: no Python code, and no C code of a pattern, can put that off by accident.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, request["limit_s"])
    try:
        return OPERATIONS[request["operation"]](**request["arguments"])
    except MemoryError:
        return unscored("the check needs more memory than it may have") | {"last": True}
    except Exception as error:  # noqa: BLE001 - whatever went wrong, the answer is "not measured"
        return unscored(f"the check could not run: {type(error).__name__}", str(error)[:500])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def limit(memory_bytes: int) -> None:
    """Bound memory, written files and core dumps of this process and its children."""
    for which, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        _, hard = resource.getrlimit(which)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (bound, bound))


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the other side closes."""
    while len(header := requests.read(4)) == 4:  # noqa: PLR2004 - the frame's length field
        answer = run(json.loads(requests.read(struct.unpack(">I", header)[0])))
        last = answer.pop("last", False)
        frame = json.dumps(answer).encode()
        answers.write(struct.pack(">I", len(frame)) + frame)
        answers.flush()
        if last:
            return


def main() -> None:
    """Keep the pipes for ourselves, silence the checks, limit, serve."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)
    limit(int(sys.argv[1]))
    serve(requests, answers)


if __name__ == "__main__":
    main()
