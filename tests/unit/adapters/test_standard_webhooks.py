from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from promptship.adapters.standard_webhooks import (
    AGE_S_MAX,
    ID,
    SIGNATURE,
    TIMESTAMP,
    key_of,
    signed,
    verified,
)
from promptship.errors import Refused

AT = datetime(2021, 2, 25, 21, 11, 31, tzinfo=UTC)
KEY = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", plain=False)
BODY = b'{"test": 2432232314}'


def test_the_example_of_the_specification() -> None:
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = signed(KEY, "msg_p5jXN8AQM9LWM0D4loKWxJek", BODY, at=at)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert verified(KEY, headers, BODY, now=at) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


def test_what_is_a_key() -> None:
    assert key_of(" abcd ", plain=True) == b"abcd"
    assert key_of("abcd", plain=False) == base64.b64decode("abcd") == key_of("whsec_abcd", plain=True)
    assert key_of("whsec_no base64!", plain=True) == b"whsec_no base64!"
    assert [key_of(text, plain=False) for text in ("", "whsec_", "whsec_no base64!")] == [b"", b"", b""]


@pytest.mark.parametrize("secret", [KEY, b"plain words"])
def test_one_of_several_signatures_is_enough(secret: bytes) -> None:
    headers = signed(secret, "1", BODY, at=AT)
    headers[SIGNATURE] = f"v2,zzz v1,bm8= {headers[SIGNATURE]}"
    assert verified(secret, headers, BODY, now=AT + timedelta(seconds=AGE_S_MAX)) == "1"


@pytest.mark.parametrize(
    ("change", "body", "later_s", "why"),
    [
        ({}, b"{}", 0, "does not fit"),
        ({ID: "2"}, BODY, 0, "does not fit"),
        ({ID: ""}, BODY, 0, "missing"),
        ({TIMESTAMP: "x"}, BODY, 0, "missing"),
        ({TIMESTAMP: "1"}, BODY, 0, "does not fit"),
        ({SIGNATURE: ""}, BODY, 0, "does not fit"),
        ({SIGNATURE: "v1,é"}, BODY, 0, "does not fit"),
        ({}, BODY, AGE_S_MAX + 1, "older than"),
        ({}, BODY, -AGE_S_MAX - 1, "older than"),
    ],
)
def test_anything_else_is_refused(change: dict[str, str], body: bytes, later_s: float, why: str) -> None:
    headers = signed(KEY, "1", BODY, at=AT) | change
    with pytest.raises(Refused, match=why):
        verified(KEY, headers, body, now=AT + timedelta(seconds=later_s))


def test_another_key_does_not_fit() -> None:
    with pytest.raises(Refused, match="different keys"):
        verified(b"other", signed(KEY, "1", BODY, at=AT), BODY, now=AT)
    with pytest.raises(Refused, match="no signing key"):
        verified(b"", signed(b"", "1", BODY, at=AT), BODY, now=AT)
