"""What the makers and the judging of all judged types share: checks of a specification, and the subject in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from promptship.evals.assertions.base import AssertionSpec, BuildContext, Dialect, invalid
from promptship.evals.assertions.judged_asking import NoVerdict, as_json
from promptship.evals.assertions.judged_prompts import Orders, as_value
from promptship.evals.assertions.judged_reading import Read, either, within
from promptship.evals.score import Score, Scored, Subject

T = TypeVar("T")
ROUNDING: Final = 1e-12
_OPTIONAL: Final = {
    "threshold": "threshold",
    "rubricPrompt": "rubric_prompt",
    "contextTransform": "context_transform",
    "config": "config",
}


def only(spec: AssertionSpec, context: BuildContext, *keys: str) -> None:
    """Refuse keys that the type would ignore; promptfoo ignores them. Raises ConfigError."""
    if context.dialect is Dialect.PROMPTFOO:
        return
    for key, name in _OPTIONAL.items():
        got = getattr(spec, name)
        if key not in keys and got is not None:
            raise invalid(key, repr(got)[:60], f"{spec.type} takes no {key}", "remove the key")


def threshold_of(
    spec: AssertionSpec, context: BuildContext, default: float | None = None, *, high: float = 1.0
) -> Any:
    """The threshold, or the type's own. A native one is from 0 to `high`. Raises ConfigError."""
    value = default if spec.threshold is None else spec.threshold
    if context.dialect is Dialect.NATIVE and value is not None and not 0 <= value <= high:
        limit = "a number of at least 0" if math.isinf(high) else f"a number from 0 to {high:g}"
        raise invalid("threshold", repr(value), f"expected {limit}")
    return value


def answer_of(spec: AssertionSpec, what: str) -> str:
    """`value` as text that is not blank. Raises ConfigError."""
    if isinstance(spec.value, str) and spec.value.strip():
        return spec.value
    if isinstance(spec.value, int | float) and not isinstance(spec.value, bool):
        return str(spec.value)
    got = "missing" if spec.value is None else repr(spec.value)[:60]
    raise invalid("value", got, f"expected {what}")


def reading(own: Orders, strict: Read[T], loose: Read[T]) -> Read[T]:
    """How replies to these orders are read: promptfoo's older forms in its dialect only, which takes much for a verdict."""
    if own.promptfoo:
        return either(strict, loose)
    return within(strict) if own.own else strict


def reaching(score: float, threshold: float, what: str) -> Score:
    """Passes when the score reaches the threshold, but for rounding."""
    passed = score >= threshold - ROUNDING
    return Scored(passed, score, what if passed else f"{what}, wanted at least {threshold:g}")


def conversation(subject: Subject) -> list[tuple[str, str]]:
    """What the model was sent, as a part of the material; none when nothing is known of it."""
    asked = prompt_of(subject)
    return [("conversation", asked)] if asked else []


def prompt_of(subject: Subject) -> str:
    """What the model was sent, as one text."""
    if subject.prompt:
        return subject.prompt
    return "\n".join(f"[{message.get('role')}] {content_of(message)}" for message in subject.messages)


def content_of(message: Any) -> str:
    """Text of a message; parts are joined, tool calls are shown as JSON."""
    content = message.get("content")
    if isinstance(content, str):
        text = content
    elif isinstance(content, Sequence):
        text = "\n".join(
            str(part.get("text") or as_json(part)) if isinstance(part, dict) else str(part)
            for part in content
        )
    else:
        text = "" if content is None else as_json(content)
    calls = message.get("tool_calls")
    return f"{text}\n{as_json(calls)}".strip() if calls else text


def said_text(subject: Subject, own: Orders) -> Any:
    """The answer for a template: promptfoo parses one that is JSON."""
    return as_value(subject.output) if own.promptfoo else subject.output


def query_of(subject: Subject) -> str:
    """Variable `query`. Raises NoVerdict."""
    query = subject.vars.get("query")
    if not isinstance(query, str) or not query.strip():
        raise NoVerdict("the case has no text variable `query`")
    return query
