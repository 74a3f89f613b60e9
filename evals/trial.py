"""One trial of a native suite: hold the conversation of a case, ask its assertions about every answer, add up."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import ConfigError, PromptshipError, Refused, Unavailable
from promptship.evals.asked import members, named_models
from promptship.evals.assertions import Prepared
from promptship.evals.assertions.judged_compared import PAIRWISE, SELECT_BEST
from promptship.evals.calls import unanswered
from promptship.evals.cases import Case, Turn
from promptship.evals.combining import combined, weighted_means
from promptship.evals.estimate import CHARS_PER_TOKEN, TOKENS_OUT, Planned, Rivals
from promptship.evals.judge_questions import IF_THERE, questions
from promptship.evals.row_log import json_line
from promptship.evals.rows import Arm, Asserted, Row
from promptship.evals.score import Judged, Part, Score, Scored, Subject, Unscored
from promptship.evals.services import Services
from promptship.evals.suite_file import AttackFile

Ask = Callable[[ChatRequest, int], Awaitable[ChatAnswer]]
"""The answer to a request in the n-th trial. Raises what `promptship.evals.units.Asking.answer` raises."""

Attacker = Callable[[str, Sequence[Mapping[str, Any]], int], Awaitable[ChatAnswer]]
"""What an attacker says next, given its goal, the conversation so far and the trial. Raises like `Ask`."""

_RIVALS: Final = {SELECT_BEST: Rivals.ALL, PAIRWISE: Rivals.STABLE}
NOT_RUN: Final = "(no result: the tool was not run)"
"""What a model is told about each of its tool calls before the next turn: providers refuse a call that nobody answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseTrial:
    """`promptship.evals.units.Unit`: one repetition of one case with one arm."""

    content: Case
    arm: Arm
    trial: int
    request: ChatRequest
    """The first one."""
    ask: Ask
    judge: str = ""
    """Model of the suite's judge; empty: it has none."""
    attacker_model: str = ""
    """For estimates; empty: nobody attacks."""
    attacker: Attacker | None = None
    """Goes on where the turns of a case with an `attack` end."""
    digest: str = ""
    """See `Unit`; computed from the rest."""

    def __post_init__(self) -> None:
        request = self.request
        sent = [
            request.model,
            request.messages,
            request.parameters,
            request.tools,
            request.response_format,
            self.content.digest,
        ]
        digest = hashlib.sha256(orjson.dumps(sent)).hexdigest()
        object.__setattr__(self, "digest", digest)

    @property
    def case(self) -> str:
        """Id of the case."""
        return self.content.id

    async def hold(self, services: Services) -> Row:
        """Do the trial. A call that fails makes the row Unscored."""
        told = _Told(messages=list(self.request.messages))
        failure: Unscored | None = None
        try:
            for number, turn in enumerate(self.content.turns):
                await self._turn(turn, number, told, services)
            if self.content.attack is not None:
                failure = await self._attacked(self.content.attack, told, services)
        except (Unavailable, Refused, ConfigError) as error:
            failure = unanswered(error)
        return self._row(told, failure)

    async def _turn(self, turn: Turn, number: int, told: _Told, services: Services) -> None:
        if turn.user is not None:
            told.messages.append({"role": "user", "content": turn.user})
        answer = await self.ask(_asking(self.request, told.messages), self.trial)
        told.sent = len(told.messages)
        await _assert(turn, number, self._subject(answer, told, services), told)
        told.messages += _spoken(answer)

    async def _attacked(self, attack: AttackFile, told: _Told, services: Services) -> Unscored | None:
        """The attacker goes on until an answer fails or it may not speak again. The case's assertions judge every answer."""
        if self.attacker is None:
            return Unscored("nobody attacks: no attacker is configured")
        last = self.content.turns[-1]
        for number in range(len(self.content.turns), len(self.content.turns) + attack.turns_max):
            if any(isinstance(one.score, Scored) and not one.score.passed for one in told.asserted):
                break
            words = await self.attacker(attack.goal, told.messages, self.trial)
            told.judge_tokens += (words.tokens_in or 0) + (words.tokens_out or 0)
            told.judge_cost_usd += 0.0 if words.cached else words.cost_usd or 0.0
            told.judge_unpriced += not words.cached and words.cost_usd is None
            await self._turn(Turn(user=words.text, asserts=last.asserts), number, told, services)
        return None

    def foreseen(self) -> Sequence[Planned]:
        """Its calls (`promptship.evals.estimate`): per turn one, those of judges, and one of an attacker before each of its turns."""
        parameters = self.request.parameters
        most = parameters.get("max_completion_tokens", parameters.get("max_tokens"))
        tokens_out = most if isinstance(most, int) else None
        answer = (TOKENS_OUT if tokens_out is None else tokens_out) * CHARS_PER_TOKEN
        characters = len(orjson.dumps([self.request.messages, self.request.tools]))
        planned: list[Planned] = []
        turns, attack = list(self.content.turns), self.content.attack
        attacked = attack.turns_max if attack is not None and self.attacker_model else 0
        turns += [Turn(user=" " * answer, asserts=turns[-1].asserts)] * attacked
        for number, turn in enumerate(turns):
            if number >= len(self.content.turns):
                planned.append(Planned(model=self.attacker_model, characters=characters))
            characters += len(turn.user or "")
            planned.append(Planned(model=self.request.model, characters=characters, tokens_out=tokens_out))
            characters += answer
            is_last = number == len(self.content.turns) - 1
            for one in turn.asserts:
                planned += self._questions(one, characters, replies=number + 1, compares=is_last)
        return planned

    def _questions(
        self, prepared: Prepared, characters: int, *, replies: int, compares: bool
    ) -> Iterator[Planned]:
        """What one assertion asks its judge; the answers that arms gave last are compared once."""
        for type_, assertion in members(prepared):
            model = next(named_models(assertion), self.judge)
            rivals = _RIVALS.get(type_)
            if (rivals and not compares) or (type_ in IF_THERE and not model):
                continue
            criteria = len(getattr(getattr(assertion, "other", assertion), "criteria", ("",)))
            times, times_max = questions(type_, criteria=criteria, replies=replies)
            if times:
                yield Planned(
                    model=model, characters=characters + len(str(prepared.value or "")), judge=True, times=times,
                    times_max=times_max, rivals=rivals or Rivals.NONE,
                )  # fmt: skip

    def _subject(self, answer: ChatAnswer, told: _Told, services: Services) -> Subject:
        output = said(answer)
        told.answers.append(output)
        told.usage.append(answer)
        return Subject(
            output=output, value=answer.value, services=services, answer=answer, messages=tuple(told.messages),
            vars=self.content.vars, provider_config=_config(self.request),
            test={"id": self.content.id, "description": self.content.description, "vars": self.content.vars},
        )  # fmt: skip

    def _row(self, told: _Told, failure: Unscored | None) -> Row:
        score = failure or _together(told, self.content.threshold)
        last = told.usage[-1] if told.usage else None
        sent = told.messages[: told.sent] if told.sent else told.messages
        return Row(
            case=self.content.id, arm=self.arm, trial=self.trial, digest=self.digest, score=score,
            asserted=tuple(told.asserted), answers=tuple(told.answers), value=None if last is None else last.value,
            sent=json_line(sent).decode().rstrip(), named=weighted_means(told.named),
            error="" if failure is None else ": ".join(filter(None, (failure.reason, failure.detail))),
            latency_ms=_sum([answer.latency_ms or None for answer in told.usage]),
            tokens_in=_whole([answer.tokens_in for answer in told.usage]),
            tokens_out=_whole([answer.tokens_out for answer in told.usage]),
            tokens_cached=_whole([answer.tokens_cached for answer in told.usage]),
            cost_usd=_sum([0.0 if answer.cached else answer.cost_usd for answer in told.usage]),
            judge_tokens=told.judge_tokens, judge_cost_usd=told.judge_cost_usd,
            judge_unpriced=told.judge_unpriced,
            cached=bool(told.usage) and all(answer.cached for answer in told.usage),
            model="" if last is None else last.model, fingerprint="" if last is None else last.fingerprint,
            finish_reason="" if last is None else last.finish_reason, metadata={} if last is None else last.metadata,
        )  # fmt: skip


