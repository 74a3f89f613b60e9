"""A provider's answer, read: a body becomes a `ChatAnswer`, a status becomes the error that says what to do about it."""

from __future__ import annotations

import email.utils
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import orjson

from promptship.adapters.providers.dialects.call import Dialect, Target
from promptship.adapters.providers.dialects.limits import limits_of, seconds
from promptship.chat import ChatAnswer
from promptship.errors import ConfigError, Problem, PromptshipError, Refused, Unavailable
from promptship.render.redact import redact

MESSAGE_CHARACTERS_MAX: Final = 300
_LATER: Final = frozenset({408, 409, 425, 429})
"""Client errors that a later attempt can pass."""
_OVERLOADED: Final = 529
_THROTTLED: Final = frozenset({429, _OVERLOADED})
_NO_MONEY: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""429 that no waiting mends."""
_NO_MODEL: Final = "model_not_found"
"""OpenAI says so with a 404, and with a 403 to a key that may not use the model: the key is good for others."""
_KEY_LENGTH_MIN: Final = 6
_NOT_READ: Final = (ValueError, KeyError, IndexError, TypeError, AttributeError)


def read(
    dialect: Dialect,
    target: Target,
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    latency_ms: float = 0.0,
) -> ChatAnswer:
    """The answer in a provider's HTTP answer. `headers` have lower-case names.

    Raises:
        Unavailable: 408, 409, 425, 429 and 529 (both `throttled`, with `retry_after_s`), 3xx, 5xx, or a 200 that is no answer: HTML,
            empty, cut, JSON of another shape.
        Refused: 401 or 403 (but not because of the model), or no money left.
        ConfigError: any other 4xx.
    """
    value = json_of(body)
    inner = _status_inside(value)
    if status == HTTPStatus.OK and inner is None:
        try:
            answer = dialect.answer(value)
        except _NOT_READ:
            raise Unavailable(
                f"provider {target.provider} answered 200 with something that is no {dialect.name}"
            ) from None
    else:
        status = inner if inner is not None and status == HTTPStatus.OK else status
        filtered = _filtered(dialect, status, value)
        if filtered is None:
            raise failure(target, status=status, headers=headers, value=value)
        answer = filtered
    return replace(answer, latency_ms=latency_ms, limits=limits_of(headers))


def json_of(body: bytes) -> Any:
    """The JSON in a body; None when it is none."""
    try:
        return orjson.loads(body)
    except ValueError:
        return None


def failure(target: Target, *, status: int, headers: Mapping[str, str], value: Any) -> PromptshipError:
    """The error of an answer that is not 200. `value` is its JSON, None when it has none."""
    code, message = _said(value, known=[text.removeprefix("Bearer ") for _, text in target.headers])
    said = f"provider {target.provider} answered {status}{message}"
    if code in _NO_MONEY:
        return Refused(f"{said}; the account has no money left for it")
    if status in {401, 403} and code != _NO_MODEL:
        told = f"{said}; {target.refused}" if target.refused else said
        return Refused(told, model_only=status == HTTPStatus.FORBIDDEN)
    asked_wrong = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    if status in _LATER or not asked_wrong:
        wait_s = _retry_after(headers, value)
        return Unavailable(said, retry_after_s=wait_s, throttled=status in _THROTTLED)
    problem = Problem(
        file=target.file,
        key=target.key,
        got=said.removeprefix(f"provider {target.provider} "),
        expected="a request that the provider accepts",
        advice=target.advice,
    )
    return ConfigError([problem])


def _filtered(dialect: Dialect, status: int, value: Any) -> ChatAnswer | None:
    try:
        return dialect.filtered(status, value)
    except _NOT_READ:
        return None


def _status_inside(value: Any) -> int | None:
    """The status that some gateways put into the body of a 200: `{"error": {"code": 429}}`."""
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict) or "choices" in value or "output" in value:
        return None
    code = error.get("code")
    is_status = isinstance(code, int) and 400 <= code < 600  # noqa: PLR2004 - what HTTP calls an error
    return code if is_status else int(HTTPStatus.BAD_GATEWAY)


def _said(value: Any, *, known: Iterable[str] = ()) -> tuple[str, str]:
    """The provider's code, and its own words, shortened, without keys, in brackets; HTML and the like is left out."""
    if isinstance(value, list) and value:  # Gemini wraps errors of some calls in a list
        value = value[0]
    if not isinstance(value, dict):
        return "", ""
    error = value.get("error", value)
    if isinstance(error, dict):
        code = str(error.get("code") or error.get("type") or "")
        message = error.get("message") or error.get("Message") or ""
    else:
        code, message = "", error or ""
    text = redact(" ".join(str(message).split()), known=[one for one in known if len(one) >= _KEY_LENGTH_MIN])
    text = text[:MESSAGE_CHARACTERS_MAX]
    return code, f" ({text})" if text else ""


def _retry_after(headers: Mapping[str, str], value: Any) -> float | None:
    """Seconds that the provider asks to wait: in a header, or (Gemini) in the error's details."""
    in_ms = retry_after_s(headers.get("retry-after-ms"))
    if in_ms is not None:
        return in_ms / 1000
    in_s = retry_after_s(headers.get("retry-after"))
    if in_s is not None:
        return in_s
    try:
        error = (value[0] if isinstance(value, list) else value)["error"]
        delays = [seconds(str(one["retryDelay"])) for one in error["details"] if "retryDelay" in one]
    except _NOT_READ:
        return None
    return next((delay for delay in delays if delay is not None), None)


def retry_after_s(value: str | None, *, now: datetime | None = None) -> float | None:
    """Seconds that a `Retry-After` header asks for (a number, or an HTTP date); None: absent or unreadable. Never negative."""
    if not value:
        return None
    try:
        number = float(value)
    except ValueError:
        pass
    else:
        return max(0.0, number) if math.isfinite(number) else None
    try:
        until = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())
