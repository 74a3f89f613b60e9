import pytest

from promptship.canary import because


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0.0, "0%"),
        (1.0, "100%"),
        (0.049, "4.9%"),
        (0.12345, "12.3%"),
        (0.00123, "0.123%"),
        (0.25, "25%"),
        (1e-05, "0.001%"),
    ],
)
def test_rates(rate: float, text: str) -> None:
    assert because.percent(rate) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "under 0.001"),
        (0.0421, "0.0421"),
        (1.0, "1"),
        (8.0, "8"),
        (19.999, "19.9"),
        (20.0, "20"),
        (59.99, "59.9"),
        (123.9, "123"),
        (999_999.0, "999,000"),
        (1e299, "over 1,000,000"),
    ],
)
def test_evidence_is_rounded_down(value: float, text: str) -> None:
    assert because.e_value(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(20.0, "20"), (60.00000000000001, "60"), (26.6667, "26.67"), (12000.0, "12,000")]
)
def test_thresholds(value: float, text: str) -> None:
    assert because.at_least(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "0.5 s"), (45.0, "45 s"), (90.0, "1.5 min"), (600.0, "10 min"), (14400.0, "4 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert because.duration(seconds) == text


def test_one_is_singular() -> None:
    assert because.count(1, "request") == "1 request"
    assert because.count(2400, "request") == "2,400 requests"
