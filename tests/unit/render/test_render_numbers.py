"""One table is the voice of all numbers."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship import numbers

PERCENT = {
    0.0: "0%", 1e-9: "<0.01%", 0.0001: "0.01%", 0.00041: "0.04%", 0.0041: "0.41%", 0.0412: "4.1%", 0.05: "5%",
    0.123: "12.3%", 0.5: "50%", 0.999: "99.9%", 0.9999: "99.99%", 0.999999: ">99.99%", 1.0: "100%",
}  # fmt: skip
EVIDENCE = {
    0.0: "under 0.001", 0.0421: "0.0421", 0.52: "0.52", 1.0: "1", 8.0: "8", 9.999: "9.99", 19.999: "19.9", 20.0: "20",
    59.99: "59.9", 123.9: "123", 999.0: "999", 51_235.0: "51,200", 999_999.0: "999,000", 1e299: "over 1,000,000",
    math.inf: "over 1,000,000",
}  # fmt: skip
AT_LEAST = {20.0: "20", 60.00000000000001: "60", 26.6667: "26.67", 12000.0: "12,000"}
DURATION = {
    0: "0 s", 0.12: "120 ms", 0.9999: "1 s", 4.5: "4.5 s", 9.97: "10 s", 45: "45 s", 60: "1 min", 200: "3 min 20 s",
    3600: "1 h", 3900: "1 h 5 min", 86400: "1 d", 183600: "2 d 3 h", -90: "-1 min 30 s",
}  # fmt: skip


@pytest.mark.parametrize(("value", "text"), PERCENT.items())
def test_percent(value: float, text: str) -> None:
    assert numbers.percent(value) == text


@pytest.mark.parametrize(("value", "text"), EVIDENCE.items())
def test_evidence(value: float, text: str) -> None:
    assert numbers.evidence(value) == text


@pytest.mark.parametrize(("value", "text"), AT_LEAST.items())
def test_thresholds(value: float, text: str) -> None:
    assert numbers.at_least(value) == text


@given(st.floats(0.001, 1e6))
def test_evidence_never_reads_as_a_threshold_that_it_has_not_reached(e_value: float) -> None:
    said = float(numbers.evidence(e_value).replace(",", ""))
    assert said <= e_value * (1 + 1e-6)
    assert said > 0.98 * e_value


@pytest.mark.parametrize(("value", "text"), DURATION.items())
def test_duration(value: float, text: str) -> None:
    assert numbers.duration(value) == text


def test_the_others() -> None:
    assert (numbers.points(0.0123), numbers.points(-0.2), numbers.points(0.0)) == (
        "+1.23 points",
        "-20 points",
        "+0 points",
    )
    assert (numbers.count(1234567), numbers.plural(1, "look"), numbers.plural(1200, "look")) == (
        "1,234,567",
        "1 look",
        "1,200 looks",
    )
    assert numbers.moment(datetime(2026, 3, 4, 14, 2, 9, tzinfo=UTC)) == "2026-03-04 14:02 UTC"
    assert numbers.moment(None) == ""
    assert numbers.clock(datetime(2026, 3, 4, 14, 2, 9, tzinfo=UTC)) == "2026-03-04 14:02:09"
    assert (numbers.short("ab" * 32), numbers.short(None)) == ("abababababab", "none")


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (0.0, "$0"), (0.00001, "<$0.0001"), (0.0042, "$0.0042"), (0.02, "$0.02"), (0.0999999, "$0.10"), (0.5, "$0.50"),
        (1.2, "$1.20"), (999.99, "$999.99"), (999.996, "$1,000"), (1204.4, "$1,204"), (-1.5, "-$1.50"),
    ],
)  # fmt: skip
def test_money(usd: float, text: str) -> None:
    assert numbers.money(usd) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.8333, "0.833"), (12.34, "12.3"), (1204.4, "1,204"), (1e-5, "1.0e-05"), (2e7, "2.0e+07"), (-0.5, "-0.5")],
)  # fmt: skip
def test_decimal(value: float, text: str) -> None:
    assert numbers.decimal(value) == text


def test_intervals_and_milliseconds() -> None:
    assert numbers.between(0.693, 1.0) == "69.3% to 100%"
    assert numbers.between(None, 1.0) == numbers.between(0.5, math.nan) == "not measured"
    assert numbers.milliseconds(340.4) == "340 ms"


@given(st.floats(0, 1e9))
def test_free_is_said_of_nothing_that_costs(usd: float) -> None:
    assert (numbers.money(usd) == "$0") == (usd == 0)


def test_what_was_not_measured_is_never_a_number() -> None:
    measures = (numbers.percent, numbers.points, numbers.evidence, numbers.at_least, numbers.duration)
    for render in (*measures, numbers.money, numbers.decimal, numbers.milliseconds):
        assert render(None) == render(math.nan) == "not measured"
    assert numbers.count(None) == "not measured"


@given(st.floats(0, 1))
def test_none_and_all_are_said_of_nothing_else(fraction: float) -> None:
    text = numbers.percent(fraction)
    assert (text == "0%") == (fraction == 0)
    assert (text == "100%") == (fraction == 1)


@given(st.floats(0, 1e7), st.floats(0, 1e7))
def test_every_duration_is_two_units_at_most(one: float, two: float) -> None:
    for seconds in (one, two):
        text = numbers.duration(seconds)
        assert len(text.split()) in {2, 4}
        assert "60 s" not in text
        assert "60 min" not in text
        assert "24 h" not in text
