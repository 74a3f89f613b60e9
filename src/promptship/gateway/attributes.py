"""What a request says of itself for the policy of an experiment, and what it is told in return. Read, looked at, forgotten.

A header, not a field of the body: what stands in the body goes to the provider.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

import orjson

from promptship.gateway.rejection import Rejection, bad_request
from promptship.gateway.wire import Scope
from promptship.release.policy import APPLICATION, NAME_PATTERN
from promptship.routing.eligibility import NOTHING, Attributes

HEADER: Final = b"x-promptship-attributes"
DISCLOSURE: Final = b"x-promptship-disclosure"
KNOWN_APPLICATION: Final = "promptship.application"
"""Key of the ASGI scope: the name that the application's key belongs to."""
BYTES_MAX: Final = 4096
ATTRIBUTES_MAX: Final = 50
_NAME: Final = re.compile(NAME_PATTERN)
_ENCODED: Final = "UTF-8''"


def attributes_of(scope: Scope) -> Attributes | Rejection:
    """The attributes of a request. Wrong ones are refused whether or not there is a canary, so that it shows up at once."""
    given = [value for name, value in scope["headers"] if name == HEADER]
    application = scope.get(KNOWN_APPLICATION, "")
    if not given:
        return {APPLICATION: application} if application else NOTHING
    if len(given) > 1:
        return _wrong("is there twice")
    attributes = _parsed(given[0])
    if isinstance(attributes, dict) and application:
        attributes[APPLICATION] = application
    return attributes


def _parsed(raw: bytes) -> dict[str, Any] | Rejection:
    if len(raw) > BYTES_MAX:
        return _wrong(f"has more than {BYTES_MAX:,} bytes")
    try:
        attributes = orjson.loads(raw)
    except ValueError:
        return _wrong("is no JSON")
    if not isinstance(attributes, dict) or len(attributes) > ATTRIBUTES_MAX:
        return _wrong(f"is no object of at most {ATTRIBUTES_MAX} attributes")
    for name, value in attributes.items():
        if not _NAME.fullmatch(name):
            return _wrong("has an attribute whose name is not of lower-case letters, digits and underscores")
        if not isinstance(value, str | bool | int | float | None):
            return _wrong(f"has an attribute, {name}, that is no text, number, true, false or null")
    return attributes


def _wrong(what: str) -> Rejection:
    """Without the value: it is about a person."""
    return bad_request(f"the header X-Promptship-Attributes {what}", code="invalid_attributes")


@lru_cache(maxsize=256)
def disclosure_value(text: str) -> bytes:
    """The text as a header's value: itself if it is plain ASCII, else as RFC 8187 writes it (`UTF-8''` and percent-encoded)."""
    if text.isascii() and text.isprintable() and text == text.strip() and not text.startswith(_ENCODED):
        return text.encode("ascii")
    return f"{_ENCODED}{quote(text, safe='')}".encode("ascii")
