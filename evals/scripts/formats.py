"""What `format` of a JSON Schema means: checked as ajv's full mode does it. Formats that are not listed are passed over."""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Callable
from datetime import date, time
from typing import Any, Final

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME: Final = re.compile(
    r"(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:z|[+-](\d\d)(?::?(\d\d))?)", re.ASCII | re.IGNORECASE
)
_DURATION: Final = re.compile(
    r"P(?=.)(?:\d+W|(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?=.)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?)", re.ASCII
)
_EMAIL: Final = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@(?P<host>[^@]+)",
    re.ASCII | re.IGNORECASE,
)
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII | re.IGNORECASE)
_URI: Final = re.compile(
    r"[a-z][a-z0-9+.-]*:(?:[a-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9a-f]{2})+", re.ASCII | re.IGNORECASE
)
_REFERENCE: Final = re.compile(
    r"(?:[a-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9a-f]{2})*", re.ASCII | re.IGNORECASE
)
_POINTER: Final = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_HOST_MAX: Final = 253


def is_date(text: str) -> bool:
    """A day of the calendar: 2024-02-29."""
    try:
        return _DATE.fullmatch(text) is not None and date.fromisoformat(text) is not None
    except ValueError:
        return False


def is_time(text: str) -> bool:
    """A time of day with its zone: 12:30:00Z; also the leap second at the end of a UTC day."""
    found = _TIME.fullmatch(text)
    if found is None:
        return False
    hours, minutes, seconds, zone_hours, zone_minutes = (int(part or 0) for part in found.groups())
    try:
        time(hours, minutes, min(seconds, 59))
        time(zone_hours, zone_minutes)
    except ValueError:
        return False
    return seconds <= 59 or (seconds == 60 and hours == 23 and minutes == 59)  # noqa: PLR2004 - of a clock


def is_date_time(text: str) -> bool:
    """A moment: 2024-02-29T12:30:00Z."""
    day, between, clock = text[:10], text[10:11], text[11:]
    return between in {"T", "t", " "} and is_date(day) and is_time(clock)


def is_hostname(text: str) -> bool:
    """Labels with dots between; one more dot may be the end."""
    text = text.removesuffix(".")
    return len(text) <= _HOST_MAX and all(_LABEL.fullmatch(label) for label in text.split("."))


def is_email(text: str) -> bool:
    """Somebody at a host that has a dot."""
    found = _EMAIL.fullmatch(text)
    return found is not None and "." in found["host"] and is_hostname(found["host"])


def is_regex(text: str) -> bool:
    """A pattern of Python's `re`; promptfoo's are JavaScript's."""
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def is_uuid(text: str) -> bool:
    """With or without `urn:uuid:` before it."""
    plain = text.lower().removeprefix("urn:uuid:")
    try:
        return str(uuid.UUID(plain)) == plain
    except ValueError:
        return False


def _is_address(kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            kind(text)
        except ValueError:
            return False
        return "%" not in text  # a zone belongs to one machine

    return check


def _is(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


TEXTS: Final[dict[str, Callable[[str], bool]]] = {
    "date": is_date,
    "date-time": is_date_time,
    "duration": _is(_DURATION),
    "email": is_email,
    "hostname": is_hostname,
    "ipv4": _is_address(ipaddress.IPv4Address),
    "ipv6": _is_address(ipaddress.IPv6Address),
    "json-pointer": _is(_POINTER),
    "regex": is_regex,
    "time": is_time,
    "uri": _is(_URI),
    "uri-reference": _is(_REFERENCE),
    "uuid": is_uuid,
}
"""Checks of texts by format; a value that is no text fits every one of them."""


def checker() -> Any:
    """These formats as a `FormatChecker` of jsonschema."""
    from jsonschema import FormatChecker

    made = FormatChecker(formats=())
    for name, fits in TEXTS.items():
        made.checks(name)(lambda value, fits=fits: not isinstance(value, str) or fits(value))
    return made
