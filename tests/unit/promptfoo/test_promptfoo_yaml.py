from __future__ import annotations

import math
from typing import Any

import pytest

from promptship.errors import ConfigError
from promptship.evals.promptfoo.references import read_yaml
from promptship.evals.promptfoo.yaml_text import Timestamp, read_document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("Off", "Off"),
        ("true", True),
        ("TRUE", True),
        ("tRue", "tRue"),
        ("null", None),
        ("~", None),
        ("", None),
        ("# nothing", None),
        ("007", 7),
        ("08", 8),
        ("0o14", 12),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("+1", 1),
        ("1.", 1),
        ("-.5", -0.5),
        ("1e3", 1000),
        ("1e", "1e"),
        ("1.5e-3", 0.0015),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("12345678901234567890", 12345678901234567168),
        ("1:30", "1:30"),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("2026-01-31", "2026-01-31T00:00:00.000Z"),
        ("2026-01-31 10:00:00.5", "2026-01-31T10:00:00.500Z"),
        ("2026-01-31T10:00:00+02:00", "2026-01-31T08:00:00.000Z"),
        ("'2026-01-31'", "2026-01-31"),
        ("{1: a, true: b, null: c, 1.5: d}", {"1": "a", "true": "b", "null": "c", "1.5": "d"}),
        ("a: &x {k: 1}\nb:\n  <<: *x\n  z: 2", {"a": {"k": 1}, "b": {"k": 1, "z": 2}}),
        ("a: &x {k: 1}\nb:\n  <<: [*x, {k: 2, w: 3}]\n  k: 9", {"a": {"k": 1}, "b": {"k": 9, "w": 3}}),
        ('{"a": [1.0, "x"]}', {"a": [1, "x"]}),
    ],
)
def test_scalars_are_what_js_yaml_makes_of_them(text: str, value: Any) -> None:
    read = read_yaml(text, "f.yaml")
    assert read == value
    assert type(read) is type(value)


def test_whole_numbers_are_whole_however_they_are_written() -> None:
    assert repr(read_yaml("[1.0, 1e3, -0]", "f")) == "[1, 1000, 0]"


def test_a_date_is_known_as_one() -> None:
    assert isinstance(read_document("f", b"2026-01-31").data, Timestamp)
    assert type(read_yaml("2026-01-31", "f")) is str


@pytest.mark.parametrize(
    ("text", "line", "got"),
    [
        (b"a: 1\nb: 2\na: 3", 3, "written twice"),
        (b"a: [1\nb: 2", 2, ""),
        (b"a: 1\n---\nb: 2", 2, "but found another document"),
        (b"x: 1\n? [a]\n: 1", 2, "a key that is a list"),
        (b"a: &x [1, *x]", 1, "an alias inside of what it stands for"),
        (b"a: !foo b", 1, "could not determine a constructor"),
        (b"\xff", 0, "byte 0 is not UTF-8"),
        (b"2026-13-45", 0, "month must be in 1..12"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: bytes, line: int, got: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_document("f.yaml", text)
    problem = caught.value.problems[0]
    assert (problem.file, problem.line) == ("f.yaml", line)
    assert got in problem.got


def test_aliases_that_multiply_are_refused() -> None:
    text = "a0: &a0 [x, x]\n" + "\n".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)
    )
    with pytest.raises(ConfigError, match="aliases that multiply"):
        read_document("bomb.yaml", text)


def test_lines_are_known() -> None:
    document = read_document("f", "a: 1\nb:\n  - c: 2\n  - d:\n      e: 3\n")
    assert document.line("b[1].d.e") == 5
