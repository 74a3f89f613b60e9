from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from promptship.adapters.standard_webhooks import AGE_S_MAX, ID, SIGNATURE, TIMESTAMP, signed, verified
from promptship.errors import Refused

AT = datetime(2021, 2, 25, 21, 11, 31, tzinfo=UTC)
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
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


@pytest.mark.parametrize("secret", [KEY, "plain words", "whsec_no base64!"])
def test_one_of_several_signatures_is_enough(secret: str) -> None:
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
        verified("other", signed(KEY, "1", BODY, at=AT), BODY, now=AT)
