"""Types about retrieval: is the answer grounded in its context, does the context hold what is needed (after RAGAS, Es et al. 2023).

The judge decides about numbered sentences that are cut here, or about claims it lists; the score is then counted, not judged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from promptship.evals.assertions.base import Assertion, AssertionSpec, BuildContext, Dialect, invalid
from promptship.evals.assertions.judged_asking import Hearing, NoVerdict, heard
from promptship.evals.assertions.judged_making import (
    answer_of,
    only,
    prompt_of,
    query_of,
    reaching,
    reading,
    said_text,
    threshold_of,
)
from promptship.evals.assertions.judged_orders import numbered
from promptship.evals.assertions.judged_prompts import Orders, orders
from promptship.evals.assertions.judged_reading import (
    Unread,
    flags,
    lines,
    texts,
    units,
    whole_object,
)
from promptship.evals.assertions.judged_transform import Transform, transform_of
from promptship.evals.score import Judged, Score, Subject

THRESHOLD: Final = 0.5
_ATTRIBUTED: Final = "[attributed]"
_NOT_ATTRIBUTED: Final = "[not attributed]"
_INSUFFICIENT: Final = "Insufficient Information"
_FINAL: Final = "final verdict for each statement in order:"


@dataclass(frozen=True, slots=True)
class _Context:
    chunks: tuple[str, ...]
    listed: bool
    """They were given one by one; else there is one, which is cut into sentences or lines."""

    @property
    def text(self) -> str:
        return "\n\n".join(self.chunks)

    @property
    def passages(self) -> list[str]:
        return list(self.chunks) if self.listed else units(self.text)

    @property
    def by_line(self) -> bool:
        """Whether a judge copies passages line by line."""
        return self.listed or len(lines(self.text)) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grounded:
    """What the three have in common: where the context comes from, and the least score."""

    orders: Orders
    threshold: float
    transform: Transform | None
    who: Any = None

    async def context(self, subject: Subject, fallback: str = "") -> _Context:
        """What `contextTransform` takes out of the answer, or variable `context`. Raises NoVerdict, ScriptFailed."""
        found = subject.vars.get("context") or fallback
        if self.transform is not None:
            found = await self.transform.value(subject)
        listed = isinstance(found, list | tuple)
        chunks = tuple(found) if listed else (found,)
        if not all(isinstance(chunk, str) for chunk in chunks):
            raise NoVerdict("the context is neither text nor a list of texts")
        chunks = tuple(chunk for chunk in chunks if chunk.strip())
        if not chunks:
            raise NoVerdict(
                "there is no context: no variable `context`, and no `contextTransform` that gives one"
            )
        return _Context(chunks, listed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall(_Grounded):
    """Which share of the sentences of a right answer the context holds."""

    truth: str

    async def judge(self, subject: Subject) -> Judged:
        """Attributed sentences / sentences."""
        return await heard(subject.services, self.who, lambda hearing: self._score(hearing, subject))

    async def _score(self, hearing: Hearing, subject: Subject) -> Score:
        text = (await self.context(subject, prompt_of(subject))).text
        sentences = units(self.truth)
        asked = await self.orders.messages(
            subject.services,
            [("context", text), ("statements", numbered(sentences))],
            {**subject.vars, "context": text, "groundTruth": self.truth},
        )

        def counted(reply: str) -> list[bool]:
            return flags(whole_object(reply), "attributed", len(sentences))

        found = await hearing.say(asked, reading(self.orders, counted, _attributions))
        what = f"the context holds {sum(found)} of {len(found)} statements"
        return reaching(sum(found) / len(found), self.threshold, what)


def _attributions(text: str) -> list[bool]:
    """One line per statement that says [Attributed] or [Not Attributed]."""
    marked = [line.lower() for line in lines(text)]
    found = [_NOT_ATTRIBUTED not in line for line in marked if _ATTRIBUTED in line or _NOT_ATTRIBUTED in line]
    if not found:
        raise Unread("no line says [Attributed] or [Not Attributed]")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Relevance(_Grounded):
    """Which share of the context the query needs: of its chunks, or of the sentences of one text."""

    async def judge(self, subject: Subject) -> Judged:
        """Needed passages / passages."""
        return await heard(subject.services, self.who, lambda hearing: self._score(hearing, subject))

    async def _score(self, hearing: Hearing, subject: Subject) -> Score:
        context = await self.context(subject)
        query, text, passages = query_of(subject), context.text, context.passages
        asked = await self.orders.messages(
            subject.services,
            [("query", query), ("passages", numbered(passages))],
            {**({} if self.orders.promptfoo else subject.vars), "context": text, "query": query},
        )

        def counted(reply: str) -> int:
            return _needed(reply, len(passages))

        def quoted(reply: str) -> int:
            return min(len(_quotes(reply, text, by_line=context.by_line)), len(passages))

        found = await hearing.say(asked, reading(self.orders, counted, quoted))
        what = f"the query needs {found} of {len(passages)} passages"
        return reaching(found / len(passages), self.threshold, what)


def _needed(text: str, count: int) -> int:
    values = whole_object(text).get("needed")
    if not isinstance(values, list) or not all(
        type(value) is int and 1 <= value <= count for value in values
    ):
        raise Unread(f"`needed` is not a list of numbers from 1 to {count}")
    return len(set(values))


def _quotes(reply: str, context: str, *, by_line: bool) -> set[str]:
    """Sentences that a judge copied out of the context; none when it says that nothing suffices."""
    if _INSUFFICIENT in reply:
        return set()
    found = set(lines(reply) if by_line else units(reply))
    within = _plain(context)
    if not any(_plain(re.sub(r"^\s*(?:\d+[.)]|[-*])\s*", "", sentence)) in within for sentence in found):
        raise Unread("it does not quote the context")
    return found


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Faithfulness(_Grounded):
    """Which share of the claims of an answer its context supports."""

    verdicts: Orders

    async def judge(self, subject: Subject) -> Judged:
        """Supported claims / claims; an answer without claims has no score."""
        return await heard(subject.services, self.who, lambda hearing: self._score(hearing, subject))

    async def _score(self, hearing: Hearing, subject: Subject) -> Score:
        query = query_of(subject)
        text = (await self.context(subject)).text
        asked = await self.orders.messages(
            subject.services,
            [("question", query), ("answer", subject.output)],
            {**subject.vars, "question": query, "answer": said_text(subject, self.orders)},
        )
        claims = await hearing.say(asked, reading(self.orders, _claims, _claim_lines))
        if not claims:
            raise NoVerdict("the answer makes no claim")
        asked = await self.verdicts.messages(
            subject.services,
            [("context", text), ("claims", numbered(claims))],
            {**subject.vars, "context": text, "statements": claims},
        )

        def counted(reply: str) -> int:
            return sum(flags(whole_object(reply), "supported", len(claims)))

        def worded(reply: str) -> int:
            return _supported(reply, len(claims))

        found = await hearing.say(asked, reading(self.verdicts, counted, worded))
        return reaching(
            found / len(claims), self.threshold, f"the context supports {found} of {len(claims)} claims"
        )


def _claims(text: str) -> list[str]:
    return texts(whole_object(text), "claims")


def _claim_lines(text: str) -> list[str]:
    """One claim per line; a reply that looks like an object is none."""
    if text.lstrip().startswith(("{", "```")) or not lines(text):
        raise Unread("it lists no claims")
    return lines(text)


def _supported(text: str, count: int) -> int:
    """How many verdicts are yes: after promptfoo's closing line, or one `Verdict:` per claim. A missing verdict is no."""
    text = text.lower()
    if _FINAL in text:
        said = [part for part in text.partition(_FINAL)[2].split(".") if part.strip()]
        if not said or not all(re.search(r"\b(?:yes|no)\b", part) for part in said):
            raise Unread("the final verdicts are not yes or no")
        refused = sum("yes" not in part for part in said) + max(0, count - len(said))
    else:
        yes, no = text.count("verdict: yes"), text.count("verdict: no")
        if not yes + no:
            raise Unread("it holds no verdicts")
        refused = no + max(0, count - yes - no)
    return min(count, max(0, count - refused))


