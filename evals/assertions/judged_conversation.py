"""Types about more than one message: does every reply fit the conversation, did an agent reach its goal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from promptship.evals.assertions.base import Assertion, AssertionSpec, BuildContext, Dialect, invalid
from promptship.evals.assertions.judged_asking import Hearing, NoVerdict, as_json, heard
from promptship.evals.assertions.judged_making import (
    content_of,
    only,
    prompt_of,
    reaching,
    reading,
    said_text,
    threshold_of,
)
from promptship.evals.assertions.judged_prompts import Orders, orders
from promptship.evals.assertions.judged_reading import (
    Unread,
    first_object,
    flag,
    graded,
    graded_loosely,
    reason,
    whole_object,
)
from promptship.evals.assertions.steps import Step, steps_of
from promptship.evals.score import Judged, Score, Scored, Subject

WINDOW: Final = 5
THRESHOLD: Final = 0.5
STEPS_MAX: Final = 24
"""Of a long trace only the first and the last steps are shown, half of them each."""
Turn = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationRelevance:
    """Share of replies that fit what was said before, each seen with the turns before it."""

    orders: Orders
    window: int
    threshold: float
    who: Any = None

    async def judge(self, subject: Subject) -> Judged:
        """Relevant replies / replies."""
        return await heard(subject.services, self.who, lambda hearing: self._score(hearing, subject))

    async def _score(self, hearing: Hearing, subject: Subject) -> Score:
        turns = _turns(subject, promptfoo=self.orders.promptfoo)
        read = reading(self.orders, _relevant, _relevant_loosely)
        misses: list[str] = []
        for end in range(1, len(turns) + 1):
            shown = turns[max(0, end - self.window) : end]
            told = "\n".join(f"[user] {asked}\n[assistant] {reply}" for asked, reply in shown)
            pairs = [{"input": asked, "output": reply} for asked, reply in shown]
            asked_for = await self.orders.messages(
                subject.services, [("conversation", told)], {**subject.vars, "messages": pairs}
            )
            fits, because = await hearing.say(asked_for, read)
            if not fits:
                misses.append(because)
        score = (len(turns) - len(misses)) / len(turns)
        what = f"{len(turns) - len(misses)} of {len(turns)} replies fit"
        return reaching(score, self.threshold, "; ".join([what, *filter(None, misses)]))


def _turns(subject: Subject, *, promptfoo: bool) -> list[Turn]:
    """What was asked and replied, in order: variable `_conversation`, or the messages and the answer."""
    kept = subject.vars.get("_conversation")
    if isinstance(kept, list) and kept:
        return [(_text(turn, "input"), _text(turn, "output")) for turn in kept]
    if promptfoo or not subject.messages:
        return [(prompt_of(subject), subject.output)]
    turns: list[Turn] = []
    asked: list[str] = []
    for message in subject.messages:
        if message.get("role") == "assistant":
            turns.append(("\n".join(asked), content_of(message)))
            asked = []
        elif message.get("role") != "system":
            asked.append(content_of(message))
    return [*turns, ("\n".join(asked), subject.output)]


def _text(turn: Any, key: str) -> str:
    value = turn.get(key) if isinstance(turn, Mapping) else None
    return value if isinstance(value, str) else as_json(value)


def _relevant(text: str) -> tuple[bool, str]:
    said = whole_object(text)
    return flag(said, "relevant"), reason(said)


def _relevant_loosely(text: str) -> tuple[bool, str]:
    said = first_object(text, "verdict")
    # YAML, which reads what JSON does not, takes a bare yes for true.
    verdict = {True: "yes", False: "no"}.get(said["verdict"], said["verdict"])
    if verdict not in {"yes", "no"}:
        raise Unread("`verdict` is not yes or no")
    return verdict == "yes", reason(said)


def conversation_relevance(spec: AssertionSpec, context: BuildContext) -> Assertion:
    """`threshold`: least share (0.5); `config.windowSize`: how many turns a reply is seen with (5)."""
    only(spec, context, "rubricPrompt", "threshold", "config")
    config = spec.config or {}
    window = config.get("windowSize", WINDOW)
    if context.dialect is Dialect.PROMPTFOO:
        window = window or WINDOW
    unknown = sorted(set(config) - {"windowSize"})
    if context.dialect is Dialect.NATIVE and (unknown or spec.value is not None):
        key, got = (f"config.{unknown[0]}", config[unknown[0]]) if unknown else ("value", spec.value)
        raise invalid(key, repr(got)[:60], "expected only config.windowSize", "remove the key")
    if not isinstance(window, int) or isinstance(window, bool) or window < 1:
        raise invalid("config.windowSize", repr(window), "expected a whole number of at least 1")
    return ConversationRelevance(
        orders=orders("relevant", spec, context), window=window, threshold=threshold_of(spec, context, THRESHOLD),
        who=spec.provider,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalSuccess:
    """A judge decides from an agent's steps and its last answer whether a goal was reached."""

    orders: Orders
    goal: str
    threshold: float | None
    who: Any = None

    async def judge(self, subject: Subject) -> Judged:
        """The judge's verdict."""
        return await heard(subject.services, self.who, lambda hearing: self._score(hearing, subject))

    async def _score(self, hearing: Hearing, subject: Subject) -> Score:
        steps = _steps(subject, promptfoo=self.orders.promptfoo)
        parts = [("goal", self.goal), ("steps", steps), ("answer", subject.output)]
        values = {
            **subject.vars, "goal": self.goal, "trajectory": steps, "output": said_text(subject, self.orders),
        }  # fmt: skip
        read = reading(self.orders, graded, graded_loosely)
        verdict = await hearing.say(await self.orders.messages(subject.services, parts, values), read)
        reached = self.threshold is None or verdict.score >= self.threshold
        return Scored(verdict.passed and reached, verdict.score, verdict.reason)


