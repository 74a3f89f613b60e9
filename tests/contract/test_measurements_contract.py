"""What every kind of measurements counts: when a bucket is ripe, whose feedback holds, what is measured at all."""

import shutil
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from promptship.canary.evidence import ArmCounts, Baseline, Counts, Histogram, StageCounts
from promptship.errors import NotFound
from promptship.routing.observation import Feedback, Observation
from tests.support.postgres import postgres_database
from tests.support.telemetry import RELEASE, Telemetry, at, memory_telemetry, said, served, sql_telemetry

METRICS = ("error_rate", "refusal_rate", "latency_p95", "feedback:escalated")
LATER = at(86400)


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.system)])
def telemetry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Telemetry]:
    if request.param == "memory":
        yield memory_telemetry()
    elif request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "ledger.db")
        with sql_telemetry(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "spool") as telemetry:
            yield telemetry
    else:
        server, template = request.getfixturevalue("postgres"), request.getfixturevalue("migrated_postgres")
        with (
            postgres_database(server, template=template) as url,
            sql_telemetry(url, tmp_path / "spool") as it,
        ):
            yield it


def test_nothing_served_is_nothing_measured(telemetry: Telemetry) -> None:
    telemetry.take_in()

    assert telemetry.counts(*METRICS, as_of=LATER) == StageCounts()
    assert telemetry.measurements.baseline("v-stable", METRICS, as_of=LATER, window_s=1e6) == Baseline()


def test_errors_and_refusals_are_counted_per_arm(telemetry: Telemetry) -> None:
    telemetry.take_in(
        served(1, "candidate", error=True, refusal=None), served(2, "candidate", refusal=True), served(3, "candidate", refusal=False),
        served(4, "stable", refusal=False), served(5, "stable", error=True, refusal=None),
    )  # fmt: skip

    assert telemetry.numbers("error_rate", as_of=LATER) == (3, 1, 2, 1)
    assert telemetry.numbers("refusal_rate", as_of=LATER) == (2, 1, 1, 0), (
        "only where a refusal could be told"
    )


def test_a_refusal_rate_that_could_never_be_told_is_absent(telemetry: Telemetry) -> None:
    telemetry.take_in(served(1, "candidate"), served(2, "stable"))

    assert telemetry.counts("error_rate", "refusal_rate", as_of=LATER).rates.keys() == {"error_rate"}


def test_only_what_is_asked_for_is_counted(telemetry: Telemetry) -> None:
    telemetry.take_in(served(1))

    counts = telemetry.counts("error_rate", as_of=LATER)
    assert set(counts.rates) == {"error_rate"}
    assert counts.latency is None


def test_latencies_fall_into_log_buckets(telemetry: Telemetry) -> None:
    latencies = [0.0, 0.5, 1.0, 2.0, 4.0, 999.0, 1000.0, 1024.0, 1e6]
    telemetry.take_in(*(served(1, "candidate", latency_ms=ms) for ms in latencies), served(2, latency_ms=3))

    latency = telemetry.counts("latency_p95", as_of=LATER).latency
    assert latency is not None
    assert latency.candidate == Histogram(buckets={0: 3, 16: 1, 32: 1, 159: 2, 160: 1, 318: 1})
    assert latency.stable == Histogram(buckets={25: 1})


def test_other_stages_and_releases_are_not_mixed_in(telemetry: Telemetry) -> None:
    telemetry.take_in(
        served(1), served(1, stage=1), served(1, release="r-two"), served(1, release=None, stage=None)
    )

    assert telemetry.numbers("error_rate", as_of=LATER) == (0, 0, 1, 0)
    assert telemetry.counts(as_of=LATER).requests == ArmCounts(stable=Counts(requests=1))


