"""`contextTransform`: takes the context out of an answer, by a script."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from promptship.evals.assertions.base import BuildContext, Dialect, invalid
from promptship.evals.score import Subject
from promptship.evals.scripts.syntax import file_problem, inline_problem
from promptship.evals.services import Language, Script

_LANGUAGES: Final = {
    ".js": Language.JAVASCRIPT,
    ".cjs": Language.JAVASCRIPT,
    ".mjs": Language.JAVASCRIPT,
    ".ts": Language.JAVASCRIPT,
    ".py": Language.PYTHON,
}
_DEFAULT: Final = {Language.JAVASCRIPT: "", Language.PYTHON: "get_transform"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """A JavaScript expression with `output` and `context`, or a function of a file that is called with both."""

    code: str
    language: Language = Language.JAVASCRIPT
    path: Path | None = None
    file: bool = False
    function: str = ""
    root: Path | None = None

    async def value(self, subject: Subject) -> Any:
        """What it makes of the answer as the provider gave it. Raises ScriptFailed."""
        answer = subject.answer
        output = answer.value if answer.value is not None else answer.text or subject.said
        context = {
            "vars": dict(subject.vars),
            "prompt": {"label": subject.prompt},
            "metadata": dict(answer.metadata),
        }
        script = Script(
            language=self.language, code=self.code, path=self.path, function=self.function, root=self.root,
            arguments=(output, context) if self.file else (),
            names={} if self.file else {"output": output, "context": context},
        )  # fmt: skip
        return await subject.services.scripts.run(script)


def transform_of(text: str | None, context: BuildContext) -> Transform | None:
    """The transform of a specification; None: it has none. Raises ConfigError."""
    if text is None:
        return None
    if not text.startswith("file://"):
        _check(inline_problem(text), text, context)
        return Transform(code=text, root=context.root)
    name, _, function = text.removeprefix("file://").partition(":")
    language = _LANGUAGES.get(PurePosixPath(name).suffix)
    if language is None:
        raise invalid("contextTransform", text, "expected JavaScript, or file:// with .js or .py")
    path = context.root / name if context.root else None
    code = context.read(name)
    _check(file_problem(name, code), text, context)
    return Transform(
        code=code, language=language, path=path, file=True, root=context.root,
        function=function or _DEFAULT[language],
    )  # fmt: skip


def _check(problem: str | None, text: str, context: BuildContext) -> None:
    if problem is not None and context.dialect is Dialect.NATIVE:
        raise invalid("contextTransform", repr(text)[:60], f"expected JavaScript: {problem}")
