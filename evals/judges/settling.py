"""Scores that need the answers of all arms of a case: select-best, max-score, pairwise against stable."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from promptship.errors import Refused
from promptship.evals.assertions.base import Dialect
from promptship.evals.assertions.catalogue import NOT_VOTING
from promptship.evals.assertions.judged_asking import Hearing, heard
from promptship.evals.assertions.judged_compared import MAX_SCORE, PAIRWISE, Compared
from promptship.evals.assertions.judged_making import ROUNDING
from promptship.evals.cases import Suite
from promptship.evals.combining import combined
from promptship.evals.judges.comparing import LOSS, TIE, WIN, compared
from promptship.evals.rows import Asserted, Row
from promptship.evals.score import Judged, Score, Scored, Unscored
from promptship.evals.services import Services
from promptship.evals.units import Settle

STABLE: Final = "stable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is to be compared in one case. `threshold`: the case's own. `vars`: for templates of a team's orders."""

    specs: tuple[Compared, ...]
    threshold: float | None = None
    vars: Mapping[str, Any] | None = None


def settle(
    wanted: Comparison | Callable[[str], Comparison | None], *, dialect: Dialect = Dialect.NATIVE
) -> Settle:
    """How the rows of one case and trial, one per arm, are scored anew by their comparisons. Never raises.

    Args:
        wanted: the comparisons, or what gives those of a case by its id; None: the case has none.
        dialect: natively a comparison is one more vote in the trial's score; promptfoo lets a row that does not win fail
            with the comparison's score, and leaves a winner's score as it is.

    A row without an answer is not compared and stays as it is; with fewer than two answers left the comparison is Unscored.
    """

    async def settled(rows: Sequence[Row], services: Services) -> Sequence[Row]:
        comparison = wanted if isinstance(wanted, Comparison) else wanted(rows[0].case)
        if comparison is None:
            return rows
        for spec in comparison.specs:
            found = await _decided(spec, rows, services, comparison, dialect)
            rows = [_with(row, spec, one, comparison, dialect) for row, one in zip(rows, found, strict=True)]
        return rows

    return settled


def native_settle(suite: Suite) -> Settle | None:
    """How the cases of a native suite are settled; None: no case compares anything. Only last answers are compared."""
    wanted: dict[str, Comparison] = {}
    for case in suite.cases:
        asserts = case.turns[-1].asserts if case.turns else ()
        specs = tuple(one.assertion for one in asserts if isinstance(one.assertion, Compared))
        if specs:
            wanted[case.id] = Comparison(specs=specs, threshold=case.threshold, vars=case.vars)
    return settle(wanted.get) if wanted else None


@dataclass(frozen=True, slots=True)
class _Found:
    """Result for one row; `judged` says what it took, `votes` whether it counts in the row's score."""

    score: Score
    judged: Judged
    votes: bool = True


async def _decided(
    spec: Compared, rows: Sequence[Row], services: Services, comparison: Comparison, dialect: Dialect
) -> list[_Found | None]:
    """One result per row; None: it has no answer to compare."""
    there = [number for number, row in enumerate(rows) if row.answers and not row.error]
    found: dict[int, _Found] = {}
    if spec.type == MAX_SCORE:
        first_wins = dialect is Dialect.PROMPTFOO
        scores = max_score(spec, [rows[number] for number in there], first_wins=first_wins)
        found = {number: _Found(score, Judged(score)) for number, score in zip(there, scores, strict=True)}
    elif spec.type == PAIRWISE:
        found = await _pairwise(spec, rows, there, services, comparison)
    else:
        found = await _contest(spec, rows, there, services, comparison)
    return [found.get(number) for number in range(len(rows))]


async def _contest(
    spec: Compared, rows: Sequence[Row], there: Sequence[int], services: Services, comparison: Comparison
) -> dict[int, _Found]:
    """The best among several answers; what was spent stands with the first of them."""
    if len(there) < 2:  # noqa: PLR2004 - a comparison needs two
        alone = Unscored("fewer than two arms have an answer to compare")
        return {number: _Found(alone, Judged(alone)) for number in there}
    answers = [rows[number].answers[-1] for number in there]
    question = _question([rows[number] for number in there])
    scores: list[float] = []

    async def work(hearing: Hearing) -> Score:
        scores.extend(
            await compared(spec, answers, hearing, services, question=question, values=comparison.vars)
        )
        return Scored(True, WIN)

    try:
        judged = await heard(services, spec.who, work)
    except Refused as error:
        judged = Judged(Unscored("the judge's provider refused the key", str(error)))
    free = replace(judged, judge_tokens=0, judge_cost_usd=0.0, judge_unpriced=0)
    return {
        number: _Found(_as_score(scores[place]) if scores else judged.score, free if place else judged)
        for place, number in enumerate(there)
    }


def _as_score(value: float) -> Scored:
    reason = {TIE: "tie: not the best in both orders, not beaten in both", LOSS: "another answer is better"}
    return Scored(value > LOSS, value, reason.get(value, ""))


async def _pairwise(
    spec: Compared, rows: Sequence[Row], there: Sequence[int], services: Services, comparison: Comparison
) -> dict[int, _Found]:
    """Every arm against stable. Stable has the mirrored result when there is one other arm, else no vote."""
    stable = next((number for number, row in enumerate(rows) if row.arm == STABLE), None)
    others = [number for number in there if number != stable]
    if stable is None:
        nobody = Unscored("there is no stable version to compare with")
        return {number: _Found(nobody, Judged(nobody), votes=False) for number in others}
    if stable not in there:
        silent = Unscored("the stable version gave no answer to compare with")
        return {number: _Found(silent, Judged(silent)) for number in others}
    found: dict[int, _Found] = {}
    for number in others:
        pair = await _contest(spec, rows, (number, stable), services, comparison)
        found[number] = pair[number]
        found[stable] = pair[stable]
    if len(others) != 1:
        many = Unscored("it is what the other arms are compared with")
        found[stable] = _Found(many, Judged(many), votes=False)
    return found


