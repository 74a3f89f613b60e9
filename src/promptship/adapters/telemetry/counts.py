"""Rollups -> counts. Every query is bounded by the buckets of one stage or of one window, never by the history.

What counts, in one place:
- A bucket of requests counts for a metric when it ended at least m seconds before `as_of`, m being the metric's maturity. With m = 0
  it counts from its start on, the running one included: callers take differences between looks.
- Feedback counts when it came at most m seconds after its request (m = 0: at any time up to `as_of`); among what counts, the last
  statement about a request (by time, then id) is the one that holds. A matured bucket therefore never changes again.
- A feedback metric is measured only once feedback of its kind, good or bad, has ever been seen for the prompt: otherwise a dead
  feedback pipe would look like perfect quality. Once seen, requests without feedback count as good.
- A score belongs to the bucket of its request and counts whenever it came: a request without a score is not measured, so a late
  score adds to what is measured, as a late request does. `check:<name>` and `score:<name>` count scored requests only.
- `cost_usd` and `tokens_out` count the requests that they are known of.
- Units, and the requests per arm, count everything taken in so far, whatever the maturity: of feedback what holds now.
- A metric that was measured on no request of either arm is absent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import orjson
from sqlalchemy import Connection, and_, case, func, literal, or_, select
from sqlalchemy.sql import ColumnElement

from promptship.adapters.telemetry.grouping import LATENCY
from promptship.adapters.telemetry.tables import (
    NO_RELEASE,
    TOTAL_MS,
    checks,
    feedback,
    feedback_kinds,
    latency_bins,
    traffic,
    unit_slots,
    unix_ms,
    value_bins,
)
from promptship.adapters.telemetry.units import ASSIGNED, compared, unit_sums
from promptship.canary.evidence import (
    ArmCounts,
    ArmUnits,
    Baseline,
    Counts,
    Histogram,
    LatencyCounts,
    StageCounts,
    Values,
)
from promptship.errors import NotFound

FEEDBACK: Final = "feedback:"
CHECK: Final = "check:"
SCORE: Final = "score:"
_RATES: Final = {
    # metric -> (measured requests, bad ones)
    "error_rate": (traffic.c.requests, traffic.c.errors),
    "refusal_rate": (traffic.c.refusal_known, traffic.c.refusals),
}
_LATENCIES: Final = ("latency", "latency_p95")
_AMOUNTS: Final = ("cost_usd", "tokens_out")
_Arm = Literal["candidate", "stable"]
_ARMS: Final[tuple[_Arm, ...]] = ("candidate", "stable")


def stage_counts(
    connection: Connection, release_id: str, stage: int, matures_after_s: Mapping[str, float], as_of: datetime
) -> StageCounts:
    """Cumulative counts of one stage for the metrics named in `matures_after_s`.

    Latency is one histogram under two names; when both are asked for, the longer maturity counts.

    Raises:
        NotFound: a metric that nobody measures.
    """
    _known(matures_after_s)
    as_of_ms = unix_ms(as_of)
    within = and_(traffic.c.release_id == release_id, traffic.c.stage == stage)
    rates: dict[str, ArmCounts] = {}
    means: dict[str, Values] = {}
    for metric, matures_s in matures_after_s.items():
        matures_ms = round(matures_s * 1000)
        rows = _total_less_unripe(within, as_of_ms, matures_ms)
        if metric in _LATENCIES:
            continue
        if _is_mean(metric):
            bins = _bins(connection, value_bins, rows, metric)
            if bins:
                means[metric] = Values(**{arm: Histogram(buckets=bins[arm]) for arm in _ARMS if arm in bins})
        elif metric.startswith(FEEDBACK):
            kind = metric.removeprefix(FEEDBACK)
            said = and_(
                feedback.c.release_id == release_id, feedback.c.stage == stage, feedback.c.kind == kind,
                _ripe(feedback, as_of_ms, matures_ms), _in_time(as_of_ms, matures_ms),
            )  # fmt: skip
            if _seen(connection, kind, within, as_of_ms):
                rates |= _present(metric, _feedback(connection, rows, said))
        else:
            rates |= _present(metric, _rate(connection, metric, rows))
    patience = [round(matures_after_s[name] * 1000) for name in _LATENCIES if name in matures_after_s]
    latency = _latency(connection, _total_less_unripe(within, as_of_ms, max(patience))) if patience else None
    everything = _sums(connection, _Rows(and_(within, traffic.c.end_ms == TOTAL_MS)), traffic.c.requests)
    requests = {arm: Counts(requests=everything[arm][0]) for arm in _ARMS if arm in everything}
    units, assigned = _units(connection, release_id, stage, matures_after_s, measured=rates)
    return StageCounts(
        rates=rates,
        latency=latency,
        means=means,
        requests=ArmCounts(**dict(requests)),
        units=units,
        assigned=assigned,
    )


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
    means: dict[str, Histogram] = {}
    for metric in metrics:
        if metric in _LATENCIES:
            continue
        if _is_mean(metric):
            buckets = _both_arms(_bins(connection, value_bins, rows, metric))
            if buckets:
                means[metric] = Histogram(buckets=buckets)
            continue
        if metric.startswith(FEEDBACK):
            kind = metric.removeprefix(FEEDBACK)
            if not _seen(connection, kind, ripe, as_of_ms):
                continue
            said = and_(
                feedback.c.version == version, feedback.c.kind == kind,
                _in_window(feedback, from_ms, as_of_ms), _in_time(as_of_ms, 0),
            )  # fmt: skip
            found = _feedback(connection, rows, said)
        else:
            found = _rate(connection, metric, rows)
        requests = sum(counts.requests for counts in found.values())
        if requests:
            events = sum(counts.events for counts in found.values())
            rates[metric] = Counts(requests=requests, events=events)
    wanted = any(name in metrics for name in _LATENCIES)
    latency = _both_arms(_bins(connection, latency_bins, rows)) if wanted else {}
    return Baseline(rates=rates, latency=Histogram(buckets=latency), means=means)


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
        if metric in _RATES or metric in _LATENCIES or metric in _AMOUNTS:
            continue
        if not metric.startswith((FEEDBACK, CHECK, SCORE)):
            expected = ", ".join(
                [*_RATES, *_LATENCIES, *_AMOUNTS, "feedback:<kind>", "check:<name>", "score:<name>"]
            )
            raise NotFound(f"metric {metric} is not measured here; expected one of {expected}")


def _is_mean(metric: str) -> bool:
    return metric in _AMOUNTS or metric.startswith(SCORE)


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
    if metric in _RATES:
        sums = _sums(connection, rows, *_RATES[metric])
    else:
        both = (func.sum(rows.sign * checks.c.scored), func.sum(rows.sign * checks.c.failed))
        query = (
            select(traffic.c.arm, *both)
            .join_from(traffic, checks, traffic.c.slot == checks.c.slot)
            .where(rows.where, checks.c.name == metric.removeprefix(CHECK))
            .group_by(traffic.c.arm)
        )
        sums = {arm: (int(scored), int(failed)) for arm, scored, failed in connection.execute(query)}
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
    bins = _bins(connection, latency_bins, rows)
    if not bins:
        return None
    return LatencyCounts(**{arm: Histogram(buckets=bins[arm]) for arm in _ARMS if arm in bins})


def _bins(connection: Connection, table: Any, rows: _Rows, metric: str = "") -> dict[str, dict[int, int]]:
    requests = func.sum(rows.sign * table.c.requests)
    where = and_(rows.where, table.c.metric == metric) if metric else rows.where
    query = (
        select(traffic.c.arm, table.c.bin, requests)
        .join_from(traffic, table, traffic.c.slot == table.c.slot)
        .where(where)
        .group_by(traffic.c.arm, table.c.bin)
        .having(requests > 0)
    )
    found: dict[str, dict[int, int]] = {}
    for arm, number, total in connection.execute(query):
        found.setdefault(arm, {})[number] = int(total)
    return found


def _both_arms(bins: Mapping[str, Mapping[int, int]]) -> dict[int, int]:
    found: dict[int, int] = {}
    for arm in bins.values():
        for number, requests in arm.items():
            found[number] = found.get(number, 0) + requests
    return found


def _units(
    connection: Connection, release_id: str, stage: int, metrics: Iterable[str], *, measured: Collection[str]
) -> tuple[dict[str, ArmUnits], ArmCounts | None]:
    """Two rows at most, whatever was counted."""
    table = unit_slots.c
    query = select(table.arm, table.assigned, table.sums).where(
        table.release_id == release_id, table.stage == stage
    )
    rows = {arm: (int(assigned), orjson.loads(sums)) for arm, assigned, sums in connection.execute(query)}
    found: dict[str, ArmUnits] = {}
    for metric in metrics:
        name = LATENCY if metric in _LATENCIES else metric
        known = {arm: sums[name] for arm, (_, sums) in rows.items() if name in sums}
        if metric.startswith(FEEDBACK) and (known or metric in measured):
            # Nobody said anything about the units of an arm: all their requests count, none as bad.
            quiet = {arm: sums["error_rate"] for arm, (_, sums) in rows.items() if "error_rate" in sums}
            known = {arm: [units, n, 0, nn, 0, 0] for arm, (units, n, _, nn, _, _) in quiet.items()} | known
        arms = {arm: unit_sums(known[arm]) for arm in _ARMS if arm in known}
        if any(sums.units for sums in arms.values()):
            found[metric] = ArmUnits(**dict(arms))
    if not any(assigned for assigned, _ in rows.values()):
        return found, None
    assigned = compared({arm: sums[ASSIGNED] for arm, (_, sums) in rows.items() if ASSIGNED in sums})
    if len(assigned) < len(rows):  # written before an arm's fair parts were counted
        assigned = {arm: number for arm, (number, _) in rows.items()}
    units = {arm: Counts(requests=assigned[arm]) for arm in _ARMS if arm in assigned}
    return found, ArmCounts(**dict(units))
