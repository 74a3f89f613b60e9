"""Code that a suite brings along: where it stands, and what it is called with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Final

from promptship.evals.assertions.base import Reader, invalid, shown
from promptship.evals.score import Subject
from promptship.evals.services import Language, Script

FILE: Final = "file://"
LANGUAGES: Final[Mapping[str, Language]] = MappingProxyType(
    {
        **dict.fromkeys((".js", ".cjs", ".mjs", ".ts", ".cts", ".mts"), Language.JAVASCRIPT),
        ".py": Language.PYTHON,
        ".rb": Language.RUBY,
    }
)
_REFERENCE: Final = re.compile(r"file://(?P<path>[^\0]+?\.[A-Za-z]+)(?::(?P<function>[A-Za-z_$][\w$.]*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Code of a suite: inline, or a file with the function to call."""

    language: Language
    code: str
    file: bool = False
    path: Path | None = None
    function: str = ""
    root: Path | None = None

    def call(self, output: Any, context: Mapping[str, Any], limit_s: float | None = None) -> Script:
        """One call of it."""
        if self.file:
            return Script(
                language=self.language, code=self.code, path=self.path, function=self.function, root=self.root,
                arguments=(output, context), limit_s=limit_s,
            )  # fmt: skip
        names = {"output": output, "context": context}
        return Script(language=self.language, code=self.code, names=names, root=self.root, limit_s=limit_s)


def file_source(reference: str, read: Reader, root: Path | None, default: str) -> Source | None:
    """The file of `file://name.js[:function]`, by its ending; None: it is no script. Raises ConfigError when it is not there.

    `default`: function of a Python or Ruby file when none is named; JavaScript has its default export.
    """
    found = _REFERENCE.fullmatch(reference)
    language = LANGUAGES.get(PurePosixPath(found["path"]).suffix) if found else None
    if found is None or language is None:
        return None
    function = found["function"] or ("" if language is Language.JAVASCRIPT else default)
    path = root / found["path"] if root is not None else None
    return Source(
        language=language, code=read(found["path"]), file=True, path=path, function=function, root=root
    )


def transform_source(code: str, read: Reader, root: Path | None) -> Source:
    """JavaScript with `output` and `context`, or `file://t.js[:function]`, `file://t.py` (default `get_transform`).

    Raises ConfigError: the file is not there, or is no script.
    """
    if not code.startswith(FILE):
        return Source(language=Language.JAVASCRIPT, code=code, root=root)
    source = file_source(code, read, root, "get_transform")
    if source is None:
        raise invalid("transform", shown(code), "expected JavaScript, or file:// with .js, .py or .rb")
    return source


def script_context(subject: Subject, config: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a script is told besides the answer, in promptfoo's names. `prompt` is text, or the messages if nobody joined them."""
    answer = subject.answer
    tokens = {"prompt": answer.tokens_in, "completion": answer.tokens_out, "cached": answer.tokens_cached}
    known = {name: count for name, count in tokens.items() if count is not None}
    if answer.tokens_in is not None and answer.tokens_out is not None:
        known["total"] = answer.tokens_in + answer.tokens_out
    response: dict[str, Any] = {
        "output": subject.said, "raw": answer.text, "cached": answer.cached, "tokenUsage": known,
        "metadata": answer.metadata,
    }  # fmt: skip
    maybe = {
        "cost": answer.cost_usd,
        "latencyMs": answer.latency_ms or None,
        "finishReason": answer.finish_reason or None,
    }
    response |= {name: value for name, value in maybe.items() if value is not None}
    context: dict[str, Any] = {
        "prompt": subject.prompt
        if subject.prompt or not subject.messages
        else list(map(dict, subject.messages)),
        "vars": dict(subject.vars),
        "test": dict(subject.test),
        "provider": {"config": dict(subject.provider_config)},
        "providerResponse": response,
        "metadata": answer.metadata,
    }
    if answer.logprobs:
        context["logProbs"] = response["logProbs"] = answer.logprobs
    if config is not None:
        context["config"] = config
    return context
