"""Fakes of what assertions may ask for: scripts that run in this process, graders that say what they were told to say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jsonschema.validators import validator_for

from promptship.chat import ChatAnswer
from promptship.evals.score import Subject
from promptship.evals.scripts.formats import checker
from promptship.evals.services import Fault, Script, ScriptFailed, Services, Spent


@dataclass
class FakeScripts:
    """`Scripts` without limits. `answers`: what scripts return, by their code or function's name; a callable gets the script."""

    answers: Mapping[str, Any] = field(default_factory=dict)
    asked: list[Script] = field(default_factory=list)

    async def run(self, script: Script) -> Any:
        self.asked.append(script)
        key = script.code if script.code in self.answers else script.function
        if key not in self.answers:
            raise ScriptFailed("the fake knows no such script", key)
        answer = self.answers[key]
        if isinstance(answer, ScriptFailed):
            raise answer
        return answer(script) if callable(answer) else answer

    async def fault(self, script: Script) -> Fault | None:
        return None

    async def matches(self, pattern: str, text: str, *, javascript: bool = False) -> bool:
        try:
            return re.search(pattern, text) is not None
        except re.error as error:
            raise ScriptFailed("the pattern is wrong", str(error), raised=True) from None

    async def schema_errors(self, schema: Any, value: Any) -> Sequence[str]:
        validator = validator_for(schema)(schema, format_checker=checker())
        return [f"{e.json_path}: {e.message}" for e in validator.iter_errors(value)]


@dataclass
class FakeGraders:
    """`Graders`. Every answer may be an exception, which is raised, or a callable, which gets what was asked."""

    says: Any = '{"pass": true, "score": 1, "reason": "fine"}'
    vectors: Any = field(default_factory=lambda: [[1.0, 0.0]])
    flags: Any = field(default_factory=dict)
    labels: Any = field(default_factory=dict)
    tokens: int = 7
    asked: list[tuple[str, Any, Any]] = field(default_factory=list)

    async def say(
        self, messages: Sequence[Mapping[str, Any]], *, who: Any = None, anew: bool = False
    ) -> tuple[str, Spent]:
        return self._answer("say", self.says, messages, who)

    async def embed(self, texts: Sequence[str], *, who: Any = None) -> tuple[Any, Spent]:
        return self._answer("embed", self.vectors, texts, who)

    async def moderate(self, asked: str, said: str, *, who: Any = None) -> tuple[Any, Spent]:
        return self._answer("moderate", self.flags, (asked, said), who)

    async def classify(self, text: str, *, who: Any = None) -> tuple[Any, Spent]:
        return self._answer("classify", self.labels, text, who)

    def _answer(self, what: str, answer: Any, asked: Any, who: Any) -> tuple[Any, Spent]:
        self.asked.append((what, asked, who))
        if isinstance(answer, Callable):  # type: ignore[arg-type]
            answer = answer(asked)
        elif isinstance(answer, list) and what == "say":
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer, Spent(tokens=self.tokens)


@dataclass
class FakeWeb:
    """`Web` that answers what it was told to."""

    answer: Any = (200, {"pass": True})
    asked: list[tuple[str, Any]] = field(default_factory=list)

    async def post(self, url: str, body: Any, *, timeout_s: float) -> tuple[int, Any]:
        self.asked.append((url, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        answer: tuple[int, Any] = self.answer
        return answer


def subject(
    output: str = "", *, scripts: Any = None, graders: Any = None, web: Any = None, **more: Any
) -> Subject:
    """An answer to be asserted about. Keys of `ChatAnswer` go to the answer, the others to the subject."""
    of_answer = {
        name: more.pop(name)
        for name in list(more)
        if name in ChatAnswer.__dataclass_fields__ and name != "value"
    }
    services = Services(scripts=scripts or FakeScripts(), graders=graders, web=web)
    return Subject(output=output, services=services, answer=ChatAnswer(text=output, **of_answer), **more)
