"""What telemetry costs: a row at the gateway, a tick of 10,000 rows on an empty and on a full database, and a look.

The databases are filled with the rollups and ids that so many requests leave behind; the requests themselves are not served.

Run: python benchmarks/bench_telemetry.py [--history 1000000 10000000 100000000]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from promptship.adapters.database import connect, migrate, writing
from promptship.adapters.telemetry import SpoolMeasurements, SpoolWriter
from promptship.adapters.telemetry.tables import TOTAL_MS, latency_bins, seen_requests, traffic, value_bins
from promptship.routing.observation import Feedback, Observation

ROWS = 10_000
BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEGAN_MS = int(BEGAN.timestamp() * 1000)
ARMS = ("stable", "candidate")
MATURITIES = {
    "error_rate": 0.0, "refusal_rate": 0.0, "latency_p95": 0.0, "feedback:escalated": 600.0, "cost_usd": 0.0, "tokens_out": 0.0,
}  # fmt: skip
DICE = random.Random(7)


class Clock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Now."""
        return datetime.now(UTC)


class Later:
    """Two hours on: writers that were silent since then are dead."""

    def now(self) -> datetime:
        """Then."""
        return datetime.now(UTC) + timedelta(hours=2)


def observation(number: int, *, spread_ms: int) -> dict[str, Any]:
    """A row as the gateway writes it, `spread_ms` of traffic in 10,000 rows."""
    at_ms = BEGAN_MS + number * spread_ms // ROWS
    arm = ARMS[number % 2]
    return {
        "id": f"{at_ms:012x}-7000-8000-{number:012x}", "at_ms": at_ms, "prompt": "support-reply", "version": (arm[0] * 64),
        "arm": arm, "release": "rel-0123456789ab", "stage": 1, "unit": f"{DICE.randrange(200_000):016x}", "model": "gpt-test",
        "latency_ms": DICE.lognormvariate(6.5, 0.5), "ttft_ms": None, "tokens_in": 210, "tokens_out": DICE.randint(40, 300),
        "cost_usd": 0.0005, "status": 200,
        "error": number % 50 == 0, "error_type": "", "refusal": number % 40 == 0, "streamed": False,
        "decision": "in",
    }  # fmt: skip


def feedback(number: int) -> Feedback:
    """One escalation a while after its request."""
    row = observation(number, spread_ms=10_000)
    return Feedback(
        id=f"f{number:035d}", at_ms=row["at_ms"] + 60_000, request=row["id"], request_at_ms=row["at_ms"], prompt=row["prompt"],
        version=row["version"], arm=row["arm"], release=row["release"], stage=1, kind="escalated", value=True,
    )  # fmt: skip


def micros_per_write(directory: Path, records: list[Any]) -> tuple[float, float, float]:
    """Mean, p50 and p99 microseconds of `write`, with the background sync running."""
    taken = []
    with SpoolWriter(directory, clock=Clock()) as writer:
        for record in records[:1000]:
            writer.write(record)
        began = time.perf_counter()
        for record in records:
            writer.write(record)
        mean = (time.perf_counter() - began) / len(records)
        for record in records:
            before = time.perf_counter()
            writer.write(record)
            taken.append(time.perf_counter() - before)
        assert writer.lost == 0  # noqa: S101 - a bench that lost rows measured nothing
    cuts = statistics.quantiles(taken, n=100)
    return mean * 1e6, cuts[49] * 1e6, cuts[98] * 1e6


def tick_cost(engine: Engine, directory: Path, *, spread_ms: int, rounds: int = 7) -> str:
    """Milliseconds, wall and CPU, of a tick that takes in 10,000 new rows."""
    measurements = SpoolMeasurements(engine, directory, Clock(), bucket_s=10.0)
    measurements.ingest()
    taken = []
    with SpoolWriter(directory, clock=Clock()) as writer:
        for turn in range(rounds):
            for number in range(turn * ROWS, (turn + 1) * ROWS):
                writer.write(observation(number, spread_ms=spread_ms))
            writer.maintain()  # what is written to the disk now is the gateway's cost, not the tick's
            before = time.perf_counter(), time.thread_time()
            report = measurements.ingest()
            taken.append((time.perf_counter() - before[0], time.thread_time() - before[1]))
            assert report.observations == ROWS, report  # noqa: S101
    measurements.close()
    wall, cpu = zip(*taken[1:], strict=True)
    low, median = min(cpu) * 1000, statistics.median(cpu) * 1000
    return f"{statistics.median(wall) * 1000:.0f} ms, of it {median:.0f} ms CPU (at best {low:.0f})"


def compaction_rate(spool: Path, engine: Engine, here: Path) -> str:
    """Records per second from spool lines to the history, and what they weigh before and after."""
    before = sum(path.stat().st_size for path in spool.rglob("*.jsonl"))
    measurements = SpoolMeasurements(
        engine, spool, Later(), bucket_s=10.0, history=str(here / "history"), keep_history_s=1e9
    )
    began = time.perf_counter()
    done = measurements.tidy()
    taken = time.perf_counter() - began
    after = sum(path.stat().st_size for path in (here / "history").rglob("*.parquet"))
    return (
        f"{done.rows / taken:,.0f} records/s, {before / done.rows:.0f} -> {after / done.rows:.0f} bytes each"
    )


