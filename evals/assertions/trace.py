"""Traces: spans an agent recorded while it made its answer, in `answer.metadata["trace"]`. No trace is Unscored.

A span has `name`, `startTime` and `endTime` (milliseconds), `attributes`, `statusCode` (2 is an error, as in OTLP) and
`statusMessage`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from promptship.evals.assertions.base import AssertionSpec, BuildContext, Dialect, invalid, shown
from promptship.evals.assertions.values import is_number, object_value
from promptship.evals.score import Judged, Subject, Unscored, yes_or_no


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One recorded piece of work; times in milliseconds, None: not recorded."""

    name: str
    start_ms: float | None = None
    end_ms: float | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    status: int | None = None
    message: str = ""


NO_TRACE: Final = Judged(Unscored("the answer has no trace"))


def spans_of(subject: Subject) -> list[Span] | None:
    """The spans of an answer's trace; None: it has no trace."""
    trace = subject.answer.metadata.get("trace")
    spans = trace.get("spans") if isinstance(trace, Mapping) else None
    if not isinstance(spans, Sequence) or isinstance(spans, str):
        return None
    return [_span(span) for span in spans if isinstance(span, Mapping)]


def _span(span: Mapping[str, Any]) -> Span:
    attributes = span.get("attributes")
    status = _number(span.get("statusCode"))
    return Span(
        name=str(span.get("name") or ""), start_ms=_number(span.get("startTime")), end_ms=_number(span.get("endTime")),
        attributes=attributes if isinstance(attributes, Mapping) else {},
        status=None if status is None else int(status), message=str(span.get("statusMessage") or ""),
    )  # fmt: skip


def _number(value: Any) -> float | None:
    return float(value) if is_number(value) else None


@lru_cache(maxsize=256)
def wildcard(pattern: str) -> re.Pattern[str]:
    """A pattern where `*` stands for anything and `?` for one character; upper and lower case do not matter."""
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(sign, re.escape(sign)) for sign in pattern), re.IGNORECASE)


def matches(name: str, pattern: str) -> bool:
    """Whether a whole name fits a pattern with `*` and `?`; line ends fit neither."""
    return wildcard(pattern).fullmatch(name) is not None


def _is_error(span: Span) -> bool:
    attributes = span.attributes
    if span.status is not None and (span.status == 2 or span.status >= 400):  # noqa: PLR2004 - OTLP's error, HTTP's
        return True
    for key in ("error", "exception", "failed", "failure"):
        value = attributes.get(key)
        if value is True or value == "true" or isinstance(value, dict | list):
            return True
    try:
        if float(attributes.get("http.status_code") or 0) >= 400:  # noqa: PLR2004 - HTTP's errors
            return True
    except (TypeError, ValueError):
        pass
    if "ERROR" in {str(attributes.get("otel.status_code")), str(attributes.get("status.code"))}:
        return True
    return _TROUBLE.search(span.message) is not None


