"""Signatures of webhooks as standardwebhooks.com has them: HMAC-SHA256 over `<id>.<unix seconds>.<body>`, base64. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from promptship.errors import Refused

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
AGE_S_MAX: Final = 300
"""Older (or future) messages are refused."""
_PREFIX: Final = "whsec_"


def key_of(text: str, *, plain: bool) -> bytes:
    """The key in `whsec_` and base64; with `plain` any other text is one as it stands. Empty: there is none."""
    text = text.strip()
    if plain and not text.startswith(_PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return text.encode() if plain else b""


def signed(key: bytes, message_id: str, body: bytes, *, at: datetime) -> dict[str, str]:
    """Headers that prove who sent `body`."""
    timestamp = str(int(at.timestamp()))
    return {
        ID: message_id,
        TIMESTAMP: timestamp,
        SIGNATURE: f"v1,{_mac(key, message_id, timestamp, body)}",
    }


def verified(key: bytes, headers: Mapping[str, str], body: bytes, *, now: datetime) -> str:
    """The message's id, when one of the signatures fits and it was made in the last five minutes. `headers` ignores case.

    Raises:
        Refused: a header is missing or wrong, the signature does not fit, or it is too old.
    """
    if not key:  # anybody can sign with an empty one
        raise Refused("no signing key is configured")
    message_id, timestamp = headers.get(ID, ""), headers.get(TIMESTAMP, "")
    if not message_id or not re.fullmatch(r"[0-9]{1,12}", timestamp, re.ASCII):
        raise Refused(f"headers {ID} and {TIMESTAMP} are missing or not what they should be")
    expected = _mac(key, message_id, timestamp, body).encode()
    given = [one.partition(",") for one in headers.get(SIGNATURE, "").split()]
    fits = [
        hmac.compare_digest(expected, text.encode("utf-8", "replace"))
        for version, _, text in given
        if version == "v1"
    ]
    if not any(fits):
        raise Refused(f"header {SIGNATURE} does not fit: sender and receiver have different keys")
    if abs(now.timestamp() - int(timestamp)) > AGE_S_MAX:
        raise Refused(f"the message is older than {AGE_S_MAX} s; check the clocks")
    return message_id


def _mac(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    text = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
