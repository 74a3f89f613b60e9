"""Feedback tokens: what was signed comes back, anything else is refused."""

from __future__ import annotations

import base64

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.errors import Refused
from promptship.routing.token import Claims, _signature, read, sign

SECRET = b"sixteen bytes ok"
claims = st.builds(
    Claims,
    request=st.text(max_size=36),
    request_at_ms=st.integers(0, 2**48),
    prompt=st.text(max_size=40),
    version=st.text(alphabet="0123456789abcdef", max_size=64),
    arm=st.sampled_from(["stable", "candidate"]),
    release=st.none() | st.text(max_size=30),
    stage=st.none() | st.integers(0, 20),
    unit=st.none() | st.text(alphabet="0123456789abcdef", max_size=16),
)
EXAMPLE = Claims("0190", 1, "support", "ab" * 32, "candidate", "r-1", 0)
TOKEN = sign(SECRET, EXAMPLE)


@given(claims)
def test_round_trip(given_claims: Claims) -> None:
    token = sign(SECRET, given_claims)
    assert read(SECRET, token) == given_claims
    assert token.isascii()
    assert not set(token) & set(" +/=,;\r\n")


@given(claims)
def test_a_token_of_a_gateway_that_knew_no_unit_still_holds(given_claims: Claims) -> None:
    payload = base64.urlsafe_b64encode(orjson.dumps(list(given_claims[:7]))).rstrip(b"=").decode()
    signed = f"v1.{payload}"
    assert read(SECRET, f"{signed}.{_signature(SECRET, signed)}") == given_claims._replace(unit=None)


def test_every_other_character_at_every_place_is_refused() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=é"
    for place, right in enumerate(TOKEN):
        for wrong in alphabet if place > len(TOKEN) - 4 else "A_.":
            if wrong != right:
                with pytest.raises(Refused):
                    read(SECRET, TOKEN[:place] + wrong + TOKEN[place + 1 :])


@given(st.integers(0, len(TOKEN) - 1))
def test_a_cut_token_is_refused(length: int) -> None:
    with pytest.raises(Refused):
        read(SECRET, TOKEN[:length])


@given(st.text(max_size=200))
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        read(SECRET, text)
    with pytest.raises(Refused):
        read(SECRET, TOKEN + text if text else "")


def test_another_secret_is_refused() -> None:
    with pytest.raises(Refused):
        read(b"another secret, also long", TOKEN)


@pytest.mark.parametrize(
    "payload",
    [[], ["a"], [*EXAMPLE, 1], {"a": 1}, ["r", "1", *EXAMPLE[2:]], [*EXAMPLE[:4], "both", "r-1", 0]],
)
def test_claims_of_another_shape_are_refused_even_when_signed(payload: object) -> None:
    text = base64.urlsafe_b64encode(orjson.dumps(payload)).rstrip(b"=").decode()
    signed = f"v1.{text}"
    with pytest.raises(Refused):
        read(SECRET, f"{signed}.{_signature(SECRET, signed)}")


def test_another_scheme_is_refused_even_when_signed() -> None:
    signed = TOKEN.rpartition(".")[0].replace("v1.", "v2.", 1)
    with pytest.raises(Refused):
        read(SECRET, f"{signed}.{_signature(SECRET, signed)}")


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(Refused, match="at least 16"):
        sign(b"short", EXAMPLE)
    with pytest.raises(Refused, match="at least 16"):
        read(b"", TOKEN)
