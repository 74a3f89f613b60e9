"""Freezes: when they cover a moment, and that they are over when they say so. By the wall clock, on the days it is changed too."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from promptship.lifecycle.freezes import Freeze, covered, covers
from promptship.settings.environments import Weekly
from promptship.settings.people import DAYS

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
START = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = st.one_of(
    st.integers(0, 366 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes)),
    # around the days on which clocks are changed
    st.builds(
        lambda day, minutes: day + timedelta(minutes=minutes),
        st.sampled_from([datetime(2026, month, day, tzinfo=UTC) for month, day in [(3, 8), (3, 29), (4, 4), (10, 3), (10, 25), (11, 1)]]),
        st.integers(-60, 30 * 60),
    ),
)  # fmt: skip
_CLOCK = st.integers(0, 24 * 60 - 1)


def _time(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


@st.composite
def weeklies(draw: st.DrawFn) -> Weekly:
    days = draw(st.lists(st.sampled_from(DAYS), min_size=1, unique=True))
    begin = draw(_CLOCK)
    end = draw(st.one_of(st.just("24:00"), st.integers(begin + 1, 24 * 60).map(_time)))
    return Weekly(days=tuple(days), begin=_time(begin), end=end, zone=draw(st.sampled_from(ZONES)))


@st.composite
def freezes(draw: st.DrawFn) -> Freeze:
    since, until = draw(st.none() | MOMENTS), draw(st.none() | MOMENTS)
    return Freeze(
        name="f",
        environments=draw(st.sampled_from([(), ("production",), ("staging", "production"), ("dev",)])),
        prompts=draw(st.sampled_from([(), ("support*",), ("support-reply", "other"), ("other",)])),
        since=since,
        until=until,
        weekly=draw(st.none() | weeklies()),
    )


def _is_frozen(freeze: Freeze, at: datetime) -> bool:
    """What a person would say, who looks at the calendar and at the clock on the wall."""
    if freeze.environments and "production" not in freeze.environments:
        return False
    if freeze.prompts and freeze.prompts == ("other",):
        return False
    if (freeze.since and at < freeze.since) or (freeze.until and at >= freeze.until):
        return False
    weekly = freeze.weekly
    if weekly is None:
        return True
    wall = at.astimezone(ZoneInfo(weekly.zone))
    return DAYS[wall.weekday()] in weekly.days and weekly.begin <= f"{wall:%H:%M}" < weekly.end


@given(freezes(), MOMENTS)
def test_a_freeze_covers_exactly_what_calendar_and_wall_clock_say(freeze: Freeze, at: datetime) -> None:
    assert (covers(freeze, "production", "support-reply", at) is not None) == _is_frozen(freeze, at)


@given(st.lists(freezes(), max_size=4), MOMENTS)
def test_traffic_may_grow_exactly_when_no_freeze_covers_it_and_not_before_the_end_that_was_said(
    several: list[Freeze], at: datetime
) -> None:
    found = covered(several, "production", "support-reply", at)
    assert (found is None) == (not any(_is_frozen(one, at) for one in several))
    if found is None or found.until is None:
        return
    assert found.until > at
    assert not any(_is_frozen(one, found.until) for one in several)


@given(MOMENTS)
def test_adjoining_windows_are_one_freeze(at: datetime) -> None:
    zone = "Europe/Berlin"
    friday = Freeze(name="fri", weekly=Weekly(days=("fri",), begin="15:00", zone=zone))
    weekend = Freeze(name="weekend", weekly=Weekly(days=("sat", "sun"), zone=zone))
    found = covered([friday, weekend], "production", "support", at)
    if found is not None:
        assert found.until is not None
        wall = found.until.astimezone(ZoneInfo(zone))
        assert (wall.weekday(), wall.hour, wall.minute) == (0, 0, 0)


def test_a_week_without_a_gap_has_no_end() -> None:
    always = Freeze(name="always", weekly=Weekly(days=DAYS))
    assert covered([always], "production", "support", START) is not None
    found = covered([always], "production", "support", START)
    assert found is not None
    assert found.until is None


def test_the_edges_of_a_window_and_the_days_on_which_clocks_change() -> None:
    zone = "Europe/Berlin"
    night = Weekly(days=("sun",), begin="02:15", end="02:45", zone=zone)

    def at(day: int, month: int, hour: int, minute: int) -> datetime:
        return datetime(2026, month, day, hour, minute, tzinfo=UTC)

    # 25 October: 02:00 to 03:00 comes twice, from 00:00 and from 01:00 UTC
    assert night.until(at(25, 10, 0, 14)) is None
    assert night.until(at(25, 10, 0, 15)) == at(25, 10, 0, 45)
    assert night.until(at(25, 10, 0, 45)) is None
    assert night.until(at(25, 10, 1, 15)) == at(25, 10, 1, 45)
    assert night.until(at(25, 10, 1, 45)) is None
    # 29 March: it does not come at all; a window that reaches beyond it begins when the clock jumps into it
    assert [night.until(at(29, 3, 0, 30)), night.until(at(29, 3, 1, 15))] == [None, None]
    longer = night.model_copy(update={"end": "03:15"})
    assert longer.until(at(29, 3, 0, 59)) is None
    assert longer.until(at(29, 3, 1, 0)) == at(29, 3, 1, 15)
    day = Weekly(days=("sun",), zone=zone)
    assert day.until(at(24, 10, 22, 0)) == at(25, 10, 23, 0)  # 25 hours
    assert day.until(at(25, 10, 23, 0)) is None
