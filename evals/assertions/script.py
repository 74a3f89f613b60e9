"""Assertions and transforms of the suite's own: JavaScript, Python, Ruby; inline, or a function of a file beside the suite."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from promptship.errors import ConfigError
from promptship.evals.assertions.base import (
    Assertion,
    AssertionSpec,
    BuildContext,
    Dialect,
    Maker,
    Reader,
    invalid,
    shown,
)
from promptship.evals.assertions.script_result import Reading, native
from promptship.evals.assertions.script_source import (
    FILE,
    LANGUAGES,
    Source,
    file_source,
    script_context,
    transform_source,
)
from promptship.evals.score import Judged, Scored, Subject, Unscored, inverted, unscored
from promptship.evals.scripts.python_source import compiled_inline, parsed_inline
from promptship.evals.scripts.syntax import file_problem, inline_problem
from promptship.evals.services import Language, ScriptFailed, Scripts

LIMIT_S_MAX: Final = 300.0
NAMES: Final = ("output", "context")
"""Bound in inline code, and the arguments of a file's function."""
_DECLARES: Final = re.compile(r"(?:const|let|var)\s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """Calls the code with the answer and its context; what comes back is the result."""

    source: Source
    threshold: float | None = None
    config: Mapping[str, Any] | None = None
    limit_s: float | None = None
    dialect: Dialect = Dialect.NATIVE

    async def judge(self, subject: Subject) -> Judged:
        """Whatever keeps the script from answering is Unscored; an assertion of its own that fails is an answer."""
        return await self._judged(subject, opposite=False)

    async def judge_opposite(self, subject: Subject) -> Judged:
        """What `not-` makes of it: in promptfoo, an error still fails and a number keeps its score."""
        return await self._judged(subject, opposite=True)

    async def _judged(self, subject: Subject, *, opposite: bool) -> Judged:
        context = script_context(subject, self.config)
        try:
            result = await subject.services.scripts.run(self.source.call(subject.said, context, self.limit_s))
        except ScriptFailed as error:
            judged = self._failed(error)
            return _inverted(judged) if opposite and self.dialect is Dialect.NATIVE else judged
        if self.dialect is Dialect.NATIVE:
            judged = native(result, self.threshold)
            return _inverted(judged) if opposite else judged
        reading = Reading(language=self.source.language, threshold=self.threshold, opposite=opposite)
        return reading.judged(result)

    def _failed(self, error: ScriptFailed) -> Judged:
        if self.dialect is Dialect.NATIVE:
            return Judged(Scored(False, 0.0, error.detail) if error.asserted else unscored(error))
        # promptfoo makes an error of the row of what a JavaScript file throws, and a failed assertion of all else.
        row = self.source.file and self.source.language is Language.JAVASCRIPT
        return Judged(Scored(False, 0.0, str(error)) if error.raised and not row else unscored(error))


def _inverted(judged: Judged) -> Judged:
    return replace(judged, score=inverted(judged.score))


# Makers ---------------------------------------------------------------------------------------------------------------


def scripted(language: Language) -> Maker:
    """Maker of a script assertion. `value`: code, or `file://name.js|py|rb[:function]`; `config.timeout_s`: its limit."""

    def make(spec: AssertionSpec, context: BuildContext) -> Scripted:
        native_dialect = context.dialect is Dialect.NATIVE
        if not isinstance(spec.value, str) or not spec.value.strip():
            expected = f"expected {language.capitalize()} code or file://name{_ending(language)}[:function]"
            raise invalid("value", shown(spec.value), expected)
        config, limit_s = _limited(spec.config, native_dialect)
        source = source_of(spec.value, language, context)
        if native_dialect:
            _check(source, spec.value)
            config = config or {}
        return Scripted(
            source=source, threshold=spec.threshold, config=config, limit_s=limit_s, dialect=context.dialect
        )

    return make


def source_of(value: str, language: Language, context: BuildContext) -> Source:
    """Inline code, or that of `file://…`. Raises ConfigError: there is no such file, or it is no script."""
    if value.startswith(FILE):
        return _file(value, language, context)
    # promptfoo cuts off the end: there a block of one line is an expression.
    code = value if context.dialect is Dialect.NATIVE else value.rstrip()
    return Source(language=language, code=_inline(code, language), root=context.root)


SCRIPTS: Final[Mapping[str, Maker]] = MappingProxyType(
    {str(language): scripted(language) for language in Language}
)
"""Makers by type."""


def _ending(language: Language) -> str:
    return next(ending for ending, one in LANGUAGES.items() if one is language)


def _limited(config: dict[str, Any] | None, strict: bool) -> tuple[dict[str, Any] | None, float | None]:
    if not config or "timeout_s" not in config:
        return config, None
    limit_s = config["timeout_s"]
    if isinstance(limit_s, bool) or not isinstance(limit_s, int | float) or not 0 < limit_s <= LIMIT_S_MAX:
        if not strict:
            return config, None
        expected = f"expected seconds, more than 0, at most {LIMIT_S_MAX:g}"
        raise invalid("config.timeout_s", shown(limit_s), expected)
    return {name: value for name, value in config.items() if name != "timeout_s"}, float(limit_s)


def _file(reference: str, language: Language, context: BuildContext) -> Source:
    source = file_source(reference, context.read, context.root, "get_assert")
    strict = context.dialect is Dialect.NATIVE
    if source is None or (strict and source.language is not language):
        name = f"file://name{_ending(language)}"
        raise invalid("value", shown(reference), f"expected {name} or {name}:function")
    return source


def _inline(code: str, language: Language) -> str:
    """One line of JavaScript that declares something gives the value of its last statement, as in promptfoo."""
    line = code.strip()
    if language is not Language.JAVASCRIPT or "\n" in line or not _DECLARES.match(line):
        return code
    before, semicolon, last = line.removesuffix(";").rpartition(";")
    return f"{before};\nreturn {last.strip()}" if semicolon else f"{{\n{line}\n}}"


def _check(source: Source, value: str, key: str = "value") -> None:
    """Find what is wrong before the first case is paid for. Raises ConfigError."""
    if source.language is Language.JAVASCRIPT and re.search(r"\.[cm]?ts(?::|$)", value) and source.file:
        raise invalid(key, shown(value), "expected JavaScript", "compile TypeScript to JavaScript first")
    if source.language is Language.RUBY:
        return  # it has no parser here: the limited process says so
    if source.language is Language.PYTHON:
        wrong = _wrong_in(source.code, source.function if source.file else None, value)
    else:
        name = value.removeprefix(FILE).partition(":")[0]
        problem = file_problem(name, source.code) if source.file else inline_problem(source.code)
        wrong = None if problem is None else (f"expected JavaScript: {problem}",)
    if wrong is not None:
        raise invalid(key, shown(value), *wrong)


@lru_cache(maxsize=512)
def _wrong_in(code: str, function: str | None, name: str) -> tuple[str, ...] | None:
    """What is expected of Python code instead, with advice; the default assertions of a suite are read once, not per case."""
    try:
        if function is not None:
            module = ast.parse(code)
            compile(code, name, "exec")
        else:
            module = parsed_inline(code, NAMES)
            compiled_inline(code, NAMES)
    except (SyntaxError, ValueError) as error:
        what = f"{error.msg} (line {error.lineno})" if isinstance(error, SyntaxError) else str(error)
        return (f"expected Python: {what}",)
    if function is not None and function.split(".")[0] not in _bound(module):
        return (f"expected a function {function}(output, context) in the file",)
    if function is None and not any(isinstance(node, ast.Return) for node in ast.walk(module)):
        return ("expected an expression or statements that return a result", "add a return")
    return None


def _bound(module: ast.Module) -> set[str]:
    """Names that a module may have once it is imported."""
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


# Transforms -----------------------------------------------------------------------------------------------------------


async def transform(
    scripts: Scripts,
    code: str,
    output: Any,
    context: Mapping[str, Any],
    *,
    read: Reader,
    root: Path | None = None,
    limit_s: float | None = None,
) -> Any:
    """What a transform makes of an output; None: it gave nothing. Raises ScriptFailed, also when its file is not there."""
    try:
        source = transform_source(code, read, root)
    except ConfigError as error:
        raise ScriptFailed("the transform cannot be used", str(error)) from None
    return await scripts.run(source.call(output, context, limit_s))


@dataclass(frozen=True, slots=True)
class Transformed:
    """Asks another assertion about what a transform makes of the answer."""

    assertion: Assertion
    source: Source

    async def judge(self, subject: Subject) -> Judged:
        """A transform that fails or gives nothing makes it Unscored."""
        context = {
            "vars": dict(subject.vars),
            "prompt": {"label": subject.prompt},
            "metadata": subject.answer.metadata,
        }
        try:
            made = await subject.services.scripts.run(self.source.call(subject.said, context))
        except ScriptFailed as error:
            return Judged(Unscored(f"the transform failed: {error.reason}", error.detail))
        if made is None:
            return Judged(Unscored("the transform gave nothing"))
        text = made if isinstance(made, str) else _text(made)
        return await self.assertion.judge(
            replace(subject, output=text, value=None if isinstance(made, str) else made)
        )


def transformed(assertion: Assertion, spec: AssertionSpec, context: BuildContext) -> Assertion:
    """The assertion behind the specification's `transform`; itself when there is none. Raises ConfigError."""
    if spec.transform is None:
        return assertion
    source = transform_source(spec.transform, context.read, context.root)
    if context.dialect is Dialect.NATIVE:
        _check(source, spec.transform, "transform")
    return Transformed(assertion, source)


def _text(value: Any) -> str:
    """A value as JSON, as JavaScript writes it; a number that is not finite is null there."""
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