def _steps(subject: Subject, *, promptfoo: bool) -> str:
    """The steps of a trace, short; natively also the conversation with its tool calls. Raises NoVerdict."""
    if steps := steps_of(subject):
        return as_json(_shortened([_told(number, step) for number, step in enumerate(steps, start=1)]))
    calls = (
        [{"role": "assistant", "tool_calls": list(subject.answer.tool_calls)}]
        if subject.answer.tool_calls
        else []
    )
    if promptfoo or not (subject.messages or calls):
        raise NoVerdict("the answer comes without a trace of the agent's steps")
    told: Sequence[Any] = [*subject.messages, *calls]
    return as_json(_shortened([{"role": one.get("role"), "content": content_of(one)[:2000]} for one in told]))


def _told(number: int, step: Step) -> dict[str, Any]:
    told: dict[str, Any] = {"step": number, "type": step.type, "name": step.name}
    if step.span.status is not None:
        told["status"] = step.span.status
    if step.has_arguments:
        told["arguments"] = as_json(step.arguments)[:500]
    return told


def _shortened(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    half = STEPS_MAX // 2
    if len(steps) <= STEPS_MAX:
        return steps
    return [*steps[:half], {"steps left out": len(steps) - STEPS_MAX}, *steps[-half:]]


def goal_success(spec: AssertionSpec, context: BuildContext) -> Assertion:
    """`value`: the goal, as text or as `{goal: ...}`; `threshold`: least score."""
    only(spec, context, "rubricPrompt", "threshold")
    value = spec.value.get("goal") if isinstance(spec.value, dict) else spec.value
    if not isinstance(value, str) or not value.strip():
        raise invalid("value", "missing" if value is None else repr(value)[:60], "expected the goal")
    return GoalSuccess(
        orders=orders("goal", spec, context), goal=value.strip(), threshold=threshold_of(spec, context), who=spec.provider
    )  # fmt: skip
