"""Formats of a JSON Schema; compared with ajv-formats (full) as promptfoo 0.123.1 uses it."""

from __future__ import annotations

import pytest
from jsonschema.validators import Draft7Validator

from promptship.evals.scripts.formats import TEXTS, checker

FITS = {
    "date": ["2024-02-29"],
    "date-time": ["2024-02-29T12:30:00Z", "2024-02-29t12:30:00.123+01:00", "2024-02-29 12:30:00Z"],
    "duration": ["P1D", "P1Y2M3DT4H5M6S", "P1W"],
    "email": ["a@b.c", "a.b+c@d-e.org"],
    "hostname": ["localhost", "example.com", "a."],
    "ipv4": ["1.2.3.4"],
    "ipv6": ["::1", "::ffff:1.2.3.4"],
    "json-pointer": ["", "/a/b", "/a~0b"],
    "regex": ["a+"],
    "time": ["12:30:00Z", "23:59:60Z", "12:30:00.5+02:00"],
    "uri": ["http://x.y/z?q=1#f", "urn:x:y", "mailto:a@b.c"],
    "uri-reference": ["../x", "#frag", "http://x"],
    "uuid": ["123E4567-E89B-12D3-A456-426614174000", "urn:uuid:123e4567-e89b-12d3-a456-426614174000"],
}
FAILS = {
    "date": ["2023-02-29", "24-01-01"],
    "date-time": ["2024-02-29T12:30:00", "2024-02-30T00:00:00Z", "2024-02-29"],
    "duration": ["P", "PT", "PT1.5S"],
    "email": ["a@b", "@b.c", "a@-b.c"],
    "hostname": ["a_b.c", "-a.b", "a..b"],
    "ipv4": ["1.2.3.256", "01.2.3.4"],
    "ipv6": ["1::2::3", "fe80::1%eth0"],
    "json-pointer": ["a/b", "/a~2"],
    "regex": ["(", "[a"],
    "time": ["12:30:00", "25:00:00Z", "12:59:60Z"],
    "uri": ["relative/path", ":x", "http://a%2"],
    "uri-reference": ["a b", "%2"],
    "uuid": ["123e4567e89b12d3a456426614174000", "{123e4567-e89b-12d3-a456-426614174000}"],
}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_format_fits_and_fails(name: str) -> None:
    validator = Draft7Validator({"format": name}, format_checker=checker())
    assert [text for text in FITS[name] if not validator.is_valid(text)] == []
    assert [text for text in FAILS[name] if validator.is_valid(text)] == []
    assert validator.is_valid(7)


def test_a_format_nobody_knows_is_passed_over() -> None:
    assert Draft7Validator({"format": "moon-phase"}, format_checker=checker()).is_valid("full")