def look_ms(engine: Engine, release: str, as_of: datetime) -> float:
    """Median milliseconds of counting one stage."""
    measurements = SpoolMeasurements(engine, Path("nowhere"), Clock(), bucket_s=10.0)

    def look() -> None:
        measurements.counts(release, 1, matures_after_s=MATURITIES, as_of=as_of)

    return _median_ms(look)


def baseline_ms(engine: Engine) -> float:
    """Median milliseconds of reading the history of a version."""
    measurements = SpoolMeasurements(engine, Path("nowhere"), Clock(), bucket_s=10.0)

    def read() -> None:
        measurements.baseline("s" * 64, list(MATURITIES), as_of=BEGAN, window_s=7 * 86400)

    return _median_ms(read)


def _median_ms(work: Callable[[], None]) -> float:
    taken = []
    for _ in range(7):
        before = time.perf_counter()
        work()
        taken.append((time.perf_counter() - before) * 1000)
    return statistics.median(taken)


def prefill(engine: Engine, requests: int) -> int:
    """Rollups as this many requests leave them: 1,000 a second in releases of 4 h, buckets of 10 s; the last day's ids. Returns rows."""
    groups: list[dict[str, Any]] = []
    totals: dict[str, dict[str, Any]] = {}
    for number in range(requests // 5000):
        start_ms = BEGAN_MS - (number // 2 + 1) * 10_000
        arm = ARMS[number % 2]
        group = {
            "slot": number + 1, "release_id": f"old-{start_ms // 14_400_000}", "stage": 1, "arm": arm, "version": arm[0] * 64,
            "prompt": "support-reply", "start_ms": start_ms, "end_ms": start_ms + 10_000, "requests": 5000, "errors": 50,
            "refusal_known": 5000, "refusals": 20, "latency_ms_sum": 1e6, "tokens_in": 1, "tokens_out": 1,
        }  # fmt: skip
        groups.append(group)
        total = totals.setdefault(
            f"{group['release_id']} {arm}", {**group, "start_ms": TOTAL_MS, "end_ms": TOTAL_MS, "requests": 0}
        )
        total["requests"] += 5000
    for slot, total in enumerate(totals.values(), len(groups) + 1):
        total["slot"] = slot
    groups += totals.values()
    bins = [
        {"slot": g["slot"], "bin": number, "requests": g["requests"] // 60}
        for g in groups
        for number in range(120, 180)
    ]
    hour = BEGAN_MS // 3_600_000
    ids = min(requests, 1_000_000)
    with writing(engine) as connection:
        connection.execute(traffic.insert(), groups)
        connection.execute(latency_bins.insert(), bins)
        connection.execute(value_bins.insert(), [{**one, "metric": "tokens_out"} for one in bins])
        connection.execute(
            seen_requests.insert(), [{"hour": hour, "id": f"old-{n:032d}"} for n in range(ids)]
        )
    return len(groups) + 2 * len(bins) + ids


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--history", type=int, nargs="+", default=[1_000_000, 10_000_000, 100_000_000])
    histories = parser.parse_args().history
    table = Table("what", "measured", title=f"telemetry, ticks of {ROWS:,} rows, SQLite synchronous=FULL")
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        rows = [observation(number, spread_ms=10_000) for number in range(50_000)]
        for name, records in (("dict", rows), ("model", [Observation(**row) for row in rows])):
            mean, p50, p99 = micros_per_write(here / name, records)
            table.add_row(f"write one {name}", f"mean {mean:.1f} us, p50 {p50:.1f} us, p99 {p99:.1f} us")
        engine = connect(f"sqlite:///{here / 'empty.db'}")
        migrate(engine)
        table.add_row("tick, empty database, rows of 10 s", tick_cost(engine, here / "one", spread_ms=10_000))
        with SpoolWriter(here / "one", clock=Clock()) as writer:
            for number in range(0, 7 * ROWS, 50):
                writer.write(feedback(number))
        SpoolMeasurements(engine, here / "one", Clock(), bucket_s=10.0).ingest()
        table.add_row(
            "look, 70,000 requests in 70 s",
            f"{look_ms(engine, 'rel-0123456789ab', BEGAN + timedelta(hours=1)):.1f} ms",
        )
        for requests in histories:
            engine = connect(f"sqlite:///{here / f'{requests}.db'}")
            migrate(engine)
            filled = prefill(engine, requests)
            table.add_row(
                f"tick, history of {requests:,} requests",
                f"{tick_cost(engine, here / f'spool-{requests}', spread_ms=10_000)}; {filled:,} rows",
            )
        table.add_row(
            "tick, rows of 1 hour (backlog)", tick_cost(engine, here / "three", spread_ms=3_600_000, rounds=3)
        )
        old = f"old-{(BEGAN_MS - 43_200_000) // 14_400_000}"
        table.add_row("look, stage of 4 h: 14,400,000 requests", f"{look_ms(engine, old, BEGAN):.1f} ms")
        table.add_row("baseline over a day of 86,400,000", f"{baseline_ms(engine):.1f} ms")
        table.add_row(
            "compaction", compaction_rate(here / "one", connect(f"sqlite:///{here / 'empty.db'}"), here)
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
