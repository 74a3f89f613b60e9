"""`webhook`: a service of the user's own says whether an answer passes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from promptship.errors import ConfigError, Unavailable
from promptship.evals.assertions.base import AssertionSpec, BuildContext, Dialect, invalid, shown
from promptship.evals.assertions.values import is_number
from promptship.evals.score import Judged, Score, Scored, Subject, Unscored

TIMEOUT_S: Final = 5.0
TIMEOUT_S_MAX: Final = 300.0


@dataclass(frozen=True, slots=True)
class Webhook:
    """POSTs `{output, context: {prompt, vars}}` and reads `{pass, score, reason}`."""

    url: str
    timeout_s: float = TIMEOUT_S

    async def judge(self, subject: Subject) -> Judged:
        """A service that does not answer as it should makes it Unscored, never a zero."""
        web = subject.services.web
        if web is None:
            return Judged(Unscored("this run may not ask web services"))
        prompt = subject.prompt or "\n".join(str(message.get("content", "")) for message in subject.messages)
        body = {"output": subject.said, "context": {"prompt": prompt, "vars": dict(subject.vars)}}
        try:
            status, answer = await web.post(self.url, body, timeout_s=self.timeout_s)
        except Unavailable as error:
            return Judged(Unscored("the webhook did not answer", str(error)))
        except ConfigError as error:
            return Judged(Unscored("the webhook cannot be asked", str(error)))
        if not 200 <= status < 300:  # noqa: PLR2004 - what HTTP calls success
            return Judged(Unscored(f"the webhook answered with status {status}"))
        return Judged(_read(answer))


def _read(answer: Any) -> Score:
    if not isinstance(answer, Mapping) or not isinstance(answer.get("pass"), bool):
        return Unscored('the webhook\'s answer is no JSON object with a boolean "pass"')
    passed, score = answer["pass"], answer.get("score")
    if score is None:
        score = 1.0 if passed else 0.0
    if not is_number(score):
        return Unscored("the webhook's score is no number")
    reason = str(answer.get("reason") or ("" if passed else "the webhook said no"))
    return Scored(passed, float(score), reason)


def webhook(spec: AssertionSpec, context: BuildContext) -> Webhook:
    """`value`: an http or https address; `config.timeout_s`: seconds, 5 without it (promptfoo: WEBHOOK_TIMEOUT, milliseconds)."""
    if not isinstance(spec.value, str) or not spec.value.startswith(("http://", "https://")):
        raise invalid("value", shown(spec.value), "expected an address that begins with http:// or https://")
    config = dict(spec.config or {})
    if context.dialect is Dialect.PROMPTFOO:
        return Webhook(spec.value, _environment_timeout())
    timeout_s = config.pop("timeout_s", TIMEOUT_S)
    if config:
        raise invalid(f"config.{min(config)}", "an unknown key", "expected timeout_s")
    if not is_number(timeout_s) or not 0 < timeout_s <= TIMEOUT_S_MAX:
        raise invalid("config.timeout_s", shown(timeout_s), f"expected seconds, at most {TIMEOUT_S_MAX:g}")
    return Webhook(spec.value, float(timeout_s))


def _environment_timeout() -> float:
    try:
        milliseconds = float(os.environ.get("WEBHOOK_TIMEOUT", ""))
    except ValueError:
        return TIMEOUT_S
    return milliseconds / 1000 if math.isfinite(milliseconds) and milliseconds > 0 else TIMEOUT_S
