"""Only what Slack signed lately is believed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.adapters.slack import verify_slack
from promptship.errors import Refused
from tests.support.plane import slack_headers

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


def accepted(
    body: bytes, *, secret: str = SECRET, age_s: float = 0, signed: bytes | None = None, key: str = SECRET
) -> bool:
    headers = slack_headers(body if signed is None else signed, NOW.timestamp() - age_s, key)
    try:
        verify_slack(secret, headers["X-Slack-Request-Timestamp"], body, headers["X-Slack-Signature"], NOW)
    except Refused:
        return False
    return True


def test_slacks_own_example() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name="
        b"foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks."
        b"slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121"
        b".803a0bc887a14d10d2c447fce8b6703c"
    )
    signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    at = datetime.fromtimestamp(1531420618, UTC)
    verify_slack(SECRET, "1531420618", body, signature, at)
    with pytest.raises(Refused):
        verify_slack(SECRET, "1531420618", body + b"x", signature, at)


@settings(max_examples=60)
@given(
    body=st.text(max_size=30).map(str.encode),
    other=st.text(max_size=30).map(str.encode),
    age_s=st.integers(-900, 900),
)
def test_accepts_exactly_the_signed_body_while_fresh(body: bytes, other: bytes, age_s: int) -> None:
    assert accepted(body, age_s=age_s) == (abs(age_s) <= 300)
    assert accepted(body, signed=other) == (body == other)
    assert not accepted(body, key=SECRET + "x")


@pytest.mark.parametrize("timestamp", ["", "abc", "-5", "1e9", "١٢٣", " 1767268800", "9" * 30, "nan"])
def test_a_timestamp_that_is_no_number_is_refused_and_does_not_crash(timestamp: str) -> None:
    with pytest.raises(Refused):
        verify_slack(SECRET, timestamp, b"", "v0=0", NOW)


@pytest.mark.parametrize("signature", ["", "v0=", "é", "\udcff"])
def test_a_signature_of_another_form_is_refused_and_does_not_crash(signature: str) -> None:
    with pytest.raises(Refused):
        verify_slack(SECRET, str(int(NOW.timestamp())), b"x", signature, NOW)


def test_a_body_that_is_not_utf_8_is_refused_and_does_not_crash() -> None:
    with pytest.raises(Refused):
        verify_slack(SECRET, str(int(NOW.timestamp())), b"\xff", "v0=0", NOW)


@pytest.mark.parametrize("secret", ["", "  "])
def test_without_a_secret_everything_is_refused(secret: str) -> None:
    with pytest.raises(Refused, match="not configured"):
        verify_slack(
            secret,
            str(int(NOW.timestamp())),
            b"",
            slack_headers(b"", NOW.timestamp(), "")["X-Slack-Signature"],
            NOW,
        )


def test_freshness_is_judged_by_the_clock_that_is_given() -> None:
    then = NOW - timedelta(days=365)
    headers = slack_headers(b"", then.timestamp(), SECRET)
    verify_slack(SECRET, headers["X-Slack-Request-Timestamp"], b"", headers["X-Slack-Signature"], then)