@dataclass(slots=True)
class _Told:
    """What a trial has gathered so far."""

    messages: list[dict[str, Any]]
    sent: int = 0
    """So many of the messages were answered."""
    answers: list[str] = field(default_factory=list)
    asserted: list[Asserted] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    named: list[tuple[str, float, float]] = field(default_factory=list)
    """Metric, score, weight."""
    usage: list[ChatAnswer] = field(default_factory=list)
    judge_tokens: int = 0
    judge_cost_usd: float = 0.0
    judge_unpriced: int = 0


def _together(told: _Told, threshold: float | None) -> Score:
    """The score of the trial. Silence is no pass: what only a person, or a comparison with other arms decides has none here."""
    if any(told.weights):
        return combined(told.asserted, told.weights, threshold)
    waiting = next((one for one in told.asserted if isinstance(one.score, Unscored)), None)
    if waiting is None:
        return Unscored("no assertion has a vote")
    assert isinstance(waiting.score, Unscored)  # noqa: S101 - just looked
    return Unscored(f"{waiting.label}: {waiting.score.reason}", waiting.score.detail)


def said(answer: ChatAnswer) -> str:
    """The text of an answer, or its tool calls as JSON when it has no text."""
    if answer.text or not answer.tool_calls:
        return answer.text
    return json_line(list(answer.tool_calls)).decode().rstrip("\n")


