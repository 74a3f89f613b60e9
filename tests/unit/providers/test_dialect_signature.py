"""AWS's published examples of signatures, version 4, and one that AWS's own library made."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from promptship.adapters.providers.dialects.call import HttpCall
from promptship.adapters.providers.dialects.sigv4 import Credentials, signed

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEYS = Credentials(key_id="AKIDEXAMPLE", secret=SECRET)
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/"
    "qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xV"
    "qr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
SUITE = "https://example.amazonaws.com"
FORM = ("Content-Type", "application/x-www-form-urlencoded")


@pytest.mark.parametrize(
    ("call", "service", "keys", "signature"),
    [
        (HttpCall(method="GET", url=f"{SUITE}/"), "service", KEYS, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (HttpCall(url=f"{SUITE}/"), "service", KEYS, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (HttpCall(method="GET", url=f"{SUITE}/?Param2=value2&Param1=value1"), "service", KEYS, "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        (HttpCall(url=f"{SUITE}/", headers=(FORM,), body=b"Param1=value1"), "service", KEYS, "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        (HttpCall(method="GET", url=f"{SUITE}/", headers=(("My-Header1", " value1"), ("My-Header2", '"a   b   c"'))), "service", KEYS, "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
        (HttpCall(url=f"{SUITE}/"), "service", Credentials(key_id="AKIDEXAMPLE", secret=SECRET, session_token=TOKEN), "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"),
        (HttpCall(method="GET", url="https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", headers=(("content-type", "application/x-www-form-urlencoded; charset=utf-8"),)), "iam", KEYS, "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"),
    ],
)  # fmt: skip
def test_published_examples(call: HttpCall, service: str, keys: Credentials, signature: str) -> None:
    made = signed(call, keys, region="us-east-1", service=service, at=AT, hash_header=False)
    assert dict(made.headers)["authorization"].rpartition("Signature=")[2] == signature


def test_the_call_itself_stays_and_nothing_prints_a_secret() -> None:
    call = HttpCall(
        url="https://h.example/model/a:0/converse", headers=(("Authorization", "old"), FORM), body=b"{}"
    )
    made = signed(call, KEYS, region="eu-west-1", service="bedrock", at=AT)
    assert (made.method, made.url, made.body) == (call.method, call.url, call.body)
    names = [name.lower() for name, _ in made.headers]
    assert names.count("authorization") == 1
    assert "host" not in names
    assert {"x-amz-date", "x-amz-content-sha256", "content-type"} <= set(names)
    assert SECRET not in repr(KEYS) + repr(made)


def test_each_part_of_a_call_counts() -> None:
    base = HttpCall(url="https://h.example/model/a:0/converse", body=b"{}")
    variants = [
        base,
        HttpCall(url="https://h.example/model/b:0/converse", body=b"{}"),
        HttpCall(url="https://h.example/model/a%2F0/converse", body=b"{}"),
        HttpCall(url="https://other.example/model/a:0/converse", body=b"{}"),
        HttpCall(url=base.url, body=b"{ }"),
    ]
    made = {
        dict(signed(one, KEYS, region="r", service="s", at=AT).headers)["authorization"] for one in variants
    }
    assert len(made) == len(variants)


def test_a_call_that_awss_own_library_signed() -> None:
    """The JavaScript SDK, version 3.1163.0: a path that is encoded is encoded once more in what is signed."""
    call = HttpCall(
        url="http://127.0.0.1:18971/model/anthropic.claude-3-5-sonnet-20241022-v2%3A0/converse",
        headers=(
            ("amz-sdk-invocation-id", "19cee873-e853-4a84-975b-8c512a983829"),
            ("amz-sdk-request", "attempt=1; max=10"),
            ("content-length", "61"),
            ("content-type", "application/json"),
            ("x-amz-user-agent", "aws-sdk-js/3.1163.0"),
        ),
        body=b'{"messages":[{"role":"user","content":[{"text":"Say one"}]}]}',
    )
    at = datetime(2026, 11, 22, 18, 28, 27, tzinfo=UTC)
    made = signed(call, Credentials(key_id="AK", secret="SK"), region="us-west-2", service="bedrock", at=at)
    assert dict(made.headers)["authorization"].rpartition("Signature=")[2] == (
        "db105807cd3322273b7cc02ca1e9d1980c6e9bf8e6f89a80901630c36cbd3140"
    )
