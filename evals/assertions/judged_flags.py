"""Types that ask a moderation or classification model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml

from promptship.evals.assertions.base import Assertion, AssertionSpec, BuildContext, Dialect, invalid
from promptship.evals.assertions.judged_asking import Hearing, NoVerdict, heard
from promptship.evals.assertions.judged_making import ROUNDING, content_of, only, threshold_of
from promptship.evals.score import Judged, Score, Scored, Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderation:
    """No category is flagged; with a list, none of these."""

    categories: tuple[str, ...]
    who: Any = None

    async def judge(self, subject: Subject) -> Judged:
        """An empty answer passes without being asked about."""
        if not subject.output:
            return Judged(Scored(True, 1.0))
        return await heard(subject.services, self.who, lambda hearing: self._score(hearing, subject))

    async def _score(self, hearing: Hearing, subject: Subject) -> Score:
        flags = await hearing.moderate(_last_said(subject), subject.output)
        found = sorted(name for name in flags if not self.categories or name in self.categories)
        return Scored(not found, 0.0 if found else 1.0, f"flagged: {', '.join(found)}" if found else "")


def _last_said(subject: Subject) -> str:
    """What the user said last: of the messages, or of a prompt that holds messages."""
    messages: Any = subject.messages or _messages(subject.prompt)
    said = [message for message in messages if isinstance(message, dict) and content_of(message)]
    users = [message for message in said if message.get("role") == "user"]
    chosen = users or said
    return content_of(chosen[-1]) if chosen else subject.prompt


def _messages(prompt: str) -> Any:
    try:
        found = yaml.safe_load(prompt) if prompt.lstrip().startswith("- role:") else json.loads(prompt)
    except (ValueError, RecursionError, yaml.YAMLError):
        return []
    return found if isinstance(found, list) else []


def moderation(spec: AssertionSpec, context: BuildContext) -> Assertion:
    """`value`: categories that must not be flagged; all of them without it."""
    only(spec, context)
    value = spec.value or []
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
        raise invalid("value", repr(value)[:60], "expected a list of categories, or nothing")
    return Moderation(categories=tuple(value), who=spec.provider)


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """A classifier gives a label, or its likeliest one, at least so much."""

    label: str | None
    threshold: float
    unknown_is_zero: bool
    """As promptfoo has it: a label that the classifier does not name scores 0."""
    who: Any = None

    async def judge(self, subject: Subject) -> Judged:
        """The score of the label."""
        return await heard(subject.services, self.who, lambda hearing: self._score(hearing, subject))

    async def _score(self, hearing: Hearing, subject: Subject) -> Score:
        labels = await hearing.classify(subject.output)
        if self.label is not None and self.label not in labels and not self.unknown_is_zero:
            raise NoVerdict(
                f"the classifier does not name {self.label!r}; it names: {', '.join(sorted(labels))[:200]}"
            )
        score = max(labels.values()) if self.label is None else labels.get(self.label, 0.0)
        passed = score >= self.threshold - ROUNDING
        what = f"{self.label or 'the likeliest label'} has {score:.3f}, wanted at least {self.threshold:g}"
        return Scored(passed, float(score), "" if passed else what)


def classifier(spec: AssertionSpec, context: BuildContext) -> Assertion:
    """`value`: a label; `threshold`: its least score (1)."""
    only(spec, context, "threshold")
    if spec.value is not None and not (isinstance(spec.value, str) and spec.value):
        raise invalid("value", repr(spec.value)[:60], "expected a label, or nothing")
    return Classified(
        label=spec.value, threshold=threshold_of(spec, context, 1.0),
        unknown_is_zero=context.dialect is Dialect.PROMPTFOO, who=spec.provider,
    )  # fmt: skip