_TROUBLE: Final = re.compile(r"error|failed|failure|exception|timeout|abort", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SpanCount:
    """So many spans have a name like the pattern."""

    pattern: str
    low: float
    high: float

    async def judge(self, subject: Subject) -> Judged:
        """Bounds included."""
        spans = spans_of(subject)
        if spans is None:
            return NO_TRACE
        count = sum(matches(span.name, self.pattern) for span in spans)
        because = f"{count} spans like {self.pattern!r}, wanted {self.low:g} to {self.high:g}"
        return Judged(yes_or_no(self.low <= count <= self.high, because))


@dataclass(frozen=True, slots=True)
class SpanDuration:
    """Spans like the pattern took at most so long: all of them, or a percentile."""

    pattern: str
    limit_ms: float
    percentile: float | None

    async def judge(self, subject: Subject) -> Judged:
        """Nearest-rank percentile. Spans without both times do not count; none at all passes."""
        spans = spans_of(subject)
        if spans is None:
            return NO_TRACE
        took = sorted(
            span.end_ms - span.start_ms
            for span in spans
            if span.start_ms is not None and span.end_ms is not None and matches(span.name, self.pattern)
        )
        if not took:
            return Judged(yes_or_no(True, ""))
        share = 100.0 if self.percentile is None else self.percentile
        measured = took[max(math.ceil(share / 100 * len(took)) - 1, 0)]
        because = f"a span like {self.pattern!r} took {measured:g} ms, wanted at most {self.limit_ms:g}"
        return Judged(yes_or_no(measured <= self.limit_ms, because))


@dataclass(frozen=True, slots=True)
class ErrorSpans:
    """At most so many of the spans like the pattern are errors, as a number and in per cent."""

    pattern: str
    count_max: float
    percentage_max: float

    async def judge(self, subject: Subject) -> Judged:
        """No span like the pattern passes."""
        spans = spans_of(subject)
        if spans is None:
            return NO_TRACE
        found = [span for span in spans if matches(span.name, self.pattern)]
        errors = [span.name for span in found if _is_error(span)]
        share = 100 * len(errors) / len(found) if found else 0.0
        passed = len(errors) <= self.count_max and share <= self.percentage_max
        because = f"{len(errors)} of {len(found)} spans are errors: {', '.join(errors[:3])}"
        return Judged(yes_or_no(passed, because))


# Makers ---------------------------------------------------------------------------------------------------------------


def bound(value: Mapping[str, Any], key: str, default: float) -> float:
    """A number in an object's key. Raises ConfigError."""
    number = value.get(key)
    if number is None:
        return default
    if not is_number(number) or number < 0:
        raise invalid(f"value.{key}", shown(number), "expected a number, at least 0")
    return float(number)


def bounds(value: Mapping[str, Any], low: float = 0.0) -> tuple[float, float]:
    """`min` and `max` of an object; without them `low` and no bound. Raises ConfigError."""
    least, most = bound(value, "min", low), bound(value, "max", math.inf)
    if least > most:
        raise invalid("value", shown(dict(value)), "expected min not above max")
    return least, most


def _pattern(value: Mapping[str, Any], default: str = "") -> str:
    pattern = value.get("pattern") or default
    if not isinstance(pattern, str) or not pattern:
        raise invalid(
            "value.pattern", shown(pattern or None), "expected a span's name, * and ? stand for anything"
        )
    return pattern


def span_count(spec: AssertionSpec, context: BuildContext) -> SpanCount:
    """`value`: `{pattern, min, max}`."""
    value = object_value(spec, context, frozenset({"pattern", "min", "max"}))
    if context.dialect is Dialect.NATIVE and not {"min", "max"} & set(value):
        raise invalid("value", shown(value), "expected min or max", "it would always pass")
    return SpanCount(_pattern(value), *bounds(value))


def span_duration(spec: AssertionSpec, context: BuildContext) -> SpanDuration:
    """`value`: `{pattern, max, percentile}`; milliseconds, 0 to 100."""
    value = object_value(spec, context, frozenset({"pattern", "max", "percentile"}))
    percentile = value.get("percentile")
    if percentile is not None and (not is_number(percentile) or not 0 <= percentile <= 100):  # noqa: PLR2004 - per cent
        raise invalid("value.percentile", shown(percentile), "expected a number from 0 to 100")
    if not is_number(value.get("max")):
        raise invalid("value.max", shown(value.get("max")), "expected milliseconds")
    return SpanDuration(_pattern(value, "*"), float(value["max"]), percentile)


def error_spans(spec: AssertionSpec, context: BuildContext) -> ErrorSpans:
    """`value`: a number, `{max_count, max_percentage, pattern}`, or nothing: no error at all."""
    value: Mapping[str, Any]
    if isinstance(spec.value, dict):
        value = object_value(spec, context, frozenset({"max_count", "max_percentage", "pattern"}))
    elif is_number(spec.value):
        value = {"max_count": spec.value}
    elif spec.value is None or context.dialect is Dialect.PROMPTFOO:
        value = {}
    else:
        raise invalid(
            "value", shown(spec.value), "expected a number, or max_count, max_percentage and pattern"
        )
    no_error = math.inf if value.get("max_percentage") is not None else 0.0
    return ErrorSpans(
        _pattern(value, "*"), bound(value, "max_count", no_error), bound(value, "max_percentage", math.inf)
    )
