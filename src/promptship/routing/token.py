"""The signed feedback token: what the gateway hands out with an answer, so that feedback about it needs no look-up.

`v1.<claims>.<signature>`: claims are a JSON array, the signature is HMAC-SHA256 over everything before it, both URL-safe
base64 without padding. The token is readable by who holds it and holds nothing secret: no text, and a unit only as
`sha256(salt, unit)[:16]`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Annotated, Final, NamedTuple

import orjson
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from promptship.errors import Refused
from promptship.routing.observation import Arm

SECRET_BYTES_MIN: Final = 16
TOKEN_CHARACTERS_MAX: Final = 1024
_SCHEME: Final = "v1"


class Claims(NamedTuple):
    """The request an answer belongs to: what a feedback line needs beside its kind and value."""

    request: str
    """Observation.id."""
    request_at_ms: int
    prompt: str
    version: str
    arm: Arm
    release: str | None
    stage: int | None
    unit: str | None = None
    """Observation.unit: hashed, and only inside an experiment. Tokens of older gateways lack it."""


# As a plain tuple, since that is what stands in the token; strict, so that a number never passes for a text.
_Count = Annotated[int, Field(ge=0)]
_Old = tuple[str, _Count, str, str, Arm, str | None, _Count | None]
_Words = tuple[str, _Count, str, str, Arm, str | None, _Count | None, str | None] | _Old
_WORDS: Final = TypeAdapter[_Words](_Words, config=ConfigDict(strict=True))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _signature(secret: bytes, signed: str) -> str:
    return _text(hmac.digest(secret, signed.encode(), hashlib.sha256))


def _checked(secret: bytes) -> bytes:
    if len(secret) < SECRET_BYTES_MIN:
        raise Refused(
            f"the token secret has {len(secret)} bytes; it needs at least {SECRET_BYTES_MIN} random ones"
        )
    return secret


def sign(secret: bytes, claims: Claims) -> str:
    """The token of a request; URL-safe characters only.

    Raises:
        Refused: the secret is shorter than 16 bytes.
    """
    signed = f"{_SCHEME}.{_text(orjson.dumps(list(claims)))}"
    return f"{signed}.{_signature(_checked(secret), signed)}"


def read(secret: bytes, token: str) -> Claims:
    """The claims of a token that this secret signed.

    The signature is compared as text and in constant time: base64 without padding has several spellings of one value, and
    only the one that was handed out is accepted.

    Raises:
        Refused: forged, cut, altered, from another secret, or no token at all. The message does not say which.
    """
    refused = Refused("this feedback token is not one of ours; pass it on exactly as the answer carried it")
    signed, _, signature = token.rpartition(".")
    if len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
        raise refused
    if not hmac.compare_digest(_signature(_checked(secret), signed), signature):
        raise refused
    scheme, _, payload = signed.partition(".")
    try:
        words = _WORDS.validate_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, ValidationError):
        raise refused from None
    if scheme != _SCHEME:
        raise refused
    return Claims(*words)