def max_score(spec: Compared, rows: Sequence[Row], *, first_wins: bool = False) -> list[Score]:
    """Which rows have the highest mean (or sum) of their other assertions' scores, weighted by type.

    The winner passes with 1, the others fail with 0; `threshold` must be reached to win. Of equal ones all win, with
    `first_wins` the first. One missing score leaves all of them without a result: it could have been the highest.
    """
    totals: list[float] = []
    for row in rows:
        total = _total(spec, row)
        if isinstance(total, Unscored):
            return [total] * len(rows)
        totals.append(total)
    if len(totals) < 2:  # noqa: PLR2004 - a comparison needs two
        return [Unscored("fewer than two arms have an answer to compare")] * len(rows)
    best = max(totals)
    winners = [total >= best - ROUNDING for total in totals]
    if first_wins:
        winners = [number == winners.index(True) for number in range(len(winners))]
    enough = spec.threshold is None or best >= spec.threshold
    return [_won(total, best, won=won, enough=enough) for total, won in zip(totals, winners, strict=True)]


def _won(total: float, best: float, *, won: bool, enough: bool) -> Scored:
    if won and enough:
        return Scored(True, WIN)
    because = "the highest, and below the threshold" if won else f"the highest has {best:.3f}"
    return Scored(False, LOSS, f"score {total:.3f}: {because}")


def _total(spec: Compared, row: Row) -> float | Unscored:
    weights: list[float] = []
    products: list[float] = []
    for one in _single(row.asserted):
        if isinstance(one.score, Unscored):
            return Unscored(f"{one.label} has no score to compare", one.score.reason)
        weights.append(float(spec.weights.get(one.type, 1.0)))
        products.append(one.score.score * weights[-1])
    if not weights:
        return Unscored("there is no other assertion whose scores could be compared")
    total = math.fsum(products)
    return total if spec.summed else total / (math.fsum(weights) or 1.0)


def _single(asserted: Sequence[Asserted]) -> Iterator[Asserted]:
    """Assertions that say something about one answer; of a set its members."""
    for one in asserted:
        if one.type == "assert-set":
            yield from _single(one.parts)
        elif one.type not in NOT_VOTING:
            yield one


def _question(rows: Sequence[Row]) -> str:
    """What the user asked last, when all arms were asked the same; prompts differ between arms and would tell them apart."""
    asked = {_last_user(row.sent) for row in rows}
    return asked.pop() if len(asked) == 1 else ""


def _last_user(sent: str) -> str:
    try:
        messages = json.loads(sent)
    except (ValueError, RecursionError):
        return sent
    if not isinstance(messages, list):
        return sent
    said = [one.get("content") for one in messages if isinstance(one, dict) and one.get("role") == "user"]
    return said[-1] if said and isinstance(said[-1], str) else ""


def _with(row: Row, spec: Compared, found: _Found | None, comparison: Comparison, dialect: Dialect) -> Row:
    """The row with one result more."""
    if found is None:
        return row
    asserted = _placed(row.asserted, _asserted(spec, found))
    named = dict(row.named)
    if spec.metric is not None and isinstance(found.score, Scored):
        named.setdefault(spec.metric, found.score.score)
    score = row.score
    if dialect is Dialect.PROMPTFOO:
        score = _as_promptfoo(row.score, spec, found.score)
    elif found.votes:
        score = combined(asserted, [one.weight for one in asserted], comparison.threshold)
    elif not any(one.weight > 0 for one in asserted):
        score = found.score  # nothing else says anything about this row, and silence is no pass
    return replace(
        row, asserted=asserted, named=named, score=score,
        judge_tokens=row.judge_tokens + found.judged.judge_tokens,
        judge_cost_usd=row.judge_cost_usd + found.judged.judge_cost_usd,
        judge_unpriced=row.judge_unpriced + found.judged.judge_unpriced,
    )  # fmt: skip


def _asserted(spec: Compared, found: _Found) -> Asserted:
    return Asserted(
        label=spec.label, turn=0, type=spec.type, score=found.score, weight=spec.weight if found.votes else 0.0,
        metric=spec.metric, value=spec.criterion[:200] or None, judge_tokens=found.judged.judge_tokens,
        said=found.judged.said, judge=found.judged.judge,
    )  # fmt: skip


def _placed(asserted: Sequence[Asserted], one: Asserted) -> tuple[Asserted, ...]:
    """In the place of the mark that waits for it, or at the end."""
    for place, mark in enumerate(asserted):
        waits = isinstance(mark.score, Unscored) and not mark.judge
        if waits and (mark.type, mark.label) == (one.type, one.label):
            return (*asserted[:place], replace(one, turn=mark.turn), *asserted[place + 1 :])
    return (*asserted, one)


def _as_promptfoo(score: Score, spec: Compared, found: Score) -> Score:
    if isinstance(found, Scored):
        if found.passed:
            return score
        before = score.reason if isinstance(score, Scored) and not score.passed else ""
        reason = "; ".join(filter(None, (before, f"{spec.label}: {found.reason}")))
        return Scored(False, found.score, reason)
    if isinstance(score, Scored) and not score.passed:
        return score
    return Unscored(f"{spec.label}: {found.reason}", found.detail)
