"""The quality gate: can the telemetry of a stage be trusted? Great Expectations over a profile and a sample; bad telemetry means HOLD.

The profile is one row of numbers from the rollups (seconds of SQL would be too slow for Great Expectations, a row is not); the sample
is the newest observations. What the gate does not judge: whether the candidate is good, and whether the split is fair (statistics do).

A stage without a single request is healthy and says nothing. One that had requests and fell silent is not: an arm that had at least
`ROWS_MIN` requests must not be silent longer than `SILENCE_GAPS` times its mean gap, and at least `SILENCE_S_MIN` seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, case, func, select

from promptship.adapters.expectations import docs_page, expectations, validate
from promptship.adapters.telemetry.tables import TOTAL_MS, intake_minutes, traffic, unix_ms
from promptship.canary.evidence import Health

ROWS_MIN: Final = 20
"""Fewer requests of an arm are not judged: shares of a handful mean nothing."""
SILENCE_S_MIN: Final = 60.0
SILENCE_GAPS: Final = 20.0
"""For random arrivals a gap of 20 mean gaps has a chance of 2e-9."""
ERROR_SHARE_MAX: Final = 0.5
"""Of the stable arm: beyond it nothing sound is left to compare with (provider down, for example)."""
KNOWN_GAP_MAX: Final = 0.5
INTAKE_MINUTES: Final = 10
BAD_LINES_MIN: Final = 5
"""One torn line after a crash is no reason to hold a release."""
BAD_SHARE_MAX: Final = 0.01
FUTURE_MS_MAX: Final = 5 * 60_000
LATENCY_MS_MAX: Final = 3_600_000.0
COST_USD_MAX: Final = 100.0
TOKENS_MAX: Final = 1_000_000.0
MAY_BE_UNKNOWN: Final = frozenset({"tokens_out", "cost_usd"})
OUTLIERS_MAX: Final = 0.01
"""Share of the sample that may be implausible."""


@dataclass(frozen=True, slots=True)
class Check:
    """One number of the profile, with the bounds it has to keep and the sentence for people when it does not."""

    name: str
    value: float
    low: float | None
    high: float | None
    says: str


@dataclass(frozen=True, slots=True)
class Examination:
    """What the gate found.

    `health` is for the verdict, `results` (Great Expectations' JSON) for the audit trail, `pages` (its Data Docs, HTML, by name)
    for people.
    """

    health: Health
    results: tuple[dict[str, Any], ...]
    pages: dict[str, str]


def profile(connection: Connection, release_id: str, stage: int, as_of: datetime) -> tuple[Check, ...]:
    """The numbers of a stage that can be judged at all; what was not measured is not in it."""
    total = traffic.c.end_ms == TOTAL_MS
    counted = (
        func.sum(case((total, column), else_=0))
        for column in (traffic.c.requests, traffic.c.errors, traffic.c.refusal_known, traffic.c.cost_known)
    )
    first_ms = func.min(traffic.c.start_ms)
    last_ms = func.max(case((total, 0), else_=traffic.c.end_ms))
    query = (
        select(traffic.c.arm, traffic.c.version, *counted, first_ms, last_ms)
        .where(traffic.c.release_id == release_id, traffic.c.stage == stage)
        .group_by(traffic.c.arm, traffic.c.version)
    )
    arms: dict[str, list[Sequence[Any]]] = {}
    for arm, version, *numbers in connection.execute(query):
        # PostgreSQL's sums of BIGINT are decimals, which cannot be divided by a float.
        arms.setdefault(arm, []).append((version, *map(int, numbers)))
    checks = [check for arm, rows in sorted(arms.items()) for check in _of_arm(arm, rows, unix_ms(as_of))]
    if len(arms) == 2:  # noqa: PLR2004 - both arms
        checks += _of_both(arms)
    return (*checks, *_of_intake(connection, as_of))


def examine(
    checks: Sequence[Check], sample: Mapping[str, Sequence[Any]], as_of: datetime, *, pages: bool = True
) -> Examination:
    """Let Great Expectations judge the profile and the sample. Its import takes seconds, once per process."""
    gxe = expectations()
    frame = {check.name: [check.value] for check in checks}
    rules: list[Any] = [
        gxe.ExpectTableRowCountToEqual(value=1, meta={"says": "the telemetry profile is empty"})
    ]
    for check in checks:
        says = {"says": check.says}
        # A null passes every range, so each range is paired with not-null.
        rules += [
            gxe.ExpectColumnValuesToNotBeNull(column=check.name, meta=says),
            gxe.ExpectColumnValuesToBeBetween(
                column=check.name, min_value=check.low, max_value=check.high, meta=says
            ),
        ]
    outcomes = [_validate("profile", frame, rules)] if checks else []
    if len(sample.get("at_ms", ())) >= ROWS_MIN:
        outcomes.append(_validate("sample", sample, _of_sample(as_of)))
    problems = dict.fromkeys(problem for found, _ in outcomes for problem in found)
    return Examination(
        Health(problems=tuple(problems)),
        tuple(result.to_json_dict() for _, result in outcomes),
        {
            name: docs_page(f"telemetry, {name}", result)
            for name, (_, result) in zip(("profile", "sample"), outcomes, strict=False)
        }
        if pages
        else {},
    )


def _of_arm(arm: str, rows: list[Sequence[Any]], as_of_ms: int) -> list[Check]:
    requests, errors = (sum(row[index] for row in rows) for index in (1, 2))
    checks = [
        Check(
            f"{arm}_versions",
            len(rows),
            1,
            1,
            f"{len(rows)} different versions served the {arm} arm of this stage, expected one",
        )
    ]
    if requests < ROWS_MIN:
        return checks
    first_ms, last_ms = min(row[5] for row in rows), max(row[6] for row in rows)
    silence_s = max(0.0, (as_of_ms - last_ms) / 1000)
    limit_s = max(SILENCE_S_MIN, SILENCE_GAPS * (last_ms - first_ms) / 1000 / requests)
    checks.append(
        Check(
            f"{arm}_silence_s", silence_s, None, limit_s,
            f"no request of the {arm} arm for {silence_s:.0f} s, at most {limit_s:.0f} s expected after {requests:,} requests",
        )
    )  # fmt: skip
    if arm == "stable":
        share = errors / requests
        says = f"{share:.0%} of stable's {requests:,} requests fail (at most {ERROR_SHARE_MAX:.0%}): nothing sound to compare with"
        checks.append(Check("stable_error_share", share, 0, ERROR_SHARE_MAX, says))
    return checks


def _of_both(arms: Mapping[str, list[Sequence[Any]]]) -> list[Check]:
    versions = {arm: {row[0] for row in rows} for arm, rows in arms.items()}
    shared = len(set.intersection(*versions.values()))
    checks = [
        Check(
            "versions_in_both_arms",
            shared,
            0,
            0,
            "one version served both arms of this stage: there is no comparison",
        )
    ]
    requests = {arm: sum(row[1] for row in rows) for arm, rows in arms.items()}
    if min(requests.values()) >= ROWS_MIN:
        for at, name, said, compared in (
            (3, "refusal_known_gap", "refusals could be told", "rates"),
            (4, "cost_known_gap", "costs were known", "means"),
        ):
            known = {arm: sum(row[at] for row in rows) / requests[arm] for arm, rows in arms.items()}
            gap = abs(known["candidate"] - known["stable"])
            says = (
                f"{said} for {known['candidate']:.0%} of candidate's and {known['stable']:.0%} of stable's answers: "
                f"their {compared} cannot be compared"
            )
            checks.append(Check(name, gap, 0, KNOWN_GAP_MAX, says))
    return checks


def _of_intake(connection: Connection, as_of: datetime) -> list[Check]:
    """All spools of the database together: a bad line does not say whose it was."""
    table = intake_minutes.c
    since_ms = unix_ms(as_of) - INTAKE_MINUTES * 60_000
    sums = select(
        func.sum(table.observations + table.feedback + table.scores), func.sum(table.duplicates), func.sum(table.quarantined)
    ).where(table.minute_ms >= since_ms, table.minute_ms <= unix_ms(as_of))  # fmt: skip
    good, duplicates, quarantined = (int(value or 0) for value in connection.execute(sums).one())
    checks = []
    for name, number, what in (
        ("quarantined", quarantined, "not valid records"),
        ("duplicates", duplicates, "there twice"),
    ):
        if number > BAD_LINES_MIN:
            share = number / (good + duplicates + quarantined)
            says = f"{number:,} lines ({share:.1%}) of the last {INTAKE_MINUTES} min of telemetry were {what}"
            checks.append(Check(f"{name}_share", share, 0, BAD_SHARE_MAX, says))
    return checks


def _of_sample(as_of: datetime) -> list[Any]:
    gxe = expectations()
    mostly = 1 - OUTLIERS_MAX
    latest_ms = unix_ms(as_of) + FUTURE_MS_MAX
    says = {
        "at_ms": f"more than {OUTLIERS_MAX:.0%} of the newest requests are over 5 min in the future: a gateway's clock is wrong",
        "latency_ms": f"more than {OUTLIERS_MAX:.0%} of the newest requests took over an hour: latency is not in milliseconds",
        "status": f"more than {OUTLIERS_MAX:.0%} of the newest requests have no real HTTP status",
        "tokens_out": f"more than {OUTLIERS_MAX:.0%} of the newest answers have over a million tokens: they are not counted right",
        "cost_usd": f"more than {OUTLIERS_MAX:.0%} of the newest requests cost over 100 USD: a price is not per million tokens",
    }
    bounds: dict[str, tuple[float, float]] = {
        "at_ms": (0, latest_ms),
        "latency_ms": (0, LATENCY_MS_MAX),
        "status": (100, 599),
        "tokens_out": (0, TOKENS_MAX),
        "cost_usd": (0, COST_USD_MAX),
    }
    rules: list[Any] = []
    for column, (low, high) in bounds.items():
        meta = {"says": says[column]}
        if column not in MAY_BE_UNKNOWN:  # A null passes every range.
            rules.append(gxe.ExpectColumnValuesToNotBeNull(column=column, meta=meta))
        rules.append(
            gxe.ExpectColumnValuesToBeBetween(
                column=column, min_value=low, max_value=high, mostly=mostly, meta=meta
            )
        )
    meta = {"says": "every one of the newest requests took 0 ms: latency is not measured"}
    rules.append(gxe.ExpectColumnMaxToBeBetween(column="latency_ms", min_value=0, strict_min=True, meta=meta))
    return rules


def load() -> None:
    """Import Great Expectations and use it once: 5 s that the first look would otherwise wait."""
    gxe = expectations()
    _validate(
        "warm-up", {"latency_ms": [1.0]}, [gxe.ExpectColumnMaxToBeBetween(column="latency_ms", min_value=0)]
    )


def _validate(name: str, columns: Mapping[str, Sequence[Any]], rules: list[Any]) -> tuple[list[str], Any]:
    """Problems, and the whole result."""
    result = validate(name, columns, rules)
    problems = [str(one.expectation_config.meta["says"]) for one in result.results if not one.success]
    return problems, result