def _spoken(answer: ChatAnswer) -> list[dict[str, Any]]:
    """The answer as the next request repeats it."""
    if not answer.tool_calls:
        return [{"role": "assistant", "content": answer.text}]
    calls = list(answer.tool_calls)
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": NOT_RUN} for call in calls if call.get("id")
    ]
    return [{"role": "assistant", "content": answer.text or None, "tool_calls": calls}, *results]


def _asking(request: ChatRequest, messages: Sequence[dict[str, Any]]) -> ChatRequest:
    return ChatRequest(
        model=request.model, messages=tuple(messages), parameters=request.parameters, tools=request.tools,
        response_format=request.response_format,
    )  # fmt: skip


def _config(request: ChatRequest) -> Mapping[str, Any]:
    """Parameters of the model with its tools, for assertions that look at them."""
    return {**request.parameters, "tools": list(request.tools)} if request.tools else request.parameters


async def _assert(turn: Turn, number: int, subject: Subject, told: _Told) -> None:
    for prepared in turn.asserts:
        try:
            judged = await prepared.assertion.judge(subject)
        except PromptshipError as error:  # of a judge: the answer is there, this score is not
            judged = Judged(_of_judge(error))
        except Exception as error:  # noqa: BLE001 - a mistake of ours costs a score, not the run
            judged = Judged(Unscored(f"the assertion broke: {type(error).__name__}", str(error)))
        told.asserted.append(
            Asserted(
                label=prepared.label,
                turn=number,
                score=judged.score,
                type=prepared.type,
                weight=prepared.weight,
                metric=prepared.metric,
                value=prepared.value,
                judge_tokens=judged.judge_tokens,
                said=judged.said,
                judge=judged.judge,
                parts=tuple(_part(part, number) for part in judged.parts),
            )
        )
        told.weights.append(prepared.weight)
        told.judge_tokens += judged.judge_tokens
        told.judge_cost_usd += judged.judge_cost_usd
        told.judge_unpriced += judged.judge_unpriced
        if prepared.metric is not None and isinstance(judged.score, Scored):
            told.named.append((prepared.metric, judged.score.score, prepared.weight))
        told.named += [(name, score, 1.0) for name, score in judged.named.items()]
        told.named += [
            (part.metric, part.score.score, part.weight)
            for part in judged.parts
            if part.metric is not None and isinstance(part.score, Scored)
        ]


def _of_judge(error: PromptshipError) -> Unscored:
    missing = unanswered(error)
    return Unscored(missing.reason.replace("the provider", "the judge's provider"), missing.detail)


def _part(part: Part, turn: int) -> Asserted:
    return Asserted(
        label=part.label, turn=turn, score=part.score, type=part.type, weight=part.weight, metric=part.metric,
        value=part.value, said=part.said, parts=tuple(_part(one, turn) for one in part.parts),
    )  # fmt: skip


def _sum(values: Sequence[float | None]) -> float | None:
    """None as soon as one is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _whole(values: Sequence[int | None]) -> int | None:
    total = _sum(values)
    return None if total is None else int(total)
