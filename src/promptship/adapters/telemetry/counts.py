"""Rollups -> counts. Every query is bounded by the buckets of one stage or of one window, never by the history.

What counts, in one place:
- A bucket of requests counts for a metric when it ended at least m seconds before `as_of`, m being the metric's maturity. With m = 0
  it counts from its start on, the running one included: callers take differences between looks.
- Feedback counts when it came at most m seconds after its request (m = 0: at any time up to `as_of`); among what counts, the last
  statement about a request (by time, then id) is the one that holds. A matured bucket therefore never changes again.
- A feedback metric is measured only once feedback of its kind, good or bad, has ever been seen for the prompt: otherwise a dead
  feedback pipe would look like perfect quality. Once seen, requests without feedback count as good.
- A metric that was measured on no request of either arm is absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, and_, case, func, literal, or_, select
from sqlalchemy.sql import ColumnElement

from promptship.adapters.telemetry.tables import (
    NO_RELEASE,
    TOTAL_MS,
    feedback,
    feedback_kinds,
    latency_bins,
    traffic,
    unix_ms,
)
from promptship.canary.evidence import ArmCounts, Baseline, Counts, Histogram, LatencyCounts, StageCounts
from promptship.errors import NotFound

FEEDBACK_PREFIX: Final = "feedback:"
_RATES: Final = {
    # metric -> (measured requests, bad ones)
    "error_rate": (traffic.c.requests, traffic.c.errors),
    "refusal_rate": (traffic.c.refusal_known, traffic.c.refusals),
}
_LATENCY: Final = "latency_p95"
_Arm = Literal["candidate", "stable"]
_ARMS: Final[tuple[_Arm, ...]] = ("candidate", "stable")


def stage_counts(
    connection: Connection, release_id: str, stage: int, matures_after_s: Mapping[str, float], as_of: datetime
) -> StageCounts:
    """Cumulative counts of one stage for the metrics named in `matures_after_s`.

    Raises:
        NotFound: a metric that nobody measures.
    """
    _known(matures_after_s)
    as_of_ms = unix_ms(as_of)
    within = and_(traffic.c.release_id == release_id, traffic.c.stage == stage)
    rates: dict[str, ArmCounts] = {}
    latency = None
    for metric, matures_s in matures_after_s.items():
        matures_ms = round(matures_s * 1000)
        rows = _total_less_unripe(within, as_of_ms, matures_ms)
        if metric == _LATENCY:
            latency = _latency(connection, rows)
        elif metric in _RATES:
            rates |= _present(metric, _rate(connection, metric, rows))
        else:
            kind = metric.removeprefix(FEEDBACK_PREFIX)
            said = and_(
                feedback.c.release_id == release_id, feedback.c.stage == stage, feedback.c.kind == kind,
                _ripe(feedback, as_of_ms, matures_ms), _in_time(as_of_ms, matures_ms),
            )  # fmt: skip
            if _seen(connection, kind, within, as_of_ms):
                rates |= _present(metric, _feedback(connection, rows, said))
    everything = _sums(connection, _Rows(and_(within, traffic.c.end_ms == TOTAL_MS)), traffic.c.requests)
    requests = {arm: Counts(requests=everything[arm][0]) for arm in _ARMS if arm in everything}
    return StageCounts(rates=rates, latency=latency, requests=ArmCounts(**dict(requests)))


def history(
    connection: Connection, version: str, metrics: Sequence[str], as_of: datetime, window_s: float
) -> Baseline:
    """Counts of a version in the window before `as_of`, rounded outwards to buckets.

    All its traffic counts, inside and outside releases, whatever its arm was; inside a release only buckets that ended by `as_of`,
    so that a release is never seeded with its own requests. Feedback counts at any age.

    Raises:
        NotFound: a metric that nobody measures.
    """
    _known(metrics)
    as_of_ms = unix_ms(as_of)
    from_ms = as_of_ms - round(window_s * 1000)
    ripe = and_(traffic.c.version == version, _in_window(traffic, from_ms, as_of_ms))
    rows = _Rows(ripe)
    rates: dict[str, Counts] = {}
    latency: dict[int, int] = {}
    for metric in metrics:
        if metric == _LATENCY:
            for bins in _bins(connection, rows).values():
                for number, requests in bins.items():
                    latency[number] = latency.get(number, 0) + requests
            continue
        if metric in _RATES:
            found = _rate(connection, metric, rows)
        else:
            kind = metric.removeprefix(FEEDBACK_PREFIX)
            if not _seen(connection, kind, ripe, as_of_ms):
                continue
            said = and_(
                feedback.c.version == version, feedback.c.kind == kind,
                _in_window(feedback, from_ms, as_of_ms), _in_time(as_of_ms, 0),
            )  # fmt: skip
            found = _feedback(connection, rows, said)
        requests = sum(counts.requests for counts in found.values())
        if requests:
            events = sum(counts.events for counts in found.values())
            rates[metric] = Counts(requests=requests, events=events)
    return Baseline(rates=rates, latency=Histogram(buckets=latency))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of `traffic` to sum up, each with its sign."""

    where: ColumnElement[bool]
    sign: ColumnElement[int] = field(default_factory=lambda: literal(1))


