"""Types where a judge says whether an answer is good: rubrics, criteria, facts, goals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from promptship.evals.assertions.base import Assertion, AssertionSpec, BuildContext, Dialect, Maker, invalid
from promptship.evals.assertions.judged_asking import Hearing, as_json, heard
from promptship.evals.assertions.judged_making import (
    answer_of,
    conversation,
    only,
    prompt_of,
    reading,
    said_text,
    threshold_of,
)
from promptship.evals.assertions.judged_prompts import Orders, orders
from promptship.evals.assertions.judged_reading import (
    Read,
    Unread,
    Verdict,
    either,
    ends_with_letter,
    first_object,
    graded,
    graded_loosely,
    number,
    reason,
    whole_object,
)
from promptship.evals.score import Judged, Score, Scored, Subject, Unscored

CATEGORIES: Final[Mapping[str, tuple[str, float]]] = MappingProxyType(
    {
        "A": ("subset", 1.0),
        "B": ("superset", 1.0),
        "C": ("agree", 1.0),
        "D": ("disagree", 0.0),
        "E": ("differButFactual", 1.0),
    }
)
"""Category of a factuality verdict: its name in `config`, and its score without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A judge grades against a text. With a threshold its score must reach that too."""

    orders: Orders
    title: str
    """What the text is: rubric, criterion, question."""
    text: str
    threshold: float | None = None
    above: bool = False
    """The threshold itself is not enough."""
    who: Any = None

    async def judge(self, subject: Subject) -> Judged:
        """The judge's verdict; a judge that fails is Unscored, never a zero and never a pass."""
        return await heard(subject.services, self.who, lambda hearing: self._score(hearing, subject))

    async def _score(self, hearing: Hearing, subject: Subject) -> Score:
        parts = [(self.title, self.text), *conversation(subject), ("answer", subject.output)]
        filled = (self.text, said_text(subject, self.orders), prompt_of(subject))
        values = {**subject.vars, **dict(zip(_NAMES[self.title], filled, strict=False))}
        strict, loose = _FORMS[self.title]
        read = reading(self.orders, strict, loose)
        verdict = await hearing.say(await self.orders.messages(subject.services, parts, values), read)
        if self.threshold is None or not verdict.passed:
            return Scored(verdict.passed, verdict.score, verdict.reason)
        reached = verdict.score > self.threshold if self.above else verdict.score >= self.threshold
        because = (
            ""
            if reached
            else f"score {verdict.score:g}, wanted {'more than ' * self.above}{self.threshold:g}; "
        )
        return Scored(reached, verdict.score, because + verdict.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Factuality:
    """A judge says how the facts of the answer relate to those of a reference; each relation has a score, 0 fails."""

    orders: Orders
    reference: str
    scores: Mapping[str, float]
    who: Any = None

    async def judge(self, subject: Subject) -> Judged:
        """The score of the category that the judge names."""
        return await heard(subject.services, self.who, lambda hearing: self._score(hearing, subject))

    async def _score(self, hearing: Hearing, subject: Subject) -> Score:
        parts = [*conversation(subject), ("reference", self.reference), ("answer", subject.output)]
        values = {
            **subject.vars, "input": prompt_of(subject), "ideal": self.reference,
            "completion": said_text(subject, self.orders),
        }  # fmt: skip
        read = reading(self.orders, _category, _category_loosely)
        letter, because = await hearing.say(await self.orders.messages(subject.services, parts, values), read)
        name, default = CATEGORIES[letter]
        score = {**_mapping(subject.test.get("options"), "factuality"), **self.scores}.get(name, default)
        return Scored(score > 0, float(score), because)


def _mapping(options: Any, key: str) -> Mapping[str, float]:
    """Scores of categories among the options of a promptfoo test."""
    found = options.get(key) if isinstance(options, Mapping) else None
    if not isinstance(found, Mapping):
        return {}
    return {name: score for name, score in found.items() if isinstance(score, int | float)}


def _category(text: str) -> tuple[str, str]:
    return _letter(whole_object(text))


def _letter(said: Mapping[str, Any]) -> tuple[str, str]:
    letter = str(said.get("category")).strip().upper()
    if letter not in CATEGORIES:
        raise Unread("`category` is not one of A, B, C, D, E")
    return letter, reason(dict(said))


def _category_loosely(text: str) -> tuple[str, str]:
    """An object somewhere, or a letter in brackets: `(B) says more`."""
    try:
        said = first_object(text, "category")
    except Unread:
        match = re.search(r"(?<![A-Za-z])\(?([A-Ea-e])\)\s*(.*)", text, re.DOTALL)
        if match is None:
            raise
        return match[1].upper(), match[2].strip()
    return _letter(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsProvider:
    """A type that only a service or an agent of the user's own can judge, and none is named."""

    what: str

    async def judge(self, _subject: Subject) -> Judged:
        """Never a score."""
        return Judged(Unscored(f"{self.what}; name one as the assertion's `provider`"))


def _score_alone(text: str) -> Verdict:
    said = whole_object(text)
    return Verdict(True, number(said, "score", 1.0), reason(said))


def _score_alone_loosely(text: str) -> Verdict:
    found = graded_loosely(text)
    first_object(text, "score")
    return Verdict(True, found.score, found.reason)


def _decided(text: str) -> Verdict:
    said = graded(text)
    return Verdict(said.passed, float(said.passed), said.reason)


_FORMS: Final[Mapping[str, tuple[Read[Verdict], Read[Verdict]]]] = MappingProxyType(
    {
        "rubric": (graded, graded_loosely),
        "criterion": (_decided, either(ends_with_letter, graded_loosely)),
        "question": (_score_alone, _score_alone_loosely),
    }
)
"""How a judge may answer to our orders, and besides to those of a team."""
_NAMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "rubric": ("rubric", "output"),
        "criterion": ("criteria", "completion", "input"),
        "question": ("rubric", "output"),
    }
)
"""What a template calls the text, the answer, and what was asked."""


