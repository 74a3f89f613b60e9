"""The assertions of a row: values rendered with its variables, built once per content, asked, and turned into votes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from promptship.errors import ConfigError, PromptshipError
from promptship.evals.assertions import (
    ASKS_MODELS,
    NEEDS_JUDGE,
    AssertionSpec,
    BuildContext,
    Dialect,
    Prepared,
    build,
)
from promptship.evals.calls import unanswered
from promptship.evals.promptfoo.assertion_types import COMPARING, NOT, SET
from promptship.evals.promptfoo.calling import is_script, script_of
from promptship.evals.promptfoo.counting import Counted
from promptship.evals.promptfoo.model import TestCase
from promptship.evals.promptfoo.nunjucks import Nunjucks, TemplateError
from promptship.evals.promptfoo.scoring import Vote, total
from promptship.evals.rows import Asserted, Row
from promptship.evals.score import Judged, Part, Scored, Subject, Unscored
from promptship.evals.services import ScriptFailed, Services, Usage
from promptship.evals.units import Settle

if TYPE_CHECKING:
    from promptship.evals.assertions.judged_compared import Compared

KEYS: Final = frozenset(
    {
        "type",
        "value",
        "threshold",
        "weight",
        "metric",
        "provider",
        "rubricPrompt",
        "transform",
        "contextTransform",
        "config",
    }
)
"""What an assertion may say; promptfoo passes over anything else, so it is passed over here."""
_KEPT_MAX: Final = 4096
"""Built assertions that are kept: of the same content again and again, so few are enough; every other row has its own."""
_SCRIPTS: Final = frozenset({"javascript", "python", "ruby"})
_SHOWN_MAX: Final = 200


class Unusable(Exception):
    """An assertion cannot be asked; the message says why."""


@dataclass(slots=True)
class Outcome:
    """What the assertions of a row said."""

    votes: tuple[Vote, ...] = ()
    judge_tokens: int = 0
    judge_cost_usd: float = 0.0
    judge_unpriced: int = 0


@dataclass(slots=True)
class Assertions:
    """All of a run. `renderer` has no filters of the user's own: so it is in promptfoo."""

    context: BuildContext
    renderer: Nunjucks
    base: Path
    _kept: dict[tuple[Any, ...], tuple[Prepared, Any, Any, Any]] = field(default_factory=dict)
    """With what the key has only the identity of, so that it stays the same thing."""
    _files: dict[str, Any] = field(default_factory=dict)

    async def ask(self, case: TestCase, subject: Subject) -> Outcome:
        """The votes of a row's assertions, in their order; comparisons are left out."""
        asking: list[tuple[int, Mapping[str, Any]]] = []
        places: dict[int, list[Vote]] = {}
        for place, raw in enumerate(case.asserts):
            kind = raw.get("type")
            if kind in COMPARING:
                continue
            places[place] = []
            asking.extend((place, one) for one in (raw.get("assert") or () if kind == SET else (raw,)))
        answers = await self._answers([raw for _, raw in asking], case, subject)
        outcome = Outcome()
        for (place, _), (vote, judged) in zip(asking, answers, strict=True):
            places[place].append(vote)
            outcome.judge_tokens += judged.judge_tokens
            outcome.judge_cost_usd += judged.judge_cost_usd
            outcome.judge_unpriced += judged.judge_unpriced
        outcome.votes = tuple(
            self._set(case.asserts[place], votes, subject)
            if case.asserts[place].get("type") == SET
            else votes[0]
            for place, votes in places.items()
        )
        return outcome

    def settling(self, case: TestCase) -> Settle:
        """What settles the comparisons of a case: the first of each kind, as in promptfoo."""
        from promptship.evals.judges.settling import Comparison, settle

        try:
            specs = tuple(self._compared(case))
        except (ConfigError, ValidationError, TemplateError) as error:
            return _unsettled(str(error))
        return settle(
            Comparison(specs=specs, threshold=case.threshold, vars=case.vars), dialect=Dialect.PROMPTFOO
        )

    def _compared(self, case: TestCase) -> Iterator[Compared]:
        from promptship.evals.assertions.judged_compared import Compared

        for kind in COMPARING:
            raw = next((raw for raw in case.asserts if raw.get("type") == kind), None)
            if raw is None:
                continue
            given = {name: raw[name] for name in KEYS if raw.get(name) is not None}
            if isinstance(given.get("value"), str):
                given["value"] = self.renderer.render(given["value"], case.vars)
            for name in ("provider", "rubricPrompt"):
                if case.options.get(name) is not None:
                    given.setdefault(name, case.options[name])
            made = build(AssertionSpec.model_validate(given), self.context).assertion
            if isinstance(made, Compared):
                yield made

    async def _answers(
        self, raws: Sequence[Mapping[str, Any]], case: TestCase, subject: Subject
    ) -> list[tuple[Vote, Judged]]:
        """Judges side by side, everything else one after the other."""
        answers: dict[int, tuple[Vote, Judged]] = {}
        slow: list[int] = []
        for place, raw in enumerate(raws):
            if str(raw.get("type")).removeprefix(NOT) in NEEDS_JUDGE:
                slow.append(place)
            else:
                answers[place] = await self._one(raw, case, subject)
        if slow:
            judged = await asyncio.gather(*(self._one(raws[place], case, subject) for place in slow))
            answers.update(zip(slow, judged, strict=True))
        return [answers[place] for place in range(len(raws))]

    async def _one(self, raw: Mapping[str, Any], case: TestCase, subject: Subject) -> tuple[Vote, Judged]:
        try:
            prepared = await self._prepared(raw, case, subject)
        except Unusable as error:
            judged = Judged(Unscored("the assertion cannot be used", str(error)))
            kind, metric = str(raw.get("type")), self._metric(raw, subject)
            asserted = Asserted(
                label=metric or kind,
                turn=0,
                score=judged.score,
                type=kind,
                weight=_weight(raw),
                metric=metric,
            )
            return Vote(asserted=asserted), judged
        counted = None
        if prepared.type.removeprefix(NOT) in ASKS_MODELS:
            subject, counted = Counted.of(subject)
        try:
            judged = await prepared.assertion.judge(subject)
        except PromptshipError as error:
            missing = unanswered(error)
            reason = missing.reason.replace("the provider", "the judge's provider")
            judged = Judged(Unscored(reason, missing.detail))
        return _vote(raw, prepared, judged, Usage() if counted is None else counted.usage), judged

    async def _prepared(self, raw: Mapping[str, Any], case: TestCase, subject: Subject) -> Prepared:
        """Built anew only when value, judge or orders are not those of an earlier row."""
        provider = raw.get("provider") or case.options.get("provider")
        orders = raw.get("rubricPrompt") or case.options.get("rubricPrompt")
        value, fixed = await self._value(raw, subject)
        metric = self._metric(raw, subject)
        rendered = (
            tuple(value)
            if isinstance(value, list) and all(isinstance(item, str) for item in value)
            else value
        )
        same = (
            rendered if isinstance(rendered, str | tuple | int | float | bool) or value is None else id(value)
        )
        key = (id(raw), same, metric, id(provider) if provider else 0, id(orders) if orders else 0)
        if fixed and (kept := self._kept.get(key)) is not None:
            return kept[0]
        given = {name: raw[name] for name in KEYS if raw.get(name) is not None}
        more = {"value": value, "metric": metric, "provider": provider, "rubricPrompt": orders}
        given |= {name: item for name, item in more.items() if item is not None}
        if "value" in raw:
            given.setdefault("value", None)  # null is a value: equals compares with it
        try:
            prepared = build(AssertionSpec.model_validate(given), self.context)
        except ConfigError as error:
            raise Unusable(
                "; ".join(_said(problem.key, problem.got, problem.expected) for problem in error.problems)
            ) from None
        except ValidationError as error:
            raise Unusable(
                "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            ) from None
        if fixed:
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            self._kept[key] = (prepared, raw, provider, orders)
        return prepared

    async def _value(self, raw: Mapping[str, Any], subject: Subject) -> tuple[Any, bool]:
        """The value with templates filled in and files read, and whether it depends on the variables alone."""
        value = raw.get("value")
        if isinstance(value, list):
            return [self._text(item, subject) if isinstance(item, str) else item for item in value], True
        if not isinstance(value, str):
            return value, True
        if not (value.startswith("file://") and is_script(value)):
            return self._text(value, subject), True
        if str(raw.get("type")).removeprefix(NOT) in _SCRIPTS:
            return value, True
        return await self._scripted(raw, value, subject), False

    async def _scripted(self, raw: Mapping[str, Any], value: str, subject: Subject) -> Any:
        """What a script makes of the answer is the value that is demanded."""
        context: dict[str, Any] = {
            "prompt": subject.prompt, "vars": dict(subject.vars), "test": dict(subject.test),
            "metadata": dict(subject.answer.metadata),
        }  # fmt: skip
        if raw.get("config") is not None:
            context["config"] = raw["config"]
        try:
            made = await subject.services.scripts.run(
                script_of(value, self.base, (subject.said, context), python="get_assert")
            )
        except (ScriptFailed, ConfigError) as error:
            raise Unusable(str(error)) from None
        if isinstance(made, bool) or (isinstance(made, Mapping) and "pass" in made):
            raise Unusable(f"{value} gave a verdict, but {raw.get('type')} wants the value to compare with")
        return made

    def _text(self, text: str, subject: Subject) -> Any:
        if text.startswith("file://"):
            return self._file(text)
        try:
            return self.renderer.render(text, subject.vars)
        except TemplateError as error:
            raise Unusable(f"its template is wrong: {error}") from None

    def _file(self, reference: str) -> Any:
        if reference not in self._files:
            from promptship.evals.promptfoo.references import load_value

            try:
                self._files[reference] = load_value(reference, self.base)
            except ConfigError as error:
                raise Unusable(str(error)) from None
        return self._files[reference]

    def _metric(self, raw: Mapping[str, Any], subject: Subject) -> str | None:
        metric = raw.get("metric")
        if not metric:
            return None
        try:
            return self.renderer.render(str(metric), subject.vars)
        except TemplateError:
            return str(metric)

    def _set(self, raw: Mapping[str, Any], members: Sequence[Vote], subject: Subject) -> Vote:
        threshold = raw.get("threshold")
        whole = total(members, threshold)
        metric = self._metric(raw, subject)
        asserted = Asserted(
            label=metric or SET, turn=0, score=whole.score, type=SET, weight=_weight(raw), metric=metric,
            named=whole.named, named_weights=whole.named_weights, parts=tuple(vote.asserted for vote in members),
        )  # fmt: skip
        return Vote(asserted=asserted, named=whole.named, named_weights=whole.named_weights)


def _unsettled(why: str) -> Settle:
    """Rows whose comparison cannot be made have no score."""

    async def settled(rows: Sequence[Row], _: Services) -> Sequence[Row]:
        return [replace(row, score=Unscored("the comparison cannot be used", why)) for row in rows]

    return settled


def _vote(raw: Mapping[str, Any], prepared: Prepared, judged: Judged, usage: Usage) -> Vote:
    asserted = Asserted(
        label=prepared.label, turn=0, score=judged.score, type=prepared.type, weight=prepared.weight, metric=prepared.metric,
        value=prepared.value, judge_tokens=judged.judge_tokens, judge_usage=usage, said=judged.said, judge=judged.judge,
        named=judged.named, parts=tuple(_part(part) for part in judged.parts),
    )  # fmt: skip
    attacked = prepared.type == "guardrails" and (raw.get("config") or {}).get("purpose") == "redteam"
    stopped = attacked and isinstance(judged.score, Scored) and not judged.score.passed
    return Vote(asserted=asserted, named=judged.named, excuses=stopped)


def _part(part: Part) -> Asserted:
    return Asserted(
        label=part.label, turn=0, score=part.score, type=part.type, weight=part.weight, metric=part.metric
    )


def _weight(raw: Mapping[str, Any]) -> float:
    weight = raw.get("weight")
    return float(weight) if isinstance(weight, int | float) else 1.0


def _said(key: str, got: str, expected: str) -> str:
    return f"{key} is {got}; {expected}"