def _common(spec: AssertionSpec, context: BuildContext) -> Mapping[str, Any]:
    only(spec, context, "rubricPrompt", "threshold", "contextTransform")
    return {
        "threshold": threshold_of(spec, context, THRESHOLD),
        "transform": transform_of(spec.context_transform, context),
        "who": spec.provider,
    }


def _no_value(spec: AssertionSpec, context: BuildContext) -> None:
    if spec.value is not None and context.dialect is Dialect.NATIVE:
        raise invalid("value", repr(spec.value)[:60], f"{spec.type} takes no value", "remove the key")


def context_recall(spec: AssertionSpec, context: BuildContext) -> Assertion:
    """`value`: what the context should hold; `threshold`: least share (0.5). Without a context the prompt is taken for it."""
    truth = answer_of(spec, "a right answer, or a fact, that the context should hold")
    return Recall(orders=orders("attributed", spec, context), truth=truth, **_common(spec, context))


def context_relevance(spec: AssertionSpec, context: BuildContext) -> Assertion:
    """Variables `query` and `context`; `threshold`: least share (0.5)."""
    _no_value(spec, context)
    return Relevance(orders=orders("needed", spec, context), **_common(spec, context))


def context_faithfulness(spec: AssertionSpec, context: BuildContext) -> Assertion:
    """Variables `query` and `context`; `threshold`: least share (0.5); `rubricPrompt`: two, for claims and for verdicts."""
    _no_value(spec, context)
    own = spec.rubric_prompt or ["", ""]
    if not isinstance(own, list) or len(own) != 2:  # noqa: PLR2004 - claims, verdicts
        raise invalid("rubricPrompt", repr(own)[:60], "expected a list of two: for claims, for verdicts")
    first, second = (item.get("content", "") if isinstance(item, dict) else item for item in own)
    return Faithfulness(
        orders=orders("claims", spec, context, first or ""), verdicts=orders("supported", spec, context, second or ""),
        **_common(spec, context),
    )  # fmt: skip
