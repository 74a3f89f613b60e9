"""One trial: hold the conversation of a case, ask its assertions about every answer, add up."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from promptship.errors import ConfigError, Unavailable
from promptship.evals.calls import Calls
from promptship.evals.cases import Case, Turn
from promptship.evals.rows import Arm, Asserted, Row
from promptship.evals.score import Checker, Judge, Score, Scored, Subject, Unscored
from promptship.ports import ChatAnswer, ChatRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One trial to be done: which case, which version, which repetition, and the first request."""

    case: Case
    arm: Arm
    trial: int
    request: ChatRequest

    @property
    def digest(self) -> str:
        """Of everything that decides about the score, except chance."""
        request = self.request
        sent = [
            request.model,
            request.messages,
            request.parameters,
            request.tools,
            request.response_format,
            self.case.digest,
        ]
        return hashlib.sha256(orjson.dumps(sent, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(slots=True)
class _Told:
    """What a trial has gathered so far."""

    answers: list[str] = field(default_factory=list)
    asserted: list[Asserted] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    usage: list[ChatAnswer] = field(default_factory=list)
    judge_tokens: int = 0


async def hold(unit: Unit, calls: Calls, checker: Checker, judge: Judge | None) -> Row:
    """Do one trial. A call that fails makes the row Unscored. Raises Refused (401, 403)."""
    told = _Told()
    messages = list(unit.request.messages)
    failure: Unscored | None = None
    for number, turn in enumerate(unit.case.turns):
        if turn.user is not None:
            messages.append({"role": "user", "content": turn.user})
        try:
            answer = await calls.complete(_asking(unit.request, messages))
        except Unavailable as error:
            failure = Unscored("the provider did not answer", str(error))
            break
        except ConfigError as error:
            failure = Unscored("the provider refused the request as wrong", str(error))
            break
        output = said(answer)
        told.answers.append(output)
        told.usage.append(answer)
        subject = Subject(
            output=output, checker=checker, judge=judge, messages=tuple(messages), vars=unit.case.vars,
            latency_ms=answer.latency_ms or None, finish_reason=answer.finish_reason, tool_calls=answer.tool_calls,
        )  # fmt: skip
        await _ask(turn, number, subject, told)
        messages.append({"role": "assistant", "content": output})
    score = failure or combined(told.asserted, told.weights, unit.case.threshold)
    return Row(
        case=unit.case.id, arm=unit.arm, trial=unit.trial, digest=unit.digest, score=score,
        asserted=tuple(told.asserted), answers=tuple(told.answers),
        latency_ms=_sum([answer.latency_ms or None for answer in told.usage]),
        tokens_in=_whole([answer.tokens_in for answer in told.usage]),
        tokens_out=_whole([answer.tokens_out for answer in told.usage]), judge_tokens=told.judge_tokens,
    )  # fmt: skip


def said(answer: ChatAnswer) -> str:
    """The text of an answer, or its tool calls as JSON when it has no text."""
    if answer.text or not answer.tool_calls:
        return answer.text
    return orjson.dumps(list(answer.tool_calls)).decode()


def _asking(request: ChatRequest, messages: Sequence[dict[str, Any]]) -> ChatRequest:
    return ChatRequest(
        model=request.model, messages=tuple(messages), parameters=request.parameters, tools=request.tools,
        response_format=request.response_format,
    )  # fmt: skip


async def _ask(turn: Turn, number: int, subject: Subject, told: _Told) -> None:
    for prepared in turn.asserts:
        judged = await prepared.assertion.judge(subject)
        told.asserted.append(Asserted(label=prepared.label, turn=number, score=judged.score))
        told.weights.append(prepared.weight)
        told.judge_tokens += judged.judge_tokens


def combined(asserted: Sequence[Asserted], weights: Sequence[float], threshold: float | None) -> Score:
    """The score of a trial: weighted mean; passed when every assertion that has a weight passed, or `threshold` is reached.

    A missing score makes the trial Unscored only when it could change the result.
    """
    voting = [(one, weight) for one, weight in zip(asserted, weights, strict=True) if weight > 0]
    measured = [(one.label, one.score, weight) for one, weight in voting if isinstance(one.score, Scored)]
    missing = [(one, weight) for one, weight in voting if isinstance(one.score, Unscored)]
    total = sum(weight for _, weight in voting)
    reached = sum(score.score * weight for _, score, weight in measured)
    mean = reached / known if (known := sum(weight for _, _, weight in measured)) else 0.0
    failed = [f"{label}: {score.reason}" for label, score, _ in measured if not score.passed]
    reason = "; ".join(failed)
    if threshold is None:
        surely_failed, surely_passed = bool(failed), not failed and not missing
    else:
        still_open = sum(weight for _, weight in missing)
        surely_failed, surely_passed = (
            reached + still_open < threshold * total - 1e-12,
            reached >= threshold * total - 1e-12,
        )
    if surely_failed or surely_passed:
        return Scored(
            surely_passed, mean, "" if surely_passed else reason or f"score {mean:.2f}, wanted {threshold}"
        )
    first = missing[0][0]
    assert isinstance(first.score, Unscored)  # noqa: S101 - only those are in `missing`
    return Unscored(f"{first.label}: {first.score.reason}", first.score.detail)


def _sum(values: Sequence[float | None]) -> float | None:
    """None as soon as one is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _whole(values: Sequence[int | None]) -> int | None:
    total = _sum(values)
    return None if total is None else int(total)
