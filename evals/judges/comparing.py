"""A judge compares answers, twice: in one order and with every answer in another place, so that a liking for a place shows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from promptship.evals.assertions.judged_asking import Hearing
from promptship.evals.assertions.judged_compared import Compared
from promptship.evals.assertions.judged_making import reading
from promptship.evals.assertions.judged_prompts import as_value
from promptship.evals.assertions.judged_reading import Unread, whole_object
from promptship.evals.services import Services

WIN = 1.0
TIE = 0.5
LOSS = 0.0
_GRADED: Final = re.compile(r"""["'](?:pass|score)["']\s*:""")
"""What a judge of one answer says."""


async def compared(
    spec: Compared,
    answers: Sequence[str],
    hearing: Hearing,
    services: Services,
    *,
    question: str = "",
    values: Mapping[str, Any] | None = None,
) -> list[float]:
    """1 for the answer that is best in both orders, 0 for one that is beaten in both, 0.5 for what lies between.

    At least one answer. Equal answers share one place; when all are equal nobody is asked. Which order comes first follows
    from the answers alone, so the result does not depend on the order of the arms.

    Raises:
        NoVerdict, Unavailable, Refused, ConfigError: the judge gave no verdict.
    """
    distinct = sorted(set(answers), key=_place)
    count = len(distinct)
    if count == 1:
        return [TIE] * len(answers)
    turned = distinct[count // 2 :] + distinct[: count // 2]
    picked = [
        await _pick(spec, order, hearing, services, question, values or {}) for order in (distinct, turned)
    ]
    return [_score(answer, picked) for answer in answers]


def _score(answer: str, picked: Sequence[str | None]) -> float:
    if all(best == answer for best in picked):
        return WIN
    return LOSS if all(best is not None and best != answer for best in picked) else TIE


def _place(answer: str) -> bytes:
    return hashlib.sha256(answer.encode("utf-8", "surrogatepass")).digest()


async def _pick(
    spec: Compared,
    order: Sequence[str],
    hearing: Hearing,
    services: Services,
    question: str,
    values: Mapping[str, Any],
) -> str | None:
    """The best of the answers in this order; None: none is better than the others."""
    parts = [("criterion", spec.criterion)]
    if question:
        parts.append(("question", question))
    parts += [(f"answer {number}", answer) for number, answer in enumerate(order, start=1)]
    outputs = [as_value(answer) for answer in order] if spec.orders.promptfoo else list(order)
    filled = {**values, "criteria": spec.criterion, "outputs": outputs}

    def numbered(reply: str) -> str | None:
        return _numbered(reply, order)

    def counted(reply: str) -> str | None:
        return _counted(reply, order)

    read = reading(spec.orders, numbered, counted)
    return await hearing.say(await spec.orders.messages(services, parts, filled), read)


def _numbered(reply: str, order: Sequence[str]) -> str | None:
    """`{"best": 2}`, counted from 1; 0: none is better."""
    best = whole_object(reply).get("best")
    if type(best) is not int or not 0 <= best <= len(order):
        raise Unread(f"`best` is not a whole number from 0 to {len(order)}")
    return order[best - 1] if best else None


def _counted(reply: str, order: Sequence[str]) -> str | None:
    """The first number in a text, counted from 0, as promptfoo's orders ask for; a verdict or a share is no such number."""
    found = re.search(r"\d+(?:\.\d+)?", reply)
    if _GRADED.search(reply) is not None or found is None or "." in found[0]:
        raise Unread("it names no answer by its number")
    if len(found[0]) > 9 or int(found[0]) >= len(order):  # noqa: PLR2004 - more answers than that
        raise Unread(f"it names no answer from 0 to {len(order) - 1}")
    return order[int(found[0])]