def test_the_same_record_counts_once_however_often_it_is_written(telemetry: Telemetry) -> None:
    row = served(1, "candidate", error=True)
    words = said(row, 5)
    telemetry.take_in(row, row, words, words)
    telemetry.take_in(words, row, served(1, "stable"))
    telemetry.measurements.ingest()

    assert telemetry.numbers("error_rate", as_of=LATER) == (1, 1, 1, 0)
    assert telemetry.numbers("feedback:escalated", as_of=LATER) == (1, 1, 1, 0)


@pytest.mark.parametrize(
    ("matures_s", "seconds", "counts"),
    [
        (0, 9.999, False),
        (0, 10, True),
        (0, 12, True),
        (5, 24.999, False),
        (5, 25, True),
        (3600, 3619.999, False),
        (3600, 3620, True),
    ],
)
def test_a_bucket_counts_exactly_when_it_is_ripe(
    telemetry: Telemetry, matures_s: float, seconds: float, counts: bool
) -> None:
    """The bucket of 12:00:12 is 12:00:10 to 12:00:20; with maturity 0 the running one counts too."""
    row = served(12, "candidate", refusal=True)
    telemetry.take_in(row, said(row, min(matures_s, 1)))

    if matures_s:
        words = telemetry.numbers("feedback:escalated", as_of=at(seconds), matures_s=matures_s)
        assert words == ((1, 1, 0, 0) if counts else None)
    found = telemetry.counts(
        "error_rate", "refusal_rate", "latency_p95", as_of=at(seconds), matures_s=matures_s
    )
    assert found.rates.keys() == ({"error_rate", "refusal_rate"} if counts else set())
    assert (found.latency is not None) == counts
    assert found.requests.candidate.requests == 1, "requests are counted whether ripe or not"


def test_each_metric_has_its_own_maturity(telemetry: Telemetry) -> None:
    telemetry.take_in(served(1, "candidate"), served(31, "candidate"))

    counts = telemetry.measurements.counts(
        RELEASE, 0, matures_after_s={"error_rate": 0, "latency_p95": 30}, as_of=at(40)
    )
    assert counts.rates["error_rate"].candidate.requests == 2
    assert counts.latency is not None
    assert counts.latency.candidate.buckets == {106: 1}


@pytest.mark.parametrize(("after_s", "counts"), [(0, 1), (59.999, 1), (60, 1), (60.001, 0), (3600, 0)])
def test_feedback_counts_exactly_when_it_came_in_time(
    telemetry: Telemetry, after_s: float, counts: int
) -> None:
    row = served(1, "candidate")
    telemetry.take_in(row, served(2, "candidate"), said(row, after_s))

    assert telemetry.numbers("feedback:escalated", as_of=LATER, matures_s=60) == (2, counts, 0, 0)
    assert telemetry.numbers("feedback:escalated", as_of=LATER) == (2, 1, 0, 0), (
        "without maturity: at any time"
    )


def test_the_last_statement_within_the_window_holds(telemetry: Telemetry) -> None:
    """Whatever somebody says after the window, or in which order it is delivered: what matured stays as it was."""
    yes, no, late, never = (served(1, "candidate") for _ in range(4))
    telemetry.take_in(yes, no, late, never, said(no, 40, value=False), said(yes, 40, value=True))
    telemetry.take_in(said(never, 10), said(never, 30, value=False), said(never, 20))
    telemetry.take_in(said(no, 20), said(yes, 20, value=False), said(late, 30))
    before = telemetry.numbers("feedback:escalated", as_of=LATER, matures_s=60)
    telemetry.take_in(said(late, 100, value=False), said(no, 100))

    assert before == telemetry.numbers("feedback:escalated", as_of=LATER, matures_s=60) == (4, 2, 0, 0)
    assert telemetry.numbers("feedback:escalated", as_of=LATER) == (4, 2, 0, 0)
    assert telemetry.numbers("feedback:escalated", as_of=at(60)) == (4, 2, 0, 0), (
        "not yet said counts as not said"
    )