def _rubric_text(spec: AssertionSpec, context: BuildContext) -> str:
    """A rubric: text, or an object as JSON; promptfoo also knows none."""
    if isinstance(spec.value, str) and spec.value.strip():
        return spec.value
    if spec.value and not isinstance(spec.value, str):
        return as_json(spec.value)
    if context.dialect is Dialect.PROMPTFOO:
        return ""
    raise invalid("value", "missing", "expected a rubric: what a good answer is like")


def llm_rubric(order: str) -> Maker:
    """Maker of `llm-rubric` and its kin. `value`: the rubric; `threshold`: least score."""

    def make(spec: AssertionSpec, context: BuildContext) -> Assertion:
        only(spec, context, "rubricPrompt", "threshold")
        own = orders(order, spec, context)
        return Graded(
            orders=own, title="rubric", text=_rubric_text(spec, context), threshold=threshold_of(spec, context),
            who=spec.provider,
        )  # fmt: skip

    return make


def closed_qa(spec: AssertionSpec, context: BuildContext) -> Assertion:
    """`value`: a criterion that is met or not."""
    only(spec, context, "rubricPrompt")
    own = orders("criterion", spec, context)
    return Graded(orders=own, title="criterion", text=answer_of(spec, "a criterion"), who=spec.provider)


def factuality(spec: AssertionSpec, context: BuildContext) -> Assertion:
    """`value`: a right answer; `config`: scores of subset, superset, agree, disagree, differButFactual."""
    only(spec, context, "rubricPrompt", "config")
    own = orders("factuality", spec, context)
    names = {name for name, _ in CATEGORIES.values()}
    scores = spec.config or {}
    for name, score in scores.items():
        if context.dialect is Dialect.NATIVE and (
            name not in names or not isinstance(score, int | float) or not 0 <= score <= 1
        ):
            raise invalid(
                f"config.{name}", repr(score)[:60], f"expected 0..1 for one of {', '.join(sorted(names))}"
            )
    return Factuality(
        orders=own, reference=answer_of(spec, "a right answer"), scores=scores, who=spec.provider
    )  # fmt: skip


def remote_rubric(order: str, what: str) -> Maker:
    """Maker of types that need more than a plain model; they work with a `provider` that has it."""
    make_graded = llm_rubric(order)

    def make(spec: AssertionSpec, context: BuildContext) -> Assertion:
        made = make_graded(spec, context)
        return made if spec.provider is not None else NeedsProvider(what=what)

    return make


def pi(spec: AssertionSpec, context: BuildContext) -> Assertion:
    """`value`: a question about the answer; passes above `threshold` (0.5)."""
    only(spec, context, "threshold")
    text = answer_of(spec, "a question about the answer")
    if spec.provider is None:
        return NeedsProvider(what="Pi scores come from a remote service, or from a model of yours")
    own = orders("question", spec, context)
    return Graded(
        orders=own, title="question", text=text, who=spec.provider, above=True,
        threshold=threshold_of(spec, context, 0.5),
    )  # fmt: skip