def _total_less_unripe(within: ColumnElement[bool], as_of_ms: int, matures_ms: int) -> _Rows:
    """The ripe buckets of a stage, as its total without the others: exact, and only the newest buckets are read."""
    unripe = traffic.c.end_ms > as_of_ms - matures_ms  # The total's end lies beyond every time.
    if not matures_ms:
        unripe = and_(unripe, traffic.c.start_ms > as_of_ms)
    return _Rows(and_(within, unripe), case((traffic.c.end_ms == TOTAL_MS, 1), else_=-1))


def _known(metrics: Iterable[str]) -> None:
    for metric in metrics:
        if metric != _LATENCY and metric not in _RATES and not metric.startswith(FEEDBACK_PREFIX):
            expected = ", ".join([*_RATES, _LATENCY, f"{FEEDBACK_PREFIX}<kind>"])
            raise NotFound(f"metric {metric} is not measured here; expected one of {expected}")


def _ripe(table: Any, as_of_ms: int, matures_ms: int) -> ColumnElement[bool]:
    ripe: ColumnElement[bool] = (
        table.c.end_ms + matures_ms <= as_of_ms if matures_ms else table.c.start_ms <= as_of_ms
    )
    return ripe


def _in_time(as_of_ms: int, matures_ms: int) -> ColumnElement[bool]:
    said_by_now = feedback.c.at_ms <= as_of_ms
    return (
        and_(said_by_now, feedback.c.at_ms - feedback.c.request_at_ms <= matures_ms)
        if matures_ms
        else said_by_now
    )


def _in_window(table: Any, from_ms: int, as_of_ms: int) -> ColumnElement[bool]:
    outside = and_(table.c.release_id == NO_RELEASE, table.c.start_ms <= as_of_ms)
    return and_(
        table.c.end_ms > from_ms, or_(outside, table.c.end_ms <= as_of_ms), table.c.start_ms <= as_of_ms
    )


def _sums(connection: Connection, rows: _Rows, *columns: ColumnElement[int]) -> dict[str, tuple[int, ...]]:
    sums = (func.sum(rows.sign * column) for column in columns)
    query = select(traffic.c.arm, *sums).where(rows.where).group_by(traffic.c.arm)
    return {arm: tuple(int(value) for value in values) for arm, *values in connection.execute(query)}


def _rate(connection: Connection, metric: str, rows: _Rows) -> dict[_Arm, Counts]:
    sums = _sums(connection, rows, *_RATES[metric])
    return {arm: Counts(requests=sums[arm][0], events=sums[arm][1]) for arm in _ARMS if arm in sums}


def _feedback(connection: Connection, rows: _Rows, said: ColumnElement[bool]) -> dict[_Arm, Counts]:
    """Requests from the rollup, events from the last statement about each request; both carry the arm, so nothing is joined."""
    requests = _sums(connection, rows, traffic.c.requests)
    latest = (
        select(
            feedback.c.arm,
            feedback.c.value,
            func.row_number()
            .over(
                partition_by=feedback.c.request_id, order_by=(feedback.c.at_ms.desc(), feedback.c.id.desc())
            )
            .label("nth"),
        )
        .where(said)
        .subquery()
    )
    query = select(latest.c.arm, func.count()).where(latest.c.nth == 1, latest.c.value).group_by(latest.c.arm)
    events = {arm: int(number) for arm, number in connection.execute(query)}
    # Feedback may be read before the observation it is about: never more events than requests.
    return {
        arm: Counts(requests=requests[arm][0], events=min(events.get(arm, 0), requests[arm][0]))
        for arm in _ARMS
        if arm in requests
    }


def _seen(connection: Connection, kind: str, where: ColumnElement[bool], as_of_ms: int) -> bool:
    prompts = select(traffic.c.prompt).where(where).distinct()
    query = select(feedback_kinds.c.kind).where(
        feedback_kinds.c.kind == kind,
        feedback_kinds.c.first_at_ms <= as_of_ms,
        feedback_kinds.c.prompt.in_(prompts),
    )
    return connection.execute(query.limit(1)).first() is not None


def _present(metric: str, arms: Mapping[_Arm, Counts]) -> dict[str, ArmCounts]:
    return {metric: ArmCounts(**dict(arms))} if any(counts.requests for counts in arms.values()) else {}


def _latency(connection: Connection, rows: _Rows) -> LatencyCounts | None:
    bins = _bins(connection, rows)
    if not bins:
        return None
    return LatencyCounts(**{arm: Histogram(buckets=bins[arm]) for arm in _ARMS if arm in bins})


def _bins(connection: Connection, rows: _Rows) -> dict[str, dict[int, int]]:
    requests = func.sum(rows.sign * latency_bins.c.requests)
    query = (
        select(traffic.c.arm, latency_bins.c.bin, requests)
        .join_from(traffic, latency_bins, traffic.c.slot == latency_bins.c.slot)
        .where(rows.where)
        .group_by(traffic.c.arm, latency_bins.c.bin)
        .having(requests > 0)
    )
    found: dict[str, dict[int, int]] = {}
    for arm, number, total in connection.execute(query):
        found.setdefault(arm, {})[number] = int(total)
    return found