def test_at_the_same_instant_the_larger_id_holds(telemetry: Telemetry) -> None:
    row = served(1, "candidate")
    telemetry.take_in(
        row, said(row, 5, id="B", value=True), said(row, 5, id="a", value=False), said(row, 5, id="Z")
    )

    assert telemetry.numbers("feedback:escalated", as_of=LATER) == (1, 0, 0, 0), (
        "byte order, not the dictionary's"
    )


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_feedback_may_come_before_its_request(telemetry: Telemetry, order: tuple[int, ...]) -> None:
    row = served(1, "stable")
    records: list[Observation | Feedback] = [row, said(row, 5), said(row, 9, value=False, kind="thumbs_down")]
    for index in order:
        telemetry.take_in(records[index])

    assert telemetry.numbers("feedback:escalated", as_of=LATER) == (0, 0, 1, 1)
    assert telemetry.numbers("feedback:thumbs_down", as_of=LATER) == (0, 0, 1, 0)


def test_there_are_never_more_events_than_requests(telemetry: Telemetry) -> None:
    lost = served(1, "candidate")
    telemetry.take_in(served(1, "stable"), said(lost, 1), said(served(2), 1), said(served(3), 1))

    assert telemetry.numbers("feedback:escalated", as_of=LATER) == (0, 0, 1, 1)


def test_a_kind_of_feedback_nobody_ever_sent_is_not_measured(telemetry: Telemetry) -> None:
    """Otherwise a dead feedback pipe would look like perfect quality."""
    row, elsewhere = served(1), served(1, prompt="another", release="r-two")
    telemetry.take_in(row, elsewhere, said(elsewhere, 1), said(row, 1, kind="thumbs_down"))
    assert telemetry.numbers("feedback:escalated", as_of=LATER) is None

    telemetry.take_in(said(served(0, release=None, stage=None), 7200, value=False))

    assert telemetry.numbers("feedback:escalated", as_of=LATER) == (0, 0, 1, 0), (
        "seen once, silence is good news"
    )
    assert telemetry.numbers("feedback:escalated", as_of=at(7199)) is None, "but not before it was seen"


def test_a_metric_nobody_measures_is_an_error(telemetry: Telemetry) -> None:
    telemetry.take_in(served(1))

    with pytest.raises(NotFound, match="cost"):
        telemetry.counts("cost", as_of=LATER)
    with pytest.raises(NotFound, match="cost"):
        telemetry.measurements.baseline("v-stable", ["cost"], as_of=LATER, window_s=60)


def test_the_baseline_is_all_traffic_of_a_version_within_the_window(telemetry: Telemetry) -> None:
    outside = served(-3600, release=None, stage=None, error=True, refusal=True, latency_ms=2)
    telemetry.take_in(
        outside, said(outside, 60),
        served(-5000, "candidate", version="v-stable", release="r-zero", stage=3),  # it was a candidate once
        served(-40, latency_ms=4),
        served(-8000, release=None, stage=None, error=True),  # too old
        served(-3600, release=None, stage=None, version="v-other", error=True),
    )  # fmt: skip

    found = telemetry.measurements.baseline("v-stable", METRICS, as_of=at(0), window_s=7200)
    assert found.rates == {
        "error_rate": Counts(requests=3, events=1),
        "refusal_rate": Counts(requests=1, events=1),
        "feedback:escalated": Counts(requests=3, events=1),
    }
    assert found.latency.buckets == {16: 1, 32: 1, 106: 1}


@pytest.mark.parametrize(("seconds", "requests"), [(9, 1), (10, 1), (19.999, 1), (20, 2)])
def test_a_release_is_never_seeded_with_its_own_running_bucket(
    telemetry: Telemetry, seconds: float, requests: int
) -> None:
    telemetry.take_in(served(12), served(13, release=None, stage=None))

    found = telemetry.measurements.baseline("v-stable", ["error_rate"], as_of=at(seconds), window_s=60)
    assert found.rates["error_rate"].requests == requests
